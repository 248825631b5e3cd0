package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// Changes of access are read in the order of their commits, and none is skipped.
//
// On PostgreSQL no sequence has that order: a transaction may take a number and
// commit after others that took higher ones, and a reader who has gone past it
// never comes back. So rows carry the number of their transaction, and a reader
// looks only at those below the oldest transaction under way in its own snapshot.
// Of those, all have ended and all that committed are visible; whoever commits
// later has a number that is not below. The price: a change is told when every
// transaction that got a number before it has ended.
//
// On SQLite one deed follows another, and ids rise with them.

// changesEnd is the place of a reader who has seen everything that can be read.
func (r reader) changesEnd() string {
	if r.engine == postgresEngine {
		return "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint as tx, 0::bigint as id"
	}
	return "select 0 as tx, coalesce((select seq from sqlite_sequence where name = 'access_change'), 0) as id"
}

// ListAccessChanges answers changes after a place, and the place behind them.
func (r reader) ListAccessChanges(ctx context.Context, after storage.ChangePlace, limit int) ([]storage.AccessChange, storage.ChangePlace, error) {
	// One statement: the end and the rows are of one snapshot. Without rows there
	// is one line, of the end alone.
	rowsAfter := `select 0 as tx, c.id, c.participant, c.user_id, c.at from access_change c where c.id > ? order by c.id limit ?`
	args := []any{after.ID, limit}
	join := " left join (" + rowsAfter + ") c on true order by c.id"
	if r.engine == postgresEngine {
		join = ` left join lateral (select c.tx, c.id, c.participant, c.user_id, c.at from access_change c
		  where (c.tx, c.id) > (?::bigint, ?::bigint) and c.tx < e.tx order by c.tx, c.id limit ?) c on true order by c.tx, c.id`
		args = append([]any{after.Tx}, args...)
	}
	var rows []struct {
		EndTx       int64
		EndID       int64
		Tx          *int64
		ID          *int64
		Participant *string
		UserID      *string
		At          *instant
	}
	query := "select e.tx as end_tx, e.id as end_id, c.tx, c.id, c.participant, c.user_id, c.at from (" + r.changesEnd() + ") e" + join
	if _, err := r.get(ctx, &rows, query, args...); err != nil {
		return nil, storage.ChangePlace{}, fmt.Errorf("changes of access: %w", err)
	}
	var changes []storage.AccessChange
	next := storage.ChangePlace{Tx: rows[0].EndTx, ID: rows[0].EndID}
	if next.Before(after) {
		return nil, storage.ChangePlace{}, fmt.Errorf("changes of access: %w", storage.ErrAhead)
	}
	for _, row := range rows {
		if row.ID == nil {
			break
		}
		changes = append(changes, storage.AccessChange{
			Participant: *row.Participant, User: *row.UserID, At: time.Time(*row.At), Place: storage.ChangePlace{Tx: *row.Tx, ID: *row.ID},
		})
	}
	if len(changes) == limit {
		next = changes[limit-1].Place
	}
	return changes, next, nil
}

// LastAccessChange answers the place of the last change that can be read, zero
// for none, and the place of a reader who has seen them all.
func (r reader) LastAccessChange(ctx context.Context) (last, end storage.ChangePlace, err error) {
	newest := "(select 0 as tx, id from access_change order by id desc limit 1) c"
	if r.engine == postgresEngine {
		newest = "lateral (select tx, id from access_change where tx < e.tx order by tx desc, id desc limit 1) c"
	}
	var row struct{ Tx, ID, EndTx, EndID int64 }
	query := "select e.tx as end_tx, e.id as end_id, coalesce(c.tx, 0) as tx, coalesce(c.id, 0) as id from (" +
		r.changesEnd() + ") e left join " + newest + " on true"
	if _, err := r.get(ctx, &row, query); err != nil {
		return last, end, fmt.Errorf("last change of access: %w", err)
	}
	return storage.ChangePlace{Tx: row.Tx, ID: row.ID}, storage.ChangePlace{Tx: row.EndTx, ID: row.EndID}, nil
}

// ListUsersByID answers users, deleted ones too, by id.
func (r reader) ListUsersByID(ctx context.Context, ids []string) (map[string]storage.User, error) {
	among, arg := r.anyOf("u.id", ids)
	found, err := r.users(ctx, "where "+among, arg)
	if err != nil {
		return nil, fmt.Errorf("users by id: %w", err)
	}
	users := make(map[string]storage.User, len(found))
	for _, u := range found {
		users[u.ID] = u
	}
	return users, nil
}

// PutAccessChange keeps that the portal should ask again.
func (t *tx) PutAccessChange(_ context.Context, c storage.AccessChange) error {
	t.add("access_change", "participant, user_id, at", c.Participant, c.User, instant(c.At))
	return nil
}

// DeleteAccessChanges forgets changes from before an instant.
func (s *Store) DeleteAccessChanges(ctx context.Context, before time.Time, limit int) (int, error) {
	// The oldest are found first: rows lie, and are looked through, as they came.
	forget := "delete from access_change where id in (select id from access_change where at < ? limit ?)"
	if s.engine == postgresEngine {
		forget = "delete from access_change where (tx, id) in (select tx, id from access_change where at < ? limit ?)"
	}
	n := 0
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		var err error
		n, err = t.do(ctx, forget, instant(before), limit)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("forget changes of access before %s: %w", before.UTC().Format(time.RFC3339), err)
	}
	return n, nil
}
