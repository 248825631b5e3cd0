package lifecycle_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/connector/litmos/litmosfake"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

func TestInvitationWaitsForEnrolment(t *testing.T) {
	atSchool(t, func(s *school) {
		u := s.create(mercy, person("ana", "Registered Nurse"))
		s.work()
		s.mails("ana") // nothing before the LMS knows her
		s.is(u.ID, storage.LearnerWaiting)
		s.tell()
		s.mails("ana", "invitation")
		l := s.is(u.ID, storage.LearnerEnrolled)
		s.assigned(l.LMSID, both)
		p, _ := s.fake.Profile(l.LMSID)
		if p["UserName"] != u.ID || p["Email"] != "ana@mail.example" || p["LastName"] != "Lima" {
			s.t.Errorf("the record is %v", p)
		}
		if fmt.Sprint(l.Modules) != "[C-1 C-2]" || l.Due != nil || l.Invite != "" {
			s.t.Errorf("the learner is kept as %+v", l)
		}
		s.recorded(u.ID, "learner.enrolled", 1)
		s.recorded(u.ID, "learner.assigned", 1)
		s.fake.Calls()
		s.tell()
		if calls := s.fake.Calls(); len(calls) > 0 {
			s.t.Errorf("nothing is left to tell, and it is told %v", calls)
		}
	})
}

// A person whose gates before training are closed is not enrolled.
func TestNobodyIsEnrolledTooEarly(t *testing.T) {
	atSchool(t, func(s *school) {
		unmapped := s.create(mercy, person("una", "Ward Hero II"))
		held := s.create(mercy, person("hal", "Registered Nurse"))
		hold, err := s.Hold(s.ctx, dana, held.ID, "identity in doubt")
		if err != nil {
			s.t.Fatal(err)
		}
		s.fake.Calls()
		s.tell()
		if calls := s.fake.Calls(); len(calls) > 0 {
			s.t.Errorf("told %v", calls)
		}
		s.mails("una")
		s.mails("hal")
		if err := s.LiftHold(s.ctx, dana, held.ID, hold.ID); err != nil {
			s.t.Fatal(err)
		}
		s.tell()
		s.mails("hal", "invitation")
		s.is(held.ID, storage.LearnerEnrolled)
		if _, found, err := s.store.FindLearner(s.ctx, unmapped.ID); found || err != nil {
			s.t.Errorf("a learner for an unmapped title: %v, %v", found, err)
		}
	})
}

// A hold that comes between the invitation's promise and the enrolment.
func TestHoldBeforeEnrolment(t *testing.T) {
	atSchool(t, func(s *school) {
		u := s.create(mercy, person("hal", "Registered Nurse"))
		s.work() // handed over
		hold, err := s.Hold(s.ctx, dana, u.ID, "identity in doubt")
		if err != nil {
			s.t.Fatal(err)
		}
		s.fake.Calls()
		s.tell()
		if calls := s.fake.Calls(); len(calls) > 0 {
			s.t.Errorf("told of somebody held: %v", calls)
		}
		s.mails("hal")
		if err := s.LiftHold(s.ctx, dana, u.ID, hold.ID); err != nil {
			s.t.Fatal(err)
		}
		s.tell()
		s.mails("hal", "invitation")
	})
}

func TestCompletionByHookReleases(t *testing.T) {
	atSchool(t, func(s *school) {
		u, id := s.enrolled("ana", "Registered Nurse")
		s.complete(id, time.Time{}, "C-1")
		s.hooked(1)
		s.wants(u.ID, policy.StatusPending, "", "training") // a hint is no evidence
		s.tell()
		s.evidence(u.ID, "nys-policy")
		s.wants(u.ID, policy.StatusPending, "", "training")
		s.complete(id, time.Time{}, "C-2")
		s.hooked(2)
		s.tell()
		s.evidence(u.ID, "clinical-access", "nys-policy")
		s.wants(u.ID, policy.StatusReleased, "practitioner")
		s.mails("ana", "invitation", "credentials")
		s.recorded(u.ID, "evidence.recorded", 2)
	})
}

// A forged hint makes one question, and changes nothing.
func TestForgedHints(t *testing.T) {
	atSchool(t, func(s *school) {
		u, id := s.enrolled("ana", "Registered Nurse")
		s.fake.Calls()
		for range 50 {
			for _, forged := range []string{id, "L-nobody", strings.ToLower(id)} {
				if err := s.HintCompletion(s.ctx, forged); err != nil {
					s.t.Fatal(err)
				}
			}
		}
		s.tell()
		if n := count(s.fake.Calls(), "GET /achievements"); n != 1 {
			s.t.Errorf("50 hints asked %d questions", n)
		}
		s.evidence(u.ID)
	})
}

func TestCompletionByPollReleases(t *testing.T) {
	atSchool(t, func(s *school) {
		s.fake.Set(litmosfake.Knobs{HookLose: true})
		u, id := s.enrolled("ana", "Registered Nurse")
		s.pollNow()
		s.complete(id, time.Time{}, "C-2", "C-1")
		s.clock.pass(time.Minute)
		s.pollNow()
		s.wants(u.ID, policy.StatusReleased, "practitioner")
		s.tell()
		s.mails("ana", "invitation", "credentials")

		// It goes on from where it was, also in another process.
		before, _, err := s.store.FindBookmark(s.ctx, "lms-poll")
		if err != nil {
			s.t.Fatal(err)
		}
		s.clock.pass(time.Hour)
		s.restart()
		s.pollNow()
		after, _, err := s.store.FindBookmark(s.ctx, "lms-poll")
		if err != nil || after.Sub(before) < time.Hour-time.Minute {
			s.t.Errorf("the bookmark moved from %v to %v, %v", before, after, err)
		}
		s.evidence(u.ID, "clinical-access", "nys-policy")
	})
}

// The webhook may be ahead of the API, come several times and out of order; the
// lists may repeat and shuffle. One completion is one evidence.
func TestCompletionsLateRepeatedShuffled(t *testing.T) {
	atSchool(t, func(s *school) {
		u, id := s.enrolled("ana", "Registered Nurse")
		s.fake.Set(litmosfake.Knobs{
			Late: litmosfake.Duration(10 * time.Minute), HookRepeat: 2, HookShuffle: true, Repeat: true, Shuffle: true,
		})
		s.complete(id, time.Time{}, "C-1", "C-2")
		s.hooked(6)
		s.tell()
		s.pollNow()
		s.evidence(u.ID)
		s.clock.pass(11 * time.Minute)
		s.pollNow()
		for range 2 {
			s.restart()
			s.pollNow()
			if err := s.HintCompletion(s.ctx, id); err != nil {
				s.t.Fatal(err)
			}
			s.tell()
		}
		s.evidence(u.ID, "clinical-access", "nys-policy")
		s.recorded(u.ID, "evidence.recorded", 2)
		s.wants(u.ID, policy.StatusReleased, "practitioner")
		s.mails("ana", "invitation", "credentials")

		// What an operator took back does not return by itself.
		rows, err := s.store.ListEvidence(s.ctx, u.ID)
		if err != nil {
			s.t.Fatal(err)
		}
		if err := s.RevokeEvidence(s.ctx, dana, u.ID, rows[0].ID, "somebody else sat there"); err != nil {
			s.t.Fatal(err)
		}
		s.restart()
		s.pollNow()
		s.evidence(u.ID, "clinical-access", "nys-policy")
		s.wants(u.ID, policy.StatusSuspended, "", "training")
	})
}

// Who takes the same completion in at the same time keeps it once.
func TestCompletionTakenInAtOnce(t *testing.T) {
	atSchool(t, func(s *school) {
		s.fake.Set(litmosfake.Knobs{HookLose: true})
		u, id := s.enrolled("ana", "Registered Nurse")
		s.complete(id, time.Time{}, "C-1", "C-2")
		var polls sync.WaitGroup
		for range 6 {
			other := s.serviceWith(&lms{client: s.lms.client})
			polls.Go(func() {
				if err := other.PollLMS(s.ctx); err != nil {
					s.t.Error(err)
				}
			})
		}
		polls.Wait()
		s.evidence(u.ID, "clinical-access", "nys-policy")
		s.recorded(u.ID, "evidence.recorded", 2)
		s.tell()
		s.mails("ana", "invitation", "credentials")
	})
}

// The instants an LMS tells need not be ours.
func TestCompletionsInAndOutOfTime(t *testing.T) {
	atSchool(t, func(s *school) {
		s.fake.Set(litmosfake.Knobs{HookLose: true})
		u, id := s.enrolled("ana", "Registered Nurse")
		now := s.Now()
		s.complete(id, now.Add(3*time.Minute), "C-1")
		s.complete(id, now.Add(2*time.Hour), "C-2")
		s.pollNow()
		s.evidence(u.ID, "nys-policy")
		rows, _ := s.store.ListEvidence(s.ctx, u.ID)
		if at := rows[0].CompletedAt; at.After(s.Now()) || at.Before(now) {
			s.t.Errorf("completed at %v, which is not now", at)
		}
		s.tell()
		s.evidence(u.ID, "nys-policy") // not yet
		s.clock.pass(2 * time.Hour)
		s.tell()
		s.evidence(u.ID, "clinical-access", "nys-policy")

		old, oldID := s.enrolled("ole", "Registered Nurse")
		s.complete(oldID, s.Now().AddDate(-1, 0, -1), "C-1")
		s.complete(oldID, s.Now().Add(30*time.Hour), "C-2")
		if err := s.HintCompletion(s.ctx, oldID); err != nil {
			s.t.Fatal(err)
		}
		s.tell()
		s.evidence(old.ID)
		if l := s.learner(old.ID); l.Asked != nil {
			s.t.Errorf("asked about again at %v", l.Asked)
		}
	})
}

// The address is another's in the LMS: an operator's item, and no mail.
func TestRefusedByTheLMS(t *testing.T) {
	atSchool(t, func(s *school) {
		other := s.fake.AddUser("ana.other", "Ana", "Other", "ana@mail.example")
		u := s.create(mercy, person("ana", "Registered Nurse"))
		s.tell()
		l := s.is(u.ID, storage.LearnerRefused)
		if l.Due != nil || !strings.Contains(l.Why, "another litmos record") || strings.Contains(l.Why, "@") {
			s.t.Errorf("refused, due %v: %q", l.Due, l.Why)
		}
		s.mails("ana")
		s.wants(u.ID, policy.StatusPending, "", "training")
		s.recorded(u.ID, "learner.refused", 1)
		s.clock.pass(48 * time.Hour)
		s.fake.Calls()
		s.tell()
		if calls := s.fake.Calls(); len(calls) > 0 {
			s.t.Errorf("tried again by itself: %v", calls)
		}
		p, _ := s.fake.Profile(other)
		if p["UserName"] != "ana.other" || p["Active"] != true {
			s.t.Errorf("the other's record became %v", p)
		}

		s.fake.Remove(other)
		if err := s.EnrolAnew(s.ctx, dana, u.ID); err != nil {
			s.t.Fatal(err)
		}
		s.tell()
		s.is(u.ID, storage.LearnerEnrolled)
		s.mails("ana", "invitation")
	})
}

// Another address may be the cure, and needs no operator.
func TestRefusedAndRenamed(t *testing.T) {
	atSchool(t, func(s *school) {
		s.fake.AddUser("ana.other", "Ana", "Other", "ana@mail.example")
		u := s.create(mercy, person("ana", "Registered Nurse"))
		s.tell()
		s.is(u.ID, storage.LearnerRefused)
		s.change(mercy, u.ID, email("ana.lima@mail.example"))
		s.tell()
		s.is(u.ID, storage.LearnerEnrolled)
		s.mails("ana.lima", "invitation")
	})
}

func TestCourseThatIsNotOffered(t *testing.T) {
	atSchool(t, func(s *school) {
		s.applied(s.planOf(courses(s.t, "litmos: C-2", "litmos: C-9")).ID)
		u := s.create(mercy, person("ana", "Registered Nurse"))
		s.tell()
		l := s.is(u.ID, storage.LearnerRefused)
		if !strings.Contains(l.Why, `"C-9"`) || l.LMSID == "" {
			s.t.Errorf("refused: %+v", l)
		}
		s.mails("ana")
		s.fake.AddCourse("C-9", "Portal, new")
		if n, err := s.RetryLearners(s.ctx, dana); n != 1 || err != nil {
			s.t.Errorf("retried %d, %v", n, err)
		}
		s.tell()
		l = s.is(u.ID, storage.LearnerEnrolled)
		s.assigned(l.LMSID, "map[C-1:false C-9:false]")
		s.mails("ana", "invitation")

		// A policy that names other courses reaches who waits already.
		s.applied(s.planOf(courses(s.t)).ID)
		s.tell()
		s.assigned(l.LMSID, "map[C-1:false C-2:false C-9:false]")
		s.mails("ana", "invitation")
	})
}

// The LMS is away for a day: nothing is lost, and nobody is invited twice.
func TestLMSAwayForADay(t *testing.T) {
	atSchool(t, func(s *school) {
		s.fake.Set(litmosfake.Knobs{Trouble: 1})
		var ids []string
		for i := range 12 {
			ids = append(ids, s.create(mercy, person(fmt.Sprintf("p%02d", i), "Registered Nurse")).ID)
		}
		gone := s.create(mercy, person("gus", "Registered Nurse"))
		for range 24 {
			s.tell()
			s.clock.pass(time.Hour)
		}
		s.change(mercy, gone.ID, set("active", false))
		l := s.learner(ids[0])
		if l.Tries == 0 || l.Due == nil || l.Why == "" {
			s.t.Errorf("a learner waits as %+v", l)
		}
		for i := range ids {
			s.mails(fmt.Sprintf("p%02d", i))
		}
		s.fake.Set(litmosfake.Knobs{})
		s.clock.pass(5 * time.Minute)
		s.tell()
		for i, id := range ids {
			s.mails(fmt.Sprintf("p%02d", i), "invitation")
			s.assigned(s.is(id, storage.LearnerEnrolled).LMSID, both)
		}
		s.mails("gus")
		if n := len(s.fake.Secrets()); n < len(ids) || n > len(ids)+1 { // gus may have been made, by an answer that was lost
			s.t.Errorf("%d records for %d people", n, len(ids))
		}
		if l := s.is(gone.ID, storage.LearnerOff); l.LMSID != "" {
			s.active(l.LMSID, false)
		}
	})
}

func TestKeyIsRefused(t *testing.T) {
	atSchool(t, func(s *school) {
		u := s.create(mercy, person("ana", "Registered Nurse"))
		s.fake.Set(litmosfake.Knobs{Next: []string{"401"}})
		s.tell()
		l := s.is(u.ID, storage.LearnerWaiting)
		if state, err := s.LMSState(s.ctx); err != nil || !state.KeyRefused || l.Due == nil {
			s.t.Errorf("state %+v, %v; due %v", state, err, l.Due)
		}
		s.clock.pass(time.Minute)
		s.tell()
		s.is(u.ID, storage.LearnerEnrolled)
		if state, err := s.LMSState(s.ctx); err != nil || state.KeyRefused || state.Learners["enrolled"] != 1 {
			s.t.Errorf("state %+v, %v", state, err)
		}
		s.mails("ana", "invitation")
	})
}

func TestLeaversAndReturners(t *testing.T) {
	atSchool(t, func(s *school) {
		u, id := s.enrolled("ana", "Registered Nurse")
		s.complete(id, time.Time{}, "C-1", "C-2")
		s.pollNow()
		s.wants(u.ID, policy.StatusReleased, "practitioner")
		s.tell()
		s.change(mercy, u.ID, set("active", false))
		s.tell()
		s.is(u.ID, storage.LearnerOff)
		s.active(id, false)
		s.recorded(u.ID, "learner.off", 1)

		back := s.create(mercy, person("ana", "Registered Nurse")) // rehired
		if back.ID != u.ID {
			s.t.Fatal("not the same person")
		}
		s.tell()
		s.is(u.ID, storage.LearnerEnrolled)
		s.active(id, true)
		s.wants(u.ID, policy.StatusReleased, "practitioner")
		s.mails("ana", "invitation", "credentials", "credentials") // her training holds; no invitation

		if err := s.DeleteUser(s.ctx, mercy, u.ID, nil); err != nil {
			s.t.Fatal(err)
		}
		s.tell()
		s.is(u.ID, storage.LearnerOff)
		s.active(id, false)
	})
}

// Who leaves and returns while the LMS is away ends as the house has it.
func TestLeaverWhoIsBackBeforeTheLMSKnows(t *testing.T) {
	atSchool(t, func(s *school) {
		u, id := s.enrolled("ana", "Registered Nurse")
		s.fake.Set(litmosfake.Knobs{Trouble: 1})
		s.change(mercy, u.ID, set("active", false))
		s.tell()
		s.change(mercy, u.ID, set("active", true))
		s.tell()
		s.fake.Set(litmosfake.Knobs{})
		s.clock.pass(5 * time.Minute)
		s.tell()
		s.is(u.ID, storage.LearnerEnrolled)
		s.active(id, true)
		s.mails("ana", "invitation", "invitation") // one for each coming
	})
}

// The process dies between the enrolment and its being kept, and the person
// leaves: the record that nobody noted is found and closed.
func TestLeaverAfterALostEnrolment(t *testing.T) {
	atSchool(t, func(s *school) {
		u := s.create(mercy, person("ana", "Registered Nurse"))
		s.work()
		s.fake.Set(litmosfake.Knobs{Next: []string{"ok", "lost"}})
		if _, err := s.TendLearners(s.ctx); err != nil {
			s.t.Fatal(err)
		}
		if l := s.learner(u.ID); l.LMSID != "" {
			s.t.Fatalf("the answer was lost, and the id is %s", l.LMSID)
		}
		s.change(mercy, u.ID, set("active", false))
		s.restart()
		s.tell()
		s.active(s.is(u.ID, storage.LearnerOff).LMSID, false)
	})
}

// A process dies between enrolment and assignment; the next one goes on.
func TestRestartBetweenEnrolmentAndAssignment(t *testing.T) {
	atSchool(t, func(s *school) {
		u := s.create(mercy, person("ana", "Registered Nurse"))
		s.work()
		dying, die := context.WithCancel(s.ctx)
		s.Service = s.serviceWith(&dyingLMS{LMS: s.lms, die: die})
		if _, err := s.TendLearners(dying); err == nil {
			s.t.Fatal("it did not die")
		}
		l := s.is(u.ID, storage.LearnerEnrolled)
		s.assigned(l.LMSID, "map[]")
		s.mails("ana")
		s.restart()
		s.tell()
		s.assigned(l.LMSID, both)
		s.mails("ana", "invitation")
		if n := len(s.fake.Secrets()); n != 1 {
			s.t.Errorf("%d records", n)
		}
	})
}

// dyingLMS dies as soon as it is to assign something.
type dyingLMS struct {
	lifecycle.LMS
	die context.CancelFunc
}

func (m *dyingLMS) Assign(ctx context.Context, id string, courses []string) error {
	m.die()
	return m.LMS.Assign(ctx, id, courses)
}

// Somebody asks for more while the LMS is being told: it is told that, too.
func TestMoreIsAskedMeanwhile(t *testing.T) {
	atSchool(t, func(s *school) {
		named := func(id, family string) *meddledLMS {
			return &meddledLMS{LMS: s.lms, meddle: func() {
				s.change(mercy, id, set("name", map[string]any{"givenName": "Ana", "familyName": family}))
			}}
		}
		u := s.create(mercy, person("ana", "Unit Clerk"))
		s.work()
		for _, next := range []struct{ title, family string }{{"Unit Clerk", "Costa"}, {"Registered Nurse", "Reyes"}} {
			s.change(mercy, u.ID, set("title", next.title))
			s.Service = s.serviceWith(named(u.ID, next.family))
			s.tell()
			l := s.is(u.ID, storage.LearnerEnrolled)
			if p, _ := s.fake.Profile(l.LMSID); p["LastName"] != next.family || l.Due != nil {
				s.t.Errorf("the record is of %v, want %s; due %v", p["LastName"], next.family, l.Due)
			}
		}
		s.mails("ana", "invitation")
	})
}

type meddledLMS struct {
	lifecycle.LMS
	meddle func()
}

func (m *meddledLMS) Assign(ctx context.Context, id string, courses []string) error {
	if m.meddle != nil {
		m.meddle()
	}
	m.meddle = nil
	return m.LMS.Assign(ctx, id, courses)
}

func TestAnotherRoleNeedsMore(t *testing.T) {
	atSchool(t, func(s *school) {
		u, id := s.enrolled("ana", "Unit Clerk")
		s.assigned(id, "map[C-1:false]") // the other module names no course
		s.change(mercy, u.ID, set("title", "Registered Nurse"))
		s.tell()
		s.assigned(id, both)
		s.mails("ana", "invitation")
		// The record went: the person is enrolled anew.
		s.fake.Remove(id)
		s.change(mercy, u.ID, email("ana.lima@mail.example"))
		s.tell()
		l := s.is(u.ID, storage.LearnerEnrolled)
		if l.LMSID == id {
			s.t.Error("the record that is gone is kept")
		}
		s.assigned(l.LMSID, both)
	})
}

// Training ends after a year: there the course is complete, until it is reset.
func TestTrainingIsTakenAgain(t *testing.T) {
	atSchool(t, func(s *school) {
		resets := func() int { return count(s.fake.Calls(), "PUT /users/{id}/courses/{course}/reset") }
		u, id := s.enrolled("ana", "Registered Nurse")
		s.complete(id, time.Time{}, "C-1", "C-2")
		s.pollNow()
		s.tell()
		s.wants(u.ID, policy.StatusReleased, "practitioner")
		s.clock.pass(340 * 24 * time.Hour)
		if n := resets(); n != 0 {
			s.t.Errorf("%d resets before any is asked for", n)
		}
		for range 3 { // the refresher, announced again and again
			if err := s.ResetTraining(s.ctx, u.ID, "nys-policy"); err != nil {
				s.t.Fatal(err)
			}
			s.tell()
		}
		if n := resets(); n != 1 {
			s.t.Errorf("%d resets for one end", n)
		}
		s.assigned(id, "map[C-1:false C-2:true]")
		s.complete(id, time.Time{}, "C-1")
		s.pollNow()
		s.evidence(u.ID, "clinical-access", "nys-policy", "nys-policy")

		// The other one ends, with nobody having said a word.
		s.clock.pass(40 * 24 * time.Hour)
		if _, err := s.Sweep(s.ctx); err != nil {
			s.t.Fatal(err)
		}
		s.wants(u.ID, policy.StatusSuspended, "", "training")
		s.tell()
		if n := resets(); n != 1 {
			s.t.Errorf("%d resets at the end", n)
		}
		s.assigned(id, "map[C-1:true C-2:false]")
		s.complete(id, time.Time{}, "C-2")
		s.hooked(4)
		s.tell()
		s.wants(u.ID, policy.StatusReleased, "practitioner")
	})
}

// Who was invited before there was an LMS is enrolled when there is one, and
// gets no second invitation.
func TestLMSThatComesLater(t *testing.T) {
	atSchool(t, func(s *school) {
		s.Service = s.serviceWith(nil)
		u := s.create(mercy, person("ana", "Registered Nurse"))
		trained := s.released("tom", "Registered Nurse")
		s.work()
		s.mails("ana", "invitation")
		s.restart()
		s.tell()
		s.pollNow()
		s.assigned(s.is(u.ID, storage.LearnerEnrolled).LMSID, both)
		s.mails("ana", "invitation")
		if _, found, _ := s.store.FindLearner(s.ctx, trained.ID); found {
			s.t.Error("somebody who is trained was enrolled")
		}
		s.clock.pass(366 * 24 * time.Hour)
		if _, err := s.Sweep(s.ctx); err != nil {
			s.t.Fatal(err)
		}
		s.tell()
		s.assigned(s.is(trained.ID, storage.LearnerEnrolled).LMSID, both)
	})
}

// While the policy names no course people are invited at once; when it does,
// those who wait are enrolled, and nobody is invited twice.
func TestCoursesThatComeLater(t *testing.T) {
	atSchool(t, func(s *school) {
		s.applied(s.planOf(policy.Default()).ID)
		u := s.create(mercy, person("ana", "Registered Nurse"))
		s.tell()
		s.pollNow()
		s.mails("ana", "invitation")
		if _, found, err := s.store.FindLearner(s.ctx, u.ID); found || err != nil {
			s.t.Errorf("a learner without a course: %v, %v", found, err)
		}
		s.applied(s.planOf(courses(s.t)).ID)
		s.tell()
		s.assigned(s.is(u.ID, storage.LearnerEnrolled).LMSID, both)
		s.mails("ana", "invitation")
	})
}

// Who waits for an LMS that was given up is invited all the same.
func TestLMSThatGoes(t *testing.T) {
	atSchool(t, func(s *school) {
		s.fake.Set(litmosfake.Knobs{Trouble: 1})
		s.create(mercy, person("ana", "Registered Nurse"))
		s.tell()
		s.mails("ana")
		s.Service = s.serviceWith(nil)
		if _, err := s.Sweep(s.ctx); err != nil {
			s.t.Fatal(err)
		}
		s.work()
		s.mails("ana", "invitation")
	})
}

// Of several processes one works; when it dies another one goes on.
func TestOneProcessWorks(t *testing.T) {
	atSchool(t, func(s *school) {
		var ids []string
		for i := range 4 {
			ids = append(ids, s.create(mercy, person(fmt.Sprintf("p%d", i), "Registered Nurse")).ID)
		}
		s.work()
		take := func() {
			if err := s.store.Write(s.ctx, func(ctx context.Context, tx storage.Tx) error {
				held, err := tx.TakeLease(ctx, "lms", "a process that died", tx.Now().Add(30*time.Second))
				if !held {
					s.t.Error("somebody works already")
				}
				return err
			}); err != nil {
				s.t.Fatal(err)
			}
		}
		take()
		ctx, stop := context.WithCancel(s.ctx)
		ended := make(chan error, 2)
		for range 2 {
			other := s.serviceWith(s.lms)
			go func() { ended <- other.RunLMS(ctx) }()
		}
		time.Sleep(300 * time.Millisecond)
		if calls := s.fake.Calls(); len(calls) > 0 {
			s.t.Errorf("the dead one has the lease, and others told %v", calls)
		}
		s.clock.pass(31 * time.Second)
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			if due, err := s.store.ListDueLearners(s.ctx, s.Now(), 1); err == nil && len(due) == 0 {
				break
			}
			if time.Now().After(deadline) {
				s.t.Fatal("learners are due after 20 s")
			}
		}
		stop()
		for range 2 {
			if err := <-ended; err != nil {
				s.t.Error(err)
			}
		}
		calls := s.fake.Calls()
		if n := count(calls, "POST /users"); n != len(ids) {
			s.t.Errorf("%d enrolments of %d people", n, len(ids))
		}
		if n := count(calls, "GET /achievements"); n < 1 || n > 1+len(ids) { // one poll, and a question for each
			s.t.Errorf("%d walks", n)
		}
		take() // it was given up
		s.work()
		for i := range ids {
			s.mails(fmt.Sprintf("p%d", i), "invitation")
		}
	})
}

// Sign-in keys, our key and names are in no row that is not the person's, in no
// log and in no mail.
func TestSecretsStayOutside(t *testing.T) {
	atSchool(t, func(s *school) {
		u, id := s.enrolled("ana", "Registered Nurse")
		s.fake.Set(litmosfake.Knobs{Next: []string{"garbage", "500", "401", "cut", "lost"}})
		for range 6 {
			s.change(mercy, u.ID, set("name", map[string]any{"givenName": "Ana", "familyName": fmt.Sprintf("Lima%d", s.get(u.ID).Version)}))
			s.tell()
			s.clock.pass(5 * time.Minute)
		}
		s.complete(id, time.Time{}, "C-1", "C-2")
		s.pollNow()
		s.tell()
		s.change(mercy, u.ID, set("active", false))
		s.tell()
		s.is(u.ID, storage.LearnerOff)
		texts := map[string]string{"log": s.log.String()}
		for _, m := range s.post.mails {
			texts["mail"] += m.Text + m.HTML + m.Subject
		}
		if s.path != "" {
			if err := s.store.Close(); err != nil {
				s.t.Fatal(err)
			}
			for _, suffix := range []string{"", "-wal"} {
				part, err := os.ReadFile(s.path + suffix)
				if err != nil && suffix == "" {
					s.t.Fatal(err)
				}
				texts["database"] += string(part)
			}
			if !strings.Contains(texts["database"], id) {
				s.t.Error("the search does not even find the record's id")
			}
		}
		for where, text := range texts {
			for _, secret := range append(s.fake.Secrets(), lmsKey, "loginkey", "LoginKey") {
				if strings.Contains(text, secret) {
					s.t.Errorf("the %s holds %q", where, secret)
				}
			}
		}
		if strings.Contains(texts["log"], "Lima") || strings.Contains(texts["log"], "@") {
			s.t.Errorf("the log names somebody: %s", texts["log"])
		}
	})
}

func TestEnrolAnewHasReasons(t *testing.T) {
	h := newHouse(t)
	u := h.create(mercy, person("ana", "Registered Nurse"))
	wantsKind(t, h.EnrolAnew(h.ctx, dana, u.ID), lifecycle.KindRefused) // no LMS
	atSchool(t, func(s *school) {
		wantsKind(s.t, s.EnrolAnew(s.ctx, dana, "nobody"), lifecycle.KindNotFound)
		trained := s.released("tom", "Registered Nurse")
		wantsKind(s.t, s.EnrolAnew(s.ctx, dana, trained.ID), lifecycle.KindRefused)
		s.change(mercy, trained.ID, set("active", false))
		wantsKind(s.t, s.EnrolAnew(s.ctx, dana, trained.ID), lifecycle.KindRefused)
		u, _ := s.enrolled("ana", "Registered Nurse")
		if err := s.EnrolAnew(s.ctx, dana, u.ID); err != nil {
			s.t.Fatal(err)
		}
		s.recorded(u.ID, "learner.again", 1)
		s.fake.Calls()
		s.tell()
		if calls := s.fake.Calls(); !slices.Contains(calls, "POST /users/{id}/courses") {
			s.t.Errorf("what is assigned was not looked at: %v", calls)
		}
		s.mails("ana", "invitation")
	})
}
