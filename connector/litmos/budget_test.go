package litmos

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/healthix/healthix-scim/connector/litmos/litmosfake"
)

// crowd has several workers call do until the time is up, and answers how many
// calls went well and the first error.
func crowd(ctx context.Context, wg *sync.WaitGroup, workers int, do func(context.Context) error) (done *int, failed *error) {
	var mu sync.Mutex
	done, failed = new(int), new(error)
	for range workers {
		wg.Go(func() {
			for {
				err := do(ctx)
				mu.Lock()
				switch {
				case err == nil:
					*done++
				case ctx.Err() == nil && *failed == nil:
					*failed = err
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	return done, failed
}

// Ten minutes of more work than there is room for: a Litmos that counts to 100
// in any minute never says that it is too much, however slow or quick it is, and
// every lane has its part.
func TestBudgetIsNeverOverrun(t *testing.T) {
	for _, delay := range []time.Duration{0, 900 * time.Millisecond, 25 * time.Second} {
		t.Run(delay.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := newVirtual(t, litmosfake.Knobs{PerMinute: 100, Delay: litmosfake.Duration(delay)})
				defer v.close()
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				polls, pollErr := crowd(ctx, &wg, 60, func(ctx context.Context) error {
					return v.client.Achievements(ctx, time.Now(), func(Achievement) error { return nil })
				})
				looks, lookErr := crowd(ctx, &wg, 60, func(ctx context.Context) error {
					_, err := v.client.Completed(ctx, "abc1")
					return err
				})
				writes, writeErr := crowd(ctx, &wg, 60, func(ctx context.Context) error {
					return v.client.Deactivate(ctx, "abc1") // one look: there is no such learner
				})
				time.Sleep(10 * time.Minute)
				cancel()
				wg.Wait()
				for lane, err := range map[string]error{"polls": *pollErr, "looks": *lookErr, "writes": *writeErr} {
					if err != nil {
						t.Errorf("%s: %v", lane, err)
					}
				}
				counts := v.fake.Counts()
				if counts.Overruns != 0 {
					t.Errorf("%d of %d requests were too many", counts.Overruns, counts.Requests)
				}
				// A place rests for a minute after its answer.
				minutes := float64(10*time.Minute) / float64(time.Minute+delay)
				for lane, tc := range map[string]struct{ got, places int }{
					"polls": {*polls, 50}, "looks": {*looks, 20}, "writes": {*writes, 30},
				} {
					least, most := int(minutes)*tc.places, (int(minutes)+1)*tc.places
					if tc.got < least || tc.got > most {
						t.Errorf("%s: %d in ten minutes, want %d to %d", lane, tc.got, least, most)
					}
				}
			})
		})
	}
}

// Writes and confirmations without end leave polling its half at once.
func TestPollingNeverWaitsForOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVirtual(t, litmosfake.Knobs{PerMinute: 100})
		defer v.close()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		crowd(ctx, &wg, 40, func(ctx context.Context) error { return v.client.Deactivate(ctx, "abc1") })
		crowd(ctx, &wg, 40, func(ctx context.Context) error { _, err := v.client.Completed(ctx, "abc1"); return err })
		time.Sleep(90 * time.Second)
		begun := time.Now()
		for range 50 {
			if err := v.client.Achievements(ctx, begun, func(Achievement) error { return nil }); err != nil {
				t.Fatal(err)
			}
		}
		if waited := time.Since(begun); waited != 0 {
			t.Errorf("50 polls took %s", waited)
		}
		cancel()
		wg.Wait()
	})
}

// Who cannot be served before their deadline is told at once, with the time to
// come back.
func TestNoWaitBeyondTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVirtual(t, litmosfake.Knobs{})
		defer v.close()
		for range 30 {
			if err := v.client.Deactivate(t.Context(), "abc1"); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		err := v.client.Deactivate(ctx, "abc1")
		if !errors.Is(err, ErrBusy) || RetryAfter(err) != 50*time.Second || time.Since(begun) != 0 {
			t.Errorf("%v after %s, again after %s", err, time.Since(begun), RetryAfter(err))
		}
		// With a later deadline the call waits, and is served.
		ctx, cancel = context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		if err := v.client.Deactivate(ctx, "abc1"); err != nil || time.Since(begun) != 50*time.Second {
			t.Errorf("%v after %s", err, time.Since(begun))
		}
	})
}

// Who waits can go; their place is not lost.
func TestWaitingCanBeGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVirtual(t, litmosfake.Knobs{})
		defer v.close()
		for range 30 {
			if err := v.client.Deactivate(t.Context(), "abc1"); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 40 { // more than there are places: some wait for a place, some for its time
			wg.Go(func() {
				if err := v.client.Deactivate(ctx, "abc1"); !errors.Is(err, context.Canceled) || errors.Is(err, ErrBusy) {
					t.Errorf("%v, want the context's error", err)
				}
			})
		}
		time.Sleep(time.Second)
		cancel()
		wg.Wait()
		if err := v.client.Deactivate(ctx, "abc1"); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want the context's error", err)
		}
		time.Sleep(time.Minute)
		begun := time.Now()
		for range 30 {
			if err := v.client.Deactivate(t.Context(), "abc1"); err != nil {
				t.Fatal(err)
			}
		}
		if time.Since(begun) != 0 {
			t.Errorf("places were lost: 30 calls took %s", time.Since(begun))
		}
	})
}

// While all places are under way, the deadline may come first.
func TestDeadlineWhileAllPlacesAreUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVirtual(t, litmosfake.Knobs{Delay: litmosfake.Duration(20 * time.Second)})
		defer v.close()
		var wg sync.WaitGroup
		for range 30 {
			wg.Go(func() { v.client.Deactivate(t.Context(), "abc1") })
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := v.client.Deactivate(ctx, "abc1"); !errors.Is(err, ErrBusy) {
			t.Errorf("%v, want ErrBusy", err)
		}
		wg.Wait()
	})
}

// What Litmos asks for in Retry-After holds for every lane.
func TestRetryAfterIsRespected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVirtual(t, litmosfake.Knobs{Next: []string{"503"}, RetryAfter: 90})
		defer v.close()
		err := v.client.Deactivate(t.Context(), "abc1")
		if !errors.Is(err, ErrBusy) || RetryAfter(err) != 90*time.Second {
			t.Fatalf("%v, again after %s", err, RetryAfter(err))
		}
		begun := time.Now()
		var wg sync.WaitGroup
		for _, do := range []func() error{
			func() error { return v.client.Deactivate(t.Context(), "abc1") },
			func() error { _, err := v.client.Completed(t.Context(), "abc1"); return err },
			func() error { return v.client.Achievements(t.Context(), begun, func(Achievement) error { return nil }) },
		} {
			wg.Go(func() {
				if err := do(); err != nil || time.Since(begun) != 90*time.Second {
					t.Errorf("%v after %s, want 90 s of silence", err, time.Since(begun))
				}
			})
		}
		time.Sleep(89 * time.Second)
		if n := v.fake.Counts().Requests; n != 1 {
			t.Errorf("%d requests during the silence", n-1)
		}
		wg.Wait()
	})
}
