package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// What the portal sees of a user rests on four things: the user's row, the
// participant's row, the policy version in force, and the clock. Whoever moves
// one of the first three says so in the same transaction, so that the portal can
// follow; what the clock takes, validUntil has told before.

// ChangesLast is how long a reader of changes of access may stay away and go on
// where it was. Rows are kept for a day more: an instant in a row is that of its
// deed, which may have ended later, on a server whose clock differs.
const ChangesLast = 7 * 24 * time.Hour

// noteAccess keeps that the portal should ask about a user again.
func noteAccess(ctx context.Context, tx storage.Tx, old *storage.User, u storage.User, foreseen bool) error {
	if u.HealthixUsername == "" || !portalSees(old, u) && !foreseen {
		return nil
	}
	return tx.PutAccessChange(ctx, storage.AccessChange{Participant: u.Participant, User: u.ID, At: tx.Now()})
}

// portalSees says whether a deed may have changed what the portal sees. It
// compares what was decided, not what is seen of it at this moment: the
// participant's row may be changing meanwhile.
func portalSees(old *storage.User, u storage.User) bool {
	return old == nil || old.Narrowing != nil || !same(old.Decision, u.Decision) || !sameTime(old.Decision.ClosedSeen, u.Decision.ClosedSeen) ||
		old.HealthixUsername != u.HealthixUsername || old.Email != u.Email || old.Mobile != u.Mobile || !sameTime(old.Deleted, u.Deleted)
}

// noteAccessOfAll keeps that the portal should ask again about everybody at a
// participant, "" for everybody: one row, however many they are.
func noteAccessOfAll(ctx context.Context, tx storage.Tx, participant string) error {
	return tx.PutAccessChange(ctx, storage.AccessChange{Participant: participant, At: tx.Now()})
}

// SweepChanges forgets changes of access that no reader can go on from.
func (s *Service) SweepChanges(ctx context.Context) error {
	const (
		batch  = 500
		longer = 24 * time.Hour
	)
	for {
		n, err := s.store.DeleteAccessChanges(ctx, s.Now().Add(-ChangesLast-longer), batch)
		if err != nil {
			return fmt.Errorf("sweep of changes of access: %w", err)
		}
		if n < batch {
			return nil
		}
	}
}
