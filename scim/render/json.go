package render

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

// object writes one JSON object member by member, so that a resource appears in
// schema order and nothing is built twice.
type object struct {
	buf   []byte
	first bool
}

func open(buf []byte) object { return object{append(buf, '{'), true} }

func (o *object) name(name string) {
	if !o.first {
		o.buf = append(o.buf, ',')
	}
	o.first = false
	o.buf = appendString(o.buf, name)
	o.buf = append(o.buf, ':')
}

func (o *object) text(name, value string) {
	if value == "" {
		return // unassigned values are left out (RFC 7643 §2.5)
	}
	o.name(name)
	o.buf = appendString(o.buf, value)
}

func (o *object) texts(name string, values []string) {
	if len(values) == 0 {
		return
	}
	o.name(name)
	o.buf = append(o.buf, '[')
	for i, v := range values {
		if i > 0 {
			o.buf = append(o.buf, ',')
		}
		o.buf = appendString(o.buf, v)
	}
	o.buf = append(o.buf, ']')
}

func (o *object) instant(name string, t *time.Time) {
	if t != nil && !t.IsZero() {
		o.text(name, Instant(*t))
	}
}

func (o *object) number(name string, n int64) {
	o.name(name)
	o.buf = strconv.AppendInt(o.buf, n, 10)
}

func (o *object) value(name string, v any) {
	o.name(name)
	o.buf = appendValue(o.buf, v)
}

// member writes an object as a member, unless nothing is in it.
func (o *object) member(name string, write func(x *object)) {
	before := *o
	o.name(name)
	x := open(o.buf)
	write(&x)
	if x.first {
		*o = object{buf: x.buf[:len(before.buf)], first: before.first}
		return
	}
	o.buf = x.close()
}

func (o *object) close() []byte { return append(o.buf, '}') }

// Instant is how every dateTime leaves: UTC, milliseconds.
func Instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// appendValue writes a document value without a schema, names in order.
func appendValue(buf []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendString(buf, v)
	case bool:
		return strconv.AppendBool(buf, v)
	case json.Number:
		return append(buf, v...)
	case float64:
		return strconv.AppendFloat(buf, v, 'g', -1, 64)
	case []any:
		buf = append(buf, '[')
		for i, e := range v {
			if i > 0 {
				buf = append(buf, ',')
			}
			buf = appendValue(buf, e)
		}
		return append(buf, ']')
	case map[string]any:
		o := open(buf)
		for _, name := range sorted(v) {
			o.value(name, v[name])
		}
		return o.close()
	default:
		return append(buf, "null"...)
	}
}

func sorted(m map[string]any) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

const hex = "0123456789abcdef"

// appendString writes a JSON string. Only what JSON asks for is escaped.
func appendString(buf []byte, s string) []byte {
	buf = append(buf, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' {
				i++
				continue
			}
			buf = append(buf, s[start:i]...)
			switch c {
			case '"', '\\':
				buf = append(buf, '\\', c)
			case '\n':
				buf = append(buf, '\\', 'n')
			case '\r':
				buf = append(buf, '\\', 'r')
			case '\t':
				buf = append(buf, '\\', 't')
			default:
				buf = append(buf, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			buf = append(buf, s[start:i]...)
			buf = append(buf, `\ufffd`...)
			i++
			start = i
			continue
		}
		i += size
	}
	buf = append(buf, s[start:]...)
	return append(buf, '"')
}
