package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/storage"
)

// LMS is where people are trained. Its methods may be repeated, and wrap one of
// the errors below where that says more than that it went wrong. Whoever calls
// them sees to it that one thing at a time happens to a learner.
type LMS interface {
	// Enrol makes sure that somebody has one active record with the name and
	// address given, and answers its id.
	Enrol(ctx context.Context, who Trainee) (id string, err error)
	// Find answers the id of a user's record.
	Find(ctx context.Context, user string) (id string, err error)
	// Assign gives a learner courses, by the LMS's ids.
	Assign(ctx context.Context, id string, courses []string) error
	// Reset lets a learner take a course again. It is not repeated once they have
	// begun anew.
	Reset(ctx context.Context, id, course string) error
	// Deactivate makes a record inactive; one that is gone is fine.
	Deactivate(ctx context.Context, id string) error
	// Completed is everything that one learner completed.
	Completed(ctx context.Context, id string) ([]Completion, error)
	// Completions tells f what anybody completed since an instant, some of it more
	// than once, and answers where to begin the next time. f's error ends it.
	Completions(ctx context.Context, since time.Time, f func(Completion) error) (next time.Time, err error)
}

// Trainee is what an LMS is told of a user.
type Trainee struct {
	User       string
	GivenName  string
	FamilyName string
	Email      string
}

// Completion is what an LMS says that somebody completed.
type Completion struct {
	Key    string // the same whenever it tells of this one
	ID     string // of the learner's record
	Course string
	At     time.Time
}

// What an LMS may answer instead of doing what it is asked.
var (
	// ErrLMSBusy: away, overrun or too slow. Later, it may be well again.
	ErrLMSBusy = errors.New("the LMS is busy")
	// ErrLMSKey: it does not take our key. Nothing goes until that is mended.
	ErrLMSKey = errors.New("the LMS does not accept our key")
	// ErrLMSGone: there is no such record.
	ErrLMSGone = errors.New("the LMS has no such record")
	// ErrLMSRefused: it will not, however often it is asked. A person must look;
	// the error's text tells them, and names nobody.
	ErrLMSRefused = errors.New("the LMS refused")
)

const (
	// lmsLease is the work of the one process that speaks to the LMS. One, because
	// an LMS grants a key so many requests a minute however many servers there
	// are; and so that one thing at a time happens to a learner.
	lmsLease = "lms"
	lmsLife  = 20 * time.Second
	lmsSafe  = 15 * time.Second // after which nothing new is begun under an old lease
	lmsRenew = 6 * time.Second
	lmsTry   = 3 * time.Second // between looks whether the lease is free

	pollEvery = time.Minute
	lookEvery = time.Second // for learners who are due
)

// Bookmarks.
const (
	bookPoll   = "lms-poll"   // where the next walk over completions begins
	bookPolled = "lms-polled" // when a walk ended well
)

// RunLMS tells the LMS what deeds want of it and takes in what people completed,
// until ctx ends. Of all processes that run it on a database one works; when it
// dies another one goes on within lmsLife, from what is kept.
func (s *Service) RunLMS(ctx context.Context) error {
	if s.lms == nil {
		return errors.New("there is no LMS to work with")
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return fmt.Errorf("holder id: %w", err)
	}
	holder := id.String()
	for ctx.Err() == nil {
		begin := time.Now() // a duration, never a fact
		held, err := s.takeLMS(ctx, holder)
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "take the lease on the LMS", "error", err)
		}
		if held {
			s.holdLMS(ctx, holder, begin)
		}
		rest(ctx, lmsTry)
	}
	return nil
}

func (s *Service) takeLMS(ctx context.Context, holder string) (held bool, err error) {
	err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		held, err = tx.TakeLease(ctx, lmsLease, holder, tx.Now().Add(lmsLife))
		return err
	})
	return held && err == nil, err
}

// holdLMS works as long as the lease is ours, which was taken after begin. When
// it cannot be prolonged, whatever the reason, the work ends before the lease
// does: the LMS knows no leases, and would obey two processes.
func (s *Service) holdLMS(ctx context.Context, holder string, begin time.Time) {
	ctx, lost := context.WithCancel(ctx)
	end := time.AfterFunc(lmsSafe-time.Since(begin), lost)
	defer end.Stop()
	var work sync.WaitGroup
	// Apart, for each has a part of the requests that the others cannot use up.
	work.Go(func() { s.keepAt(ctx, "poll the LMS", pollEvery, s.pollOnce) })
	work.Go(func() { s.keepAt(ctx, "ask the LMS what learners completed", lookEvery, s.ConfirmLearners) })
	work.Go(func() { s.keepAt(ctx, "tell the LMS of learners", lookEvery, s.TendLearners) })

	for rest(ctx, lmsRenew); ctx.Err() == nil; rest(ctx, lmsRenew) {
		begin := time.Now()
		held, err := s.takeLMS(ctx, holder)
		switch {
		case held && ctx.Err() == nil:
			end.Reset(lmsSafe - time.Since(begin))
		case err == nil: // somebody else's
			lost()
		}
	}
	lost()
	work.Wait()
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error { return tx.DropLease(ctx, lmsLease, holder) }); err != nil {
		s.log.WarnContext(ctx, "the lease on the LMS was not given up; it ends by itself", "error", err)
	}
}

// keepAt does f again and again, at once while it finds something to do.
func (s *Service) keepAt(ctx context.Context, what string, pause time.Duration, f func(ctx context.Context) (int, error)) {
	for ctx.Err() == nil {
		n, err := f(ctx)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			s.log.WarnContext(ctx, what, "error", err)
			rest(ctx, max(pause, 5*time.Second))
		case n == 0:
			rest(ctx, pause)
		}
	}
}

func rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// said remembers whether the LMS takes our key, for the metrics.
func (s *Service) said(err error) error {
	switch {
	case err == nil:
		s.keyRefused.Store(false)
	case errors.Is(err, ErrLMSKey):
		s.keyRefused.Store(true)
	}
	return err
}

// LMSState is how things stand with the LMS.
type LMSState struct {
	Learners   map[string]int // by state
	Polled     time.Time      // when completions were last taken in, zero for never
	KeyRefused bool           // this process works with it, and its key is not accepted
}

// LMSState answers for the metrics; nil when there is no LMS.
func (s *Service) LMSState(ctx context.Context) (*LMSState, error) {
	if s.lms == nil {
		return nil, nil
	}
	counts, err := s.store.CountLearners(ctx)
	if err != nil {
		return nil, err
	}
	polled, _, err := s.store.FindBookmark(ctx, bookPolled)
	return &LMSState{Learners: counts, Polled: polled, KeyRefused: s.keyRefused.Load()}, err
}
