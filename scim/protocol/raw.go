package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
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
// (depth, duplicate members, NUL) is refused when the parts are read.
func Scan(text []byte) (Raw, error) {
	if !utf8.Valid(text) {
		return nil, Errorf(InvalidSyntax, "", "the body is not UTF-8; send JSON in UTF-8 (RFC 8259)")
	}
	text = bytes.Trim(text, " \t\r\n")
	if len(text) == 0 {
		return nil, Errorf(InvalidSyntax, "", "the body is empty; send a JSON object")
	}
	var nothing struct{} // every member is skipped; the syntax is checked first, whole
	var syntax *json.SyntaxError
	if err := json.Unmarshal(text, &nothing); errors.As(err, &syntax) {
		return nil, Errorf(InvalidSyntax, "", "the body is not JSON: the error is near byte %d", syntax.Offset)
	}
	return text, nil
}

// Kind names the value's type in an error's words.
func (r Raw) Kind() string {
	if len(r) == 0 {
		return Kind(nil)
	}
	switch r[0] {
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
func (r Raw) Text() (s string, ok bool) {
	if len(r) == 0 || r[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(r, '\\') < 0 {
		return string(r[1 : len(r)-1]), true
	}
	err := json.Unmarshal(r, &s)
	return s, err == nil
}

// Members lists an object's members without reading their values.
func (r Raw) Members() ([]RawMember, error) {
	if len(r) == 0 || r[0] != '{' {
		return nil, Errorf(InvalidSyntax, "", "%s stands where a JSON object is expected", r.Kind())
	}
	var list []RawMember
	seen := map[string]bool{}
	for at := r.space(1); r[at] != '}'; {
		end := r.skip(at)
		name, _ := r[at:end].Text()
		if err := checkText(name); err != nil {
			return nil, err
		}
		key := strings.ToLower(name)
		if seen[key] {
			return nil, duplicate(name)
		}
		seen[key] = true
		at = r.space(r.space(end) + 1) // past the colon
		end = r.skip(at)
		list = append(list, RawMember{name, r[at:end]})
		at = r.comma(end)
	}
	return list, nil
}

// Elements lists an array's elements without reading them, at most limit and
// one, so that a caller can tell that there are more.
func (r Raw) Elements(limit int) (list []Raw, ok bool) {
	if len(r) == 0 || r[0] != '[' {
		return nil, false
	}
	for at := r.space(1); r[at] != ']' && len(list) <= limit; {
		end := r.skip(at)
		list = append(list, r[at:end])
		at = r.comma(end)
	}
	return list, true
}

func (r Raw) space(at int) int {
	for r[at] == ' ' || r[at] == '\t' || r[at] == '\r' || r[at] == '\n' {
		at++
	}
	return at
}

// comma goes to the next member or element, or to the closing bracket.
func (r Raw) comma(at int) int {
	at = r.space(at)
	if r[at] == ',' {
		at = r.space(at + 1)
	}
	return at
}

// skip answers where the value that begins at a place ends.
func (r Raw) skip(at int) int {
	level := 0
	for {
		switch r[at] {
		case '"':
			for at++; r[at] != '"'; at++ {
				if r[at] == '\\' {
					at++
				}
			}
			at++
		case '{', '[':
			level++
			at++
		case '}', ']':
			level--
			at++
		case ' ', '\t', '\r', '\n', ',', ':':
			at++
			continue
		default: // a number, true, false, null
			for at < len(r) && !strings.ContainsRune(" \t\r\n,]}", rune(r[at])) {
				at++
			}
		}
		if level == 0 {
			return at
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
