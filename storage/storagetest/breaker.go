package storagetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// slip is a loss at a minute.
func slip(participant, user string, version int64, at int) storage.Loss {
	return storage.Loss{User: user, Participant: participant, Version: version, At: minute(at), Prior: minute(0), Kind: "active"}
}

func (h *house) putLosses(losses ...storage.Loss) {
	h.Helper()
	h.write(func(ctx context.Context, tx storage.Tx) error {
		for _, l := range losses {
			if err := tx.PutLoss(ctx, l); err != nil {
				return err
			}
		}
		return nil
	})
}

func breakerCase(id, participant string, since int) storage.BreakerCase {
	return storage.BreakerCase{
		ID: id, Participant: participant, Opened: minute(20), Since: minute(since), Threshold: "too many", People: 5, Base: 9, Row: 1,
	}
}

func (h *house) putCase(c storage.BreakerCase) error {
	return h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error { return tx.PutBreakerCase(ctx, c) })
}

func lossesAreCounted(h *house) {
	h.putLosses(
		slip("mercy", "u1", 1, 1), slip("mercy", "u1", 2, 5), slip("mercy", "u2", 1, 5), slip("mercy", "u3", 1, 6),
		slip("general", "u4", 1, 6),
	)
	count := func(late, early int, wantRecent, wantAll int) {
		h.Helper()
		recent, all, err := h.CountLosses(h.Context(), "mercy", minute(late), minute(early))
		if err != nil || recent != wantRecent || all != wantAll {
			h.Errorf("after minutes %d and %d: %d, %d, %v; want %d, %d", late, early, recent, all, err, wantRecent, wantAll)
		}
	}
	count(5, 0, 1, 3) // what happened at the instant itself is out
	count(4, 1, 3, 3)
	count(6, 5, 0, 1)
	c := breakerCase("c1", "mercy", 5)
	h.write(func(ctx context.Context, tx storage.Tx) error {
		if err := tx.PutBreakerCase(ctx, c); err != nil {
			return err
		}
		return tx.StageLosses(ctx, c)
	})
	count(0, 0, 2, 2) // a case holds u3's
	if ids, err := h.ListStaged(h.Context(), "c1", "", 10); err != nil || fmt.Sprint(ids) != "[u3]" {
		h.Errorf("staged %v, %v", ids, err)
	}
	if err := h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
		return tx.PutLoss(ctx, slip("mercy", "u1", 2, 9))
	}); err == nil {
		h.Error("one version of a user is lost twice")
	}
}

func casesAreKept(h *house) {
	ctx := h.Context()
	c := breakerCase("c1", "mercy", 0)
	c.Except = []string{"u9", "u8"}
	c.RestoreAt, c.RestoreBy = minuteOf(21), "dana@healthix.example"
	if err := h.putCase(c); err != nil {
		h.Fatal(err)
	}
	if err := h.putCase(breakerCase("c2", "mercy", 0)); err == nil {
		h.Error("two cases of one participant are open")
	}
	if err := h.putCase(breakerCase("c3", "general", 0)); err != nil {
		h.Error(err)
	}
	open, found, err := h.FindBreakerCase(ctx, "mercy", true)
	if err != nil || !found {
		h.Fatalf("%v, %v", found, err)
	}
	c.Listed = []storage.Listed{}
	h.same("open case", open, c)
	if list, err := h.ListOpenCases(ctx); err != nil || len(list) != 2 {
		h.Errorf("open cases %v, %v", list, err)
	}
	if _, found, err := h.FindBreakerCase(ctx, "mercy", false); found || err != nil {
		h.Errorf("a closed one: %v, %v", found, err)
	}
	c.Closed, c.ClosedBy, c.Outcome, c.Restored, c.Row = minuteOf(30), "erin@healthix.example", "restored", 4, 2
	c.Listed = []storage.Listed{{ID: "u7", Reason: "userName is in use"}}
	if err := h.putCase(c); err != nil {
		h.Fatal(err)
	}
	if err := h.putCase(c); !errors.Is(err, storage.ErrStale) {
		h.Errorf("row 2 again: %v, want ErrStale", err)
	}
	got, err := h.GetBreakerCase(ctx, "c1")
	if err != nil {
		h.Fatal(err)
	}
	h.same("closed case", got, c)
	later := breakerCase("c4", "mercy", 0)
	if err := h.putCase(later); err != nil {
		h.Fatalf("a new case after one that is closed: %v", err)
	}
	last, found, err := h.FindBreakerCase(ctx, "mercy", false)
	if err != nil || !found || last.ID != "c1" {
		h.Errorf("closed last: %s, %v, %v", last.ID, found, err)
	}
	_, err = h.GetBreakerCase(ctx, "c9")
	h.missing("a case that is not there", err)
}

func lossesAreResolved(h *house) {
	ctx := h.Context()
	until := minute(50)
	full := slip("mercy", "u1", 7, 2)
	full.Case = "c1"
	full.Before = &storage.Preimage{
		Document: storage.Document{"userName": "ana", "number": json.Number("1.50")}, Fold: json.RawMessage(`{"username":"ana"}`),
		Decision:       policy.Decision{Status: policy.StatusReleased, Role: "practitioner", Permissions: []string{"patient.search"}, ValidUntil: &until, Gates: []policy.GateState{}},
		ClinicalAlerts: "alerts", Approvals: []string{"a1"}, Groups: []string{"g1"},
	}
	older := full
	older.Version, older.At = 6, minute(1)
	other := slip("mercy", "u2", 1, 3)
	other.Case, other.Before = "c1", full.Before
	third := slip("mercy", "u3", 1, 3)
	third.Case, third.Before = "c1", full.Before
	h.putLosses(older, full, other, third)
	got, err := h.ListLosses(ctx, "c1", "u1")
	if err != nil || len(got) != 2 {
		h.Fatalf("%v, %v", got, err)
	}
	h.same("newest first", got, []storage.Loss{full, older})

	resolve := func(user, outcome, why string) {
		h.Helper()
		h.write(func(ctx context.Context, tx storage.Tx) error { return tx.ResolveLosses(ctx, "c1", user, outcome, why) })
	}
	resolve("u1", storage.OutcomeListed, "the user was changed")
	resolve("u3", storage.OutcomeExcepted, "")
	if n, err := h.TallyCase(ctx, "c1"); err != nil || n != (storage.Tally{Staged: 1, Listed: 1, Excepted: 1}) {
		h.Errorf("tally %+v, %v", n, err)
	}
	resolve("u2", storage.OutcomeRestored, "")
	if n, err := h.TallyCase(ctx, "c1"); err != nil || n != (storage.Tally{Restored: 1, Listed: 1, Excepted: 1}) {
		h.Errorf("tally %+v, %v", n, err)
	}
	if got, err = h.ListLosses(ctx, "c1", "u1"); err != nil || len(got) != 2 || got[0].Before != nil || got[1].Before != nil || got[0].Outcome != storage.OutcomeListed {
		h.Errorf("resolved are %+v, %v", got, err)
	}
	listed, err := h.ListNotRestored(ctx, "c1")
	if err != nil {
		h.Fatal(err)
	}
	h.same("listed", listed, []storage.Listed{{ID: "u1", Reason: "the user was changed"}})
	if ids, err := h.ListStaged(ctx, "c1", "", 10); err != nil || len(ids) != 0 {
		h.Errorf("staged %v, %v", ids, err)
	}
}

func lossesAreForgotten(h *house) {
	var losses []storage.Loss
	for i := range 5 {
		old, open, closed := slip("mercy", fmt.Sprintf("o%d", i), 1, 1), slip("mercy", fmt.Sprintf("s%d", i), 1, 1), slip("general", fmt.Sprintf("c%d", i), 1, 9)
		open.Case, closed.Case = "open", "closed"
		losses = append(losses, old, open, closed, slip("mercy", fmt.Sprintf("n%d", i), 1, 9))
	}
	h.putLosses(losses...)
	done := breakerCase("closed", "general", 0)
	done.Closed = minuteOf(10)
	if err := errors.Join(h.putCase(breakerCase("open", "mercy", 0)), h.putCase(done)); err != nil {
		h.Fatal(err)
	}
	forget := func(limit, want int) {
		h.Helper()
		h.write(func(ctx context.Context, tx storage.Tx) error {
			n, err := tx.DeleteLosses(ctx, minute(5), limit)
			if n != want {
				h.Errorf("forgot %d of %d, want %d", n, limit, want)
			}
			return err
		})
	}
	forget(3, 3)
	forget(4, 4)
	forget(100, 3)
	forget(100, 0)
	if _, all, err := h.CountLosses(h.Context(), "mercy", minute(0), minute(0)); err != nil || all != 5 {
		h.Errorf("%d are left, %v", all, err)
	}
	if ids, err := h.ListStaged(h.Context(), "open", "s1", 2); err != nil || fmt.Sprint(ids) != "[s2 s3]" {
		h.Errorf("after s1: %v, %v", ids, err)
	}
}

// activeOnes: who is active, and who stopped since; never who was taken in
// inactive.
func activeOnes(h *house) {
	at := func(n int) storage.User {
		u := person("mercy", fmt.Sprintf("user%d", n))
		u.Created = minute(0)
		return u
	}
	stays, left, gone, long, never := at(1), at(2), at(3), at(4), at(5)
	left.Active, left.ClosedAt = false, minuteOf(10)
	gone.Deleted, gone.ClosedAt = minuteOf(11), minuteOf(11)
	long.Active, long.ClosedAt = false, minuteOf(5)
	never.Active, never.Created, never.ClosedAt = false, minute(12), minuteOf(12)
	suspended := at(6)
	suspended.ClosedAt = minuteOf(11)
	h.keep(stays, left, gone, long, never, suspended, person("general", "user1"))
	count := func(since time.Time, most, want int) {
		h.Helper()
		if n, err := h.CountActiveSince(h.Context(), "mercy", since, most); err != nil || n != want {
			h.Errorf("since %v, %d at most: %d, %v; want %d", since, most, n, err, want)
		}
	}
	count(minute(5), 100, 4) // the instant itself is out
	count(minute(4), 100, 5)
	count(minute(10), 100, 3)
	count(minute(30), 100, 2)
	count(minute(4), 3, 3)
	count(minute(4), 2, 2)
	count(minute(4), 1, 1)
}

// breakersAreLocked: of many who count at once, each counts those before it.
func breakersAreLocked(h *house) {
	const people = 12
	seen := make([]int, people)
	for _, err := range together(people, func(i int) error {
		return h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
			if err := tx.LockBreaker(ctx, "mercy"); err != nil {
				return err
			}
			if err := tx.PutLoss(ctx, slip("mercy", fmt.Sprintf("u%d", i), 1, 1)); err != nil {
				return err
			}
			var err error
			_, seen[i], err = tx.CountLosses(ctx, "mercy", minute(0), minute(0))
			return err
		})
	}) {
		if err != nil {
			h.Error(err)
		}
	}
	met := map[int]bool{}
	for _, n := range seen {
		met[n] = true
	}
	if len(met) != people || !met[people] {
		h.Errorf("they counted %v", seen)
	}
}
