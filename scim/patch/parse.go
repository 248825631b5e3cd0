// Package patch reads PATCH requests (RFC 7644 §3.5.2) and applies them to a
// document: in order, whole or not at all. It loads nothing and keeps nothing;
// group memberships become a delta, never a list.
package patch

import (
	"slices"
	"strings"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/filter"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/schema"
	"github.com/healthix/healthix-scim/storage"
)

// Kind is what an operation does.
type Kind string

// The operations.
const (
	Add     Kind = "add"
	Remove  Kind = "remove"
	Replace Kind = "replace"
)

// Op is one operation on one target; a path-less operation has been expanded
// into one for each member of its value.
type Op struct {
	Kind   Kind
	Target schema.Target
	// Filter chooses elements of a multi-valued attribute; nil means all.
	Filter storage.Filter
	Seed   map[string]any // of a plain eq filter; nil for any other
	Value  any            // as sent: protocol form; nil when unassigned or absent
	// Pathless says that the value's key named the target: a provider that
	// sends back what it read includes read-only values.
	Pathless bool
}

// Request is a parsed PATCH.
type Request struct {
	Resource   *schema.Resource
	Ops        []Op
	reading    *dialect.Reading
	attributes int // operations on anything but members
}

// maxOps bounds the operations on attributes, each of which may look at every
// value of one. Those on members are cheap and have no bound.
const maxOps = 1000

// Parse reads a PatchOp message.
func Parse(r *schema.Resource, o protocol.Object, reading *dialect.Reading) (*Request, error) {
	if err := checkMessage(o, reading); err != nil {
		return nil, err
	}
	v, _ := o.Get("Operations")
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return nil, protocol.Errorf(protocol.InvalidSyntax, "Operations", "Operations is %s; send an array with at least one operation", protocol.Kind(v))
	}
	req := &Request{Resource: r, reading: reading}
	for i, e := range list {
		operation, ok := e.(protocol.Object)
		if !ok {
			return nil, protocol.Errorf(protocol.InvalidSyntax, "Operations", "operation %d is %s; send an object with op, path and value", i+1, protocol.Kind(e))
		}
		if err := req.parse(operation); err != nil {
			return nil, err
		}
	}
	return req, nil
}

func checkMessage(o protocol.Object, reading *dialect.Reading) error {
	v, _ := o.Get("schemas")
	urns, _ := v.([]any)
	for _, u := range urns {
		if urn, ok := u.(string); ok && strings.EqualFold(urn, protocol.MessagePatch) {
			return nil
		}
	}
	if !reading.Allow(dialect.SchemasMissing) {
		return protocol.Errorf(protocol.InvalidSyntax, "schemas", "schemas does not list %s; add it", protocol.MessagePatch)
	}
	return nil
}

func (req *Request) parse(o protocol.Object) error {
	kind, err := req.kind(o)
	if err != nil {
		return err
	}
	value, hasValue := o.Get("value")
	path, _ := o.Get("path")
	if !hasValue && kind != Remove {
		return protocol.Errorf(protocol.InvalidValue, "value", "an operation %q has no value; send one, or use remove", kind)
	}
	switch text, isText := path.(string); {
	case isText && text != "":
		return req.addPath(kind, text, value)
	case path != nil && !isText:
		return protocol.Errorf(protocol.InvalidPath, "path", "path is %s; send a string", protocol.Kind(path))
	case kind == Remove:
		return protocol.Errorf(protocol.NoTarget, "path", "a remove needs a path (RFC 7644 §3.5.2.2)")
	}
	attributes, ok := value.(protocol.Object)
	if !ok {
		return protocol.Errorf(protocol.InvalidValue, "value", "an operation without path has %s as value; send an object of attributes, or a path", protocol.Kind(value))
	}
	return req.expand(kind, attributes)
}

func (req *Request) kind(o protocol.Object) (Kind, error) {
	v, _ := o.Get("op")
	text, _ := v.(string)
	kind := Kind(strings.ToLower(text))
	switch kind {
	case Add, Remove, Replace:
	default:
		return "", protocol.Errorf(protocol.InvalidSyntax, "op", "op is %s; send add, remove or replace", protocol.Quote(text))
	}
	if text != string(kind) { // text is compared without case where no schema says otherwise (RFC 7643 §2.2)
		req.reading.Note(dialect.OpCase)
	}
	return kind, nil
}

// addPath adds an operation with a path.
func (req *Request) addPath(kind Kind, text string, value any) error {
	path, err := filter.ParsePath(text)
	if err != nil {
		return err
	}
	t, ok := req.Resource.Resolve(path.Attr, req.reading)
	if !ok {
		if isPassword(path.Attr) {
			return schema.Unknown("password", req.reading)
		}
		return protocol.Errorf(protocol.InvalidPath, "path", "the path names %s, which is not defined for a %s; see /Schemas", protocol.Quote(path.Attr), req.Resource.Name)
	}
	if t.Attribute == nil {
		return req.addExtension(kind, t.Extension, value)
	}
	op := Op{Kind: kind, Target: t, Value: value}
	if path.Filter != nil {
		if err := req.bind(&op, path); err != nil {
			return err
		}
	}
	return req.add(op)
}

func isPassword(path string) bool {
	return strings.EqualFold(path, "password") || strings.EqualFold(path, schema.URNUser+":password")
}

func (req *Request) bind(op *Op, path filter.Path) error {
	a := op.Target.Attribute
	if op.Target.Sub != nil || !a.MultiValued() {
		return protocol.Errorf(protocol.InvalidPath, "path", "%s has no elements to choose from; leave the brackets out", a.Path())
	}
	binder := filter.Binder{Resource: req.Resource, Reading: req.reading}
	f, err := binder.BindElement(a, path.Filter)
	if err != nil {
		return err
	}
	op.Filter = f
	if seed, ok := filter.Seed(a, path.Filter, req.reading); ok {
		op.Seed = seed
	}
	if path.Sub == "" {
		return nil
	}
	if op.Target.Sub = a.Sub(path.Sub); op.Target.Sub == nil {
		return protocol.Errorf(protocol.InvalidPath, "path", "%s has no sub-attribute %s; see /Schemas", a.Path(), protocol.Quote(path.Sub))
	}
	return nil
}

// add appends an operation unless the target may not be written. Read-only
// targets are refused (RFC 7644 §3.5.2), but a path-less operation that only
// repeats what is there is let through to Apply, which compares.
func (req *Request) add(op Op) error {
	if a := op.Target.Attribute; a.Schema == nil && a.Key == "schemas" {
		return nil // computed from what the resource holds
	}
	if op.Target.ReadOnly() && !op.Pathless {
		return readOnly(op.Target.Leaf())
	}
	if !req.isMembers(op) {
		if req.attributes++; req.attributes > maxOps {
			return protocol.Errorf(protocol.InvalidValue, "Operations", "the request changes attributes more than %d times; send less at once", maxOps)
		}
	}
	req.Ops = append(req.Ops, op)
	return nil
}

func readOnly(a *schema.Attribute) error {
	return protocol.Errorf(protocol.Mutability, a.Path(), "%s is read-only; leave it out", a.Path())
}

// expand turns a path-less value into one operation for each member. Keys may be
// dotted or qualified by a URN: Entra ID sends such.
func (req *Request) expand(kind Kind, attributes protocol.Object) error {
	for _, m := range attributes {
		if req.Resource.IsBase(m.Name) {
			core, err := schema.CoreObject(m, req.reading)
			if err != nil {
				return err
			}
			if err := req.expand(kind, core); err != nil {
				return err
			}
			continue
		}
		if x := req.Resource.Extension(m.Name); x != nil {
			if err := req.addExtension(kind, x, m.Value); err != nil {
				return err
			}
			continue
		}
		if a := req.Resource.Core(m.Name); a != nil {
			if err := req.add(Op{Kind: kind, Target: schema.Target{Attribute: a}, Value: m.Value, Pathless: true}); err != nil {
				return err
			}
			continue
		}
		if err := req.expandKey(kind, m); err != nil {
			return err
		}
	}
	return nil
}

func (req *Request) expandKey(kind Kind, m protocol.Member) error {
	path, err := filter.ParsePath(m.Name)
	if err != nil {
		return schema.Unknown(m.Name, req.reading)
	}
	t, ok := req.Resource.Resolve(path.Attr, req.reading)
	if !ok || t.Attribute == nil {
		return schema.Unknown(m.Name, req.reading)
	}
	if !req.reading.Allow(dialect.PathlessTargetInKey) {
		return protocol.Errorf(protocol.InvalidPath, "value", "the key %s is a path; send it as the operation's path", protocol.Quote(m.Name))
	}
	op := Op{Kind: kind, Target: t, Value: m.Value, Pathless: true}
	if path.Filter != nil {
		if err := req.bind(&op, path); err != nil {
			return err
		}
	}
	return req.add(op)
}

// addExtension adds an operation for each member of an extension's object; to
// remove or unassign the whole means all that clients may write.
func (req *Request) addExtension(kind Kind, x *schema.Schema, value any) error {
	if kind == Remove || value == nil {
		for _, a := range x.Attributes {
			if !a.ReadOnly() {
				req.Ops = append(req.Ops, Op{Kind: Remove, Target: schema.Target{Extension: x, Attribute: a}})
			}
		}
		return nil
	}
	o, ok := value.(protocol.Object)
	if !ok {
		return protocol.Errorf(protocol.InvalidValue, x.URN, "%s is %s; send an object", x.URN, protocol.Kind(value))
	}
	for _, m := range o {
		t, ok := req.Resource.Resolve(x.URN+":"+m.Name, req.reading)
		if !ok {
			if err := schema.Unknown(x.URN+":"+m.Name, req.reading); err != nil {
				return err
			}
			continue
		}
		if err := req.add(Op{Kind: kind, Target: t, Value: m.Value, Pathless: true}); err != nil {
			return err
		}
	}
	return nil
}

// RepeatsReadOnly says whether some operation names a read-only target, so that
// Apply needs the current representation to compare with.
func (req *Request) RepeatsReadOnly() bool {
	return slices.ContainsFunc(req.Ops, func(op Op) bool { return op.Target.ReadOnly() })
}
