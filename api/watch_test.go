package api

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// Polls whose clients left, and polls that were answered, leave nothing behind:
// no goroutine, nobody who waits, and no look at the database.
func TestPollsLeaveNothingBehind(t *testing.T) {
	var looks, last atomic.Int64
	w := newWatch(func(context.Context) (storage.ChangePlace, storage.ChangePlace, error) {
		looks.Add(1)
		at := storage.ChangePlace{ID: last.Load()}
		return at, at, nil
	})
	const polls = 50
	before := runtime.NumGoroutine()
	for round := range 3 {
		ctx, leave := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for i := range 2 * polls {
			all.Go(func() {
				mine := ctx
				if i >= polls { // these stay
					mine = t.Context()
				}
				over, err := w.wait(mine, storage.ChangePlace{ID: int64(round)}, nil)
				if gone := i < polls; over || errors.Is(err, context.Canceled) != gone {
					t.Errorf("poll %d: over %t, %v", i, over, err)
				}
			})
		}
		for waiting := 0; waiting < 2*polls; time.Sleep(time.Millisecond) {
			w.mu.Lock()
			waiting = len(w.waiting)
			w.mu.Unlock()
		}
		leave()
		for waiting := 2 * polls; waiting > polls; time.Sleep(time.Millisecond) {
			w.mu.Lock()
			waiting = len(w.waiting)
			w.mu.Unlock()
		}
		last.Add(1) // somebody's access changed
		all.Wait()
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		w.mu.Lock()
		idle := len(w.waiting) == 0 && !w.looking
		w.mu.Unlock()
		if idle && runtime.NumGoroutine() <= before {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before; looking: %t", runtime.NumGoroutine(), before, w.looking)
		}
	}
	then := looks.Load()
	time.Sleep(3 * watchEvery)
	if now := looks.Load(); now != then || now == 0 {
		t.Errorf("nobody waits, and there were %d looks, then %d", then, now)
	}
}
