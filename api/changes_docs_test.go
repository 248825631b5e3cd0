package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
)

// docs/portal.md shows answers as they are, and says the numbers that hold.
func TestPortalDocument(t *testing.T) {
	text, err := os.ReadFile("../docs/portal.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(text, -1)
	if len(examples) != 2 {
		t.Fatalf("%d examples of answers, want 2", len(examples))
	}
	var asked portalView
	var told page[changeView]
	for i, into := range []any{&asked, &told} {
		if err := decode(examples[i][1], into); err != nil {
			t.Errorf("example %d is no such answer: %v", i+1, err)
		}
	}
	for _, p := range asked.Permissions {
		if !strings.Contains(string(policy.Default()), p) {
			t.Errorf("the example shows permission %s, which the default policy does not know", p)
		}
	}
	whole := strings.Join(strings.Fields(string(text)), " ")
	for _, said := range []string{
		fmt.Sprintf("waits up to %d s", int(changesWait.Seconds())),
		fmt.Sprintf("more than %d polls of one token", changesWaiters),
		fmt.Sprintf("they are kept for %d days", int(lifecycle.ChangesLast.Hours()/24)),
		"| `" + aboutUser + "` |", "| `" + aboutParticipant + "` |", "| `" + aboutAll + "` |",
	} {
		if !strings.Contains(whole, said) {
			t.Errorf("docs/portal.md does not say %q", said)
		}
	}
}

// A server that shuts down does not wait for polls that wait.
func TestChangesEndWithTheServer(t *testing.T) {
	h := newHouse(t, nil)
	one := NewServer(New(h.options), "")
	var config net.ListenConfig
	door, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go one.Serve(door) //nolint:errcheck // it ends with the test
	url := "http://" + door.Addr().String()
	p := newPortal(h, url, "")
	answered := make(chan int, 1)
	go func() {
		r, err := http.NewRequestWithContext(context.Background(), "GET", url+changesPath+"?cursor="+p.cursor, nil)
		if err != nil {
			t.Error(err)
		}
		r.Header.Set("Authorization", "Bearer "+p.token)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			answered <- 0
			return
		}
		defer res.Body.Close() //nolint:errcheck // read whole
		var got page[json.RawMessage]
		if err := json.NewDecoder(res.Body).Decode(&got); err != nil || got.NextCursor == nil {
			t.Errorf("answer at the end: %+v, %v", got, err)
		}
		answered <- res.StatusCode
	}()
	time.Sleep(300 * time.Millisecond) // it waits
	begin := time.Now()
	if err := one.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("shutting down took %v", took)
	}
	if status := <-answered; status != 200 {
		t.Errorf("the poll was answered %d", status)
	}
}
