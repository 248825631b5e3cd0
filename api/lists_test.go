package api

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSearchesLeaveTheOthersAlone: one participant's searches run a few at a
// time; its other requests, and other participants, do not wait for them.
func TestSearchesLeaveTheOthersAlone(t *testing.T) {
	var mu sync.Mutex
	running, most := 0, 0
	free := make(chan struct{})
	h := newHouse(t, func(o *Options) {
		echo := o.SCIM
		o.SCIM = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("filter") != "slow" {
				echo.ServeHTTP(w, r)
				return
			}
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			<-free
			mu.Lock()
			running--
			mu.Unlock()
			echo.ServeHTTP(w, r)
		})
	})
	mercy, general := h.token("scim", "mercy"), h.token("scim", "general")
	var all sync.WaitGroup
	for range 3 * listsAtOnce {
		all.Go(func() {
			if got := h.ask("GET", scimRoot+"/Users?filter=slow", mercy, ""); got.status != http.StatusOK {
				t.Errorf("a search that waited: %d %s", got.status, got.body)
			}
		})
	}
	deadline := time.Now().Add(5 * time.Second)
	for busy := 0; busy < listsAtOnce && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		mu.Lock()
		busy = running
		mu.Unlock()
	}
	h.must(200, "GET", scimRoot+"/Users/"+h.mercy.ID, mercy, "")
	h.must(200, "GET", scimRoot+"/Users", general, "")
	close(free)
	all.Wait()
	if most != listsAtOnce {
		t.Errorf("%d searches ran at once, want %d", most, listsAtOnce)
	}
}

func TestLanesAreBounded(t *testing.T) {
	l := newLanes(1, 1)
	for i, want := range []bool{true, true, false} {
		if _, ok := l.enter("mercy"); ok != want {
			t.Errorf("place %d: %v", i, ok)
		}
	}
	if _, ok := l.enter("general"); !ok {
		t.Error("another participant has no lane")
	}
	l.exit("mercy")
	if _, ok := l.enter("mercy"); !ok {
		t.Error("a place that was given back is not free")
	}
	for range 2 {
		l.exit("mercy")
	}
	l.exit("general")
	if len(l.open) != 0 {
		t.Errorf("%d lanes are left open", len(l.open))
	}
}

func TestBodiesSayOneThing(t *testing.T) {
	h := newHouse(t, nil)
	operator := h.token("operator", "")
	user := root + "/users/" + h.mercy.ID
	for name, body := range map[string]string{
		"twice":     `{"reason":"a","reason":"b"}`,
		"no UTF-8":  "{\"reason\":\"\xff\"}",
		"date only": `{"module":"nys-policy","completedAt":"2026-11-25"}`,
	} {
		path := user + "/holds"
		if name == "date only" {
			path = user + "/evidence"
		}
		got := h.must(400, "POST", path, operator, body)
		if strings.Contains(got.body, "15:04:05") || strings.Contains(got.body, "parsing") {
			t.Errorf("%s: %s", name, got.body)
		}
	}
	h.must(415, "POST", user+"/holds", operator, `{"reason":"a"}`, "Content-Encoding", "gzip")

	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/", http.NoBody)
	r.Header.Add("Authorization", "Bearer "+operator)
	r.Header.Add("Authorization", "Bearer "+operator)
	if _, err := (&server{Options: Options{Checker: h.checker}}).enter(r, operators); err == nil {
		t.Error("two Authorization headers opened the door")
	}
}
