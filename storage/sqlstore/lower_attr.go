package sqlstore

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/healthix/healthix-scim/storage"
)

// Containment is the one form that PostgreSQL's index on the folded document
// answers. It does not look through arrays by itself, so a condition is written
// once for every shape that the value may have; more shapes than this are
// cheaper to look through one by one.
const maxShapes = 8

// attr writes a comparison with the values at a path.
func (l *lowering) attr(f storage.Attr, from place) error {
	switch op := f.Op; op {
	case storage.OpNe: // no value equals; a missing one does not
		l.write("not ")
		return l.attr(storage.Attr{Path: f.Path, Op: storage.OpEq, Value: f.Value}, from)
	case storage.OpPresent:
		return l.some(from, f.Path, l.notEmpty)
	case storage.OpEq, storage.OpCo, storage.OpSw, storage.OpEw, storage.OpGt, storage.OpGe, storage.OpLt, storage.OpLe:
	default:
		return fmt.Errorf("unknown comparison %q", op)
	}
	if l.postgres() && f.Op == storage.OpEq {
		if done, err := l.contains(from, f.Path, []storage.Filter{storage.Attr{Op: storage.OpEq, Value: f.Value}}); done || err != nil {
			return err
		}
	}
	return l.some(from, f.Path, func(row place) error { return l.value(row, f.Op, f.Value) })
}

// element writes that one element at a path satisfies the whole filter.
func (l *lowering) element(f storage.Element, from place) error {
	if l.postgres() {
		if done, err := l.contains(from, f.Path, conjunction(f.Filter)); done || err != nil {
			return err
		}
	}
	some := func() error {
		return l.some(from, f.Path, func(row place) error { return l.filter(f.Filter, row) })
	}
	if value, ok := l.emailValue(f, from); ok {
		l.write("(")
		l.ownerOf(value)
		l.write(" and ")
		if err := some(); err != nil {
			return err
		}
		l.write(")")
		return nil
	}
	return some()
}

// emailValue is the value that an element of a user's emails must have among
// others, where SQLite's table of them can narrow the search:
// emails[type eq "work" and value eq "…"] is what identity providers ask first.
func (l *lowering) emailValue(f storage.Element, from place) (string, bool) {
	if !l.indexesEmails() || from.row != "" || !slices.Equal(f.Path, emailPath[:1]) {
		return "", false
	}
	for _, c := range conjunction(f.Filter) {
		a, _ := c.(storage.Attr)
		if value, _ := a.Value.(string); value != "" && a.Op == storage.OpEq && slices.Equal(a.Path, emailPath[1:]) && checkText(value) == nil {
			return value, true
		}
	}
	return "", false
}

// conjunction lists the filters that must all hold.
func conjunction(f storage.Filter) []storage.Filter {
	if and, ok := f.(storage.And); ok {
		return and
	}
	return []storage.Filter{f}
}

// some writes that one of the values at a path, looked for through arrays as
// scim/filter's evaluator does, meets a condition. null is no value. A folded
// document holds no array directly in an array.
func (l *lowering) some(from place, path []string, condition func(row place) error) error {
	if len(path) == 0 {
		if from.row == "" {
			return fmt.Errorf("a path names nothing")
		}
		return condition(from) // the element itself, of which it is known that it is not null
	}
	rows, row, err := l.values(from, path)
	if err != nil {
		return err
	}
	l.write("exists (select 1 from " + rows + " where ")
	if l.postgres() {
		l.write("jsonb_typeof(" + row.json + ") <> 'null' and ")
	} else {
		l.write(row.row + ".type <> 'null' and ")
	}
	if err := condition(row); err != nil {
		return err
	}
	l.write(")")
	return nil
}

// values is a from clause whose rows are the values at a path, null among them.
func (l *lowering) values(from place, path []string) (rows string, row place, err error) {
	if l.postgres() {
		steps, err := jsonPath(path)
		if err != nil {
			return "", place{}, err
		}
		row = l.row()
		// A lax path looks through arrays; the last [*] does so at its end.
		return "jsonb_path_query(" + from.json + ", '" + steps + "[*]') " + row.row + "(j)", row, nil
	}
	var b strings.Builder
	row = from
	for len(path) > 0 {
		n := 1
		if isExtension(path[0]) && len(path) > 1 {
			n = 2
		}
		steps, err := jsonPath(path[:n])
		if err != nil {
			return "", place{}, err
		}
		path = path[n:]
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		at := "((" + row.json + ") -> '" + steps + "')"
		row = l.row()
		b.WriteString(listOf(at) + " " + row.row)
	}
	return b.String(), row, nil
}

// listOf is SQLite's table of the elements of a JSON value; of any other value
// than an array there is one.
func listOf(at string) string {
	return "json_each(case substr(" + at + ", 1, 1) when '[' then " + at + " else '[' || " + at + " || ']' end)"
}

func (l *lowering) row() place {
	l.rows++
	alias := "e" + strconv.Itoa(l.rows)
	if l.postgres() {
		return place{row: alias, json: alias + ".j"}
	}
	// What json_each answers for a text is no JSON.
	return place{row: alias, json: "case " + alias + ".type when 'object' then " + alias + ".value end"}
}

// An extension is an object in the document and never an array of them.
func isExtension(name string) bool { return strings.HasPrefix(name, "urn:") }

// jsonPath writes a path as both engines read it. Names come from the schema;
// anything else is refused, so that no quoting can be got wrong.
func jsonPath(path []string) (string, error) {
	var b strings.Builder
	b.WriteByte('$')
	for _, name := range path {
		if !isName(name) {
			return "", fmt.Errorf("a path holds %q, which is no folded attribute name", name)
		}
		b.WriteString(`."` + name + `"`)
	}
	return b.String(), nil
}

func isName(name string) bool {
	for i := 0; i < len(name); i++ {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case strings.IndexByte("$_-.:", c) >= 0:
		default:
			return false
		}
	}
	return name != ""
}

func (l *lowering) notEmpty(row place) error {
	if l.postgres() {
		l.write("(" + row.json + ` not in ('""', '{}'))`)
	} else {
		l.write("not (" + row.row + ".type = 'text' and " + row.row + ".value = '' or " +
			row.row + ".type = 'object' and " + row.row + ".value = '{}')")
	}
	return nil
}

// value writes a comparison with one row's value; another type than that of
// want never matches.
func (l *lowering) value(row place, op storage.Op, want any) error {
	switch want := want.(type) {
	case string:
		l.write("(" + l.typeIs(row, "string", "text") + " and ")
		if err := l.text(l.asText(row), op, want); err != nil {
			return err
		}
		l.write(")")
		return nil
	case bool:
		if op != storage.OpEq {
			l.constant(false) // no order among booleans
			return nil
		}
		kind := strconv.FormatBool(want)
		if l.postgres() {
			l.write("(" + row.json + " = '" + kind + "')")
		} else {
			l.write("(" + row.row + ".type = '" + kind + "')")
		}
		return nil
	case int64:
		return l.number(row, op, want, strconv.FormatInt(want, 10))
	case float64:
		if math.IsNaN(want) || math.IsInf(want, 0) {
			return fmt.Errorf("compare with %v", want)
		}
		return l.number(row, op, want, strconv.FormatFloat(want, 'g', -1, 64))
	}
	return fmt.Errorf("an attribute does not compare with %T", want)
}

// number compares as the decimal that was sent.
func (l *lowering) number(row place, op storage.Op, want any, decimal string) error {
	sign, ok := orders[op]
	switch {
	case !ok:
		l.constant(false)
	case l.postgres(): // case: a cast of another type would be an error
		l.write("case when "+l.typeIs(row, "number", "")+" then ("+row.json+")::numeric "+sign+" ?::numeric else false end", decimal)
	default:
		l.write("("+row.row+".type in ('integer', 'real') and "+row.row+".value "+sign+" ?)", want)
	}
	return nil
}

func (l *lowering) typeIs(row place, postgres, sqlite string) string {
	if l.postgres() {
		return "jsonb_typeof(" + row.json + ") = '" + postgres + "'"
	}
	return row.row + ".type = '" + sqlite + "'"
}

func (l *lowering) asText(row place) statement {
	if l.postgres() {
		return statement{sql: "(" + row.json + " #>> '{}')"}
	}
	return statement{sql: row.row + ".value"}
}

// contains writes that a value at the path equals, or that one element there
// has the values that the eq conditions name, as containment; done is false
// when it cannot be written so.
func (l *lowering) contains(from place, path []string, conditions []storage.Filter) (done bool, err error) {
	leaves, ok, err := eqShapes(conditions)
	if !ok || err != nil {
		return false, err
	}
	if _, err := jsonPath(path); err != nil {
		return false, err
	}
	if len(path) == 0 && from.row == "" || len(path) > 3 {
		return false, nil
	}
	shapes := shapesAt(path, leaves)
	if len(shapes) > maxShapes {
		return false, nil
	}
	l.write("(")
	for i, shape := range shapes {
		text, err := json.Marshal(shape)
		if err != nil {
			return false, fmt.Errorf("write the value of a filter: %w", err)
		}
		if i > 0 {
			l.write(" or ")
		}
		l.write(from.json+" @> ?::jsonb", string(text))
	}
	l.write(")")
	return true, nil
}

// eqShapes lists the shapes of a value that meets all conditions: the value
// itself, or an object of values, each of which may stand in an array.
func eqShapes(conditions []storage.Filter) (shapes []any, ok bool, err error) {
	objects := []map[string]any{{}}
	for _, c := range conditions {
		a, isAttr := c.(storage.Attr)
		if !isAttr || a.Op != storage.OpEq {
			return nil, false, nil
		}
		if err := checkScalar(a.Value); err != nil {
			return nil, false, err
		}
		switch {
		case len(a.Path) == 0 && len(conditions) == 1:
			return []any{a.Value}, true, nil
		case len(a.Path) != 1 || objects[0][a.Path[0]] != nil || len(objects) > maxShapes:
			return nil, false, nil
		}
		if _, err := jsonPath(a.Path); err != nil {
			return nil, false, err
		}
		var wider []map[string]any
		for _, o := range objects {
			wider = append(wider, withMember(o, a.Path[0], a.Value), withMember(o, a.Path[0], []any{a.Value}))
		}
		objects = wider
	}
	for _, o := range objects {
		shapes = append(shapes, o)
	}
	return shapes, len(conditions) > 0, nil
}

func checkScalar(v any) error {
	switch v := v.(type) {
	case string:
		return checkText(v)
	case bool, int64, float64:
		return nil
	}
	return fmt.Errorf("an attribute does not compare with %T", v)
}

// few says whether PostgreSQL's index on the document should answer a filter,
// because it asks for a text or number that few have.
func few(f storage.Filter) bool {
	switch f := f.(type) {
	case storage.And:
		return slices.ContainsFunc(f, few)
	case storage.Or:
		return len(f) > 0 && !slices.ContainsFunc(f, func(inner storage.Filter) bool { return !few(inner) })
	case storage.Attr:
		_, truth := f.Value.(bool)
		return f.Op == storage.OpEq && !truth
	case storage.Element:
		return slices.ContainsFunc(conjunction(f.Filter), few)
	case storage.Cmp:
		return f.Field == storage.FieldEmail && f.Op == storage.OpEq
	case storage.Not, storage.In:
	}
	return false
}

func withMember(o map[string]any, name string, v any) map[string]any {
	out := map[string]any{name: v}
	for n, v := range o {
		out[n] = v
	}
	return out
}

// shapesAt puts leaves at the end of a path.
func shapesAt(path []string, leaves []any) []any {
	if len(path) == 0 {
		return leaves
	}
	var out []any
	for _, inner := range shapesAt(path[1:], leaves) {
		out = append(out, map[string]any{path[0]: inner})
		if !isExtension(path[0]) {
			out = append(out, map[string]any{path[0]: []any{inner}})
		}
	}
	return out
}
