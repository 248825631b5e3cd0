package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

func plansAreKept(h *house) {
	ctx := h.Context()
	put := func(p storage.Plan) error {
		return h.Write(ctx, func(ctx context.Context, tx storage.Tx) error { return tx.PutPlan(ctx, p) })
	}
	want := storage.Plan{
		ID: "p1", Participant: "mercy", Base: 3, Document: []byte{0, 'd', 0xff}, Digest: "abc", State: "computing", Origin: "rollback of version 2",
		Actor: "op@healthix.example", Token: "jti", Created: minute(1), Changed: minute(1), Row: 1,
	}
	check := func(what string) {
		h.Helper()
		got, err := h.GetPlan(ctx, want.ID)
		if err != nil {
			h.Fatal(err)
		}
		h.same(what, got, want)
		h.write(func(ctx context.Context, tx storage.Tx) error {
			locked, err := tx.LockPlan(ctx, want.ID)
			h.same(what+", locked", locked, want)
			return err
		})
	}
	if err := put(want); err != nil {
		h.Fatal(err)
	}
	check("a new plan")
	h.taken("the same id again", "id", put(want))

	next := want
	next.State, next.Summary, next.Note, next.Confirmed, next.ConfirmedBy = "applied", []byte(`{"b":1, "a":[]}`), "why not", minuteOf(2), "second@healthix.example"
	next.At, next.AppliedBy, next.Version, next.Carried, next.Changed = minuteOf(3), "third@healthix.example", 4, minuteOf(5), minute(6)
	next.Holder, next.HeldUntil, next.Row = "process", minuteOf(7), 2
	want = next
	if err := put(want); err != nil {
		h.Fatal(err)
	}
	check("a plan that came far") // its summary byte by byte
	for _, row := range []int64{2, 4} {
		next.Row = row
		if err := put(next); !errors.Is(err, storage.ErrStale) {
			h.Errorf("row %d behind 2: %v, want ErrStale", row, err)
		}
	}
	_, err := h.GetPlan(ctx, "nobody's")
	h.missing("an unknown plan", err)
	h.write(func(ctx context.Context, tx storage.Tx) error {
		_, err := tx.LockPlan(ctx, "nobody's")
		h.missing("an unknown plan, to be locked", err)
		return nil
	})

	for _, p := range []storage.Plan{
		{ID: "p0", Created: minute(2), Row: 1}, {ID: "p3", Created: minute(1), Row: 1}, {ID: "p2", Created: minute(0), Document: []byte("d"), Row: 1},
	} {
		if err := put(p); err != nil {
			h.Fatal(err)
		}
	}
	ids := func(limit int) (out []string) {
		h.Helper()
		found, err := h.ListPlans(ctx, limit)
		if err != nil {
			h.Fatal(err)
		}
		for _, p := range found {
			if p.Document != nil {
				h.Errorf("plan %s is listed with its document", p.ID)
			}
			out = append(out, p.ID)
		}
		return out
	}
	if got := ids(9); !slices.Equal(got, []string{"p0", "p3", "p1", "p2"}) {
		h.Errorf("plans %v", got)
	}
	if got := ids(2); !slices.Equal(got, []string{"p0", "p3"}) {
		h.Errorf("the newest two plans %v", got)
	}
	listed, err := h.ListPlans(ctx, 9)
	if err != nil {
		h.Fatal(err)
	}
	want.Document = nil
	h.same("a listed plan", listed[2], want)
}

// plansMoveOnce: of many who move a plan from one row to the next, each finds
// the row of the one before.
func plansMoveOnce(h *house) {
	h.write(func(ctx context.Context, tx storage.Tx) error {
		return tx.PutPlan(ctx, storage.Plan{ID: "p1", State: "ready", Row: 1})
	})
	var applied atomic.Int64
	for _, err := range together(8, func(int) error {
		won := false
		err := h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
			p, err := tx.LockPlan(ctx, "p1")
			if won = err == nil && p.State == "ready"; !won {
				return err
			}
			p.State, p.Row = "applying", p.Row+1
			return tx.PutPlan(ctx, p)
		})
		if won && err == nil {
			applied.Add(1)
		}
		return err
	}) {
		if err != nil {
			h.Error(err)
		}
	}
	if n := applied.Load(); n != 1 {
		h.Errorf("%d applied one plan", n)
	}
}

// onePlanIsPending, whoever asks, and at the same time.
func onePlanIsPending(h *house) {
	ctx := h.Context()
	pend := func(plan string) error {
		return h.Write(ctx, func(ctx context.Context, tx storage.Tx) error { return tx.PendPolicy(ctx, plan) })
	}
	expect := func(what string, want storage.PolicyState) {
		h.Helper()
		got, err := h.PolicyState(ctx)
		if err != nil || got != want {
			h.Errorf("%s: %+v, %v; want %+v", what, got, err, want)
		}
		h.write(func(ctx context.Context, tx storage.Tx) error {
			if got, err = tx.PolicyState(ctx); err != nil || got != want {
				h.Errorf("%s, in a deed: %+v, %v; want %+v", what, got, err, want)
			}
			return nil
		})
	}
	expect("at the beginning", storage.PolicyState{})
	h.write(func(ctx context.Context, tx storage.Tx) error {
		if err := tx.PutPolicy(ctx, storage.PolicyVersion{Version: 1, Document: []byte("p"), Applied: tx.Now()}); err != nil {
			return err
		}
		if err := tx.PendPolicy(ctx, "p1"); err != nil {
			return err
		}
		got, err := tx.PolicyState(ctx)
		if got != (storage.PolicyState{Version: 1, Pending: "p1"}) {
			h.Errorf("its own doing in a deed: %+v", got)
		}
		return err
	})
	expect("pending", storage.PolicyState{Version: 1, Pending: "p1"})
	if err := pend("p1"); err != nil {
		h.Errorf("the same plan again: %v", err)
	}
	if err := pend("p2"); !errors.Is(err, storage.ErrStale) {
		h.Errorf("another plan: %v, want ErrStale", err)
	}
	expect("pending still", storage.PolicyState{Version: 1, Pending: "p1"})
	if err := errors.Join(pend(""), pend("")); err != nil {
		h.Error(err)
	}
	expect("nothing pending", storage.PolicyState{Version: 1})

	errs := together(6, func(i int) error { return pend(fmt.Sprint("plan ", i)) })
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won < 0:
			won = i
		case err == nil:
			h.Errorf("plans %d and %d are pending", won, i)
		case !errors.Is(err, storage.ErrStale):
			h.Error(err)
		}
	}
	expect("of many", storage.PolicyState{Version: 1, Pending: fmt.Sprint("plan ", won)})
}

func planPeopleAreKept(h *house) {
	ctx := h.Context()
	const n = 7001 // more than one statement
	people := make([]storage.PlanPerson, n)
	for i := range people {
		people[i] = storage.PlanPerson{
			User: fmt.Sprintf("u%05d", i), Participant: []string{"mercy", "general"}[i%2], Class: []string{"gain", "lose", "unmapped"}[i%3],
			Change: policy.Change{From: "nurse", To: "clerk <b>", Loses: []string{"view"}, StatusFrom: policy.StatusReleased, StatusTo: policy.StatusSuspended},
		}
	}
	put := func(plan string, people ...storage.PlanPerson) {
		h.Helper()
		h.write(func(ctx context.Context, tx storage.Tx) error { return tx.PutPlanPeople(ctx, plan, people) })
	}
	put("p1")
	put("p1", people...)
	put("p2", people[:5]...)
	again := people[3]
	again.Class = "gates"
	put("p1", again, storage.PlanPerson{User: "u99999"}, storage.PlanPerson{User: "u99999", Class: "gain"}) // who is there stays
	people = append(people, storage.PlanPerson{User: "u99999"})

	walk := func(q storage.PlanQuery) (found []storage.PlanPerson) {
		h.Helper()
		for {
			page, err := h.ListPlanPeople(ctx, q)
			if err != nil {
				h.Fatal(err)
			}
			found = append(found, page...)
			if len(page) < q.Limit || len(found) > len(people) {
				return found
			}
			q.After = page[len(page)-1].User
		}
	}
	for _, q := range []storage.PlanQuery{
		{Plan: "p1", Limit: 1000}, {Plan: "p1", Class: "lose", Limit: 999}, {Plan: "p1", Participant: "general", Limit: 500},
		{Plan: "p1", Participant: "general", Class: "gain", Limit: 77}, {Plan: "p1", Class: "nobody", Limit: 10}, {Plan: "p3", Limit: 10},
	} {
		var want []storage.PlanPerson
		for _, p := range people {
			if q.Plan == "p1" && (q.Class == "" || q.Class == p.Class) && (q.Participant == "" || q.Participant == p.Participant) {
				want = append(want, p)
			}
		}
		h.same(fmt.Sprintf("people of %+v", q), walk(q), want)
	}

	deleted := 0
	for _, want := range []int{3000, 3000, 1002, 0} {
		h.write(func(ctx context.Context, tx storage.Tx) (err error) {
			deleted, err = tx.DeletePlanPeople(ctx, "p1", 3000)
			return err
		})
		if deleted != want {
			h.Errorf("%d people were forgotten, want %d", deleted, want)
		}
	}
	if left := walk(storage.PlanQuery{Plan: "p2", Limit: 10}); len(left) != 5 {
		h.Errorf("%d people of the other plan are left", len(left))
	}
}

// policiesInForce: a number names the newest document of all and the newest
// overlay of each participant, up to itself.
func policiesInForce(h *house) {
	ctx := h.Context()
	var all []storage.PolicyVersion
	for i, participant := range []string{"", "mercy", "", "general", "mercy"} {
		all = append(all, storage.PolicyVersion{
			Version: int64(i + 1), Participant: participant, Digest: fmt.Sprint("d", i), Document: []byte{byte(i)}, Applied: minute(i),
			Actor: "op@healthix.example", Plan: []string{"", "p2", "p3", "p4", "p5"}[i],
		})
	}
	for _, v := range all {
		h.write(func(ctx context.Context, tx storage.Tx) error { return tx.PutPolicy(ctx, v) })
	}
	for version, want := range map[int64][]int{0: {}, 1: {1}, 2: {1, 2}, 3: {3, 2}, 4: {3, 4, 2}, 5: {3, 4, 5}, 9: {3, 4, 5}} {
		inForce := []storage.PolicyVersion{}
		for _, v := range want {
			inForce = append(inForce, all[v-1])
		}
		got, err := h.ListPoliciesInForce(ctx, version)
		if err != nil {
			h.Fatal(err)
		}
		h.same(fmt.Sprint("in force with version ", version), got, inForce)
	}
	current, err := h.CurrentPolicy(ctx)
	if err != nil {
		h.Fatal(err)
	}
	h.same("the policy of all", current, all[2])
	overlay, err := h.GetPolicy(ctx, 5)
	if err != nil {
		h.Fatal(err)
	}
	h.same("an overlay", overlay, all[4])
	listed, err := h.ListPolicies(ctx)
	if err != nil {
		h.Fatal(err)
	}
	for i := range all {
		all[i].Document = nil
	}
	h.same("all versions", listed, all)
}
