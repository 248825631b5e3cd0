package filter

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/healthix/healthix-scim/storage"
)

// Match evaluates a bound filter on a folded value: a document, or one element.
// It means exactly what storage's queries mean; PATCH needs it for its value
// filters, tests hold the queries against it. Typed fields are no part of a
// folded value, so a Cmp or In never matches here.
func Match(f storage.Filter, v any) bool {
	switch f := f.(type) {
	case storage.And:
		for _, inner := range f {
			if !Match(inner, v) {
				return false
			}
		}
		return true
	case storage.Or:
		for _, inner := range f {
			if Match(inner, v) {
				return true
			}
		}
		return false
	case storage.Not:
		return !Match(f.Filter, v)
	case storage.Attr:
		return matchAttr(f, reach(v, f.Path))
	case storage.Element:
		for _, e := range reach(v, f.Path) {
			if Match(f.Filter, e) {
				return true
			}
		}
		return false
	case storage.Cmp, storage.In:
		return false
	}
	return false
}

// reach lists the values at a path, looking through arrays on the way.
func reach(v any, path []string) []any {
	if list, ok := v.([]any); ok {
		var out []any
		for _, e := range list {
			out = append(out, reach(e, path)...)
		}
		return out
	}
	if len(path) == 0 {
		if v == nil {
			return nil
		}
		return []any{v}
	}
	o, ok := v.(map[string]any)
	if !ok {
		return nil
	}
	return reach(o[path[0]], path[1:])
}

func matchAttr(f storage.Attr, values []any) bool {
	if f.Op == storage.OpPresent {
		for _, v := range values {
			if !empty(v) {
				return true
			}
		}
		return false
	}
	if f.Op == storage.OpNe { // no value equals (a missing one does not)
		return !matchAttr(storage.Attr{Op: storage.OpEq, Value: f.Value}, values)
	}
	for _, v := range values {
		if compareValue(f.Op, v, f.Value) {
			return true
		}
	}
	return false
}

func empty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return false
}

func compareValue(op storage.Op, v, want any) bool {
	switch want := want.(type) {
	case string:
		s, ok := v.(string)
		return ok && compareText(op, s, want)
	case bool:
		b, ok := v.(bool)
		return ok && op == storage.OpEq && b == want
	}
	have, ok := number(v)
	if !ok {
		return false
	}
	n, ok := number(want)
	return ok && ordered(op, cmp.Compare(have, n))
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	}
	return 0, false
}

func compareText(op storage.Op, s, want string) bool {
	switch op {
	case storage.OpCo:
		return strings.Contains(s, want)
	case storage.OpSw:
		return strings.HasPrefix(s, want)
	case storage.OpEw:
		return strings.HasSuffix(s, want)
	case storage.OpEq, storage.OpNe, storage.OpGt, storage.OpGe, storage.OpLt, storage.OpLe:
		return ordered(op, strings.Compare(s, want))
	case storage.OpPresent: // asked for without a value, so never here
	}
	return false
}

func ordered(op storage.Op, c int) bool {
	switch op {
	case storage.OpEq:
		return c == 0
	case storage.OpNe:
		return c != 0
	case storage.OpGt:
		return c > 0
	case storage.OpGe:
		return c >= 0
	case storage.OpLt:
		return c < 0
	case storage.OpLe:
		return c <= 0
	case storage.OpCo, storage.OpSw, storage.OpEw, storage.OpPresent: // no order
	}
	return false
}
