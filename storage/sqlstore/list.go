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
	where, page, err := lowerQuery(r.engine, of, q)
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
	if _, err := r.get(ctx, &total, "select count(*) from "+of.from+" "+where.sql, where.args...); err != nil {
		return nil, 0, fmt.Errorf("count %s: %w", of.name, err)
	}
	if len(rows) > 0 && q.After == nil {
		total = max(total, seen) // rows that were removed between the two statements
	}
	return rows, total, nil
}

// lowerQuery writes what follows "from": the condition on all matches, and the
// condition, order and bounds of the page.
func lowerQuery(e engine, of *resource, q storage.Query) (where, page statement, err error) {
	if q.After != nil && (q.Offset != 0 || len(q.Sort) > 0) {
		return where, page, errors.New("a query that goes on after a row has no offset and no sort of its own")
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
			return where, page, err
		}
	}
	where = statement{l.sql.String(), l.args[:len(l.args):len(l.args)]}
	if q.After != nil {
		l.write(" and ("+of.alias+".created, "+of.alias+".id) > (?, ?)", instant(q.After.Created), q.After.ID)
	}
	if err := l.order(q.Sort); err != nil {
		return where, page, err
	}
	if q.Limit > 0 {
		l.write(" limit " + strconv.Itoa(q.Limit))
	} else if q.Offset > 0 && !l.postgres() {
		l.write(" limit -1") // SQLite has no offset without it
	}
	if q.Offset > 0 {
		l.write(" offset " + strconv.Itoa(q.Offset))
	}
	return where, statement{l.sql.String(), l.args}, nil
}

// order writes the sort keys; the id comes last, so that pages are stable.
//
// A prepared statement's plan is soon made without its values. PostgreSQL then
// takes any containment for common, and for a small page it would walk the
// index of the order row by row in search of a match (1 ms becomes 30 ms for
// 10,000 users). So where the document's index should answer, the order is
// written as no index has it.
func (l *lowering) order(keys []storage.Order) error {
	alias := l.resource.alias
	l.write(" order by ")
	if len(keys) == 0 {
		l.write(alias + ".created")
		if l.few {
			l.write(" at time zone 'UTC'")
		}
		l.write(", ")
	}
	for _, k := range keys {
		if err := l.key(k); err != nil {
			return err
		}
	}
	l.write(alias + ".id")
	return nil
}

// key writes one sort key and a comma. Absent values come last ascending, first
// descending: they are NULL here.
func (l *lowering) key(k storage.Order) error {
	direction := " asc nulls last, "
	if k.Descending {
		direction = " desc nulls first, "
	}
	if k.Field == "" {
		return l.pathKey(k.Path, direction)
	}
	f, err := l.field(k.Field)
	if err != nil {
		return err
	}
	switch f.kind {
	case textField:
		l.write("nullif(")
		l.put(f.expression(l))
		l.write(", '')" + l.bytewise() + direction)
	case keyField, truthField, numberField:
		// Never absent: no nulls clause, which would keep an index from serving.
		l.write(f.sql)
		if l.few && f.kind == keyField {
			l.write(" || ''")
		}
		if k.Descending {
			l.write(" desc")
		}
		l.write(", ")
	case momentField:
		l.write(f.sql + direction)
	case textsField:
		if f.first == nil {
			return fmt.Errorf("%s are not sorted by %q", l.resource.name, k.Field)
		}
		l.put(f.first(l))
		l.write(l.bytewise() + direction)
	case addressField:
		return l.pathKey(emailPath, direction)
	}
	return nil
}

// pathKey sorts by a value of the folded document: numbers before texts, which
// never meet in one attribute.
func (l *lowering) pathKey(path []string, direction string) error {
	if len(path) == 0 || len(path) > 3 { // as deep as a schema goes; see primary
		return fmt.Errorf("a sort key has a path of %d names", len(path))
	}
	if _, err := jsonPath(path); err != nil {
		return err
	}
	one := l.document().json
	for i, name := range path {
		one = l.primary(one, name, i == len(path)-1)
	}
	if !l.postgres() {
		l.write("nullif(" + one + ", '')" + direction)
		return nil
	}
	l.write("(case when jsonb_typeof(" + one + ") = 'number' then (" + one + ")::numeric end)" + direction)
	l.write("(case when jsonb_typeof(" + one + ") in ('string', 'boolean') then nullif(" + one + " #>> '{}', '') end)" + l.bytewise() + direction)
	return nil
}

// primary is the value of a member; of an array there, the primary element, else
// the first. The last name of a path has no elements with a primary; on SQLite
// its value is no longer JSON.
func (l *lowering) primary(object, name string, last bool) string {
	if l.postgres() {
		first := "jsonb_path_query_first(" + object + `, '$."` + name + `"[*]`
		if last || isExtension(name) {
			return first + "')"
		}
		// Functions, for a subquery here costs fifty times as much. They name
		// the object twice, once for each name in the middle of a path.
		return "coalesce(" + first + ` ? (@."primary" == true)'), ` + first + "'))"
	}
	row := l.row()
	value := row.json
	if last {
		value = "case when " + row.row + ".type not in ('object', 'array', 'null') then " + row.row + ".value end"
	}
	return "(select " + value + " from (select " + object + ` -> '$."` + name + `"' as j) o, ` + listOf("o.j") + " " + row.row +
		" order by case " + row.row + ".type when 'object' then json_type(" + row.row + ".value, '$.primary') is 'true' else 0 end desc, " +
		row.row + ".key limit 1)"
}
