package storage

import (
	"errors"
	"time"
)

// AccessChange says of whom the portal should ask again, because what it would
// see may have changed: one user, everybody at a participant, or everybody. It
// says nothing about how; that is read when it is told.
type AccessChange struct {
	Participant string // "" for all
	User        string // id, "" for everybody there
	At          time.Time
	Place       ChangePlace // given by the store
}

// ChangePlace is how far a reader of changes came, in the order of commits. The
// zero place is before the first.
type ChangePlace struct {
	Tx int64 // number of the transaction; 0 where there is one writer at a time
	ID int64
}

// Before says whether p comes before another place.
func (p ChangePlace) Before(q ChangePlace) bool {
	return p.Tx < q.Tx || p.Tx == q.Tx && p.ID < q.ID
}

// ErrAhead: a place lies ahead of everything there is. It is from another
// database, or from before this one was restored.
var ErrAhead = errors.New("ahead of everything")
