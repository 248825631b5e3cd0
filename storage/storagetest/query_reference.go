package storagetest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// This file says in plain Go what storage/query.go promises; queries of every
// engine are held against it.

// record is a user or a group as queries see it at an instant.
type record struct {
	id, participant string
	deleted         bool
	fold            any
	fields          map[storage.Field][]any // values that are not missing
}

func unfold(text json.RawMessage) any {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		panic(err) // the tests' own documents
	}
	return v
}

func texts(list ...string) []any {
	out := []any{}
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}

func times(t *time.Time) []any {
	if t == nil {
		return nil
	}
	return []any{*t}
}

func recordOfUser(u storage.User, groups []string, now time.Time) record {
	seen := u.Access(now)
	fold := unfold(u.Fold)
	var emails []string
	for _, v := range reach(fold, []string{"emails", "value"}) {
		if s, ok := v.(string); ok {
			emails = append(emails, s)
		}
	}
	return record{
		id: u.ID, participant: u.Participant, deleted: u.Deleted != nil, fold: fold,
		fields: map[storage.Field][]any{
			storage.FieldID:               texts(u.ID),
			storage.FieldExternalID:       texts(u.ExternalID),
			storage.FieldCreated:          {u.Created},
			storage.FieldLastModified:     {u.LastModified},
			storage.FieldDisplayName:      texts(storage.FoldKey(u.DisplayName)),
			storage.FieldUserName:         texts(u.UserNameKey),
			storage.FieldEmail:            texts(emails...),
			storage.FieldFamilyName:       texts(storage.FoldKey(u.FamilyName)),
			storage.FieldGivenName:        texts(storage.FoldKey(u.GivenName)),
			storage.FieldTitle:            texts(storage.FoldKey(u.Title)),
			storage.FieldTitleKey:         texts(u.TitleKey),
			storage.FieldDepartment:       texts(storage.FoldKey(u.Department)),
			storage.FieldActive:           {u.Active},
			storage.FieldGroup:            texts(groups...),
			storage.FieldStatus:           texts(string(seen.Status)),
			storage.FieldRole:             texts(seen.Role),
			storage.FieldRequestedRole:    texts(seen.RequestedRole),
			storage.FieldPermission:       texts(seen.Permissions...),
			storage.FieldGate:             texts(seen.ClosedGates()...),
			storage.FieldReason:           texts(seen.Reason),
			storage.FieldPolicyVersion:    {u.Decision.PolicyVersion},
			storage.FieldHealthixUsername: texts(u.HealthixUsername),
			storage.FieldReleasedAt:       times(u.ReleasedAt),
			storage.FieldTrainingExpires:  times(u.Decision.TrainingExpiresAt),
			storage.FieldClinicalAlerts:   texts(u.ClinicalAlerts),
			storage.FieldEmailKey:         texts(u.EmailKey),
			storage.FieldTitleRole:        texts(u.Decision.TitleRole),
			storage.FieldPolicyBefore:     {u.Decision.PolicyVersion},
			storage.FieldValidUntil:       times(u.Decision.ValidUntil),
			storage.FieldStoredStatus:     texts(string(u.Decision.Status)),
		},
	}
}

func recordOfGroup(g storage.Group, members []storage.Member) record {
	var ids []string
	for _, m := range members {
		ids = append(ids, m.ID)
	}
	return record{
		id: g.ID, participant: g.Participant, deleted: g.Deleted != nil, fold: unfold(g.Fold),
		fields: map[storage.Field][]any{
			storage.FieldID:           texts(g.ID),
			storage.FieldExternalID:   texts(g.ExternalID),
			storage.FieldCreated:      {g.Created},
			storage.FieldLastModified: {g.LastModified},
			storage.FieldDisplayName:  texts(g.DisplayNameKey),
			storage.FieldMember:       texts(ids...),
		},
	}
}

// holds evaluates a filter on a record, or (r nil) on an element.
func holds(f storage.Filter, r *record, v any) bool {
	switch f := f.(type) {
	case storage.And:
		return !slices.ContainsFunc(f, func(inner storage.Filter) bool { return !holds(inner, r, v) })
	case storage.Or:
		return slices.ContainsFunc(f, func(inner storage.Filter) bool { return holds(inner, r, v) })
	case storage.Not:
		return !holds(f.Filter, r, v)
	case storage.Attr:
		return compares(f.Op, f.Value, reach(v, f.Path))
	case storage.Element:
		return slices.ContainsFunc(reach(v, f.Path), func(e any) bool { return holds(f.Filter, nil, e) })
	case storage.Cmp:
		return r != nil && compares(f.Op, f.Value, r.fields[f.Field])
	case storage.In:
		return r != nil && slices.ContainsFunc(r.fields[f.Field], func(v any) bool { return slices.Contains(f.Values, v.(string)) })
	}
	panic("unknown filter")
}

// reach lists the values at a path, looking through arrays on the way.
func reach(v any, path []string) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		var out []any
		for _, e := range v {
			out = append(out, reach(e, path)...)
		}
		return out
	case map[string]any:
		if len(path) > 0 {
			return reach(v[path[0]], path[1:])
		}
	}
	if len(path) > 0 {
		return nil
	}
	return []any{v}
}

func compares(op storage.Op, want any, values []any) bool {
	if op == storage.OpNe {
		return !compares(storage.OpEq, want, values)
	}
	return slices.ContainsFunc(values, func(v any) bool {
		if op == storage.OpPresent {
			o, isObject := v.(map[string]any)
			return v != "" && (!isObject || len(o) > 0)
		}
		return compareOne(op, v, want)
	})
}

func compareOne(op storage.Op, v, want any) bool {
	switch want := want.(type) {
	case string:
		s, ok := v.(string)
		switch {
		case !ok:
			return false
		case op == storage.OpCo:
			return strings.Contains(s, want)
		case op == storage.OpSw:
			return strings.HasPrefix(s, want)
		case op == storage.OpEw:
			return strings.HasSuffix(s, want)
		}
		return ordered(op, strings.Compare(s, want))
	case bool:
		return op == storage.OpEq && v == want
	case time.Time:
		t, ok := v.(time.Time)
		return ok && ordered(op, t.Compare(want))
	}
	have, ok := decimal(v)
	n, _ := decimal(want)
	return ok && ordered(op, cmp.Compare(have, n))
}

func ordered(op storage.Op, c int) bool {
	return c == 0 && (op == storage.OpEq || op == storage.OpGe || op == storage.OpLe) ||
		c > 0 && (op == storage.OpGt || op == storage.OpGe) ||
		c < 0 && (op == storage.OpLt || op == storage.OpLe)
}

func decimal(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case int64:
		return float64(v), true
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	}
	return 0, false
}

// answer lists the ids that a query should answer, and the total.
func answer(records []record, q storage.Query) (page []string, total int) {
	var found []record
	for _, r := range records {
		if q.Participant != "" && r.participant != q.Participant || r.deleted && !q.Deleted {
			continue
		}
		if q.Filter == nil || holds(q.Filter, &r, r.fold) {
			found = append(found, r)
		}
	}
	total = len(found)
	slices.SortFunc(found, func(a, b record) int { return a.position(q).compare(b.position(q), q) })
	if q.After != nil {
		found = slices.DeleteFunc(found, func(r record) bool { return r.position(q).compare(place(*q.After), q) <= 0 })
	}
	found = found[min(q.Offset, len(found)):]
	if q.Limit >= 0 {
		found = found[:min(q.Limit, len(found))]
	}
	for _, r := range found {
		page = append(page, r.id)
	}
	return page, total
}

// place is a position that compares in plain Go.
type place storage.Position

func (r record) position(q storage.Query) place {
	p := place{ID: r.id}
	for _, o := range q.Orders() {
		p.Keys = append(p.Keys, r.key(o))
	}
	return p
}

func (p place) compare(other place, q storage.Query) int {
	sign := 1
	for i, o := range q.Orders() {
		if sign = 1; o.Descending {
			sign = -1
		}
		if c := sign * compareKeys(p.Keys[i], other.Keys[i]); c != 0 {
			return c
		}
	}
	return sign * strings.Compare(p.ID, other.ID)
}

// key is what a record is sorted by, nil when it is missing.
func (r record) key(o storage.Order) any {
	switch {
	case o.Field == storage.FieldEmail:
		return scalarAt(r.fold, []string{"emails", "value"})
	case o.Field == "":
		return scalarAt(r.fold, o.Path)
	case len(r.fields[o.Field]) == 0:
		return nil
	}
	if n, ok := r.fields[o.Field][0].(int64); ok {
		return json.Number(strconv.FormatInt(n, 10))
	}
	return r.fields[o.Field][0]
}

func scalarAt(v any, path []string) any {
	for _, name := range path {
		o, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = o[name]
		if list, ok := v.([]any); ok {
			v = nil
			if len(list) > 0 {
				v = list[0]
			}
			for _, e := range list {
				if o, ok := e.(map[string]any); ok && o["primary"] == true {
					v = o
					break
				}
			}
		}
	}
	switch v.(type) {
	case map[string]any:
		return nil
	case string:
		if v == "" {
			return nil
		}
	}
	return v
}

// compareKeys orders values of one type; what is missing comes last.
func compareKeys(a, b any) int {
	if a == nil || b == nil {
		return cmp.Compare(bit(a == nil), bit(b == nil))
	}
	switch a := a.(type) {
	case string:
		return strings.Compare(a, b.(string))
	case bool:
		return cmp.Compare(bit(a), bit(b.(bool)))
	case time.Time:
		return a.Compare(b.(time.Time))
	}
	x, _ := decimal(a)
	y, _ := decimal(b)
	return cmp.Compare(x, y)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
