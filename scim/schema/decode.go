package schema

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/storage"
)

// Members of a group are rows of their own, never part of its document.
const keyMembers = "members"

// maxIndexed is the longest value, in bytes, of an attribute that has an index
// of its own: PostgreSQL refuses index rows above 2,700 bytes.
const maxIndexed = 1024

var indexed = map[string]bool{
	"userName": true, "externalId": true, "displayName": true, "title": true,
	"name.familyName": true, "name.givenName": true, "emails.value": true,
	URNEnterprise + ":department": true,
}

// Decode reads a whole resource as POST and PUT send it. Names come out in
// canonical case; read-only attributes are ignored (RFC 7644 §3.3, §3.5.1);
// null, [] and "" leave an attribute unassigned (RFC 7643 §2.5); password is
// dropped before anything can keep it.
func (r *Resource) Decode(o protocol.Object, reading *dialect.Reading) (storage.Document, error) {
	listed, err := r.checkSchemas(o, reading)
	if err != nil {
		return nil, err
	}
	doc := storage.Document{}
	if o, err = r.flatten(o, reading); err != nil {
		return nil, err
	}
	for _, m := range o {
		if x := r.Extension(m.Name); x != nil {
			if err := r.decodeExtension(doc, x, m.Value, listed[x], reading); err != nil {
				return nil, err
			}
			continue
		}
		a := r.Core(m.Name)
		switch {
		case a == nil:
			if err := Unknown(m.Name, reading); err != nil {
				return nil, err
			}
			continue
		case a.ReadOnly(), a.Key == "schemas", r == Group && a.Key == keyMembers:
			continue
		}
		v, err := a.Value(m.Value, reading)
		if err != nil {
			return nil, err
		}
		if v != nil {
			doc[a.Name()] = v
		}
	}
	return doc, r.CheckRequired(doc)
}

// flatten reads an object under the core schema's own URN as what it says: core
// attributes. Leaving it out would lose an "active": false.
func (r *Resource) flatten(o protocol.Object, reading *dialect.Reading) (protocol.Object, error) {
	if !slices.ContainsFunc(o, func(m protocol.Member) bool { return r.IsBase(m.Name) }) {
		return o, nil
	}
	flat := make(protocol.Object, 0, len(o))
	for _, m := range o {
		if !r.IsBase(m.Name) {
			flat = append(flat, m)
			continue
		}
		inner, err := CoreObject(m, reading)
		if err != nil {
			return nil, err
		}
		flat = append(flat, inner...)
	}
	seen := map[string]bool{}
	for _, m := range flat {
		key := strings.ToLower(m.Name)
		if seen[key] {
			return nil, protocol.Errorf(protocol.InvalidSyntax, m.Name, "%s is there twice, by itself and under %s; send it once", protocol.Quote(m.Name), r.Base.URN)
		}
		seen[key] = true
	}
	return flat, nil
}

// IsBase says whether a member's name is the core schema's URN.
func (r *Resource) IsBase(name string) bool { return strings.EqualFold(name, r.Base.URN) }

// CoreObject is the object under the core schema's URN.
func CoreObject(m protocol.Member, reading *dialect.Reading) (protocol.Object, error) {
	inner, ok := m.Value.(protocol.Object)
	if !ok {
		return nil, wrongType(m.Name, "an object", m.Value)
	}
	if !reading.Allow(dialect.CoreNamed) {
		return nil, protocol.Errorf(protocol.InvalidSyntax, protocol.Quote(m.Name), "core attributes stand under the core schema's URN; send them by themselves")
	}
	return inner, nil
}

func (r *Resource) decodeExtension(doc storage.Document, x *Schema, value any, listed bool, reading *dialect.Reading) error {
	if value == nil {
		return nil
	}
	o, ok := value.(protocol.Object)
	if !ok {
		return wrongType(x.URN, "an object", value)
	}
	if !listed && !reading.Allow(dialect.ExtensionUnlisted) {
		return protocol.Errorf(protocol.InvalidSyntax, "schemas", "the body holds an object under %s, which schemas does not list; list the URN", x.URN)
	}
	out := map[string]any{}
	for _, m := range o {
		a := x.Attribute(m.Name)
		if a == nil {
			if err := Unknown(x.URN+":"+m.Name, reading); err != nil {
				return err
			}
			continue
		}
		if a.ReadOnly() {
			continue
		}
		v, err := a.Value(m.Value, reading)
		if err != nil {
			return err
		}
		if v != nil {
			out[a.Name()] = v
		}
	}
	if len(out) > 0 {
		doc[x.URN] = out
	}
	return nil
}

// checkSchemas reads the schemas attribute and answers the extensions listed.
func (r *Resource) checkSchemas(o protocol.Object, reading *dialect.Reading) (map[*Schema]bool, error) {
	listed := map[*Schema]bool{}
	v, _ := o.Get("schemas")
	if v == nil {
		if !reading.Allow(dialect.SchemasMissing) {
			return nil, protocol.Errorf(protocol.InvalidSyntax, "schemas", "schemas is missing; send [%q]", r.Base.URN)
		}
		return listed, nil
	}
	urns, ok := v.([]any)
	if !ok {
		return nil, wrongSchemas(v)
	}
	var base bool
	seen := map[string]bool{}
	for _, u := range urns {
		urn, ok := u.(string)
		if !ok {
			return nil, wrongSchemas(u)
		}
		key := strings.ToLower(urn)
		if seen[key] && !reading.Allow(dialect.SchemasRepeated) {
			return nil, protocol.Errorf(protocol.InvalidSyntax, "schemas", "schemas lists %s twice; list it once", protocol.Quote(urn))
		}
		seen[key] = true
		if strings.EqualFold(urn, r.Base.URN) {
			base = true
		} else if x := r.Extension(urn); x != nil {
			listed[x] = true
		} else if !reading.Allow(dialect.SchemasUnknown) {
			return nil, protocol.Errorf(protocol.InvalidSyntax, "schemas", "schemas lists %s, which this endpoint does not serve; see /ResourceTypes/%s", protocol.Quote(urn), r.Name)
		}
	}
	if !base && !reading.Allow(dialect.SchemasMissing) {
		return nil, protocol.Errorf(protocol.InvalidSyntax, "schemas", "schemas does not list %s; add it", r.Base.URN)
	}
	return listed, nil
}

func wrongSchemas(v any) error {
	return protocol.Errorf(protocol.InvalidSyntax, "schemas", "schemas holds %s where an array of URN strings is expected", protocol.Kind(v))
}

// Unknown notes an attribute that no schema defines, or refuses it when the
// reading is strict. Only the name is kept.
func Unknown(name string, reading *dialect.Reading) error {
	if strings.EqualFold(name, "password") {
		if !reading.Allow(dialect.PasswordDropped) {
			return protocol.Errorf(protocol.InvalidValue, "password", "password is not accepted here: credentials are issued by Healthix; leave it out")
		}
		return nil
	}
	if !reading.Drop(name) {
		return protocol.Errorf(protocol.InvalidSyntax, protocol.Quote(name), "attribute %s is defined by no schema of this resource; see /Schemas, or leave it out", protocol.Quote(name))
	}
	return nil
}

// CheckRequired refuses a resource without its required attributes.
func (r *Resource) CheckRequired(doc storage.Document) error {
	for _, a := range r.Base.Attributes {
		if !a.Required() {
			continue
		}
		if s, _ := doc[a.Name()].(string); strings.TrimSpace(s) == "" {
			return protocol.Errorf(protocol.InvalidValue, a.Name(), "%s is missing or empty; every %s needs one", a.Name(), r.Name)
		}
	}
	return nil
}

// Value checks and converts what was sent for the attribute as a whole: a list
// when it is multi-valued. Nil means unassigned.
func (a *Attribute) Value(v any, reading *dialect.Reading) (any, error) {
	if !a.MultiValued() {
		if list, ok := v.([]any); ok && a.Type == Complex {
			switch len(list) {
			case 0:
				return nil, nil
			case 1:
				if reading.Allow(dialect.ArrayAsSingle) {
					v = list[0]
				}
			}
		}
		return a.One(v, reading)
	}
	if v == nil || v == "" {
		return nil, nil
	}
	list, ok := v.([]any)
	if !ok {
		if !reading.Allow(dialect.SingleAsArray) {
			return nil, wrongType(a.Path(), "an array", v)
		}
		list = []any{v}
	}
	if err := a.CheckCount(len(list)); err != nil {
		return nil, err
	}
	out := make([]any, 0, len(list))
	for _, e := range list {
		one, err := a.One(e, reading)
		if err != nil {
			return nil, err
		}
		if one != nil {
			out = append(out, one)
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	if err := a.checkPrimary(out, reading); err != nil {
		return nil, err
	}
	return a.Join(nil, out), nil
}

// maxElements bounds the values of one attribute, so that operations which look
// at each of them stay cheap. Members of a group are rows and have no bound.
const maxElements = 1000

// CheckCount refuses more values than an attribute may have.
func (a *Attribute) CheckCount(n int) error {
	if n > maxElements && !a.isMembers() {
		return protocol.Errorf(protocol.InvalidValue, a.Path(), "%s would have %d values; at most %d are kept", a.Path(), n, maxElements)
	}
	return nil
}

func (a *Attribute) isMembers() bool {
	return a.Key == keyMembers && a.Schema != nil && a.Schema.URN == URNGroup
}

// Join adds elements to a list of the attribute's. One that has value and type of
// another takes its place sub-value by sub-value, for such pairs stay unique (RFC
// 7643 §2.4), and what is there already is not added (RFC 7644 §3.5.2.1). A new
// primary unsets the one before (§3.5.2).
func (a *Attribute) Join(list, more []any) []any {
	if a.isMembers() {
		return append(list, more...) // the store keeps them apart
	}
	if list == nil && len(more) == 1 {
		return more
	}
	at := make(map[string]int, len(list)+len(more))
	for i, e := range list {
		at[a.identity(e)] = i
	}
	primary := -1
	for _, e := range more {
		key := a.identity(e)
		i, have := at[key]
		object, complex := e.(map[string]any)
		switch {
		case !have:
			i = len(list)
			at[key] = i
			list = append(list, e)
		case complex:
			maps.Copy(list[i].(map[string]any), object)
		}
		if complex && object["primary"] == true {
			primary = i
		}
	}
	if primary >= 0 {
		Demote(list, primary)
	}
	return list
}

// Demote unsets every primary but one.
func Demote(list []any, but int) {
	for i, e := range list {
		if object, ok := e.(map[string]any); ok && i != but && object["primary"] == true {
			object["primary"] = false
		}
	}
}

// identity is what makes an element the same as another: value and type, or all
// of it where it has no value.
func (a *Attribute) identity(e any) string {
	folded := a.Fold(e)
	if object, ok := folded.(map[string]any); ok && object["value"] != nil {
		folded = []any{object["value"], object["type"]}
	} else if ok {
		folded = e
	}
	text, err := json.Marshal(folded)
	if err != nil { // documents hold what was JSON before
		panic(err)
	}
	return string(text)
}

// checkPrimary keeps at most one primary (RFC 7643 §2.4).
func (a *Attribute) checkPrimary(list []any, reading *dialect.Reading) error {
	seen := false
	for _, e := range list {
		element, ok := e.(map[string]any)
		if !ok || element["primary"] != true {
			continue
		}
		if seen {
			if !reading.Allow(dialect.SecondPrimary) {
				return protocol.Errorf(protocol.InvalidValue, a.Path(), "%s marks more than one value primary; mark one (RFC 7643 §2.4)", a.Path())
			}
			element["primary"] = false
		}
		seen = true
	}
	return nil
}

// One checks and converts a single value, or one element of a multi-valued
// attribute. Nil means unassigned.
func (a *Attribute) One(v any, reading *dialect.Reading) (any, error) {
	if v == nil || v == "" {
		return nil, nil
	}
	switch a.Type {
	case Complex:
		return a.object(v, reading)
	case Boolean:
		return a.boolean(v, reading)
	case Integer, Decimal:
		n, ok := v.(json.Number)
		if !ok || a.Type == Integer && strings.ContainsAny(string(n), ".eE") {
			return nil, wrongType(a.Path(), "a number of type "+string(a.Type), v)
		}
		return n, nil
	case String, DateTime, Binary, Reference:
	}
	return a.text(v, reading)
}

func (a *Attribute) boolean(v any, reading *dialect.Reading) (any, error) {
	switch b := v.(type) {
	case bool:
		return b, nil
	case string:
		t, f := strings.EqualFold(b, "true"), strings.EqualFold(b, "false")
		if (t || f) && reading.Allow(dialect.StringBoolean) {
			return t, nil
		}
	}
	return nil, wrongType(a.Path(), "true or false", v)
}

// object converts a complex value. Sub-values that no schema defines stay, as
// sent: a provider that reads its own writes finds them again.
func (a *Attribute) object(v any, reading *dialect.Reading) (any, error) {
	o, ok := v.(protocol.Object)
	if !ok {
		value := a.Sub("value")
		_, isText := v.(string)
		if value == nil || !isText || !reading.Allow(dialect.BareValue) {
			return nil, wrongType(a.Path(), "an object", v)
		}
		o = protocol.Object{{Name: "value", Value: v}}
	}
	out := map[string]any{}
	for _, m := range o {
		sub := a.Sub(m.Name)
		if sub == nil {
			if kept := Plain(m.Value); kept != nil {
				out[m.Name] = kept
			}
			continue
		}
		if sub.ReadOnly() {
			continue
		}
		one, err := sub.One(m.Value, reading)
		if err != nil {
			return nil, err
		}
		if one != nil {
			out[sub.Name()] = one
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, nil
}

// Plain turns a wire value into document form without a schema; unassigned
// values become nil.
func Plain(v any) any {
	switch v := v.(type) {
	case protocol.Object:
		out := map[string]any{}
		for _, m := range v {
			if kept := Plain(m.Value); kept != nil {
				out[m.Name] = kept
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, e := range v {
			if kept := Plain(e); kept != nil {
				out = append(out, kept)
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case string:
		if v == "" {
			return nil
		}
		return v
	default:
		return v
	}
}

func wrongType(path, want string, got any) error {
	return protocol.Errorf(protocol.InvalidValue, path, "%s is %s; send %s", path, protocol.Kind(got), want)
}
