package lifecycle_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// gail and hugo are mercy's user managers, ida is north's.
var (
	gail = lifecycle.Actor{Kind: "aum", Subject: "gail@mercy.example", Participant: "mercy"}
	hugo = lifecycle.Actor{Kind: "aum", Subject: "hugo@mercy.example", Participant: "mercy"}
	ida  = lifecycle.Actor{Kind: "aum", Subject: "ida@north.example", Participant: "north"}
)

// startReview starts a review of mercy that is due in ten days, and opens it.
func (h *house) startReview(onSilence string) storage.Review {
	h.t.Helper()
	r, err := h.StartReview(h.ctx, dana, lifecycle.ReviewSpec{Participant: "mercy", Due: h.Now().Add(10 * day), OnSilence: onSilence, Note: "Year's end."})
	if err != nil {
		h.t.Fatal(err)
	}
	h.work()
	return h.review(r.ID)
}

func (h *house) review(id string) storage.Review {
	h.t.Helper()
	r, err := h.store.GetReview(h.ctx, "mercy", id)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *house) item(r storage.Review, user string) storage.ReviewItem {
	h.t.Helper()
	i, err := h.store.GetReviewItem(h.ctx, r.ID, user)
	if err != nil {
		h.t.Fatal(err)
	}
	return i
}

func (h *house) wantsItem(r storage.Review, u storage.User, state string) storage.ReviewItem {
	h.t.Helper()
	i := h.item(r, u.ID)
	if i.State != state {
		h.t.Errorf("%s is %s in the review, want %s", u.UserName, i.State, state)
	}
	return i
}

func (h *house) decide(by lifecycle.Actor, r storage.Review, user, decision string) error {
	_, _, err := h.DecideReview(h.ctx, by, r.ID, user, lifecycle.ReviewDecision{Decision: decision, IfVersion: h.get(user).Version, Comment: "for " + decision})
	return err
}

func (h *house) decides(by lifecycle.Actor, r storage.Review, decision string, users ...storage.User) {
	h.t.Helper()
	for _, u := range users {
		if err := h.decide(by, r, u.ID, decision); err != nil {
			h.t.Fatalf("%s %s: %v", decision, u.UserName, err)
		}
	}
}

func (h *house) tallied(r storage.Review) string {
	h.t.Helper()
	all, err := h.store.TallyReviews(h.ctx, []string{r.ID})
	if err != nil {
		h.t.Fatal(err)
	}
	t := all[r.ID]
	return fmt.Sprint(t[storage.ItemOpen], t[storage.ItemKept], t[storage.ItemRevoked], t[storage.ItemEnded], t[storage.ItemSuspended])
}

func (h *house) actionsOn(about string) string {
	h.t.Helper()
	rows, err := h.store.ListEntries(h.ctx, about)
	if err != nil {
		h.t.Fatal(err)
	}
	var actions []string
	for _, row := range rows {
		actions = append(actions, row.Action)
	}
	return strings.Join(actions, " ")
}

func TestReviewFromStartToReport(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		h.contacts("mercy", "gail@mercy.example", "it@mercy.example")
		for _, spec := range []lifecycle.TokenSpec{
			{Scope: "aum", Participant: "mercy", Subject: "hugo@mercy.example", TTL: 20 * day},
			{Scope: "aum", Participant: "mercy", Subject: "Gail@mercy.example"}, {Scope: "aum", Participant: "mercy", Subject: "gone@mercy.example", TTL: time.Hour},
			{Scope: "aum", Participant: "north", Subject: "ida@north.example"}, {Scope: "scim", Participant: "mercy"},
		} {
			if _, err := h.IssueToken(h.ctx, dana, spec); err != nil {
				t.Fatal(err)
			}
		}
		people := h.staff("ana", "bob", "cleo", "held", "left")
		waits := h.create(mercy, person("waits", "Registered Nurse"))
		other := h.train(h.create(north, person("nan", "Registered Nurse")))
		if _, err := h.Hold(h.ctx, dana, people["held"].ID, "under review"); err != nil {
			t.Fatal(err)
		}
		h.leave(people["left"].ID)
		h.clock.pass(2 * time.Hour)

		r := h.startReview("")
		if r.State != storage.ReviewOpen || r.OnSilence != lifecycle.SilenceEscalates || h.tallied(r) != "4 0 0 0 0" {
			t.Fatalf("the review: %+v, %s; want those who are released or were", r, h.tallied(r))
		}
		for _, u := range []storage.User{waits, other, people["left"]} {
			if _, err := h.store.GetReviewItem(h.ctx, r.ID, u.ID); err == nil {
				t.Errorf("%s is in the review", u.UserName)
			}
		}
		for who, want := range map[string]int{"gail@mercy.example": 1, "it@mercy.example": 1, "hugo@mercy.example": 1, "gone@mercy.example": 0, "ida@north.example": 0} {
			if got := h.reviewMails(who); got != want {
				t.Errorf("%s got %d mails, want %d", who, got, want)
			}
		}
		_, err := h.StartReview(h.ctx, dana, lifecycle.ReviewSpec{Participant: "mercy", Due: h.Now().Add(day)})
		wantsKind(t, err, lifecycle.KindTaken)

		before := h.get(people["ana"].ID)
		h.decides(gail, r, lifecycle.DecisionKeep, people["ana"])
		if now := h.get(people["ana"].ID); now.Version != before.Version || h.wantsItem(r, now, storage.ItemKept).By != gail.Subject {
			t.Error("a keep moved the user, or names nobody")
		}
		h.decides(hugo, r, lifecycle.DecisionComment, people["bob"])
		if i := h.wantsItem(r, people["bob"], storage.ItemOpen); i.Comment != "for comment" || i.Decision != "" {
			t.Errorf("a comment: %+v", i)
		}
		// Access ends in the very transaction.
		item, u, err := h.DecideReview(h.ctx, hugo, r.ID, people["bob"].ID, lifecycle.ReviewDecision{Decision: lifecycle.DecisionRevoke, IfVersion: people["bob"].Version})
		if err != nil || item.State != storage.ItemRevoked || u.Active || u.Decision.Status != policy.StatusRevoked {
			t.Errorf("a revoke left %s %v, item %s, %v", u.Decision.Status, u.Active, item.State, err)
		}
		h.wants(people["bob"].ID, policy.StatusRevoked, "")
		if got := h.actionsOn(people["bob"].ID); !strings.HasSuffix(got, "review.commented review.decided user.deactivated access.revoked") {
			t.Errorf("bob's timeline: %s", got)
		}
		wantsKind(t, h.decide(gail, r, people["bob"].ID, lifecycle.DecisionKeep), lifecycle.KindRefused)
		h.leave(people["cleo"].ID)
		h.wantsItem(r, people["cleo"], storage.ItemEnded)
		wantsKind(t, h.decide(gail, r, people["cleo"].ID, lifecycle.DecisionKeep), lifecycle.KindRefused)
		_, err = h.CloseReview(h.ctx, dana, r.ID)
		wantsKind(t, err, lifecycle.KindRefused)

		// The last word closes it.
		h.decides(gail, r, lifecycle.DecisionKeep, people["held"])
		h.work()
		r = h.review(r.ID)
		if r.State != storage.ReviewClosed || h.tallied(r) != "0 2 1 1 0" || r.Escalated != nil {
			t.Fatalf("at its end: %+v %s", r, h.tallied(r))
		}
		h.reported(r, "ana:kept bob:revoked cleo:ended held:kept", people)
		if got := h.actionsOn("mercy"); !strings.Contains(got, "review.started review.opened") || !strings.Contains(got, "review.closed") || strings.Contains(got, "review.escalated") {
			t.Errorf("mercy's record: %s", got)
		}
		wantsKind(t, h.decide(gail, r, people["held"].ID, lifecycle.DecisionRevoke), lifecycle.KindRefused)
		if again, err := h.CloseReview(h.ctx, dana, r.ID); err != nil || again.Row != r.Row {
			t.Errorf("closed again: %+v, %v", again, err)
		}
		h.leave(people["ana"].ID) // what is closed moves no more
		h.reported(r, "ana:kept bob:revoked cleo:ended held:kept", people)
		if next := h.startReview(""); h.tallied(next) != "1 0 0 0 0" {
			t.Errorf("the next review asks about %s", h.tallied(next))
		}
	})
}

func (h *house) reviewMails(address string) int {
	n := 0
	for _, kind := range h.post.to(address) {
		if kind == lifecycle.JobReviewMail {
			n++
		}
	}
	return n
}

// report is the report of a closed review, checked and written.
func (h *house) report(r storage.Review) (storage.Review, []byte, error) {
	h.t.Helper()
	kept, totals, err := lifecycle.VerifyReport(h.ctx, h.store, "mercy", r.ID)
	if err != nil {
		return kept, nil, err
	}
	var text bytes.Buffer
	if err := lifecycle.WriteReport(h.ctx, h.store, kept, &text); err != nil {
		h.t.Fatal(err)
	}
	if n := strings.Count(text.String(), `{"user":`); n != totals.People {
		h.t.Errorf("%d people, and the report has %d", totals.People, n)
	}
	return kept, text.Bytes(), nil
}

// reported checks a closing report: its bytes are those of the digest in the
// entry of the closing, and it says of everybody what became of them.
func (h *house) reported(r storage.Review, want string, people map[string]storage.User) {
	h.t.Helper()
	kept, text, err := h.report(r)
	if err != nil {
		h.t.Fatal(err)
	}
	entry, err := h.store.GetEntry(h.ctx, kept.Entry)
	if err != nil {
		h.t.Fatal(err)
	}
	if entry.Action != "review.closed" || !strings.Contains(string(entry.Canonical), `"sha256:`+audit.Sum(text).String()+`"`) {
		h.t.Errorf("the entry of the closing does not hold the report's digest: %s", entry.Canonical)
	}
	var report lifecycle.ReviewReport
	if err := json.Unmarshal(text, &report); err != nil {
		h.t.Fatal(err)
	}
	names := map[string]string{}
	for name, u := range people {
		names[u.ID] = name
	}
	said := map[string]string{}
	for _, line := range report.Items {
		said[names[line.User]] = line.State
	}
	if got := strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(said), "map["), "]"); got != want {
		h.t.Errorf("the report says %s, want %s", got, want)
	}
	if report.Entry != kept.Entry || report.Totals.People != len(report.Items) {
		h.t.Errorf("the report's head: %+v", report.ReviewHead)
	}
}

func TestWhoMayNotDecide(t *testing.T) {
	h := newHouse(t)
	people := h.staff("ana")
	for name, change := range map[string]func(storage.Document){
		"byname": set("userName", "Hugo@mercy.example"), "bymail": email("HUGO@mercy.example"),
		"second": set("emails", []any{map[string]any{"value": "second@mail.example", "type": "home", "primary": true}, map[string]any{"value": "hugo@MERCY.example", "type": "work"}}),
	} {
		people[name] = h.train(h.create(mercy, person(name, "Registered Nurse", change)))
		h.wants(people[name].ID, policy.StatusReleased, "practitioner")
	}
	r := h.startReview("")
	for name, u := range people {
		err := h.decide(hugo, r, u.ID, lifecycle.DecisionRevoke)
		if name == "ana" {
			if err != nil {
				t.Errorf("about somebody else: %v", err)
			}
			continue
		}
		wantsKind(t, err, lifecycle.KindRefused)
		h.wantsItem(r, u, storage.ItemOpen)
		h.wants(u.ID, policy.StatusReleased, "practitioner")
	}
	byUsername := lifecycle.Actor{Kind: "aum", Subject: people["bymail"].HealthixUsername, Participant: "mercy"}
	wantsKind(t, h.decide(byUsername, r, people["bymail"].ID, lifecycle.DecisionKeep), lifecycle.KindRefused)
	wantsKind(t, h.decide(lifecycle.Actor{Kind: "aum", Participant: "mercy"}, r, people["bymail"].ID, lifecycle.DecisionKeep), lifecycle.KindRefused)
	wantsKind(t, h.decide(ida, r, people["bymail"].ID, lifecycle.DecisionKeep), lifecycle.KindNotFound)
	wantsKind(t, h.decide(gail, r, people["bymail"].ID, "perhaps"), lifecycle.KindInvalid)
	_, _, err := h.DecideReview(h.ctx, gail, r.ID, people["bymail"].ID, lifecycle.ReviewDecision{Decision: lifecycle.DecisionComment, IfVersion: 1})
	wantsKind(t, err, lifecycle.KindInvalid)
	_, _, err = h.DecideReview(h.ctx, gail, r.ID, people["bymail"].ID, lifecycle.ReviewDecision{Decision: lifecycle.DecisionKeep, IfVersion: people["bymail"].Version - 1})
	wantsKind(t, err, lifecycle.KindStale)
	h.decides(gail, r, lifecycle.DecisionKeep, people["bymail"])
	for _, spec := range []lifecycle.ReviewSpec{
		{Participant: "north", Due: h.Now()}, {Participant: "north", Due: h.Now().Add(370 * day)}, {Participant: "north"},
		{Participant: "north", Due: h.Now().Add(day), OnSilence: "hope"}, {Participant: "north", Due: h.Now().Add(day), Note: strings.Repeat("x", 2001)},
	} {
		_, err := h.StartReview(h.ctx, dana, spec)
		wantsKind(t, err, lifecycle.KindInvalid)
	}
	_, err = h.StartReview(h.ctx, dana, lifecycle.ReviewSpec{Participant: "nowhere", Due: h.Now().Add(day)})
	wantsKind(t, err, lifecycle.KindNotFound)
}

// A keep is a word on title and role. Who gets another one, or comes back, is
// looked at again; who left and comes back too.
func TestWhatMovesAnItem(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		people := h.staff("ana", "bob", "cleo", "dan", "eve")
		r := h.startReview("")
		h.decides(gail, r, lifecycle.DecisionKeep, people["ana"], people["bob"], people["cleo"])

		// Another title with another role; a change that is neither.
		h.change(mercy, people["ana"].ID, set("title", "Medical Records Clerk"))
		if i := h.wantsItem(r, people["ana"], storage.ItemOpen); i.Changed == nil || i.Made.Role == h.get(people["ana"].ID).Decision.TitleRole || i.Decision != "keep" {
			t.Errorf("another title: %+v", i)
		}
		h.change(mercy, people["bob"].ID, set("department", "ICU"))
		h.wantsItem(r, people["bob"], storage.ItemKept)
		h.change(mercy, people["dan"].ID, set("title", "Staff Nurse"))
		if i := h.wantsItem(r, people["dan"], storage.ItemOpen); i.Changed == nil {
			t.Error("a title that moved before anybody decided is not shown")
		}
		// Hold and lift are not a new grant.
		held, err := h.Hold(h.ctx, dana, people["bob"].ID, "lost badge")
		if err != nil {
			t.Fatal(err)
		}
		h.wantsItem(r, people["bob"], storage.ItemKept)
		if err := h.LiftHold(h.ctx, dana, people["bob"].ID, held.ID); err != nil {
			t.Fatal(err)
		}
		h.wantsItem(r, people["bob"], storage.ItemKept)

		// Leave and return: the earlier keep does not count for the new grant.
		h.leave(people["cleo"].ID)
		h.wantsItem(r, people["cleo"], storage.ItemEnded)
		h.change(mercy, people["cleo"].ID, set("active", true))
		h.wants(people["cleo"].ID, policy.StatusReleased, "practitioner")
		h.wantsItem(r, people["cleo"], storage.ItemOpen)

		// A revoke that the provider turns round.
		h.decides(gail, r, lifecycle.DecisionRevoke, people["eve"])
		h.change(mercy, people["eve"].ID, set("department", "ICU"))
		h.wantsItem(r, people["eve"], storage.ItemRevoked)
		h.change(mercy, people["eve"].ID, set("active", true))
		h.wantsItem(r, people["eve"], storage.ItemOpen)

		// To a title without access, and back.
		h.change(mercy, people["bob"].ID, set("title", "Volunteer"))
		if got := h.get(people["bob"].ID).Decision.Status; got != policy.StatusIneligible {
			t.Fatalf("a title without access gives %s", got)
		}
		h.wantsItem(r, people["bob"], storage.ItemEnded)
		h.remove(people["dan"].ID)
		h.wantsItem(r, people["dan"], storage.ItemEnded)
		if got := h.tallied(r); got != "3 0 0 2 0" {
			t.Errorf("in the end %s", got)
		}
	})
}

// Who moved between a review's instant and the making of its item.
func TestWhoMovesWhileItemsAreMade(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		people := h.staff("ana", "bob", "cleo", "dan")
		late := h.create(mercy, person("late", "Registered Nurse"))
		r, err := h.StartReview(h.ctx, dana, lifecycle.ReviewSpec{Participant: "mercy", Due: h.Now().Add(10 * day)})
		if err != nil {
			t.Fatal(err)
		}
		wantsKind(t, h.decide(gail, r, people["dan"].ID, lifecycle.DecisionKeep), lifecycle.KindNotFound)
		_, err = h.CloseReview(h.ctx, dana, r.ID)
		wantsKind(t, err, lifecycle.KindRefused)
		h.leave(people["ana"].ID)
		h.remove(people["bob"].ID)
		h.change(mercy, people["cleo"].ID, set("title", "Staff Nurse"))
		h.train(late)
		h.work()
		if got := h.tallied(r); got != "2 0 0 2 0" {
			t.Errorf("%s, want two open and two ended", got)
		}
		if i := h.wantsItem(r, people["cleo"], storage.ItemOpen); i.Changed == nil || i.Made.Version != people["cleo"].Version {
			t.Errorf("who changed meanwhile: %+v", i)
		}
		if i := h.wantsItem(r, people["dan"], storage.ItemOpen); i.Changed != nil {
			t.Errorf("who did not change: %+v", i)
		}
	})
}

// More people than one batch, and two workers on one review.
func TestReviewInBatches(t *testing.T) {
	h := newHouse(t)
	const many = 1100
	people := h.staff("ana")
	template := h.get(people["ana"].ID)
	for from := 0; from < many; from += 100 {
		err := h.store.Write(h.ctx, func(ctx context.Context, tx storage.Tx) error {
			for n := from; n < from+100; n++ {
				u := template
				u.ID, u.Version = fmt.Sprintf("00000000-0000-4000-8000-%012d", n), 1
				u.UserName, u.ExternalID, u.HealthixUsername = fmt.Sprintf("u%04d", n), fmt.Sprintf("e%04d", n), fmt.Sprintf("bbbb%04d", n)
				u.UserNameKey, u.Email, u.EmailKey = u.UserName, u.UserName+"@mail.example", u.UserName+"@mail.example"
				u.Created = tx.Now()
				if _, err := tx.PutUser(ctx, u); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	r, err := h.StartReview(h.ctx, dana, lifecycle.ReviewSpec{Participant: "mercy", Due: h.Now().Add(10 * day)})
	if err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if err := h.Do(h.ctx, storage.Job{Kind: lifecycle.JobReview, Subject: r.ID}); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	if got := h.tallied(r); got != fmt.Sprint(many+1, " 0 0 0 0") {
		t.Errorf("%s, want %d", got, many+1)
	}
	if got := strings.Count(h.actionsOn("mercy"), "review.opened"); got != 1 {
		t.Errorf("opened %d times", got)
	}
}

// Of several operators who start a review at once, one does; the others hear why not.
func TestReviewsAreStartedOneAtATime(t *testing.T) {
	onBothHouses(t, func(h *house) {
		h.staff("ana")
		const most = 6
		failed := make(chan error, most)
		var all sync.WaitGroup
		for range most {
			all.Go(func() {
				_, err := h.StartReview(h.ctx, dana, lifecycle.ReviewSpec{Participant: "mercy", Due: h.Now().Add(20 * 24 * time.Hour)})
				failed <- err
			})
		}
		all.Wait()
		started := 0
		for range most {
			if err := <-failed; err == nil {
				started++
			} else {
				wantsKind(h.t, err, lifecycle.KindTaken)
			}
		}
		if started != 1 {
			h.t.Errorf("%d reviews were started", started)
		}
	})
}
