package api

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
)

// stopped is a service whose clock stands, so that no bucket fills while a test
// floods.
type stopped struct {
	*lifecycle.Service
	at    time.Time
	ahead atomic.Int64 // nanoseconds
}

func (s *stopped) Now() time.Time { return s.at.Add(time.Duration(s.ahead.Load())) }

// stoppedHouse is a house whose clock, as far as the door goes by it, only tests
// move.
func stoppedHouse(t *testing.T, change func(*Options)) (*house, *stopped) {
	t.Helper()
	clock := &stopped{at: time.Now()}
	h := newHouse(t, func(o *Options) {
		clock.Service = o.Service.(*lifecycle.Service)
		o.Service = clock
		if change != nil {
			change(o)
		}
	})
	return h, clock
}

// passes counts what is let through of some requests.
func (h *house) passes(requests int, path, token string) (n int) {
	h.t.Helper()
	for range requests {
		switch got := h.ask("GET", path, token, ""); got.status {
		case 200:
			n++
		case 429:
		default:
			h.t.Fatalf("GET %s: %d %s", path, got.status, got.body)
		}
	}
	return n
}

func (h *house) entries() int {
	h.t.Helper()
	all, err := h.store.ListEntries(h.t.Context(), "")
	if err != nil {
		h.t.Fatal(err)
	}
	return len(all)
}

func TestStaffFloodsAreSlowedAndNotRecorded(t *testing.T) {
	h, clock := stoppedHouse(t, nil)
	person := root + "/users/" + h.mercy.ID
	auditor, second := h.token(auth.ScopeAuditor, ""), h.token(auth.ScopeAuditor, "")
	others := map[string]string{
		"another subject":                   h.tokenOf(auth.ScopeAuditor, "", "ann@audit.example"),
		"the same subject at a participant": h.token(auth.ScopeAuditor, "mercy"),
		"an operator":                       h.token(auth.ScopeOperator, ""),
		"a user manager":                    h.token(auth.ScopeAUM, "mercy"),
	}

	before := h.entries()
	if got := h.passes(250, person, auditor); got != 200 {
		t.Errorf("%d of 250 were let through, want 200", got)
	}
	if made := h.entries() - before; made != 200 || len(h.reads()) != 200 {
		t.Errorf("200 answered reads and 50 refused ones left %d entries, %d of reads", made, len(h.reads()))
	}

	before = h.entries()
	for _, ask := range []struct{ method, path, body string }{
		{"GET", person, ""},
		{"HEAD", person, ""},
		{"GET", root + "/users", ""},
		{"GET", root + "/users?unknown=1", ""}, // before the query is read
		{"GET", root + "/users/nobody", ""},    // and before anybody is looked up
		{"GET", root + "/reports/access?format=csv", ""},
		{"GET", root + "/audit/events", ""},
		{"POST", root + "/policy/explain", `{"title":`}, // and before the body is
	} {
		got := h.must(429, ask.method, ask.path, second, ask.body)
		if got.header.Get("Retry-After") != "1" || got.header.Get("Content-Type") != problemType {
			t.Errorf("%s %s: %v", ask.method, ask.path, got.header)
		}
		if kind, _ := got.json["type"].(string); ask.method != "HEAD" && (!strings.HasSuffix(kind, ":too-many-requests") || !strings.Contains(got.body, "20 a second, after a burst of 200")) {
			t.Errorf("%s %s: %s", ask.method, ask.path, got.body)
		}
	}
	if made := h.entries() - before; made != 0 {
		t.Errorf("refused requests left %d entries", made)
	}

	for who, token := range others {
		if got := h.ask("GET", person, token, ""); got.status != 200 {
			t.Errorf("%s: %d %s", who, got.status, got.body)
		}
	}
	clock.ahead.Add(int64(time.Second))
	if got := h.passes(30, person, second); got != 20 {
		t.Errorf("a second later %d are let through, want 20", got)
	}
}

// TestStaffRateLeavesTheOthers: the portal is not counted as staff, and an
// auditor who reads over SCIM is, and takes nothing of the provider's rate.
func TestStaffRateLeavesTheOthers(t *testing.T) {
	h, _ := stoppedHouse(t, nil)
	portal, auditor := h.token(auth.ScopePortal, ""), h.token(auth.ScopeAuditor, "mercy")
	if got := h.passes(250, root+"/access?participant=mercy&userName=ana.lima", portal); got != 250 {
		t.Errorf("the portal: %d of 250", got)
	}
	if got := h.passes(250, root+"/policy/versions", auditor); got != 200 {
		t.Errorf("an auditor: %d of 250, want 200", got)
	}
	h.must(429, "GET", scimRoot+"/Users", auditor, "")
	h.must(200, "GET", scimRoot+"/Users", h.token(auth.ScopeSCIM, "mercy"), "")
}

func TestServersShareTheStaffRate(t *testing.T) {
	for nodes, want := range map[int]int{1: 200, 4: 50} {
		h, _ := stoppedHouse(t, func(o *Options) { o.Nodes = func() int { return nodes } })
		if got := h.passes(210, root+"/policy/versions", h.token(auth.ScopeOperator, "")); got != want {
			t.Errorf("one of %d servers let %d through, want %d", nodes, got, want)
		}
	}
}

// TestRatesThatAreOff: for load tests staff has no rate either; a participant's
// rate that is merely another one changes nothing for them.
func TestRatesThatAreOff(t *testing.T) {
	for rate, want := range map[Rate]int{{Off: true}: 210, {PerSecond: 1, Burst: 1}: 200} {
		h, _ := stoppedHouse(t, func(o *Options) { o.RateLimit = rate })
		if got := h.passes(210, root+"/policy/versions", h.token(auth.ScopeOperator, "")); got != want {
			t.Errorf("%+v: %d let through, want %d", rate, got, want)
		}
	}
}

func TestLimiterIsBounded(t *testing.T) {
	now := time.Now()
	l := newLimiter(func() time.Time { return now })
	once := Rate{PerSecond: 0.001, Burst: 1}
	for i := range maxBuckets + 1000 {
		key := fmt.Sprint(i)
		if _, ok := l.allow(key, once); !ok {
			t.Fatalf("key %s is new", key)
		}
		if _, ok := l.allow(key, once); ok {
			t.Fatalf("key %s was forgotten at once", key)
		}
	}
	if len(l.buckets) != maxBuckets {
		t.Errorf("%d buckets are kept, want %d", len(l.buckets), maxBuckets)
	}
}
