package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

const tick = time.Microsecond

// released is somebody who has access under the first policy version.
func released(userName string) storage.User {
	u := person("mercy", userName)
	u.Decision.Status, u.Decision.Permissions, u.Decision.Role = policy.StatusReleased, []string{"view", "alerts"}, "nurse"
	u.Decision.Gates = []policy.GateState{{Gate: policy.GateParticipant, Open: true}}
	u.Decision.PolicyVersion = 1
	return u
}

// at is a user as they were, "" when there was none.
func (h *house) at(id string, at time.Time) string {
	h.Helper()
	u, err := h.GetUserAt(h.Context(), "", id, at)
	if errors.Is(err, storage.ErrNotFound) {
		return ""
	}
	if err != nil {
		h.Fatal(err)
	}
	d := u.Access(at)
	return fmt.Sprintf("%d %s %q %s %v deleted %t", u.Version, u.UserName, u.Title, d.Status, d.Permissions, u.Deleted != nil)
}

// versionsHold: each version from its own instant on until the next one's.
func versionsHold(h *house) {
	u := released("ana")
	want := []string{""}
	for i, title := range []string{"Nurse", "Head Nurse", "Nurse"} {
		u.Version, u.Title = int64(i+1), title
		h.keep(u)
		want = append(want, fmt.Sprintf("%d ana %q released [view alerts] deleted false", i+1, title))
	}
	gone := u
	now := time.Now().UTC().Truncate(tick)
	gone.Version, gone.Deleted, gone.Active = 4, &now, false
	gone.Decision.Status, gone.Decision.Permissions = policy.StatusRevoked, nil
	h.keep(gone)
	want = append(want, `4 ana "Nurse" revoked [] deleted true`)
	history, err := h.ListHistory(h.Context(), u.ID)
	if err != nil || len(history) != 4 {
		h.Fatalf("%d versions, %v", len(history), err)
	}
	for i, row := range history {
		for offset, n := range map[time.Duration]int{-tick: i, 0: i + 1, tick: i + 1} {
			at := row.ValidFrom.Add(offset)
			if i < 3 && !at.Before(history[i+1].ValidFrom) {
				continue // the next one holds already
			}
			if got := h.at(u.ID, at); got != want[n] {
				h.Errorf("version %d %+d µs: %q, want %q", i+1, offset.Microseconds(), got, want[n])
			}
		}
	}
	if got := h.at(u.ID, history[3].ValidFrom.AddDate(10, 0, 0)); got != want[4] {
		h.Errorf("ten years later: %q, want %q", got, want[4])
	}
	_, err = h.GetUserAt(h.Context(), "general", u.ID, now)
	h.missing("a user at another participant", err)

	// Access ends at its instant, not at the sweep's.
	end := time.Now().UTC().Truncate(tick).Add(time.Hour)
	ends := released("bo")
	ends.Decision.ValidUntil = &end
	h.keep(ends)
	for offset, status := range map[time.Duration]policy.Status{-tick: policy.StatusReleased, 0: policy.StatusSuspended, tick: policy.StatusSuspended} {
		seen, err := h.GetUserAt(h.Context(), "mercy", ends.ID, end.Add(offset))
		if err != nil || seen.Access(end.Add(offset)).Status != status {
			h.Errorf("%v from the end on: %s, %v; want %s", offset, seen.Access(end.Add(offset)).Status, err, status)
		}
	}
}

// participantsWere: their state of the instant is laid over users.
func participantsWere(h *house) {
	u := released("ana")
	h.keep(u)
	put := func(version int64, status string) time.Time {
		h.Helper()
		var at time.Time
		h.write(func(ctx context.Context, tx storage.Tx) error {
			p, err := tx.LockParticipant(ctx, "mercy")
			if err != nil {
				return err
			}
			at = tx.Now()
			p.Version, p.Status = version, status
			if status != "active" {
				p.ClosedAt = &at
			}
			_, err = tx.PutParticipant(ctx, p)
			return err
		})
		time.Sleep(2 * tick)
		return at
	}
	time.Sleep(2 * tick)
	closed, open := put(2, "suspended"), put(3, "active")
	for at, want := range map[time.Time]policy.Status{
		closed.Add(-tick): policy.StatusReleased, closed: policy.StatusSuspended, open.Add(-tick): policy.StatusSuspended, open: policy.StatusReleased,
	} {
		seen, err := h.GetUserAt(h.Context(), "mercy", u.ID, at)
		if err != nil || seen.Access(at).Status != want {
			h.Errorf("closed at %v, open at %v, asked at %v: %s, %v; want %s", closed, open, at, seen.Access(at).Status, err, want)
		}
	}
}

// policiesNarrowed: what a policy version took holds from the instant at which it
// came into force, and for whom it was decided again until then; also when it
// has long been carried out.
func policiesNarrowed(h *house) {
	u, other := released("ana"), released("bo")
	h.keep(u, other)
	put := func(version int64, plan string) time.Time {
		h.Helper()
		var at time.Time
		h.write(func(ctx context.Context, tx storage.Tx) error {
			at = tx.Now()
			return tx.PutPolicy(ctx, storage.PolicyVersion{Version: version, Digest: fmt.Sprint("d", version), Document: []byte("{}"), Applied: at, Plan: plan})
		})
		time.Sleep(2 * tick)
		return at
	}
	put(1, "")
	h.write(func(ctx context.Context, tx storage.Tx) error {
		return tx.PutEffects(ctx, "p1", []storage.Effect{{User: u.ID, Narrowing: narrows("view")}, {User: other.ID}})
	})
	applied := put(2, "p1")
	decided := u
	decided.Version, decided.Decision.PolicyVersion, decided.Decision.Permissions = 2, 2, []string{"view"}
	h.keep(decided)
	carried := time.Now().UTC()
	h.write(func(ctx context.Context, tx storage.Tx) error {
		return tx.PutPlan(ctx, storage.Plan{ID: "p1", State: "applied", Row: 1, Carried: &carried})
	})
	history, err := h.ListHistory(h.Context(), u.ID)
	if err != nil || len(history) != 2 {
		h.Fatal(history, err)
	}
	second := history[1].ValidFrom
	for at, want := range map[time.Time]string{
		applied.Add(-tick): `1 ana "" released [view alerts] deleted false`,
		applied:            `1 ana "" released [view] deleted false`,
		second.Add(-tick):  `1 ana "" released [view] deleted false`,
		second:             `2 ana "" released [view] deleted false`,
	} {
		if got := h.at(u.ID, at); got != want {
			h.Errorf("in force at %v, decided at %v, asked at %v: %q, want %q", applied, second, at, got, want)
		}
		if got := h.at(other.ID, at); got != `1 bo "" released [view alerts] deleted false` {
			h.Errorf("who loses nothing: %q", got)
		}
	}
	seen, err := h.ListUsersAt(h.Context(), storage.AsOfQuery{Participant: "mercy", At: applied, Limit: 10})
	if err != nil || len(seen) != 2 {
		h.Fatal(seen, err)
	}
	for _, s := range seen {
		if narrowed := len(s.Access(applied).Permissions) == 1; narrowed != (s.ID == u.ID) {
			h.Errorf("of the list, %s holds %v", s.UserName, s.Access(applied).Permissions)
		}
	}
}

// populationsWere: pages of everybody, deleted people too, each once.
func populationsWere(h *house) {
	all, mercys := []string{}, []string{}
	for i := range 11 {
		at := []string{"mercy", "general"}[i%2]
		u := person(at, fmt.Sprint("u", i))
		h.keep(u)
		if i%3 == 0 {
			u.Version, u.Deleted, u.Active = 2, &u.Created, false
			h.keep(u)
		}
		all = append(all, u.ID)
		if at == "mercy" {
			mercys = append(mercys, u.ID)
		}
	}
	slices.Sort(all)
	slices.Sort(mercys)
	time.Sleep(2 * tick)
	now := time.Now().UTC()
	time.Sleep(2 * tick)
	h.keep(person("mercy", "later"))
	for participant, want := range map[string][]string{"": all, "mercy": mercys, "nowhere": {}} {
		got, q := []string{}, storage.AsOfQuery{Participant: participant, At: now, Limit: 3}
		for {
			page, err := h.ListUsersAt(h.Context(), q)
			if err != nil || len(page) > q.Limit {
				h.Fatal(len(page), err)
			}
			for _, u := range page {
				got = append(got, u.ID)
			}
			if len(page) < q.Limit {
				break
			}
			q.After = page[len(page)-1].ID
		}
		if !slices.Equal(got, want) {
			h.Errorf("of %q: %v, want %v", participant, got, want)
		}
		if n, err := h.CountUsersAt(h.Context(), participant, now); err != nil || n != len(want) {
			h.Errorf("of %q: counted %d, %v, want %d", participant, n, err, len(want))
		}
	}
	before := now.AddDate(-1, 0, 0)
	if page, err := h.ListUsersAt(h.Context(), storage.AsOfQuery{At: before, Limit: 3}); err != nil || len(page) != 0 {
		h.Errorf("before anybody came: %v, %v", page, err)
	}
	if n, err := h.CountUsersAt(h.Context(), "", before); err != nil || n != 0 {
		h.Errorf("before anybody came: %d, %v", n, err)
	}
}

// eventsAreFound by what narrows them, newest first, page by page.
func eventsAreFound(h *house) {
	day := time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)
	type event struct{ id, participant, user, subject, action string }
	events := []event{
		{"e1", "mercy", "u1", "ana", "user.created"}, {"e2", "mercy", "u1", "ana", "read"}, {"e3", "general", "u2", "bo", "user.created"},
		{"e4", "mercy", "", "bo", "token.issued"}, {"e5", "", "", "ana", "policy.applied"}, {"e6", "mercy", "u1", "bo", "user.changed"},
	}
	h.write(func(ctx context.Context, tx storage.Tx) error {
		for i, e := range events {
			sealed, err := audit.Seal(audit.Draft{
				ID: e.id, At: day.Add(time.Duration(i) * time.Hour), Participant: e.participant, User: e.user, Action: e.action, Actor: audit.Actor{Kind: "operator", Subject: e.subject},
			}, nil)
			if err != nil {
				return err
			}
			if err := tx.Append(ctx, sealed); err != nil {
				return err
			}
		}
		return nil
	})
	for want, q := range map[string]storage.EventQuery{
		"[e6 e5 e4 e3 e2 e1]": {}, "[e6 e4 e2 e1]": {Participant: "mercy"}, "[e6 e2 e1]": {User: "u1"}, "[e5 e2 e1]": {Actor: "ana"},
		"[e3 e1]": {Action: "user.created"}, "[e6 e1]": {User: "u1", Without: "read"}, "[e2]": {User: "u1", Action: "read"},
		"[e4 e3]": {From: day.Add(2 * time.Hour), To: day.Add(4 * time.Hour)}, "[]": {Participant: "general", User: "u1"},
	} {
		got := []string{}
		q.Limit = 2
		for {
			page, err := h.ListEvents(h.Context(), q)
			if err != nil || len(page) > q.Limit {
				h.Fatal(len(page), err)
			}
			for _, e := range page {
				got = append(got, e.ID)
			}
			if len(page) < q.Limit {
				break
			}
			q.Before = page[len(page)-1].ID
		}
		if fmt.Sprint(got) != want {
			h.Errorf("%+v: %v, want %s", q, got, want)
		}
	}
	_, err := h.GetEntry(h.Context(), "e9")
	h.missing("an entry that is not there", err)
}

// personalValuesGo with an erasure; what was proven of them stays.
func personalValuesGo(h *house) {
	u := person("mercy", "ana")
	u.GivenName, u.Title = "Ana", "Nurse"
	h.keep(u)
	kept := entry(h, u.ID, time.Now().UTC(), audit.Field{Name: "email", Class: audit.ClassPersonal, Value: "ana@mail.example"},
		audit.Field{Name: "title", Class: audit.ClassPublic, Value: "Nurse"}, audit.Field{Name: "mobile", Class: audit.ClassPersonal, Value: "+12125550123"})
	other := entry(h, "u2", time.Now().UTC(), audit.Field{Name: "email", Class: audit.ClassPersonal, Value: "bo@mail.example"})
	h.write(func(ctx context.Context, tx storage.Tx) error {
		return errors.Join(tx.Append(ctx, kept), tx.Append(ctx, other))
	})
	values := func(what string, want ...string) {
		h.Helper()
		found, err := h.ListPersonal(h.Context(), []string{kept.ID, other.ID, "e9"})
		if err != nil {
			h.Fatal(err)
		}
		got := []string{}
		for _, e := range []audit.Entry{kept, other} {
			for _, v := range found[e.ID] {
				got = append(got, fmt.Sprint(v.N, " ", v.Name, "=", v.Value))
				if v.Digest() != e.Personal[v.N].Digest() {
					h.Errorf("%s: the value of %s is not the one that was sealed", what, v.Name)
				}
			}
		}
		if !slices.Equal(got, want) {
			h.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	values("kept", "0 email=ana@mail.example", "1 mobile=+12125550123", "0 email=bo@mail.example")
	before, err := h.ListHistory(h.Context(), u.ID)
	if err != nil || len(before) != 1 || before[0].Erased || before[0].Kept.GivenName != "Ana" {
		h.Fatal(before, err)
	}
	h.write(func(ctx context.Context, tx storage.Tx) error { return tx.EraseUser(ctx, u.ID) })
	values("erased", "0 email=bo@mail.example")
	after, err := h.ListHistory(h.Context(), u.ID)
	if err != nil || len(after) != 1 || !after[0].Erased || after[0].Kept.GivenName != "" || after[0].Kept.Title != "Nurse" ||
		after[0].Digest != before[0].Digest || string(after[0].Body) != string(before[0].Body) {
		h.Errorf("history after the erasure: %+v, %v", after, err)
	}
	if was, err := h.GetUserAt(h.Context(), "mercy", u.ID, before[0].ValidFrom); err != nil || was.UserName != "" || was.Title != "Nurse" {
		h.Errorf("as they were, erased: %+v, %v", was, err)
	}
	row, err := h.GetEntry(h.Context(), kept.ID)
	if err != nil || row.Hash != kept.Hash.String() || audit.Sum(row.Canonical) != kept.Hash {
		h.Errorf("the entry after the erasure: %+v, %v", row, err)
	}
}

// settledIsSettled: an instant is not while a deed is under way that may still be
// recorded at or before it; then it is, and what the deed kept is there.
func settledIsSettled(h *house) {
	if err := h.Settle(h.Context(), time.Now()); err != nil {
		h.Fatalf("with nobody under way: %v", err)
	}
	u := person("mercy", "slow")
	stamped, end, ended := make(chan time.Time, 1), make(chan struct{}), make(chan error, 1)
	release := sync.OnceFunc(func() { close(end) })
	h.Cleanup(release)
	go func() {
		ended <- h.Write(context.Background(), func(ctx context.Context, tx storage.Tx) error {
			if _, err := tx.LockParticipant(ctx, "mercy"); err != nil {
				return err
			}
			stamped <- tx.Now() // read, and not committed
			<-end
			_, err := tx.PutUser(ctx, u)
			return err
		})
	}()
	at := <-stamped
	patience, cancel := context.WithTimeout(h.Context(), 200*time.Millisecond)
	defer cancel()
	if err := h.Settle(patience, at); !errors.Is(err, storage.ErrUnsettled) {
		h.Errorf("while a deed is under way that is recorded then: %v, want ErrUnsettled", err)
	}
	if got := h.at(u.ID, at); got != "" {
		h.Errorf("seen before it is kept: %s", got)
	}
	settled := make(chan error, 1)
	go func() { settled <- h.Settle(h.Context(), at) }()
	select {
	case err := <-settled:
		h.Errorf("settled under way: %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	release()
	if err := errors.Join(<-settled, <-ended); err != nil {
		h.Fatal(err)
	}
	if got := h.at(u.ID, at); got == "" {
		h.Error("settled, and what was recorded then is not there")
	}
}

// positionsAreFound of those that have one.
func positionsAreFound(h *house) {
	first, second := entry(h, "u1", minute(1)), entry(h, "u1", minute(2))
	h.write(func(ctx context.Context, tx storage.Tx) error {
		return errors.Join(tx.Append(ctx, first), tx.Append(ctx, second))
	})
	place := storage.LogPosition{Position: 7, Entry: first.ID, Participant: "mercy", Number: 3, Leaf: audit.Sum([]byte("leaf"))}
	h.write(func(ctx context.Context, tx storage.Tx) error {
		return tx.PutPositions(ctx, []storage.LogPosition{place})
	})
	found, err := h.ListPositions(h.Context(), []string{first.ID, second.ID})
	if err != nil {
		h.Fatal(err)
	}
	h.same("positions", found, map[string]storage.LogPosition{first.ID: place})
}
