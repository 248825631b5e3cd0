package lifecycle

import (
	"context"
	"fmt"
	"strconv"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// ActionRead is the action of entries that say who looked.
const ActionRead = "read"

// Reading is one request by which staff read about people.
type Reading struct {
	Route       string
	Participant string // whose people, "" for all or for none in particular
	User        string // who was looked at, "" for more than one
	Filter      string // digest of what was asked for
	Rows        int
}

// ReadLog keeps who read what about people. It is done before the answer
// leaves: what cannot be recorded is not read.
func (s *Service) ReadLog(ctx context.Context, by Actor, r Reading) error {
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		return s.entry(ctx, tx, by, audit.Draft{
			Participant: r.Participant, User: r.User, Action: ActionRead, Sentence: "Staff read about people.",
			Fields: []audit.Field{public("route", r.Route), public("filter", r.Filter), public("rows", strconv.Itoa(r.Rows))},
		})
	})
	if err != nil {
		return fmt.Errorf("record read of %s: %w", r.Route, err)
	}
	return nil
}
