// Package schema says what resources look like: the RFC 7643 schemas and
// Healthix's own, name lookup, typed decoding, and the folded shadow that
// comparisons read. It keeps nothing and answers no request.
package schema

import (
	_ "embed"
	"encoding/json"
	"strings"

	model "github.com/elimity-com/scim/schema"
)

// Schema URNs.
const (
	URNUser       = model.UserSchema
	URNGroup      = model.GroupSchema
	URNEnterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	URNHealthix   = "urn:ietf:params:scim:schemas:extension:healthix:2.0:User"
)

// Type is an attribute's data type (RFC 7643 §2.3).
type Type string

// The data types.
const (
	String    Type = "string"
	Boolean   Type = "boolean"
	Decimal   Type = "decimal"
	Integer   Type = "integer"
	DateTime  Type = "dateTime"
	Binary    Type = "binary"
	Reference Type = "reference"
	Complex   Type = "complex"
)

// Attribute is one attribute with its characteristics (RFC 7643 §7). It wraps
// the library's model with what the engine looks up on every request.
type Attribute struct {
	model.CoreAttribute
	Key    string // Name in lower case, as folded documents have it
	Type   Type
	Schema *Schema    // nil for common attributes
	Parent *Attribute // of a sub-attribute
	Subs   []*Attribute
}

// ReadOnly says whether clients may not write the attribute.
func (a *Attribute) ReadOnly() bool { return a.Mutability() == "readOnly" }

// Sub finds a sub-attribute in any letter case.
func (a *Attribute) Sub(name string) *Attribute { return find(a.Subs, name) }

// Path is the attribute's name as errors and logs show it.
func (a *Attribute) Path() string {
	switch {
	case a.Parent != nil:
		return a.Parent.Path() + "." + a.Name()
	case a.Schema != nil && a.Schema.Extension:
		return a.Schema.URN + ":" + a.Name()
	}
	return a.Name()
}

// Schema is one schema and its attributes.
type Schema struct {
	model.Schema
	URN        string
	Key        string // URN in lower case
	Extension  bool
	Attributes []*Attribute
}

// Attribute finds an attribute in any letter case.
func (s *Schema) Attribute(name string) *Attribute { return find(s.Attributes, name) }

// Resource is a resource type: its endpoint and its schemas.
type Resource struct {
	Name        string
	Endpoint    string
	Description string
	Base        *Schema
	Extensions  []*Schema
	// Common attributes belong to every resource (RFC 7643 §3.1).
	Common []*Attribute
}

// Schemas lists the base schema and the extensions.
func (r *Resource) Schemas() []*Schema { return append([]*Schema{r.Base}, r.Extensions...) }

// Extension finds an extension by its URN in any letter case.
func (r *Resource) Extension(urn string) *Schema {
	for _, x := range r.Extensions {
		if strings.EqualFold(x.URN, urn) {
			return x
		}
	}
	return nil
}

// Core finds a common or base attribute in any letter case.
func (r *Resource) Core(name string) *Attribute {
	if a := find(r.Common, name); a != nil {
		return a
	}
	return r.Base.Attribute(name)
}

func find(list []*Attribute, name string) *Attribute {
	for _, a := range list {
		if strings.EqualFold(a.Key, name) {
			return a
		}
	}
	return nil
}

// The schema documents as published, RFC 7643 §8.7.1 with its verified errata
// (5368, 8471, 8472) and without password, which is never kept.
var (
	//go:embed user.json
	userJSON []byte
	//go:embed group.json
	groupJSON []byte
	//go:embed enterprise.json
	enterpriseJSON []byte
	//go:embed healthix.json
	healthixJSON []byte
)

// The resource types served.
var (
	User = &Resource{
		Name: "User", Endpoint: "/Users", Description: "User Account",
		Base:       load(userJSON, false),
		Extensions: []*Schema{load(enterpriseJSON, true), load(healthixJSON, true)},
		Common:     common(),
	}
	Group = &Resource{
		Name: "Group", Endpoint: "/Groups", Description: "Group",
		Base:   load(groupJSON, false),
		Common: common(),
	}
	// Resources lists them in the order in which a root query answers.
	Resources = []*Resource{User, Group}
)

// load panics on a broken document: they are part of the program.
func load(document []byte, extension bool) *Schema {
	s := &Schema{Extension: extension}
	if err := json.Unmarshal(document, &s.Schema); err != nil {
		panic("schema document: " + err.Error())
	}
	s.URN, s.Key = s.ID, strings.ToLower(s.ID)
	s.Attributes = wrap(s.Schema.Attributes, s, nil)
	return s
}

func common() []*Attribute { return wrap(model.CommonAttributes(), nil, nil) }

func wrap(attributes []model.CoreAttribute, s *Schema, parent *Attribute) []*Attribute {
	list := make([]*Attribute, 0, len(attributes))
	for _, core := range attributes {
		a := &Attribute{CoreAttribute: core, Key: strings.ToLower(core.Name()), Type: Type(core.AttributeType()), Schema: s, Parent: parent}
		a.Subs = wrap(core.SubAttributes(), s, a)
		list = append(list, a)
	}
	return list
}
