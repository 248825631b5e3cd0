package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// asOfPatience is how long a question about an instant waits for deeds under way
// that may still come to be recorded at or before it.
const asOfPatience = 2 * time.Second

// Settle waits until nothing is recorded any more at or before an instant, so
// that whoever asks about it twice hears the same. A future instant is refused;
// storage.ErrUnsettled when a deed takes too long.
func (s *Service) Settle(ctx context.Context, at time.Time) error {
	return SettleIn(ctx, s.store, s.Now(), at)
}

// SettleIn is Settle for who has a store only.
func SettleIn(ctx context.Context, store storage.Store, now, at time.Time) error {
	if at.After(now) {
		return Faultf(KindInvalid, "asOf", "asOf lies in the future; the record ends at %s", now.UTC().Format(time.RFC3339))
	}
	waiting, cancel := context.WithTimeout(ctx, asOfPatience)
	defer cancel()
	if err := store.Settle(waiting, at); err != nil {
		return fmt.Errorf("read as of %s: %w", at.UTC().Format(time.RFC3339Nano), err)
	}
	return nil
}

// Known is what was on record about a user beside the document.
type Known struct {
	Evidence  []storage.Evidence
	Approvals []storage.Approval
	Holds     []storage.Hold
}

// KnownAt answers what counted about a user at an instant: recorded by then, and
// not revoked, ended or lifted by then. What came later it does not say.
func KnownAt(ctx context.Context, read storage.Reader, user string, at time.Time) (Known, error) {
	var k Known
	evidence, err := read.ListEvidence(ctx, user)
	if err != nil {
		return k, fmt.Errorf("evidence of %s: %w", user, err)
	}
	approvals, err := read.ListApprovals(ctx, user)
	if err != nil {
		return k, fmt.Errorf("approvals of %s: %w", user, err)
	}
	holds, err := read.ListHolds(ctx, user)
	if err != nil {
		return k, fmt.Errorf("holds of %s: %w", user, err)
	}
	for _, e := range evidence {
		if counted(e.Recorded, e.Revoked, at) {
			e.Revoked, e.RevokedWhy = nil, ""
			k.Evidence = append(k.Evidence, e)
		}
	}
	for _, a := range approvals {
		if counted(a.At, a.Ended, at) {
			a.Ended = nil
			k.Approvals = append(k.Approvals, a)
		}
	}
	for _, h := range holds {
		if counted(h.Since, h.Lifted, at) {
			h.Lifted = nil
			k.Holds = append(k.Holds, h)
		}
	}
	return k, nil
}

// counted says whether an instant lies in [from, to).
func counted(from time.Time, to *time.Time, at time.Time) bool {
	return !at.Before(from) && (to == nil || at.Before(*to))
}

// EachUserAt hands all users as they were at an instant to do, page by page, by
// id; deleted ones too. No page costs more than the first, and none is kept.
func EachUserAt(ctx context.Context, read storage.Reader, participant string, at time.Time, do func([]storage.User) error) error {
	q := storage.AsOfQuery{Participant: participant, At: at, Limit: 1000}
	for {
		users, err := read.ListUsersAt(ctx, q)
		if err != nil {
			return fmt.Errorf("list users: %w", err)
		}
		if len(users) == 0 {
			return nil
		}
		if err := do(users); err != nil {
			return err
		}
		if len(users) < q.Limit {
			return nil
		}
		q.After = users[len(users)-1].ID
	}
}
