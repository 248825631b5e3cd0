package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// MaxDepth is how deep objects and arrays may nest; SCIM itself needs six.
const MaxDepth = 24

// maxValues is how many values one body may hold: a value in memory costs some
// fifty bytes, however short it is in the text. Members that are no shorter than
// an id reach the size limit first.
const maxValues = 500_000

// Object is a JSON object in the order it was sent. Values are string, bool,
// json.Number, nil, []any or Object.
type Object []Member

// Member is one name and its value.
type Member struct {
	Name  string
	Value any
}

// Get finds a member without regard to letter case (RFC 7643 §2.1).
func (o Object) Get(name string) (any, bool) {
	for _, m := range o {
		if strings.EqualFold(m.Name, name) {
			return m.Value, true
		}
	}
	return nil, false
}

// Read reads one JSON object. encoding/json would keep the last of duplicate
// members and match names by guess, so it only judges the grammar; what is known
// to be JSON is then walked here.
func Read(text []byte) (Object, error) {
	if !utf8.Valid(text) {
		return nil, notUTF8()
	}
	if !json.Valid(text) {
		return nil, syntaxFault(text)
	}
	r := reader{text: text, left: maxValues}
	v, err := r.value(0)
	if err != nil {
		return nil, err
	}
	o, ok := v.(Object)
	if !ok {
		return nil, Errorf(InvalidSyntax, "", "the body is %s; send a JSON object", Kind(v))
	}
	return o, nil
}

func notUTF8() error {
	return Errorf(InvalidSyntax, "", "the body is not UTF-8; send JSON in UTF-8 (RFC 8259)")
}

// syntaxFault tells the place alone: the decoder's own words may quote the body.
func syntaxFault(text []byte) error {
	var at *json.SyntaxError
	err := json.Unmarshal(text, new(struct{}))
	switch {
	case len(bytes.TrimSpace(text)) == 0:
		return Errorf(InvalidSyntax, "", "the body is empty; send a JSON object")
	case !errors.As(err, &at):
		return Errorf(InvalidSyntax, "", "the body is not JSON")
	case at.Offset >= int64(len(text)):
		return Errorf(InvalidSyntax, "", "the JSON ends too early, at byte %d", at.Offset)
	}
	return Errorf(InvalidSyntax, "", "the body is not one JSON object: the error is near byte %d", at.Offset)
}

// reader walks text that is known to be JSON.
type reader struct {
	text []byte
	at   int
	left int // values that may still come
}

// next skips white space, and one comma or colon.
func (r *reader) next() byte {
	for {
		switch c := r.text[r.at]; c {
		case ' ', '\t', '\n', '\r', ',', ':':
			r.at++
		default:
			return c
		}
	}
}

func (r *reader) value(depth int) (any, error) {
	if depth > MaxDepth {
		return nil, Errorf(InvalidSyntax, "", "the JSON nests deeper than %d levels; send flatter JSON", MaxDepth)
	}
	if r.left--; r.left < 0 {
		return nil, Errorf(InvalidSyntax, "", "the body holds more than %d values; send less at once", maxValues)
	}
	switch r.next() {
	case '{':
		return r.object(depth)
	case '[':
		return r.array(depth)
	case '"':
		return r.string()
	case 't':
		r.at += len("true")
		return true, nil
	case 'f':
		r.at += len("false")
		return false, nil
	case 'n':
		r.at += len("null")
		return nil, nil
	}
	return r.number()
}

func (r *reader) object(depth int) (any, error) {
	o := make(Object, 0, 4)
	var seen map[string]bool
	for r.at++; r.next() != '}'; {
		name, err := r.string()
		if err != nil {
			return nil, err
		}
		// A small object is compared by eye, a large one by index.
		if len(o) < 16 {
			if _, dup := o.Get(name); dup {
				return nil, duplicate(name)
			}
		} else {
			if seen == nil {
				seen = make(map[string]bool, 64)
				for _, m := range o {
					seen[foldName(m.Name)] = true
				}
			}
			if seen[foldName(name)] {
				return nil, duplicate(name)
			}
			seen[foldName(name)] = true
		}
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		o = append(o, Member{name, v})
	}
	r.at++
	return o, nil
}

func (r *reader) array(depth int) (any, error) {
	list := []any{}
	for r.at++; r.next() != ']'; {
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	r.at++
	return list, nil
}

func (r *reader) string() (string, error) {
	start, plain := r.at, true
	for r.at++; r.text[r.at] != '"'; r.at++ {
		if r.text[r.at] == '\\' {
			plain = false
			r.at++
		}
	}
	r.at++
	if plain {
		return string(r.text[start+1 : r.at-1]), nil
	}
	var s string
	if err := json.Unmarshal(r.text[start:r.at], &s); err != nil {
		return "", fmt.Errorf("read a string: %w", err)
	}
	return s, checkText(s)
}

// checkText refuses what no store of text keeps.
func checkText(s string) error {
	if strings.IndexByte(s, 0) >= 0 {
		return Errorf(InvalidValue, "", "a string holds the character U+0000, which cannot be stored; leave it out")
	}
	return nil
}

// number refuses numbers that no store keeps exactly.
func (r *reader) number() (any, error) {
	start := r.at
	for r.at < len(r.text) && strings.IndexByte("+-.0123456789eE", r.text[r.at]) >= 0 {
		r.at++
	}
	n := json.Number(r.text[start:r.at])
	f, err := n.Float64()
	if err != nil || math.IsInf(f, 0) || len(n) > 64 {
		return nil, Errorf(InvalidValue, "", "a number is out of range; send at most 64 digits within the range of a double")
	}
	return n, nil
}

// foldName is a name as strings.EqualFold compares it: ſ is s and the Kelvin
// sign is k, which lower case alone would miss.
func foldName(name string) string { return strings.ToLower(strings.ToUpper(name)) }

func duplicate(name string) error {
	return Errorf(InvalidSyntax, Quote(name), "member %s is sent twice in one object (names match in any letter case, RFC 7643 §2.1); send it once", Quote(name))
}

// Kind names a JSON value's type in an error's words.
func Kind(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case []any:
		return "an array"
	case Object, map[string]any:
		return "an object"
	}
	return "unknown"
}

// Quote shows a name that came from outside: cut, and safe on one line.
func Quote(name string) string {
	if len(name) > 80 {
		cut := 80
		for cut > 0 && !utf8.RuneStart(name[cut]) {
			cut--
		}
		name = name[:cut] + "…"
	}
	return fmt.Sprintf("%q", name)
}
