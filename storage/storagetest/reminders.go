package storagetest

import (
	"context"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

func remindersAreMarkedOnce(h *house) {
	now := minute(0)
	const day = 24 * time.Hour
	ending := func(participant, name string, left time.Duration) storage.User {
		u := person(participant, name)
		ends := now.Add(left)
		u.Decision.TrainingExpiresAt = &ends
		return u
	}
	gone, left := ending("mercy", "gone", day), ending("mercy", "left", day)
	gone.Deleted, left.Active = &now, false
	users := []storage.User{
		ending("mercy", "month", 30*day), ending("mercy", "far", 30*day+time.Microsecond), ending("mercy", "three", 3*day),
		ending("mercy", "ended", 0), ending("general", "week", 7*day), ending("mercy", "same", 7*day), ending("mercy", "four", 3*day+time.Microsecond),
		gone, left, person("mercy", "endless"),
	}
	h.keep(users...)
	q := storage.ReminderQuery{Now: now, Days: []int{3, 14, 30}, Limit: 10}
	names := func(q storage.ReminderQuery) string {
		h.Helper()
		found, err := h.ListUnreminded(h.Context(), q)
		if err != nil {
			h.Fatal(err)
		}
		out := map[string]int{}
		for i, u := range found {
			out[u.UserName] = i
			if i > 0 && u.Decision.TrainingExpiresAt.Before(*found[i-1].Decision.TrainingExpiresAt) {
				h.Errorf("%s stands behind one whose training ends later", u.UserName)
			}
		}
		return fmt.Sprint(len(out), out["three"], out["four"], out["month"])
	}
	if got := names(q); got != "5 0 1 4" {
		h.Errorf("to be reminded: %s; want three, four, the two of a week, month", got)
	}
	page := q
	page.Limit = 1
	for n := range users {
		found, err := h.ListUnreminded(h.Context(), page)
		if err != nil {
			h.Fatal(err)
		}
		if len(found) == 0 {
			if n != 5 {
				h.Errorf("%d pages of one, want 5", n)
			}
			break
		}
		page.After = storage.Reminder{User: found[0].ID, Expires: *found[0].Decision.TrainingExpiresAt}
	}

	mark := func(u storage.User, days int, want bool) {
		h.Helper()
		h.write(func(ctx context.Context, tx storage.Tx) error {
			due, err := tx.MarkReminded(ctx, storage.Reminder{User: u.ID, Expires: *u.Decision.TrainingExpiresAt, Days: days})
			if due != want {
				h.Errorf("reminder of %d days is due: %v, want %v", days, due, want)
			}
			return err
		})
	}
	three, four, month := users[2], users[6], users[0]
	mark(three, 14, true)
	mark(three, 14, false)
	mark(three, 30, false)
	mark(month, 30, true)
	mark(four, 14, true)
	if got := names(q); got != "3 0 0 0" {
		h.Errorf("to be reminded after two of three were: %s", got)
	}
	mark(three, 3, true)
	// Another end is another reminder.
	later := month.Decision.TrainingExpiresAt.Add(-time.Hour)
	month.Decision.TrainingExpiresAt, month.Version = &later, 2
	h.keep(month)
	if got := names(q); got != "3 0 0 2" {
		h.Errorf("to be reminded once the end moved: %s", got)
	}

	forget := func(before time.Time, limit, want int) {
		h.Helper()
		h.write(func(ctx context.Context, tx storage.Tx) error {
			n, err := tx.DeleteReminders(ctx, before, limit)
			if n != want {
				h.Errorf("%d forgotten, want %d", n, want)
			}
			return err
		})
	}
	forget(now.Add(3*day), 10, 0)
	forget(now.Add(5*day), 1, 1)
	forget(now.Add(5*day), 10, 1)

	// A participant that is closed, or only watched.
	p, err := h.GetParticipant(h.Context(), "general")
	if err != nil {
		h.Fatal(err)
	}
	p.Mode, p.Version = "observe", 2
	h.write(func(ctx context.Context, tx storage.Tx) error {
		_, err := tx.PutParticipant(ctx, p)
		return err
	})
	q.Days = []int{14}
	if got, err := h.ListUnreminded(h.Context(), q); err != nil || len(got) != 3 {
		h.Errorf("%d of open participants, %v; want same and the two forgotten", len(got), err)
	}
}

// Of many who move a bookmark to one place, one did. It is not moved back, but
// from where only a clock that was wrong can have left it.
func bookmarksMoveOnce(h *house) {
	const week = 7 * 24 * 60
	moved := 0
	for _, at := range []int{5, 5, 4, 3 * week, 2*week + 5, 6, 6, 5} {
		h.write(func(ctx context.Context, tx storage.Tx) error {
			is, err := tx.MoveBookmark(ctx, "week", minute(at))
			if is {
				moved++
			}
			return err
		})
	}
	if at, _, err := h.FindBookmark(h.Context(), "week"); err != nil || moved != 3 || !at.Equal(minute(6)) {
		h.Errorf("moved %d times, to %v, %v; want 3 times, to the last", moved, at, err)
	}
}
