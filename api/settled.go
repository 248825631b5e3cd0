package api

import (
	"context"
	"sync"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// settledFor is how old a participant's settings may be at the door: profile
// and rate of requests follow a change within this time, on any node. Access
// never rests on it; deeds and readers ask the database.
const settledFor = 2 * time.Second

// settled remembers participants for the door.
type settled struct {
	read storage.Reader
	now  func() time.Time

	mu   sync.Mutex
	seen map[string]settledAt
}

type settledAt struct {
	participant storage.Participant
	at          time.Time
}

func newSettled(read storage.Reader, now func() time.Time) *settled {
	return &settled{read: read, now: now, seen: map[string]settledAt{}}
}

// get answers a participant as it was at most settledFor ago.
func (s *settled) get(ctx context.Context, id string) (storage.Participant, error) {
	now := s.now()
	s.mu.Lock()
	known, ok := s.seen[id]
	s.mu.Unlock()
	if ok && now.Sub(known.at) < settledFor && !now.Before(known.at) {
		return known.participant, nil
	}
	p, err := s.read.GetParticipant(ctx, id)
	if err != nil {
		return storage.Participant{}, err
	}
	s.mu.Lock()
	s.seen[id] = settledAt{participant: p, at: now}
	s.mu.Unlock()
	return p, nil
}

// forget makes the next look a fresh one: the change was made here.
func (s *settled) forget(id string) {
	s.mu.Lock()
	delete(s.seen, id)
	s.mu.Unlock()
}
