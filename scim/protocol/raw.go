package protocol

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// Raw is the text of one JSON value that is known to be well formed. Its parts
// are slices of it: a large message is looked at without being held twice.
type Raw []byte

// RawMember is one member of an object whose value was not read yet.
type RawMember struct {
	Name  string
	Value Raw
}

// Scan finds out that text is one JSON value. What Read refuses beyond that
// (depth, number of values, duplicate members, NUL) is refused when the parts
// are read.
func Scan(text []byte) (Raw, error) {
	if !utf8.Valid(text) {
		return nil, notUTF8()
	}
	if !json.Valid(text) {
		return nil, syntaxFault(text)
	}
	r := reader{text: text}
	r.next()
	return text[r.at:], nil
}

// Kind names the value's type in an error's words; no text at all is null.
func (v Raw) Kind() string {
	if len(v) == 0 {
		return Kind(nil)
	}
	switch v[0] {
	case '{':
		return Kind(Object{})
	case '[':
		return Kind([]any{})
	case '"':
		return Kind("")
	case 't', 'f':
		return Kind(true)
	case 'n':
		return Kind(nil)
	default:
		return Kind(json.Number(""))
	}
}

// Text reads a string.
func (v Raw) Text() (text string, ok bool) {
	if len(v) == 0 || v[0] != '"' {
		return "", false
	}
	text, err := (&reader{text: v}).string()
	return text, err == nil
}

// Members lists an object's members without reading their values.
func (v Raw) Members() ([]RawMember, error) {
	if len(v) == 0 || v[0] != '{' {
		return nil, Errorf(InvalidSyntax, "", "%s stands where a JSON object is expected", v.Kind())
	}
	r := reader{text: v}
	var list []RawMember
	seen := map[string]bool{}
	for r.at++; r.next() != '}'; {
		name, err := r.string()
		if err != nil {
			return nil, err
		}
		if seen[foldName(name)] {
			return nil, duplicate(name)
		}
		seen[foldName(name)] = true
		list = append(list, RawMember{name, r.raw()})
	}
	return list, nil
}

// Elements lists an array's elements without reading them, at most limit and
// one, so that a caller can tell that there are more.
func (v Raw) Elements(limit int) (list []Raw, ok bool) {
	if len(v) == 0 || v[0] != '[' {
		return nil, false
	}
	r := reader{text: v}
	for r.at++; r.next() != ']' && len(list) <= limit; {
		list = append(list, r.raw())
	}
	return list, true
}

// raw walks over one value.
func (r *reader) raw() Raw {
	r.next()
	start, level := r.at, 0
	for {
		switch r.next() {
		case '"':
			for r.at++; r.text[r.at] != '"'; r.at++ {
				if r.text[r.at] == '\\' {
					r.at++
				}
			}
			r.at++
		case '{', '[':
			level++
			r.at++
		case '}', ']':
			level--
			r.at++
		default: // a number, true, false, null
			for r.at < len(r.text) && strings.IndexByte(" \t\n\r,]}", r.text[r.at]) < 0 {
				r.at++
			}
		}
		if level == 0 {
			return r.text[start:r.at]
		}
	}
}

// Append writes a value as Read made it: the same members in the same order.
func Append(buf []byte, v any) []byte {
	switch v := v.(type) {
	case Object:
		buf = append(buf, '{')
		for i, m := range v {
			if i > 0 {
				buf = append(buf, ',')
			}
			buf = appendText(buf, m.Name)
			buf = Append(append(buf, ':'), m.Value)
		}
		return append(buf, '}')
	case []any:
		buf = append(buf, '[')
		for i, e := range v {
			if i > 0 {
				buf = append(buf, ',')
			}
			buf = Append(buf, e)
		}
		return append(buf, ']')
	case string:
		return appendText(buf, v)
	case json.Number:
		return append(buf, v...)
	case bool:
		if v {
			return append(buf, "true"...)
		}
		return append(buf, "false"...)
	default:
		return append(buf, "null"...)
	}
}

func appendText(buf []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil { // a string always encodes
		return append(buf, `""`...)
	}
	return append(buf, text...)
}
