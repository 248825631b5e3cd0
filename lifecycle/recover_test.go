package lifecycle_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
)

// shelf is a place beyond the machine.
type shelf struct {
	mu     sync.Mutex
	notes  []string
	broken bool
	blind  bool // nothing can be read back
}

func (s *shelf) Put(_ context.Context, _ int64, _ time.Time, note string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return errors.New("the shelf is locked")
	}
	s.notes = append(s.notes, note)
	return nil
}

func (s *shelf) Latest(context.Context) (string, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.broken:
		return "", true, errors.New("the shelf is locked")
	case s.blind:
		return "", false, nil
	case len(s.notes) == 0:
		return "", true, nil
	}
	return s.notes[len(s.notes)-1], true, nil
}

func (s *shelf) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *shelf) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.notes)
}

// keeper is the house's service with a log key and a place beyond the machine.
func (h *house) keeper(place lifecycle.Offsite, every time.Duration) *lifecycle.Service {
	h.t.Helper()
	s, err := lifecycle.New(lifecycle.Options{
		Store: h.store, Mailer: h.post, Key: bytes.Repeat([]byte("k"), 32), PortalURL: "https://portal.example", Clock: h.clock.Now,
		LogKeys: []ed25519.PrivateKey{logKey(1)}, Offsite: place, OffsiteEvery: every, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	if err := s.EnsureLogKey(h.ctx); err != nil {
		h.t.Fatal(err)
	}
	return s
}

// sign places what waits and signs it.
func (h *house) sign(s *lifecycle.Service) {
	h.t.Helper()
	h.clock.pass(time.Second)
	if _, err := s.Place(h.ctx); err != nil {
		h.t.Fatal(err)
	}
}

// forge is a checkpoint of another log, or another course of this one, that our
// key signed: what a database that was restored has forgotten.
func (h *house) forge(size uint64, root byte) string {
	h.t.Helper()
	instance, err := h.store.Instance(h.ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	signer, err := audit.NewSigner(audit.Origin(instance), logKey(1))
	if err != nil {
		h.t.Fatal(err)
	}
	note, err := audit.Sign(audit.Checkpoint{Origin: audit.Origin(instance), Size: size, Root: audit.Sum([]byte{root}), At: h.clock.Now()}, signer)
	if err != nil {
		h.t.Fatal(err)
	}
	return note
}

func onBothHouses(t *testing.T, test func(h *house)) {
	t.Run("SQLite", func(t *testing.T) { test(newHouseAt(t, "sqlite://"+filepath.Join(t.TempDir(), "house.db"))) })
	t.Run("PostgreSQL", func(t *testing.T) { test(newHouseAt(t, pgtest.URL(t))) })
}

func (h *house) soon(what string, holds func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("%s: not within 20 s", what)
		}
	}
}

// During runs something in the background until f has ended.
func (h *house) during(run func(ctx context.Context) error, f func()) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.ctx)
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			h.t.Error(err)
		}
	}()
	f()
}

func TestCheckpointsLeaveOncePerPeriod(t *testing.T) {
	onBothHouses(t, func(h *house) {
		place := &shelf{}
		every := 50 * time.Millisecond // of the house's clock, which the looks move
		one, two := h.keeper(place, every), h.keeper(place, every)
		h.sign(one)
		h.during(one.RunOffsite, func() {
			h.during(two.RunOffsite, func() {
				h.soon("the first leaves", func() bool { return place.count() == 1 })
				time.Sleep(300 * time.Millisecond)
				if n := place.count(); n != 1 {
					h.t.Errorf("%d left, and one was signed", n)
				}
				h.create(mercy, person("ana", "Registered Nurse"))
				h.sign(one)
				h.soon("the second leaves", func() bool {
					state, err := one.OffsiteState(h.ctx)
					return err == nil && !state.Pending && place.count() == 2
				})
			})
		})
		newest, err := one.Checkpoint(h.ctx)
		if err != nil || place.notes[1] != newest {
			h.t.Errorf("what left is not the newest checkpoint: %v", err)
		}
		kept, err := h.store.ListCheckpoints(h.ctx, 10)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, note := range place.notes {
			found := false
			for _, k := range kept {
				found = found || k.Note == note
			}
			if !found {
				h.t.Error("a checkpoint that left is not kept")
			}
		}
		if state, err := one.OffsiteState(h.ctx); err != nil || state.Pending || state.Sent.IsZero() || state.Gap {
			h.t.Errorf("%+v, %v", state, err)
		}
	})
}

func TestCheckpointThatCannotLeaveIsTriedAgain(t *testing.T) {
	h := newHouse(t)
	place := &shelf{broken: true}
	s := h.keeper(place, 20*time.Millisecond)
	h.sign(s)
	h.during(s.RunOffsite, func() {
		h.soon("two tries fail", func() bool {
			state, err := s.OffsiteState(h.ctx)
			return err == nil && state.Failed > 1 && state.Pending && state.Sent.IsZero()
		})
		place.set(func() { place.broken = false })
		h.soon("it leaves", func() bool { return place.count() == 1 })
	})
	// Another log's checkpoint stands there: nothing is put over it, and nobody is kept out.
	foreign := strings.Replace(place.notes[0], audit.OriginPrefix, audit.OriginPrefix+"x", 1)
	place.set(func() { place.notes = []string{foreign} })
	if _, err := s.FindGap(h.ctx); err == nil || s.Gap() != nil {
		t.Errorf("a checkpoint of another log: %v", err)
	}
	h.create(mercy, person("ana", "Registered Nurse"))
	h.sign(s)
	h.during(s.RunOffsite, func() {
		h.soon("a try fails", func() bool { state, err := s.OffsiteState(h.ctx); return err == nil && state.Failed > 3 })
	})
	if place.count() != 1 {
		t.Error("it was put over")
	}
}

func TestRecovery(t *testing.T) {
	onBothHouses(t, func(h *house) {
		t, place := h.t, &shelf{}
		s := h.keeper(place, 20*time.Millisecond)
		ana := h.released("ana", "Registered Nurse")
		ben := h.create(mercy, person("ben", "Registered Nurse"))
		left := h.create(mercy, person("cleo", "Registered Nurse"))
		h.change(mercy, left.ID, set("active", false))
		h.work()
		code := h.code(ana.Email)
		h.sign(s)

		if _, err := s.Recover(h.ctx, dana, "disk", false); err == nil || lifecycle.AsFault(err).Kind != lifecycle.KindRefused {
			t.Fatalf("recovered without a gap: %v", err)
		}
		head, err := h.store.GetLogHead(h.ctx)
		if err != nil {
			t.Fatal(err)
		}
		for what, note := range map[string]string{
			"ahead": h.forge(uint64(head.Size)+7, 1), "of our size": h.forge(uint64(head.Size), 1), "before us": h.forge(uint64(head.Size)-1, 1),
		} {
			place.set(func() { place.notes = []string{note} })
			if gap, err := s.FindGap(h.ctx); err != nil || gap == nil || s.Gap() == nil {
				t.Errorf("%s: no gap, %v", what, err)
			}
		}
		// Nothing is put over it.
		was := place.notes[0]
		h.during(s.RunOffsite, func() { time.Sleep(100 * time.Millisecond) })
		if place.count() != 1 || place.notes[0] != was {
			t.Fatal("the checkpoint that shows the gap was put over")
		}
		if _, err := s.Recover(h.ctx, dana, " ", false); err == nil {
			t.Error("recovered without a reason")
		}
		did, err := s.Recover(h.ctx, dana, "the disk of server 3 died", false)
		if err != nil || did.Links != 1 || did.Participants != 2 || did.Gap == nil {
			t.Fatalf("%+v, %v", did, err)
		}
		if gap, err := s.FindGap(h.ctx); err != nil || gap != nil {
			t.Errorf("after recovery: %v, %v", gap, err)
		}
		entries := h.actions(lifecycle.LogRecovered)
		if len(entries) != 1 {
			t.Fatalf("%d entries", len(entries))
		}
		entry, err := audit.ReadEntry(entries[0].Canonical)
		if err != nil {
			t.Fatal(err)
		}
		c, err := audit.ParseCheckpoint(was)
		if err != nil {
			t.Fatal(err)
		}
		if f := entry.Public(); f["root"] != c.Root.String() || f["hereRoot"] != head.Root.String() || f["links"] != "1" {
			t.Errorf("%v", f)
		}
		if entries[0].Actor != dana.Subject || strings.Contains(string(entries[0].Canonical), "server 3") {
			t.Errorf("%s", entries[0].Canonical)
		}

		// Everybody is closed, with no row of theirs rewritten; links are void.
		now := h.get(ana.ID)
		if d := now.Access(h.Now()); d.Status != policy.StatusSuspended || d.Gate(policy.GateParticipant).Open || now.Version != ana.Version {
			t.Errorf("ana: %s, version %d then %d", d.Status, ana.Version, now.Version)
		}
		if _, err := s.Redeem(h.ctx, door, code, "k"); err == nil {
			t.Error("a link of before was redeemed")
		}
		links, err := h.store.ListActivations(h.ctx, ana.ID)
		if err != nil || len(links) != 1 || links[0].Voided == nil {
			t.Errorf("ana's link: %+v, %v", links, err)
		}
		found, _, err := h.store.ListUsers(h.ctx, storage.Query{Participant: "mercy", Limit: 10, Now: h.Now()})
		if err != nil || len(found) != 3 {
			t.Fatal(len(found), err)
		}
		asOf, err := h.store.GetUserAt(h.ctx, "mercy", ana.ID, h.Now())
		if err != nil || !asOf.ParticipantState.Recovering || asOf.Access(h.Now()).Status != policy.StatusSuspended {
			t.Errorf("as of now: %+v, %v", asOf.ParticipantState, err)
		}

		// The place hears of the new epoch at once.
		h.sign(s)
		h.during(s.RunOffsite, func() { h.soon("the new epoch leaves", func() bool { return place.count() == 2 }) })
		if gap, err := s.FindGap(h.ctx); err != nil || gap != nil {
			t.Errorf("the new epoch: %v, %v", gap, err)
		}

		// North has nobody, and is opened at once; mercy when its provider has told of both.
		sweep := func(want int) {
			t.Helper()
			if n, err := s.SweepRecovering(h.ctx); err != nil || n != want {
				t.Errorf("%d opened, not %d: %v", n, want, err)
			}
		}
		heard := func(id string) {
			t.Helper()
			if err := h.store.AppendRequests(h.ctx, []storage.RequestRow{{
				Participant: "mercy", At: h.Now(), ID: "r" + id, Token: "t1", Method: "GET", Resource: id, Status: 200,
			}}); err != nil {
				t.Fatal(err)
			}
		}
		sweep(0)
		h.clock.pass(10 * time.Second)
		sweep(1)
		heard(ana.ID)
		sweep(0)
		heard(ben.ID)
		sweep(0) // who was looked at last may be said to have left in the next moment
		h.clock.pass(9 * time.Second)
		sweep(0)
		h.clock.pass(time.Second)
		sweep(1)
		sweep(0)
		h.work()
		if d := h.get(ana.ID).Access(h.Now()); d.Status != policy.StatusReleased {
			t.Errorf("ana after the sync: %s", d.Status)
		}
		h.recorded("mercy", "participant.recovered", 1)
		if _, err := s.Redeem(h.ctx, door, code, "k"); err == nil {
			t.Error("a link of before was redeemed after all")
		}
	})
}

func TestRecoveryIsForcedWhereNothingIsReadBack(t *testing.T) {
	h := newHouse(t)
	place := &shelf{blind: true}
	s := h.keeper(place, time.Hour)
	h.sign(s)
	if _, err := s.Recover(h.ctx, dana, "restored", false); err == nil || !strings.Contains(err.Error(), "--force") {
		t.Fatalf("%v", err)
	}
	did, err := s.Recover(h.ctx, dana, "restored", true)
	if err != nil || did.Gap != nil || did.Participants != 2 {
		t.Fatalf("%+v, %v", did, err)
	}
	// An operator opens one; suspended, it takes two steps.
	for _, step := range []struct {
		do   func() (storage.Participant, error)
		open bool
	}{
		{func() (storage.Participant, error) { return s.SuspendParticipant(h.ctx, dana, "north", "audit") }, false},
		{func() (storage.Participant, error) { return s.ResumeParticipant(h.ctx, dana, "north") }, false},
		{func() (storage.Participant, error) { return s.ResumeParticipant(h.ctx, dana, "north") }, true},
	} {
		if p, err := step.do(); err != nil || p.State().Open() != step.open {
			t.Errorf("%+v, %v", p.State(), err)
		}
	}
	// A second recovery begins the wait anew, for those opened too.
	if _, err := s.Recover(h.ctx, dana, "again", true); err != nil {
		t.Fatal(err)
	}
	if p, err := h.store.GetParticipant(h.ctx, "north"); err != nil || p.State().Open() {
		t.Errorf("%+v, %v", p.State(), err)
	}
	h.recorded("north", "participant.recovering", 2)
}

// What is recorded over a gap, such as who reads, hides it at no length of the
// log, and none of it leaves.
func TestAGapStaysOneHoweverLongTheLogGrows(t *testing.T) {
	onBothHouses(t, func(h *house) {
		t, place := h.t, &shelf{}
		s := h.keeper(place, 20*time.Millisecond)
		h.sign(s)
		head, err := h.store.GetLogHead(h.ctx)
		if err != nil {
			t.Fatal(err)
		}
		left := uint64(head.Size) + 3
		note := h.forge(left, 1)
		place.set(func() { place.notes = []string{note} })
		h.during(s.RunOffsite, func() {
			for grown := uint64(0); grown < 6; grown++ {
				if err := s.ReadLog(h.ctx, dana, lifecycle.Reading{Route: "GET /x"}); err != nil {
					t.Fatal(err)
				}
				h.sign(s)
				if gap, err := s.FindGap(h.ctx); err != nil || gap == nil {
					t.Fatalf("the gap is hidden by %d entries: %v", grown+1, err)
				}
			}
			time.Sleep(60 * time.Millisecond)
		})
		if head, err = h.store.GetLogHead(h.ctx); err != nil || uint64(head.Size) <= left {
			t.Fatalf("the log has %d entries, %v", head.Size, err)
		}
		if place.count() != 1 {
			t.Error("a checkpoint left over the gap")
		}
		if did, err := s.Recover(h.ctx, dana, "restored", false); err != nil || did.Gap == nil || did.Gap.Left.Size != left {
			t.Errorf("%+v, %v", did, err)
		}
	})
}

// A log that is shorter than it was is compared at once, not when its period is over.
func TestALogThatShrankIsComparedAtOnce(t *testing.T) {
	onBothHouses(t, func(h *house) {
		place := &shelf{}
		s := h.keeper(place, 20*24*time.Hour)
		h.sign(s)
		backup, err := h.store.GetLogHead(h.ctx)
		if err != nil {
			h.t.Fatal(err)
		}
		h.create(mercy, person("ana", "Registered Nurse"))
		h.sign(s)
		h.during(s.RunOffsite, func() {
			h.soon("the longer log leaves", func() bool { return place.count() == 1 })
			if err := h.store.Write(h.ctx, func(ctx context.Context, tx storage.Tx) error { return tx.PutLogHead(ctx, backup) }); err != nil {
				h.t.Fatal(err)
			}
			h.soon("the gap is found", func() bool { return s.Gap() != nil })
		})
	})
}

// A database is restored under servers that run: each of them finds out, whoever
// sends.
func TestEveryServerFindsTheGap(t *testing.T) {
	onBothHouses(t, func(h *house) {
		place := &shelf{}
		one, two := h.keeper(place, 50*time.Millisecond), h.keeper(place, 50*time.Millisecond)
		h.sign(one)
		h.during(one.RunOffsite, func() {
			h.during(two.RunOffsite, func() {
				h.soon("the first leaves", func() bool { return place.count() == 1 })
				note := h.forge(1000, 1)
				place.set(func() { place.notes = []string{note} })
				h.soon("both know", func() bool { return one.Gap() != nil && two.Gap() != nil })
				if _, err := one.Recover(h.ctx, dana, "restored", false); err != nil {
					h.t.Error(err)
				}
				h.soon("both go on", func() bool { return one.Gap() == nil && two.Gap() == nil })
			})
		})
	})
}

// tired is a store whose queries on the log's tree fail, or find nothing.
type tired struct {
	storage.Store
	err error
}

func (s tired) ListLogHashes(context.Context, int, int64, int) ([]audit.Digest, error) {
	return nil, s.err
}

// A database that does not answer is no gap: nobody is kept out by it. A tree with
// holes is one, for it proves nothing.
func TestWhatCannotBeReadIsNoGap(t *testing.T) {
	h := newHouse(t)
	place := &shelf{}
	s := h.keeper(place, time.Hour)
	h.sign(s)
	note, err := s.Checkpoint(h.ctx)
	if err != nil {
		t.Fatal(err)
	}
	place.set(func() { place.notes = []string{note} })
	h.create(mercy, person("ana", "Registered Nurse"))
	h.sign(s)
	with := func(failure error) *lifecycle.Service {
		t.Helper()
		s, err := lifecycle.New(lifecycle.Options{
			Store: tired{h.store, failure}, Mailer: h.post, Key: bytes.Repeat([]byte("k"), 32), Clock: h.clock.Now,
			LogKeys: []ed25519.PrivateKey{logKey(1)}, Offsite: place, OffsiteEvery: time.Hour, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	slow := with(errors.New("canceling statement due to statement timeout"))
	if gap, err := slow.FindGap(h.ctx); err == nil || gap != nil || slow.Gap() != nil {
		t.Errorf("a statement that timed out: gap %v, %v", gap, err)
	}
	if gap, err := with(nil).FindGap(h.ctx); err != nil || gap == nil {
		t.Errorf("a tree with holes: gap %v, %v", gap, err)
	}
	if gap, err := s.FindGap(h.ctx); err != nil || gap != nil {
		t.Errorf("%v, %v", gap, err)
	}
}
