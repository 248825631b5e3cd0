package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

const (
	// firstLook is how far back the very first walk over completions reaches:
	// nobody was enrolled from here before it.
	firstLook = 48 * time.Hour
	// ahead is how far the LMS's clock may be before ours.
	ahead = 5 * time.Minute
	// farAhead is beyond any time zone: no such instant is waited for.
	farAhead = 24 * time.Hour
	// askAgain is when a question is put again that was not answered.
	askAgain = time.Minute
	// atATime is how many learners are looked at before those after them are
	// looked for again.
	atATime = 20
)

// HintCompletion notes that a learner may have completed something: the LMS is
// asked before anything counts. Who is nobody here leaves nothing.
func (s *Service) HintCompletion(ctx context.Context, id string) error {
	l, found, err := s.store.FindLMSLearner(ctx, id)
	if err != nil || !found || l.Asked != nil && !l.Asked.After(s.Now()) {
		return err
	}
	return s.askLater(ctx, id, s.Now())
}

func (s *Service) askLater(ctx context.Context, id string, at time.Time) error {
	return s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error { return tx.AskLearner(ctx, id, at) })
}

// ConfirmLearners asks the LMS about learners whom it is to be asked about, and
// answers about how many.
func (s *Service) ConfirmLearners(ctx context.Context) (int, error) {
	asked, err := s.store.ListAskedLearners(ctx, s.Now(), atATime)
	if err != nil {
		return 0, err
	}
	for n, l := range asked {
		if err := s.confirm(ctx, l); err != nil {
			return n, fmt.Errorf("learner %s: %w", l.User, err)
		}
	}
	return len(asked), nil
}

func (s *Service) confirm(ctx context.Context, l storage.Learner) error {
	completed, failed := s.lms.Completed(ctx, l.LMSID)
	_ = s.said(failed)
	// In the order in which it happened, for a renewal counts from the end before.
	slices.SortStableFunc(completed, func(a, b Completion) int { return a.At.Compare(b.At) })
	var again *time.Time
	for _, c := range completed {
		if c.ID != l.LMSID {
			continue
		}
		var due *time.Time
		if due, failed = s.takeIn(ctx, c); failed != nil {
			break
		}
		if again == nil {
			again = due // the first of those that lie ahead
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		if failed != nil && !errors.Is(failed, ErrLMSGone) && !errors.Is(failed, ErrLMSRefused) {
			at := tx.Now().Add(askAgain)
			again = &at
		}
		return tx.AnsweredLearner(ctx, l.User, *l.Asked, again)
	})
	return errors.Join(failed, err)
}

// pollOnce is PollLMS as it is repeated: once a minute, whatever was found.
func (s *Service) pollOnce(ctx context.Context) (int, error) { return 0, s.PollLMS(ctx) }

// PollLMS takes in what people completed since it last looked.
func (s *Service) PollLMS(ctx context.Context) error {
	since, found, err := s.store.FindBookmark(ctx, bookPoll)
	if err != nil {
		return err
	}
	// A walk never ends later than that; what a clock kept that was wrong would
	// hide what is completed until then.
	if first := s.Now().Add(-firstLook); !found || since.After(first) {
		since = first
	}
	next, err := s.lms.Completions(ctx, since, func(c Completion) error {
		again, err := s.takeIn(ctx, c)
		if err != nil {
			// One that cannot be taken in does not keep the others waiting.
			s.log.WarnContext(ctx, "a completion was not taken in; the LMS is asked about the learner again", "completion", c.Key, "error", err)
			at := s.Now().Add(askAgain)
			again = &at
		}
		if again == nil {
			return nil
		}
		return s.askLater(ctx, c.ID, *again)
	})
	if s.said(err) != nil {
		return err
	}
	return s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		if err := tx.PutBookmark(ctx, bookPoll, next); err != nil {
			return err
		}
		return tx.PutBookmark(ctx, bookPolled, tx.Now())
	})
}

// takeIn keeps a completion as evidence: of the user whose record it names, for
// the modules that this course is, once however often it is told. What the
// policy does not ask about, and what is too old to count, is no evidence; for
// what lies ahead it answers when to ask again.
func (s *Service) takeIn(ctx context.Context, c Completion) (again *time.Time, err error) {
	l, found, err := s.store.FindLMSLearner(ctx, c.ID)
	if err != nil || !found {
		return nil, err
	}
	in, err := s.PolicyAt(ctx, l.Participant)
	if err != nil {
		return nil, err
	}
	modules := modulesOf(in, c.Course)
	if len(modules) == 0 {
		return nil, nil
	}
	switch now := s.Now(); {
	case c.At.After(now.Add(farAhead)):
		s.log.WarnContext(ctx, "a completion lies over a day in the future and does not count", "completion", c.Key, "learner", l.User)
		return nil, nil
	case c.At.After(now.Add(ahead)): // a wrong zone, perhaps: it counts when its time comes
		return &c.At, nil
	case !now.Before(yearLater(c.At.In(newYork))):
		return nil, nil
	}
	known, err := s.store.ListEvidence(ctx, l.User)
	if err != nil {
		return nil, err
	}
	for _, module := range modules {
		id := completionID(l.User, module, c.Key)
		if isKept(known, id) {
			continue
		}
		if err := s.keepCompletion(ctx, l.User, module, id, c); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// completions is the namespace of the ids below.
var completions = uuid.MustParse("6f0c5a8e-7f6e-5a53-9a0a-0d3a7c1e4b52")

// completionID is the id of the evidence that a completion is. It is the same
// every time, so that none is kept twice, nor again after an operator revoked it.
func completionID(user, module, key string) string {
	return uuid.NewSHA1(completions, []byte(user+"\x00"+module+"\x00"+key)).String()
}

func isKept(known []storage.Evidence, id string) bool {
	return slices.ContainsFunc(known, func(e storage.Evidence) bool { return e.ID == id })
}

// keepCompletion records one module; when it opens the last gate, access is
// released in the same transaction.
func (s *Service) keepCompletion(ctx context.Context, user, module, id string, c Completion) error {
	_, err := s.onUser(ctx, System, "", user, func(ctx context.Context, d *deed) (change, error) {
		l, found, err := d.tx.FindLMSLearner(ctx, c.ID)
		if err != nil || !found || l.User != user || isKept(d.on.evidence, id) {
			return change{}, err
		}
		now := d.tx.Now()
		at := c.At.UTC().Truncate(time.Microsecond)
		if at.After(now) {
			at = now
		}
		e := storage.Evidence{
			Evidence: policy.Evidence{ID: id, Gate: policy.GateTraining, Module: module, CompletedAt: at, ValidUntil: validUntil(at, module, d.on.evidence)},
			User:     user, Participant: d.u.Participant, Source: "lms", Actor: System.Subject, Recorded: now,
		}
		if err := d.on.keepEvidence(ctx, d.tx, e); err != nil {
			return change{}, err
		}
		return change{
			action: "evidence.recorded", sentence: "The LMS says that training was completed; evidence was recorded.",
			fields: append(evidenceFields(e), public("completion", c.Key)),
		}, nil
	})
	if errors.Is(err, storage.ErrNotFound) {
		return nil // deleted
	}
	if err != nil {
		return fmt.Errorf("completion of %s by %s: %w", module, user, err)
	}
	return nil
}

// trainingOf is every module that a role asks for, once.
func trainingOf(p *policy.Policy) []policy.Module {
	var all []policy.Module
	for _, r := range p.Roles() {
		for _, m := range p.Modules(r.Name) {
			if !slices.ContainsFunc(all, func(o policy.Module) bool { return o.ID == m.ID }) {
				all = append(all, m)
			}
		}
	}
	return all
}

// coursesOf are the courses of modules; one that the policy names no course for
// is trained elsewhere.
func coursesOf(p *policy.Policy, modules []string) []string {
	var courses []string
	for _, m := range trainingOf(p) {
		if m.Litmos != "" && slices.Contains(modules, m.ID) && !slices.Contains(courses, m.Litmos) {
			courses = append(courses, m.Litmos)
		}
	}
	return courses
}

// modulesOf are the modules that a course is.
func modulesOf(p *policy.Policy, course string) []string {
	var modules []string
	for _, m := range trainingOf(p) {
		if m.Litmos == course {
			modules = append(modules, m.ID)
		}
	}
	return modules
}
