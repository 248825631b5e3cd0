package api

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/api/auth"
)

const bulkPath = scimRoot + "/Bulk"

// busy stands in for the SCIM engine: a Bulk of mercy takes until it is
// released, or until its context ends, and tells why.
type busy struct {
	release chan struct{} // one value lets one Bulk end
	began   chan struct{}
	now     atomic.Int32
	most    atomic.Int32
}

func newBusy() *busy {
	return &busy{release: make(chan struct{}, 100), began: make(chan struct{}, 100)}
}

func (b *busy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	why := "done"
	if caller, _ := r.Context().Value(testCaller{}).(string); strings.HasSuffix(caller, " at mercy") && isBulk(r) {
		if n := b.now.Add(1); n > b.most.Load() {
			b.most.Store(n)
		}
		b.began <- struct{}{}
		select {
		case <-b.release:
		case <-r.Context().Done():
			why = context.Cause(r.Context()).Error()
		}
		b.now.Add(-1)
	}
	fmt.Fprintf(w, "%s after %d bytes", why, len(body)) //nolint:errcheck // test
}

// later is ask beside the test.
func (h *house) later(ctx context.Context, token string) <-chan answer {
	answered := make(chan answer, 1)
	go func() {
		defer close(answered)
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url+bulkPath, strings.NewReader("{}"))
		if err != nil {
			return
		}
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return // the context ended
		}
		defer res.Body.Close() //nolint:errcheck // read whole
		text, err := io.ReadAll(res.Body)
		if err == nil {
			answered <- answer{status: res.StatusCode, header: res.Header, body: string(text)}
		}
	}()
	return answered
}

func TestOneBulkRunsAndFourWait(t *testing.T) {
	engine := newBusy()
	h := newHouse(t, func(o *Options) { o.SCIM = engine })
	mercy, general := h.token(auth.ScopeSCIM, "mercy"), h.token(auth.ScopeSCIM, "general")

	all := make(chan answer, 20)
	var sent sync.WaitGroup
	for range 8 {
		one := h.later(t.Context(), mercy)
		sent.Go(func() { all <- <-one })
	}
	for range 3 { // whichever came last
		refused := <-all
		if refused.status != http.StatusTooManyRequests || refused.header.Get("Retry-After") != "15" || !strings.Contains(refused.body, "4 wait") {
			t.Fatalf("%+v", refused)
		}
	}
	// Others have a lane of their own, and single requests do not queue.
	h.must(200, "POST", bulkPath, general, "{}")
	h.must(429, "POST", bulkPath+"/", mercy, "{}")
	if got := h.must(200, "POST", scimRoot+"/Users", mercy, "{}"); got.body != "done after 2 bytes" {
		t.Errorf("%s", got.body)
	}
	for range 5 {
		engine.release <- struct{}{}
	}
	sent.Wait()
	close(all)
	n := 0
	for a := range all {
		n++
		if a.status != http.StatusOK || a.body != "done after 2 bytes" {
			t.Errorf("%+v", a)
		}
	}
	if n != 5 || engine.most.Load() != 1 {
		t.Errorf("%d were carried out, at most %d at once", n, engine.most.Load())
	}
	engine.release <- struct{}{}
	h.must(200, "POST", bulkPath, mercy, "{}") // and the lane is free again
}

func TestABulkWhoseClientLeftWaitsNoMore(t *testing.T) {
	engine := newBusy()
	h := newHouse(t, func(o *Options) { o.SCIM = engine })
	token := h.token(auth.ScopeSCIM, "mercy")
	running := h.later(t.Context(), token)
	<-engine.began
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	answered := make(chan answer, bulkQueued+1)
	var gone sync.WaitGroup
	for range bulkQueued + 1 {
		one := h.later(ctx, token)
		gone.Go(func() {
			if a, ok := <-one; ok {
				answered <- a
			}
		})
	}
	if a := <-answered; a.status != http.StatusTooManyRequests {
		t.Fatalf("%+v", a)
	}
	leave()
	gone.Wait()
	found := false
	for range 100 { // the server hears of it a little later
		again, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		a, refused := <-h.later(again, token)
		stop()
		if found = !refused; found {
			break // a place, to wait for its turn
		}
		if a.status != http.StatusTooManyRequests {
			t.Fatalf("%+v", a)
		}
	}
	if !found {
		t.Error("the places of those that left stay taken")
	}
	if len(answered) != 0 {
		t.Errorf("of those that left, one was answered %+v", <-answered)
	}
	engine.release <- struct{}{}
	if a := <-running; a.status != http.StatusOK || a.body != "done after 2 bytes" {
		t.Errorf("%+v", a)
	}
}

func TestBulkAtTheDoor(t *testing.T) {
	var began atomic.Int32
	h := newHouse(t, func(o *Options) {
		o.RateLimit = Rate{PerSecond: 0.001, Burst: 3}
		o.SCIM = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			began.Add(1)
			body, err := io.ReadAll(r.Body)
			until, _ := r.Context().Deadline()
			fmt.Fprintf(w, "%d bytes, %v, more than %v: %t", len(body), err, bulkDeadline, time.Until(until) > bulkDeadline) //nolint:errcheck // test
		})
	})
	token := h.token(auth.ScopeSCIM, "mercy")
	if got := h.must(200, "POST", bulkPath, token, strings.Repeat(" ", maxBulk)); got.body != "16777216 bytes, <nil>, more than 10m0s: true" {
		t.Errorf("%s", got.body)
	}
	if got := h.must(413, "POST", bulkPath, token, strings.Repeat(" ", maxBulk+1)); !strings.Contains(got.body, "16777216") {
		t.Errorf("%s", got.body)
	}
	if got := h.must(200, "POST", scimRoot+"/Users", token, "{}"); !strings.HasSuffix(got.body, "false") {
		t.Errorf("a single request has %s", got.body)
	}
	h.must(429, "POST", bulkPath, token, "{}") // three requests of a burst of three
	h.must(403, "POST", bulkPath, h.token(auth.ScopeAuditor, "mercy"), "{}")
	h.must(403, "POST", bulkPath, h.token(auth.ScopeOperator, ""), "{}")
	h.must(401, "POST", bulkPath, "", "{}")
	if began.Load() != 2 {
		t.Errorf("%d got through the door, want 2", began.Load())
	}
}

func TestABulkEndsWithItsToken(t *testing.T) {
	engine := newBusy()
	h := newHouse(t, func(o *Options) { o.SCIM = engine })
	operator, token := h.token(auth.ScopeOperator, ""), h.token(auth.ScopeSCIM, "mercy")
	running := h.later(t.Context(), token)
	<-engine.began
	answered := make(chan answer, bulkQueued+1)
	for range bulkQueued + 1 {
		one := h.later(t.Context(), token)
		go func() { answered <- <-one }()
	}
	if a := <-answered; a.status != http.StatusTooManyRequests { // so that the others wait
		t.Fatalf("%+v", a)
	}
	list := h.must(200, "GET", root+"/tokens?participant=mercy", operator, "")
	id, _ := list.json["items"].([]any)[0].(map[string]any)["id"].(string)
	h.must(204, "DELETE", root+"/tokens/"+id, operator, "")
	if a := <-running; a.status != http.StatusOK || !strings.HasPrefix(a.body, "this was not carried out: the token was revoked on") {
		t.Errorf("the running one was told %+v", a)
	}
	for range bulkQueued {
		if a := <-answered; a.status != http.StatusForbidden || !strings.Contains(a.body, "the token was revoked on") {
			t.Errorf("a waiting one was told %+v", a)
		}
	}
	if engine.most.Load() != 1 || len(engine.began) != 0 {
		t.Error("one that waited began")
	}
}

// served is the house behind a server with its limits, over TCP.
func (h *house) served(t *testing.T, change func(*http.Server)) *http.Server {
	t.Helper()
	server := NewServer(New(h.options), "")
	change(server)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(listener)            //nolint:errcheck // ends with Close
	t.Cleanup(func() { server.Close() }) //nolint:errcheck // test
	h.url = "http://" + listener.Addr().String()
	return server
}

func TestABulkEndsWithTheServer(t *testing.T) {
	engine := newBusy()
	h := newHouse(t, func(o *Options) { o.SCIM = engine })
	server := h.served(t, func(*http.Server) {})
	running := h.later(t.Context(), h.token(auth.ScopeSCIM, "mercy"))
	<-engine.began
	if err := server.Shutdown(t.Context()); err != nil { // waits for the answer
		t.Fatal(err)
	}
	if a := <-running; a.status != http.StatusOK || !strings.HasPrefix(a.body, "the server is about to stop") {
		t.Errorf("%+v", a)
	}
}

func TestABulkOutlivesTheDeadlinesOfAConnection(t *testing.T) {
	engine := newBusy()
	h := newHouse(t, func(o *Options) { o.SCIM = engine })
	h.served(t, func(s *http.Server) { s.ReadTimeout, s.WriteTimeout = 300*time.Millisecond, 300*time.Millisecond })
	running := h.later(t.Context(), h.token(auth.ScopeSCIM, "mercy"))
	<-engine.began
	time.Sleep(time.Second)
	engine.release <- struct{}{}
	if a := <-running; a.status != http.StatusOK || a.body != "done after 2 bytes" {
		t.Errorf("%+v", a)
	}
}
