package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// Whoever owns the database may write another log and sign it too. Checkpoints
// that left the machine are what they cannot alter; and to a database that was
// restored from a backup they say what it does not know any more.

// Offsite is a place beyond this machine where checkpoints go.
type Offsite interface {
	// Put takes a signed checkpoint there; it may come twice. at is when it was
	// signed.
	Put(ctx context.Context, size int64, at time.Time, note string) error
	// Latest answers what came there last, "" for nothing yet; readable is false
	// where nothing can be read back.
	Latest(ctx context.Context) (note string, readable bool, err error)
}

const (
	// offsiteLease is the sending of checkpoints: by one process at a time.
	offsiteLease = "checkpoints"
	offsiteLife  = 2 * time.Minute
	offsiteTime  = 45 * time.Second // for one exchange
	offsiteLook  = 5 * time.Second
	gapLook      = 2 * time.Second
	offsiteRest  = 5 * time.Minute // at most, between tries

	bookSent = "checkpoint-sent" // when a checkpoint left last
	bookLeft = "checkpoint-left" // when that one was signed
)

// Gap is that the log here does not continue the one of which a checkpoint left
// the machine: the database was restored from a backup, or rewritten.
type Gap struct {
	Left audit.Checkpoint // the last that left
	Here int64            // entries of the log here
}

// Error says what an operator has to do.
func (g *Gap) Error() string {
	left := fmt.Sprintf("the checkpoint of %d entries that left on %s", g.Left.Size, g.Left.At.UTC().Format(time.RFC3339))
	if uint64(g.Here) < g.Left.Size { //nolint:gosec // a size is not negative
		return fmt.Sprintf("the log has %d entries and is behind %s: the database was restored from a backup; run healthix-scim audit recover", g.Here, left)
	}
	return "the log does not contain what " + left + " covers: the database was restored from a backup, or rewritten; find out which, then run healthix-scim audit recover"
}

// Gap answers the gap that was found last, nil for none.
func (s *Service) Gap() *Gap { return s.gap.Load() }

// FindGap compares the log with the last checkpoint that can be read back. An
// error says that it cannot be read, or is none of this log's; what was known
// before stays.
func (s *Service) FindGap(ctx context.Context) (*Gap, error) {
	if s.offsite == nil {
		return nil, nil
	}
	left, found, err := s.lastLeft(ctx)
	if err != nil {
		return nil, fmt.Errorf("read back the last checkpoint that left: %w", err)
	}
	var gap *Gap
	if found {
		if gap, err = s.gapTo(ctx, left); err != nil {
			return nil, fmt.Errorf("compare the log with the checkpoint of %d entries that left: %w", left.Size, err)
		}
	}
	s.gap.Store(gap)
	s.compared.Store(s.Now().UnixMicro())
	return gap, nil
}

func (s *Service) lastLeft(ctx context.Context) (audit.Checkpoint, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, offsiteTime)
	defer cancel()
	note, readable, err := s.offsite.Latest(ctx)
	if err != nil || !readable || note == "" {
		return audit.Checkpoint{}, false, err
	}
	keys, err := s.everyLogKey(ctx)
	if err != nil {
		return audit.Checkpoint{}, false, err
	}
	if len(keys) == 0 {
		return audit.Checkpoint{}, false, errors.New("there is no key to verify it with")
	}
	c, err := audit.OpenCheckpoint(note, keys...)
	if err != nil {
		return audit.Checkpoint{}, false, fmt.Errorf("what stands there is not of this log; look at it, and give each log a place of its own: %w", err)
	}
	return c, true, nil
}

// everyLogKey is the keys that sign and those on record: what left was signed by
// one of them.
func (s *Service) everyLogKey(ctx context.Context) ([]string, error) {
	keys, err := s.LogKeys(ctx)
	if err != nil {
		return nil, err
	}
	const most = 100
	set, err := s.store.ListEvents(ctx, storage.EventQuery{Action: LogKeySet, Limit: most})
	if err != nil {
		return nil, err
	}
	for _, e := range set {
		entry, err := audit.ReadEntry(e.Canonical)
		if err != nil {
			return nil, err
		}
		if key := entry.Public()["key"]; key != "" {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// gapTo says whether the log continues a checkpoint that left, or says on record
// that it does not.
func (s *Service) gapTo(ctx context.Context, left audit.Checkpoint) (*Gap, error) {
	head, err := s.store.GetLogHead(ctx) // after what left was read: the log only grows meanwhile
	if err != nil {
		return nil, err
	}
	size := uint64(head.Size) //nolint:gosec // not negative
	switch {
	case left.Size == 0:
		return nil, nil
	case left.Size == size && left.Root == head.Root:
		return nil, nil
	case left.Size < size:
		proof, err := audit.ConsistencyProof(ctx, logNodes{s.store}, left.Size, size)
		switch {
		case err == nil && audit.VerifyConsistency(left.Size, size, proof, left.Root, head.Root) == nil:
			return nil, nil
		case err != nil && !errors.Is(err, errHoles): // which prove nothing, either
			return nil, err
		}
	}
	const most = 100
	recovered, err := s.store.ListEvents(ctx, storage.EventQuery{Action: LogRecovered, Limit: most})
	if err != nil {
		return nil, err
	}
	for _, e := range recovered {
		entry, err := audit.ReadEntry(e.Canonical)
		if err != nil {
			return nil, err
		}
		if fields := entry.Public(); fields["size"] == strconv.FormatUint(left.Size, 10) && fields["root"] == left.Root.String() {
			return nil, nil
		}
	}
	return &Gap{Left: left, Here: head.Size}, nil
}

// RunOffsite takes the newest checkpoint away, once a period, until ctx ends. It
// runs on every server; one sends. Nothing is sent over a gap, which would hide
// it.
func (s *Service) RunOffsite(ctx context.Context) error {
	if s.offsite == nil {
		return nil
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return fmt.Errorf("holder id: %w", err)
	}
	look := min(offsiteLook, s.offsiteEvery)
	for pause := look; ctx.Err() == nil; {
		known := s.gap.Load()
		switch err := s.sendDue(ctx, id.String()); {
		case err == nil:
			pause = look
		case ctx.Err() != nil:
		default:
			if s.offsiteFailed.Add(1); known == nil {
				s.log.ErrorContext(ctx, "the checkpoint did not leave this machine", "error", err, "again in", pause.String())
			}
			if pause = min(2*pause, offsiteRest, max(s.offsiteEvery, look)); s.gap.Load() != nil {
				pause = gapLook
			}
		}
		rest(ctx, pause)
	}
	return nil
}

// sendDue compares the log with what left when its time has come, and sends the
// newest checkpoint when it is new.
func (s *Service) sendDue(ctx context.Context, holder string) error {
	// Every server compares, once a period and when the log is shorter than it was:
	// a database may be restored under those that run. Over a gap it looks until
	// somebody recovered.
	head, err := s.store.GetLogHead(ctx)
	if err != nil {
		return err
	}
	since := s.Now().Sub(time.UnixMicro(s.compared.Load()))
	if known := s.gap.Load(); known != nil || since >= s.offsiteEvery || since < 0 || head.Size < s.sizeSeen.Load() {
		gap, err := s.FindGap(ctx)
		switch {
		case err != nil:
			return err
		case gap != nil:
			return gap
		case known != nil:
			s.log.InfoContext(ctx, "the log was recovered; requests are taken again")
		}
	}
	s.sizeSeen.Store(head.Size)
	if _, due, err := s.due(ctx); err != nil || !due {
		return err
	}
	if held, err := s.lease(ctx, offsiteLease, holder, offsiteLife); err != nil || !held {
		return err
	}
	err = s.sendNewest(ctx)
	const patience = 5 * time.Second
	free, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if dropped := s.store.Write(free, func(ctx context.Context, tx storage.Tx) error { return tx.DropLease(ctx, offsiteLease, holder) }); dropped != nil {
		s.log.WarnContext(ctx, "a lease was not given up; it ends by itself", "lease", offsiteLease, "error", dropped)
	}
	return err
}

// lease takes a lease or prolongs it.
func (s *Service) lease(ctx context.Context, name, holder string, life time.Duration) (held bool, err error) {
	err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		held, err = tx.TakeLease(ctx, name, holder, tx.Now().Add(life))
		return err
	})
	return held && err == nil, err
}

// due says whether the newest checkpoint has not left, and its turn has come.
func (s *Service) due(ctx context.Context) (head storage.LogHead, due bool, err error) {
	state, head, err := s.offsiteState(ctx)
	if err != nil || !state.Pending {
		return head, false, err
	}
	since := s.Now().Sub(state.Sent)
	return head, since >= s.offsiteEvery || since < 0, nil // the clock was set back
}

func (s *Service) sendNewest(ctx context.Context) error {
	head, due, err := s.due(ctx) // somebody else may have sent it meanwhile
	if err != nil || !due {
		return err
	}
	if gap, err := s.FindGap(ctx); err != nil {
		return err
	} else if gap != nil {
		s.log.ErrorContext(ctx, gap.Error())
		return gap
	}
	send, cancel := context.WithTimeout(ctx, offsiteTime)
	defer cancel()
	if err := s.offsite.Put(send, head.NoteOf, head.Signed, head.Note); err != nil {
		return err
	}
	return s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		if err := tx.PutCheckpoint(ctx, storage.KeptCheckpoint{Size: head.NoteOf, At: head.Signed, Note: head.Note}); err != nil {
			return err
		}
		if err := tx.PutBookmark(ctx, bookLeft, head.Signed); err != nil {
			return err
		}
		return tx.PutBookmark(ctx, bookSent, tx.Now())
	})
}

// OffsiteState is how things stand with the checkpoints that leave.
type OffsiteState struct {
	Sent    time.Time // when one left last, by any server; zero for never
	Pending bool      // something is signed that did not leave yet
	Failed  int64     // tries of this process that went wrong
	Gap     bool
}

// OffsiteState answers for the metrics.
func (s *Service) OffsiteState(ctx context.Context) (OffsiteState, error) {
	state, _, err := s.offsiteState(ctx)
	return state, err
}

func (s *Service) offsiteState(ctx context.Context) (OffsiteState, storage.LogHead, error) {
	head, err := s.store.GetLogHead(ctx)
	if err != nil {
		return OffsiteState{}, head, err
	}
	state := OffsiteState{Failed: s.offsiteFailed.Load(), Gap: s.gap.Load() != nil}
	left, _, err := s.store.FindBookmark(ctx, bookLeft)
	if err != nil {
		return state, head, err
	}
	state.Sent, _, err = s.store.FindBookmark(ctx, bookSent)
	state.Pending = head.Note != "" && !head.Signed.Equal(left)
	return state, head, err
}
