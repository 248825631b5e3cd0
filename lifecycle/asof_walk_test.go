package lifecycle_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
)

// asOfWalk does deeds and notes what everybody was told after each. Then it asks
// what was so at all those instants, and between them.
type asOfWalk struct {
	policyWalk
	notes []note
}

// note is what readers were told between two deeds.
type note struct {
	deed     string
	from, to time.Time // readers were told this at both, and at any instant between
	users    map[string]storage.User
}

// TestAsOfWalk: whatever was done, an instant of the past is answered as it was
// answered then, on both engines.
func TestAsOfWalk(t *testing.T) {
	for _, engine := range []struct {
		name string
		runs int
		url  func(t *testing.T) string
	}{
		{"SQLite", 20, func(t *testing.T) string { return "sqlite://" + filepath.Join(t.TempDir(), "house.db") }},
		{"PostgreSQL", 4, func(t *testing.T) string { return pgtest.URL(t) }},
	} {
		t.Run(engine.name, func(t *testing.T) {
			done := 0
			rapid.Check(t, func(r *rapid.T) {
				if done == engine.runs { // a walk is long; rapid's own number of them is meant for short ones
					return
				}
				h := newHouseAt(t, engine.url(t))
				w := &asOfWalk{policyWalk: policyWalk{walk: walk{house: h, r: r}}}
				actions := map[string]func(*rapid.T){}
				deeds := w.deeds()
				deeds["rehire"], deeds["apply"], deeds["force"], deeds["carry"] = w.rehire, w.apply, w.force, w.carry
				deeds["time"], deeds["jobs"] = w.time, func(*rapid.T) { h.work() }
				for name, deed := range deeds {
					actions[name] = func(r *rapid.T) {
						w.end()
						deed(r)
						w.note(r, name)
					}
				}
				w.note(r, "nothing")
				w.less(r)
				r.Repeat(actions)
				w.end()
				w.ask(r)
				done++
				h.store.Close() //nolint:errcheck // the next run has one of its own
			})
		})
	}
}

// less takes something from a nurse by a policy, step by step: by chance alone
// hardly anybody is released when one comes into force.
func (w *asOfWalk) less(r *rapid.T) {
	step := func(name string, deed func(*rapid.T)) {
		w.end()
		deed(r)
		w.note(r, name)
	}
	step("create", func(*rapid.T) {
		w.made++
		u := w.train(w.house.create(mercy, person("ana", "Registered Nurse", email("ana.lima@mail.example"))))
		w.people = append(w.people, &walked{id: u.ID, participant: "mercy"})
	})
	step("apply", func(r *rapid.T) { w.begin(r, variants[1]) })
	step("force", w.force)
	if u := w.get(w.people[0].id); u.Narrowing == nil {
		r.Fatalf("the policy takes nothing: %+v", u.Decision)
	}
	step("carry", w.carry)
}

// begin applies a policy that the walk did not choose.
func (w *asOfWalk) begin(r *rapid.T, v variant) {
	w.next = v
	p, err := w.PlanPolicy(w.ctx, dana, lifecycle.PlanSpec{Document: document(w.t, v.replace...)})
	if err == nil {
		_, err = w.ComputePlan(w.ctx, p.ID, nil)
	}
	if err == nil {
		_, err = w.ConfirmPlan(w.ctx, erin, p.ID)
	}
	if err == nil {
		_, err = w.ApplyPlan(w.ctx, dana, p.ID, nil)
	}
	if err != nil {
		r.Fatal(err)
	}
	w.plan = p.ID
}

// rehire creates somebody anew under a name that is taken, mostly by who left.
func (w *asOfWalk) rehire(r *rapid.T) {
	p := w.somebody(r)
	u := w.get(p.id)
	_, err := w.CreateUser(w.ctx, lifecycle.Actor{Kind: "provider", Participant: p.participant}, person(u.UserName, u.Title, set("emails", u.Document["emails"])))
	w.tolerates(r, err)
	if !u.Active && w.get(p.id).Active {
		p.everReleased, p.before = false, nil
	}
}

// end closes the newest note: what comes now may change what readers are told.
func (w *asOfWalk) end() {
	if n := len(w.notes); n > 0 {
		w.notes[n-1].to = w.Now()
	}
}

// note asks about everybody, those who left too, as readers do.
func (w *asOfWalk) note(r *rapid.T, deed string) {
	n := note{deed: deed, from: w.Now(), users: map[string]storage.User{}}
	n.to = n.from
	for _, deleted := range []bool{false, true} {
		users, _, err := w.store.ListUsers(w.ctx, storage.Query{Limit: 1000, Deleted: deleted, Now: n.from})
		if err != nil {
			r.Fatal(err)
		}
		for _, u := range users {
			n.users[u.ID] = u
		}
	}
	w.notes = append(w.notes, n)
}

// told is what a reader is told of a user at an instant.
func told(u storage.User, at time.Time) string {
	d := u.Access(at)
	d.Trace = nil
	text, err := json.Marshal(map[string]any{
		"access": d, "document": u.Document, "title": u.Title, "email": u.Email, "mobile": u.Mobile, "active": u.Active, "deleted": u.Deleted,
		"version": u.Version, "username": u.HealthixUsername, "alerts": u.ClinicalAlerts, "released": u.ReleasedAt, "closed": u.ClosedAt,
	})
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// ask holds the record against the notes.
func (w *asOfWalk) ask(r *rapid.T) {
	everybody := map[string]bool{}
	for id := range w.notes[len(w.notes)-1].users {
		everybody[id] = true
	}
	for i, n := range w.notes {
		instants := []time.Time{n.from, n.to, n.from.Add(n.to.Sub(n.from) / 3)}
		if span := n.to.Sub(n.from).Microseconds(); span > 0 {
			instants = append(instants, n.from.Add(time.Duration(rapid.Int64Range(0, span).Draw(r, "within"))*time.Microsecond))
		}
		for _, u := range n.users {
			if end := u.Decision.ValidUntil; end != nil {
				for _, at := range []time.Time{end.Add(-time.Microsecond), *end, end.Add(time.Microsecond)} {
					if !at.Before(n.from) && !at.After(n.to) {
						instants = append(instants, at)
					}
				}
			}
		}
		for _, at := range instants {
			w.same(r, n, at, everybody)
		}
		if i > 0 {
			w.turns(r, w.notes[i-1], n)
		}
	}
	w.turnsOfPolicy(r, everybody)
}

// turnsOfPolicy: a policy version narrows from the very instant at which it came
// into force, and not before.
func (w *asOfWalk) turnsOfPolicy(r *rapid.T, everybody map[string]bool) {
	policies, err := w.store.ListPolicies(w.ctx)
	if err != nil {
		r.Fatal(err)
	}
	for _, p := range policies {
		i := slices.IndexFunc(w.notes, func(n note) bool { return n.from.After(p.Applied) })
		if i < 1 || w.notes[i].deed != "force" {
			continue
		}
		w.same(r, w.notes[i], p.Applied, everybody)
		w.same(r, w.notes[i-1], p.Applied.Add(-time.Microsecond), everybody)
	}
}

// same: the population at an instant, and everybody of it alone, are as noted.
func (w *asOfWalk) same(r *rapid.T, n note, at time.Time, everybody map[string]bool) {
	var walked []storage.User
	q := storage.AsOfQuery{At: at, Limit: 2}
	for {
		page, err := w.store.ListUsersAt(w.ctx, q)
		if err != nil {
			r.Fatal(err)
		}
		walked = append(walked, page...)
		if len(page) < q.Limit {
			break
		}
		q.After = page[len(page)-1].ID
	}
	count, err := w.store.CountUsersAt(w.ctx, "", at)
	if err != nil {
		r.Fatal(err)
	}
	if len(walked) != len(n.users) || count != len(n.users) || !slices.IsSortedFunc(walked, func(a, b storage.User) int {
		if a.ID < b.ID {
			return -1
		}
		return 1
	}) {
		r.Fatalf("at %s, after %s: %d users, counted %d, want %d", at, n.deed, len(walked), count, len(n.users))
	}
	for _, u := range walked {
		if got, want := told(u, at), told(n.users[u.ID], at); got != want {
			r.Fatalf("at %s, after %s, %s was told as\n%s\nand is told as\n%s", at, n.deed, u.UserName, want, got)
		}
	}
	for id := range everybody {
		u, err := w.store.GetUserAt(w.ctx, "", id, at)
		was, there := n.users[id]
		switch {
		case !there && errors.Is(err, storage.ErrNotFound):
		case err != nil || !there:
			r.Fatalf("at %s, after %s, user %s is answered with %v; was there: %t", at, n.deed, id, err, there)
		case told(u, at) != told(was, at):
			r.Fatalf("at %s, after %s, %s was told as\n%s\nand alone is told as\n%s", at, n.deed, u.UserName, told(was, at), told(u, at))
		}
	}
}

// turns: a version holds from its own instant on, and the one before it until
// then; nobody has two at once, and nobody none.
func (w *asOfWalk) turns(r *rapid.T, before, after note) {
	for id, u := range after.users {
		was, there := before.users[id]
		if there && u.Version != was.Version+1 || !there && u.Version != 1 || u.ParticipantState.Version != was.ParticipantState.Version && there {
			continue // nothing moved, several things did, or the participant
		}
		history, err := w.store.ListHistory(w.ctx, id)
		if err != nil {
			r.Fatal(err)
		}
		from := history[u.Version-1].ValidFrom
		if u.Narrowing != nil || was.Narrowing != nil || there && u.Decision.PolicyVersion != was.Decision.PolicyVersion {
			continue // a policy came into force in between, and may have been carried out already
		}
		at, err := w.store.GetUserAt(w.ctx, "", id, from)
		if err != nil || told(at, from) != told(u, from) {
			r.Fatalf("%s from %s on, after %s: %v\n%s\nwant\n%s", u.UserName, from, after.deed, err, told(at, from), told(u, from))
		}
		for at, listed := range map[time.Time]bool{from: true, from.Add(-time.Microsecond): there} {
			users, err := w.store.ListUsersAt(w.ctx, storage.AsOfQuery{At: at, Limit: 1000})
			if err != nil || slices.ContainsFunc(users, func(o storage.User) bool { return o.ID == id }) != listed {
				r.Fatalf("%s is listed at %s: %t, want %t; %v", u.UserName, at, !listed, listed, err)
			}
		}
		last := from.Add(-time.Microsecond)
		at, err = w.store.GetUserAt(w.ctx, "", id, last)
		switch {
		case !there && !errors.Is(err, storage.ErrNotFound):
			r.Fatalf("%s is there before they came: %v", u.UserName, err)
		case there && (err != nil || told(at, last) != told(was, last)):
			r.Fatalf("%s until %s, before %s: %v\n%s\nwant\n%s", u.UserName, last, after.deed, err, told(at, last), told(was, last))
		}
	}
}
