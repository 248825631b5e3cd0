package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/healthix/healthix-scim/storage"
)

// ListUsers answers rows and, when asked, the total.
func (r reader) ListUsers(ctx context.Context, q storage.Query) ([]storage.User, int, error) {
	return list(ctx, r, userResource, q, r.users)
}

// ListGroups answers rows and, when asked, the total.
func (r reader) ListGroups(ctx context.Context, q storage.Query) ([]storage.Group, int, error) {
	return list(ctx, r, groupResource, q, r.groups)
}

func list[T any](ctx context.Context, r reader, of *resource, q storage.Query, read func(ctx context.Context, tail string, args ...any) ([]T, error)) ([]T, int, error) {
	matches, page, err := lowerQuery(r.engine, of, q)
	if err != nil {
		return nil, 0, fmt.Errorf("list %s: %w", of.name, err)
	}
	var rows []T
	if q.Limit != 0 {
		if rows, err = read(ctx, page.sql, page.args...); err != nil {
			return nil, 0, fmt.Errorf("list %s: %w", of.name, err)
		}
	}
	if !q.Total {
		return rows, 0, nil
	}
	// A page that is not full, and not beyond the end, tells the total itself.
	seen := max(q.Offset, 0) + len(rows)
	if full := q.Limit >= 0 && len(rows) >= q.Limit; !full && q.After == nil && (len(rows) > 0 || q.Offset <= 0) {
		return rows, seen, nil
	}
	var total int
	if _, err := r.get(ctx, &total, "select count(*) from "+matches.sql, matches.args...); err != nil {
		return nil, 0, fmt.Errorf("count %s: %w", of.name, err)
	}
	if len(rows) > 0 && q.After == nil {
		total = max(total, seen) // rows that were removed between the two statements
	}
	return rows, total, nil
}

// lowerQuery writes tables and condition of all matches, for counting them; and
// what follows the tables for the page: condition, order and bounds.
func lowerQuery(e engine, of *resource, q storage.Query) (matches, page statement, err error) {
	if q.After != nil && q.Offset != 0 {
		return matches, page, errors.New("a page begins after a row or at an offset")
	}
	l := &lowering{engine: e, resource: of, participant: q.Participant, now: q.Now, deleted: q.Deleted}
	l.few = l.postgres() && few(q.Filter)
	l.write("where ")
	if q.Participant != "" {
		l.write(of.alias+".participant = ?", q.Participant)
	} else {
		l.write("true")
	}
	if !q.Deleted {
		l.write(" and " + of.alias + ".deleted is null")
	}
	if q.Filter != nil {
		l.write(" and ")
		if err := l.filter(q.Filter, l.document()); err != nil {
			return matches, page, err
		}
	}
	tables := of.plain
	if l.narrows {
		tables = of.from
	}
	matches = statement{tables + " " + l.sql.String(), l.args[:len(l.args):len(l.args)]}
	keys, err := l.sortKeys(q)
	if err != nil {
		return matches, page, err
	}
	if q.After != nil {
		l.write(" and ")
		l.beyond(keys)
	}
	l.order(keys)
	if q.Limit > 0 {
		l.write(" limit " + strconv.Itoa(q.Limit))
	} else if q.Offset > 0 && !l.postgres() {
		l.write(" limit -1") // SQLite has no offset without it
	}
	if q.Offset > 0 {
		l.write(" offset " + strconv.Itoa(q.Offset))
	}
	return matches, statement{l.sql.String(), l.args}, nil
}
