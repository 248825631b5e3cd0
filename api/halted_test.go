package api

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
)

// Over a gap in the log, staff and identity providers may look, and nobody writes;
// the portal is told nothing of who has access.
func TestHalted(t *testing.T) {
	gap := errors.New("the log is behind")
	var why error
	h := newHouse(t, func(o *Options) { o.Halted = func() error { return why } })
	operator, scim, portal := h.token(auth.ScopeOperator, ""), h.token(auth.ScopeSCIM, "mercy"), h.token(auth.ScopePortal, "")
	asks := func(writes, ready int) {
		t.Helper()
		h.must(ready, "GET", "/readyz", "", "")
		h.must(200, "GET", "/livez", "", "")
		h.must(200, "GET", root+"/users/"+h.mercy.ID, operator, "")
		h.must(200, "GET", root+"/participants", operator, "")
		if got := h.ask("GET", "/scim/v2/Users", scim, ""); got.status != 200 {
			t.Errorf("SCIM GET: %d", got.status)
		}
		if got := h.ask("POST", "/scim/v2/Users/.search", scim, `{}`); got.status == 503 {
			t.Errorf("SCIM search: %d", got.status)
		}
		for _, w := range []struct{ method, path, token, body string }{
			{"POST", root + "/users/" + h.mercy.ID + "/holds", operator, `{"reason":"x"}`},
			{"PATCH", root + "/participants/mercy", operator, `{"settings":{"sso":true}}`},
			{"POST", "/scim/v2/Users", scim, `{}`}, {"DELETE", "/scim/v2/Users/" + h.mercy.ID, scim, ""}, {"POST", "/scim/v2/Bulk", scim, `{}`},
			{"GET", root + "/access?participant=mercy&userName=x", portal, ""}, {"POST", root + "/activations/redeem", portal, `{"code":"x"}`},
			{"POST", standInPath, "", "code=x"},
		} {
			got := h.ask(w.method, w.path, w.token, w.body)
			if (got.status == 503) != (writes == 503) {
				t.Errorf("%s %s: %d", w.method, w.path, got.status)
			}
			if got.status == 503 && (got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "audit recover")) {
				t.Errorf("%s %s: %s", w.method, w.path, got.body)
			}
		}
	}
	asks(0, 200)
	why = gap
	before := len(h.reads())
	asks(503, 503)
	if n := len(h.reads()) - before; n != 1 { // of the user; the list of participants shows nobody
		t.Errorf("%d reads over the gap are on record, not 1", n)
	}
	why = nil
	asks(0, 200)
	h.must(http.StatusUnauthorized, "POST", root+"/participants", "", "{}")
}

func TestMetricsOfTheRecord(t *testing.T) {
	m := NewMetrics()
	h := newHouse(t, func(o *Options) { o.Metrics = m })
	says := func(want string, present bool) {
		t.Helper()
		if text := h.must(200, "GET", "/metrics", "", "").body; strings.Contains(text, "\n"+want) != present {
			t.Errorf("%q: present is not %v", want, present)
		}
	}
	says("healthix_checkpoint_", false)
	says("healthix_stream_", false)
	now := time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)
	m.Checkpoints(lifecycle.OffsiteState{Pending: true, Failed: 3, Gap: true}, now)
	says("healthix_checkpoint_age_seconds", false)
	says("healthix_checkpoint_pending 1\n", true)
	says("healthix_checkpoint_failures 3\n", true)
	says("healthix_log_gap 1\n", true)
	m.Checkpoints(lifecycle.OffsiteState{Sent: now.Add(-time.Minute)}, now)
	says("healthix_checkpoint_age_seconds 60\n", true)
	says("healthix_log_gap 0\n", true)
	m.Stream(lifecycle.StreamState{Lag: 7, Failed: 2})
	says("healthix_stream_lag_entries 7\n", true)
	says("healthix_stream_failures 2\n", true)
	says("healthix_log_unplaced_entries", false)
	m.Unplaced(5)
	says("healthix_log_unplaced_entries 5\n", true)
}

// Whom a filter found, and nobody else, is what the request was about; what is no
// id is not kept, for it may name a person.
func TestRequestNamesWhomAFilterFound(t *testing.T) {
	l := newLogged(t, nil)
	provider := l.token(auth.ScopeSCIM, "mercy")
	l.ask("GET", "/scim/v2/Users?found="+anaID, provider, "")
	l.ask("GET", "/scim/v2/Users?found=ana@x.example", provider, "")
	l.ask("GET", "/scim/v2/Users/"+l.mercy.ID+"?found="+anaID, provider, "")
	want := []string{anaID, "", l.mercy.ID}
	rows := l.rows("mercy")
	if len(rows) != len(want) {
		t.Fatalf("%d rows", len(rows))
	}
	for i, row := range rows {
		if row.Resource != want[i] {
			t.Errorf("row %d is about %q, not %q", i, row.Resource, want[i])
		}
	}
}
