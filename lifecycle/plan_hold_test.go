package lifecycle_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// overtaken is a store on which something happens right after a plan was looked
// at.
type overtaken struct {
	storage.Store
	then func()
}

func (s *overtaken) GetPlan(ctx context.Context, id string) (storage.Plan, error) {
	p, err := s.Store.GetPlan(ctx, id)
	if then := s.then; then != nil {
		s.then = nil
		then()
	}
	return p, err
}

// elsewhere is another process over the same store.
func (h *house) elsewhere(then func()) *lifecycle.Service {
	h.t.Helper()
	other, err := lifecycle.New(lifecycle.Options{
		Store: &overtaken{Store: h.store, then: then}, Mailer: h.post, Key: bytes.Repeat([]byte("k"), 32),
		PortalURL: "https://portal.example", Clock: h.clock.Now,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return other
}

func (h *house) confirmed(spec lifecycle.PlanSpec) storage.Plan {
	h.t.Helper()
	p, _ := h.planned(spec)
	p, err := h.ConfirmPlan(h.ctx, erin, p.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// Who read a plan before somebody else put it in force changes nothing of it.
func TestPlanOvertaken(t *testing.T) {
	h := newHouse(t)
	u := h.released("ana", "Registered Nurse")
	p := h.confirmed(lifecycle.PlanSpec{Document: nursesAsStaff(t)})
	if _, err := h.ApplyPlan(h.ctx, dana, p.ID, nil); err != nil {
		t.Fatal(err)
	}
	other := h.elsewhere(func() {
		if _, err := h.PutInForce(h.ctx, p.ID, nil); err != nil {
			t.Error(err)
		}
	})
	if got, err := other.PutInForce(h.ctx, p.ID, nil); err != nil || got.State != lifecycle.PlanApplied {
		t.Fatalf("%s (%v)", got.State, err)
	}
	h.wants(u.ID, policy.StatusReleased, "clinical-staff")
	if _, err := h.CarryOut(h.ctx, p.ID, nil); err != nil {
		t.Fatal(err)
	}
	if got := h.get(u.ID).Decision.PolicyVersion; got != 2 {
		t.Errorf("carried out, and the nurse stands at version %d", got)
	}

	// The same while it is computed: the list of people stays whole.
	p, err := h.PlanPolicy(h.ctx, dana, lifecycle.PlanSpec{Document: policy.Default()})
	if err != nil {
		t.Fatal(err)
	}
	other = h.elsewhere(func() {
		if _, err := h.ComputePlan(h.ctx, p.ID, nil); err != nil {
			t.Error(err)
		}
	})
	if got, err := other.ComputePlan(h.ctx, p.ID, nil); err != nil || got.State != lifecycle.PlanReady || len(h.people(p.ID)) != 1 {
		t.Errorf("%s with %d people (%v)", got.State, len(h.people(p.ID)), err)
	}
}

// Between a version's coming into force and their own decision, a deed carries on
// what is left of somebody's access, not what it was.
func TestDeedWhileNarrowed(t *testing.T) {
	h := newHouse(t)
	u := h.released("ana", "Registered Nurse")
	gone := h.released("ben", "Medical Scribe")
	p := h.confirmed(lifecycle.PlanSpec{Document: document(t,
		"Registered Nurse,clinical practitioner,practitioner,\"RN", "Registered Nurse,clinical practitioner,clinical-staff,\"RN",
		"Medical Scribe,clinical non-practitioner,clinical-staff,", "Medical Scribe,clinical non-practitioner,no-access,",
		"clinical.sensitive], modules: [nys-policy, clinical-access]}", "clinical.sensitive], modules: [nys-policy, clinical-access, break-the-glass]}")})
	h.inForce(p.ID)
	left := h.get(u.ID).Access(h.Now()).Permissions
	if !slices.Equal(left, permissionsOf["clinical-staff"]) {
		t.Fatalf("left: %v", left)
	}
	h.change(mercy, u.ID, set("title", "Emergency Medicine Physician"))
	if got := h.get(u.ID).Access(h.Now()); !slices.Equal(got.Permissions, left) {
		t.Errorf("with gates %v closed: %v, and %v was left", got.ClosedGates(), got.Permissions, left)
	}
	// Whose access had ended gets it back, not as if nothing had been: links from
	// before are void.
	h.change(mercy, gone.ID, set("title", "Certified Nursing Assistant"))
	if got := h.wants(gone.ID, policy.StatusReleased, "clinical-staff"); got.ClosedAt == nil {
		t.Error("access was closed in between, and nothing says so")
	}
}

// What needs two people is looked at again when it happens.
func TestConfirmationIsDueWhenApplied(t *testing.T) {
	h := newHouse(t)
	u := h.create(mercy, person("ana", "Registered Nurse"))
	p, s := h.planned(lifecycle.PlanSpec{Document: nursesAsStaff(t)})
	if s.Confirm != "" {
		t.Fatalf("confirm: %s", s.Confirm)
	}
	h.train(u) // and so there is something to lose
	got := h.inForce(p.ID)
	if got.State != lifecycle.PlanRefused || !strings.Contains(got.Note, "second operator") {
		t.Errorf("%s: %s", got.State, got.Note)
	}
	h.wants(u.ID, policy.StatusReleased, "practitioner")
}

// Emergency access cannot be had by one person in small steps: what is emergency
// access is not changed by one person either, even while it touches nobody. And
// what nobody approved does not outlive the policy by which nobody was asked.
func TestEmergencyAccessInSteps(t *testing.T) {
	h := newHouse(t)
	u := h.create(mercy, person("ana", "Emergency Medicine Physician"))
	h.train(u)
	unguarded := []string{"privileged: [emergency.override, ", "privileged: [", "breakGlass: [emergency.override]", "breakGlass: [accounts.request]"}
	for name, pairs := range map[string][]string{
		"the lists alone": unguarded,
		"with a role that nobody has yet": append(slices.Clone(unguarded),
			"  no-access:  ", "  rescue:     {permissions: [patient.search, emergency.override], modules: [nys-policy]}\n  no-access:  ",
			"Housekeeper,support/none,no-access,", "Zulu Pilot,ours,rescue,,ours\n  Housekeeper,support/none,no-access,"),
	} {
		p, s := h.planned(lifecycle.PlanSpec{Document: document(t, pairs...)})
		if s.Gain+s.Lose+s.Change+s.Unmapped+s.Gates != 0 || !strings.Contains(s.Confirm, "emergency.override") {
			t.Errorf("%s: %+v", name, s)
		}
		_, err := h.ApplyPlan(h.ctx, dana, p.ID, nil)
		wantsKind(t, err, lifecycle.KindRefused)
	}

	open := h.confirmed(lifecycle.PlanSpec{Document: document(t, append(slices.Clone(unguarded), ", gates: [approval], untilApproved: practitioner}", "}")...)})
	h.applied(open.ID)
	h.wants(u.ID, policy.StatusReleased, "practitioner-btg")
	back, err := h.RollBack(h.ctx, dana, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = h.ComputePlan(h.ctx, back.ID, nil); err != nil {
		t.Fatal(err)
	}
	if _, err = h.ConfirmPlan(h.ctx, erin, back.ID); err != nil {
		t.Fatal(err)
	}
	h.applied(back.ID)
	h.wants(u.ID, policy.StatusReleased, "practitioner", "approval")
	if _, err := h.RollBack(h.ctx, dana, 1); err == nil {
		t.Error("rolled back to what is in force")
	}
}

// Deciding somebody again is no reason to mail them a link.
func TestCarryingOutSendsNoLink(t *testing.T) {
	h := newHouse(t)
	h.released("ana", "Registered Nurse")
	h.work()
	h.clock.pass(8 * 24 * time.Hour) // nobody used the link, and it has ended
	p := h.confirmed(lifecycle.PlanSpec{Document: nursesAsStaff(t)})
	h.applied(p.ID)
	h.work()
	if got := h.post.to("ana@mail.example"); len(got) != 1 {
		t.Errorf("mails: %v", got)
	}
}

// A plan that stands in the way can be taken out of it, before it is in force.
func TestWithdrawPlan(t *testing.T) {
	h := newHouse(t)
	u := h.released("ana", "Registered Nurse")
	p := h.confirmed(lifecycle.PlanSpec{Document: nursesAsStaff(t)})
	if _, err := h.ApplyPlan(h.ctx, dana, p.ID, nil); err != nil {
		t.Fatal(err)
	}
	h.change(mercy, u.ID, set("nickName", "An")) // foresees the change
	if got, err := h.WithdrawPlan(h.ctx, erin, p.ID); err != nil || got.State != lifecycle.PlanRefused || !strings.Contains(got.Note, erin.Subject) {
		t.Fatalf("%s: %s (%v)", got.State, got.Note, err)
	}
	if state, err := h.store.PolicyState(h.ctx); err != nil || state != (storage.PolicyState{Version: 1}) {
		t.Errorf("state %+v (%v)", state, err)
	}
	if got, err := h.PutInForce(h.ctx, p.ID, nil); err != nil || got.State != lifecycle.PlanRefused {
		t.Errorf("a withdrawn plan is %s (%v)", got.State, err)
	}
	h.wants(u.ID, policy.StatusReleased, "practitioner")
	next := h.confirmed(lifecycle.PlanSpec{Document: nursesAsStaff(t)})
	h.applied(next.ID)
	_, err := h.WithdrawPlan(h.ctx, dana, next.ID)
	wantsKind(t, err, lifecycle.KindRefused)
}

// A scheduled change that may not happen is refused in the name of who asked.
func TestScheduledRefusalNamesWhoAsked(t *testing.T) {
	h := newHouse(t)
	h.released("ana", "Registered Nurse")
	p := h.confirmed(lifecycle.PlanSpec{Document: nursesAsStaff(t)})
	first := h.confirmed(lifecycle.PlanSpec{Document: document(t, "Medical Scribe,clinical non-practitioner,clinical-staff,", "Medical Scribe,clinical non-practitioner,no-access,")})
	at := h.Now().Add(time.Hour)
	if _, err := h.ApplyPlan(h.ctx, dana, p.ID, &at); err != nil {
		t.Fatal(err)
	}
	h.applied(first.ID)
	h.clock.pass(2 * time.Hour)
	if got, err := h.PutInForce(h.ctx, p.ID, nil); err != nil || got.State != lifecycle.PlanRefused {
		t.Fatalf("%s (%v)", got.State, err)
	}
	entries, err := h.store.ListEntries(h.ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(entries, func(e storage.EntryRow) bool { return e.Action == "policy.refused" })
	if i < 0 || !bytes.Contains(entries[i].Canonical, []byte(dana.Subject)) {
		t.Errorf("refused by nobody: %s", entries[max(i, 0)].Canonical)
	}
}
