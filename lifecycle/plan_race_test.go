package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
)

// Deeds go on while a policy is applied; from the instant at which it is in
// force nobody has more than it gives, whenever their last deed was.
func TestPlanAmongDeeds(t *testing.T) {
	for engine, url := range map[string]func(testing.TB) string{
		"sqlite":   func(t testing.TB) string { return "sqlite://" + filepath.Join(t.TempDir(), "house.db") },
		"postgres": pgtest.URL,
	} {
		t.Run(engine, func(t *testing.T) { planAmongDeeds(t, newHouseAt(t, url(t))) })
	}
}

func planAmongDeeds(t *testing.T, h *house) {
	const people = 40
	titles := []string{"Registered Nurse", "Medical Scribe", "Certified Nursing Assistant", "Front Desk Receptionist"}
	var ids []string
	for i := range people {
		u := h.create(mercy, person(fmt.Sprintf("p%02d", i), titles[i%len(titles)]))
		for _, m := range []string{"nys-policy", "clinical-access", "hosted-registration"} {
			if _, err := h.RecordEvidence(h.ctx, dana, u.ID, lifecycle.EvidenceSpec{Module: m, CompletedAt: h.Now(), Source: "webinar"}); err != nil {
				t.Fatal(err)
			}
		}
		ids = append(ids, u.ID)
	}
	p, _ := h.planned(lifecycle.PlanSpec{Document: document(t,
		"Registered Nurse,clinical practitioner,practitioner,\"RN", "Registered Nurse,clinical practitioner,clinical-staff,\"RN",
		"Medical Scribe,clinical non-practitioner,clinical-staff,", "Medical Scribe,clinical non-practitioner,registration-consent,")})
	if _, err := h.ConfirmPlan(h.ctx, erin, p.ID); err != nil {
		t.Fatal(err)
	}
	allowed := map[string][]string{
		"Registered Nurse": permissionsOf["clinical-staff"], "Medical Scribe": permissionsOf["registration-consent"],
		"Certified Nursing Assistant": permissionsOf["clinical-staff"], "Front Desk Receptionist": permissionsOf["registration-consent"],
	}

	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(w)))
			for {
				select {
				case <-stop:
					return
				default:
				}
				id, title := ids[random.IntN(len(ids))], titles[random.IntN(len(titles))]
				if _, err := h.tryChange(mercy, id, set("title", title)); err != nil && !errors.Is(err, storage.ErrStale) {
					t.Errorf("change %s: %v", id, err)
					return
				}
			}
		})
	}
	check := func(when string) {
		users, _, err := h.store.ListUsers(h.ctx, storage.Query{Participant: "mercy", Limit: 1000, Now: h.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if len(users) != people {
			t.Errorf("%s: %d people", when, len(users))
		}
		for _, u := range users {
			for _, permission := range u.Access(h.Now()).Permissions {
				if !slices.Contains(allowed[u.Title], permission) {
					t.Errorf("%s: %s, %s, has %s (decided under %d, narrowing %+v)", when, u.UserName, u.Title, permission, u.Decision.PolicyVersion, u.Narrowing)
				}
			}
		}
	}
	if got := h.inForce(p.ID); got.State != lifecycle.PlanApplied {
		t.Fatalf("%s: %s", got.State, got.Note)
	}
	for range 20 {
		check("in force")
	}
	if _, err := h.CarryOut(h.ctx, p.ID, nil); err != nil {
		t.Fatal(err)
	}
	check("carried out")
	close(stop)
	writers.Wait()
	check("at rest")
	for _, id := range ids {
		u := h.get(id)
		if u.Narrowing != nil || u.Decision.Status != policy.StatusReleased {
			t.Errorf("%s is %s, narrowing %+v: %s", u.UserName, u.Decision.Status, u.Narrowing, u.Decision.Reason)
		}
	}
}

// A server that dies between any two steps leaves the rest to another one.
func TestPlanGoesOnElsewhere(t *testing.T) {
	h := newHouse(t)
	u := h.released("ana", "Registered Nurse")
	p, err := h.PlanPolicy(h.ctx, dana, lifecycle.PlanSpec{Document: nursesAsStaff(t)})
	if err != nil {
		t.Fatal(err)
	}
	h.work() // computes
	if _, err := h.ConfirmPlan(h.ctx, erin, p.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := h.ApplyPlan(h.ctx, dana, p.ID, nil); err != nil {
		t.Fatal(err)
	}
	// What an attempt foresaw that died is worked out anew.
	stale := storage.Effect{User: u.ID, Narrowing: &policy.Narrowing{Gate: policy.GateTitle}}
	err = h.store.Write(h.ctx, func(ctx context.Context, tx storage.Tx) error {
		return tx.PutEffects(ctx, p.ID, []storage.Effect{stale})
	})
	if err != nil {
		t.Fatal(err)
	}
	h.work()
	if p, err = h.store.GetPlan(h.ctx, p.ID); err != nil || p.State != lifecycle.PlanApplied || p.Carried == nil {
		t.Fatalf("%s: %s (%v)", p.State, p.Note, err)
	}
	h.wants(u.ID, policy.StatusReleased, "clinical-staff")
}

// A deed that waits for its user while a version comes into force has read what is
// left to them before that: it looks again.
func TestDeedWaitsWhilePlanComesIntoForce(t *testing.T) {
	h := newHouseAt(t, pgtest.URL(t))
	u := h.released("ana", "Registered Nurse")
	p := h.confirmed(lifecycle.PlanSpec{Document: document(t,
		"Registered Nurse,clinical practitioner,practitioner,\"RN", "Registered Nurse,clinical practitioner,clinical-staff,\"RN",
		"clinical.sensitive], modules: [nys-policy, clinical-access]}", "clinical.sensitive], modules: [nys-policy, clinical-access, break-the-glass]}")})
	locked, free, done := make(chan struct{}), make(chan struct{}), make(chan error, 2)
	go func() {
		done <- h.store.Write(h.ctx, func(ctx context.Context, tx storage.Tx) error {
			if _, err := tx.LockUser(ctx, "mercy", u.ID); err != nil {
				return err
			}
			close(locked)
			<-free
			return nil
		})
	}()
	<-locked
	go func() {
		_, err := h.tryChange(mercy, u.ID, set("title", "Emergency Medicine Physician"))
		done <- err
	}()
	time.Sleep(300 * time.Millisecond) // it waits for the lock by now
	h.inForce(p.ID)
	close(free)
	for range 2 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if got := h.get(u.ID).Access(h.Now()); !slices.Equal(got.Permissions, permissionsOf["clinical-staff"]) {
		t.Errorf("with gates %v closed, %v is in force under version %d", got.ClosedGates(), got.Permissions, got.PolicyVersion)
	}
}
