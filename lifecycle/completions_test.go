package lifecycle_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/connector/litmos/litmosfake"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// countedLMS counts what a walk over completions tells.
type countedLMS struct {
	lifecycle.LMS
	told int
}

func (c *countedLMS) Completions(ctx context.Context, since time.Time, f func(lifecycle.Completion) error) (time.Time, error) {
	return c.LMS.Completions(ctx, since, func(a lifecycle.Completion) error {
		c.told++
		return f(a)
	})
}

// A walk goes on from what the database kept of the one before, which is coarser
// than a clock: what was told is not told again every minute for two days.
func TestPollGoesOnFromWhatIsKept(t *testing.T) {
	atSchool(t, func(s *school) {
		s.fake.Set(litmosfake.Knobs{HookLose: true})
		_, id := s.enrolled("ana", "Registered Nurse")
		s.complete(id, time.Time{}, "C-1", "C-2")
		counted := &countedLMS{LMS: s.lms}
		s.Service = s.serviceWith(counted)
		for range 4 {
			s.clock.pass(time.Minute + 123456789*time.Nanosecond)
			s.pollNow()
		}
		if counted.told != 2 {
			s.t.Errorf("2 completions were told %d times in 4 walks", counted.told)
		}
	})
}

// A completion that lies ahead of our clock counts when its time comes, also when
// webhooks ask about the learner until then.
func TestCompletionAheadOutlivesHints(t *testing.T) {
	atSchool(t, func(s *school) {
		s.fake.Set(litmosfake.Knobs{HookLose: true})
		u, id := s.enrolled("ana", "Registered Nurse")
		s.complete(id, s.Now().Add(2*time.Hour), "C-1")
		s.complete(id, s.Now().Add(3*time.Hour), "C-2")
		s.pollNow()
		for range 2 {
			s.clock.pass(time.Minute)
			if err := s.HintCompletion(s.ctx, id); err != nil {
				s.t.Fatal(err)
			}
			s.tell()
			s.pollNow()
		}
		s.evidence(u.ID)
		s.clock.pass(2 * time.Hour)
		s.tell()
		s.evidence(u.ID, "nys-policy")
		s.clock.pass(time.Hour)
		s.tell()
		s.evidence(u.ID, "clinical-access", "nys-policy")
	})
}

// To the end of the anniversary's day a completion counts, however late it is
// told: as long as an operator could record it.
func TestCompletionOfAYearAgoToday(t *testing.T) {
	atSchool(t, func(s *school) {
		s.fake.Set(litmosfake.Knobs{HookLose: true})
		u, id := s.enrolled("ana", "Registered Nurse")
		now := s.Now() // 10 in the morning in New York
		s.complete(id, now.AddDate(-1, 0, 0).Add(-time.Hour), "C-1")
		s.complete(id, now.AddDate(-1, 0, -1), "C-2")
		if err := s.HintCompletion(s.ctx, id); err != nil {
			s.t.Fatal(err)
		}
		s.tell()
		s.evidence(u.ID, "nys-policy")
		if missing := s.get(u.ID).Decision.Gate(policy.GateTraining).Missing; fmt.Sprint(missing) != "[clinical-access]" {
			s.t.Errorf("missing is %v", missing)
		}
	})
}

// Litmos lists the newest first. Of two completions that are told at once the
// later one extends what the earlier one gave.
func TestCompletionsToldAtOnceCountInTheirOrder(t *testing.T) {
	atSchool(t, func(s *school) {
		s.fake.Set(litmosfake.Knobs{HookLose: true})
		u, id := s.enrolled("ana", "Registered Nurse")
		s.complete(id, s.Now().AddDate(0, 0, -350), "C-1")
		if err := s.lms.Reset(s.ctx, id, "C-1"); err != nil {
			s.t.Fatal(err)
		}
		s.complete(id, s.Now().AddDate(0, 0, -10), "C-1")
		if err := s.HintCompletion(s.ctx, id); err != nil {
			s.t.Fatal(err)
		}
		s.tell()
		s.evidence(u.ID, "nys-policy", "nys-policy")
		rows, err := s.store.ListEvidence(s.ctx, u.ID)
		if err != nil {
			s.t.Fatal(err)
		}
		var ends time.Time
		for _, e := range rows {
			if e.ValidUntil.After(ends) {
				ends = e.ValidUntil
			}
		}
		// 2026-03-02 less 350 days is 2025-03-17.
		if want := time.Date(2027, 3, 18, 4, 0, 0, 0, time.UTC); !ends.Equal(want) {
			s.t.Errorf("training ends %v, want %v", ends, want)
		}
	})
}

// A renewal that was taken back leaves the course complete in the LMS: it is
// reset, though it was reset for the end that holds again.
func TestRenewalTakenBackIsTakenAgain(t *testing.T) {
	atSchool(t, func(s *school) {
		s.fake.Set(litmosfake.Knobs{HookLose: true})
		u, id := s.enrolled("ana", "Registered Nurse")
		s.complete(id, time.Time{}, "C-1", "C-2")
		s.pollNow()
		s.tell()
		s.until(u, 20*day)
		s.sweep()
		s.tell()
		s.assigned(id, both)
		s.complete(id, time.Time{}, "C-1", "C-2")
		s.pollNow()
		rows, err := s.store.ListEvidence(s.ctx, u.ID)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range rows {
			if e.CompletedAt.After(s.Now().Add(-day)) && e.Module == "nys-policy" {
				if err := s.RevokeEvidence(s.ctx, dana, u.ID, e.ID, "somebody else sat there"); err != nil {
					s.t.Fatal(err)
				}
			}
		}
		s.tell()
		s.until(u, 13*day) // of the earlier one
		s.sweep()
		s.tell()
		s.assigned(id, "map[C-1:false C-2:true]")
		s.complete(id, time.Time{}, "C-1")
		s.pollNow()
		s.evidence(u.ID, "clinical-access", "clinical-access", "nys-policy", "nys-policy", "nys-policy")
		s.wants(u.ID, policy.StatusReleased, "practitioner")
	})
}

// meddledStore does something before evidence is read for the first time.
type meddledStore struct {
	storage.Store
	meddle func()
	done   atomic.Bool
}

func (m *meddledStore) ListEvidence(ctx context.Context, user string) ([]storage.Evidence, error) {
	if !m.done.Swap(true) {
		m.meddle()
	}
	return m.Store.ListEvidence(ctx, user)
}

// What is completed while somebody looks what to reset is not reset.
func TestCompletionWhileResetsAreLookedFor(t *testing.T) {
	atSchool(t, func(s *school) {
		s.fake.Set(litmosfake.Knobs{HookLose: true})
		u, id := s.enrolled("ana", "Registered Nurse")
		s.complete(id, time.Time{}, "C-1", "C-2")
		s.pollNow()
		s.tell()
		s.clock.pass(366 * day)
		s.sweep()
		s.tell()
		s.assigned(id, both)
		s.complete(id, time.Time{}, "C-1", "C-2")
		if err := s.EnrolAnew(s.ctx, dana, u.ID); err != nil {
			s.t.Fatal(err)
		}
		store := s.store
		s.store = &meddledStore{Store: store, meddle: s.pollNow}
		racing := s.serviceWith(s.lms)
		if _, err := racing.TendLearners(s.ctx); err != nil {
			s.t.Fatal(err)
		}
		s.store = store
		s.wants(u.ID, policy.StatusReleased, "practitioner")
		s.assigned(id, "map[C-1:true C-2:true]")
		s.tell()
		s.assigned(id, "map[C-1:true C-2:true]")
	})
}

// Two modules may be one course: it is reset once for one completion.
func TestOneCourseForTwoModules(t *testing.T) {
	atSchool(t, func(s *school) {
		s.fake.Set(litmosfake.Knobs{HookLose: true})
		s.applied(s.planOf(courses(s.t, "litmos: C-2", "litmos: C-1")).ID)
		u, id := s.enrolled("ana", "Registered Nurse")
		// One of them was taken elsewhere, and ends a little later.
		s.house.evidence(u, "clinical-access", s.Now().AddDate(0, 0, -340))
		s.complete(id, time.Time{}, "C-1")
		s.pollNow()
		s.tell()
		s.clock.pass(367 * day)
		s.sweep()
		s.tell()
		s.fake.Calls()
		s.clock.pass(30 * day)
		s.sweep()
		s.tell()
		for range 3 {
			if err := s.EnrolAnew(s.ctx, dana, u.ID); err != nil {
				s.t.Fatal(err)
			}
			s.tell()
		}
		if n := count(s.fake.Calls(), "PUT /users/{id}/courses/{course}/reset"); n != 0 {
			s.t.Errorf("%d more resets after the first", n)
		}
		s.assigned(id, "map[C-1:false]")
	})
}

// An item for operators goes when the training came from elsewhere.
func TestRefusedAndTrainedElsewhere(t *testing.T) {
	atSchool(t, func(s *school) {
		s.fake.AddUser("ana.other", "Ana", "Other", "ana@mail.example")
		u := s.create(mercy, person("ana", "Registered Nurse"))
		s.tell()
		s.is(u.ID, storage.LearnerRefused)
		for _, m := range []string{"nys-policy", "clinical-access"} {
			s.house.evidence(u, m, s.Now().Add(-time.Minute))
			s.tell()
		}
		if l := s.is(u.ID, storage.LearnerWaiting); l.Due != nil || l.Why != "" {
			s.t.Errorf("the learner is kept as %+v", l)
		}
		s.wants(u.ID, policy.StatusReleased, "practitioner")
		s.mails("ana", "credentials")
	})
}

// A course that is complete in the LMS counts for a module that names it since
// then: nobody can take it again.
func TestCourseThatAnotherModuleNames(t *testing.T) {
	atSchool(t, func(s *school) {
		s.fake.Set(litmosfake.Knobs{HookLose: true})
		u, id := s.enrolled("ana", "Registered Nurse")
		s.complete(id, time.Time{}, "C-1")
		s.pollNow()
		s.tell()
		s.applied(s.planOf(courses(s.t,
			"hosted-registration: Registration and consent entry", "hosted-registration: {name: Registration, litmos: C-1}",
			"clinical.full, clinical.sensitive], modules: [nys-policy, clinical-access]}", "clinical.full, clinical.sensitive], modules: [nys-policy, hosted-registration, clinical-access]}",
		)).ID)
		s.fake.Calls()
		s.tell()
		s.evidence(u.ID, "hosted-registration", "nys-policy")
		s.assigned(id, "map[C-1:true C-2:false]")
		if calls := fmt.Sprint(s.fake.Calls()); calls != "[GET /achievements]" {
			s.t.Errorf("that took %s", calls)
		}
		s.complete(id, time.Time{}, "C-2")
		s.pollNow()
		s.wants(u.ID, policy.StatusReleased, "practitioner")
	})
}

// A server that once lived in next year does not keep the others from what is
// completed and from reminding until then.
func TestWalksAfterAClockThatWasAhead(t *testing.T) {
	atSchool(t, func(s *school) {
		s.fake.Set(litmosfake.Knobs{HookLose: true})
		u, id := s.enrolled("ana", "Registered Nurse")
		s.clock.pass(366 * day)
		s.pollNow()
		s.sweep()
		s.clock.pass(-366 * day)
		s.complete(id, time.Time{}, "C-1", "C-2")
		for range 2 {
			s.clock.pass(time.Minute)
			s.pollNow()
		}
		s.wants(u.ID, policy.StatusReleased, "practitioner")
		s.until(u, 29*day)
		s.sweep()
		s.tell()
		if n := s.reminded(u); n != 1 {
			s.t.Errorf("reminded %d times", n)
		}
	})
}

// forgetfulLMS does not find what it is to reset, once.
type forgetfulLMS struct {
	lifecycle.LMS
	course string
}

func (l *forgetfulLMS) Reset(ctx context.Context, id, course string) error {
	if course == l.course {
		l.course = ""
		return fmt.Errorf("%w: not assigned", lifecycle.ErrLMSGone)
	}
	return l.LMS.Reset(ctx, id, course)
}

// A course that somebody took from a learner is assigned again; what was reset
// before is not reset again, for they may have begun.
func TestResetsAreNotRepeated(t *testing.T) {
	atSchool(t, func(s *school) {
		s.fake.Set(litmosfake.Knobs{HookLose: true})
		u, id := s.enrolled("ana", "Registered Nurse")
		s.complete(id, time.Time{}, "C-1", "C-2")
		s.pollNow()
		s.tell()
		s.Service = s.serviceWith(&forgetfulLMS{LMS: s.lms, course: "C-2"})
		s.until(u, 20*day)
		s.sweep()
		s.fake.Calls()
		s.tell()
		s.clock.pass(5 * time.Minute)
		s.tell()
		calls := s.fake.Calls()
		if n := count(calls, "PUT /users/{id}/courses/{course}/reset"); n != 2 || !slices.Contains(calls, "POST /users/{id}/courses") {
			s.t.Errorf("%d resets, want one of each course: %v", n, calls)
		}
		s.assigned(s.is(u.ID, storage.LearnerEnrolled).LMSID, both)
	})
}
