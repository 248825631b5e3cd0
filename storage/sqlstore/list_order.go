package sqlstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// sortKey is one key of an order as a statement writes it.
type sortKey struct {
	expression statement // NULL when absent, which mayBe says
	mayBe      bool
	falls      bool
	decides    bool // no two rows have the same
	// evade is added where rows are ordered, and an index must not serve.
	evade string
	at    any // its value at the position that the page begins at
}

var errPosition = errors.New("the position does not fit the order of the query")

// sortKeys are a query's keys, the id the last, with their values where the page
// begins.
func (l *lowering) sortKeys(q storage.Query) ([]sortKey, error) {
	orders, position := q.Orders(), q.After
	if position == nil {
		position = &storage.Position{Keys: make([]any, len(orders))}
	} else if len(position.Keys) != len(orders) || checkText(position.ID) != nil {
		return nil, errPosition
	}
	var keys []sortKey
	for i, o := range orders {
		key, err := l.sortKey(o, position.Keys[i], q.After != nil)
		if err != nil {
			return nil, err
		}
		for _, k := range key {
			k.falls = o.Descending
			keys = append(keys, k)
		}
		if l.resource.fields[o.Field].unique && q.Participant != "" && !q.Deleted {
			keys[len(keys)-1].decides = true
		}
	}
	id := sortKey{expression: statement{sql: l.resource.alias + ".id"}, falls: keys[len(keys)-1].falls, at: position.ID}
	return append(keys, id), nil
}

// sortKey is a key with its value at the position, when the page begins at one.
//
// A prepared statement's plan is soon made without its values. PostgreSQL then
// takes any containment for common, and for a small page it would walk the
// index of the order row by row in search of a match (1 ms becomes 30 ms for
// 10,000 users). So where the document's index should answer, the order is
// written as no index has it.
func (l *lowering) sortKey(o storage.Order, at any, begins bool) ([]sortKey, error) {
	if o.Field == "" {
		return l.pathKey(o.Path, at)
	}
	f, err := l.field(o.Field)
	if err != nil {
		return nil, err
	}
	k := sortKey{expression: statement{sql: f.sql}, at: at}
	fits := at == nil && !begins
	switch f.kind {
	case textField:
		e := f.expression(l)
		k.expression = statement{"nullif(" + e.sql + ", '')" + l.bytewise(), e.args}
		k.mayBe, fits = true, absentOr(isText, at)
	case keyField:
		fits = fits || isText(at)
		if l.few {
			k.evade = " || ''"
		}
	case truthField:
		fits = fits || isTruth(at)
	case numberField:
		if n, ok := at.(json.Number); ok {
			k.at, err = n.Int64()
			fits = err == nil
		}
	case momentField:
		k.mayBe = !f.always
		t, ok := at.(time.Time)
		if ok {
			k.at = instant(t)
		}
		fits = fits || ok || k.mayBe && at == nil
		if l.few && f.always {
			k.evade = " at time zone 'UTC'"
		}
	case textsField:
		if f.first == nil {
			return nil, fmt.Errorf("%s are not sorted by %q", l.resource.name, o.Field)
		}
		e := f.first(l)
		k.expression = statement{e.sql + l.bytewise(), e.args}
		k.mayBe, fits = true, absentOr(isText, at)
	case addressField:
		return l.pathKey(emailPath, at)
	}
	if !fits {
		return nil, errPosition
	}
	return []sortKey{k}, nil
}

func isText(v any) bool {
	s, ok := v.(string)
	return ok && checkText(s) == nil
}

func isTruth(v any) bool {
	_, ok := v.(bool)
	return ok
}

func absentOr(is func(any) bool, v any) bool { return v == nil || is(v) }

// pathKey sorts by a value of the folded document: numbers before texts, which
// never meet in one attribute.
func (l *lowering) pathKey(path []string, at any) ([]sortKey, error) {
	if len(path) == 0 || len(path) > 3 { // as deep as a schema goes; see primary
		return nil, fmt.Errorf("a sort key has a path of %d names", len(path))
	}
	if _, err := jsonPath(path); err != nil {
		return nil, err
	}
	one := l.document().json
	for i, name := range path {
		one = l.primary(one, name, i == len(path)-1)
	}
	number := sortKey{mayBe: true}
	text := sortKey{mayBe: true}
	switch v := at.(type) {
	case nil:
	case string:
		if checkText(v) != nil {
			return nil, errPosition
		}
		text.at = v
	case bool:
		if text.at = strconv.FormatBool(v); !l.postgres() {
			text.at = v
		}
	case json.Number:
		n, err := sqliteNumber(v)
		if err != nil {
			return nil, err
		}
		number.at = string(v)
		if !l.postgres() {
			text.at = n
		}
	default:
		return nil, errPosition
	}
	if !l.postgres() { // which orders numbers before texts by itself
		text.expression.sql = "nullif(" + one + ", '')"
		return []sortKey{text}, nil
	}
	number.expression.sql = "(case when jsonb_typeof(" + one + ") = 'number' then (" + one + ")::numeric end)"
	text.expression.sql = "(case when jsonb_typeof(" + one + ") in ('string', 'boolean') then left(nullif(" + one + " #>> '{}', ''), " + maxSortText + ") end)" + l.bytewise()
	return []sortKey{number, text}, nil
}

var maxSortText = strconv.Itoa(storage.MaxSortText)

// sqliteNumber is a number as SQLite reads it from JSON.
func sqliteNumber(n json.Number) (any, error) {
	if i, err := n.Int64(); err == nil {
		return i, nil
	}
	f, err := n.Float64()
	if err != nil {
		return nil, errPosition
	}
	return f, nil
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
		value = "case " + row.row + ".type when 'text' then substr(" + row.row + ".value, 1, " + maxSortText + ")" +
			" when 'object' then null when 'array' then null else " + row.row + ".value end"
	}
	return "(select " + value + " from (select " + object + ` -> '$."` + name + `"' as j) o, ` + listOf("o.j") + " " + row.row +
		" order by case " + row.row + ".type when 'object' then json_type(" + row.row + ".value, '$.primary') is 'true' else 0 end desc, " +
		row.row + ".key limit 1)"
}

// order writes the keys. Where a key is never absent there is no nulls clause,
// which would keep an index from serving.
func (l *lowering) order(keys []sortKey) {
	joint := " order by "
	for _, k := range keys {
		l.write(joint)
		l.put(k.expression)
		l.write(k.evade)
		switch {
		case k.mayBe && k.falls:
			l.write(" desc nulls first")
		case k.mayBe:
			l.write(" asc nulls last")
		case k.falls:
			l.write(" desc")
		}
		if k.decides {
			return
		}
		joint = ", "
	}
}

// beyond writes that a row stands after the position in the order of the keys.
// Where no key may be absent and all go one way, that is a range of an index.
func (l *lowering) beyond(keys []sortKey) {
	for _, k := range keys {
		if k.mayBe || k.falls != keys[0].falls {
			l.beyondEach(keys)
			return
		}
	}
	sides := [2]string{}
	var values []any
	for i, k := range keys {
		joint := ", "
		if i == 0 {
			joint = ""
		}
		sides[0] += joint + k.expression.sql
		sides[1] += joint + "?"
		values = append(values, k.at)
	}
	l.write("("+sides[0]+") "+sign(keys[0])+" ("+sides[1]+")", values...)
}

// beyondEach writes the same key by key. Absent values are a segment of their
// own, the last ascending and the first descending.
func (l *lowering) beyondEach(keys []sortKey) {
	k, rest := keys[0], keys[1:]
	compare := func(sign string) {
		l.put(k.expression)
		l.write(" "+sign+" ?", k.at)
	}
	switch {
	case len(rest) == 0: // it is never absent
		compare(sign(k))
	case k.at == nil && k.falls:
		l.write("(")
		l.put(k.expression)
		l.write(" is not null or ")
		l.beyondEach(rest)
		l.write(")")
	case k.at == nil:
		l.write("(")
		l.put(k.expression)
		l.write(" is null and ")
		l.beyondEach(rest)
		l.write(")")
	default:
		l.write("(")
		compare(sign(k))
		if k.mayBe && !k.falls {
			l.write(" or ")
			l.put(k.expression)
			l.write(" is null")
		}
		l.write(" or ")
		compare("=")
		l.write(" and ")
		l.beyondEach(rest)
		l.write(")")
	}
}

func sign(k sortKey) string {
	if k.falls {
		return "<"
	}
	return ">"
}
