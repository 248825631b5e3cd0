package litmos

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// lane is a part of the budget that no other lane can use up.
type lane int

const (
	lanePoll    lane = iota // half: what polling reads
	laneConfirm             // a fifth: what a webhook asks us to look at
	laneWrite               // the rest: enrolment and assignment
	lanes
)

// budget keeps the process within its requests per minute. Litmos counts a
// request some time between its sending and its answer, in windows we cannot
// see; so a request's place is taken from the sending until a minute after the
// answer, and no minute of Litmos's can hold more requests than there are
// places. (A token bucket of the same size would allow twice as many in the
// minute after an idle one.)
type budget struct {
	now   func() time.Time
	lanes [lanes]*window

	mu    sync.Mutex
	quiet time.Time // Litmos asked for silence until then
}

func newBudget(perMinute int, now func() time.Time) *budget {
	b := &budget{now: now}
	b.lanes[lanePoll] = newWindow(perMinute / 2)
	b.lanes[laneConfirm] = newWindow(perMinute / 5)
	b.lanes[laneWrite] = newWindow(perMinute - perMinute/2 - perMinute/5)
	return b
}

// take waits for a place. The returned function gives it back and must be
// called once, when the answer is read. A wait that would outlast the
// context's deadline is not begun: ErrBusy at once.
func (b *budget) take(ctx context.Context, l lane) (done func(), err error) {
	w := b.lanes[l]
	err = w.take(ctx, b.now, b.silence)
	if errors.Is(err, context.DeadlineExceeded) {
		return nil, &busyError{what: "no place in the budget before the deadline"}
	}
	if err != nil {
		return nil, err
	}
	return func() { w.give(b.now().Add(time.Minute)) }, nil
}

// hush remembers that Litmos asked for silence.
func (b *budget) hush(d time.Duration) {
	until := b.now().Add(d)
	b.mu.Lock()
	defer b.mu.Unlock()
	if until.After(b.quiet) {
		b.quiet = until
	}
}

func (b *budget) silence() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.quiet
}

// window admits as many as it has places: a place that is given back may be
// taken again at a given instant. Who waits is served in the order of coming.
type window struct {
	free chan struct{} // one signal per place that is not taken

	mu    sync.Mutex
	again []time.Time // of the places that are not taken, earliest first
}

func newWindow(places int) *window {
	w := &window{free: make(chan struct{}, places), again: make([]time.Time, places)}
	for range places {
		w.free <- struct{}{}
	}
	return w
}

// give never blocks: there is room for every place that was taken.
func (w *window) give(again time.Time) {
	w.mu.Lock()
	i, _ := slices.BinarySearchFunc(w.again, again, time.Time.Compare)
	w.again = slices.Insert(w.again, i, again)
	w.mu.Unlock()
	w.free <- struct{}{}
}

func (w *window) earliest() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.again[0]
	w.again = slices.Delete(w.again, 0, 1)
	return at
}

// take waits for a place and until it and the silence allow its use.
func (w *window) take(ctx context.Context, now func() time.Time, silence func() time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-w.free:
	case <-ctx.Done():
		return ctx.Err()
	}
	again := w.earliest() // there is one for every signal
	for {
		at := again
		if s := silence(); s.After(at) {
			at = s
		}
		wait := at.Sub(now())
		if wait <= 0 {
			return nil
		}
		if err := sleep(ctx, wait, now); err != nil {
			w.give(again)
			return err
		}
	}
}

// sleep waits for d, unless the context ends first or is sure to.
func sleep(ctx context.Context, d time.Duration, now func() time.Time) error {
	if deadline, ok := ctx.Deadline(); ok && now().Add(d).After(deadline) {
		return &busyError{what: "the requests of this minute are used up", after: d}
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
