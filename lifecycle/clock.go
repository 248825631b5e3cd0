package lifecycle

import (
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// stepBack bounds how far a clock that was set back is made up for. Beyond it,
// what it showed before is taken for the fault, or a server that once lived in
// next year would keep everybody's training expired until then.
const stepBack = 24 * time.Hour

// instantFor is when a user is decided: now, but not before they were decided
// last. Otherwise a clock that is set back, or another server's that is behind,
// would bring back access that had ended, and close access for training that it
// takes for future.
func instantFor(old *storage.User, now time.Time) time.Time {
	if old == nil {
		return now
	}
	if last := old.Decision.DecidedAt; last.After(now) && last.Sub(now) <= stepBack {
		return last
	}
	return now
}
