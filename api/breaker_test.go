package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// leavers are people at mercy whom its provider takes in and deletes.
func (h *house) leavers(n int) []storage.User {
	h.t.Helper()
	people := make([]storage.User, n)
	for i := range people {
		people[i] = h.person("mercy", fmt.Sprintf("Given%d", i), "Leaver", "Registered Nurse")
	}
	h.leave(people...)
	return people
}

func (h *house) leave(people ...storage.User) {
	h.t.Helper()
	for _, u := range people {
		if err := h.service.DeleteUser(h.t.Context(), lifecycle.Actor{Kind: "provider", Subject: "mercy", Participant: "mercy"}, u.ID, nil); err != nil {
			h.t.Fatal(err)
		}
	}
}

// breakerOf is what the API shows of mercy's breaker.
func (h *house) breakerOf(token string) (state string, open, last map[string]any) {
	h.t.Helper()
	got := h.must(200, "GET", root+"/participants/mercy", token, "")
	b, _ := got.json["breaker"].(map[string]any)
	open, _ = b["case"].(map[string]any)
	last, _ = b["last"].(map[string]any)
	state, _ = b["state"].(string)
	return state, open, last
}

func TestBreakerIsShownRestoredAndAccepted(t *testing.T) {
	h := newHouse(t, nil)
	operator := h.token("operator", "")
	manager := h.token("aum", "mercy")
	path := root + "/participants/mercy"
	if state, open, last := h.breakerOf(operator); state != "armed" || open != nil || last != nil {
		t.Errorf("before: %s, %v, %v", state, open, last)
	}
	for _, deed := range []string{"/restore", "/accept"} {
		if got := h.must(422, "POST", path+deed, operator, ""); !strings.Contains(got.body, "no case is open at mercy") {
			t.Errorf("%s: %s", deed, got.body)
		}
		h.must(403, "POST", path+deed, manager, "")
		h.must(404, "POST", root+"/participants/nowhere"+deed, operator, "")
	}

	people := h.leavers(6)
	state, open, _ := h.breakerOf(operator)
	if state != "open" || open["losses"] != 5.0 || open["base"] != 7.0 || open["staged"] != 6.0 || open["outcome"] != nil ||
		!strings.Contains(fmt.Sprint(open["threshold"]), "more than 50 % within 10 minutes") {
		t.Errorf("open: %s, %v", state, open)
	}
	metrics := NewMetrics()
	cases, err := h.store.ListOpenCases(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	shown := func() string {
		w := &strings.Builder{}
		families, err := metrics.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "healthix_breaker_open" {
				fmt.Fprint(w, f.GetMetric())
			}
		}
		return w.String()
	}
	metrics.Breakers(cases)
	if got := shown(); !strings.Contains(got, `value:"mercy"`) || strings.Contains(got, "general") {
		t.Errorf("metrics: %s", got)
	}
	metrics.Breakers(nil)
	if got := shown(); got != "" {
		t.Errorf("metrics after: %s", got)
	}

	if got := h.must(400, "POST", path+"/restore", operator, `{"except":["`+h.mercy.ID+`"]}`); got.json["attribute"] != "except" {
		t.Errorf("an id that is not staged: %s", got.body)
	}
	h.must(400, "POST", path+"/restore", operator, `{"exempt":[]}`)
	reads := len(h.reads())
	dry := h.must(200, "POST", path+"/restore", operator, `{"except":["`+people[0].ID+`"],"dryRun":true}`)
	if dry.json["restored"] != 5.0 || fmt.Sprint(dry.json["listed"]) != "[]" {
		t.Errorf("dry run: %s", dry.body)
	}
	if len(h.reads()) != reads+1 {
		t.Error("who would be restored was read, and nobody recorded it")
	}
	there := func(u storage.User, want bool) {
		t.Helper()
		if _, err := h.store.GetUser(t.Context(), "mercy", u.ID); (err == nil) != want {
			t.Errorf("%s is there: %v, want %v", u.UserName, err, want)
		}
	}
	there(people[2], false)

	// One of them is there again under another id.
	again := h.person("mercy", "Given1", "Leaver", "Registered Nurse")
	got := h.must(200, "POST", path+"/restore", operator, `{"except":["`+people[0].ID+`"]}`)
	listed, _ := got.json["listed"].([]any)
	if got.json["restored"] != 4.0 || len(listed) != 1 || !strings.Contains(got.body, people[1].ID) || !strings.Contains(got.body, "userName is in use by user") {
		t.Errorf("restore: %s", got.body)
	}
	there(people[2], true)
	there(people[0], false)
	state, open, last := h.breakerOf(operator)
	if state != "armed" || open != nil || last["outcome"] != "restored" || last["restored"] != 4.0 || last["listed"] != 1.0 || last["closedBy"] != "operator@healthix.example" {
		t.Errorf("after: %s, %v, %v", state, open, last)
	}
	if _, _, last := h.breakerOf(manager); last == nil || last["closedBy"] != nil || last["restoredBy"] != nil {
		t.Errorf("a user manager sees %v", last)
	}

	h.leave(append(people[2:], again)...)
	accepted := h.must(200, "POST", path+"/accept", operator, "")
	if b := accepted.json["breaker"].(map[string]any); b["case"] != nil || b["last"].(map[string]any)["outcome"] != "accepted" {
		t.Errorf("accept: %s", accepted.body)
	}
	h.must(422, "POST", path+"/accept", operator, "")
}

func TestBreakerIsASetting(t *testing.T) {
	h := newHouse(t, nil)
	operator := h.token("operator", "")
	path := root + "/participants/mercy"
	if got := h.must(400, "PATCH", path, operator, `{"settings":{"breaker":"sometimes"}}`); got.json["attribute"] != "settings.breaker" || !strings.Contains(got.body, "25/10/50/30") {
		t.Errorf("%s", got.body)
	}
	got := h.must(200, "PATCH", path, operator, `{"settings":{"breaker":"off"}}`)
	if s := got.json["settings"].(map[string]any); s["breaker"] != "off" || got.json["breaker"].(map[string]any)["state"] != "off" {
		t.Errorf("%s", got.body)
	}
	got = h.must(200, "PATCH", path, operator, `{"settings":{"breaker":"default"}}`)
	if s := got.json["settings"].(map[string]any); s["breaker"] != "default" {
		t.Errorf("%s", got.body)
	}
}

// slowRestore stops in the middle until its request's time is over.
type slowRestore struct {
	*lifecycle.Service
	after int
}

func (s slowRestore) Restore(ctx context.Context, by lifecycle.Actor, spec lifecycle.RestoreSpec, _ lifecycle.Progress) (lifecycle.Restored, error) {
	return s.Service.Restore(ctx, by, spec, func(done, _ int) {
		if done == s.after {
			<-ctx.Done()
		}
	})
}

// A restore that takes too long for a request says how far it is, and the next
// request, or a job, goes on.
func TestLongRestoresGoOn(t *testing.T) {
	h := newHouse(t, func(o *Options) {
		o.Service = slowRestore{o.Service.(*lifecycle.Service), 2}
		o.RestoreWait = 400 * time.Millisecond
	})
	operator := h.token("operator", "")
	h.leavers(6)
	path := root + "/participants/mercy"
	got := h.must(http.StatusAccepted, "POST", path+"/restore", operator, "")
	if got.json["restored"] != 2.0 || got.header.Get("Location") != "http://house.example"+path {
		t.Errorf("202: %s, %s", got.body, got.header.Get("Location"))
	}
	if _, open, _ := h.breakerOf(operator); open["restoring"] == nil || open["staged"] != 4.0 || open["restored"] != 2.0 {
		t.Errorf("meanwhile: %v", open)
	}
	h.must(http.StatusAccepted, "POST", path+"/restore", operator, "{}")
	jobs, err := h.store.ListJobs(t.Context(), "scheduled", 10)
	if err != nil || len(jobs) != 1 || jobs[0].Kind != lifecycle.JobRestore {
		t.Fatalf("jobs %+v, %v", jobs, err)
	}
	if err := h.service.Do(t.Context(), jobs[0]); err != nil {
		t.Fatal(err)
	}
	if got := h.must(200, "POST", path+"/restore", operator, ""); got.json["restored"] != 6.0 {
		t.Errorf("when it is done: %s", got.body)
	}
}
