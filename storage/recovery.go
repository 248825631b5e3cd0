package storage

import (
	"context"
	"time"
)

// recoveryReader looks up what a restored database, and the stream of entries to
// the outside, need.
type recoveryReader interface {
	// CountUnheard answers how many active, undeleted users of a participant its
	// own tokens have neither read nor written singly, with success, since an
	// instant. It stops counting at most.
	CountUnheard(ctx context.Context, participant string, since time.Time, most int) (int, error)
	// GetStreamed answers the first position of the log that the stream to the
	// outside has not come to.
	GetStreamed(ctx context.Context) (int64, error)
}

// recoveryWriter keeps the same.
type recoveryWriter interface {
	// VoidActivations voids every link that nobody redeemed, and answers how many.
	VoidActivations(ctx context.Context, at time.Time) (int, error)
	PutStreamed(ctx context.Context, position int64) error
}
