package api

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

const (
	oldSecret = "hunter2-hunter2-hunter2"
	newSecret = "swordfish/swordfish%20"
)

// idleLMS is there, and nobody speaks to it.
type idleLMS struct{ lifecycle.LMS }

// schoolAt is a house with an LMS, whose webhooks name a learner in a line.
func schoolAt(t *testing.T, h **house, change func(*Options)) {
	t.Helper()
	*h = newHouse(t, func(o *Options) {
		service, err := lifecycle.New(lifecycle.Options{
			Store: o.Store.(storage.Store), Mailer: noMail{}, Key: bytes.Repeat([]byte("k"), 32), Log: o.Log, LMS: idleLMS{},
		})
		if err != nil {
			t.Fatal(err)
		}
		o.Service = service
		o.HookSecrets = []string{oldSecret, newSecret}
		o.ReadHook = func(body []byte) (string, bool) {
			id, ok := strings.CutPrefix(string(body), "earned by ")
			return id, ok
		}
		if change != nil {
			change(o)
		}
	})
}

func (h *house) learner(l storage.Learner) {
	h.t.Helper()
	l.Changed, l.Row = time.Now(), 1
	if err := h.store.Write(h.t.Context(), func(ctx context.Context, tx storage.Tx) error { return tx.PutLearner(ctx, l) }); err != nil {
		h.t.Fatal(err)
	}
}

func TestHooksAreHints(t *testing.T) {
	var h *house
	schoolAt(t, &h, nil)
	h.learner(storage.Learner{User: h.mercy.ID, Participant: "mercy", LMSID: "L-1", State: storage.LearnerEnrolled})
	asked := func() *time.Time {
		t.Helper()
		l, _, err := h.store.FindLearner(t.Context(), h.mercy.ID)
		if err != nil {
			t.Fatal(err)
		}
		return l.Asked
	}
	hooks := root + "/hooks/litmos/"
	for _, wrong := range []string{"hunter2", oldSecret + "x", strings.ToUpper(oldSecret), oldSecret[:22], "", "-", oldSecret + "/", "%00"} {
		if a := h.ask("POST", hooks+wrong, "", "earned by L-1"); a.status != 404 || strings.Contains(a.body, "hunter2") {
			t.Errorf("secret %q: %d %s", wrong, a.status, a.body)
		}
	}
	for _, body := range []string{"", "{}", "earned", "earned by L-2"} { // nothing that concerns us; Litmos need not repeat it
		h.must(202, "POST", hooks+oldSecret, "", body)
	}
	h.must(413, "POST", hooks+oldSecret, "", "earned by L-1"+strings.Repeat(" ", maxHook))
	h.must(405, "GET", hooks+oldSecret, "", "")
	if at := asked(); at != nil {
		t.Fatalf("asked about at %v, and nobody hinted", at)
	}
	h.must(202, "POST", hooks+strings.ReplaceAll(newSecret, "%", "%25"), "", "earned by L-1")
	first := asked()
	if first == nil {
		t.Fatal("the hint is lost")
	}
	for range 5 {
		h.must(202, "POST", hooks+oldSecret, "", "earned by L-1")
	}
	if again := asked(); !again.Equal(*first) {
		t.Errorf("one learner is asked about at %v and %v", first, again)
	}

	metrics := h.must(200, "GET", "/metrics", "", "").body
	for where, text := range map[string]string{"log": h.log.String(), "metrics": metrics} {
		for _, secret := range []string{"hunter2", "swordfish", strings.ToUpper(oldSecret)} {
			if strings.Contains(text, secret) {
				t.Errorf("the %s holds %q", where, secret)
			}
		}
		if !strings.Contains(text, hookPath) {
			t.Errorf("the %s does not name the route", where)
		}
	}
	if log := h.log.String(); strings.Contains(log, "L-1") {
		t.Error("the log holds what a webhook says")
	}
}

// What goes wrong inside leaves no secret in the log either.
func TestHooksThatPanic(t *testing.T) {
	var h *house
	schoolAt(t, &h, func(o *Options) { o.ReadHook = func([]byte) (string, bool) { panic("no") } })
	if a := h.ask("POST", root+"/hooks/litmos/"+oldSecret, "", "x"); a.status != 500 || strings.Contains(a.body, "hunter2") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if log := h.log.String(); strings.Contains(log, "hunter2") || !strings.Contains(log, "panic") {
		t.Errorf("the log: %s", log)
	}
}

// Who guesses is slowed down, and nobody else with them.
func TestGuessedHookSecrets(t *testing.T) {
	var h *house
	schoolAt(t, &h, nil)
	slowed := false
	for i := range 200 {
		a := h.ask("POST", fmt.Sprintf("%s/hooks/litmos/%d", root, i), "", "x")
		slowed = slowed || a.status == http.StatusTooManyRequests
	}
	if !slowed {
		t.Error("200 guesses were answered")
	}
	h.must(202, "POST", root+"/hooks/litmos/"+oldSecret, "", "x")
}

func TestHooksWithoutSecrets(t *testing.T) {
	h := newHouse(t, nil)
	if a := h.must(404, "POST", root+"/hooks/litmos/"+oldSecret, "", "x"); strings.Contains(a.body, "hunter2") {
		t.Error(a.body)
	}
	if strings.Contains(h.must(200, "GET", "/openapi.json", "", "").body, "/hooks/") {
		t.Error("a route that is not there is described")
	}
}

func TestLearnersForStaff(t *testing.T) {
	var h *house
	schoolAt(t, &h, nil)
	why := "the LMS refused: litmos does not offer the module: \"C-9\""
	h.learner(storage.Learner{User: h.mercy.ID, Participant: "mercy", LMSID: "L-1", State: storage.LearnerRefused, Why: why, Modules: []string{"C-1"}})
	h.learner(storage.Learner{User: h.general.ID, Participant: "general", State: storage.LearnerWaiting})
	operator, manager := h.token(auth.ScopeOperator, ""), h.token(auth.ScopeAUM, "mercy")

	all := h.must(200, "GET", root+"/learners?limit=1", operator, "")
	next := all.json["nextCursor"].(string)
	rest := h.must(200, "GET", root+"/learners?limit=1&cursor="+next, operator, "")
	if len(all.json["items"].([]any)) != 1 || len(rest.json["items"].([]any)) != 1 || rest.json["nextCursor"] != nil {
		t.Errorf("pages %s %s", all.body, rest.body)
	}
	h.must(400, "GET", root+"/learners?state=refused&cursor="+next, operator, "")
	refused := h.must(200, "GET", root+"/learners?state=refused", h.token(auth.ScopeAuditor, ""), "")
	items := refused.json["items"].([]any)
	if len(items) != 1 || at(t, items[0], "user") != h.mercy.ID || at(t, items[0], "why") != why || at(t, items[0], "learner") != "L-1" {
		t.Error(refused.body)
	}
	if own := h.must(200, "GET", root+"/learners", h.token(auth.ScopeAuditor, "general"), ""); strings.Contains(own.body, h.mercy.ID) || !strings.Contains(own.body, h.general.ID) {
		t.Error(own.body)
	}
	h.must(404, "GET", root+"/learners?participant=mercy", h.token(auth.ScopeAuditor, "general"), "")
	h.must(400, "GET", root+"/learners?state=lost", operator, "")
	h.must(403, "GET", root+"/learners", manager, "")
	if len(h.reads()) == 0 {
		t.Error("the reading is not on record")
	}

	if a := h.must(200, "GET", root+"/users/"+h.mercy.ID, operator, ""); !strings.Contains(a.body, `C-9`) || !strings.Contains(a.body, "an operator must look") {
		t.Errorf("staff do not see why: %s", a.body)
	}
	if a := h.must(200, "GET", root+"/users/"+h.mercy.ID, manager, ""); strings.Contains(a.body, "C-9") || strings.Contains(a.body, "LMS") {
		t.Errorf("a manager sees what is the staff's: %s", a.body)
	}

	h.must(403, "POST", root+"/users/"+h.mercy.ID+"/enrolment", manager, "")
	h.must(403, "POST", root+"/learners/retry", manager, "")
	if a := h.must(200, "POST", root+"/learners/retry", operator, ""); a.json["retried"] != 1.0 {
		t.Error(a.body)
	}
	h.must(204, "POST", root+"/users/"+h.mercy.ID+"/enrolment", operator, "")
	l, _, err := h.store.FindLearner(t.Context(), h.mercy.ID)
	if err != nil || l.State != storage.LearnerWaiting || l.Due == nil || l.LMSID != "L-1" {
		t.Errorf("enrolled anew: %+v, %v", l, err)
	}
	h.must(404, "POST", root+"/users/nobody/enrolment", operator, "")
}

func TestLearnersWithoutLMS(t *testing.T) {
	h := newHouse(t, nil)
	operator := h.token(auth.ScopeOperator, "")
	h.must(422, "POST", root+"/users/"+h.mercy.ID+"/enrolment", operator, "")
	h.must(422, "POST", root+"/learners/retry", operator, "")
	if a := h.must(200, "GET", root+"/learners", operator, ""); len(a.json["items"].([]any)) != 0 {
		t.Error(a.body)
	}
}
