package scim_test

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/filter"
	"github.com/healthix/healthix-scim/scim/schema"
)

// holds says whether a filter holds of a resource as it was shown: RFC 7644
// §3.4.2.2 in plain Go, without the binder, the folded document or a database.
func holds(e filter.Expr, shown any) bool { return oracle{schema.User}.holds(e, nil, shown) }

type oracle struct{ *schema.Resource }

// holds evaluates on a whole resource, or on one element of the attribute in.
func (o oracle) holds(e filter.Expr, in *schema.Attribute, shown any) bool {
	switch e := e.(type) {
	case filter.And:
		for _, inner := range e {
			if !o.holds(inner, in, shown) {
				return false
			}
		}
		return true
	case filter.Or:
		for _, inner := range e {
			if o.holds(inner, in, shown) {
				return true
			}
		}
		return false
	case filter.Not:
		return !o.holds(e.Expr, in, shown)
	case filter.ValuePath:
		t, _ := o.Resolve(e.Path, &dialect.Reading{})
		for _, element := range flat(o.at(t, shown)) {
			if o.holds(e.Filter, t.Attribute, element) {
				return true
			}
		}
		return false
	case filter.Compare:
		return o.compare(e, in, shown)
	}
	panic("an expression of no kind")
}

func (o oracle) compare(e filter.Compare, in *schema.Attribute, shown any) bool {
	var values []any
	a := in
	if in != nil {
		a = in.Sub(e.Path)
		values = flat(member(shown, a.Name()))
	} else {
		t, _ := o.Resolve(e.Path, &dialect.Reading{})
		values, a = flat(o.at(t, shown)), t.Leaf()
		if a != nil && a.Type == schema.Complex && e.Op != "pr" && e.Value != nil {
			a = a.Sub("value")
			values = flat(member(values, a.Name()))
		}
		if a != nil && a.Key == "primary" {
			values = nil // one per element, for absent means false (RFC 7643 §2.4)
			for _, element := range flat(o.at(schema.Target{Extension: t.Extension, Attribute: t.Attribute}, shown)) {
				values = append(values, primary(element, e))
			}
		}
	}
	if in != nil && a.Key == "primary" {
		values = []any{primary(shown, e)}
	}
	present := any1(values, func(any) bool { return true })
	switch {
	case e.Op == "pr", e.Op == "ne" && e.Value == nil:
		return present
	case e.Op == "eq" && e.Value == nil:
		return !present
	case e.Value == nil:
		return false
	case e.Op == "ne":
		return !any1(values, func(v any) bool { return test(a, "eq", v, e.Value) })
	}
	return any1(values, func(v any) bool { return test(a, e.Op, v, e.Value) })
}

// primary is an element's primary; what is absent counts as false where a value
// is asked for, and as absent where presence is.
func primary(element any, e filter.Compare) any {
	v := member(element, "primary")
	if v == nil && e.Op != "pr" && e.Value != nil {
		return false
	}
	return v
}

func any1(values []any, holds func(any) bool) bool {
	for _, v := range values {
		if v != nil && holds(v) {
			return true
		}
	}
	return false
}

func test(a *schema.Attribute, op string, have, want any) bool {
	switch have := have.(type) {
	case bool:
		return op == "eq" && have == want
	case json.Number:
		h, _ := have.Float64()
		w, _ := want.(json.Number).Float64()
		return order(op, h-w)
	case string:
		want := want.(string)
		if a.Type == schema.DateTime {
			h, _ := time.Parse(time.RFC3339Nano, have)
			w, _ := time.Parse(time.RFC3339Nano, want)
			return order(op, float64(h.Compare(w)))
		}
		have, want = a.FoldText(have), a.FoldText(want)
		switch op {
		case "co":
			return strings.Contains(have, want)
		case "sw":
			return strings.HasPrefix(have, want)
		case "ew":
			return strings.HasSuffix(have, want)
		}
		return order(op, float64(strings.Compare(have, want)))
	}
	return false
}

func order(op string, c float64) bool {
	switch op {
	case "eq":
		return c == 0
	case "gt":
		return c > 0
	case "ge":
		return c >= 0
	case "lt":
		return c < 0
	case "le":
		return c <= 0
	}
	return false
}

// at is what a resource shows of a target.
func (o oracle) at(t schema.Target, shown any) any {
	if t.Extension != nil {
		shown = member(shown, t.Extension.URN)
	}
	if t.Attribute == nil {
		return shown
	}
	shown = member(shown, t.Attribute.Name())
	if t.Sub != nil {
		shown = member(shown, t.Sub.Name())
	}
	return shown
}

// member looks into an object, or into each element of an array.
func member(v any, name string) any {
	switch v := v.(type) {
	case map[string]any:
		return v[name]
	case []any:
		var out []any
		for _, e := range v {
			if m := member(e, name); m != nil {
				out = append(out, m)
			}
		}
		if out == nil {
			return nil
		}
		return out
	}
	return nil
}

func flat(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}
