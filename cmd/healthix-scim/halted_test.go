package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// Work that is under way ends when a gap is found, waits until it is recovered,
// and goes on; it is never done while there is one.
func TestWorkEndsOverAGap(t *testing.T) {
	var gap, inside atomic.Bool
	var begun atomic.Int32
	halted := func() error {
		if gap.Load() {
			return errors.New("the log is behind")
		}
		return nil
	}
	work := func(ctx context.Context) error {
		begun.Add(1)
		inside.Store(true)
		defer inside.Store(false)
		<-ctx.Done()
		return ctx.Err()
	}
	until := func(what string, holds func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: not within 10 s", what)
			}
		}
	}
	gap.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- whileSound(ctx, halted, time.Millisecond, work) }()
	time.Sleep(20 * time.Millisecond)
	if begun.Load() != 0 {
		t.Fatal("work began over a gap")
	}
	gap.Store(false)
	until("work begins", inside.Load)
	gap.Store(true)
	until("work ends over a gap", func() bool { return !inside.Load() })
	time.Sleep(20 * time.Millisecond)
	if n := begun.Load(); n != 1 {
		t.Fatalf("work began %d times, the gap being there", n)
	}
	gap.Store(false)
	until("work goes on", func() bool { return inside.Load() && begun.Load() == 2 })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	wrong := errors.New("wrong")
	if err := whileSound(t.Context(), halted, time.Millisecond, func(context.Context) error { return wrong }); !errors.Is(err, wrong) {
		t.Errorf("a failure is answered as %v", err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	gap.Store(true)
	if err := whileSound(stopped, halted, time.Hour, work); err != nil {
		t.Error(err)
	}
}
