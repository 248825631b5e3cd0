package lifecycle_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// document is the default policy with some text replaced.
func document(t testing.TB, pairs ...string) []byte {
	t.Helper()
	text := string(policy.Default())
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("the default policy does not hold %q", pairs[i])
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return []byte(text)
}

// nursesAsStaff takes clinical.sensitive from registered nurses.
func nursesAsStaff(t testing.TB) []byte {
	return document(t, "Registered Nurse,clinical practitioner,practitioner,\"RN", "Registered Nurse,clinical practitioner,clinical-staff,\"RN")
}

// planned computes a plan.
func (h *house) planned(spec lifecycle.PlanSpec) (storage.Plan, lifecycle.PlanSummary) {
	h.t.Helper()
	p, err := h.PlanPolicy(h.ctx, dana, spec)
	if err != nil {
		h.t.Fatal(err)
	}
	if p, err = h.ComputePlan(h.ctx, p.ID, nil); err != nil {
		h.t.Fatal(err)
	}
	return p, h.summary(p)
}

func (h *house) summary(p storage.Plan) lifecycle.PlanSummary {
	h.t.Helper()
	if p.State != lifecycle.PlanReady {
		h.t.Fatalf("the plan is %s: %s", p.State, p.Note)
	}
	s, err := lifecycle.Summary(p)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// inForce applies a plan without carrying it out.
func (h *house) inForce(id string) storage.Plan {
	h.t.Helper()
	if _, err := h.ApplyPlan(h.ctx, dana, id, nil); err != nil {
		h.t.Fatal(err)
	}
	p, err := h.PutInForce(h.ctx, id, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// applied applies a plan and carries it out.
func (h *house) applied(id string) storage.Plan {
	h.t.Helper()
	if p := h.inForce(id); p.State != lifecycle.PlanApplied {
		h.t.Fatalf("the plan is %s: %s", p.State, p.Note)
	}
	p, err := h.CarryOut(h.ctx, id, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	if p.Carried == nil {
		h.t.Fatal("the plan is not carried out")
	}
	return p
}

// released makes somebody who has access.
func (h *house) released(name, title string) storage.User {
	h.t.Helper()
	u := h.train(h.create(mercy, person(name, title)))
	if got := u.Access(h.Now()).Status; got != policy.StatusReleased {
		h.t.Fatalf("%s is %s: %s", name, got, u.Decision.Reason)
	}
	return u
}

func (h *house) people(plan string) map[string]storage.PlanPerson {
	h.t.Helper()
	list, err := h.store.ListPlanPeople(h.ctx, storage.PlanQuery{Plan: plan, Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	byUser := map[string]storage.PlanPerson{}
	for _, p := range list {
		byUser[p.User] = p
	}
	return byUser
}

// The title queue is answered by a draft, and the draft goes the way of every
// change.
func TestDraftedSynonym(t *testing.T) {
	h := newHouse(t)
	u := h.create(mercy, person("ana", "Ward Hero II"))
	h.wants(u.ID, policy.StatusPending, "", "title")
	p, err := h.DraftSynonym(h.ctx, dana, "", u.TitleKey, "Medical Assistant")
	if err != nil {
		t.Fatal(err)
	}
	if p, err = h.ComputePlan(h.ctx, p.ID, nil); err != nil {
		t.Fatal(err)
	}
	s := h.summary(p)
	if s.Gain != 1 || s.Lose+s.Change+s.Unmapped+s.Gates != 0 || s.Confirm != "" || s.Checked != 1 {
		t.Errorf("summary %+v", s)
	}
	if got := h.people(p.ID)[u.ID]; got.Class != string(policy.ChangeGain) || got.Change.To != "clinical-staff" || got.Change.From != "" {
		t.Errorf("the plan shows %+v", got)
	}
	h.wants(u.ID, policy.StatusPending, "", "title") // a plan changes nothing
	if p = h.applied(p.ID); p.Version != 2 {
		t.Errorf("version %d", p.Version)
	}
	h.wants(u.ID, policy.StatusPending, "", "training")
	if got := h.train(u).Access(h.Now()); got.Role != "clinical-staff" || got.PolicyVersion != 2 {
		t.Errorf("%s under version %d", got.Role, got.PolicyVersion)
	}
	if _, err := h.DraftSynonym(h.ctx, dana, "", u.TitleKey, "Medical Assistant"); err == nil {
		t.Error("a title that waits no more was drafted again")
	}
}

// Who loses has at most old ∩ new from the instant at which the version is in
// force, long before their own decision is made again.
func TestLossesAtOnce(t *testing.T) {
	h := newHouse(t)
	nurse, scribe := h.released("ana", "Registered Nurse"), h.released("ben", "Medical Scribe")
	gone := h.released("cem", "Registered Nurse")
	p, s := h.planned(lifecycle.PlanSpec{Document: document(t,
		"Registered Nurse,clinical practitioner,practitioner,\"RN", "Registered Nurse,clinical practitioner,clinical-staff,\"RN",
		"Medical Scribe,clinical non-practitioner,clinical-staff,", "Medical Scribe,clinical non-practitioner,no-access,")})
	if s.Lose != 3 || s.Ends != 3 || s.Released != 3 || !strings.Contains(s.Confirm, "more than 5 %") {
		t.Errorf("summary %+v", s)
	}
	if _, err := h.ApplyPlan(h.ctx, dana, p.ID, nil); err == nil {
		t.Fatal("applied without a second person")
	}
	if _, err := h.ConfirmPlan(h.ctx, lifecycle.Actor{Kind: "operator", Subject: strings.ToUpper(dana.Subject)}, p.ID); err == nil {
		t.Fatal("confirmed by who made it")
	}
	unproven, err := h.PlanPolicy(h.ctx, lifecycle.Actor{Kind: "operator", Subject: "dana"}, lifecycle.PlanSpec{Document: nursesAsStaff(t)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.ComputePlan(h.ctx, unproven.ID, nil); err != nil {
		t.Fatal(err)
	}
	_, err = h.ConfirmPlan(h.ctx, dana, unproven.ID)
	wantsKind(t, err, lifecycle.KindRefused)
	if _, err := h.ConfirmPlan(h.ctx, erin, p.ID); err != nil {
		t.Fatal(err)
	}
	before := h.get(nurse.ID)
	if p = h.inForce(p.ID); p.State != lifecycle.PlanApplied || p.Carried != nil {
		t.Fatalf("the plan is %s", p.State)
	}
	after := h.get(nurse.ID)
	if after.Version != before.Version {
		t.Fatal("the nurse was decided again already; this test shows nothing")
	}
	if got := after.Access(h.Now()); !slices.Equal(got.Permissions, permissionsOf["clinical-staff"]) || got.Role != "clinical-staff" || got.Status != policy.StatusReleased {
		t.Errorf("meanwhile the nurse has %v as %q, %s", got.Permissions, got.Role, got.Status)
	}
	h.wants(scribe.ID, policy.StatusSuspended, "", "title")
	// Filters see the same.
	for value, want := range map[string]int{"clinical.sensitive": 0, "clinical.full": 2} {
		_, n, err := h.store.ListUsers(h.ctx, storage.Query{Filter: storage.Cmp{Field: storage.FieldPermission, Op: storage.OpEq, Value: value}, Total: true, Now: h.Now()})
		if err != nil || n != want {
			t.Errorf("%d people have %s, want %d (%v)", n, value, want, err)
		}
	}
	// A deed in between decides by the new version.
	h.change(mercy, gone.ID, set("active", false))
	h.wants(gone.ID, policy.StatusRevoked, "")
	if _, err := h.PlanPolicy(h.ctx, dana, lifecycle.PlanSpec{Document: policy.Default()}); err != nil {
		t.Fatal(err)
	}
	p, err = h.CarryOut(h.ctx, p.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	nurse = h.wants(nurse.ID, policy.StatusReleased, "clinical-staff")
	if nurse.Decision.PolicyVersion != 2 || nurse.Narrowing != nil || nurse.Decision.TitleRole != "clinical-staff" {
		t.Errorf("after all the nurse stands at version %d, narrowing %v", nurse.Decision.PolicyVersion, nurse.Narrowing)
	}
	h.wants(scribe.ID, policy.StatusIneligible, "")
	if p.Carried == nil {
		t.Error("not carried out")
	}
}

// What is planned is what may be applied.
func TestPlanIsBound(t *testing.T) {
	h := newHouse(t)
	h.create(mercy, person("ana", "Registered Nurse"))
	p, _ := h.planned(lifecycle.PlanSpec{Document: document(t,
		"Registered Nurse,clinical practitioner,practitioner,\"RN", "Registered Nurse,clinical practitioner,clinical-staff,\"RN",
		"Medical Scribe,clinical non-practitioner,clinical-staff,", "Medical Scribe,clinical non-practitioner,care-management,")})

	// 26 more nurses are too many, another kind of change is one too many.
	many, _ := h.planned(lifecycle.PlanSpec{Document: nursesAsStaff(t)})
	for i := range 26 {
		h.create(mercy, person("nurse"+string(rune('a'+i)), "RN"))
	}
	if got := h.inForce(many.ID); got.State != lifecycle.PlanRefused || !strings.Contains(got.Note, "27 people") {
		t.Errorf("27 people instead of one: %s, %s", got.State, got.Note)
	}
	h.create(mercy, person("zoe", "Medical Scribe"))
	if got := h.inForce(p.ID); got.State != lifecycle.PlanRefused || !strings.Contains(got.Note, "did not show") {
		t.Errorf("a new class: %s, %s", got.State, got.Note)
	}
	if state, err := h.store.PolicyState(h.ctx); err != nil || state != (storage.PolicyState{Version: 1}) {
		t.Errorf("state %+v (%v)", state, err)
	}

	first, _ := h.planned(lifecycle.PlanSpec{Document: nursesAsStaff(t)})
	second, _ := h.planned(lifecycle.PlanSpec{Document: nursesAsStaff(t)})
	h.applied(first.ID)
	_, err := h.ApplyPlan(h.ctx, dana, second.ID, nil)
	wantsKind(t, err, lifecycle.KindStale)
	_, err = h.ApplyPlan(h.ctx, dana, first.ID, nil)
	wantsKind(t, err, lifecycle.KindRefused)

	// Back again: a new version with the old digest.
	back, err := h.RollBack(h.ctx, erin, 1)
	if err != nil {
		t.Fatal(err)
	}
	if back, err = h.ComputePlan(h.ctx, back.ID, nil); err != nil {
		t.Fatal(err)
	}
	if back = h.applied(back.ID); back.Version != 3 {
		t.Errorf("version %d", back.Version)
	}
	rows, err := h.store.ListPolicies(h.ctx)
	if err != nil || len(rows) != 3 || rows[0].Digest != rows[2].Digest || rows[1].Digest == rows[2].Digest {
		t.Errorf("history %+v (%v)", rows, err)
	}
}

// Emergency access takes two people.
func TestBreakGlassTakesTwo(t *testing.T) {
	h := newHouse(t)
	h.create(mercy, person("ana", "Registered Nurse"))
	p, s := h.planned(lifecycle.PlanSpec{Document: document(t,
		"Registered Nurse,clinical practitioner,practitioner,\"RN", "Registered Nurse,clinical practitioner,practitioner-btg,\"RN")})
	if s.BreakGlass != 1 || s.Confirm == "" {
		t.Fatalf("summary %+v", s)
	}
	_, err := h.ApplyPlan(h.ctx, dana, p.ID, nil)
	wantsKind(t, err, lifecycle.KindRefused)
	if _, err := h.ConfirmPlan(h.ctx, erin, p.ID); err != nil {
		t.Fatal(err)
	}
	h.applied(p.ID)

	// Whoever waits for approval would have it at once when nobody is asked.
	h = newHouse(t)
	u := h.create(mercy, person("ana", "Emergency Medicine Physician"))
	h.train(u)
	h.wants(u.ID, policy.StatusReleased, "practitioner", "approval")
	p, s = h.planned(lifecycle.PlanSpec{Document: document(t, "break-the-glass], gates: [approval], untilApproved: practitioner}", "break-the-glass]}",
		"privileged: [emergency.override, ", "privileged: [", "breakGlass: [emergency.override]", "breakGlass: []")})
	if s.Gates != 1 || s.BreakGlass != 1 || s.Confirm == "" {
		t.Fatalf("summary %+v", s)
	}
}

// A change comes into force at its time, with the same checks, or stays
// unapplied.
func TestScheduledChange(t *testing.T) {
	h := newHouse(t)
	u := h.create(mercy, person("ana", "Registered Nurse"))
	at := h.Now().Add(48 * time.Hour)
	p, _ := h.planned(lifecycle.PlanSpec{Document: nursesAsStaff(t)})
	other, _ := h.planned(lifecycle.PlanSpec{Document: nursesAsStaff(t)})
	past := h.Now()
	if _, err := h.ApplyPlan(h.ctx, dana, p.ID, &past); err == nil {
		t.Error("scheduled for the past")
	}
	for _, id := range []string{p.ID, other.ID} {
		if got, err := h.ApplyPlan(h.ctx, dana, id, &at); err != nil || got.State != lifecycle.PlanScheduled {
			t.Fatalf("%s (%v)", got.State, err)
		}
	}
	if got, err := h.PutInForce(h.ctx, p.ID, nil); err != nil || got.State != lifecycle.PlanScheduled {
		t.Fatalf("before its time: %s (%v)", got.State, err)
	}
	h.clock.pass(49 * time.Hour)
	h.work()
	waiting, err := h.store.ListJobs(h.ctx, "retryable", 10) // the other one waits for the first to end
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range waiting {
		if err := h.store.RetryJob(h.ctx, j.ID); err != nil {
			t.Fatal(err)
		}
	}
	h.work()
	states := map[string]int{}
	for _, id := range []string{p.ID, other.ID} {
		got, err := h.store.GetPlan(h.ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		states[got.State]++
	}
	if states[lifecycle.PlanApplied] != 1 || states[lifecycle.PlanRefused] != 1 {
		t.Errorf("states %v, want one applied and one refused", states)
	}
	if got := h.get(u.ID).Decision; got.TitleRole != "clinical-staff" || got.PolicyVersion != 2 {
		t.Errorf("the nurse is %s under %d", got.TitleRole, got.PolicyVersion)
	}
}

// An overlay is one participant's: it maps what the policy of all does not, and
// narrows what it does.
func TestOverlay(t *testing.T) {
	h := newHouse(t)
	here, there := h.create(mercy, person("ana", "Ward Hero")), h.create(north, person("ben", "Ward Hero"))
	nurse, other := h.released("cem", "Registered Nurse"), h.create(north, person("dee", "Registered Nurse"))
	_, err := h.PlanPolicy(h.ctx, dana, lifecycle.PlanSpec{Participant: "mercy", Document: []byte("synonyms: {RN: Medical Assistant}")})
	wantsKind(t, err, lifecycle.KindInvalid)
	p, s := h.planned(lifecycle.PlanSpec{Participant: "mercy", Document: []byte("synonyms: {Ward Hero: Medical Assistant}\nroles: {Registered Nurse: clinical-staff}\n")})
	if s.Gain != 1 || s.Lose != 1 || s.Checked != 2 {
		t.Errorf("summary %+v", s)
	}
	if _, err := h.ConfirmPlan(h.ctx, erin, p.ID); err != nil {
		t.Fatal(err)
	}
	h.applied(p.ID)
	for id, want := range map[string]string{here.ID: "clinical-staff", there.ID: "", nurse.ID: "clinical-staff", other.ID: "practitioner"} {
		if got := h.get(id).Decision.TitleRole; got != want {
			t.Errorf("%s is %q, want %q", h.get(id).UserName, got, want)
		}
	}
	if late := h.create(mercy, person("eve", "Ward Hero")); late.Decision.TitleRole != "clinical-staff" {
		t.Errorf("somebody new is %q", late.Decision.TitleRole)
	}
	// Nothing is left of it when it is empty again.
	p, s = h.planned(lifecycle.PlanSpec{Participant: "mercy", Document: []byte("{}")})
	if s.Unmapped != 2 || s.Gain != 1 {
		t.Errorf("summary %+v", s)
	}
}

// A document that is wrong is refused as a whole, with every mistake.
func TestPlanRefusesMistakes(t *testing.T) {
	h := newHouse(t)
	_, err := h.PlanPolicy(h.ctx, dana, lifecycle.PlanSpec{Document: document(t, "roles: ", "rolls: ", "gates: [participant,", "gates: [particpant,")})
	wantsKind(t, err, lifecycle.KindInvalid)
	if got := lifecycle.AsFault(err).Problems; len(got) < 2 || got[0].Line == 0 {
		t.Errorf("problems %+v", got)
	}
	_, err = h.RollBack(h.ctx, dana, 7)
	wantsKind(t, err, lifecycle.KindNotFound)
}
