package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

func review(id, participant string, started int) storage.Review {
	return storage.Review{
		ID: id, Participant: participant, State: storage.ReviewPreparing, AsOf: minute(started), Due: minute(started + 100),
		OnSilence: "suspend", Note: "year's end", StartedBy: "op@healthix.example", Row: 1,
	}
}

func (h *house) putReview(r storage.Review) error {
	return h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error { return tx.PutReview(ctx, r) })
}

func reviewsAreKept(h *house) {
	ctx := h.Context()
	want := review("r1", "mercy", 1)
	check := func(what string) {
		h.Helper()
		got, err := h.GetReview(ctx, "mercy", want.ID)
		if err != nil {
			h.Fatal(err)
		}
		h.same(what, got, want)
		h.write(func(ctx context.Context, tx storage.Tx) error {
			locked, err := tx.LockReview(ctx, want.ID)
			h.same(what+", locked", locked, want)
			return err
		})
		h.write(func(ctx context.Context, tx storage.Tx) error {
			shared, err := tx.ShareReview(ctx, want.ID)
			h.same(what+", shared", shared, want)
			return err
		})
	}
	if err := h.putReview(want); err != nil {
		h.Fatal(err)
	}
	check("a new review")
	h.taken("a second one that is not closed", "participant", h.putReview(review("r2", "mercy", 2)))
	if err := h.putReview(review("g1", "general", 2)); err != nil {
		h.Errorf("one of another participant: %v", err)
	}
	_, err := h.GetReview(ctx, "general", "r1")
	h.missing("another participant's review", err)

	want.State, want.Prepared, want.Opened, want.Reminded, want.Escalated, want.Undecided = storage.ReviewClosed, "u9", minuteOf(3), 7, minuteOf(4), 5
	want.Closed, want.ClosedBy, want.Entry, want.Digest, want.Row = minuteOf(5), "op2@healthix.example", "e1", "abc", 2
	if err := h.putReview(want); err != nil {
		h.Fatal(err)
	}
	check("a review that is closed")
	if err := h.putReview(want); !errors.Is(err, storage.ErrStale) {
		h.Errorf("the same row again: %v, want ErrStale", err)
	}
	for _, r := range []storage.Review{review("r2", "mercy", 2), review("n1", "north", 2), review("c1", "cedar", 0)} {
		if err := h.putReview(r); err != nil {
			h.Fatal(err)
		}
	}
	list := func(q storage.ReviewQuery) string {
		h.Helper()
		var ids []string
		for {
			found, err := h.ListReviews(ctx, q)
			if err != nil {
				h.Fatal(err)
			}
			if len(found) == 0 {
				return fmt.Sprint(ids)
			}
			for _, r := range found {
				ids = append(ids, r.ID)
			}
			q.Before = &found[len(found)-1]
		}
	}
	for _, tc := range []struct {
		q    storage.ReviewQuery
		want string
	}{
		{storage.ReviewQuery{}, "[r2 n1 g1 r1 c1]"},
		{storage.ReviewQuery{Participant: "mercy"}, "[r2 r1]"},
		{storage.ReviewQuery{States: []string{storage.ReviewClosed}}, "[r1]"},
		{storage.ReviewQuery{States: []string{storage.ReviewPreparing, storage.ReviewOpen}}, "[r2 n1 g1 c1]"},
	} {
		for _, tc.q.Limit = range []int{1, 2, 10} {
			if got := list(tc.q); got != tc.want {
				h.Errorf("%+v: %s, want %s", tc.q, got, tc.want)
			}
		}
	}
}

func reviewItemsAreKept(h *house) {
	ctx := h.Context()
	for _, r := range []storage.Review{review("r1", "mercy", 1), review("g1", "general", 1)} {
		if err := h.putReview(r); err != nil {
			h.Fatal(err)
		}
	}
	items := make([]storage.ReviewItem, 2000) // more than one statement binds
	for i := range items {
		items[i] = storage.ReviewItem{
			Review: "r1", User: fmt.Sprintf("u%05d", i), Participant: "mercy", State: storage.ItemOpen,
			Made: storage.Looked{Version: int64(i + 1), Role: "practitioner", Title: "registered nurse", Rule: "title:registered-nurse"},
		}
	}
	add := func(items ...storage.ReviewItem) {
		h.Helper()
		h.write(func(ctx context.Context, tx storage.Tx) error { return tx.AddReviewItems(ctx, items) })
	}
	add(items...)
	other := items[3]
	other.Review, other.Participant = "g1", "general"
	add(other)

	one := items[3]
	one.State, one.Changed, one.Decision, one.At, one.By = storage.ItemKept, minuteOf(4), "keep", minuteOf(5), "aum@mercy.example"
	one.Decided = storage.Looked{Version: 9, Role: "clinical-staff", Title: "nurse", Rule: "synonym:nurse"}
	one.Hold, one.Comment = "hold-1", "she is with us still"
	put := func(i storage.ReviewItem) error {
		return h.Write(ctx, func(ctx context.Context, tx storage.Tx) error { return tx.PutReviewItem(ctx, i) })
	}
	if err := put(one); err != nil {
		h.Fatal(err)
	}
	add(items[3]) // again, by a job that was begun anew
	got, err := h.GetReviewItem(ctx, "r1", one.User)
	if err != nil {
		h.Fatal(err)
	}
	h.same("an item that was decided", got, one)
	if got, err = h.GetReviewItem(ctx, "g1", one.User); err != nil {
		h.Fatal(err)
	}
	h.same("the same user in another review", got, other)
	_, err = h.GetReviewItem(ctx, "r1", "nobody")
	h.missing("an item of nobody", err)
	one.User = "nobody"
	h.missing("a change of an item of nobody", put(one))

	walk := func(state string, limit int) (ids []string) {
		h.Helper()
		q := storage.ReviewItemQuery{Review: "r1", State: state, Limit: limit}
		for {
			found, err := h.ListReviewItems(ctx, q)
			if err != nil {
				h.Fatal(err)
			}
			for _, i := range found {
				ids = append(ids, i.User)
			}
			if len(found) < limit {
				return ids
			}
			q.After = found[limit-1].User
		}
	}
	if got := walk("", 300); len(got) != 2000 || !slices.IsSorted(got) {
		h.Errorf("%d items in pages, in order: %v", len(got), slices.IsSorted(got))
	}
	if got := walk(storage.ItemKept, 1); fmt.Sprint(got) != "[u00003]" {
		h.Errorf("kept: %v", got)
	}
	tally, err := h.TallyReviews(ctx, []string{"r1", "g1", "none"})
	if err != nil || tally["r1"][storage.ItemOpen] != 1999 || tally["r1"][storage.ItemKept] != 1 || tally["r1"].Total() != 2000 ||
		tally["g1"].Total() != 1 || tally["none"].Total() != 0 {
		h.Errorf("tally %v, %v", tally, err)
	}

	// Of a user what is not closed, and an erasure takes the comment in any.
	find := func() (found []storage.ReviewItem) {
		h.Helper()
		h.write(func(ctx context.Context, tx storage.Tx) error {
			var err error
			found, err = tx.ShareReviewsOf(ctx, items[3].User)
			return err
		})
		return found
	}
	if found := find(); len(found) != 2 || found[0].Review != "g1" || found[1].Comment == "" {
		h.Errorf("a user's items: %+v", found)
	}
	closed := review("g1", "general", 1)
	closed.State, closed.Row = storage.ReviewClosed, 2
	if err := h.putReview(closed); err != nil {
		h.Fatal(err)
	}
	if found := find(); len(found) != 1 || found[0].Review != "r1" {
		h.Errorf("a user's items in what is not closed: %+v", found)
	}
	other.Comment = "he is not"
	if err := put(other); err != nil {
		h.Fatal(err)
	}
	h.write(func(ctx context.Context, tx storage.Tx) error { return tx.EraseUser(ctx, items[3].User) })
	for _, id := range []string{"r1", "g1"} {
		if got, err := h.GetReviewItem(ctx, id, items[3].User); err != nil || got.Comment != "" {
			h.Errorf("after an erasure review %s says %q, %v", id, got.Comment, err)
		}
	}
}

// held is whether a deed waits for another one that holds something.
func (h *house) held(hold, want func(ctx context.Context, tx storage.Tx) error) bool {
	h.Helper()
	has, let, waits := make(chan struct{}), make(chan struct{}), make(chan struct{})
	errs := make(chan error, 2)
	go func() {
		once := false
		errs <- h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
			if err := hold(ctx, tx); err != nil {
				return err
			}
			if !once { // a deed may run twice
				once = true
				close(has)
			}
			<-let
			return nil
		})
	}()
	<-has
	go func() {
		errs <- h.Write(h.Context(), want)
		close(waits)
	}()
	waited := true
	select {
	case <-waits:
		waited = false
	case <-time.After(300 * time.Millisecond):
	}
	close(let)
	for range 2 {
		if err := <-errs; err != nil {
			h.Fatal(err)
		}
	}
	return waited
}

// Several may share a review; who closes it waits for all of them. The embedded
// engine has one writer, so that there everybody waits.
func reviewsAreShared(h *house) {
	u := person("mercy", "ana")
	h.keep(u)
	if err := h.putReview(review("r1", "mercy", 1)); err != nil {
		h.Fatal(err)
	}
	h.write(func(ctx context.Context, tx storage.Tx) error {
		return tx.AddReviewItems(ctx, []storage.ReviewItem{{Review: "r1", User: u.ID, Participant: "mercy", State: storage.ItemOpen}})
	})
	lock := func(ctx context.Context, tx storage.Tx) error { _, err := tx.LockReview(ctx, "r1"); return err }
	share := func(ctx context.Context, tx storage.Tx) error { _, err := tx.ShareReview(ctx, "r1"); return err }
	of := func(ctx context.Context, tx storage.Tx) error { _, err := tx.ShareReviewsOf(ctx, u.ID); return err }
	for name, hold := range map[string]func(ctx context.Context, tx storage.Tx) error{"ShareReview": share, "ShareReviewsOf": of} {
		if !h.held(hold, lock) {
			h.Errorf("a review was locked while a deed had it by %s", name)
		}
		if !h.held(lock, hold) {
			h.Errorf("%s did not wait for who had locked the review", name)
		}
	}
}

// Who has locked users for a review keeps deeds on them waiting.
func reviewUsersAreLocked(h *house) {
	u, v := person("mercy", "ana"), person("general", "bo")
	h.keep(u, v)
	many := func(ctx context.Context, tx storage.Tx) error {
		found, err := tx.LockUsers(ctx, []string{u.ID, v.ID, "nobody"})
		if len(found) != 2 || found[v.ID].UserName != "bo" {
			h.Errorf("locked %v", found)
		}
		return err
	}
	one := func(ctx context.Context, tx storage.Tx) error { _, err := tx.LockUser(ctx, "", u.ID); return err }
	if !h.held(many, one) || !h.held(one, many) {
		h.Error("users that were locked together were not locked")
	}
}
