package patch

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/schema"
	"github.com/healthix/healthix-scim/storage"
)

// keep lists single attributes that unassigning leaves as they are: nobody's
// access may hang on what an absent "active" means.
var keep = map[string]bool{"active": true}

// Apply answers the document after all operations; old stays as it is. current
// is the resource as rendered, needed when RepeatsReadOnly.
func (req *Request) Apply(old storage.Document, current protocol.Object) (storage.Document, error) {
	doc := storage.Document(clone(map[string]any(old)).(map[string]any))
	for _, op := range req.Ops {
		if req.isMembers(op) {
			continue
		}
		if op.Target.ReadOnly() {
			if err := req.repeat(op, current); err != nil {
				return nil, err
			}
			continue
		}
		if err := req.apply(doc, op); err != nil {
			return nil, err
		}
	}
	if n := size(doc); n > maxDocument && n > size(old) { // nothing may keep a deactivation out
		return nil, protocol.Errorf(protocol.InvalidValue, "", "the %s would hold more than %d bytes; shorten its values", req.Resource.Name, maxDocument)
	}
	return doc, req.Resource.CheckRequired(doc)
}

// maxDocument is how many bytes of text a resource may hold: what a body may
// bring at once, no number of them may gather.
const maxDocument = 1 << 20

func size(v any) int {
	n := 0
	switch v := v.(type) {
	case storage.Document:
		return size(map[string]any(v))
	case map[string]any:
		for name, e := range v {
			n += len(name) + size(e)
		}
	case []any:
		for _, e := range v {
			n += size(e)
		}
	case string:
		n = len(v)
	default:
		n = 8
	}
	return n
}

// Same says whether two documents hold the same values.
func Same(a, b storage.Document) bool {
	return reflect.DeepEqual(map[string]any(a), map[string]any(b))
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = clone(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	default:
		return v
	}
}

// repeat lets a read-only value pass that says what is so already.
func (req *Request) repeat(op Op, current protocol.Object) error {
	t := op.Target
	object := current
	if t.Extension != nil {
		v, _ := current.Get(t.Extension.URN)
		object, _ = v.(protocol.Object)
	}
	now, _ := object.Get(t.Attribute.Name())
	if t.Sub != nil {
		inner, _ := now.(protocol.Object)
		now, _ = inner.Get(t.Sub.Name())
	}
	if op.Filter == nil && sameWire(op.Value, now) && req.reading.Allow(dialect.ReadOnlyRepeated) {
		return nil
	}
	return readOnly(t.Leaf())
}

// sameWire compares wire values; the order of members and elements means
// nothing (RFC 7643 §2.3.8), nor does an unassigned value.
func sameWire(sent, now any) bool {
	switch sent := sent.(type) {
	case protocol.Object:
		object, ok := now.(protocol.Object)
		if !ok && now != nil {
			return false
		}
		for _, m := range sent {
			if v, _ := object.Get(m.Name); !sameWire(m.Value, v) {
				return false
			}
		}
		return true
	case []any:
		list, _ := now.([]any)
		if len(sent) != len(list) {
			return false
		}
		for _, e := range sent {
			if !slices.ContainsFunc(list, func(n any) bool { return sameWire(e, n) }) {
				return false
			}
		}
		return true
	case string:
		if sent == "" && now == nil {
			return true
		}
		return sent == now
	default:
		return sent == now
	}
}

// apply follows one operation on a core or extension attribute.
func (req *Request) apply(doc storage.Document, op Op) error {
	values := map[string]any(doc)
	if x := op.Target.Extension; x != nil {
		inner, ok := doc[x.URN].(map[string]any)
		if !ok {
			inner = map[string]any{}
		}
		values = inner
		defer func() {
			if len(inner) > 0 {
				doc[x.URN] = inner
			} else {
				delete(doc, x.URN)
			}
		}()
	}
	switch a := op.Target.Attribute; {
	case a.MultiValued():
		list, _ := values[a.Name()].([]any)
		list, err := req.applyList(list, op)
		if err != nil {
			return err
		}
		assign(values, a.Name(), compact(list))
		return nil
	case a.Type == schema.Complex:
		object, _ := values[a.Name()].(map[string]any)
		if object == nil {
			object = map[string]any{}
		}
		object, err := req.applyObject(object, op)
		if err != nil {
			return err
		}
		assign(values, a.Name(), object)
		return nil
	default:
		v, err := req.value(a, op)
		if err != nil || v == nil && keep[a.Name()] {
			return err
		}
		if v == nil && a.Required() {
			return required(a)
		}
		assign(values, a.Name(), v)
		return nil
	}
}

func required(a *schema.Attribute) error {
	return protocol.Errorf(protocol.Mutability, a.Path(), "%s is required and cannot be removed; replace it", a.Path())
}

// value converts the operation's value for a single attribute; a remove
// unassigns.
func (req *Request) value(a *schema.Attribute, op Op) (any, error) {
	if op.Kind == Remove {
		return nil, nil
	}
	return a.One(op.Value, req.reading)
}

// assign sets a value, or drops the name when nothing is left.
func assign(values map[string]any, name string, v any) {
	switch e := v.(type) {
	case nil:
		delete(values, name)
		return
	case map[string]any:
		if len(e) == 0 {
			delete(values, name)
			return
		}
	case []any:
		if len(e) == 0 {
			delete(values, name)
			return
		}
	}
	values[name] = v
}

// compact drops elements of which nothing is left.
func compact(list []any) []any {
	return slices.DeleteFunc(list, func(e any) bool {
		object, ok := e.(map[string]any)
		return ok && len(object) == 0
	})
}

// applyObject changes a single complex value: named sub-attributes are
// replaced, the others stay (RFC 7644 §3.5.2.3).
func (req *Request) applyObject(object map[string]any, op Op) (map[string]any, error) {
	a, sub := op.Target.Attribute, op.Target.Sub
	if sub != nil {
		return object, req.setSub(object, sub, op)
	}
	if op.Kind == Remove || unassigned(op.Value) {
		return nil, nil
	}
	v, err := a.Value(op.Value, req.reading)
	if err != nil {
		return nil, err
	}
	values, _ := v.(map[string]any) // nil when every sub-value is unassigned
	req.merge(a, object, values, op.Value)
	return object, nil
}

// merge lays new sub-values over an object; those sent as null or "" go.
func (req *Request) merge(a *schema.Attribute, object, values map[string]any, sent any) {
	if old, now := object["value"], values["value"]; now != nil && old != now {
		delete(object, "$ref") // it pointed at the old value
	}
	maps.Copy(object, values)
	list, ok := sent.([]any)
	if ok && len(list) == 1 {
		sent = list[0]
	}
	o, _ := sent.(protocol.Object)
	for _, m := range o {
		if !unassigned(m.Value) {
			continue
		}
		if sub := a.Sub(m.Name); sub != nil {
			delete(object, sub.Name())
		} else {
			delete(object, m.Name)
		}
	}
}

func unassigned(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	}
	return false
}

func (req *Request) setSub(object map[string]any, sub *schema.Attribute, op Op) error {
	v, err := req.value(sub, op)
	if err != nil {
		return err
	}
	if sub.Key == "value" && v != object["value"] {
		delete(object, "$ref")
	}
	assign(object, sub.Name(), v)
	return nil
}

func (req *Request) isMembers(op Op) bool {
	return req.Resource == schema.Group && op.Target.Extension == nil && strings.EqualFold(op.Target.Attribute.Name(), "members")
}
