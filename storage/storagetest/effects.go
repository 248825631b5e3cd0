package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

func narrows(permissions ...string) *policy.Narrowing {
	return &policy.Narrowing{Version: 2, Permissions: permissions, Role: "clerk", Gate: policy.GateTraining}
}

// crowd keeps n released users, decided under version 1, and answers their ids
// in order.
func (h *house) crowd(n int) []string {
	h.Helper()
	ids := make([]string, n)
	users := make([]storage.User, n)
	for i := range users {
		ids[i] = fmt.Sprintf("u%05d", i)
		users[i] = person("mercy", ids[i])
		users[i].ID = ids[i]
		users[i].Decision.Status, users[i].Decision.Permissions = policy.StatusReleased, []string{"view", "alerts"}
	}
	h.keep(users...)
	return ids
}

// inForce puts policy versions in force, the last of them by a plan.
func (h *house) inForce(version int64, plan string) {
	h.Helper()
	h.write(func(ctx context.Context, tx storage.Tx) error {
		state, err := tx.PolicyState(ctx)
		for v := state.Version + 1; v <= version && err == nil; v++ {
			p := storage.PolicyVersion{Version: v, Document: []byte("p"), Applied: tx.Now()}
			if v == version {
				p.Plan = plan
			}
			err = tx.PutPolicy(ctx, p)
		}
		return err
	})
}

func (h *house) foresee(plan string, effects ...storage.Effect) {
	h.Helper()
	h.write(func(ctx context.Context, tx storage.Tx) error { return tx.PutEffects(ctx, plan, effects) })
}

// narrowingHolds: what a plan takes holds from the instant at which it is in
// force, for whom it was foreseen, until they are decided under it; and a deed
// finds it too.
func narrowingHolds(h *house) {
	ids := h.crowd(3)
	h.inForce(1, "")
	expect := func(what, id string, want *policy.Narrowing) {
		h.Helper()
		u := h.user(id)
		h.same(what, u.Narrowing, want)
		h.write(func(ctx context.Context, tx storage.Tx) error {
			locked, err := tx.LockUser(ctx, "mercy", id)
			h.same(what+", locked", locked.Narrowing, want)
			return err
		})
	}
	h.foresee("p1", storage.Effect{User: ids[0], Narrowing: narrows("view")}, storage.Effect{User: ids[1]})
	expect("foreseen and pending", ids[0], nil)
	h.inForce(2, "p1")
	expect("in force", ids[0], narrows("view"))
	expect("nothing lost", ids[1], nil)
	expect("not concerned", ids[2], nil)
	plan := storage.Plan{ID: "p1", State: "applied", Row: 1}
	put := func() { h.write(func(ctx context.Context, tx storage.Tx) error { return tx.PutPlan(ctx, plan) }) }
	put()
	expect("being carried out", ids[0], narrows("view"))
	if seen := h.user(ids[0]).Access(minute(0)); seen.Status != policy.StatusReleased || !slices.Equal(seen.Permissions, []string{"view"}) {
		h.Errorf("access while a version is carried out: %s, %v", seen.Status, seen.Permissions)
	}

	decided := h.user(ids[0])
	decided.Version++
	decided.Decision.PolicyVersion = 2
	h.keep(decided)
	expect("decided", ids[0], nil)

	h.foresee("p2", storage.Effect{User: ids[2], Narrowing: narrows("alerts")})
	h.inForce(3, "p2")
	third := narrows("alerts")
	third.Version = 3
	expect("the next plan", ids[2], third)
	plan.Carried, plan.Row = minuteOf(1), 2
	put()
	expect("the plan before was carried out", ids[2], third)
	plan.ID, plan.Row = "p2", 1
	put()
	expect("carried out", ids[2], nil)
}

func effectsAreKept(h *house) {
	ctx := h.Context()
	ids := h.crowd(12)
	h.inForce(1, "")
	h.foresee("p1", storage.Effect{User: ids[3], Narrowing: narrows("view")}, storage.Effect{User: ids[1]},
		storage.Effect{User: ids[0], Narrowing: narrows()}, storage.Effect{User: ids[2]})
	h.foresee("p2", storage.Effect{User: ids[9], Narrowing: narrows()})
	list := func(after storage.Effect, limit int) []storage.Effect {
		h.Helper()
		found, err := h.ListEffects(ctx, "p1", after, limit)
		if err != nil {
			h.Fatal(err)
		}
		return found
	}
	if got := list(storage.Effect{}, 10); len(got) != 0 {
		h.Errorf("effects of a plan that is not in force: %v", got)
	}
	h.inForce(2, "p1")
	loses := func(i int, permissions ...string) storage.Effect {
		return storage.Effect{User: ids[i], Narrowing: narrows(append([]string{}, permissions...)...)}
	}
	h.same("who loses first", list(storage.Effect{}, 10), []storage.Effect{loses(0), loses(3, "view"), {User: ids[1]}, {User: ids[2]}})

	// The newest word counts; of a walk, the word that is there already.
	h.foresee("p1", storage.Effect{User: ids[1], Narrowing: narrows("alerts")}, storage.Effect{User: ids[3]}, storage.Effect{User: ids[3]},
		storage.Effect{User: ids[5], Narrowing: narrows("view")}, storage.Effect{User: ids[5]})
	h.write(func(ctx context.Context, tx storage.Tx) error {
		return tx.AddEffects(ctx, "p1", []storage.Effect{
			{User: ids[0]}, {User: ids[2], Narrowing: narrows("view")}, {User: ids[4], Narrowing: narrows("view")}, {User: ids[4]},
		})
	})
	want := []storage.Effect{loses(0), loses(1, "alerts"), loses(4, "view"), {User: ids[2]}, {User: ids[3]}, {User: ids[5]}}
	h.same("the newest words", list(storage.Effect{}, 10), want)
	for limit := 1; limit <= len(want); limit++ {
		var after storage.Effect
		var got []storage.Effect
		for page := list(after, limit); len(page) > 0 && len(got) < 2*len(want); page = list(after, limit) {
			got, after = append(got, page...), page[len(page)-1]
		}
		h.same(fmt.Sprint("in pages of ", limit), got, want)
	}

	// Who was decided meanwhile, or deleted, is not asked for.
	for _, i := range []int{1, 3} {
		u := h.user(ids[i])
		u.Version++
		if i == 1 {
			u.Decision.PolicyVersion = 2
		} else {
			u.Deleted = minuteOf(1)
		}
		h.keep(u)
	}
	h.same("those left", list(storage.Effect{}, 10), []storage.Effect{loses(0), loses(4, "view"), {User: ids[2]}, {User: ids[5]}})

	for _, step := range []struct {
		harmless    bool
		limit, want int
	}{{true, 2, 2}, {true, 10, 1}, {true, 10, 0}, {false, 2, 2}, {false, 0, 0}, {false, 10, 1}, {false, 10, 0}} {
		h.write(func(ctx context.Context, tx storage.Tx) error {
			n, err := tx.DeleteEffects(ctx, "p1", step.harmless, step.limit)
			if n != step.want {
				h.Errorf("forget at most %d effects, the harmless ones alone %t: %d, want %d", step.limit, step.harmless, n, step.want)
			}
			return err
		})
	}
	h.inForce(3, "p2")
	h.same("those of another plan", h.user(ids[9]).Narrowing, &policy.Narrowing{Version: 3, Permissions: []string{}, Role: "clerk", Gate: policy.GateTraining})
}

// effectsByTheThousand: a walk hands over many at once.
func effectsByTheThousand(h *house) {
	const n = 12_000
	effects := make([]storage.Effect, n)
	for i := range effects {
		effects[i].User = fmt.Sprintf("nobody-%05d", i)
		if i%3 == 0 {
			effects[i].Narrowing = narrows("view")
		}
	}
	h.write(func(ctx context.Context, tx storage.Tx) error {
		return errors.Join(tx.AddEffects(ctx, "p1", effects), tx.PutEffects(ctx, "p1", effects), tx.PutEffects(ctx, "p1", nil))
	})
	forgotten := 0
	for batch := -1; batch != 0; forgotten += batch {
		h.write(func(ctx context.Context, tx storage.Tx) (err error) {
			batch, err = tx.DeleteEffects(ctx, "p1", false, 5000)
			return err
		})
	}
	if forgotten != n {
		h.Errorf("%d effects were kept, want %d", forgotten, n)
	}
}

// effectsMeet: a walk and deeds foresee the same people at the same time. Where
// a deed spoke, its word is what stays.
func effectsMeet(h *house) {
	ids := h.crowd(200)
	h.inForce(1, "")
	var spoken sync.Map
	var walked atomic.Bool
	walk := func() error {
		defer walked.Store(true)
		for batch := range slices.Chunk(ids, 20) {
			var effects []storage.Effect
			for _, id := range batch {
				effects = append(effects, storage.Effect{User: id, Narrowing: narrows("seen before")})
			}
			if err := h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error { return tx.AddEffects(ctx, "p1", effects) }); err != nil {
				return err
			}
		}
		return nil
	}
	deeds := func(seed int) error {
		for n := seed; !walked.Load(); n += 4 {
			id := ids[(n*37)%len(ids)]
			err := h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
				if _, err := tx.LockUser(ctx, "mercy", id); err != nil {
					return err
				}
				return tx.PutEffects(ctx, "p1", []storage.Effect{{User: id, Narrowing: narrows("decided")}})
			})
			if err != nil {
				return err
			}
			spoken.Store(id, true)
		}
		return nil
	}
	if err := errors.Join(together(5, func(i int) error {
		if i == 0 {
			return walk()
		}
		return deeds(i)
	})...); err != nil {
		h.Fatal(err)
	}
	h.inForce(2, "p1")
	found, err := h.ListEffects(h.Context(), "p1", storage.Effect{}, len(ids)+1)
	if err != nil || len(found) != len(ids) {
		h.Fatalf("%d effects, %v; want %d", len(found), err, len(ids))
	}
	for _, e := range found {
		want := "seen before"
		if _, deed := spoken.Load(e.User); deed {
			want = "decided"
		}
		if !slices.Equal(e.Narrowing.Permissions, []string{want}) {
			h.Errorf("%s: %v, want %s", e.User, e.Narrowing.Permissions, want)
		}
	}
}

// effectsOverMoving: people are decided while their effects are walked; every
// one who was not decided when a page came to them is on it, once.
func effectsOverMoving(h *house) {
	ids := h.crowd(60)
	h.inForce(1, "")
	var effects []storage.Effect
	for i, id := range ids {
		e := storage.Effect{User: id}
		if i%2 == 0 {
			e.Narrowing = narrows("view")
		}
		effects = append(effects, e)
	}
	h.foresee("p1", effects...)
	h.inForce(2, "p1")
	seen := map[string]int{}
	var after storage.Effect
	for round := range ids {
		page, err := h.ListEffects(h.Context(), "p1", after, 7)
		if err != nil {
			h.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			seen[e.User]++
		}
		after = page[len(page)-1]
		u := h.user(ids[len(ids)-1-round]) // somebody further on
		if u.Decision.PolicyVersion < 2 {
			u.Version++
			u.Decision.PolicyVersion = 2
			h.keep(u)
		}
	}
	for _, id := range ids {
		if n := seen[id]; n > 1 || n == 0 && h.user(id).Decision.PolicyVersion < 2 {
			h.Errorf("%s was %d times on a page", id, n)
		}
	}
}
