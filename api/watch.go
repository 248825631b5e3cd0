package api

import (
	"context"
	"sync"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

const (
	// watchEvery is how long after its commit a change is told at the latest, on
	// any server, when the database has nothing else to do.
	watchEvery = 200 * time.Millisecond
	// watchPatience bounds one look.
	watchPatience = 5 * time.Second
)

// watch looks for changes of access on behalf of all polls that wait on this
// server: one look for all of them, and none while nobody waits. It looks rather
// than listens, for what is told is in the database, whoever wrote it.
type watch struct {
	look func(ctx context.Context) (last, end storage.ChangePlace, err error)

	mu      sync.Mutex
	waiting map[chan struct{}]storage.ChangePlace
	looking bool
}

func newWatch(look func(ctx context.Context) (last, end storage.ChangePlace, err error)) *watch {
	return &watch{look: look, waiting: map[chan struct{}]storage.ChangePlace{}}
}

// wait returns when there is something behind a place. over is true when there
// is nothing and the patience ended, or the server is about to leave.
func (w *watch) wait(ctx context.Context, place storage.ChangePlace, patience <-chan time.Time) (over bool, err error) {
	woken := make(chan struct{})
	w.mu.Lock()
	w.waiting[woken] = place
	if !w.looking {
		w.looking = true
		go w.run() //nolint:gosec // it looks for all who wait, whoever was the first
	}
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.waiting, woken)
		w.mu.Unlock()
	}()
	select {
	case <-woken:
		return false, nil
	case <-patience:
		return true, nil
	case <-leaving(ctx):
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// run looks until nobody waits.
func (w *watch) run() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for range tick.C {
		w.mu.Lock()
		if len(w.waiting) == 0 {
			w.looking = false
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), watchPatience)
		last, _, err := w.look(ctx)
		cancel()
		if err != nil {
			continue // each of those who wait looks at the end, and answers why it cannot
		}
		w.mu.Lock()
		for woken, place := range w.waiting {
			if place.Before(last) {
				close(woken)
				delete(w.waiting, woken)
			}
		}
		w.mu.Unlock()
	}
}
