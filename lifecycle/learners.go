package lifecycle

import (
	"context"
	"fmt"
	"slices"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// Deeds only note on a user's learner that the LMS has to be told something.
// What that is, the one who tells finds out by looking: so that a note may come
// twice or late, and nothing depends on the settings of the process that did the
// deed.

// noteLearner is the deed's part, for what the LMS is to know: who left or came
// back, another name or address, other training that is missing.
func noteLearner(ctx context.Context, tx storage.Tx, old *storage.User, u storage.User) error {
	if old == nil {
		return nil
	}
	was, is := old.Active && old.Deleted == nil, u.Active && u.Deleted == nil
	anew := is && (!was || old.GivenName != u.GivenName || old.FamilyName != u.FamilyName || old.DisplayName != u.DisplayName || old.Email != u.Email)
	missing := u.Decision.Gate(policy.GateTraining).Missing
	other := is && !slices.Equal(missing, old.Decision.Gate(policy.GateTraining).Missing)
	more := other && len(missing) > 0
	if !anew && !other && is == was {
		return nil
	}
	l, found, err := tx.LockLearner(ctx, u.ID)
	if err != nil {
		return err
	}
	now := tx.Now()
	if !found {
		// Who was invited gets no second invitation, by which they would be enrolled.
		if !more || !trainingDue(u, u.Decision) || u.InvitedAt == nil || u.InvitedAt.Equal(now) {
			return nil
		}
		if _, used, err := tx.FindBookmark(ctx, bookPoll); err != nil || !used {
			return err
		}
		l = storage.Learner{User: u.ID, Participant: u.Participant, State: storage.LearnerWaiting}
	}
	if is == was && !anew && !more && l.State != storage.LearnerRefused {
		return nil // nothing is missing any more, and nobody is to look
	}
	if anew {
		l.State = storage.LearnerWaiting
	}
	return putDue(ctx, tx, l)
}

// putDue keeps a learner of whom the LMS is to be told.
func putDue(ctx context.Context, tx storage.Tx, l storage.Learner) error {
	now := tx.Now()
	l.Due, l.Tries, l.Changed = &now, 0, now
	l.Row++
	return tx.PutLearner(ctx, l)
}

// handOver lets an invitation wait until the user is enrolled and has the
// courses that it speaks of; false when it may go out.
func (s *Service) handOver(ctx context.Context, job storage.Job, u storage.User, courses []string) (waits bool, err error) {
	if s.lms == nil || len(courses) == 0 {
		return false, nil
	}
	err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		waits = true
		l, found, err := tx.LockLearner(ctx, u.ID)
		if err != nil {
			return err
		}
		if l.State == storage.LearnerEnrolled && len(without(courses, l.Modules)) == 0 {
			waits = false
			return nil
		}
		if !found || l.State == storage.LearnerOff {
			l.User, l.Participant, l.State = u.ID, u.Participant, storage.LearnerWaiting
		}
		l.Invite = job.Key
		return putDue(ctx, tx, l)
	})
	if err != nil {
		return false, fmt.Errorf("let the LMS know first: %w", err)
	}
	return waits, nil
}

func without(list, known []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(id string) bool { return slices.Contains(known, id) })
}

// adoptLearners notes everybody who was invited to training without being
// enrolled, and waits: before there was an LMS, or when the policy named no
// course yet. It answers how many they are.
func (s *Service) adoptLearners(ctx context.Context) (int, error) {
	adopted := 0
	q := storage.Query{Limit: walk, Now: s.Now(), Filter: storage.Cmp{Field: storage.FieldGate, Op: storage.OpEq, Value: string(policy.GateTraining)}}
	for {
		users, _, err := s.store.ListUsers(ctx, q)
		if err != nil || len(users) == 0 {
			return adopted, err
		}
		q.After = users[len(users)-1].Position(q)
		var waiting []storage.User
		for _, u := range users {
			d := u.Access(q.Now)
			if u.InvitedAt == nil || !trainingDue(u, d) {
				continue
			}
			in, err := s.PolicyAt(ctx, u.Participant)
			if err != nil {
				return adopted, err
			}
			if len(coursesOf(in, d.Gate(policy.GateTraining).Missing)) > 0 {
				waiting = append(waiting, u)
			}
		}
		n, err := s.adopt(ctx, waiting)
		if err != nil {
			return adopted, fmt.Errorf("learners there are already: %w", err)
		}
		adopted += n
	}
}

// adopt notes those who are nobody's learner yet.
func (s *Service) adopt(ctx context.Context, users []storage.User) (n int, err error) {
	if len(users) == 0 {
		return 0, nil
	}
	err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		n = 0
		for _, u := range users {
			_, found, err := tx.LockLearner(ctx, u.ID)
			if err != nil {
				return err
			}
			if found {
				continue
			}
			if err := putDue(ctx, tx, storage.Learner{User: u.ID, Participant: u.Participant, State: storage.LearnerWaiting}); err != nil {
				return err
			}
			n++
		}
		return nil
	})
	return n, err
}

// ResetTraining lets a user take a module again whose training ends: where the
// refresher is announced. For one end it happens once, however often it is asked
// for.
func (s *Service) ResetTraining(ctx context.Context, user, module string) error {
	if s.lms == nil {
		return nil
	}
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		u, err := tx.LockUser(ctx, "", user)
		if err != nil {
			return err
		}
		l, found, err := tx.LockLearner(ctx, user)
		if err != nil || !u.Active || u.Deleted != nil || slices.Contains(l.Refresh, module) {
			return err
		}
		if !found {
			l.User, l.Participant, l.State = u.ID, u.Participant, storage.LearnerWaiting
		}
		l.Refresh = append(l.Refresh, module)
		return putDue(ctx, tx, l)
	})
	if err != nil {
		return fmt.Errorf("reset training %s of %s: %w", module, user, err)
	}
	return nil
}

// EnrolAnew has the LMS told of a user again whom it refused, or whose record
// there is not as it should be.
func (s *Service) EnrolAnew(ctx context.Context, by Actor, user string) error {
	if s.lms == nil {
		return noLMS()
	}
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		u, err := lockLive(ctx, tx, by.Participant, user)
		if err != nil {
			return err
		}
		l, found, err := tx.LockLearner(ctx, user)
		switch {
		case err != nil:
			return err
		case !u.Active:
			return Faultf(KindRefused, "", "the user is inactive; they are enrolled when they come back")
		case !found && !trainingDue(u, u.Access(tx.Now())):
			return Faultf(KindRefused, "", "no training is due; the user is enrolled when it is")
		case !found:
			l.User, l.Participant = u.ID, u.Participant
		}
		l.State, l.Modules = storage.LearnerWaiting, nil // what is assigned is looked at again, too
		if err := putDue(ctx, tx, l); err != nil {
			return err
		}
		return s.entry(ctx, tx, by, audit.Draft{Participant: u.Participant, User: u.ID, Action: "learner.again", Sentence: "An operator had the enrolment in the LMS tried again."})
	})
	if err != nil {
		return fmt.Errorf("enrol %s anew: %w", user, err)
	}
	return nil
}

// RetryLearners has the LMS told again of everybody whom it refused, and answers
// how many they are: a course was missing, and is there now.
func (s *Service) RetryLearners(ctx context.Context, by Actor) (int, error) {
	if s.lms == nil {
		return 0, noLMS()
	}
	n := 0
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		var err error
		if n, err = tx.RetryLearners(ctx, tx.Now()); err != nil || n == 0 {
			return err
		}
		return s.entry(ctx, tx, by, audit.Draft{
			Action: "learner.again", Sentence: "An operator had every refused enrolment in the LMS tried again.", Fields: []audit.Field{public("people", fmt.Sprint(n))},
		})
	})
	return n, err
}

func noLMS() error {
	return Faultf(KindRefused, "", "no LMS is configured (HEALTHIX_LITMOS_URL); training is recorded as evidence")
}
