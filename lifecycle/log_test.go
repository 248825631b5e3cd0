package lifecycle_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
	"github.com/healthix/healthix-scim/storage/sqlstore"
)

func logKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

// logNode is one server of several over a database, with the real clock.
func logNode(t *testing.T, address string, keys ...ed25519.PrivateKey) (*lifecycle.Service, storage.Store) {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), address, sqlstore.Options{Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() }) //nolint:errcheck // the database goes with it
	s, err := lifecycle.New(lifecycle.Options{Store: store, Mailer: &postbox{}, Key: bytes.Repeat([]byte("k"), 32), LogKeys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return s, store
}

func onBothDatabases(t *testing.T, f func(t *testing.T, address string)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { f(t, "sqlite://"+filepath.Join(t.TempDir(), "house.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { f(t, pgtest.URL(t)) })
}

// Sixteen write, some commit late and some not at all, while two servers give
// positions: every entry that was committed gets one, and none gets two.
func TestTheLogSkipsNobody(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, address string) {
		one, store := logNode(t, address, logKey(1))
		two, _ := logNode(t, address, logKey(1))
		const writers, each = 16, 30
		ctx, stop := context.WithCancel(t.Context())
		var placing, writing sync.WaitGroup
		for _, s := range []*lifecycle.Service{one, two} {
			placing.Go(func() {
				for ctx.Err() == nil {
					if _, err := s.Place(ctx); err != nil && ctx.Err() == nil {
						t.Error(err)
					}
				}
			})
		}
		for w := range writers {
			writing.Go(func() {
				for i := range each {
					err := store.Write(t.Context(), func(ctx context.Context, tx storage.Tx) error {
						e, err := audit.Seal(audit.Draft{
							ID: uuid.Must(uuid.NewV7()).String(), At: tx.Now(), Participant: fmt.Sprintf("p%d", w%3), Action: "test.wrote",
						}, bytes.NewReader(nil))
						if err != nil {
							return err
						}
						if err := tx.Append(ctx, e); err != nil {
							return err
						}
						if i%10 == 0 { // written, and committed when others have been placed
							if _, err := tx.ListEntries(ctx, "nobody"); err != nil {
								return err
							}
							time.Sleep(rand.N(40 * time.Millisecond)) //nolint:gosec // spreads waits
						}
						if i%7 == 6 {
							return errChanged
						}
						return nil
					})
					if err != nil && i%7 != 6 {
						t.Error(err)
					}
				}
			})
		}
		writing.Wait()
		stop()
		placing.Wait()
		// Whoever was stopped in the middle may hold the log for a moment still.
		for waiting := 1; waiting > 0; {
			_, err := one.Place(t.Context())
			if err == nil {
				waiting, err = store.CountUnplaced(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		soundLog(t, one, store)
		entries, err := store.ListEntries(t.Context(), "")
		if err != nil || len(entries) != writers*(each-each/7) {
			t.Errorf("%d entries, %v", len(entries), err)
		}
	})
}

var errChanged = fmt.Errorf("the deed is not wanted any more")

// soundLog holds the log to what it promises: every entry has one position,
// positions and numbers have no gaps, the tree is that of its leaves, and the
// newest checkpoint is signed over it.
func soundLog(t *testing.T, s *lifecycle.Service, store storage.Store) {
	t.Helper()
	ctx := t.Context()
	head, err := store.GetLogHead(ctx)
	if err != nil {
		t.Fatal(err)
	}
	entries, err := store.ListEntries(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	rows, err := store.ListLog(ctx, storage.LogQuery{To: head.Size + 1, Limit: len(entries) + 1})
	if err != nil || len(rows) != len(entries) || int64(len(rows)) != head.Size {
		t.Fatalf("%d entries, %d in the log, its size %d, %v", len(entries), len(rows), head.Size, err)
	}
	var tree audit.Tree
	numbers, seen := map[string]int64{}, map[string]bool{}
	for i, row := range rows {
		p := row.LogPosition
		numbers[p.Participant]++
		if p.Position != int64(i) || p.Number != numbers[p.Participant] || p.Participant != row.EntryRow.Participant || seen[p.Entry] || p.Entry != row.ID {
			t.Fatalf("entry %d stands as %+v, want number %d", i, p, numbers[p.Participant])
		}
		seen[p.Entry] = true
		leaf := audit.Leaf{Position: uint64(i), Participant: p.Participant, Number: uint64(p.Number), Entry: audit.Sum(row.Canonical)}.Hash() //nolint:gosec // small
		if leaf != p.Leaf {
			t.Fatalf("leaf %d is not that of its entry", i)
		}
		tree.Append(leaf)
	}
	if tree.Root() != head.Root {
		t.Errorf("root %s, of the leaves %s", head.Root, tree.Root())
	}
	keys, err := s.LogKeys(ctx)
	if err != nil || len(keys) == 0 || head.Note == "" {
		t.Fatalf("keys %v, note %q, %v", keys, head.Note, err)
	}
	c, err := audit.OpenCheckpoint(head.Note, keys[0])
	if err != nil || int64(c.Size) != head.NoteOf { //nolint:gosec // small
		t.Fatalf("checkpoint of %d, %d noted, %v", c.Size, head.NoteOf, err)
	}
	for i := 0; i < int(c.Size); i += 1 + int(c.Size)/50 { //nolint:gosec // small
		in, err := s.ProveInclusion(ctx, "", rows[i].ID, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := audit.VerifyInclusion(rows[i].Leaf, uint64(i), c.Size, in.Proof, c.Root); err != nil { //nolint:gosec // small
			t.Errorf("entry %d: %v", i, err)
		}
	}
	var older audit.Tree
	for i := range min(len(rows), int(c.Size)) { //nolint:gosec // small
		older.Append(rows[i].Leaf)
		if i%37 != 0 {
			continue
		}
		proof, to, err := s.ProveConsistency(ctx, int64(i)+1, 0)
		if err != nil || to != head.NoteOf {
			t.Fatalf("to %d, %v", to, err)
		}
		if err := audit.VerifyConsistency(older.Size(), c.Size, proof, older.Root(), c.Root); err != nil {
			t.Errorf("the log does not continue its first %d entries: %v", i+1, err)
		}
	}
}

// A change of keys stands in the log, and while both keys are given, whoever has
// the old one alone verifies too.
func TestTheLogsKeyChanges(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, address string) {
		keysOnRecord := func(store storage.Store) []map[string]string {
			rows, err := store.ListEvents(t.Context(), storage.EventQuery{Action: lifecycle.LogKeySet, Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			found := make([]map[string]string, len(rows))
			for i, row := range rows {
				e, err := audit.ReadEntry(row.Canonical)
				if err != nil {
					t.Fatal(err)
				}
				found[i] = e.Public()
			}
			return found
		}
		begin := func(keys ...ed25519.PrivateKey) (*lifecycle.Service, storage.Store, []string) {
			s, store := logNode(t, address, keys...)
			public, err := s.LogKeys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // a second start changes nothing
				if err := s.EnsureLogKey(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := s.Place(t.Context()); err != nil {
				t.Fatal(err)
			}
			return s, store, public
		}
		_, store, old := begin(logKey(1))
		if got := keysOnRecord(store); len(got) != 1 || got[0]["key"] != old[0] || got[0]["before"] != "" {
			t.Errorf("on record: %v", got)
		}
		time.Sleep(time.Second) // a checkpoint stays the newest for so long
		s, store, both := begin(logKey(2), logKey(1))
		got := keysOnRecord(store)
		if len(got) != 2 || got[0]["key"] != both[0] || got[0]["before"] != old[0] || got[0]["along"] != old[0] {
			t.Errorf("on record: %v", got)
		}
		note, err := s.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range both {
			if c, err := audit.OpenCheckpoint(note, key); err != nil || c.Size != 2 {
				t.Errorf("by %s: %+v, %v", key, c, err)
			}
		}
		soundLog(t, s, store)
	})
}

// A head that somebody altered is not built upon.
func TestAnAlteredHeadIsNotBuiltUpon(t *testing.T) {
	s, store := logNode(t, "sqlite://"+filepath.Join(t.TempDir(), "house.db"), logKey(1))
	if err := s.EnsureLogKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Place(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := store.Write(t.Context(), func(ctx context.Context, tx storage.Tx) error {
		head, _, err := tx.LockLog(ctx)
		if err != nil {
			return err
		}
		head.Root[0] ^= 1
		return tx.PutLogHead(ctx, head)
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.EnsurePolicy(t.Context()); err != nil { // an entry that waits
		t.Fatal(err)
	}
	if n, err := s.Place(t.Context()); err == nil {
		t.Errorf("%d entries were put upon an altered head", n)
	}
	if n, err := store.CountUnplaced(t.Context()); err != nil || n != 1 {
		t.Errorf("%d wait, %v", n, err)
	}
}

// A log that was rewritten behind its newest checkpoint is not built upon by a
// server that has just started: positions, tree and head agree, and the note
// tells.
func TestARewrittenLogIsNotSigned(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, address string) {
		s, store := logNode(t, address, logKey(1))
		if err := errors.Join(s.EnsureLogKey(t.Context()), s.EnsurePolicy(t.Context())); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Place(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := store.Write(t.Context(), func(ctx context.Context, tx storage.Tx) error {
			head, _, err := tx.LockLog(ctx)
			if err != nil {
				return err
			}
			var tree audit.Tree // another past of the same length, sound in itself
			for range head.Size {
				tree.Append(audit.Sum([]byte("another")))
			}
			head.Edge, head.Root = tree.Edge(), tree.Root()
			return tx.PutLogHead(ctx, head)
		}); err != nil {
			t.Fatal(err)
		}
		again, _ := logNode(t, address, logKey(2))
		if err := again.EnsureLogKey(t.Context()); err != nil { // an entry that waits
			t.Fatal(err)
		}
		if n, err := again.Place(t.Context()); err == nil || !strings.Contains(err.Error(), "audit check") {
			t.Errorf("%d entries were put upon another past: %v", n, err)
		}
		if head, err := store.GetLogHead(t.Context()); err != nil || head.NoteOf != 2 {
			t.Errorf("a checkpoint of %d, %v", head.NoteOf, err)
		}
	})
}
