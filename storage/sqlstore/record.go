package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// The record of a deed (history rows, entries, personal values, pending) is
// only ever added to, and nothing in a deed rests on it: its rows wait in the
// transaction and go out together before the commit. On PostgreSQL that is one
// statement; row by row it was eight, each a round trip.

// addition is rows of one append-only table that wait for the end of the deed.
type addition struct {
	table   string
	columns string
	rows    [][]any
}

// add keeps a row for flush.
func (t *tx) add(table, columns string, values ...any) {
	i := slices.IndexFunc(t.additions, func(a addition) bool { return a.table == table })
	if i < 0 {
		i = len(t.additions)
		t.additions = append(t.additions, addition{table: table, columns: columns})
	}
	t.additions[i].rows = append(t.additions[i].rows, values)
}

// maxBound is how many values one statement binds at most; PostgreSQL takes
// 65,535, SQLite 32,766.
const maxBound = 30_000

// flush writes what waits.
func (t *tx) flush(ctx context.Context) error {
	waiting := t.additions
	t.additions = nil
	var inserts []statement
	for _, a := range waiting {
		for rows := range slices.Chunk(a.rows, maxBound/len(a.rows[0])) {
			inserts = append(inserts, a.insert(rows))
		}
	}
	if t.engine == postgresEngine {
		inserts = together(inserts)
	}
	for _, s := range inserts {
		if _, err := t.do(ctx, s.sql, s.args...); err != nil {
			return fmt.Errorf("keep the record: %w", err)
		}
	}
	return nil
}

func (a addition) insert(rows [][]any) statement {
	marks := "(" + strings.TrimSuffix(strings.Repeat("?, ", len(rows[0])), ", ") + ")"
	s := statement{sql: "insert into " + a.table + " (" + a.columns + ") values " + strings.TrimSuffix(strings.Repeat(marks+", ", len(rows)), ", ")}
	for _, row := range rows {
		s.args = append(s.args, row...)
	}
	return s
}

// together makes one statement of several inserts, as long as it may bind
// their values.
func together(inserts []statement) []statement {
	if len(inserts) < 2 {
		return inserts
	}
	var all statement
	for i, s := range inserts {
		if len(all.args)+len(s.args) > maxBound {
			return inserts
		}
		switch {
		case i == len(inserts)-1:
			all.sql += " " + s.sql
		case i == 0:
			all.sql = fmt.Sprintf("with a%d as (%s)", i, s.sql)
		default:
			all.sql += fmt.Sprintf(", a%d as (%s)", i, s.sql)
		}
		all.args = append(all.args, s.args...)
	}
	return []statement{all}
}

// Append keeps an entry, its personal values in their own table, and the word
// that it has no position yet.
func (t *tx) Append(_ context.Context, e audit.Entry) error {
	t.add("audit_entry", "id, at, participant, user_id, actor, action, canonical, hash",
		e.ID, instant(e.At), e.Participant, e.User, e.Actor.Name(), e.Action, e.Canonical, e.Hash.String())
	for i, p := range e.Personal {
		t.add("audit_personal", "entry_id, n, name, salt, value", e.ID, i, p.Name, p.Salt, p.Value)
	}
	t.add("audit_pending", "entry_id", e.ID)
	return nil
}

// ListEntries sees the deed's own entries too.
func (t *tx) ListEntries(ctx context.Context, user string) ([]storage.EntryRow, error) {
	if err := t.flush(ctx); err != nil {
		return nil, err
	}
	return t.reader.ListEntries(ctx, user)
}

// ListHistory sees the deed's own history rows too.
func (t *tx) ListHistory(ctx context.Context, user string) ([]storage.HistoryRow, error) {
	if err := t.flush(ctx); err != nil {
		return nil, err
	}
	return t.reader.ListHistory(ctx, user)
}
