package sqlstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/healthix/healthix-scim/storage"
)

// How the other files of this package read and write.
//
//   - SQL is written with ? for every bound value, on both engines. A ? inside
//     '…' is text, so JSON paths may hold one; the operators ? and @? cannot be
//     written, @> and @@ can.
//   - Times are bound as instant(t) or instantOf(*t): timestamptz on PostgreSQL,
//     microseconds on SQLite. Scan into instant and *instant.
//   - A []string binds as a parenthesised list ("in ?"); for long ones take
//     r.anyOf(column, ids), which binds one value.
//   - JSON columns bind and scan as string.
//   - r.users and r.groups take what follows "from users u join participant p
//     … left join policy_effect n …" or "from groups g": a tail of where, order
//     by, limit.
//   - r.get scans whatever it is told to and answers the number of rows.
//   - In a deed, tx.sql is the transaction as database/sql knows it (both
//     engines), tx.Now() its clock reading; faults are translated by fault(err).

// reader looks things up in a connection pool or in a transaction.
type reader struct {
	db     *gorm.DB
	engine engine
	inside bool // of a transaction: every statement sees one state already
}

// tx is a deed's transaction.
type tx struct {
	reader
	sql   *sql.Tx
	conn  *sql.Conn // PostgreSQL only: what sql runs on
	clock func() time.Time
	now   time.Time // read when it is first asked for

	additions []addition // to the record; see flush
}

// Now is the transaction's one clock reading. It is taken when it is first asked
// for: a deed locks before it asks, and so what waited for a lock is recorded
// after what it waited for.
func (t *tx) Now() time.Time {
	if t.now.IsZero() {
		t.now = t.clock()
	}
	return t.now
}

// instant is a time as the engine keeps it.
type instant time.Time

// GormValue binds it.
func (t instant) GormValue(_ context.Context, db *gorm.DB) clause.Expr {
	if engine(db.Name()) == sqliteEngine {
		return clause.Expr{SQL: "?", Vars: []any{time.Time(t).UnixMicro()}}
	}
	return clause.Expr{SQL: "?", Vars: []any{time.Time(t).UTC()}}
}

// Scan reads it.
func (t *instant) Scan(v any) error {
	switch v := v.(type) {
	case time.Time:
		*t = instant(v.UTC())
	case int64:
		*t = instant(time.UnixMicro(v).UTC())
	default:
		return fmt.Errorf("read a time from %T", v)
	}
	return nil
}

func instantOf(t *time.Time) *instant { return (*instant)(t) }

func (t *instant) time() *time.Time { return (*time.Time)(t) }

// statement is SQL with ? for its values; gorm's own reading of ? and @ does
// not know quotes and operators.
type statement struct {
	sql  string
	args []any
}

// Build writes it for gorm, in pieces: there are thousands of bytes.
func (s statement) Build(b clause.Builder) {
	quoted, from, next := false, 0, 0
	for i := 0; i < len(s.sql); i++ {
		switch c := s.sql[i]; {
		case c == '\'':
			quoted = !quoted
		case c == '?' && !quoted:
			if next == len(s.args) {
				_ = b.AddError(fmt.Errorf("more ? than values in %q", s.sql))
				return
			}
			b.WriteString(s.sql[from:i]) //nolint:errcheck,gosec // a string builder never fails
			b.AddVar(b, s.args[next])
			from, next = i+1, next+1
		}
	}
	b.WriteString(s.sql[from:]) //nolint:errcheck,gosec // a string builder never fails
	if next < len(s.args) {
		_ = b.AddError(fmt.Errorf("more values than ? in %q", s.sql))
	}
}

// get runs a query and scans its rows into dest, a pointer to a value or slice.
func (r reader) get(ctx context.Context, dest any, query string, args ...any) (int, error) {
	found := r.db.WithContext(ctx).Raw("?", statement{query, args}).Scan(dest)
	if found.Error != nil {
		return 0, fault(found.Error)
	}
	return int(found.RowsAffected), nil
}

// do runs a statement and answers the number of rows it changed.
func (t *tx) do(ctx context.Context, query string, args ...any) (int, error) {
	done := t.db.WithContext(ctx).Exec("?", statement{query, args})
	if done.Error != nil {
		return 0, fault(done.Error)
	}
	return int(done.RowsAffected), nil
}

// anyOf is a condition on a column, with one bound value however many ids.
func (r reader) anyOf(column string, ids []string) (condition string, arg any) {
	if r.engine == postgresEngine {
		return column + " = any(?)", textArray(ids)
	}
	return column + " in (select value from json_each(?))", jsonArray(ids)
}

// eachOf is the second and third column of an insert … select: each of the ids
// beside one bound value.
func (r reader) eachOf(ids []string) (selected string, arg any) {
	if r.engine == postgresEngine {
		return "each, ? from unnest(?::text[]) as each", textArray(ids)
	}
	return "value, ? from json_each(?)", jsonArray(ids)
}

// bytewise makes a column of text compare as on the other engine; keys do already.
func (r reader) bytewise() string { return (&lowering{engine: r.engine}).bytewise() }

func jsonArray(ids []string) string {
	text, err := json.Marshal(ids)
	if err != nil {
		panic(err) // strings always encode
	}
	return string(text)
}

// textArray is bound as one text[] (PostgreSQL).
type textArray []string

// Value hands the slice to pgx, which knows text[].
func (a textArray) Value() (driver.Value, error) { return []string(a), nil }

// users answers the users that a tail selects from userTables.
func (r reader) users(ctx context.Context, tail string, args ...any) ([]storage.User, error) {
	var rows []userRow
	if _, err := r.get(ctx, &rows, "select "+userColumns+" from "+userTables+" "+tail, args...); err != nil {
		return nil, err
	}
	users := make([]storage.User, len(rows))
	for i := range rows {
		var err error
		if users[i], err = rows[i].user(); err != nil {
			return nil, err
		}
	}
	return users, nil
}

// groups answers the groups that a tail selects from "groups g".
func (r reader) groups(ctx context.Context, tail string, args ...any) ([]storage.Group, error) {
	var rows []groupRow
	if _, err := r.get(ctx, &rows, "select "+groupColumns+" from groups g "+tail, args...); err != nil {
		return nil, err
	}
	groups := make([]storage.Group, len(rows))
	for i := range rows {
		var err error
		if groups[i], err = rows[i].group(); err != nil {
			return nil, err
		}
	}
	return groups, nil
}
