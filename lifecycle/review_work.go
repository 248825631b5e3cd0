package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// sweepReviews promises work on every review that needs it: whatever a process
// that died left out, and deadlines that passed while nobody was there.
func (s *Service) sweepReviews(ctx context.Context) error {
	now := s.Now()
	q := storage.ReviewQuery{States: unclosedReviews, Limit: walk}
	for {
		found, err := s.store.ListReviews(ctx, q)
		if err != nil || len(found) == 0 {
			return err
		}
		ids := make([]string, len(found))
		for i, r := range found {
			ids[i] = r.ID
		}
		tallies, err := s.store.TallyReviews(ctx, ids)
		if err != nil {
			return err
		}
		err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
			for _, r := range found {
				if !needsWork(r, tallies[r.ID][storage.ItemOpen], now) {
					continue
				}
				if err := promiseReview(ctx, tx, r.ID); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		q.Before = &found[len(found)-1]
	}
}

func needsWork(r storage.Review, open int, now time.Time) bool {
	switch {
	case r.State == storage.ReviewPreparing, open == 0:
		return true
	case r.State == storage.ReviewEscalated:
		return r.OnSilence == SilenceSuspends
	default:
		return !now.Before(r.Due) || reviewReminder(r, now) != 0
	}
}

// workOnReview does what a review needs now: make its items, remind, escalate,
// suspend, close. Each step looks at the review again under its lock, so that it
// may be done by several, and broken off anywhere.
func (s *Service) workOnReview(ctx context.Context, id string) error {
	r, err := s.store.GetReview(ctx, "", id)
	if err != nil {
		return err
	}
	if r.State == storage.ReviewPreparing {
		if r, err = s.prepareReview(ctx, r); err != nil {
			return fmt.Errorf("make the items of review %s: %w", id, err)
		}
	}
	if r, err = s.moveReview(ctx, id); err != nil {
		return err
	}
	switch {
	case r.State == storage.ReviewOpen:
		return s.remindReviewers(ctx, r)
	case r.State == storage.ReviewEscalated && r.OnSilence == SilenceSuspends:
		if err := s.suspendUndecided(ctx, r); err != nil {
			return fmt.Errorf("suspend whom review %s left undecided: %w", id, err)
		}
		_, err = s.moveReview(ctx, id)
		return err
	}
	return nil
}

// prepareReview makes the items: everybody who had access at the review's
// instant, as they were then. Who moved since is followed from the start.
func (s *Service) prepareReview(ctx context.Context, r storage.Review) (storage.Review, error) {
	const patience = 2 * time.Second
	settling, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.store.Settle(settling, r.AsOf); err != nil {
		return r, err
	}
	for r.State == storage.ReviewPreparing {
		users, err := s.store.ListUsersAt(ctx, storage.AsOfQuery{Participant: r.Participant, At: r.AsOf, After: r.Prepared, Limit: walk})
		if err != nil {
			return r, err
		}
		if r, err = s.prepareSome(ctx, r, users); err != nil {
			return r, err
		}
	}
	return r, nil
}

// prepareSome makes the items of one batch, and opens the review behind the last.
func (s *Service) prepareSome(ctx context.Context, seen storage.Review, users []storage.User) (storage.Review, error) {
	kept := seen
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		var ids []string
		for _, u := range users {
			if had := u.Access(seen.AsOf).Status; had == policy.StatusReleased || had == policy.StatusSuspended {
				ids = append(ids, u.ID)
			}
		}
		present, err := tx.LockUsers(ctx, ids)
		if err != nil {
			return err
		}
		r, err := tx.LockReview(ctx, seen.ID)
		if err != nil {
			return err
		}
		kept = r
		if r.State != storage.ReviewPreparing || r.Prepared != seen.Prepared {
			return nil // somebody else did
		}
		var items []storage.ReviewItem
		for _, u := range users {
			now, has := present[u.ID]
			if !has {
				continue
			}
			i := storage.ReviewItem{Review: r.ID, User: u.ID, Participant: r.Participant, State: storage.ItemOpen, Made: lookedAt(u)}
			follow(&i, now, tx.Now())
			items = append(items, i)
		}
		if err := tx.AddReviewItems(ctx, items); err != nil {
			return err
		}
		r.Row++
		if len(users) == walk {
			r.Prepared = users[len(users)-1].ID
			kept = r
			return tx.PutReview(ctx, r)
		}
		kept, err = s.openReview(ctx, tx, r)
		return err
	})
	return kept, err
}

func (s *Service) openReview(ctx context.Context, tx storage.Tx, r storage.Review) (storage.Review, error) {
	now := tx.Now()
	r.State, r.Opened = storage.ReviewOpen, &now
	if err := tx.PutReview(ctx, r); err != nil {
		return r, err
	}
	tally, err := tx.TallyReviews(ctx, []string{r.ID})
	if err != nil {
		return r, err
	}
	if err := s.promiseReviewMails(ctx, tx, r, 0); err != nil {
		return r, err
	}
	return r, s.reviewEntry(ctx, tx, System, r, "review.opened", "An access review was opened to the reviewers.", public("people", fmt.Sprint(tally[r.ID].Total())))
}

// moveReview closes a review in which everybody is decided about, or escalates
// one whose deadline has passed.
func (s *Service) moveReview(ctx context.Context, id string) (storage.Review, error) {
	var kept storage.Review
	moved := false
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		moved = false
		r, err := tx.LockReview(ctx, id)
		if err != nil {
			return err
		}
		kept = r
		if r.State != storage.ReviewOpen && r.State != storage.ReviewEscalated {
			return nil
		}
		open, err := undecided(ctx, tx, id)
		if err != nil {
			return err
		}
		switch {
		case open == 0:
			kept, err = s.closeReview(ctx, tx, System, r)
		case r.State == storage.ReviewOpen && !tx.Now().Before(r.Due):
			err = s.escalate(ctx, tx, &r, open)
			kept, moved = r, true
		}
		return err
	})
	if err == nil && moved {
		s.log.WarnContext(ctx, "the deadline of an access review passed with people undecided; see healthix-scim review show",
			"participant", kept.Participant, "review", kept.ID, "undecided", kept.Undecided, "onSilence", kept.OnSilence)
	}
	return kept, err
}

// suspendUndecided holds everybody about whom nobody decided, each in a
// transaction of their own; one who cannot be held stops none of the others.
func (s *Service) suspendUndecided(ctx context.Context, r storage.Review) error {
	var failures error
	q := storage.ReviewItemQuery{Review: r.ID, State: storage.ItemOpen, Limit: walk}
	for {
		items, err := s.store.ListReviewItems(ctx, q)
		if err != nil || len(items) == 0 {
			return errors.Join(failures, err)
		}
		for _, i := range items {
			if err := s.suspendOne(ctx, r, i.User); err != nil && !errors.Is(err, storage.ErrNotFound) {
				failures = errors.Join(failures, fmt.Errorf("suspend %s: %w", i.User, err))
			}
			if ctx.Err() != nil {
				return errors.Join(failures, ctx.Err())
			}
		}
		q.After = items[len(items)-1].User
	}
}

func (s *Service) suspendOne(ctx context.Context, r storage.Review, user string) error {
	_, err := s.onUser(ctx, System, r.Participant, user, func(ctx context.Context, d *deed) (change, error) {
		now, err := d.tx.ShareReview(ctx, r.ID)
		if err != nil {
			return change{}, err
		}
		item, err := d.tx.GetReviewItem(ctx, r.ID, user)
		if err != nil || item.State != storage.ItemOpen || now.State != storage.ReviewEscalated {
			return change{}, err
		}
		id, err := uuid.NewRandom()
		if err != nil {
			return change{}, fmt.Errorf("hold id: %w", err)
		}
		hold := storage.Hold{
			Hold: policy.Hold{ID: id.String(), Reason: "nobody decided about this person in access review " + r.ID + " by its deadline", Since: d.tx.Now()},
			User: user, Participant: r.Participant, Actor: System.Subject,
		}
		if err := d.on.keepHold(ctx, d.tx, hold); err != nil {
			return change{}, err
		}
		item.State, item.Hold = storage.ItemSuspended, hold.ID
		if err := d.tx.PutReviewItem(ctx, item); err != nil {
			return change{}, err
		}
		// Nobody looked at each of them, so that the breaker does at their number.
		return change{
			counts: true, action: "hold.placed", sentence: "The user was put on hold: nobody decided in an access review by its deadline.",
			fields: append(holdFields(hold), public("review", r.ID)),
		}, nil
	})
	return err
}
