package lifecycle

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/audit"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// Hold closes a user's access in this very transaction until it is lifted. The
// reason is for staff; the outside reads a fixed sentence (product rule 11).
func (s *Service) Hold(ctx context.Context, by Actor, user, reason string) (storage.Hold, error) {
	if reason = strings.TrimSpace(reason); reason == "" {
		return storage.Hold{}, Faultf(KindInvalid, "reason", "reason is missing; say for Healthix's staff why the user is held")
	}
	if len(reason) > 2000 {
		return storage.Hold{}, Faultf(KindInvalid, "reason", "reason is longer than 2000 bytes; send a shorter one")
	}
	var kept storage.Hold
	_, err := s.onUser(ctx, by, by.Participant, user, func(ctx context.Context, d *deed) (change, error) {
		id, err := uuid.NewRandom()
		if err != nil {
			return change{}, fmt.Errorf("hold id: %w", err)
		}
		kept = storage.Hold{
			Hold: policy.Hold{ID: id.String(), Reason: reason, Since: d.tx.Now()},
			User: d.u.ID, Participant: d.u.Participant, Actor: by.Subject,
		}
		if err := d.on.keepHold(ctx, d.tx, kept); err != nil {
			return change{}, err
		}
		return change{action: "hold.placed", sentence: "The user was put on hold.", fields: holdFields(kept)}, nil
	})
	if err != nil {
		return storage.Hold{}, fmt.Errorf("hold %s: %w", user, err)
	}
	return kept, nil
}

// LiftHold ends one hold; access returns when no other gate is closed. Lifting
// it again changes nothing.
func (s *Service) LiftHold(ctx context.Context, by Actor, user, hold string) error {
	_, err := s.onUser(ctx, by, by.Participant, user, func(ctx context.Context, d *deed) (change, error) {
		i := slices.IndexFunc(d.on.holds, func(h storage.Hold) bool { return h.ID == hold })
		switch {
		case i < 0:
			return change{}, fmt.Errorf("hold %s: %w", hold, storage.ErrNotFound)
		case d.on.holds[i].Lifted != nil:
			return change{}, nil
		}
		h := d.on.holds[i]
		now := d.tx.Now()
		h.Lifted = &now
		if err := d.on.keepHold(ctx, d.tx, h); err != nil {
			return change{}, err
		}
		return change{action: "hold.lifted", sentence: "A hold was lifted.", fields: holdFields(h)[:1]}, nil
	})
	if err != nil {
		return fmt.Errorf("lift hold of %s: %w", user, err)
	}
	return nil
}

func holdFields(h storage.Hold) []audit.Field {
	return []audit.Field{public("hold", h.ID), personal("reason", h.Reason)}
}
