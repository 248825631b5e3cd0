package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// A deadline that passes while nobody is there is caught up, by one of two nodes.
func TestUndecidedAreEscalated(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		people := h.staff("ana", "bob", "cleo")
		r := h.startReview("")
		h.decides(gail, r, lifecycle.DecisionKeep, people["ana"])
		h.clock.pass(10*day - 2*60*1e9)
		h.sweep()
		h.work()
		if r = h.review(r.ID); r.State != storage.ReviewOpen {
			t.Fatalf("before the deadline the review is %s", r.State)
		}
		h.clock.pass(3 * day)
		var nodes sync.WaitGroup
		for range 2 {
			nodes.Go(func() {
				if err := h.Do(h.ctx, storage.Job{Kind: lifecycle.JobReview, Subject: r.ID}); err != nil {
					t.Error(err)
				}
			})
		}
		nodes.Wait()
		h.sweep()
		h.work()
		r = h.review(r.ID)
		if r.State != storage.ReviewEscalated || r.Undecided != 2 || r.Escalated == nil || h.tallied(r) != "2 1 0 0 0" {
			t.Fatalf("after it: %+v %s", r, h.tallied(r))
		}
		if got := strings.Count(h.actionsOn("mercy"), "review.escalated"); got != 1 {
			t.Errorf("escalated %d times", got)
		}
		h.wants(people["bob"].ID, policy.StatusReleased, "practitioner") // nothing is taken
		h.decides(gail, r, lifecycle.DecisionKeep, people["bob"])        // late, and still of use
		kept, err := h.CloseReview(h.ctx, dana, r.ID)
		if err != nil || kept.ClosedBy != dana.Subject {
			t.Fatalf("an operator closes it: %+v, %v", kept, err)
		}
		h.reported(kept, "ana:kept bob:kept cleo:open", people)
	})
}

func TestAnOperatorClosesBeforeAWorkerLooks(t *testing.T) {
	h := newHouse(t)
	people := h.staff("ana")
	r := h.startReview("")
	h.clock.pass(10 * day)
	r, err := h.CloseReview(h.ctx, dana, r.ID)
	if err != nil || r.Escalated == nil || r.Undecided != 1 {
		t.Fatalf("%+v, %v; want it escalated and closed", r, err)
	}
	h.reported(r, "ana:open", people)
	if got := h.actionsOn("mercy"); !strings.HasSuffix(got, "review.escalated review.closed") {
		t.Errorf("on record: %s", got)
	}
}

// Where it was chosen, whoever is undecided is held; that counts in the breaker,
// and a restore gives access back.
func TestSilenceSuspends(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		names := []string{"a1", "a2", "a3", "a4", "a5", "a6", "a7"}
		people := h.staff(names...)
		r := h.startReview(lifecycle.SilenceSuspends)
		h.decides(gail, r, lifecycle.DecisionKeep, people["a1"])
		held, err := h.Hold(h.ctx, dana, people["a7"].ID, "under review")
		if err != nil {
			t.Fatal(err)
		}
		h.clock.pass(11 * day)
		_, err = h.CloseReview(h.ctx, dana, r.ID)
		wantsKind(t, err, lifecycle.KindRefused) // nobody is let off by closing it early
		h.sweep()
		h.work()
		r = h.review(r.ID)
		if r.State != storage.ReviewClosed || r.Undecided != 6 || h.tallied(r) != "0 1 0 0 6" {
			t.Fatalf("after the deadline: %+v %s", r, h.tallied(r))
		}
		h.wants(people["a1"].ID, policy.StatusReleased, "practitioner")
		for _, name := range names[1:] {
			h.wants(people[name].ID, policy.StatusSuspended, "", "hold")
		}
		if got := h.actionsOn(people["a2"].ID); !strings.HasSuffix(got, "hold.placed access.suspended mail.sent") {
			t.Errorf("a2's timeline: %s", got)
		}
		h.reported(r, "a1:kept a2:suspended a3:suspended a4:suspended a5:suspended a6:suspended a7:suspended", people)

		// Five lost access by it; a7 had lost it before.
		c := h.tripped(5, 7, small)
		got, err := h.Restore(h.ctx, dana, lifecycle.RestoreSpec{Participant: "mercy", Except: []string{people["a3"].ID}}, nil)
		if err != nil || got.Restored != 4 || len(got.Listed) != 0 || got.Excepted != 1 {
			t.Fatalf("restored %+v of case %s, %v", got, c.ID, err)
		}
		h.wants(people["a2"].ID, policy.StatusReleased, "practitioner")
		h.wants(people["a3"].ID, policy.StatusSuspended, "", "hold")
		if err := h.LiftHold(h.ctx, dana, people["a7"].ID, held.ID); err != nil {
			t.Fatal(err)
		}
		h.wants(people["a7"].ID, policy.StatusSuspended, "", "hold") // the review's is there still
	})
}

// What reviewers revoke is their own write, and counts too.
func TestRevokesCountInTheBreaker(t *testing.T) {
	h := newHouse(t)
	people := h.staff("a1", "a2", "a3", "a4", "a5", "a6")
	r := h.startReview("")
	for _, name := range []string{"a1", "a2", "a3", "a4"} {
		h.decides(gail, r, lifecycle.DecisionRevoke, people[name])
	}
	h.untripped("at 4 of 6")
	h.decides(gail, r, lifecycle.DecisionRevoke, people["a5"])
	h.tripped(5, 6, small)
}

// A worker that dies anywhere in the suspensions leaves nobody out and holds
// nobody twice.
func TestSuspensionsGoOn(t *testing.T) {
	h := newHouse(t)
	people := h.staff("a1", "a2", "a3")
	r := h.startReview(lifecycle.SilenceSuspends)
	h.clock.pass(11 * day)
	var hold sync.WaitGroup
	for range 4 { // a job that was taken for dead, and its successors
		hold.Go(func() {
			if err := h.Do(h.ctx, storage.Job{Kind: lifecycle.JobReview, Subject: r.ID}); err != nil && !errors.Is(err, storage.ErrNotFound) {
				t.Error(err)
			}
		})
	}
	hold.Wait()
	h.sweep()
	h.work()
	for name, u := range people {
		holds, err := h.store.ListHolds(h.ctx, u.ID)
		if err != nil || len(holds) != 1 || holds[0].Actor != lifecycle.System.Subject || holds[0].ID != h.item(r, u.ID).Hold {
			t.Errorf("%s: %d holds, %v", name, len(holds), err)
		}
	}
	if r = h.review(r.ID); r.State != storage.ReviewClosed {
		t.Errorf("the review is %s", r.State)
	}
}

// Seven days and one day before, each once, and after a pause only the nearest;
// one that waited too long leaves it to the next.
func TestReviewersAreReminded(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		h.contacts("mercy", "gail@mercy.example")
		people := h.staff("ana", "bob")
		r := h.startReview(lifecycle.SilenceSuspends)
		var at []string
		for hour := range 10*24 + 12 {
			before := h.reviewMails("gail@mercy.example")
			h.clock.pass(day / 24)
			if hour == 30 {
				h.decides(gail, r, lifecycle.DecisionKeep, people["ana"])
			}
			h.sweep()
			h.work()
			if n := h.reviewMails("gail@mercy.example") - before; n > 0 {
				at = append(at, fmt.Sprint(n, " ", int(r.Due.Sub(h.Now()).Hours())))
			}
		}
		if fmt.Sprint(at) != "[1 167 1 23]" {
			t.Errorf("reminded with so many hours left: %v; want once each below 168 and 24", at)
		}
		m := h.post.last(t, "gail@mercy.example")
		for _, want := range []string{"1 of 2 people are undecided", "1 day,", "Thursday, March 12, 2026", "is suspended", "Year's end."} {
			if !strings.Contains(m.Subject+"\n"+m.Text, want) {
				t.Errorf("the reminder does not say %q:\n%s\n%s", want, m.Subject, m.Text)
			}
		}
		for _, name := range []string{"Ana", "Bob", "Lima"} {
			if strings.Contains(m.Subject+m.Text+m.HTML, name) {
				t.Errorf("the reminder names %s", name)
			}
		}
	})
}

func TestReminderThatIsLateLeavesItToTheNext(t *testing.T) {
	h := newHouse(t)
	h.contacts("mercy", "gail@mercy.example")
	people := h.staff("ana")
	r := h.startReview("")
	h.clock.pass(4 * day)
	h.sweep()
	if err := h.Do(h.ctx, storage.Job{Kind: lifecycle.JobReview, Subject: r.ID}); err != nil {
		t.Fatal(err)
	}
	h.clock.pass(5*day + day/2) // the post was on strike for days
	if err := h.Do(h.ctx, storage.Job{Kind: lifecycle.JobReview, Subject: r.ID}); err != nil {
		t.Fatal(err)
	}
	h.work()
	if got := h.reviewMails("gail@mercy.example"); got != 2 { // the beginning, and a day before
		t.Errorf("%d mails, want 2", got)
	}
	if got := h.post.last(t, "gail@mercy.example").Subject; !strings.Contains(got, "1 of 1 people") {
		t.Errorf("the last one: %s", got)
	}
	h.decides(gail, r, lifecycle.DecisionKeep, people["ana"])
	h.work()
	if got := strings.Count(h.actionsOn("mercy"), "mail.withheld"); got != 1 {
		t.Errorf("%d mails withheld, want one", got)
	}
}

// Rows that were changed under the report's hand do not pass for it.
func TestAlteredReport(t *testing.T) {
	h := newHouse(t)
	people := h.staff("ana")
	r := h.startReview("")
	_, _, err := h.report(r)
	wantsKind(t, err, lifecycle.KindRefused)
	h.decides(gail, r, lifecycle.DecisionKeep, people["ana"])
	h.work()
	r = h.review(r.ID)
	h.reported(r, "ana:kept", people)
	item := h.item(r, people["ana"].ID)
	item.Decision = lifecycle.DecisionRevoke
	if err := h.store.Write(h.ctx, func(ctx context.Context, tx storage.Tx) error { return tx.PutReviewItem(ctx, item) }); err != nil {
		t.Fatal(err)
	}
	_, _, err = h.report(r)
	wantsKind(t, err, lifecycle.KindInternal)
	// An erasure empties what reviewers wrote, and breaks nothing.
	item.Decision = lifecycle.DecisionKeep
	if err := h.store.Write(h.ctx, func(ctx context.Context, tx storage.Tx) error {
		if err := tx.PutReviewItem(ctx, item); err != nil {
			return err
		}
		return tx.EraseUser(ctx, people["ana"].ID)
	}); err != nil {
		t.Fatal(err)
	}
	if got := h.item(r, people["ana"].ID).Comment; got != "" {
		t.Errorf("after the erasure: %q", got)
	}
	h.reported(r, "ana:kept", people)
}

// What was answered before a review closed is in its report, and what came later
// is refused: decisions, leavers and the closing at the same time.
func TestClosingMeetsDecisions(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		names := []string{"a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8"}
		people := h.staff(names...)
		r := h.startReview("")
		h.clock.pass(11 * day)
		var all sync.WaitGroup
		decided := make([]error, len(names))
		for n, name := range names {
			all.Go(func() {
				if n%4 == 3 {
					if _, err := h.tryChange(mercy, people[name].ID, set("active", false)); err != nil {
						t.Errorf("%s leaves: %v", name, err)
					}
					return
				}
				word := lifecycle.ReviewDecision{Decision: []string{lifecycle.DecisionKeep, lifecycle.DecisionRevoke}[n%2], IfVersion: people[name].Version}
				_, _, decided[n] = h.DecideReview(h.ctx, gail, r.ID, people[name].ID, word)
			})
		}
		all.Go(func() {
			if _, err := h.CloseReview(h.ctx, dana, r.ID); err != nil {
				t.Error(err)
			}
		})
		all.Wait()
		_, text, err := h.report(r)
		if err != nil {
			t.Fatal(err) // an item moved after the closing
		}
		for n, name := range names {
			said := strings.Contains(string(text), `{"user":"`+people[name].ID+`","state":"open"`)
			switch {
			case n%4 == 3: // ended, or open when the review closed first
			case decided[n] == nil && said:
				t.Errorf("%s was decided about, and the report says nobody did", name)
			case decided[n] != nil && !said:
				t.Errorf("%s: %v, and the report says somebody decided", name, decided[n])
			case decided[n] != nil:
				wantsKind(t, decided[n], lifecycle.KindRefused)
			}
		}
	})
}
