package patch

import (
	"maps"
	"reflect"
	"slices"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/filter"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/schema"
)

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
	a, sent := op.Target.Attribute, op.Value
	if _, single := sent.(protocol.Object); single && op.Kind == Add {
		sent = []any{sent} // one value may be added as it is (RFC 7644 §3.5.2.1)
	}
	v, err := a.Value(sent, req.reading)
	if err != nil {
		return nil, err
	}
	values, _ := v.([]any)
	if op.Kind == Replace {
		return values, nil
	}
	list = a.Join(list, values)
	return list, a.CheckCount(len(list))
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
		if object["primary"] == true {
			schema.Demote(list, at[0])
		}
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
		if object["primary"] == true {
			schema.Demote(list, i)
		}
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
	a := op.Target.Attribute
	if op.Seed == nil || !req.reading.Allow(dialect.CreateOnMiss) {
		return nil, noTarget(a)
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
	if object["primary"] == true {
		schema.Demote(list, len(list)-1)
	}
	return list, a.CheckCount(len(list))
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
	for i, g := range gone {
		gone[i] = a.Fold(g)
	}
	return slices.DeleteFunc(list, func(e any) bool {
		folded := a.Fold(e)
		return slices.ContainsFunc(gone, func(g any) bool { return covers(g, folded) })
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
