package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// LogRecovered is the action of the entry that says where the log goes on after
// a restore from backup.
const LogRecovered = "log.recovered"

// Recovered is what a recovery did.
type Recovered struct {
	Gap          *Gap // nil when none was found and it was done all the same
	Links        int  // activation links that are void
	Participants int  // whose gate is closed
}

// Recover begins a new epoch after the database was restored from a backup. In
// one transaction the gap is put on record, every link that nobody redeemed is
// void, and gate participant closes everywhere until each identity provider has
// told of everybody: leavers of the time that is lost are not known here. Where
// no gap is found it refuses, unless it is forced.
func (s *Service) Recover(ctx context.Context, by Actor, reason string, force bool) (Recovered, error) {
	if len(reason) > 2000 {
		return Recovered{}, Faultf(KindInvalid, "reason", "reason is longer than 2000 bytes; send a shorter one")
	}
	if strings.TrimSpace(reason) == "" {
		return Recovered{}, Faultf(KindInvalid, "reason", "reason is missing; say for the record what happened")
	}
	gap, err := s.FindGap(ctx)
	switch {
	case err != nil && !force:
		return Recovered{}, fmt.Errorf("%w; mend that first, or recover with --force, and the record will not name the checkpoint", err)
	case gap == nil && !force:
		return Recovered{}, Faultf(KindRefused, "", "there is nothing to recover: no checkpoint that can be read back says that entries are missing; after a restore that none shows (checkpoints by mail, or none), --force does it")
	}
	did := Recovered{Gap: gap}
	err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		did.Links, did.Participants = 0, 0
		head, err := tx.GetLogHead(ctx)
		if err != nil {
			return err
		}
		all, err := tx.ListParticipants(ctx)
		if err != nil {
			return err
		}
		for i := range all {
			if all[i], err = tx.LockParticipant(ctx, all[i].ID); err != nil {
				return err
			}
		}
		if did.Links, err = tx.VoidActivations(ctx, tx.Now()); err != nil {
			return err
		}
		did.Participants = len(all)
		if err := s.entry(ctx, tx, by, recoveredDraft(did, head, reason)); err != nil {
			return err
		}
		for _, p := range all {
			if err := s.keepRecovering(ctx, tx, by, p); err != nil {
				return err
			}
		}
		// The place away from here is to hear of it at once.
		if err := tx.PutBookmark(ctx, bookSent, time.Unix(0, 0)); err != nil {
			return err
		}
		return noteAccessOfAll(ctx, tx, "")
	})
	if err != nil {
		return Recovered{}, fmt.Errorf("recover: %w", err)
	}
	s.gap.Store(nil)
	return did, nil
}

func recoveredDraft(did Recovered, head storage.LogHead, reason string) audit.Draft {
	d := audit.Draft{
		Action:   LogRecovered,
		Sentence: "The database was restored from a backup. No checkpoint says what is missing; activation links are void, and access is closed until identity providers have told of everybody.",
		Fields: []audit.Field{
			public("here", strconv.FormatInt(head.Size, 10)), public("hereRoot", head.Root.String()),
			public("links", strconv.Itoa(did.Links)), public("participants", strconv.Itoa(did.Participants)), personal("reason", reason),
		},
	}
	if did.Gap != nil {
		left := did.Gap.Left
		d.Sentence = "The log goes on from here and does not contain all that the named checkpoint, which left this machine before, covers: the database was restored from a backup. Activation links are void, and access is closed until identity providers have told of everybody."
		d.Fields = append(d.Fields, public("size", strconv.FormatUint(left.Size, 10)), public("root", left.Root.String()), public("signed", audit.Stamp(left.At)))
	}
	return d
}

func (s *Service) keepRecovering(ctx context.Context, tx storage.Tx, by Actor, p storage.Participant) error {
	now := tx.Now()
	if p.State().Open() {
		p.ClosedAt = &now
	}
	p.Recovering, p.Version, p.Changed = &now, p.Version+1, now
	return s.keepParticipant(ctx, tx, by, p, "participant.recovering",
		"The database was restored; access is closed until the identity provider has told of everybody, or an operator opens it.")
}

// heardRest is how long an identity provider must have told of everybody before
// its participant opens: it looks at somebody first, and says then that they left.
const heardRest = 10 * time.Second

// wait is a participant that waits since a recovery.
type wait struct {
	participant string
	since       int64 // microseconds
}

// heardOfAll says whether a participant's identity provider has told of everybody
// since the restore, and had been for a while.
func (s *Service) heardOfAll(ctx context.Context, p storage.Participant) (bool, error) {
	key := wait{p.ID, p.Recovering.UnixMicro()}
	unheard, err := s.store.CountUnheard(ctx, p.ID, *p.Recovering, 1)
	if err != nil {
		return false, err
	}
	if unheard > 0 { // somebody came, whom it will tell of
		s.heard.Delete(key)
		return false, nil
	}
	now := s.Now()
	first, _ := s.heard.LoadOrStore(key, now)
	rested := now.Sub(first.(time.Time))          //nolint:errcheck,forcetypeassert // nothing else is stored
	return rested >= heardRest || rested < 0, nil // the clock was set back
}

// SweepRecovering opens participants whose identity provider has told of
// everybody since the restore, and answers how many.
func (s *Service) SweepRecovering(ctx context.Context) (int, error) {
	all, err := s.store.ListParticipants(ctx)
	if err != nil {
		return 0, err
	}
	opened := 0
	var failed error
	for _, p := range all {
		if p.Recovering == nil {
			continue
		}
		told, err := s.heardOfAll(ctx, p)
		if told {
			_, err = s.moveParticipant(ctx, System, p.ID, func(row *storage.Participant, _ time.Time) (action, sentence string, err error) {
				if row.Recovering == nil || !row.Recovering.Equal(*p.Recovering) {
					return "", "", nil // somebody was faster, or recovered anew
				}
				row.Recovering = nil
				opened++
				return "participant.recovered", "The identity provider has told of everybody since the database was restored; gate participant is not closed for it any more.", nil
			})
		}
		failed = errors.Join(failed, err)
	}
	return opened, failed
}
