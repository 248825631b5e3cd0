package filter

import (
	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/schema"
	"github.com/healthix/healthix-scim/storage"
)

// fields are the attributes that storage keeps in columns of their own, or
// joins; everything else is found in the folded document.
var fields = map[*schema.Resource]map[string]storage.Field{
	schema.User: {
		"id":                                      storage.FieldID,
		"externalId":                              storage.FieldExternalID,
		"userName":                                storage.FieldUserName,
		"displayName":                             storage.FieldDisplayName,
		"title":                                   storage.FieldTitle,
		"active":                                  storage.FieldActive,
		"name.familyName":                         storage.FieldFamilyName,
		"name.givenName":                          storage.FieldGivenName,
		schema.URNEnterprise + ":department":      storage.FieldDepartment,
		schema.URNHealthix + ":accessStatus":      storage.FieldStatus,
		schema.URNHealthix + ":role":              storage.FieldRole,
		schema.URNHealthix + ":permissions":       storage.FieldPermission,
		schema.URNHealthix + ":requestedRole":     storage.FieldRequestedRole,
		schema.URNHealthix + ":closedGates":       storage.FieldGate,
		schema.URNHealthix + ":reason":            storage.FieldReason,
		schema.URNHealthix + ":policyVersion":     storage.FieldPolicyVersion,
		schema.URNHealthix + ":healthixUsername":  storage.FieldHealthixUsername,
		schema.URNHealthix + ":releasedAt":        storage.FieldReleasedAt,
		schema.URNHealthix + ":trainingExpiresAt": storage.FieldTrainingExpires,
		schema.URNHealthix + ":clinicalAlerts":    storage.FieldClinicalAlerts,
	},
	schema.Group: {
		"id":          storage.FieldID,
		"externalId":  storage.FieldExternalID,
		"displayName": storage.FieldDisplayName,
	},
}

func fieldOf(r *schema.Resource, a *schema.Attribute) (storage.Field, bool) {
	f, ok := fields[r][a.Path()]
	return f, ok
}

// Order turns sortBy into storage's order; ok is false for an attribute that
// only another type of a root query has.
func (b *Binder) Order(path string, descending bool) (order storage.Order, ok bool, err error) {
	t, found := b.Resource.Resolve(path, b.Reading)
	if !found {
		if _, _, err := b.resolve(path); err != nil {
			return order, false, protocol.Errorf(protocol.InvalidPath, "sortBy", "sortBy %s is not defined for this resource; see /Schemas", protocol.Quote(path))
		}
		return order, false, nil
	}
	order.Descending = descending
	a := t.Leaf()
	if a != nil && a.Type == schema.Complex {
		t.Sub = a.Sub("value")
		a = t.Sub
	}
	if a == nil || isMembership(b.Resource, t.Attribute) || a.Key == "schemas" {
		return order, false, protocol.Errorf(protocol.InvalidPath, "sortBy", "%s cannot be sorted by; name a simple attribute", protocol.Quote(path))
	}
	switch a.Path() {
	case "meta.created":
		order.Field = storage.FieldCreated
	case "meta.lastModified":
		order.Field = storage.FieldLastModified
	case "meta.resourceType":
		return order, false, nil // the same for all
	case "meta.location", "meta.version":
		order.Field = storage.FieldID
	default:
		if f, typed := fieldOf(b.Resource, a); typed {
			order.Field = f
		} else {
			order.Path = documentPath(t)
		}
	}
	return order, true, nil
}

// Seed reads the eq conditions of a value filter that is nothing but eq joined
// by and; ok is false for any other. PATCH creates the missing element of
// them (dialect.CreateOnMiss).
func Seed(a *schema.Attribute, e Expr, reading *dialect.Reading) (seed map[string]any, ok bool) {
	seed = map[string]any{}
	return seed, collect(a, e, reading, seed)
}

func collect(a *schema.Attribute, e Expr, reading *dialect.Reading, seed map[string]any) bool {
	switch e := e.(type) {
	case And:
		for _, inner := range e {
			if !collect(a, inner, reading, seed) {
				return false
			}
		}
		return true
	case Compare:
		sub := a.Sub(e.Path)
		if sub == nil || e.Op != "eq" || sub.ReadOnly() {
			return false
		}
		v, err := sub.One(e.Value, reading)
		if err != nil || v == nil {
			return false
		}
		if old, twice := seed[sub.Name()]; twice && old != v {
			return false
		}
		seed[sub.Name()] = v
		return true
	}
	return false
}
