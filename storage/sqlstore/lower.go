package sqlstore

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/healthix/healthix-scim/storage"
)

// lowering writes the conditions of one query: SQL text of our own words and of
// names from the schema, and every value bound. Each condition it writes is true
// or false, never NULL, so that a negation means what it says.
type lowering struct {
	engine      engine
	resource    *resource
	participant string
	now         time.Time
	deleted     bool // deleted ones too

	sql  strings.Builder
	args []any
	rows int  // aliases given so far
	few  bool // see few

	narrows bool // a condition looks at what a newer policy version leaves
}

// resource is what a query can ask for.
type resource struct {
	name   string
	from   string // without "from"
	plain  string // the same for conditions that look at nothing but the row and its participant
	alias  string
	fields map[storage.Field]field
}

// place is a JSON value that paths start from: the folded document, or an
// element (row is its alias then).
type place struct {
	json string // an expression; SQLite: NULL unless it is an object
	row  string
}

var errText = errors.New("the value is not text that a database can hold")

func (l *lowering) write(sql string, args ...any) {
	l.sql.WriteString(sql)
	l.args = append(l.args, args...)
}

func (l *lowering) put(s statement) { l.write(s.sql, s.args...) }

func (l *lowering) constant(holds bool) {
	if holds {
		l.write("true")
	} else {
		l.write("false")
	}
}

func (l *lowering) postgres() bool { return l.engine == postgresEngine }

func (l *lowering) document() place { return place{json: l.resource.alias + ".fold"} }

// filter writes one condition, in parentheses where it has parts.
func (l *lowering) filter(f storage.Filter, from place) error {
	switch f := f.(type) {
	case storage.And:
		return l.all(f, " and ", from)
	case storage.Or:
		return l.all(f, " or ", from)
	case storage.Not:
		l.write("not ")
		return l.filter(f.Filter, from)
	case storage.Attr:
		return l.attr(f, from)
	case storage.Element:
		return l.element(f, from)
	case storage.Cmp:
		if from.row != "" {
			l.constant(false) // an element has no typed fields
			return nil
		}
		return l.cmp(f)
	case storage.In:
		if from.row != "" {
			l.constant(false)
			return nil
		}
		return l.in(f)
	}
	return fmt.Errorf("a filter cannot hold %T", f)
}

// all joins conditions as a balanced tree: SQLite refuses expressions that are
// 1,000 levels deep, and a chain of n terms has n levels.
func (l *lowering) all(parts []storage.Filter, joint string, from place) error {
	switch len(parts) {
	case 0:
		l.constant(joint == " and ")
		return nil
	case 1:
		return l.filter(parts[0], from)
	}
	half := len(parts) / 2
	l.write("(")
	if err := l.all(parts[:half], joint, from); err != nil {
		return err
	}
	l.write(joint)
	if err := l.all(parts[half:], joint, from); err != nil {
		return err
	}
	l.write(")")
	return nil
}

// orders are the comparisons that SQL has a sign for.
var orders = map[storage.Op]string{
	storage.OpEq: "=", storage.OpGt: ">", storage.OpGe: ">=", storage.OpLt: "<", storage.OpLe: "<=",
}

// text writes that e compares so with value, byte by byte. e is never NULL.
func (l *lowering) text(e statement, op storage.Op, value string) error {
	if err := checkText(value); err != nil {
		return err
	}
	size := utf8.RuneCountInString(value)
	switch op {
	case storage.OpCo, storage.OpSw, storage.OpEw:
		if value == "" {
			l.constant(true)
			return nil
		}
	case storage.OpEq, storage.OpNe, storage.OpGt, storage.OpGe, storage.OpLt, storage.OpLe, storage.OpPresent:
	}
	switch op {
	case storage.OpCo:
		if l.postgres() {
			l.write("strpos(")
		} else {
			l.write("instr(")
		}
		l.put(e)
		l.write(", ?) > 0", value)
	case storage.OpSw: // a range, which an index can answer
		l.write("(")
		l.ordered(e, ">=", value)
		if next, ok := successor(value); ok {
			l.write(" and ")
			l.ordered(e, "<", next)
		}
		l.write(")")
	case storage.OpEw:
		if l.postgres() {
			l.write("right(")
			l.put(e)
			l.write(", ?) = ?", size, value)
		} else {
			l.write("substr(")
			l.put(e)
			l.write(", ?) = ?", -size, value)
		}
	case storage.OpEq, storage.OpGt, storage.OpGe, storage.OpLt, storage.OpLe:
		l.ordered(e, orders[op], value)
	case storage.OpNe, storage.OpPresent:
		return fmt.Errorf("%s does not compare two texts", op)
	default:
		return fmt.Errorf("unknown comparison %q", op)
	}
	return nil
}

// checkText refuses what no stored text can hold; the faces have refused it too.
func checkText(s string) error {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return errText
	}
	return nil
}

func (l *lowering) ordered(e statement, sign string, value any) {
	l.put(e)
	if sign != "=" {
		l.write(l.bytewise())
	}
	l.write(" "+sign+" ?", value)
}

// bytewise is the order of bytes, which is that of code points: SQLite's own.
func (l *lowering) bytewise() string {
	if l.postgres() {
		return ` collate "C"`
	}
	return ""
}

// successor is the least text that is greater than every text with this prefix;
// there is none when the prefix is made of the last code point alone.
func successor(prefix string) (string, bool) {
	runes := []rune(prefix)
	for i := len(runes) - 1; i >= 0; i-- {
		next := runes[i] + 1
		if next == 0xD800 {
			next = 0xE000 // surrogates are no characters
		}
		if next <= utf8.MaxRune {
			return string(runes[:i]) + string(next), true
		}
	}
	return "", false
}
