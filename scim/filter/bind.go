package filter

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/schema"
	"github.com/healthix/healthix-scim/storage"
)

// Constant results.
var (
	always = storage.And{}
	never  = storage.Or{}
)

// Binder binds parsed filters to one resource type.
type Binder struct {
	Resource *schema.Resource
	Reading  *dialect.Reading
	// Others are the types that a root query spans beside Resource: what only
	// they define has no value here (RFC 7644 §3.4.2.1).
	Others []*schema.Resource
	// Location is the URL prefix of the type's resources, for meta.location.
	Location string
}

// Bind checks a filter on whole resources and lowers it to storage's tree:
// typed fields where they exist, the folded document else.
func (b *Binder) Bind(e Expr) (storage.Filter, error) {
	switch e := e.(type) {
	case And:
		list, err := b.each(e, b.Bind)
		return storage.And(list), err
	case Or:
		list, err := b.each(e, b.Bind)
		return storage.Or(list), err
	case Not:
		f, err := b.Bind(e.Expr)
		return storage.Not{Filter: f}, err
	case ValuePath:
		return b.valuePath(e)
	case Compare:
		return b.compare(e)
	}
	return nil, protocol.Errorf(protocol.InvalidFilter, "filter", "the filter is empty; send a comparison or leave it out")
}

// BindElement checks a filter on one element of the attribute, as a PATCH path
// holds it; Match evaluates the result on a folded element.
func (b *Binder) BindElement(a *schema.Attribute, e Expr) (storage.Filter, error) {
	bind := func(e Expr) (storage.Filter, error) { return b.BindElement(a, e) }
	switch e := e.(type) {
	case And:
		list, err := b.each(e, bind)
		return storage.And(list), err
	case Or:
		list, err := b.each(e, bind)
		return storage.Or(list), err
	case Not:
		f, err := bind(e.Expr)
		return storage.Not{Filter: f}, err
	case Compare:
		sub := a.Sub(e.Path)
		if sub == nil && len(a.Subs) == 0 && strings.EqualFold(e.Path, "value") {
			return b.typed(a, nil, e) // elements of a simple attribute answer to "value"
		}
		if sub == nil {
			return nil, unknown(a.Path() + "[" + e.Path + "]")
		}
		return b.typed(sub, []string{sub.Key}, e)
	}
	return nil, protocol.Errorf(protocol.InvalidFilter, a.Path(), "brackets cannot stand inside brackets")
}

func (b *Binder) each(list []Expr, bind func(Expr) (storage.Filter, error)) ([]storage.Filter, error) {
	out := make([]storage.Filter, len(list))
	for i, e := range list {
		f, err := bind(e)
		if err != nil {
			return nil, err
		}
		out[i] = f
	}
	return out, nil
}

func (b *Binder) valuePath(e ValuePath) (storage.Filter, error) {
	t, known, err := b.resolve(e.Path)
	if err != nil {
		return nil, err
	}
	if !known {
		return never, nil
	}
	a := t.Leaf()
	switch {
	case a == nil, t.Sub != nil, a.Type != schema.Complex && !a.MultiValued():
		return nil, protocol.Errorf(protocol.InvalidFilter, e.Path, "%s has no elements to choose from; compare it without brackets", e.Path)
	case isMembership(b.Resource, a):
		return b.membership(a, e.Filter)
	}
	inner, err := b.BindElement(a, e.Filter)
	if err != nil {
		return nil, err
	}
	return storage.Element{Path: documentPath(t), Filter: inner}, nil
}

// isMembership says whether the attribute is kept as rows of its own, which
// know the other side's id and no more.
func isMembership(r *schema.Resource, a *schema.Attribute) bool {
	return r == schema.User && a.Key == "groups" || r == schema.Group && a.Key == "members"
}

func (b *Binder) membership(a *schema.Attribute, e Expr) (storage.Filter, error) {
	switch e := e.(type) {
	case Or: // one element holds p or q exactly when one holds p or one holds q
		list, err := b.each(e, func(e Expr) (storage.Filter, error) { return b.membership(a, e) })
		return storage.Or(list), err
	case Compare:
		switch sub := a.Sub(e.Path); {
		case sub == nil || e.Op != "eq":
		case sub.Key == "value":
			return b.field(membershipField(b.Resource), sub, e)
		case sub.Key == "$ref":
			return b.membershipRef(sub, e)
		}
	}
	return nil, protocol.Errorf(protocol.InvalidFilter, a.Path(), "%s can be searched by value eq \"id\" or $ref eq \"url\" only, joined with or", a.Path())
}

// membershipRef reads a URL of ours as the id at its end; any other is nobody's.
func (b *Binder) membershipRef(a *schema.Attribute, e Compare) (storage.Filter, error) {
	field := membershipField(b.Resource)
	if present, ok := presence(e); ok {
		return negate(storage.Cmp{Field: field, Op: storage.OpPresent}, !present), nil
	}
	if e.Op != "eq" && e.Op != "ne" {
		return nil, protocol.Errorf(protocol.InvalidFilter, a.Path(), "%s is computed; compare it with eq or ne", a.Path())
	}
	v, err := b.operand(a, e)
	if err != nil {
		return nil, err
	}
	service := strings.TrimSuffix(b.Location, b.Resource.Endpoint)
	for _, r := range schema.Resources {
		id, ours := strings.CutPrefix(v.(string), service+r.Endpoint+"/")
		if ours && (field == storage.FieldMember || r == schema.Group) {
			return storage.Cmp{Field: field, Op: storage.Op(e.Op), Value: id}, nil
		}
	}
	return negate(never, e.Op == "ne"), nil
}

func membershipField(r *schema.Resource) storage.Field {
	if r == schema.User {
		return storage.FieldGroup
	}
	return storage.FieldMember
}

// resolve finds what a path names. known is false when only another type of a
// root query defines it.
func (b *Binder) resolve(path string) (t schema.Target, known bool, err error) {
	if t, ok := b.Resource.Resolve(path, b.Reading); ok {
		return t, true, nil
	}
	for _, other := range b.Others {
		if t, ok := other.Resolve(path, b.Reading); ok {
			return t, false, nil
		}
	}
	return t, false, unknown(path)
}

func unknown(path string) error {
	if name := strings.ToLower(path); name == "password" || strings.HasSuffix(name, ":password") {
		return protocol.Errorf(protocol.InvalidFilter, "password", "password is never kept and cannot be searched")
	}
	return protocol.Errorf(protocol.InvalidFilter, protocol.Quote(path), "attribute %s is not defined for this resource; see /Schemas", protocol.Quote(path))
}

func (b *Binder) compare(e Compare) (storage.Filter, error) {
	t, known, err := b.resolve(e.Path)
	if err != nil {
		return nil, err
	}
	a := t.Leaf()
	if !known {
		// No value: ne holds, eq null holds, nothing else does.
		if (e.Op == "ne") == (e.Value != nil) && (e.Op == "ne" || e.Op == "eq") {
			return always, nil
		}
		return never, nil
	}
	if a == nil {
		return b.extension(t, e)
	}
	if a.Type == schema.Complex && e.Op != "pr" && e.Value != nil {
		value := a.Sub("value")
		if value == nil {
			return nil, protocol.Errorf(protocol.InvalidFilter, a.Path(), "%s is complex; name a sub-attribute, as in %s.%s", a.Path(), a.Name(), a.Subs[0].Name())
		}
		t.Sub, a = value, value
	}
	switch root := t.Attribute; {
	case root.Schema == nil && root.Key == "schemas":
		return b.schemas(root, e)
	case root.Schema == nil && root.Key == "meta":
		return b.meta(t, e)
	case isMembership(b.Resource, root):
		if a != root && a.Key == "$ref" {
			return b.membershipRef(a, e)
		}
		if a != root && a.Key != "value" {
			return nil, protocol.Errorf(protocol.InvalidFilter, a.Path(), "%s is computed and cannot be searched; use %s.value", a.Path(), root.Path())
		}
		return b.field(membershipField(b.Resource), a, e)
	}
	if field, ok := fieldOf(b.Resource, a); ok {
		return b.field(field, a, e)
	}
	if a.Path() == "emails.value" && e.Op == "eq" {
		return b.field(storage.FieldEmail, a, e)
	}
	return b.typed(a, documentPath(t), e)
}

// extension compares a whole extension, which only pr and null make sense of.
func (b *Binder) extension(t schema.Target, e Compare) (storage.Filter, error) {
	present, ok := presence(e)
	if !ok {
		return nil, protocol.Errorf(protocol.InvalidFilter, t.Extension.URN, "%s is an extension; name one of its attributes", t.Extension.URN)
	}
	return negate(b.hasExtension(t.Extension), !present), nil
}

func (b *Binder) hasExtension(x *schema.Schema) storage.Filter {
	if x.URN == schema.URNHealthix {
		return always // computed for every user
	}
	return storage.Attr{Path: []string{x.Key}, Op: storage.OpPresent}
}

// presence reads pr, eq null and ne null.
func presence(e Compare) (present, ok bool) {
	switch {
	case e.Op == "pr", e.Op == "ne" && e.Value == nil:
		return true, true
	case e.Op == "eq" && e.Value == nil:
		return false, true
	}
	return false, false
}

func negate(f storage.Filter, negated bool) storage.Filter {
	if negated {
		return storage.Not{Filter: f}
	}
	return f
}

// schemas compares the computed list of URNs.
func (b *Binder) schemas(a *schema.Attribute, e Compare) (storage.Filter, error) {
	if present, ok := presence(e); ok {
		return negate(always, !present), nil
	}
	v, err := b.operand(a, e)
	if err != nil {
		return nil, err
	}
	op := storage.Op(e.Op)
	if op == storage.OpNe {
		op = storage.OpEq
	}
	any := storage.Or{}
	for _, s := range b.Resource.Schemas() {
		if !compareText(op, s.Key, strings.ToLower(v.(string))) {
			continue
		}
		if !s.Extension {
			any = append(any, always)
			continue
		}
		any = append(any, b.hasExtension(s))
	}
	return negate(any, e.Op == "ne"), nil
}

func (b *Binder) meta(t schema.Target, e Compare) (storage.Filter, error) {
	if t.Sub == nil {
		if present, ok := presence(e); ok {
			return negate(always, !present), nil
		}
		return nil, protocol.Errorf(protocol.InvalidFilter, "meta", "meta is complex; name a sub-attribute, as in meta.lastModified")
	}
	switch t.Sub.Key {
	case "created":
		return b.field(storage.FieldCreated, t.Sub, e)
	case "lastmodified":
		return b.field(storage.FieldLastModified, t.Sub, e)
	case "resourcetype":
		return b.constant(b.Resource.Name, t.Sub, e)
	case "location":
		if id, ok := e.Value.(string); ok && (e.Op == "eq" || e.Op == "ne") {
			id, found := strings.CutPrefix(id, b.Location+"/")
			if !found {
				return negate(never, e.Op == "ne"), nil
			}
			return storage.Cmp{Field: storage.FieldID, Op: storage.Op(e.Op), Value: id}, nil
		}
	}
	return nil, protocol.Errorf(protocol.InvalidFilter, t.Sub.Path(), "%s cannot be searched with %s; use meta.created or meta.lastModified", t.Sub.Path(), e.Op)
}

func (b *Binder) constant(value string, a *schema.Attribute, e Compare) (storage.Filter, error) {
	if present, ok := presence(e); ok {
		return negate(always, !present), nil
	}
	v, err := b.operand(a, e)
	if err != nil {
		return nil, err
	}
	if compareText(storage.Op(e.Op), value, v.(string)) {
		return always, nil
	}
	return never, nil
}

// field lowers to a typed field.
func (b *Binder) field(field storage.Field, a *schema.Attribute, e Compare) (storage.Filter, error) {
	if present, ok := presence(e); ok {
		return negate(storage.Cmp{Field: field, Op: storage.OpPresent}, !present), nil
	}
	if e.Value == nil {
		return never, nil // nothing orders against null
	}
	if a.Type == schema.Complex {
		a = a.Sub("value")
	}
	v, err := b.operand(a, e)
	if err != nil {
		return nil, err
	}
	switch v := v.(type) {
	case time.Time:
		return instants(field, storage.Op(e.Op), v), nil
	case json.Number:
		n, err := strconv.ParseInt(string(v), 10, 64)
		if err != nil {
			return nil, protocol.Errorf(protocol.InvalidFilter, a.Path(), "%s is an integer; compare it with one", a.Path())
		}
		return storage.Cmp{Field: field, Op: storage.Op(e.Op), Value: n}, nil
	default:
		return storage.Cmp{Field: field, Op: storage.Op(e.Op), Value: v}, nil
	}
}

// instants compares times as they are shown, in milliseconds, though storage
// keeps microseconds and providers send seven digits: what was read must be
// found again by eq, and not be listed again by gt.
func instants(field storage.Field, op storage.Op, t time.Time) storage.Filter {
	floor := t.Truncate(time.Millisecond)
	next := floor.Add(time.Millisecond)
	exact := floor.Equal(t)
	from := func(t time.Time) storage.Filter {
		return storage.Cmp{Field: field, Op: storage.OpGe, Value: t}
	}
	before := func(t time.Time) storage.Filter {
		return storage.Cmp{Field: field, Op: storage.OpLt, Value: t}
	}
	switch op {
	case storage.OpEq, storage.OpNe:
		var within storage.Filter = never
		if exact {
			within = storage.And{from(floor), before(next)}
		}
		return negate(within, op == storage.OpNe)
	case storage.OpGe:
		if exact {
			return from(floor)
		}
		return from(next)
	case storage.OpGt:
		return from(next)
	case storage.OpLt:
		if exact {
			return before(floor)
		}
		return before(next)
	case storage.OpLe:
		return before(next)
	case storage.OpCo, storage.OpSw, storage.OpEw, storage.OpPresent: // operand and presence let none through
	}
	return never
}

// typed lowers to a comparison on the folded document.
func (b *Binder) typed(a *schema.Attribute, path []string, e Compare) (storage.Filter, error) {
	if present, ok := presence(e); ok {
		return negate(storage.Attr{Path: path, Op: storage.OpPresent}, !present), nil
	}
	if e.Value == nil {
		return never, nil
	}
	v, err := b.operand(a, e)
	if err != nil {
		return nil, err
	}
	switch n := v.(type) {
	case time.Time:
		v = schema.Instant(n)
	case json.Number:
		if v, err = n.Float64(); err != nil {
			return nil, protocol.Errorf(protocol.InvalidFilter, a.Path(), "the number is out of range")
		}
	case bool:
		if !n && a.Key == "primary" && a.Parent != nil {
			return negate(notPrimary(path), e.Op == "ne"), nil
		}
	}
	return storage.Attr{Path: path, Op: storage.Op(e.Op), Value: v}, nil
}

// notPrimary finds an element whose primary is false or absent, which is the
// same (RFC 7643 §2.4). A path of one name is inside brackets already.
func notPrimary(path []string) storage.Filter {
	last := len(path) - 1
	not := storage.Not{Filter: storage.Attr{Path: path[last:], Op: storage.OpEq, Value: true}}
	if last == 0 {
		return not
	}
	return storage.Element{Path: path[:last], Filter: not}
}

// operand checks operator and value against the attribute's type, and folds
// text as the document is folded.
func (b *Binder) operand(a *schema.Attribute, e Compare) (any, error) {
	text := a.Type == schema.String || a.Type == schema.Reference || a.Type == schema.Binary
	switch e.Op {
	case "co", "sw", "ew":
		if !text {
			return nil, protocol.Errorf(protocol.InvalidFilter, a.Path(), "%s is of type %s; %s compares strings", a.Path(), a.Type, e.Op)
		}
	case "gt", "ge", "lt", "le":
		if a.Type == schema.Boolean || a.Type == schema.Binary {
			return nil, protocol.Errorf(protocol.InvalidFilter, a.Path(), "%s is of type %s, which has no order; use eq or ne", a.Path(), a.Type)
		}
	}
	switch v := e.Value.(type) {
	case bool:
		if a.Type == schema.Boolean {
			return v, nil
		}
	case json.Number:
		if a.Type == schema.Integer || a.Type == schema.Decimal {
			return v, nil
		}
	case string:
		switch {
		case text:
			return a.FoldText(v), nil
		case a.Type == schema.DateTime:
			if t, ok := schema.ParseTime(v); ok {
				return t, nil
			}
		case a.Type == schema.Boolean && (strings.EqualFold(v, "true") || strings.EqualFold(v, "false")):
			if b.Reading.Allow(dialect.StringBoolean) {
				return strings.EqualFold(v, "true"), nil
			}
		}
	}
	return nil, protocol.Errorf(protocol.InvalidFilter, a.Path(), "%s is of type %s; the filter compares it with %s", a.Path(), a.Type, protocol.Kind(e.Value))
}

// documentPath is the target's place in the folded document.
func documentPath(t schema.Target) []string {
	var path []string
	if t.Extension != nil {
		path = append(path, t.Extension.Key)
	}
	path = append(path, t.Attribute.Key)
	if t.Sub != nil {
		path = append(path, t.Sub.Key)
	}
	return path
}
