package render

import (
	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/schema"
)

// Projection says which attributes an answer shows (RFC 7644 §3.9). The zero
// value shows all that is returned by default.
type Projection struct {
	// Named is set when the client named the attributes to show.
	Named   bool
	include selection
	exclude selection
}

// selection is a set of attributes; an extension stands for all of its own.
type selection struct {
	extensions map[*schema.Schema]bool
	attributes map[*schema.Attribute]bool // and sub-attributes
	parents    map[*schema.Attribute]bool // attributes of which only subs are named
}

// Project reads attributes and excludedAttributes for one resource type. Names
// that the type does not know select nothing.
func Project(r *schema.Resource, attributes, excluded []string, reading *dialect.Reading) (Projection, error) {
	if len(attributes) > 0 && len(excluded) > 0 {
		return Projection{}, protocol.Errorf(protocol.InvalidValue, "attributes", "attributes and excludedAttributes exclude one another; send one of them")
	}
	return Projection{
		Named:   len(attributes) > 0,
		include: choose(r, attributes, reading),
		exclude: choose(r, excluded, reading),
	}, nil
}

func choose(r *schema.Resource, paths []string, reading *dialect.Reading) selection {
	if len(paths) == 0 {
		return selection{}
	}
	s := selection{map[*schema.Schema]bool{}, map[*schema.Attribute]bool{}, map[*schema.Attribute]bool{}}
	for _, path := range paths {
		t, ok := r.Resolve(path, reading)
		switch {
		case !ok:
		case t.Attribute == nil:
			s.extensions[t.Extension] = true
		case t.Sub != nil:
			s.attributes[t.Sub] = true
			s.parents[t.Attribute] = true
		default:
			s.attributes[t.Attribute] = true
		}
	}
	return s
}

func (s selection) has(a *schema.Attribute) bool {
	return s.attributes[a] || a.Schema != nil && a.Schema.Extension && s.extensions[a.Schema]
}

// Shows says whether the attribute, or a part of it, is to be shown. What is
// returned always cannot be hidden, nor what a reader needs to read at all.
func (p Projection) Shows(a *schema.Attribute) bool {
	switch {
	case a.Returned() == "never":
		return false
	case a.Returned() == "always", a.Schema == nil && a.Key == "schemas":
		return true
	}
	if p.Named {
		return p.include.has(a) || p.include.parents[a]
	}
	return a.Returned() != "request" && !p.exclude.has(a)
}

// showsSub says whether a sub-attribute is to be shown, given that its parent
// is, at least in part.
func (p Projection) showsSub(sub *schema.Attribute) bool {
	if p.Named {
		return p.include.has(sub.Parent) || p.include.attributes[sub]
	}
	return !p.exclude.attributes[sub]
}

// whole says whether every sub-value is to be shown, also such as no schema
// defines.
func (p Projection) whole(a *schema.Attribute) bool {
	return !p.Named || p.include.has(a)
}
