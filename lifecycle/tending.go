package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// lesson is what a learner is to be given.
type lesson struct {
	courses []string
	resets  map[string]time.Time // by course: the completion that no longer is to count there
	due     bool                 // somebody who is not enrolled is to be
	ask     bool                 // what is missing may be complete there, under another module's name
	version int64                // of the policy that asks for it
}

func (s *Service) lessonFor(ctx context.Context, l storage.Learner, u storage.User) (lesson, error) {
	in, err := s.PolicyAt(ctx, u.Participant)
	if err != nil {
		return lesson{}, err
	}
	evidence, err := s.store.ListEvidence(ctx, u.ID)
	if err != nil {
		return lesson{}, err
	}
	d := u.Access(s.Now())
	modules := append(slices.Clone(l.Refresh), d.Gate(policy.GateTraining).Missing...)
	given := lesson{
		courses: coursesOf(in, modules), resets: map[string]time.Time{},
		due: trainingDue(u, d) || len(l.Refresh) > 0, version: in.Version(),
	}
	for _, course := range given.courses {
		done, ends := lastTaken(evidence, modulesOf(in, course))
		switch {
		case !l.Resets[course].Before(done): // not complete there
		case ends.After(s.Now().Add(renewEarly * day)):
			// It is not undone: it was completed since this was asked for, or a
			// module names the course that did not then.
			given.ask = true
		default:
			given.resets[course] = done
		}
	}
	return given, nil
}

// lastTaken is when somebody last completed a course, as the LMS told, and when
// what they have of it ends or ended. There the course is complete from then on,
// until it is reset, whatever became of the evidence; zero for never.
func lastTaken(evidence []storage.Evidence, modules []string) (done, ends time.Time) {
	for _, e := range evidence {
		if e.Source != "lms" || e.Gate != policy.GateTraining || !slices.Contains(modules, e.Module) || e.CompletedAt.Before(done) {
			continue
		}
		end := e.ValidUntil
		if e.Revoked != nil {
			end = *e.Revoked
		}
		if e.CompletedAt.After(done) || end.Before(ends) {
			done, ends = e.CompletedAt, end
		}
	}
	return done, ends
}

// TendLearners tells the LMS of learners who are due, and answers of how many. A
// learner whom it cannot be told of now waits, and keeps nobody else waiting.
func (s *Service) TendLearners(ctx context.Context) (int, error) {
	due, err := s.store.ListDueLearners(ctx, s.Now(), atATime)
	if err != nil {
		return 0, err
	}
	if len(due) == 0 {
		return s.touchLearners(ctx)
	}
	for n, l := range due {
		err := s.tend(ctx, l)
		switch {
		case errors.Is(err, ErrLMSKey):
			return n, err // so it would be with everybody
		case ctx.Err() != nil:
			return n, ctx.Err()
		case err != nil:
			s.log.WarnContext(ctx, "the LMS was not told of a learner; tried again later", "user", l.User, "tries", l.Tries+1, "error", err)
		}
	}
	return len(due), nil
}

// touchLearners looks at everybody again under a policy version that is new to
// this process: it may name other courses. Who lacks nothing costs the LMS no
// request.
func (s *Service) touchLearners(ctx context.Context) (int, error) {
	p, err := s.Policy(ctx)
	if err != nil || p.Version() == s.touched.Load() {
		return 0, err
	}
	n := 0
	err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		n, err = tx.TouchLearners(ctx, p.Version(), tx.Now(), walk)
		return err
	})
	if err != nil || n > 0 {
		return n, err
	}
	if n, err = s.adoptLearners(ctx); err == nil {
		s.touched.Store(p.Version())
	}
	return n, err
}

// tend looks at a user and makes the LMS fit, step by step; each is kept before
// the next one, so that a crash repeats one call at most.
func (s *Service) tend(ctx context.Context, l storage.Learner) error {
	u, err := s.store.GetUser(ctx, "", l.User)
	gone := errors.Is(err, storage.ErrNotFound)
	switch {
	case err != nil && !gone:
		return err
	case gone || !u.Active:
		return s.sendHome(ctx, l)
	}
	given, err := s.lessonFor(ctx, l, u)
	if err != nil {
		return err
	}
	if l.LMSID == "" && (!given.due || len(given.courses) == 0) {
		return s.tended(ctx, l, given)
	}
	if l.State != storage.LearnerEnrolled {
		id, err := s.lms.Enrol(ctx, Trainee{User: u.ID, GivenName: u.GivenName, FamilyName: familyName(u), Email: u.Email})
		if s.said(err) != nil {
			return s.stumble(ctx, l, err)
		}
		if err := s.enrolled(ctx, &l, id); err != nil {
			return err
		}
	}
	if missing := without(given.courses, l.Modules); len(missing) > 0 {
		if err := s.lms.Assign(ctx, l.LMSID, missing); s.said(err) != nil {
			return s.stumble(ctx, l, err)
		}
		if err := s.step(ctx, &l, func(tx storage.Tx, l *storage.Learner, _ bool) *audit.Draft {
			l.Modules = append(l.Modules, without(missing, l.Modules)...)
			// They may have completed it before anybody here asked for it.
			now := tx.Now()
			l.Asked = &now
			return &audit.Draft{Action: "learner.assigned", Sentence: "Courses were assigned in the LMS.", Fields: []audit.Field{public("courses", strings.Join(missing, " "))}}
		}); err != nil {
			return err
		}
	}
	for _, course := range slices.Sorted(maps.Keys(given.resets)) {
		if err := s.lms.Reset(ctx, l.LMSID, course); s.said(err) != nil {
			return s.stumble(ctx, l, err)
		}
		if err := s.step(ctx, &l, func(_ storage.Tx, l *storage.Learner, _ bool) *audit.Draft {
			l.Resets = maps.Clone(l.Resets)
			if l.Resets == nil {
				l.Resets = map[string]time.Time{}
			}
			l.Resets[course] = given.resets[course]
			return &audit.Draft{Action: "learner.reset", Sentence: "A course was reset in the LMS, to be taken again.", Fields: []audit.Field{public("courses", course)}}
		}); err != nil {
			return err
		}
	}
	return s.tended(ctx, l, given)
}

// familyName is a text that an LMS can have for one; it will not take none.
func familyName(u storage.User) string {
	if u.FamilyName == "" {
		return u.DisplayName
	}
	return u.FamilyName
}

// step keeps one thing that happened; f says what it was, for the record, nil
// for nothing. same is false when somebody asked for more since the row was read:
// then it stays due, and l keeps the version it had, so that it does so to the
// last step.
func (s *Service) step(ctx context.Context, l *storage.Learner, f func(tx storage.Tx, l *storage.Learner, same bool) *audit.Draft) error {
	var kept storage.Learner
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		row, found, err := tx.LockLearner(ctx, l.User)
		switch {
		case err != nil:
			return err
		case !found:
			return fmt.Errorf("learner %s: %w", l.User, storage.ErrNotFound)
		}
		same, invite := row.Row == l.Row, row.Invite
		draft := f(tx, &row, same)
		now := tx.Now()
		if !same {
			row.Due = &now
		}
		row.Changed = now
		row.Row++
		if err := tx.PutLearner(ctx, row); err != nil {
			return err
		}
		if kept = row; !same {
			kept.Row = l.Row
		}
		if invite != "" && row.Invite == "" {
			if err := tx.Enqueue(ctx, JobInvitation, invite, row.User, time.Time{}); err != nil {
				return fmt.Errorf("promise the invitation: %w", err)
			}
		}
		if draft == nil {
			return nil
		}
		draft.Participant, draft.User = row.Participant, row.User
		return s.entry(ctx, tx, System, *draft)
	})
	if err != nil {
		return fmt.Errorf("keep what the LMS did: %w", err)
	}
	*l = kept
	return nil
}

func (s *Service) enrolled(ctx context.Context, l *storage.Learner, id string) error {
	err := s.step(ctx, l, func(_ storage.Tx, l *storage.Learner, same bool) *audit.Draft {
		if l.LMSID != id {
			l.Modules, l.Resets = nil, nil // of a record that is gone
		}
		l.LMSID, l.Why = id, ""
		if !same {
			// To be looked at again: another name may have come meanwhile, or, to a
			// process that stood still, another process.
			l.State = storage.LearnerWaiting
			return nil
		}
		l.State = storage.LearnerEnrolled
		return &audit.Draft{Action: "learner.enrolled", Sentence: "The user is enrolled in the LMS.", Fields: []audit.Field{personal("learner", id)}}
	})
	var taken *storage.ConflictError
	if errors.As(err, &taken) {
		return s.stumble(ctx, *l, fmt.Errorf("%w: it answered the record of another user of ours", ErrLMSRefused))
	}
	return err
}

// tended keeps that nothing is left to tell, and lets the invitation out that
// waited for it: whether that still holds is looked at when it is sent.
func (s *Service) tended(ctx context.Context, l storage.Learner, given lesson) error {
	refreshed := l.Refresh
	return s.step(ctx, &l, func(tx storage.Tx, l *storage.Learner, same bool) *audit.Draft {
		l.Policy, l.Why, l.Tries = given.version, "", 0
		if given.ask {
			now := tx.Now()
			l.Asked = &now
		}
		l.Refresh = without(l.Refresh, refreshed)
		if l.State == storage.LearnerRefused { // and nothing is due any more
			l.State = storage.LearnerWaiting
		}
		if same {
			l.Due, l.Invite = nil, ""
		}
		return nil
	})
}

// sendHome ends a leaver's way into the LMS. A record that nobody noted, because
// the process died in between, is looked for.
func (s *Service) sendHome(ctx context.Context, l storage.Learner) error {
	id := l.LMSID
	if l.State != storage.LearnerOff {
		var err error
		if id == "" {
			if id, err = s.lms.Find(ctx, l.User); errors.Is(err, ErrLMSGone) {
				err = nil
			}
		}
		if err == nil && id != "" {
			err = s.lms.Deactivate(ctx, id)
		}
		if s.said(err) != nil {
			return s.stumble(ctx, l, err)
		}
	}
	return s.step(ctx, &l, func(_ storage.Tx, l *storage.Learner, same bool) *audit.Draft {
		was := l.State
		l.Why, l.Tries, l.Refresh = "", 0, nil
		if l.State = storage.LearnerWaiting; same {
			l.State, l.Due, l.Invite = storage.LearnerOff, nil, ""
		}
		if l.LMSID = id; id == "" || was == storage.LearnerOff {
			return nil
		}
		return &audit.Draft{Action: "learner.off", Sentence: "The user's record in the LMS was made inactive.", Fields: []audit.Field{personal("learner", id)}}
	})
}

const (
	firstTry = 30 * time.Second // doubles with each try that goes wrong
	lastTry  = 5 * time.Minute
	keyTry   = time.Minute
	longWhy  = 500 // bytes
)

// stumble keeps why the LMS could not be told, and when it is tried again: what
// it refused, not before a person, the user or the policy changes something.
func (s *Service) stumble(ctx context.Context, l storage.Learner, failed error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	refused := errors.Is(failed, ErrLMSRefused) && !errors.Is(failed, ErrLMSKey)
	err := s.step(ctx, &l, func(tx storage.Tx, l *storage.Learner, same bool) *audit.Draft {
		was := l.Why
		l.Why = strings.ToValidUTF8(failed.Error()[:min(len(failed.Error()), longWhy)], "")
		if refused {
			l.Tries = 0
			if same {
				l.State, l.Due = storage.LearnerRefused, nil
			}
			if was == l.Why {
				return nil
			}
			return &audit.Draft{Action: "learner.refused", Sentence: "The LMS refused what the user's training needs; an operator must look.", Fields: []audit.Field{personal("why", l.Why)}}
		}
		if errors.Is(failed, ErrLMSGone) {
			l.State, l.Modules = storage.LearnerWaiting, nil // enrolled anew, by another id if the record is gone
		}
		pause := min(firstTry<<min(l.Tries, 8), lastTry)
		if errors.Is(failed, ErrLMSKey) {
			pause = keyTry
		}
		l.Tries++
		at := tx.Now().Add(pause)
		l.Due = &at
		return nil
	})
	if refused && err == nil {
		s.log.WarnContext(ctx, "the LMS refused what a user's training needs; see GET /api/v1/learners?state=refused", "user", l.User, "error", failed)
		return nil
	}
	return errors.Join(failed, err)
}

// freeInvitations lets invitations out that waited for an LMS which is there no
// more.
func (s *Service) freeInvitations(ctx context.Context) error {
	q := storage.LearnerQuery{Invited: true, Limit: walk}
	for {
		page, err := s.store.ListLearners(ctx, q)
		if err != nil {
			return err
		}
		for _, l := range page {
			if err := s.step(ctx, &l, func(_ storage.Tx, l *storage.Learner, _ bool) *audit.Draft {
				l.Invite = ""
				return nil
			}); err != nil {
				return err
			}
		}
		if len(page) < walk {
			return nil
		}
		q.After = page[len(page)-1].User
	}
}
