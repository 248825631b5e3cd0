package schema

import (
	"strings"

	"github.com/healthix/healthix-scim/scim/dialect"
)

// Target is what an attribute path names: a whole extension (Attribute nil), an
// attribute, or one of its sub-attributes.
type Target struct {
	Extension *Schema // nil for the core
	Attribute *Attribute
	Sub       *Attribute
}

// Leaf is the attribute or sub-attribute named; nil for a whole extension.
func (t Target) Leaf() *Attribute {
	if t.Sub != nil {
		return t.Sub
	}
	return t.Attribute
}

// ReadOnly says whether clients may not write the target.
func (t Target) ReadOnly() bool {
	if t.Attribute == nil {
		return false
	}
	return t.Attribute.ReadOnly() || t.Sub != nil && t.Sub.ReadOnly()
}

// Resolve finds what a path of the form [URN ":"] name ["." sub] names, in any
// letter case. A colon or the dot in "2.0" cannot be told from a separator by
// sight, so URNs are matched against the known ones (RFC 7644 §3.10).
func (r *Resource) Resolve(path string, reading *dialect.Reading) (Target, bool) {
	if len(path) > 4 && strings.EqualFold(path[:4], "urn:") {
		for _, s := range r.Schemas() {
			if t, ok := r.resolveIn(s, path, reading); ok {
				return t, true
			}
		}
		return Target{}, false
	}
	if t, ok := r.resolveName(nil, path); ok {
		return t, true
	}
	// Bare names mean the core schema (RFC 7644 §3.10), but Entra ID asks for
	// manager eq "…", which can mean one thing only.
	for _, x := range r.Extensions {
		if t, ok := r.resolveName(x, path); ok {
			return t, reading.Allow(dialect.ExtensionUnnamed)
		}
	}
	return Target{}, false
}

func (r *Resource) resolveIn(s *Schema, path string, reading *dialect.Reading) (Target, bool) {
	if len(path) < len(s.URN) || !strings.EqualFold(path[:len(s.URN)], s.URN) {
		return Target{}, false
	}
	rest := path[len(s.URN):]
	if rest == "" {
		return Target{Extension: s}, s.Extension
	}
	switch rest[0] {
	case ':':
	case '.':
		if !reading.Allow(dialect.URNDot) {
			return Target{}, false
		}
	default:
		return Target{}, false
	}
	if !s.Extension {
		s = nil // the core under its full name
	}
	return r.resolveName(s, rest[1:])
}

func (r *Resource) resolveName(s *Schema, path string) (Target, bool) {
	name, sub, dotted := strings.Cut(path, ".")
	t := Target{Extension: s}
	if s != nil {
		t.Attribute = s.Attribute(name)
	} else {
		t.Attribute = r.Core(name)
	}
	if t.Attribute == nil {
		return Target{}, false
	}
	if dotted {
		if t.Sub = t.Attribute.Sub(sub); t.Sub == nil {
			return Target{}, false
		}
	}
	return t, true
}
