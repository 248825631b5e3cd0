package storagetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

func (h *house) putLearner(l storage.Learner) {
	h.Helper()
	h.write(func(ctx context.Context, tx storage.Tx) error { return tx.PutLearner(ctx, l) })
}

func (h *house) learner(user string) storage.Learner {
	h.Helper()
	l, found, err := h.FindLearner(h.Context(), user)
	if err != nil || !found {
		h.Fatalf("learner %s: found %v, %v", user, found, err)
	}
	return l
}

func namesOf(found []storage.Learner, err error) string {
	ids := []string{}
	for _, l := range found {
		ids = append(ids, l.User)
	}
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(ids)
}

func learnersAreKept(h *house) {
	ctx := h.Context()
	one := storage.Learner{
		User: "u1", Participant: "mercy", State: storage.LearnerWaiting, Invite: "u1/1", Due: minuteOf(5), Changed: minute(5), Row: 1,
	}
	h.putLearner(one)
	h.same("waiting", h.learner("u1"), storage.Learner{
		User: "u1", Participant: "mercy", State: storage.LearnerWaiting, Invite: "u1/1", Due: minuteOf(5), Changed: minute(5), Row: 1,
		Modules: []string{}, Refresh: []string{}, Resets: map[string]time.Time{},
	})
	one.LMSID, one.State, one.Why, one.Modules, one.Refresh = "L-1", storage.LearnerRefused, "no module", []string{"C-1", "C-2"}, []string{"deep"}
	one.Resets = map[string]time.Time{"C-1": minute(3)}
	one.Invite, one.Policy, one.Due, one.Asked, one.Tries, one.Changed, one.Row = "", 7, nil, minuteOf(9), 3, minute(6), 2
	h.putLearner(one)
	h.same("refused", h.learner("u1"), one)

	if err := h.Write(ctx, func(ctx context.Context, tx storage.Tx) error { return tx.PutLearner(ctx, one) }); !errors.Is(err, storage.ErrStale) {
		h.Errorf("the same row version again: %v, want stale", err)
	}
	thief := storage.Learner{User: "u2", Participant: "general", LMSID: "L-1", State: storage.LearnerEnrolled, Changed: minute(6), Row: 1}
	var taken *storage.ConflictError
	if err := h.Write(ctx, func(ctx context.Context, tx storage.Tx) error { return tx.PutLearner(ctx, thief) }); !errors.As(err, &taken) || taken.Attribute != "lmsId" {
		h.Errorf("a record that is another's: %v, want a conflict", err)
	}
	// "" is nobody's record.
	h.putLearner(storage.Learner{User: "u2", Participant: "general", State: storage.LearnerWaiting, Due: minuteOf(4), Changed: minute(6), Row: 1})
	h.putLearner(storage.Learner{User: "u3", Participant: "mercy", State: storage.LearnerWaiting, Invite: "u3/1", Due: minuteOf(4), Changed: minute(6), Row: 1})

	l, found, err := h.FindLMSLearner(ctx, "L-1")
	if err != nil || !found || l.User != "u1" {
		h.Errorf("whose is L-1: %v %v %v", l.User, found, err)
	}
	for _, id := range []string{"", "l-1", "L-2"} { // ids of the LMS tell letter case apart
		if _, found, err := h.FindLMSLearner(ctx, id); found || err != nil {
			h.Errorf("whose is %q: found %v, %v", id, found, err)
		}
	}
	if _, found, err := h.FindLearner(ctx, "u9"); found || err != nil {
		h.Errorf("nobody: found %v, %v", found, err)
	}
	for _, list := range []struct {
		q    storage.LearnerQuery
		want string
	}{
		{storage.LearnerQuery{Limit: 9}, "[u1 u2 u3]"},
		{storage.LearnerQuery{Limit: 1, After: "u1"}, "[u2]"},
		{storage.LearnerQuery{Limit: 9, Participant: "mercy"}, "[u1 u3]"},
		{storage.LearnerQuery{Limit: 9, State: storage.LearnerWaiting}, "[u2 u3]"},
		{storage.LearnerQuery{Limit: 9, Invited: true}, "[u3]"},
		{storage.LearnerQuery{Limit: 9, Invited: true, After: "u3"}, "[]"},
		{storage.LearnerQuery{Limit: 9, State: storage.LearnerWaiting, Participant: "mercy", After: "u3"}, "[]"},
	} {
		if got := namesOf(h.ListLearners(ctx, list.q)); got != list.want {
			h.Errorf("%+v: %s, want %s", list.q, got, list.want)
		}
	}
	if got := namesOf(h.ListDueLearners(ctx, minute(4), 9)); got != "[u2 u3]" {
		h.Errorf("due at minute 4: %s", got)
	}
	if got := namesOf(h.ListDueLearners(ctx, minute(3), 9)); got != "[]" {
		h.Errorf("due at minute 3: %s", got)
	}
	if n, err := h.CountLearners(ctx); err != nil || fmt.Sprint(n) != "map[refused:1 waiting:2]" {
		h.Errorf("counted %v, %v", n, err)
	}
}

func learnersAreAskedAbout(h *house) {
	ctx := h.Context()
	for i, id := range []string{"L-1", "L-2"} {
		h.putLearner(storage.Learner{User: fmt.Sprintf("u%d", i+1), Participant: "mercy", LMSID: id, State: storage.LearnerEnrolled, Changed: minute(0), Row: 1})
	}
	ask := func(id string, at time.Time) {
		h.Helper()
		h.write(func(ctx context.Context, tx storage.Tx) error { return tx.AskLearner(ctx, id, at) })
	}
	answered := func(user string, asked time.Time, again *time.Time) {
		h.Helper()
		h.write(func(ctx context.Context, tx storage.Tx) error { return tx.AnsweredLearner(ctx, user, asked, again) })
	}
	ask("L-1", minute(5))
	ask("L-1", minute(6)) // asked for already, and sooner
	ask("L-9", minute(1)) // nobody's
	ask("", minute(1))
	h.same("asked", h.learner("u1").Asked, minuteOf(5))
	if got := namesOf(h.ListAskedLearners(ctx, minute(5), 9)); got != "[u1]" {
		h.Errorf("asked at minute 5: %s", got)
	}
	if got := namesOf(h.ListAskedLearners(ctx, minute(4), 9)); got != "[]" {
		h.Errorf("asked at minute 4: %s", got)
	}
	ask("L-1", minute(3))          // again, while the answer was under way
	answered("u1", minute(5), nil) // to the question before
	h.same("asked again", h.learner("u1").Asked, minuteOf(3))
	answered("u1", minute(3), minuteOf(8))
	h.same("later", h.learner("u1").Asked, minuteOf(8))
	answered("u1", minute(8), nil)
	h.same("answered", h.learner("u1").Asked, (*time.Time)(nil))
}

func learnersAreTouched(h *house) {
	ctx := h.Context()
	for i, l := range []storage.Learner{
		{State: storage.LearnerEnrolled, Policy: 1}, {State: storage.LearnerRefused, Policy: 1, Tries: 4}, {State: storage.LearnerOff, Policy: 1},
		{State: storage.LearnerWaiting, Policy: 0}, {State: storage.LearnerEnrolled, Policy: 2},
	} {
		l.User, l.Participant, l.Changed, l.Row = fmt.Sprintf("u%d", i+1), "mercy", minute(0), 1
		h.putLearner(l)
	}
	touch := func() (n int) {
		h.write(func(ctx context.Context, tx storage.Tx) (err error) {
			n, err = tx.TouchLearners(ctx, 2, minute(7), 1)
			return err
		})
		return n
	}
	if a, b, c, d := touch(), touch(), touch(), touch(); a != 1 || b != 1 || c != 1 || d != 0 {
		h.Errorf("touched %d, %d, %d, %d; want 1, 1, 1, 0", a, b, c, d)
	}
	if got := namesOf(h.ListDueLearners(ctx, minute(7), 9)); got != "[u1 u2 u4]" {
		h.Errorf("due after a new policy: %s", got)
	}
	l := h.learner("u1")
	if l.Row != 2 || l.Policy != 2 { // whoever works on it notices
		h.Errorf("touched: row %d, policy %d", l.Row, l.Policy)
	}
	n := 0
	h.write(func(ctx context.Context, tx storage.Tx) (err error) {
		n, err = tx.RetryLearners(ctx, minute(2))
		return err
	})
	if l = h.learner("u2"); n != 1 || l.Tries != 0 || l.Row != 3 || !l.Due.Equal(minute(2)) {
		h.Errorf("retried %d: %+v", n, l)
	}
}

func bookmarksAreKept(h *house) {
	ctx := h.Context()
	if _, found, err := h.FindBookmark(ctx, "poll"); found || err != nil {
		h.Errorf("before the first: found %v, %v", found, err)
	}
	for _, at := range []time.Time{minute(9), minute(4)} { // it may be set back
		h.write(func(ctx context.Context, tx storage.Tx) error { return tx.PutBookmark(ctx, "poll", at) })
		if got, found, err := h.FindBookmark(ctx, "poll"); !found || err != nil || !got.Equal(at) {
			h.Errorf("bookmark: %v %v %v, want %v", got, found, err, at)
		}
	}
}

// Of many who want a lease one has it, until it ends or is given up.
func leasesAreOnes(h *house) {
	take := func(holder string, life time.Duration) (has bool) {
		h.Helper()
		h.write(func(ctx context.Context, tx storage.Tx) (err error) {
			has, err = tx.TakeLease(ctx, "lms", holder, tx.Now().Add(life))
			return err
		})
		return has
	}
	var winners atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if take(fmt.Sprintf("n%d", i), time.Hour) {
				winners.Add(1)
			}
		})
	}
	all.Wait()
	if winners.Load() != 1 {
		h.Fatalf("%d have the lease", winners.Load())
	}
	holder := ""
	for i := range 8 {
		if name := fmt.Sprintf("n%d", i); take(name, time.Hour) { // its own is prolonged
			holder += name
		}
	}
	drop := func(holder string) {
		h.write(func(ctx context.Context, tx storage.Tx) error { return tx.DropLease(ctx, "lms", holder) })
	}
	drop("somebody else")
	if len(holder) != 2 || take("other", time.Hour) {
		h.Errorf("prolonged by %q, and others got it", holder)
	}
	drop(holder)
	if !take("other", time.Millisecond) {
		h.Error("given up, and nobody gets it")
	}
	time.Sleep(5 * time.Millisecond)
	if !take("third", time.Hour) {
		h.Error("it ended, and nobody gets it")
	}
}
