package lifecycle_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
)

// onBothEngines runs a test on both databases.
func onBothEngines(t *testing.T, test func(t *testing.T, h *house)) {
	for name, url := range map[string]func(testing.TB) string{
		"sqlite":   func(t testing.TB) string { return "sqlite://" + filepath.Join(t.TempDir(), "house.db") },
		"postgres": pgtest.URL,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newHouseAt(t, url(t)))
		})
	}
}

// crowd takes people in at mercy: named, active, never released.
func (h *house) crowd(name string, n int) []string {
	h.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		who := fmt.Sprintf("%s%03d", name, i)
		ids[i] = h.create(mercy, person(who, "Registered Nurse")).ID
	}
	return ids
}

// staff are people at mercy with access.
func (h *house) staff(names ...string) map[string]storage.User {
	h.t.Helper()
	people := map[string]storage.User{}
	for _, name := range names {
		people[name] = h.train(h.create(mercy, person(name, "Registered Nurse")))
		h.wants(people[name].ID, "released", "practitioner")
	}
	return people
}

func (h *house) leave(ids ...string) {
	h.t.Helper()
	for _, id := range ids {
		h.change(mercy, id, set("active", false))
	}
}

func (h *house) remove(ids ...string) {
	h.t.Helper()
	for _, id := range ids {
		if err := h.DeleteUser(h.ctx, mercy, id, nil); err != nil {
			h.t.Fatal(err)
		}
	}
}

// byHand deactivates as Healthix's form does.
func (h *house) byHand(ids ...string) {
	h.t.Helper()
	for _, id := range ids {
		u := h.get(id)
		if _, err := h.Deactivate(h.ctx, dana, "", id, lifecycle.Identity{
			GivenName: u.GivenName, FamilyName: u.FamilyName, Email: u.Email, Username: u.HealthixUsername,
		}); err != nil {
			h.t.Fatal(err)
		}
	}
}

// open is mercy's open case, nil when there is none.
func (h *house) open() *storage.BreakerCase {
	h.t.Helper()
	c, open, err := h.store.FindBreakerCase(h.ctx, "mercy", true)
	if err != nil {
		h.t.Fatal(err)
	}
	if !open {
		return nil
	}
	return &c
}

// tripped wants an open case that came about like this.
func (h *house) tripped(people, base int, threshold string) storage.BreakerCase {
	h.t.Helper()
	c := h.open()
	if c == nil {
		h.t.Fatalf("the breaker did not trip at %d of %d", people, base)
	}
	if c.People != people || c.Base != base || !strings.Contains(c.Threshold, threshold) {
		h.t.Fatalf("the breaker tripped at %d of %d, %s; want %d of %d, %s", c.People, c.Base, c.Threshold, people, base, threshold)
	}
	return *c
}

func (h *house) untripped(what string) {
	h.t.Helper()
	if c := h.open(); c != nil {
		h.t.Fatalf("the breaker tripped %s: %d of %d, %s", what, c.People, c.Base, c.Threshold)
	}
}

func (h *house) tally(c storage.BreakerCase) storage.Tally {
	h.t.Helper()
	n, err := h.store.TallyCase(h.ctx, c.ID)
	if err != nil {
		h.t.Fatal(err)
	}
	return n
}

const (
	many  = "more than 25 people and more than 10 % within 10 minutes"
	small = "5 people or more and more than 50 % within 10 minutes"
	daily = "5 people or more and more than 30 % within 24 hours"
)

func TestBreakerEdges(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		people := h.crowd("a", 250)
		h.leave(people[:25]...)
		h.untripped("at 25 of 250")
		h.leave(people[25])
		h.tripped(26, 250, many)
	})
}

func TestBreakerAtTenPercent(t *testing.T) {
	h := newHouse(t)
	people := h.crowd("a", 260)
	h.leave(people[:26]...)
	h.untripped("at 10 % exactly")
	h.leave(people[26])
	h.tripped(27, 260, many)
}

func TestBreakerOfSmallParticipants(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		people := h.crowd("a", 9)
		h.leave(people[:4]...)
		h.untripped("at 4 of 9")
		h.leave(people[4])
		c := h.tripped(5, 9, small)
		if n := h.tally(c); n.Staged != 5 {
			t.Errorf("staged are %+v", n)
		}
		h.remove(people[5]) // joins
		if n := h.tally(c); n.Staged != 6 {
			t.Errorf("after one more, staged are %+v", n)
		}
		if c := h.open(); c.People != 5 {
			t.Errorf("the case says %d people tripped it", c.People)
		}
		// At the other participant nothing happened.
		if _, open, err := h.store.FindBreakerCase(h.ctx, "north", true); open || err != nil {
			t.Errorf("north: %v %v", open, err)
		}
	})
}

func TestBreakerByTheDay(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		people := h.crowd("a", 20)
		// A slow drip: six of twenty are 30 % and no more.
		for _, id := range people[:6] {
			h.leave(id)
			h.clock.pass(3 * time.Hour)
			h.untripped("by a drip of 30 %")
		}
		h.leave(people[6])
		h.tripped(7, 20, daily)
	})
}

func TestBreakerForgetsAfterADay(t *testing.T) {
	h := newHouse(t)
	people := h.crowd("a", 40)
	for _, id := range people[:12] {
		h.leave(id)
		h.clock.pass(5 * time.Hour) // five in 24 hours at most
		h.untripped("by a drip over days")
	}
	if _, err := h.Sweep(h.ctx); err != nil {
		t.Fatal(err)
	}
	recent, all, err := h.store.CountLosses(h.ctx, "mercy", h.Now().Add(-10*time.Minute), time.Time{})
	if err != nil || recent != 0 || all != 4 {
		t.Errorf("%d losses are kept, %d recent, %v; want the 4 of the last day", all, recent, err)
	}
}

// Half of a small participant in ten minutes is more than half of those who were
// active in these ten minutes, not of those who are left.
func TestBreakerBase(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		people := h.crowd("a", 17)
		for i := range 5 { // never active, so no part of any share
			h.create(mercy, person(fmt.Sprintf("z%d", i), "Registered Nurse", set("active", false)))
		}
		h.byHand(people[:7]...)
		h.untripped("by hand")
		h.leave(people[7:11]...)
		h.remove(people[11])
		h.untripped("at 5 of 17, seven of whom an operator deactivated")
		h.remove(people[:7]...) // inactive ones: they count no more
		h.untripped("by deleting inactive users")
		h.remove(people[12])
		h.tripped(6, 17, daily)
	})
}

func TestBreakerIsNotFooledByVerbs(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		s := h.staff("ana", "ben", "cleo", "dan", "eve", "finn", "gus", "hal", "ida")
		h.change(mercy, s["ana"].ID, set("title", "Chief Vibes Officer"))
		h.change(mercy, s["ana"].ID, set("title", "Chaplain"))                     // counted once
		h.change(mercy, s["finn"].ID, set("title", "Certified Nursing Assistant")) // narrower, not gone
		h.wants(s["finn"].ID, "released", "clinical-staff")
		h.change(mercy, s["ben"].ID, set("phoneNumbers", nil))
		h.change(mercy, s["cleo"].ID, email("frontdesk@mail.example"))
		h.leave(s["dan"].ID)
		h.leave(s["ana"].ID)
		h.remove(s["dan"].ID)
		h.untripped("at 4 of 9")
		h.remove(s["eve"].ID)
		h.tripped(5, 9, small)
	})
}

// Who deletes at the same moment sees nothing of the others, and yet the fifth
// of nine trips it.
func TestBreakerAtTheSameMoment(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		for round := range 8 {
			people := h.crowd(fmt.Sprintf("r%d", round), 9)
			var leaving sync.WaitGroup
			start := make(chan struct{})
			for _, id := range people[:5] {
				leaving.Go(func() {
					<-start
					if err := h.DeleteUser(h.ctx, mercy, id, nil); err != nil {
						t.Error(err)
					}
				})
			}
			close(start)
			leaving.Wait()
			c := h.tripped(5, 9, small)
			if n := h.tally(c); n.Staged != 5 {
				t.Errorf("staged are %+v", n)
			}
			if _, err := h.AcceptLosses(h.ctx, dana, "mercy"); err != nil {
				t.Fatal(err)
			}
			h.remove(people[5:]...)
			h.clock.pass(25 * time.Hour)
		}
	})
}

func TestBreakerSettings(t *testing.T) {
	h := newHouse(t)
	setting := func(text string) error {
		_, err := h.ChangeParticipant(h.ctx, dana, "mercy", func(p *storage.Participant) error { p.Settings.Breaker = text; return nil })
		return err
	}
	for _, wrong := range []string{"on", "25", "25/10/50", "0/10/50/30", "25/10/50/101", "25/10/50/30/1", "25/10/-5/30", "1000001/10/50/30", "25/10/50/30 "} {
		wantsKind(t, setting(wrong), lifecycle.KindInvalid)
	}
	people := h.crowd("a", 12)
	if err := setting("off"); err != nil {
		t.Fatal(err)
	}
	h.leave(people[:6]...)
	h.untripped("while it is off")
	if err := setting("2/20/100/100"); err != nil {
		t.Fatal(err)
	}
	h.leave(people[6:8]...)
	h.untripped("at 2 of 12")
	h.leave(people[8])
	h.tripped(3, 12, "more than 2 people and more than 20 % within 10 minutes")
	if err := setting("default"); err != nil {
		t.Fatal(err)
	}
	if p, err := h.store.GetParticipant(h.ctx, "mercy"); err != nil || p.Settings.Breaker != "" {
		t.Errorf("default is kept as %q, %v", p.Settings.Breaker, err)
	}
}

// Suspending a participant takes access from everybody, and is no loss that its
// provider caused.
func TestBreakerAndASuspendedParticipant(t *testing.T) {
	h := newHouse(t)
	s := h.staff("ana", "ben", "cleo", "dan", "eve", "finn")
	if _, err := h.SuspendParticipant(h.ctx, dana, "mercy", "unpaid"); err != nil {
		t.Fatal(err)
	}
	for _, u := range s {
		h.change(mercy, u.ID, set("displayName", "D. "+u.FamilyName))
	}
	h.untripped("by changes that took nothing")
	for _, name := range []string{"ana", "ben", "cleo", "dan", "eve"} {
		h.leave(s[name].ID)
	}
	h.tripped(5, 6, small)
}

func TestBreakerTells(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		if _, err := h.ChangeParticipant(h.ctx, dana, "mercy", func(p *storage.Participant) error {
			p.Settings.Contacts = []string{"it@mercy.example", "privacy@mercy.example"}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		people := h.crowd("secret", 9)
		h.leave(people[:7]...)
		c := h.tripped(5, 9, small)
		h.work()
		for _, to := range []string{"it@mercy.example", "privacy@mercy.example"} {
			if got := h.post.to(to); !slices.Equal(got, []string{"breaker-mail"}) {
				t.Errorf("%s got %v", to, got)
			}
			m := h.post.last(t, to)
			for _, text := range []string{m.Text, m.HTML} {
				if strings.Contains(text, "secret") || !strings.Contains(strings.Join(strings.Fields(text), " "), "5") || !strings.Contains(text, "mercy hospital") || !strings.Contains(text, small) {
					t.Errorf("%s was told: %s", to, text)
				}
			}
		}
		h.recorded("mercy", "breaker.opened", 1)
		h.recorded("mercy", "mail.sent", 2)

		// A mail that comes too late is not sent.
		if _, err := h.AcceptLosses(h.ctx, dana, "mercy"); err != nil {
			t.Fatal(err)
		}
		if err := h.Do(h.ctx, storage.Job{Kind: lifecycle.JobBreakerMail, Key: c.ID + "/0", Subject: c.ID + "/0"}); err != nil {
			t.Fatal(err)
		}
		if got := h.post.to("it@mercy.example"); len(got) != 1 {
			t.Errorf("after the case was closed: %v", got)
		}
	})
}

// recorded counts entries about somebody.
func (h *house) recorded(user, action string, want int) {
	h.t.Helper()
	entries, err := h.store.ListEntries(h.ctx, user)
	if err != nil {
		h.t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if e.Action == action {
			n++
		}
	}
	if n != want {
		h.t.Errorf("%d entries %s about %s, want %d", n, action, user, want)
	}
}

func TestAcceptedLossesCountNoMore(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		people := h.crowd("a", 12)
		h.leave(people[:5]...)
		c := h.tripped(5, 12, daily)
		kept, err := h.AcceptLosses(h.ctx, dana, "mercy")
		if err != nil || kept.ID != c.ID || kept.Outcome != lifecycle.CaseAccepted || kept.ClosedBy != dana.Subject {
			t.Fatalf("%+v, %v", kept, err)
		}
		h.recorded("mercy", "breaker.accepted", 1)
		if n := h.tally(c); n != (storage.Tally{}) {
			t.Errorf("an accepted case stages %+v", n)
		}
		_, err = h.AcceptLosses(h.ctx, dana, "mercy")
		wantsKind(t, err, lifecycle.KindRefused)
		_, err = h.Restore(h.ctx, dana, lifecycle.RestoreSpec{Participant: "mercy"}, nil)
		wantsKind(t, err, lifecycle.KindRefused)
		for _, id := range people[:5] {
			if h.get(id).Active {
				t.Errorf("%s is active", id)
			}
		}
		h.leave(people[5:9]...)
		h.untripped("by losses that were accepted")
		h.leave(people[9])
		h.tripped(5, 12, daily)
	})
}

func TestCasesEndAfterThirtyDays(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		people := h.crowd("a", 9)
		h.leave(people[:5]...)
		c := h.tripped(5, 9, small)
		h.clock.pass(30*24*time.Hour - time.Hour)
		if _, err := h.Sweep(h.ctx); err != nil {
			t.Fatal(err)
		}
		if n := h.tally(c); h.open() == nil || n.Staged != 5 {
			t.Fatalf("before 30 days: %+v, staged %+v", h.open(), n)
		}
		h.clock.pass(time.Hour)
		if _, err := h.Sweep(h.ctx); err != nil {
			t.Fatal(err)
		}
		last, closed, err := h.store.FindBreakerCase(h.ctx, "mercy", false)
		if err != nil || !closed || last.ID != c.ID || last.Outcome != lifecycle.CaseExpired {
			t.Errorf("%+v, %v, %v", last, closed, err)
		}
		if n := h.tally(c); h.open() != nil || n != (storage.Tally{}) {
			t.Errorf("after 30 days it stages %+v", n)
		}
		h.recorded("mercy", "breaker.expired", 1)
		_, err = h.Restore(h.ctx, dana, lifecycle.RestoreSpec{Participant: "mercy"}, nil)
		wantsKind(t, err, lifecycle.KindRefused)
	})
}
