package litmos

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"strconv"
	"strings"
	"time"
)

// errNotJSON stands for the decoder's own error, which could repeat what
// Litmos sent.
var errNotJSON = errors.New("answer is not the JSON that litmos documents")

// text is a value of Litmos's: HTML-escaped text, or a number where text is
// documented. null and what cannot be text are "".
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	*t = ""
	if len(b) == 0 {
		return nil
	}
	switch b[0] {
	case '"':
		var s string
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
		*t = text(html.UnescapeString(s))
	case 'n', '{', '[':
	default: // a number, true or false
		*t = text(b)
	}
	return nil
}

// readOne decodes an answer that is one object.
func readOne(into any) func(io.Reader) error {
	return func(r io.Reader) error {
		if json.NewDecoder(skipMark(r)).Decode(into) != nil {
			return errNotJSON
		}
		return nil
	}
}

// readList decodes an answer that is an array, element by element; one that
// does not fit is left to each as a zero value. It answers how many there were.
func readList[T any](n *int, each func(T)) func(io.Reader) error {
	return func(r io.Reader) error {
		dec := json.NewDecoder(skipMark(r))
		if start, err := dec.Token(); err != nil || start != json.Delim('[') {
			return errNotJSON
		}
		for dec.More() {
			var raw json.RawMessage
			if dec.Decode(&raw) != nil {
				return errNotJSON
			}
			var element, none T
			if json.Unmarshal(raw, &element) != nil {
				element = none
			}
			*n++
			each(element)
		}
		if end, err := dec.Token(); err != nil || end != json.Delim(']') {
			return errNotJSON
		}
		return nil
	}
}

// skipMark drops the byte order mark that some Windows servers begin with.
func skipMark(r io.Reader) io.Reader {
	mark := []byte("\xef\xbb\xbf")
	head := make([]byte, len(mark))
	n, err := io.ReadFull(r, head)
	if err == nil && bytes.Equal(head, mark) {
		return r
	}
	return io.MultiReader(bytes.NewReader(head[:n]), r)
}

// parseInstant reads the ways Litmos writes a date: /Date(1478044800000)/ and
// /Date(1478044800000-0500)/, whose number is milliseconds of UTC whatever the
// offset; ISO 8601, UTC when it names no zone.
func parseInstant(s string) (time.Time, bool) {
	var at time.Time
	if inner, ok := strings.CutPrefix(s, "/Date("); ok {
		inner, ok = strings.CutSuffix(inner, ")/")
		if i := strings.LastIndexAny(inner, "+-"); i > 0 {
			inner = inner[:i]
		}
		ms, err := strconv.ParseInt(inner, 10, 64)
		if !ok || err != nil {
			return time.Time{}, false
		}
		at = time.UnixMilli(ms).UTC()
	} else {
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05", "2006-01-02"} {
			parsed, err := time.Parse(layout, s)
			if err == nil {
				at = parsed.UTC()
				break
			}
		}
	}
	// .NET's "no date" is the year 1.
	if at.Year() < 1970 || at.Year() > 9999 {
		return time.Time{}, false
	}
	return at, true
}

// record is one whole object of Litmos's in the order it came, with texts
// unescaped and credentials dropped: what a PUT must send back.
type record []field

type field struct {
	name  string
	value json.RawMessage
}

// deepest is how far objects of Litmos's may nest; a user's is flat.
const deepest = 8

func readRecord(into *record) func(io.Reader) error {
	return func(r io.Reader) error {
		var raw json.RawMessage
		if err := readOne(&raw)(r); err != nil {
			return err
		}
		rec, err := parseRecord(raw, deepest)
		if err != nil {
			return err
		}
		*into = rec
		return nil
	}
}

func parseRecord(raw json.RawMessage, depth int) (record, error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if start, err := dec.Token(); err != nil || start != json.Delim('{') || depth == 0 {
		return nil, errNotJSON
	}
	rec := record{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, errNotJSON
		}
		var value json.RawMessage
		if dec.Decode(&value) != nil {
			return nil, errNotJSON
		}
		f := field{name: fmt.Sprint(name), value: value}
		if isCredential(f.name) {
			f.value = json.RawMessage(`""`)
		} else if f.value, err = plain(value, depth); err != nil {
			return nil, err
		}
		rec = append(rec, f)
	}
	return rec, nil
}

// isCredential names what is never kept, not even for the PUT that follows.
func isCredential(name string) bool {
	return strings.EqualFold(name, "LoginKey") || strings.EqualFold(name, "Password") || strings.EqualFold(name, "ApiKey")
}

// plain unescapes the texts of a value.
func plain(raw json.RawMessage, depth int) (json.RawMessage, error) {
	switch raw[0] {
	case '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return nil, errNotJSON
		}
		return json.Marshal(html.UnescapeString(s))
	case '{':
		rec, err := parseRecord(raw, depth-1)
		if err != nil {
			return nil, err
		}
		return json.Marshal(rec)
	case '[':
		var elements []json.RawMessage
		if json.Unmarshal(raw, &elements) != nil || depth == 1 {
			return nil, errNotJSON
		}
		for i := range elements {
			var err error
			if elements[i], err = plain(elements[i], depth-1); err != nil {
				return nil, err
			}
		}
		return json.Marshal(elements)
	}
	return raw, nil
}

// text is a field's text, already unescaped; "" when there is none.
func (rec record) text(name string) string {
	for _, f := range rec {
		if strings.EqualFold(f.name, name) {
			var s string
			if json.Unmarshal(f.value, &s) == nil {
				return s
			}
		}
	}
	return ""
}

// active is false unless the record says true.
func (rec record) active() bool {
	for _, f := range rec {
		if strings.EqualFold(f.name, "Active") {
			return string(f.value) == "true"
		}
	}
	return false
}

// with is the record with one field of another value.
func (rec record) with(name string, value any) (record, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("field %s: %w", name, err)
	}
	changed, found := make(record, 0, len(rec)+1), false
	for _, f := range rec {
		if strings.EqualFold(f.name, name) {
			if found {
				continue
			}
			f.value, found = raw, true
		}
		changed = append(changed, f)
	}
	if !found {
		changed = append(changed, field{name: name, value: raw})
	}
	return changed, nil
}

// MarshalJSON writes the fields in the order they came: Litmos reads them by it.
func (rec record) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range rec {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(f.name)
		if err != nil {
			return nil, fmt.Errorf("field name: %w", err)
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(f.value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
