package storagetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

func conflictsHaveNames(h *house) {
	u := person("mercy", "ana")
	u.ExternalID, u.HealthixUsername = "E1", "bcdfgh23"
	h.keep(u)
	for attribute, clash := range map[string]func(u *storage.User){
		"userName":   func(c *storage.User) { c.UserName, c.UserNameKey = "ANA", "ana" },
		"externalId": func(c *storage.User) { c.ExternalID = "E1" },
		"username":   func(c *storage.User) { c.HealthixUsername = "bcdfgh23" },
		"id":         func(c *storage.User) { c.ID = u.ID },
	} {
		c := person("mercy", newID())
		clash(&c)
		put := func(c storage.User) error {
			return h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
				_, err := tx.PutUser(ctx, c)
				return err
			})
		}
		h.taken("create", attribute, put(c))
		if attribute == "id" {
			continue
		}
		// An update meets the same refusal as a create.
		c = person("mercy", newID())
		h.keep(c)
		c.Version = 2
		clash(&c)
		h.taken("update", attribute, put(c))
		if got := h.user(c.ID); got.Version != 1 {
			h.Errorf("%s: a refused update is there", attribute)
		}
	}
	g := storage.Group{ID: newID(), Participant: "mercy", Version: 1, DisplayName: "A", DisplayNameKey: "a", ExternalID: "G1"}
	twin := g
	twin.ID = newID()
	h.write(func(ctx context.Context, tx storage.Tx) error {
		_, err := tx.PutGroup(ctx, g, storage.MemberChange{})
		return err
	})
	h.taken("group", "externalId", h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
		_, err := tx.PutGroup(ctx, twin, storage.MemberChange{})
		return err
	}))
}

func sharedExternalIDs(h *house) {
	a, b := person("mercy", "a"), person("mercy", "b")
	a.ExternalID, a.ExternalShared = "E1", true
	b.ExternalID, b.ExternalShared = "E1", true
	b.Created = a.Created.Add(time.Second)
	h.keep(b, a)
	got, found, err := h.FindExternalID(h.Context(), "mercy", "E1")
	if err != nil || !found || got.ID != a.ID || !got.ExternalShared {
		h.Errorf("found %v %s, %v; want the older one", found, got.ID, err)
	}
}

func twelveCreates(h *house) {
	errs := together(12, func(i int) error {
		u := person("mercy", "Ana")
		u.ExternalID = fmt.Sprint(i)
		return h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
			_, err := tx.PutUser(ctx, u)
			return err
		})
	})
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		h.taken("the losers", "userName", err)
	}
	if won != 1 {
		h.Errorf("%d of 12 creates won", won)
	}
}

func staleVersions(h *house) {
	u := person("mercy", "ana")
	h.keep(u)
	for _, version := range []int64{3, 0, -1} {
		u.Version = version
		runs := 0
		err := h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
			runs++
			_, err := tx.PutUser(ctx, u)
			return err
		})
		if !errors.Is(err, storage.ErrStale) || runs < 2 {
			h.Errorf("version %d over 1: %v after %d runs", version, err, runs)
		}
	}
	h.same("the row", h.user(u.ID).Version, 1)
	if history, err := h.ListHistory(h.Context(), u.ID); err != nil || len(history) != 1 {
		h.Errorf("history has %d rows, %v", len(history), err)
	}
}

// nothingIsLost counts on one row from many sides, locking first, and from as
// many without: the version alone keeps those from losing anything.
func nothingIsLost(h *house) {
	u := person("mercy", "ana")
	h.keep(u)
	const each, rounds = 4, 5
	count := func(read func(ctx context.Context, tx storage.Tx) (storage.User, error)) func(int) error {
		return func(int) error {
			for range rounds {
				err := h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
					got, err := read(ctx, tx)
					if err != nil {
						return err
					}
					got.Version++
					_, err = tx.PutUser(ctx, got)
					return err
				})
				if err != nil {
					return err
				}
			}
			return nil
		}
	}
	locking := count(func(ctx context.Context, tx storage.Tx) (storage.User, error) { return tx.LockUser(ctx, "mercy", u.ID) })
	for _, err := range together(2*each, locking) {
		if err != nil {
			h.Error(err)
		}
	}
	if got := h.user(u.ID); got.Version != 1+2*each*rounds {
		h.Errorf("version %d after %d deeds", got.Version, 2*each*rounds)
	}

	// Two who do not lock meet, and the later one runs again by itself.
	looking := count(func(ctx context.Context, tx storage.Tx) (storage.User, error) { return tx.GetUser(ctx, "mercy", u.ID) })
	for _, err := range together(2, looking) {
		if err != nil {
			h.Error(err)
		}
	}
	if got := h.user(u.ID); got.Version != 1+2*each*rounds+2*rounds {
		h.Errorf("version %d after %d more deeds", got.Version, 2*rounds)
	}
	history, err := h.ListHistory(h.Context(), u.ID)
	if err != nil || len(history) != int(h.user(u.ID).Version) {
		h.Errorf("%d history rows, %v", len(history), err)
	}
}

func runsAgain(h *house) {
	u := person("mercy", "ana")
	runs := 0
	h.write(func(ctx context.Context, tx storage.Tx) error {
		runs++
		if _, err := tx.PutUser(ctx, u); err != nil {
			return err
		}
		if runs == 1 {
			return fmt.Errorf("as if somebody had been faster: %w", storage.ErrStale)
		}
		return nil
	})
	if history, err := h.ListHistory(h.Context(), u.ID); err != nil || len(history) != 1 || runs != 2 {
		h.Errorf("%d runs left %d history rows, %v", runs, len(history), err)
	}
}

var errRefused = errors.New("refused")

func rollsBack(h *house) {
	u := person("mercy", "ana")
	runs := 0
	err := h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
		runs++
		if err := everything(h, ctx, tx, u); err != nil {
			return err
		}
		return fmt.Errorf("no: %w", errRefused)
	})
	if !errors.Is(err, errRefused) || runs != 1 {
		h.Errorf("%v after %d runs", err, runs)
	}
	nothingOf(h, u)
}

// everything writes into many tables.
func everything(h *house, ctx context.Context, tx storage.Tx, u storage.User) error {
	_, err := tx.PutUser(ctx, u)
	_, claimed := tx.ClaimEmail(ctx, "ana@mail.example", u.ID)
	_, grouped := tx.PutGroup(ctx, storage.Group{ID: u.ID, Participant: "mercy", Version: 1, DisplayName: "g"},
		storage.MemberChange{Add: []storage.Member{{ID: u.ID, Type: "User"}}})
	return errors.Join(err, claimed, grouped,
		tx.Append(ctx, entry(h, u.ID, tx.Now())),
		tx.PutToken(ctx, storage.Token{ID: u.ID}),
		tx.PutPolicy(ctx, storage.PolicyVersion{Version: 1, Document: []byte("p")}))
}

// nothingOf looks for what everything wrote.
func nothingOf(h *house, u storage.User) {
	h.Helper()
	ctx := h.Context()
	_, err := h.GetUser(ctx, "", u.ID)
	h.missing("user", err)
	_, err = h.GetGroup(ctx, "", u.ID)
	h.missing("group", err)
	_, err = h.GetToken(ctx, u.ID)
	h.missing("token", err)
	_, err = h.CurrentPolicy(ctx)
	h.missing("policy", err)
	entries, err := h.ListEntries(ctx, "")
	history, err2 := h.ListHistory(ctx, u.ID)
	members, err3 := h.CountMembers(ctx, u.ID)
	if err := errors.Join(err, err2, err3); err != nil || len(entries)+len(history)+members != 0 {
		h.Errorf("left: %d entries, %d history rows, %d members, %v", len(entries), len(history), members, err)
	}
	h.write(func(ctx context.Context, tx storage.Tx) error {
		if holder, err := tx.ClaimEmail(ctx, "ana@mail.example", "somebody"); err != nil || holder != "somebody" {
			h.Errorf("the address is still %q's, %v", holder, err)
		}
		return tx.ReleaseEmail(ctx, "ana@mail.example", "somebody")
	})
}

func panicRollsBack(h *house) {
	u := person("mercy", "ana")
	func() {
		defer func() {
			if p := recover(); p != "out of order" {
				h.Errorf("recovered %v", p)
			}
		}()
		_ = h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
			if err := everything(h, ctx, tx, u); err != nil {
				return err
			}
			panic("out of order")
		})
		h.Error("the panic did not go on")
	}()
	nothingOf(h, u)
}

// goexitRollsBack: a test that ends inside a deed leaves the store usable.
func goexitRollsBack(h *house) {
	u := person("mercy", "ana")
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
			if err := everything(h, ctx, tx, u); err != nil {
				h.Error(err)
			}
			runtime.Goexit()
			return nil
		})
	})
	wg.Wait()
	nothingOf(h, u)
}

func ownWritesAreSeen(h *house) {
	u := person("mercy", "ana")
	u.Email, u.EmailKey = "ana@mail.example", "ana@mail.example"
	h.write(func(ctx context.Context, tx storage.Tx) error {
		if _, err := tx.GetUser(ctx, "mercy", u.ID); !errors.Is(err, storage.ErrNotFound) {
			h.Errorf("before: %v", err)
		}
		if err := everything(h, ctx, tx, u); err != nil {
			return err
		}
		_, err := tx.GetUser(ctx, "mercy", u.ID)
		_, found, err2 := tx.FindUserName(ctx, "mercy", "ana")
		holders, err3 := tx.ListEmailHolders(ctx, u.EmailKey)
		n, err4 := tx.CountMembers(ctx, u.ID)
		held, err5 := tx.ListMemberships(ctx, "mercy", []string{u.ID})
		state, err6 := tx.PolicyState(ctx)
		if err := errors.Join(err, err2, err3, err4, err5, err6); err != nil || !found || len(holders) != 1 || n != 1 || len(held[u.ID]) != 1 || state.Version != 1 {
			h.Errorf("inside: %v %v %d %d %v %d", err, found, len(holders), n, held, state.Version)
		}
		// Nobody else sees it yet.
		if _, err := h.GetUser(ctx, "mercy", u.ID); !errors.Is(err, storage.ErrNotFound) {
			h.Errorf("outside, before the commit: %v", err)
		}
		return nil
	})
	h.user(u.ID)
}

func oneClockReading(h *house) {
	before := time.Now()
	h.write(func(_ context.Context, tx storage.Tx) error {
		first := tx.Now()
		time.Sleep(2 * time.Millisecond)
		if second := tx.Now(); !second.Equal(first) {
			h.Errorf("%v, then %v", first, second)
		}
		if first.Location() != time.UTC || first.Nanosecond()%1000 != 0 {
			h.Errorf("%v is not in UTC and whole microseconds", first)
		}
		if first.Before(before.Add(-time.Second)) || first.After(time.Now().Add(time.Second)) {
			h.Errorf("%v is not now", first)
		}
		return nil
	})
}

func cancelledWrites(h *house) {
	ctx, cancel := context.WithCancel(h.Context())
	u := person("mercy", "ana")
	err := h.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		if err := everything(h, ctx, tx, u); err != nil {
			return err
		}
		cancel() // while it runs: what it did is not kept, and it says so
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		h.Errorf("cancelled inside: %v", err)
	}
	nothingOf(h, u)
	err = h.Write(ctx, func(context.Context, storage.Tx) error {
		h.Error("ran for a caller who had gone")
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		h.Errorf("cancelled before: %v", err)
	}

	// One caller's end is not another's: while one deed takes its time, some
	// give up waiting, and the others are kept.
	slow, running := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		err := h.Write(h.Context(), func(context.Context, storage.Tx) error {
			close(running)
			<-slow
			return nil
		})
		if err != nil {
			h.Error(err)
		}
	})
	<-running
	users := make([]storage.User, 16)
	errs := make([]error, len(users))
	for i := range users {
		users[i] = person("mercy", fmt.Sprint("u", i))
		wg.Go(func() {
			ctx := h.Context()
			if i%2 == 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, 20*time.Millisecond)
				defer cancel()
			}
			errs[i] = h.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
				_, err := tx.PutUser(ctx, users[i])
				return err
			})
		})
	}
	time.Sleep(100 * time.Millisecond)
	close(slow)
	wg.Wait()
	for i, u := range users {
		_, err := h.GetUser(h.Context(), "mercy", u.ID)
		if (err == nil) != (errs[i] == nil) {
			h.Errorf("deed %d answered %v, and reading its user %v", i, errs[i], err)
		}
		if i%2 == 1 && errs[i] != nil {
			h.Errorf("deed %d: %v", i, errs[i])
		}
	}
}

func manyReadersAndDeeds(h *house) {
	if testing.Short() {
		h.Skip("short")
	}
	users := make([]storage.User, 8)
	for i := range users {
		users[i] = person("mercy", fmt.Sprint("u", i))
	}
	h.keep(users...)
	for _, err := range together(16, func(i int) error {
		u := users[i/2]
		for range 20 {
			if i%2 == 0 {
				if got, err := h.GetUser(h.Context(), "mercy", u.ID); err != nil || got.UserName != u.UserName {
					return fmt.Errorf("read %q: %w", got.UserName, err)
				}
				continue
			}
			if err := h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
				got, err := tx.LockUser(ctx, "mercy", u.ID)
				if err != nil {
					return err
				}
				got.Version++
				_, err = tx.PutUser(ctx, got)
				return err
			}); err != nil {
				return err
			}
		}
		return nil
	}) {
		if err != nil {
			h.Error(err)
		}
	}
	for _, u := range users {
		if got := h.user(u.ID); got.Version != 21 {
			h.Errorf("%s is at version %d", u.UserName, got.Version)
		}
	}
}
