package scim

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"

	"github.com/healthix/healthix-scim/scim/protocol"
)

// bulkIDPrefix marks an id that the client gave (RFC 7644 §3.7.2). No id of this
// server holds the word (RFC 7643 §3.1).
const bulkIDPrefix = "bulkId:"

var (
	// bulkURL is a $ref to a resource that is still to be made.
	bulkURL = regexp.MustCompile(`^((?:.*/)?(?:Users|Groups)/)bulkId:(.*)$`)
	// bulkQuoted is a bulkId inside a path's filter: members[value eq "bulkId:x"].
	bulkQuoted = regexp.MustCompile(`"bulkId:(?:[^"\\]|\\.)*"`)
)

// swap answers the id for a bulkId; without one, what holds the reference is
// left out.
type swap func(bulkID string) (id string, ok bool)

// mayRefer says whether text can hold a reference. A letter may be escaped.
func mayRefer(text []byte) bool {
	return bytes.Contains(text, []byte(bulkIDPrefix)) || bytes.Contains(text, []byte(`\u`))
}

// resource puts ids in place of bulkIds, wherever they stand in a resource or a
// PatchOp message: extensions are no exception (RFC 7644 §3.7.2).
func (s swap) resource(o protocol.Object) protocol.Object {
	out, _ := s.object(o, true)
	return out
}

// object swaps inside an object and says whether it may stay: an element or a
// complex value goes with the reference it is about, but a resource or an
// extension stays without it.
func (s swap) object(o protocol.Object, container bool) (out protocol.Object, keep bool) {
	out = make(protocol.Object, 0, len(o))
	for _, m := range o {
		m.Name = s.path(m.Name)
		ok := true
		switch v := m.Value.(type) {
		case string:
			if strings.EqualFold(m.Name, "path") {
				v = s.path(v)
			}
			m.Value, ok = s.text(v)
			if !ok && !container {
				return nil, false
			}
		case protocol.Object:
			m.Value, ok = s.object(v, container && isURN(m.Name))
		case []any:
			m.Value = s.list(v)
		}
		if ok {
			out = append(out, m)
		}
	}
	return out, true
}

func isURN(name string) bool { return strings.HasPrefix(strings.ToLower(name), "urn:") }

func (s swap) list(list []any) []any {
	out := make([]any, 0, len(list))
	for _, e := range list {
		ok := true
		switch v := e.(type) {
		case string:
			e, ok = s.text(v)
		case protocol.Object:
			e, ok = s.object(v, false)
		case []any:
			e = s.list(v)
		}
		if ok {
			out = append(out, e)
		}
	}
	return out
}

func (s swap) text(text string) (string, bool) {
	if id, ok := strings.CutPrefix(text, bulkIDPrefix); ok {
		return s(id)
	}
	if m := bulkURL.FindStringSubmatch(text); m != nil {
		id, ok := s(m[2])
		return m[1] + id, ok
	}
	return text, true
}

// path swaps inside the quoted values of a path, which may be a key.
func (s swap) path(text string) string {
	if !strings.Contains(text, bulkIDPrefix) {
		return text
	}
	return bulkQuoted.ReplaceAllStringFunc(text, func(quoted string) string {
		var value string
		if err := json.Unmarshal([]byte(quoted), &value); err != nil {
			return quoted // no filter reads it either
		}
		id, ok := s(strings.TrimPrefix(value, bulkIDPrefix))
		if !ok {
			return quoted
		}
		return `"` + id + `"`
	})
}
