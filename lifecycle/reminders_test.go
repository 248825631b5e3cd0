package lifecycle_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
)

func onBoth(t *testing.T, do func(t *testing.T, h *house)) {
	t.Run("sqlite", func(t *testing.T) { do(t, newHouse(t)) })
	t.Run("postgres", func(t *testing.T) { do(t, newHouseAt(t, pgtest.URL(t))) })
}

func (h *house) sweep() {
	h.t.Helper()
	if _, err := h.Sweep(h.ctx); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) reminded(u storage.User) int {
	n := 0
	for _, kind := range h.post.to(u.Email) {
		if kind == lifecycle.JobReminder {
			n++
		}
	}
	return n
}

// until lets time pass until so many days before training ends.
func (h *house) until(u storage.User, left time.Duration) {
	h.t.Helper()
	h.clock.pass(h.get(u.ID).Decision.TrainingExpiresAt.Add(-left).Sub(h.Now()))
}

// Every day of the last weeks, twice a day, a second node beside the first: each
// reminder goes out once, on its day.
func TestRemindersAreSentInTime(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		ana := h.train(h.create(mercy, person("ana", "Registered Nurse")))
		h.work()
		var at []int
		h.until(ana, 33*day+time.Hour)
		for left := 33; left >= -1; left-- {
			before := h.reminded(ana)
			h.clock.pass(2 * time.Hour) // now within the day before
			for range 2 {
				h.sweep()
				if _, err := h.Remind(h.ctx); err != nil {
					t.Fatal(err)
				}
				h.work()
				h.clock.pass(time.Hour)
			}
			if n := h.reminded(ana) - before; n == 1 {
				at = append(at, left)
			} else if n > 1 {
				t.Errorf("%d reminders with %d days left", n, left)
			}
			h.clock.pass(20 * time.Hour)
		}
		if fmt.Sprint(at) != "[30 14 3]" {
			t.Errorf("reminded with %v days left", at)
		}
		m := h.post.last(t, ana.Email)
		if kind, _, _ := strings.Cut(m.ID, "."); kind != lifecycle.JobSuspended {
			t.Errorf("the last message is %s, want that access is suspended", m.ID)
		}
		if sent := h.actions("mail.sent"); strings.Contains(fmt.Sprint(sent), ana.Email) {
			t.Error("an entry shows the address")
		}
	})
}

// The mail names what ends and when; renewal while it waits takes it back, and
// the new end is reminded of anew.
func TestReminderLooksAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		ana := h.train(h.create(mercy, person("ana", "Registered Nurse")))
		bob := h.train(h.create(mercy, person("bob", "Registered Nurse")))
		h.work()
		h.until(ana, 30*day)
		h.sweep()
		for _, m := range []string{"nys-policy", "clinical-access"} {
			h.evidence(bob, m, h.Now().Add(-time.Minute))
		}
		h.work()
		if h.reminded(ana) != 1 || h.reminded(bob) != 0 {
			t.Fatalf("reminded %d and %d times, want once and never", h.reminded(ana), h.reminded(bob))
		}
		withheld := 0
		for _, e := range h.actions("mail.withheld") {
			if strings.Contains(string(e.Canonical), "reminder."+bob.ID) {
				withheld++
			}
		}
		if withheld != 1 {
			t.Errorf("%d entries of Bob's reminder that was withheld, want 1", withheld)
		}
		m := h.post.last(t, ana.Email)
		for _, want := range []string{"Tuesday, March 2, 2027", "Hello Ana Lima"} {
			if !strings.Contains(m.Text, want) || !strings.Contains(m.HTML, want) {
				t.Errorf("the mail does not say %q:\n%s", want, m.Text)
			}
		}
		if !strings.HasPrefix(m.Subject, "Your Healthix training ends on") || strings.Count(m.Text, "March 2, 2027") != 2 {
			t.Errorf("%s\n%s", m.Subject, m.Text)
		}
		// Bob's new end is the old one's anniversary, and has reminders of its own.
		h.until(bob, 14*day)
		h.sweep()
		h.work()
		if h.reminded(bob) != 1 {
			t.Errorf("reminded %d times of the next end", h.reminded(bob))
		}
	})
}

func (h *house) evidence(u storage.User, module string, at time.Time) {
	h.t.Helper()
	if _, err := h.RecordEvidence(h.ctx, dana, u.ID, lifecycle.EvidenceSpec{Module: module, CompletedAt: at, Source: "webinar"}); err != nil {
		h.t.Fatal(err)
	}
}

// After a pause only the nearest goes out; a message that waited leaves it to the
// next one.
func TestOnlyTheNearestReminderIsSent(t *testing.T) {
	h := newHouse(t)
	ana := h.train(h.create(mercy, person("ana", "Registered Nurse")))
	h.work()
	h.until(ana, 13*day)
	h.sweep() // promised, and the workers stand still
	h.until(ana, 2*day)
	h.work()
	if n := h.reminded(ana); n != 0 {
		t.Errorf("%d reminders of two weeks were sent two days before the end", n)
	}
	h.sweep()
	h.work()
	if n := h.reminded(ana); n != 1 {
		t.Errorf("%d reminders, want the nearest", n)
	}
}

func TestWhoIsNotReminded(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		people := map[string]storage.User{}
		for _, name := range []string{"kept", "gone", "held", "moved", "unmapped", "north"} {
			by := mercy
			if name == "north" {
				by = north
			}
			people[name] = h.train(h.create(by, person(name, "Registered Nurse")))
		}
		h.work()
		h.until(people["kept"], 20*day)
		h.sweep() // promised to all, and then:
		h.change(mercy, people["gone"].ID, set("active", false))
		if _, err := h.Hold(h.ctx, dana, people["held"].ID, "under review"); err != nil {
			t.Fatal(err)
		}
		h.change(mercy, people["moved"].ID, set("title", "Interpreter"))
		h.change(mercy, people["unmapped"].ID, set("title", "Zookeeper of the ward"))
		if _, err := h.SuspendParticipant(h.ctx, dana, "north", "contract ended"); err != nil {
			t.Fatal(err)
		}
		for _, left := range []time.Duration{20 * day, 13 * day, 2 * day} {
			h.until(people["kept"], left)
			h.sweep()
			h.work()
		}
		for name, u := range people {
			want := 0
			if name == "kept" {
				want = 3
			}
			if n := h.reminded(u); n != want {
				t.Errorf("%s was reminded %d times, want %d", name, n, want)
			}
		}
		// Nobody is promised anything twice, and what ended is forgotten.
		h.clock.pass(5 * day)
		h.sweep()
		if err := h.store.Write(h.ctx, func(ctx context.Context, tx storage.Tx) error {
			n, err := tx.DeleteReminders(ctx, tx.Now(), 100)
			if n != 0 {
				t.Errorf("%d reminders were not forgotten", n)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// Training dates at the deed: what is refused, and that one webinar is one module.
func TestEvidenceDates(t *testing.T) {
	h := newHouse(t)
	ana := h.create(mercy, person("ana", "Registered Nurse"))
	record := func(spec lifecycle.EvidenceSpec) error {
		spec.Source = "webinar"
		_, err := h.RecordEvidence(h.ctx, dana, ana.ID, spec)
		return err
	}
	now := h.Now()
	wantsKind(t, record(lifecycle.EvidenceSpec{Module: "nys-policy", CompletedAt: now.Add(time.Hour)}), lifecycle.KindRefused)
	wantsKind(t, record(lifecycle.EvidenceSpec{Module: "nys-policy", CompletedAt: now.AddDate(-1, 0, -1)}), lifecycle.KindRefused)
	wantsKind(t, record(lifecycle.EvidenceSpec{CompletedAt: now}), lifecycle.KindInvalid)
	// To the end of the anniversary it still counts.
	if err := record(lifecycle.EvidenceSpec{Module: "nys-policy", CompletedAt: now.AddDate(-1, 0, 0).Add(-time.Hour)}); err != nil {
		t.Error(err)
	}
	if missing := h.get(ana.ID).Decision.Gate(policy.GateTraining).Missing; fmt.Sprint(missing) != "[clinical-access]" {
		t.Errorf("missing %v after one webinar on one module", missing)
	}
}

// Where the refresher is announced, the LMS lets people take the course again,
// and what they complete then counts from the old end.
func TestReminderOpensTheCourse(t *testing.T) {
	atSchool(t, func(s *school) {
		resets := func() int { return count(s.fake.Calls(), "PUT /users/{id}/courses/{course}/reset") }
		u, id := s.enrolled("ana", "Registered Nurse")
		s.complete(id, time.Time{}, "C-1", "C-2")
		s.pollNow()
		s.tell()
		ends := *s.get(u.ID).Decision.TrainingExpiresAt
		for _, left := range []time.Duration{31 * day, 30 * day, 14 * day} {
			s.until(u, left)
			s.sweep()
			s.tell()
		}
		if n := resets(); n != 2 || s.reminded(u) != 2 {
			s.t.Fatalf("%d resets and %d reminders, want one of each course and two", n, s.reminded(u))
		}
		s.assigned(id, "map[C-1:false C-2:false]")
		s.complete(id, time.Time{}, "C-1", "C-2")
		s.pollNow()
		s.tell()
		if got := s.get(u.ID).Decision.TrainingExpiresAt; !got.Equal(ends.AddDate(1, 0, 0)) {
			s.t.Errorf("training ends %v, want a year after %v", got, ends)
		}
		s.until(u, 300*day)
		s.sweep()
		s.tell()
		if s.reminded(u) != 2 {
			s.t.Error("reminded of training that was renewed")
		}
	})
}
