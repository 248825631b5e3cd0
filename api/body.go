package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/healthix/healthix-scim/lifecycle"
)

// Limits of a body. They hold before anything is parsed.
const (
	maxResource = 1 << 20
	maxGroup    = 8 << 20 // PUT and PATCH of a SCIM group
	maxDocument = 8 << 20 // a policy document
	maxDepth    = 50
)

// readBody reads a JSON body whole, within its limits.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, err := readWhole(w, r, limit)
	if err == nil && depth(body) > maxDepth {
		err = lifecycle.Faultf(kindTooLarge, "", "the body is nested deeper than %d levels, the limit here", maxDepth)
	}
	return body, err
}

// readWhole reads a body, whatever it is.
func readWhole(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return nil, lifecycle.Faultf(kindMedia, "", "the body's Content-Encoding is %q; send it as it is", encoding)
	}
	tooLarge := lifecycle.Faultf(kindTooLarge, "", "the body is larger than %d bytes, the limit here", limit)
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge
	case err != nil:
		return nil, &lifecycle.Fault{Kind: lifecycle.KindInvalid, Message: "the body ended before it was whole", Err: err}
	}
	return body, nil
}

// depth is how deep brackets nest outside of strings, without parsing.
func depth(text []byte) int {
	deepest, level, inString := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			level++
			deepest = max(deepest, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return deepest
}

// checkMedia refuses bodies that say they are something else than what is read.
// A body without a media type is taken for it.
func checkMedia(h http.Header, takes ...string) error {
	sent := h.Get("Content-Type")
	media, _, err := mime.ParseMediaType(sent)
	if sent == "" || err == nil && slices.Contains(takes, media) {
		return nil
	}
	return lifecycle.Faultf(kindMedia, "", "the body's Content-Type is %q; send %s", sent, takes[0])
}

// decode reads a JSON body strictly: no unknown member, no wrong type, nothing
// after it. Each refusal names the member.
func decode(body []byte, into any) error {
	target := reflect.TypeOf(into).Elem()
	if len(bytes.TrimSpace(body)) == 0 {
		if target == reflect.TypeFor[none]() {
			return nil
		}
		return lifecycle.Faultf(lifecycle.KindInvalid, "", "a JSON body is needed, with %s", expected(target))
	}
	if !utf8.Valid(body) {
		return lifecycle.Faultf(lifecycle.KindInvalid, "", "the body is not valid UTF-8")
	}
	if !json.Valid(body) {
		var nothing any
		return lifecycle.Faultf(lifecycle.KindInvalid, "", "the body is not valid JSON: %v", json.Unmarshal(body, &nothing))
	}
	if err := checkMembers(body, target, ""); err != nil {
		return err
	}
	err := json.Unmarshal(body, into)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return lifecycle.Faultf(lifecycle.KindInvalid, wrong.Field, "%s must be %s, not %s", orBody(wrong.Field), typeName(wrong.Type), wrong.Value)
	}
	if err != nil { // a type that reads itself: an instant
		return &lifecycle.Fault{Kind: lifecycle.KindInvalid, Message: "an instant in the body cannot be read; send one such as 2026-03-02T15:00:00Z", Err: err}
	}
	return nil
}

// checkMembers finds members that the type does not have, and text that no
// database keeps. encoding/json would take a member in any letter case and
// says neither which one was unknown where nor what was expected.
func checkMembers(raw json.RawMessage, t reflect.Type, at string) error {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var object map[string]json.RawMessage
	var list []json.RawMessage
	var text string
	switch {
	case json.Unmarshal(raw, &text) == nil && !isText(text):
		return lifecycle.Faultf(lifecycle.KindInvalid, at, "%s holds a NUL character", orBody(at))
	case t.Kind() == reflect.Slice && json.Unmarshal(raw, &list) == nil:
		for i, element := range list {
			if err := checkMembers(element, t.Elem(), fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case t.Kind() == reflect.Struct && json.Unmarshal(raw, &object) == nil:
		if twice := repeated(raw); twice != "" {
			return lifecycle.Faultf(lifecycle.KindInvalid, at, "%s has the member %q twice; send it once", orBody(at), twice)
		}
		known := members(t)
		for name, value := range object {
			path := strings.TrimPrefix(at+"."+name, ".")
			i := slices.IndexFunc(known, func(m member) bool { return m.name == name })
			if i < 0 {
				return lifecycle.Faultf(lifecycle.KindInvalid, path, "the body has an unknown member %q; expected %s", path, expected(t))
			}
			if err := checkMembers(value, known[i].typ, path); err != nil {
				return err
			}
		}
	}
	return nil
}

// repeated finds a member that an object has twice: encoding/json would take the
// last one, and a proxy may have judged the first.
func repeated(object json.RawMessage) string {
	dec := json.NewDecoder(bytes.NewReader(object))
	if _, err := dec.Token(); err != nil {
		return ""
	}
	seen := map[string]bool{}
	for dec.More() {
		token, err := dec.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return ""
		}
		if seen[name] {
			return name
		}
		seen[name] = true
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return ""
		}
	}
	return ""
}

func orBody(path string) string {
	if path == "" {
		return "the body"
	}
	return path
}

// expected lists a type's members for a refusal.
func expected(t reflect.Type) string {
	names := []string{}
	for _, m := range members(t) {
		names = append(names, m.name)
	}
	if len(names) == 0 {
		return "no members"
	}
	return "only " + strings.Join(names, ", ")
}

// typeName says in JSON's words what a Go type takes.
func typeName(t reflect.Type) string {
	names := map[reflect.Kind]string{
		reflect.String: "a string", reflect.Bool: "true or false", reflect.Slice: "an array",
		reflect.Struct: "an object", reflect.Map: "an object",
	}
	if name, known := names[t.Kind()]; known {
		return name
	}
	return "a whole number"
}

// member is one member of a JSON object as a struct declares it.
type member struct {
	name     string
	typ      reflect.Type
	optional bool // omitted when empty
}

// members lists the members that encoding/json reads and writes for a struct,
// those of embedded structs among them.
func members(t reflect.Type) []member {
	var found []member
	for i := range t.NumField() {
		field := t.Field(i)
		tag, tagged := field.Tag.Lookup("json")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case field.Anonymous && !tagged:
			found = append(found, members(field.Type)...)
		case !field.IsExported() || name == "-":
		default:
			if name == "" {
				name = field.Name
			}
			found = append(found, member{name: name, typ: field.Type, optional: strings.Contains(options, "omit")})
		}
	}
	return found
}
