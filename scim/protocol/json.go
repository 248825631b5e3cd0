package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"unicode/utf8"
)

// MaxDepth is how deep objects and arrays may nest; SCIM itself needs six.
const MaxDepth = 24

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

// Read reads one JSON object. encoding/json alone would keep the last of
// duplicate members and match names by guess, so this walks the tokens.
func Read(text []byte) (Object, error) {
	if !utf8.Valid(text) {
		return nil, Errorf(InvalidSyntax, "", "the body is not UTF-8; send JSON in UTF-8 (RFC 8259)")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	v, err := readValue(dec, 0)
	if err != nil {
		return nil, syntaxFault(err, dec)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, Errorf(InvalidSyntax, "", "the body goes on after its JSON object at byte %d; send one object", dec.InputOffset())
	}
	o, ok := v.(Object)
	if !ok {
		return nil, Errorf(InvalidSyntax, "", "the body is %s; send a JSON object", Kind(v))
	}
	return o, nil
}

func syntaxFault(err error, dec *json.Decoder) error {
	var t Type
	switch {
	case errors.As(err, &t): // ours already
		return err
	case errors.Is(err, io.EOF) && dec.InputOffset() == 0:
		return Errorf(InvalidSyntax, "", "the body is empty; send a JSON object")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return Errorf(InvalidSyntax, "", "the JSON ends too early, at byte %d", dec.InputOffset())
	}
	// The decoder's own words may quote the body, so only the place is told.
	return Errorf(InvalidSyntax, "", "the body is not JSON: the error is near byte %d", dec.InputOffset())
}

func readValue(dec *json.Decoder, depth int) (any, error) {
	if depth > MaxDepth {
		return nil, Errorf(InvalidSyntax, "", "the JSON nests deeper than %d levels; send flatter JSON", MaxDepth)
	}
	token, err := dec.Token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case json.Delim:
		if v == '{' {
			return readObject(dec, depth)
		}
		return readArray(dec, depth)
	case string:
		return v, checkText(v)
	case json.Number:
		return v, checkNumber(v)
	default: // bool, nil
		return v, nil
	}
}

func readObject(dec *json.Decoder, depth int) (any, error) {
	o := Object{}
	var seen map[string]bool
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok {
			return nil, fmt.Errorf("member name is no string")
		}
		if err := checkText(name); err != nil {
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
					seen[strings.ToLower(m.Name)] = true
				}
			}
			if seen[strings.ToLower(name)] {
				return nil, duplicate(name)
			}
			seen[strings.ToLower(name)] = true
		}
		v, err := readValue(dec, depth+1)
		if err != nil {
			return nil, err
		}
		o = append(o, Member{name, v})
	}
	_, err := dec.Token()
	return o, err
}

func readArray(dec *json.Decoder, depth int) (any, error) {
	list := []any{}
	for dec.More() {
		v, err := readValue(dec, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := dec.Token()
	return list, err
}

func duplicate(name string) error {
	return Errorf(InvalidSyntax, Quote(name), "member %s is sent twice in one object (names match in any letter case, RFC 7643 §2.1); send it once", Quote(name))
}

// checkText refuses what no store of text keeps.
func checkText(s string) error {
	if strings.IndexByte(s, 0) >= 0 {
		return Errorf(InvalidValue, "", "a string holds the character U+0000, which cannot be stored; leave it out")
	}
	return nil
}

// checkNumber refuses numbers that no store keeps exactly.
func checkNumber(n json.Number) error {
	f, err := n.Float64()
	if err != nil || math.IsInf(f, 0) || len(n) > 64 {
		return Errorf(InvalidValue, "", "a number is out of range; send at most 64 digits within the range of a double")
	}
	return nil
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
