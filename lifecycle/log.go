package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// Entries are kept in their deeds' own transactions and get their positions in
// the log afterwards, from one process at a time: no deed waits for another's
// place. What a batch sees has been committed; what commits late is in a later
// batch. Within a batch, entries stand in the order of their instants.

const (
	// placeEvery is how often somebody looks for entries without a position.
	placeEvery = 250 * time.Millisecond
	// placeRest is how long nobody tries after one went wrong.
	placeRest = 5 * time.Second
	// signEvery is how long a checkpoint stays the newest at least. With the
	// look before it, an entry is under a signed checkpoint within a second.
	signEvery = 700 * time.Millisecond
	// placeAtOnce is how many entries get their positions in one transaction.
	placeAtOnce = 2000
	// keepEvery is how often a checkpoint is kept for good.
	keepEvery = time.Hour
)

// logSigners are the keys of the log: the first signs, the others, of before a
// change of keys, sign along.
func (s *Service) logSigners(ctx context.Context) ([]*audit.Signer, error) {
	if found := s.signers.Load(); found != nil {
		return *found, nil
	}
	instance, err := s.store.Instance(ctx)
	if err != nil {
		return nil, fmt.Errorf("keys of the log: %w", err)
	}
	signers := make([]*audit.Signer, len(s.logKeys))
	for i, key := range s.logKeys {
		if signers[i], err = audit.NewSigner(audit.Origin(instance), key); err != nil {
			return nil, fmt.Errorf("keys of the log: %w", err)
		}
	}
	s.signers.Store(&signers)
	return signers, nil
}

// LogKeys answers the public keys by which checkpoints are verified, the one
// that signs first.
func (s *Service) LogKeys(ctx context.Context) ([]string, error) {
	signers, err := s.logSigners(ctx)
	if err != nil {
		return nil, err
	}
	keys := make([]string, len(signers))
	for i, signer := range signers {
		keys[i] = signer.Key()
	}
	return keys, nil
}

// Origin names the log in its checkpoints and keys.
func (s *Service) Origin(ctx context.Context) (string, error) {
	instance, err := s.store.Instance(ctx)
	if err != nil {
		return "", fmt.Errorf("origin of the log: %w", err)
	}
	return audit.Origin(instance), nil
}

// LogKeySet is the action of the entry that says which key signs from there on.
const LogKeySet = "log.key"

// EnsureLogKey records which key signs, when it is the first or another than
// before: a checkpoint by a key that the log does not know of is none of ours.
func (s *Service) EnsureLogKey(ctx context.Context) error {
	keys, err := s.LogKeys(ctx)
	if err != nil || len(keys) == 0 {
		return err
	}
	known := func(read storage.Reader) (before string, same bool, err error) {
		last, err := read.ListEvents(ctx, storage.EventQuery{Action: LogKeySet, Limit: 1})
		if err != nil || len(last) == 0 {
			return "", false, err
		}
		entry, err := audit.ReadEntry(last[0].Canonical)
		fields := entry.Public()
		return fields["key"], fields["key"] == keys[0] && fields["along"] == strings.Join(keys[1:], " "), err
	}
	if _, same, err := known(s.store); err != nil || same {
		return wrapped("key of the log", err)
	}
	for {
		// Of several servers that start at once, one records it. Whoever gives
		// positions has the log meanwhile, for long when many entries wait.
		if err = s.setLogKey(ctx, keys, known); !errors.Is(err, storage.ErrStale) {
			return wrapped("key of the log", err)
		}
		select {
		case <-time.After(placeEvery):
		case <-ctx.Done():
			return fmt.Errorf("key of the log: %w", ctx.Err())
		}
	}
}

func (s *Service) setLogKey(ctx context.Context, keys []string, known func(storage.Reader) (string, bool, error)) error {
	return s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		if _, locked, err := tx.LockLog(ctx); err != nil {
			return err
		} else if !locked {
			return storage.ErrStale
		}
		before, same, err := known(tx)
		if err != nil || same {
			return err
		}
		sentence := "The log's checkpoints are signed by this key from here on."
		fields := []audit.Field{public("key", keys[0])}
		if len(keys) > 1 {
			fields = append(fields, public("along", strings.Join(keys[1:], " ")))
		}
		if before != "" && before != keys[0] {
			sentence = "The log's checkpoints are signed by another key from here on."
			fields = append(fields, public("before", before))
			s.log.Warn("the log is signed by another key than before; was that meant? Whoever verifies needs the new public key (healthix-scim audit key), and the old one for what it signed",
				"before", before, "key", keys[0])
		}
		return s.entry(ctx, tx, System, audit.Draft{Action: LogKeySet, Sentence: sentence, Fields: fields})
	})
}

func wrapped(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// RunLog gives entries their positions and signs checkpoints until ctx ends. It
// runs on every server; one does it at a time.
func (s *Service) RunLog(ctx context.Context) error {
	tick := time.NewTicker(placeEvery)
	defer tick.Stop()
	for {
		if _, err := s.Place(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("entries wait for their positions in the log", "error", err)
			rest(ctx, placeRest)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Place gives positions to all entries that wait for one, and signs. It answers
// how many; none while another process does it.
func (s *Service) Place(ctx context.Context) (int, error) {
	signers, err := s.logSigners(ctx)
	if err != nil {
		return 0, err
	}
	for placed := 0; ; {
		n, err := s.placeSome(ctx, signers)
		placed += n
		if err != nil || n < placeAtOnce {
			return placed, wrapped("place entries", err)
		}
	}
}

func (s *Service) placeSome(ctx context.Context, signers []*audit.Signer) (int, error) {
	if head, err := s.store.GetLogHead(ctx); err != nil {
		return 0, err
	} else if n, err := s.store.CountUnplaced(ctx); err != nil || n == 0 && !s.unsigned(head, signers) {
		return 0, err // nothing to do, and nothing written
	}
	placed, left := 0, logEnd{}
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		placed = 0
		head, locked, err := tx.LockLog(ctx)
		if err != nil || !locked {
			return err
		}
		if err := s.continues(ctx, tx, head); err != nil {
			return err
		}
		left = logEnd{head.Size, head.Root}
		entries, err := tx.TakePending(ctx, placeAtOnce)
		if err != nil {
			return err
		}
		if head, err = s.grow(ctx, tx, head, entries); err != nil {
			return err
		}
		if s.unsigned(head, signers) {
			if err := s.sign(ctx, tx, &head, signers); err != nil {
				return err
			}
		} else if len(entries) == 0 {
			return nil
		}
		placed, left = len(entries), logEnd{head.Size, head.Root}
		return tx.PutLogHead(ctx, head)
	})
	if err == nil && left.size > 0 {
		s.logEnd.Store(&left)
	}
	return placed, err
}

// logEnd is where a process left the log.
type logEnd struct {
	size int64
	root audit.Digest
}

// continues holds the log to its own newest checkpoint before anything is put
// behind it: what contradicts that is not built upon, and not signed. What this
// process left as it finds it needs no second look.
func (s *Service) continues(ctx context.Context, tx storage.Tx, head storage.LogHead) error {
	if known := s.logEnd.Load(); head.Note == "" || known != nil && *known == (logEnd{head.Size, head.Root}) {
		return nil
	}
	c, err := audit.ParseCheckpoint(head.Note)
	if err == nil && (c.Size > uint64(head.Size) || c.Size != uint64(head.NoteOf)) { //nolint:gosec // neither is negative
		err = fmt.Errorf("the log has %d entries", head.Size)
	}
	if err == nil && c.Size > 0 {
		var proof []audit.Digest
		if proof, err = audit.ConsistencyProof(ctx, logNodes{tx}, c.Size, uint64(head.Size)); err == nil { //nolint:gosec // not negative
			err = audit.VerifyConsistency(c.Size, uint64(head.Size), proof, c.Root, head.Root) //nolint:gosec // not negative
		}
	}
	if err != nil {
		return fmt.Errorf("the log is not the one that its newest checkpoint signed (%d entries), so nothing is placed behind it or signed; run healthix-scim audit check: %w", head.NoteOf, err)
	}
	return nil
}

// grow puts entries behind the log's end.
func (s *Service) grow(ctx context.Context, tx storage.Tx, head storage.LogHead, entries []storage.EntryRow) (storage.LogHead, error) {
	if len(entries) == 0 {
		return head, nil
	}
	tree, err := audit.ParseEdge(uint64(head.Size), head.Edge) //nolint:gosec // a size is not negative
	if err != nil {
		return head, err
	}
	if tree.Root() != head.Root {
		return head, fmt.Errorf("the log's head was altered: root and edge of its %d entries do not agree; run healthix-scim audit check", head.Size)
	}
	seen := make(map[string]bool)
	var participants []string
	for _, e := range entries {
		if !seen[e.Participant] {
			seen[e.Participant] = true
			participants = append(participants, e.Participant)
		}
	}
	numbers, err := tx.LastNumbers(ctx, participants)
	if err != nil {
		return head, err
	}
	positions := make([]storage.LogPosition, len(entries))
	var nodes []storage.LogNode
	for i, e := range entries {
		// Of its bytes, which whoever verifies has, not the hash beside them: one that
		// was altered would stop everybody's entries for ever.
		hash := audit.Sum(e.Canonical)
		numbers[e.Participant]++
		p := storage.LogPosition{Position: head.Size + int64(i), Entry: e.ID, Participant: e.Participant, Number: numbers[e.Participant]}
		p.Leaf = leafAt(p, hash).Hash()
		positions[i] = p
		for _, n := range tree.Append(p.Leaf) {
			nodes = append(nodes, storage.LogNode{Level: int(n.Level), Index: int64(n.Index), Hash: n.Hash}) //nolint:gosec // smaller than the number of leaves
		}
	}
	if err := tx.PutPositions(ctx, positions); err != nil {
		return head, err
	}
	if err := tx.PutNodes(ctx, nodes); err != nil {
		return head, err
	}
	head.Size, head.Edge, head.Root = int64(tree.Size()), tree.Edge(), tree.Root() //nolint:gosec // counted from an int64
	return head, nil
}

// leafAt is what the log says of an entry.
func leafAt(p storage.LogPosition, entry audit.Digest) audit.Leaf {
	return audit.Leaf{Position: uint64(p.Position), Participant: p.Participant, Number: uint64(p.Number), Entry: entry} //nolint:gosec // neither is negative
}

// unsigned says whether a checkpoint is due.
func (s *Service) unsigned(head storage.LogHead, signers []*audit.Signer) bool {
	if len(signers) == 0 || head.Size == head.NoteOf {
		return false
	}
	since := s.Now().Sub(head.Signed)
	return since >= signEvery || since < 0 // the clock was set back
}

func (s *Service) sign(ctx context.Context, tx storage.Tx, head *storage.LogHead, signers []*audit.Signer) error {
	at := tx.Now()
	if head.Signed.After(at) && head.Signed.Sub(at) <= stepBack {
		at = head.Signed // a later checkpoint is never dated before an earlier one
	}
	note, err := audit.Sign(audit.Checkpoint{Origin: signers[0].Name(), Size: uint64(head.Size), Root: head.Root, At: at}, signers...) //nolint:gosec // not negative
	if err != nil {
		return err
	}
	keep := head.Signed.Truncate(keepEvery).Before(at.Truncate(keepEvery))
	head.Note, head.NoteOf, head.Signed = note, head.Size, at
	if !keep {
		return nil
	}
	return tx.PutCheckpoint(ctx, storage.KeptCheckpoint{Size: head.Size, At: at, Note: note})
}

// SignedNow answers a checkpoint over everything that was recorded before the
// call. It places and signs itself where no server does.
func (s *Service) SignedNow(ctx context.Context) (string, error) {
	last, err := s.store.ListEvents(ctx, storage.EventQuery{Limit: 1})
	if err != nil || len(last) == 0 {
		return "", err
	}
	head, err := s.checkpointOver(ctx, last[0].ID)
	return head.Note, err
}

// Checkpoint answers the newest signed checkpoint, "" before the first.
func (s *Service) Checkpoint(ctx context.Context) (string, error) {
	head, err := s.store.GetLogHead(ctx)
	return head.Note, err
}

// errHoles says that hashes of the tree are not there.
var errHoles = errors.New("the log has holes; run healthix-scim audit check")

// logNodes lets proofs read the tree.
type logNodes struct{ read storage.Reader }

// Hashes makes it an audit.NodeSource.
func (l logNodes) Hashes(ctx context.Context, level uint, first uint64, n int) ([]audit.Digest, error) {
	hashes, err := l.read.ListLogHashes(ctx, int(level), int64(first), n) //nolint:gosec // within the tree
	if err == nil && len(hashes) < n {
		err = fmt.Errorf("level %d of the tree has %d hashes from %d on where %d belong: %w", level, len(hashes), first, n, errHoles)
	}
	return hashes, err
}

// Inclusion is the proof that an entry stands in the log.
type Inclusion struct {
	Entry      storage.EntryRow
	Position   storage.LogPosition
	Size       int64 // of the log that it is proven against
	Proof      []audit.Digest
	Checkpoint string // signed, of that size; "" when none of that size is known
}

// Leaf is what the log says of the entry.
func (in Inclusion) Leaf() audit.Leaf {
	return leafAt(in.Position, audit.Sum(in.Entry.Canonical))
}

// ProveInclusion proves that an entry stands in the log of a size; 0 is the
// newest checkpoint's.
func (s *Service) ProveInclusion(ctx context.Context, participant, entry string, size int64) (Inclusion, error) {
	e, err := s.store.GetEntry(ctx, entry)
	if err == nil && participant != "" && e.Participant != participant {
		err = storage.ErrNotFound
	}
	if err != nil {
		return Inclusion{}, notFound(err, "event %s is not on record", entry)
	}
	head, err := s.store.GetLogHead(ctx)
	if err != nil {
		return Inclusion{}, err
	}
	p, placed, err := s.store.FindPosition(ctx, entry)
	if err != nil {
		return Inclusion{}, err
	}
	in := Inclusion{Entry: e, Position: p, Size: size}
	switch size {
	case 0:
		in.Size, in.Checkpoint = head.NoteOf, head.Note
	case head.NoteOf:
		in.Checkpoint = head.Note
	}
	switch {
	case in.Size > head.Size || in.Size < 0:
		return Inclusion{}, Faultf(KindInvalid, "size", "size is %d; the log has %d entries", size, head.Size)
	case !placed || p.Position >= in.Size:
		return Inclusion{}, Faultf(KindStale, "event", "event %s is not within the first %d entries; ask again in a second, or with a larger size", entry, in.Size)
	}
	in.Proof, err = audit.InclusionProof(ctx, logNodes{s.store}, uint64(p.Position), uint64(in.Size)) //nolint:gosec // not negative
	return in, err
}

// ProveConsistency proves that the log of one size continues the one of a
// smaller size; to 0 is the newest checkpoint's. It answers that size too.
func (s *Service) ProveConsistency(ctx context.Context, from, to int64) ([]audit.Digest, int64, error) {
	head, err := s.store.GetLogHead(ctx)
	if err != nil {
		return nil, 0, err
	}
	if to == 0 {
		to = head.NoteOf
	}
	switch {
	case to < 0 || to > head.Size:
		return nil, 0, Faultf(KindInvalid, "to", "to is %d; the log has %d entries", to, head.Size)
	case from < 1 || from > to:
		return nil, 0, Faultf(KindInvalid, "from", "from is %d; expected 1 to %d", from, to)
	}
	proof, err := audit.ConsistencyProof(ctx, logNodes{s.store}, uint64(from), uint64(to)) //nolint:gosec // not negative
	return proof, to, err
}

func notFound(err error, format string, args ...any) error {
	if f := AsFault(err); f.Kind == KindNotFound {
		return Faultf(KindNotFound, "", format, args...)
	}
	return err
}
