package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/api/auth"
)

// Whoever starts a job again by hand is on record; what goes on anyhow, is unknown
// or was asked for by others leaves no trace.
func TestRetriedJobsAreOnRecord(t *testing.T) {
	h := newHouse(t, nil)
	operator := h.token(auth.ScopeOperator, "")
	jobs := h.must(200, "GET", root+"/jobs?state=available", operator, "").json["items"].([]any)
	if len(jobs) == 0 {
		t.Fatal("nothing was promised")
	}
	retry := func(status int, token string, id any) {
		t.Helper()
		h.must(status, "POST", root+fmt.Sprintf("/jobs/%v/retry", id), token, "")
	}
	recorded := func() (canonical []string) {
		t.Helper()
		entries, err := h.store.ListEntries(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Action == "job.retried" {
				canonical = append(canonical, string(e.Canonical))
			}
		}
		return canonical
	}
	first := jobs[0].(map[string]any)
	retry(204, operator, first["id"]) // it waits already
	retry(404, operator, 1<<40)
	retry(403, h.token(auth.ScopeAUM, "mercy"), first["id"])
	if got := recorded(); len(got) != 0 {
		t.Fatalf("on record: %v", got)
	}
	h.drained()
	done := h.must(200, "GET", root+"/jobs?state=completed", operator, "").json["items"].([]any)[0].(map[string]any)
	retry(204, operator, done["id"])
	got := recorded()
	if len(got) != 1 || !strings.Contains(got[0], fmt.Sprint(done["key"])) || !strings.Contains(got[0], `"was","value":"completed"`) || !strings.Contains(got[0], `"kind":"operator"`) {
		t.Errorf("on record: %v", got)
	}
	if again := h.must(200, "GET", root+"/jobs?state=available", operator, "").json["items"].([]any); len(again) != 1 {
		t.Errorf("available are %v", again)
	}
}

// drained works until nothing is available, and stops working.
func (h *house) drained() {
	h.t.Helper()
	ctx, stop := context.WithCancel(h.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.store.Work(ctx, h.service.Do) }()
	for left := 1; left > 0; time.Sleep(5 * time.Millisecond) {
		left = 0
		for _, state := range []string{"available", "running"} {
			jobs, err := h.store.ListJobs(h.t.Context(), state, 1)
			if err != nil {
				h.t.Fatal(err)
			}
			left += len(jobs)
		}
	}
	stop()
	if err := <-ended; err != nil {
		h.t.Fatal(err)
	}
}

// To a portal that is bound to one participant the others do not exist, and
// neither do their settings.
func TestBoundPortalLearnsNothingOfOthers(t *testing.T) {
	h := newHouse(t, nil)
	h.must(200, "PATCH", root+"/participants/general", h.token(auth.ScopeOperator, ""), `{"settings":{"sharedExternalId":true}}`)
	bound := h.token(auth.ScopePortal, "mercy")
	for _, query := range []string{"participant=general&externalId=x", "participant=nobody&externalId=x", "participant=general&userName=x"} {
		if a := h.ask("GET", root+"/access?"+query, bound, ""); a.status != http.StatusNotFound {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
	if a := h.ask("GET", root+"/access?participant=general&externalId=x", h.token(auth.ScopePortal, ""), ""); a.status != http.StatusUnprocessableEntity {
		t.Errorf("unbound: %d %s", a.status, a.body)
	}
}
