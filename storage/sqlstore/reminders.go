package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// ListUnreminded answers active users of open participants whose training ends
// soon and for whom the reminder that is due, or a later one, was not promised.
func (r reader) ListUnreminded(ctx context.Context, q storage.ReminderQuery) ([]storage.User, error) {
	at := func(days int) instant { return instant(q.Now.AddDate(0, 0, days)) }
	due, args := "case", []any{instant(q.Now)}
	farthest := 0
	for _, days := range q.Days {
		farthest = max(farthest, days)
	}
	args = append(args, at(farthest), instant(q.After.Expires), q.After.User)
	for _, days := range q.Days {
		due += fmt.Sprintf(" when u.training_expires <= ? then %d", days)
		args = append(args, at(days))
	}
	found, err := r.users(ctx, `where u.deleted is null and u.active and u.training_expires is not null
	  and u.training_expires > ? and u.training_expires <= ? and (u.training_expires, u.id) > (?, ?)
	  and p.status = 'active' and p.mode = 'live' and p.recovering is null
	  and not exists (select 1 from reminder m where m.user_id = u.id and m.expires = u.training_expires and m.days <= `+due+` end)
	  order by u.training_expires, u.id limit ?`, append(args, q.Limit)...)
	return found, wrapped(err, "users whose training ends soon")
}

// MarkReminded keeps that a reminder is promised; due is false when that one or a
// later one was before.
func (t *tx) MarkReminded(ctx context.Context, m storage.Reminder) (due bool, err error) {
	n, err := t.do(ctx, `insert into reminder (user_id, expires, days) values (?, ?, ?)
	  on conflict (user_id, expires) do update set days = excluded.days where reminder.days > excluded.days`, m.User, instant(m.Expires), m.Days)
	return n == 1, wrapped(err, "note a reminder for %s", m.User)
}

// DeleteReminders forgets at most limit of those whose training ended before an
// instant, and answers how many.
func (t *tx) DeleteReminders(ctx context.Context, before time.Time, limit int) (int, error) {
	n, err := t.do(ctx, `delete from reminder where (user_id, expires) in (
	  select user_id, expires from reminder where expires < ? order by expires limit ?)`, instant(before), limit)
	return n, wrapped(err, "forget reminders")
}

// wrongClock is how far beyond a bookmark is not believed: weeks are counted by
// bookmarks, too, on servers whose clocks may differ by a day.
const wrongClock = 8 * 24 * time.Hour

// MoveBookmark moves a bookmark on; false when it is there or beyond already.
func (t *tx) MoveBookmark(ctx context.Context, name string, at time.Time) (bool, error) {
	n, err := t.do(ctx, `insert into bookmark (name, at) values (?, ?)
	  on conflict (name) do update set at = excluded.at where bookmark.at < excluded.at or bookmark.at > ?`, name, instant(at), instant(at.Add(wrongClock)))
	return n == 1, wrapped(err, "move bookmark %s", name)
}
