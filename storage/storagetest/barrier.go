package storagetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// barrierWaits: a deed that saw the policy state before the barrier is waited
// for, and what it kept is readable then; one that begins after is not.
func barrierWaits(h *house) {
	if err := h.Barrier(h.Context()); err != nil {
		h.Fatalf("with nobody to wait for: %v", err)
	}
	older := deedUnderWay(h, "older")
	end := make(chan struct{})
	release := sync.OnceFunc(func() { close(end) })
	h.Cleanup(release)
	passed := make(chan error, 1)
	go func() { passed <- h.Barrier(h.Context()) }()
	select {
	case err := <-passed:
		h.Fatalf("the barrier did not wait: %v", err)
	case <-time.After(200 * time.Millisecond):
	}

	// On SQLite this one waits for its turn; on PostgreSQL it runs at once.
	younger := make(chan error, 1)
	seen := make(chan error, 1)
	go func() {
		younger <- h.Write(context.Background(), func(ctx context.Context, tx storage.Tx) error {
			_, err := tx.PolicyState(ctx)
			seen <- err
			<-end
			return err
		})
	}()
	select {
	case err := <-seen:
		if err != nil {
			h.Fatal(err)
		}
	case <-time.After(200 * time.Millisecond):
	}
	older.goOn()
	select {
	case err := <-passed:
		if err != nil {
			h.Errorf("barrier: %v", err)
		}
	case <-time.After(10 * time.Second):
		h.Error("the barrier waits for a deed that began after it")
	}
	if _, found, err := h.FindUserName(h.Context(), "mercy", "older"); err != nil || !found {
		h.Errorf("what the deed kept, behind the barrier: %t, %v", found, err)
	}
	release()
	if err := errors.Join(<-older.ended, <-younger); err != nil {
		h.Error(err)
	}
}

// barrierIsPatient only as long as its context.
func barrierIsPatient(h *house) {
	older := deedUnderWay(h, "older")
	ctx, cancel := context.WithTimeout(h.Context(), 50*time.Millisecond)
	defer cancel()
	if err := h.Barrier(ctx); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, storage.ErrUnavailable) {
		h.Errorf("barrier whose patience ended: %v", err)
	}
	older.goOn()
	if err := <-older.ended; err != nil {
		h.Error(err)
	}
	if err := h.Barrier(h.Context()); err != nil {
		h.Errorf("afterwards: %v", err)
	}
}

// barrierUnderLoad: what the barrier promises is what a change of policy rests
// on. Deeds follow one another closely and each keeps what it saw; behind the
// barrier nobody keeps any more that nothing was pending.
func barrierUnderLoad(h *house) {
	const writers = 8
	ctx, cancel := context.WithCancel(h.Context())
	defer cancel()
	ended := make(chan []error, 1)
	go func() {
		ended <- together(writers, func(i int) error {
			for n := 0; ctx.Err() == nil; n++ {
				err := h.Write(context.Background(), func(ctx context.Context, tx storage.Tx) error {
					state, err := tx.PolicyState(ctx)
					if err != nil {
						return err
					}
					time.Sleep(time.Millisecond) // decide
					u := person("mercy", fmt.Sprintf("%d.%d", i, n))
					if state.Pending == "" {
						u.Title = "unforeseen"
					}
					_, err = tx.PutUser(ctx, u)
					return err
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}()
	unforeseen := func() int {
		h.Helper()
		_, n, err := h.ListUsers(h.Context(), storage.Query{Filter: field(storage.FieldTitle, storage.OpEq, "unforeseen"), Total: true})
		if err != nil {
			h.Fatal(err)
		}
		return n
	}
	for round := range 5 {
		time.Sleep(20 * time.Millisecond)
		h.write(func(ctx context.Context, tx storage.Tx) error { return tx.PendPolicy(ctx, "plan") })
		if err := h.Barrier(h.Context()); err != nil {
			h.Fatal(err)
		}
		before := unforeseen()
		time.Sleep(20 * time.Millisecond)
		if after := unforeseen(); after != before || before == 0 {
			h.Errorf("round %d: %d deeds that saw nothing pending, and %d a moment after the barrier", round, before, after)
		}
		h.write(func(ctx context.Context, tx storage.Tx) error { return tx.PendPolicy(ctx, "") })
	}
	cancel()
	if err := errors.Join(<-ended...); err != nil {
		h.Error(err)
	}
}

// underWay is a deed that saw the policy state and waits.
type underWay struct {
	goOn  func() // it may keep its user and end
	ended chan error
}

// deedUnderWay has seen the policy state when it returns, and written nothing.
func deedUnderWay(h *house, userName string) underWay {
	h.Helper()
	end := make(chan struct{})
	d := underWay{goOn: sync.OnceFunc(func() { close(end) }), ended: make(chan error, 1)}
	h.Cleanup(d.goOn)
	seen := make(chan error, 1)
	go func() {
		d.ended <- h.Write(context.Background(), func(ctx context.Context, tx storage.Tx) error {
			_, err := tx.PolicyState(ctx)
			seen <- err
			if err != nil {
				return err
			}
			<-end
			_, err = tx.PutUser(ctx, person("mercy", userName))
			return err
		})
	}()
	if err := <-seen; err != nil {
		h.Fatal(err)
	}
	return d
}
