package storagetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// changed keeps changes of access, all in one deed.
func changed(h *house, changes ...storage.AccessChange) {
	h.Helper()
	h.write(func(ctx context.Context, tx storage.Tx) error {
		for _, c := range changes {
			c.At = tx.Now()
			if err := tx.PutAccessChange(ctx, c); err != nil {
				return err
			}
		}
		return nil
	})
}

// told is what can be read after a place, as participant/user, and the place
// behind it. On PostgreSQL what was committed can be read when everybody has
// ended who began before, so it looks for a moment.
func told(h *house, after storage.ChangePlace, want int) ([]string, storage.ChangePlace) {
	h.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		changes, next, err := h.ListAccessChanges(h.Context(), after, 100)
		if err != nil {
			h.Fatal(err)
		}
		if len(changes) >= want || time.Now().After(deadline) {
			var names []string
			for _, c := range changes {
				names = append(names, c.Participant+"/"+c.User)
			}
			return names, next
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// changesAreTold in order, page by page, to those who come after.
func changesAreTold(h *house) {
	none, begin := told(h, storage.ChangePlace{}, 0)
	if len(none) > 0 {
		h.Errorf("changes before the first: %v", none)
	}
	if last, end, err := h.LastAccessChange(h.Context()); err != nil || last != (storage.ChangePlace{}) || end.Before(begin) {
		h.Errorf("the last change before the first is %v of %v, %v", last, end, err)
	}
	changed(h, storage.AccessChange{Participant: "mercy", User: "a"}, storage.AccessChange{Participant: "mercy"})
	changed(h, storage.AccessChange{})
	refused := errors.New("refused")
	if err := h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
		return errors.Join(tx.PutAccessChange(ctx, storage.AccessChange{Participant: "mercy", User: "never", At: tx.Now()}), refused)
	}); !errors.Is(err, refused) {
		h.Fatal(err)
	}
	all, end := told(h, begin, 3)
	h.same("changes", all, []string{"mercy/a", "mercy/", "/"})
	if again, _ := told(h, end, 0); len(again) > 0 {
		h.Errorf("behind the end: %v", again)
	}
	last, seen, err := h.LastAccessChange(h.Context())
	if err != nil || !begin.Before(last) || end.Before(last) || seen.Before(end) {
		h.Errorf("the last change is at %v of %v, %v; a reader went from %v to %v", last, seen, err, begin, end)
	}
	var paged []string
	for at := begin; len(paged) < 4; {
		page, next, err := h.ListAccessChanges(h.Context(), at, 1)
		if err != nil {
			h.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		paged, at = append(paged, page[0].Participant+"/"+page[0].User), next
		if page[0].At.IsZero() || page[0].Place != next {
			h.Errorf("change %+v, next place %v", page[0], next)
		}
	}
	h.same("one by one", paged, all)
	if _, _, err := h.ListAccessChanges(h.Context(), storage.ChangePlace{Tx: end.Tx + 1e6, ID: end.ID + 1e6}, 1); !errors.Is(err, storage.ErrAhead) {
		h.Errorf("a place ahead of everything: %v", err)
	}

	one, two := person("mercy", "one"), person("general", "two")
	h.keep(one, two)
	gone := two
	gone.Version, gone.Deleted = 2, &gone.Created
	h.keep(gone)
	users, err := h.ListUsersByID(h.Context(), []string{one.ID, two.ID, "nobody"})
	if err != nil || len(users) != 2 || users[one.ID].UserName != "one" || users[two.ID].Deleted == nil {
		h.Errorf("users by id: %v, %v", users, err)
	}
}

// lateChangesAreNotSkipped: eight writers keep changes and commit when they
// like, while a reader goes on from place to place. It hears of every one, once.
func lateChangesAreNotSkipped(h *house) {
	const writers, each = 8, 12
	_, at := told(h, storage.ChangePlace{}, 0)
	var wg sync.WaitGroup
	var running atomic.Int32
	running.Store(writers)
	for w := range writers {
		wg.Go(func() {
			defer running.Add(-1)
			for n := range each {
				err := h.Write(context.Background(), func(ctx context.Context, tx storage.Tx) error {
					// The number of the transaction is taken here, the row's at the end.
					name := fmt.Sprintf("%d/%d", w, n)
					if _, err := tx.PutUser(ctx, person("mercy", name)); err != nil {
						return err
					}
					if err := tx.PutAccessChange(ctx, storage.AccessChange{Participant: "mercy", User: name, At: tx.Now()}); err != nil {
						return err
					}
					if _, err := tx.ListEntries(ctx, ""); err != nil { // what waits is written now: the row's own number is taken too
						return err
					}
					time.Sleep(rand.N(20 * time.Millisecond)) //nolint:gosec // a test
					return nil
				})
				if err != nil {
					h.Error(err)
				}
			}
		})
	}
	heard := map[string]int{}
	deadline := time.Now().Add(30 * time.Second)
	for len(heard) < writers*each && time.Now().Before(deadline) {
		changes, next, err := h.ListAccessChanges(h.Context(), at, 7)
		if err != nil {
			h.Fatal(err)
		}
		if next.Before(at) {
			h.Fatalf("the place went back from %v to %v", at, next)
		}
		at = next
		for _, c := range changes {
			heard[c.User]++
		}
		if running.Load() == 0 && len(changes) == 0 && len(heard) == writers*each {
			break
		}
	}
	wg.Wait()
	if len(heard) != writers*each {
		h.Errorf("heard of %d changes, want %d", len(heard), writers*each)
	}
	for name, n := range heard {
		if n != 1 {
			h.Errorf("heard of %s %d times", name, n)
		}
	}
}

func changesAreForgotten(h *house) {
	_, begin := told(h, storage.ChangePlace{}, 0)
	now := time.Now().UTC().Truncate(time.Microsecond)
	h.write(func(ctx context.Context, tx storage.Tx) error {
		for i, age := range []time.Duration{3 * time.Hour, 2 * time.Hour, time.Minute} {
			if err := tx.PutAccessChange(ctx, storage.AccessChange{Participant: "mercy", User: fmt.Sprint(i), At: now.Add(-age)}); err != nil {
				return err
			}
		}
		return nil
	})
	_, end := told(h, begin, 3)
	for _, want := range []int{1, 1, 0} {
		if n, err := h.DeleteAccessChanges(h.Context(), now.Add(-time.Hour), 1); err != nil || n != want {
			h.Errorf("forgot %d, want %d: %v", n, want, err)
		}
	}
	left, _ := told(h, begin, 1)
	h.same("what is left", left, []string{"mercy/2"})
	if n, err := h.DeleteAccessChanges(h.Context(), now.Add(time.Hour), 100); err != nil || n != 1 {
		h.Errorf("forgot %d: %v", n, err)
	}
	// Places go on from where they were, though there is nothing.
	changed(h, storage.AccessChange{Participant: "mercy", User: "next"})
	next, _ := told(h, end, 1)
	h.same("after everything was forgotten", next, []string{"mercy/next"})
}
