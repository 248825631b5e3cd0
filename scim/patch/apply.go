package patch

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/filter"
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
	return doc, req.Resource.CheckRequired(doc)
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

// applyList changes a multi-valued attribute.
func (req *Request) applyList(list []any, op Op) ([]any, error) {
	switch {
	case op.Filter != nil:
		return req.applyMatches(list, op)
	case op.Target.Sub != nil:
		return req.applyEach(list, op)
	case op.Kind == Remove:
		return req.removeFrom(list, op)
	}
	v, err := op.Target.Attribute.Value(op.Value, req.reading)
	if err != nil {
		return nil, err
	}
	values, _ := v.([]any)
	if op.Kind == Replace {
		return values, nil
	}
	for _, e := range values {
		list = appendElement(op.Target.Attribute, list, e)
	}
	return list, nil
}

// appendElement adds an element unless it is there (RFC 7644 §3.5.2.1); one with
// the same value and type takes the new sub-values instead of a twin, for
// (type, value) pairs stay unique (RFC 7643 §2.4).
func appendElement(a *schema.Attribute, list []any, e any) []any {
	object, ok := e.(map[string]any)
	if !ok {
		if slices.ContainsFunc(list, func(o any) bool { return reflect.DeepEqual(a.Fold(o), a.Fold(e)) }) {
			return list
		}
		return append(list, e)
	}
	at := slices.IndexFunc(list, func(o any) bool {
		old, ok := o.(map[string]any)
		return ok && sameElement(a, old, object)
	})
	if at < 0 {
		list = append(list, object)
		at = len(list) - 1
	} else {
		maps.Copy(list[at].(map[string]any), object)
	}
	demote(list, at, object)
	return list
}

func sameElement(a *schema.Attribute, old, now map[string]any) bool {
	if now["value"] == nil {
		return reflect.DeepEqual(old, now)
	}
	o, _ := a.Fold(old).(map[string]any)
	n, _ := a.Fold(now).(map[string]any)
	return o["value"] == n["value"] && o["type"] == n["type"]
}

// demote flips every other primary when what was written at an index is one
// (RFC 7644 §3.5.2).
func demote(list []any, at int, written map[string]any) {
	if written["primary"] != true {
		return
	}
	for i, e := range list {
		if object, ok := e.(map[string]any); ok && i != at && object["primary"] == true {
			object["primary"] = false
		}
	}
}

// applyEach follows attr.sub without a filter: it means every element. With
// none there, one is created.
func (req *Request) applyEach(list []any, op Op) ([]any, error) {
	if len(list) == 0 && op.Kind != Remove {
		if !req.reading.Allow(dialect.CreateOnMiss) {
			return nil, noTarget(op.Target.Attribute)
		}
		list = []any{map[string]any{}}
	}
	all := make([]int, len(list))
	for i := range list {
		all[i] = i
	}
	return list, req.setIn(list, all, op)
}

// setIn sets a sub-attribute of the elements at the indexes.
func (req *Request) setIn(list []any, at []int, op Op) error {
	for _, i := range at {
		object, ok := list[i].(map[string]any)
		if !ok {
			continue
		}
		if err := req.setSub(object, op.Target.Sub, op); err != nil {
			return err
		}
	}
	if op.Target.Sub.Key == "primary" && len(at) > 0 {
		object, _ := list[at[0]].(map[string]any)
		if len(at) > 1 && object["primary"] == true && !req.reading.Allow(dialect.SecondPrimary) {
			return protocol.Errorf(protocol.InvalidValue, op.Target.Sub.Path(), "the operation marks more than one value primary; choose one")
		}
		demote(list, at[0], object)
	}
	return nil
}

func noTarget(a *schema.Attribute) error {
	return protocol.Errorf(protocol.NoTarget, a.Path(), "no value of %s matches the path's filter; add the value first, or filter by eq only", a.Path())
}

// applyMatches follows attr[filter] and attr[filter].sub.
func (req *Request) applyMatches(list []any, op Op) ([]any, error) {
	a := op.Target.Attribute
	var at []int
	for i, e := range list {
		if filter.Match(op.Filter, a.Fold(e)) {
			at = append(at, i)
		}
	}
	switch {
	case len(at) == 0 && op.Kind == Remove:
		return list, nil // nothing of it is there: done (RFC 7644 §3.5.2.2)
	case len(at) == 0:
		return req.createMissing(list, op)
	case op.Target.Sub != nil:
		return list, req.setIn(list, at, op)
	case op.Kind == Remove, unassigned(op.Value):
		for n, i := range at {
			list = slices.Delete(list, i-n, i-n+1)
		}
		return list, nil
	}
	for _, i := range at {
		object, err := req.element(op)
		if err != nil {
			return nil, err
		}
		if op.Kind == Replace {
			list[i] = object
		} else {
			req.merge(a, list[i].(map[string]any), object, op.Value)
		}
		demote(list, i, object)
	}
	return list, nil
}

// element converts the value of an operation on whole elements. What the path
// filtered by stays true of it unless the value says otherwise.
func (req *Request) element(op Op) (map[string]any, error) {
	sent := op.Value
	if list, ok := sent.([]any); ok && len(list) == 1 && req.reading.Allow(dialect.ArrayAsSingle) {
		sent = list[0]
	}
	v, err := op.Target.Attribute.One(sent, req.reading)
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, protocol.Errorf(protocol.InvalidValue, op.Target.Attribute.Path(), "the value for an element of %s is empty; send an object, or remove the element", op.Target.Attribute.Path())
	}
	if op.Kind == Replace && !req.reading.Strict {
		for name, seed := range op.Seed {
			if _, sent := object[name]; !sent {
				object[name] = seed
			}
		}
	}
	return object, nil
}

// createMissing makes the element that a plain eq filter describes: Entra ID
// sets emails[type eq "work"].value on users who have none, and stalls on an
// error.
func (req *Request) createMissing(list []any, op Op) ([]any, error) {
	if unassigned(op.Value) {
		return list, nil // nothing there, nothing wanted
	}
	if op.Seed == nil || !req.reading.Allow(dialect.CreateOnMiss) {
		return nil, noTarget(op.Target.Attribute)
	}
	object := maps.Clone(op.Seed)
	if op.Target.Sub != nil {
		if err := req.setSub(object, op.Target.Sub, op); err != nil {
			return nil, err
		}
	} else {
		element, err := req.element(op)
		if err != nil {
			return nil, err
		}
		maps.Copy(object, element)
	}
	list = append(list, object)
	demote(list, len(list)-1, object)
	return list, nil
}

// removeFrom follows a remove of a multi-valued attribute without filter: all
// values go, or, when the operation names some in its value, only those.
func (req *Request) removeFrom(list []any, op Op) ([]any, error) {
	if unassigned(op.Value) || !req.reading.Allow(dialect.RemoveWithValue) {
		return nil, nil
	}
	a := op.Target.Attribute
	v, err := a.Value(op.Value, req.reading)
	if err != nil {
		return nil, err
	}
	gone, _ := v.([]any)
	return slices.DeleteFunc(list, func(e any) bool {
		return slices.ContainsFunc(gone, func(g any) bool { return covers(a.Fold(g), a.Fold(e)) })
	}), nil
}

// covers says whether all that the one says is true of the other.
func covers(said, of any) bool {
	s, ok := said.(map[string]any)
	if !ok {
		return reflect.DeepEqual(said, of)
	}
	o, _ := of.(map[string]any)
	for name, v := range s {
		if !reflect.DeepEqual(o[name], v) {
			return false
		}
	}
	return true
}

func (req *Request) isMembers(op Op) bool {
	return req.Resource == schema.Group && op.Target.Extension == nil && strings.EqualFold(op.Target.Attribute.Name(), "members")
}
