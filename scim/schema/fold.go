package schema

import (
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// Fold makes the shadow of a document that comparisons read: attribute names
// in lower case, strings prepared as their caseExact asks, instants in one
// width, so that equal means equal bytes. Sub-values that no schema defines are
// left out: nothing can ask for them.
func (r *Resource) Fold(doc storage.Document) map[string]any {
	out := map[string]any{}
	for name, v := range doc {
		if x := r.Extension(name); x != nil {
			inner, _ := v.(map[string]any)
			folded := map[string]any{}
			for name, v := range inner {
				if a := x.Attribute(name); a != nil {
					folded[a.Key] = a.Fold(v)
				}
			}
			if len(folded) > 0 {
				out[x.Key] = folded
			}
			continue
		}
		if a := r.Core(name); a != nil {
			out[a.Key] = a.Fold(v)
		}
	}
	return out
}

// FoldJSON is Fold as storage keeps it.
func (r *Resource) FoldJSON(doc storage.Document) (json.RawMessage, error) {
	text, err := json.Marshal(r.Fold(doc))
	if err != nil {
		return nil, fmt.Errorf("fold a document: %w", err)
	}
	return text, nil
}

// Fold prepares a value of the attribute, or one element of it.
func (a *Attribute) Fold(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = a.Fold(e)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for name, sv := range v {
			if sub := a.Sub(name); sub != nil {
				out[sub.Key] = sub.Fold(sv)
			}
		}
		return out
	case string:
		return a.FoldText(v)
	default:
		return v
	}
}

// FoldText prepares a string for comparison with the attribute's values; filter
// values go through it too.
func (a *Attribute) FoldText(s string) string {
	switch {
	case a.Type == DateTime:
		if t, ok := ParseTime(s); ok {
			return Instant(t)
		}
		return s
	case a.CaseExact(), a.Type == Reference, a.Type == Binary:
		return s
	case a.Key == "username" && a.Parent == nil:
		return storage.UserNameKey(s)
	default:
		return storage.FoldKey(s)
	}
}

// Instant renders a time so that text order is time order: UTC, nine digits of
// fraction.
func Instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000000Z") }

// xsdDateTime is xsd:dateTime with date, time and an optional zone.
var xsdDateTime = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,12})?(Z|[+-]\d{2}:\d{2})?$`)

// ParseTime reads an xsd:dateTime (RFC 7643 §2.3.5); without a zone it means
// UTC. Digits beyond the nanosecond are cut.
func ParseTime(s string) (time.Time, bool) {
	if !xsdDateTime.MatchString(s) {
		return time.Time{}, false
	}
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.UTC(), true
	}
	t, err := time.Parse("2006-01-02T15:04:05.999999999", s)
	return t, err == nil
}
