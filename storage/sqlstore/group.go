package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
)

// group lets deeds that come at the same time share one commit on SQLite,
// which has one writer: each is a savepoint of the shared transaction, and its
// caller hears of success only after the commit.
//
// One goroutine owns the transaction and gives each deed its turn; the deed
// itself runs on its caller's goroutine, so that a panic is the caller's own.
type group struct {
	store *Store
	queue chan *deed
	once  sync.Once // closes quit
	quit  chan struct{}
	ended chan struct{}
}

// deed is one Write waiting for its turn.
type deed struct {
	turn chan *tx      // the deed may run now
	gone chan struct{} // closed: its caller gave up before its turn
	ran  chan bool     // it ran; true: keep what it did
	end  chan error    // how it ended for good
	last bool          // who comes after it waits for the next group
}

// errClosed answers deeds that come after Close.
var errClosed = unavailable(errors.New("the store is closed"))

// company is how many deeds share a commit at most: the first waits for all.
const company = 64

func newGroup(s *Store) *group {
	g := &group{store: s, queue: make(chan *deed), quit: make(chan struct{}), ended: make(chan struct{})}
	go g.lead()
	return g
}

// close waits for the deeds that have begun; a second call waits too.
func (g *group) close() {
	g.once.Do(func() { close(g.quit) })
	<-g.ended
}

// write runs f once as part of a group.
func (g *group) write(ctx context.Context, f func(ctx context.Context, t *tx) error) error {
	return g.join(ctx, newDeed(), f)
}

// barrier waits for the deeds that began before it, whose commit is its own too,
// and for none that begins after it.
func (g *group) barrier(ctx context.Context) error {
	d := newDeed()
	d.last = true
	return g.join(ctx, d, func(context.Context, *tx) error { return nil })
}

func newDeed() *deed {
	return &deed{turn: make(chan *tx), gone: make(chan struct{}), ran: make(chan bool), end: make(chan error, 1)}
}

func (g *group) join(ctx context.Context, d *deed, f func(ctx context.Context, t *tx) error) (err error) {
	select {
	case g.queue <- d:
	case <-ctx.Done():
		return waited(ctx)
	case <-g.ended:
		return errClosed
	}
	select {
	case t := <-d.turn:
		keep := false
		// Deferred, so that a panic in f is rolled back before it goes on.
		defer func() {
			d.ran <- keep
			if end := <-d.end; keep {
				err = end
			}
		}()
		// SQLite answers an interrupted statement by rolling back everybody's
		// work: what has begun runs to its end, and is kept only if its caller
		// still waits.
		if err := t.run(context.WithoutCancel(ctx), f); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		keep = true
		return nil
	case err := <-d.end:
		return err
	case <-ctx.Done():
		close(d.gone)
		return waited(ctx)
	}
}

// lead commits one group after the other.
func (g *group) lead() {
	defer close(g.ended)
	for {
		select {
		case first := <-g.queue:
			g.commit(first)
		case <-g.quit:
			return
		}
	}
}

// commit runs first and those who come meanwhile, and tells all how it ended.
func (g *group) commit(first *deed) {
	// The group's own context: no caller may end everybody's transaction.
	ctx := context.Background()
	in, err := g.store.sql.BeginTx(ctx, nil)
	if err != nil {
		first.end <- fmt.Errorf("begin: %w", fault(err))
		return
	}
	var kept []*deed
	for d, had := first, 1; d != nil; d, had = g.next(d, had), had+1 {
		keep, err := g.turn(ctx, in, d)
		if err != nil {
			// A full disk, say, has already ended the whole transaction.
			err = fmt.Errorf("begin or end a deed: %w", errors.Join(fault(err), in.Rollback()))
			d.end <- err
			for _, other := range kept {
				other.end <- unavailable(err)
			}
			return
		}
		if keep {
			kept = append(kept, d)
		}
	}
	err = committed(in.Commit())
	for _, d := range kept {
		d.end <- err
	}
}

// next is a deed that waits right now, to follow one in its group.
func (g *group) next(after *deed, had int) *deed {
	if after.last || had >= company {
		return nil
	}
	select {
	case d := <-g.queue:
		return d
	default:
		return nil
	}
}

// turn runs one deed in a savepoint. One that is not kept has its end at once.
func (g *group) turn(ctx context.Context, in *sql.Tx, d *deed) (keep bool, err error) {
	if _, err := in.ExecContext(ctx, "savepoint deed"); err != nil {
		return false, err
	}
	select {
	case d.turn <- g.store.begun(in):
		keep = <-d.ran
	case <-d.gone:
	}
	if !keep {
		if _, err := in.ExecContext(ctx, "rollback to deed"); err != nil {
			return false, err
		}
	}
	if _, err := in.ExecContext(ctx, "release deed"); err != nil {
		return false, err
	}
	if !keep {
		d.end <- nil
	}
	return keep, nil
}
