package lifecycle_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/healthix/healthix-scim/lifecycle"
)

// drain takes lines; every third time it takes them and says that it did not.
type drain struct {
	mu     sync.Mutex
	tries  int
	taken  []string
	broken bool
}

func (d *drain) Send(_ context.Context, lines []lifecycle.StreamLine) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken {
		return errors.New("the drain is stopped up")
	}
	d.tries++
	for _, l := range lines {
		d.taken = append(d.taken, string(l.Text))
	}
	if d.tries%3 == 0 {
		return errors.New("the drain gurgles")
	}
	return nil
}

// Entries reach the outside in the order of the log, each at least once, from
// two servers and over restarts; a drain that is stopped up keeps no deed waiting.
func TestStreamIsInOrderAndLosesNothing(t *testing.T) {
	onBothHouses(t, func(h *house) {
		to := &drain{broken: true}
		node := func() *lifecycle.Service {
			s, err := lifecycle.New(lifecycle.Options{
				Store: h.store, Mailer: h.post, Key: bytes.Repeat([]byte("k"), 32), Clock: h.clock.Now, LogKeys: []ed25519.PrivateKey{logKey(1)}, Stream: to,
			})
			if err != nil {
				h.t.Fatal(err)
			}
			return s
		}
		first := node()
		h.during(first.RunStream, func() {
			h.create(mercy, person("nora", "Registered Nurse"))
			h.sign(first)
			h.soon("a try fails", func() bool { s, err := first.StreamState(h.ctx); return err == nil && s.Failed > 0 && s.Lag > 0 })
			to.mu.Lock()
			to.broken = false
			to.mu.Unlock()
			h.soon("what waited is taken", func() bool { s, err := first.StreamState(h.ctx); return err == nil && s.Lag == 0 })
		})
		second, third := node(), node() // after a restart
		h.during(second.RunStream, func() {
			h.during(third.RunStream, func() {
				for i := range 12 {
					h.create(mercy, person(fmt.Sprint("p", string(rune('a'+i))), "Registered Nurse"))
					h.sign(second)
				}
				h.soon("everything is taken", func() bool { s, err := third.StreamState(h.ctx); return err == nil && s.Lag == 0 })
			})
		})
		head, err := h.store.GetLogHead(h.ctx)
		if err != nil {
			h.t.Fatal(err)
		}
		next := int64(0)
		for _, text := range to.taken {
			var line struct {
				Position    int64
				Participant string
				Number      int64
				Entry       struct{ ID, Action string }
			}
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				h.t.Fatalf("%s: %v", text, err)
			}
			if line.Position > next {
				h.t.Fatalf("position %d comes where %d belongs", line.Position, next)
			}
			next = max(next, line.Position+1) // before it: once more
			if line.Number < 1 || line.Entry.ID == "" || line.Entry.Action == "" {
				h.t.Errorf("%s", text)
			}
			for _, secret := range []string{"@mail.example", "Lima", "12125550123"} {
				if strings.Contains(text, secret) {
					h.t.Errorf("%s in %s", secret, text)
				}
			}
		}
		if next != head.Size {
			h.t.Errorf("%d of %d entries are out", next, head.Size)
		}
	})
}

// A line that the place refuses for ever is found by what the log says of it.
func TestStreamSaysWhichEntriesItCannotSend(t *testing.T) {
	h := newHouse(t)
	var said safeBuffer
	s, err := lifecycle.New(lifecycle.Options{
		Store: h.store, Mailer: h.post, Key: bytes.Repeat([]byte("k"), 32), Clock: h.clock.Now, LogKeys: []ed25519.PrivateKey{logKey(1)},
		Stream: &drain{broken: true}, Log: slog.New(slog.NewTextHandler(&said, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.EnsureLogKey(h.ctx); err != nil {
		t.Fatal(err)
	}
	h.sign(s)
	h.during(s.RunStream, func() {
		h.soon("a try fails", func() bool { return strings.Contains(said.String(), "stopped up") })
	})
	if text := said.String(); !strings.Contains(text, "positions 0 to ") {
		t.Error(text)
	}
}

type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
