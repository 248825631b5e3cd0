package storagetest

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/healthix/healthix-scim/storage"
)

// testRandomQueries: whatever a query asks, rows, order and total are those of
// the promise in plain Go.
func testRandomQueries(t *testing.T, s storage.Store) {
	p := randomPopulation.Example(20261125)
	p.keep(t, s)
	narrowingsAreJoined(t, s, p)
	users, groups := newWorld(true, p.userRecords(queryNow)), newWorld(false, p.groupRecords())
	users.ids, groups.ids = groups.ids, slices.Concat(users.ids, groups.ids) // what holds a user, and what a group holds
	rapid.Check(t, func(r *rapid.T) {
		for range 3 {
			w := pick(r, "world", users, users, users, groups)
			q := randomQuery(r, w)
			var ids []string
			var total int
			var err error
			if w.users {
				ids, total, err = userIDs(t, s, q)
			} else {
				ids, total, err = groupIDs(t, s, q)
			}
			if err != nil {
				r.Fatalf("%+v: %v", q, err)
			}
			want, wantTotal := answer(w.records, q)
			if !slices.Equal(ids, want) {
				r.Fatalf("%+v\n got %q\nwant %q", q, ids, want)
			}
			if q.Total && total != wantTotal {
				r.Fatalf("%+v: total %d, want %d", q, total, wantTotal)
			}
		}
	})
}

// narrowingsAreJoined: every user is read with what the newest policy version
// leaves, and no other.
func narrowingsAreJoined(t *testing.T, s storage.Store, p *population) {
	t.Helper()
	narrowed := 0
	for _, want := range p.users {
		found, _, err := s.ListUsers(t.Context(), storage.Query{Filter: field(storage.FieldID, storage.OpEq, want.ID), Deleted: true, Limit: -1, Now: queryNow})
		if err != nil || len(found) != 1 {
			t.Fatalf("%d users %s: %v", len(found), want.ID, err)
		}
		if g, w := text(found[0].Narrowing), text(want.Narrowing); g != w {
			t.Errorf("%s, decided under version %d as %s: narrowing %s, want %s", want.ID, want.Decision.PolicyVersion, want.Decision.Status, g, w)
		}
		if want.Narrowing != nil {
			narrowed++
		}
	}
	if narrowed == 0 || narrowed == len(p.users) {
		t.Errorf("%d of %d users are narrowed", narrowed, len(p.users))
	}
}

// world is what random queries of one resource draw from.
type world struct {
	users   bool
	records []record
	ids     []string
	held    map[storage.Field][]string
}

func newWorld(users bool, records []record) world {
	w := world{users: users, records: records, held: map[storage.Field][]string{}}
	for _, r := range records {
		w.ids = append(w.ids, r.id)
		for field, values := range r.fields {
			for _, v := range values {
				if s, ok := v.(string); ok && !slices.Contains(w.held[field], s) {
					w.held[field] = append(w.held[field], s)
				}
			}
		}
	}
	return w
}

func userIDs(t *testing.T, s storage.Reader, q storage.Query) (ids []string, total int, err error) {
	users, total, err := s.ListUsers(t.Context(), q)
	for _, u := range users {
		ids = append(ids, u.ID)
	}
	return ids, total, err
}

func groupIDs(t *testing.T, s storage.Reader, q storage.Query) (ids []string, total int, err error) {
	groups, total, err := s.ListGroups(t.Context(), q)
	for _, g := range groups {
		ids = append(ids, g.ID)
	}
	return ids, total, err
}

func randomQuery(r *rapid.T, w world) storage.Query {
	q := storage.Query{
		Participant: pick(r, "participant", "", "open", "reopened", "reopened-late", "suspended", "observed", "recovering", "nobody"),
		Limit:       pick(r, "limit", -1, -1, 0, 1, 3, 20),
		Total:       rapid.Bool().Draw(r, "total"),
		Deleted:     rapid.IntRange(0, 3).Draw(r, "deleted") == 0,
		Now:         queryNow.Add(pick(r, "nanoseconds", 0, time.Nanosecond)),
	}
	if rapid.IntRange(0, 9).Draw(r, "filtered") > 0 {
		q.Filter = randomFilter(r, w, rapid.IntRange(0, 3).Draw(r, "depth"))
	}
	for range rapid.IntRange(0, 2).Draw(r, "sort keys") {
		o := storage.Order{Descending: rapid.Bool().Draw(r, "descending")}
		if rapid.Bool().Draw(r, "by path") {
			o.Path = rapid.SampledFrom(sortPaths).Draw(r, "sort path")
		} else {
			o.Field = rapid.SampledFrom(fieldsOf(w.users, true)).Draw(r, "sort field")
		}
		q.Sort = append(q.Sort, o)
	}
	switch rapid.IntRange(0, 2).Draw(r, "page") {
	case 0:
		q.After = randomPosition(r, w, q)
	case 1:
		q.Offset = rapid.IntRange(0, 30).Draw(r, "offset")
	}
	return q
}

// randomPosition is where a row stands, or where one once stood.
func randomPosition(r *rapid.T, w world, q storage.Query) *storage.Position {
	p := storage.Position(rapid.SampledFrom(w.records).Draw(r, "at").position(q))
	if rapid.IntRange(0, 3).Draw(r, "gone") == 0 {
		p.ID += pick(r, "id", "", "x", "\U0010FFFF")
		for i, o := range q.Orders() {
			p.Keys[i] = rapid.SampledFrom(w.records).Draw(r, "key").key(o)
		}
	}
	return &p
}

var (
	attrPaths = [][]string{
		{"nickname"}, {"tags"}, {"mixed"}, {"emails"}, {"emails", "value"}, {"emails", "type"}, {"emails", "primary"},
		{"places"}, {"places", "value"}, {"places", "level"}, {"places", "primary"}, {"missing"}, {"missing", "value"}, {"nickname", "value"},
		{extension}, {extension, "costcenter"}, {extension, "flag"}, {extension, "level"}, {extension, "codes"}, {extension, "manager", "value"},
	}
	elementPaths = [][]string{{"emails"}, {"places"}, {"tags"}, {"mixed"}, {extension}, {extension, "manager"}, {extension, "codes"}, {"nickname"}}
	innerPaths   = [][]string{nil, {"value"}, {"type"}, {"primary"}, {"level"}, {"flag"}, {"manager", "value"}}
	sortPaths    = [][]string{
		{"nickname"}, {"tags"}, {"emails", "value"}, {"emails", "type"}, {"places", "value"}, {"places", "level"}, {"missing"},
		{extension, "costcenter"}, {extension, "level"}, {extension, "flag"}, {extension, "manager", "value"},
	}

	textFields = []storage.Field{
		storage.FieldID, storage.FieldExternalID, storage.FieldDisplayName, storage.FieldUserName, storage.FieldEmail, storage.FieldFamilyName,
		storage.FieldGivenName, storage.FieldTitle, storage.FieldTitleKey, storage.FieldDepartment, storage.FieldGroup, storage.FieldStatus,
		storage.FieldRole, storage.FieldRequestedRole, storage.FieldPermission, storage.FieldGate, storage.FieldReason,
		storage.FieldHealthixUsername, storage.FieldClinicalAlerts, storage.FieldEmailKey, storage.FieldTitleRole, storage.FieldStoredStatus,
	}
	timeFields = []storage.Field{
		storage.FieldCreated, storage.FieldLastModified, storage.FieldReleasedAt, storage.FieldTrainingExpires, storage.FieldValidUntil,
	}
	numberFields    = []storage.Field{storage.FieldPolicyVersion, storage.FieldPolicyBefore}
	groupTextFields = []storage.Field{storage.FieldID, storage.FieldExternalID, storage.FieldDisplayName, storage.FieldMember}
	groupTimeFields = []storage.Field{storage.FieldCreated, storage.FieldLastModified}

	allOps   = []storage.Op{storage.OpEq, storage.OpNe, storage.OpCo, storage.OpSw, storage.OpEw, storage.OpGt, storage.OpGe, storage.OpLt, storage.OpLe, storage.OpPresent}
	orderOps = []storage.Op{storage.OpEq, storage.OpNe, storage.OpGt, storage.OpGe, storage.OpLt, storage.OpLe, storage.OpPresent}
)

func fieldsOf(users, sorting bool) []storage.Field {
	fields := slices.Concat(groupTextFields, groupTimeFields)
	if users {
		fields = slices.Concat(textFields, timeFields, numberFields, []storage.Field{storage.FieldActive})
	}
	if sorting {
		fields = slices.DeleteFunc(fields, func(f storage.Field) bool { return f == storage.FieldGroup || f == storage.FieldMember })
	}
	return fields
}

func randomFilter(r *rapid.T, w world, depth int) storage.Filter {
	if depth == 0 {
		switch rapid.IntRange(0, 3).Draw(r, "leaf") {
		case 0:
			return randomCmp(r, w)
		case 1:
			return randomIn(r, w)
		case 2:
			return storage.Element{
				Path:   rapid.SampledFrom(elementPaths).Draw(r, "element"),
				Filter: randomInner(r, rapid.IntRange(0, 2).Draw(r, "inner depth")),
			}
		default:
			return randomAttr(r, attrPaths)
		}
	}
	return randomNode(r, func() storage.Filter { return randomFilter(r, w, depth-1) })
}

func randomNode(r *rapid.T, inner func() storage.Filter) storage.Filter {
	var list []storage.Filter
	for range rapid.IntRange(0, 3).Draw(r, "parts") {
		list = append(list, inner())
	}
	switch rapid.IntRange(0, 2).Draw(r, "node") {
	case 0:
		return storage.And(list)
	case 1:
		return storage.Or(list)
	default:
		return storage.Not{Filter: inner()}
	}
}

func randomInner(r *rapid.T, depth int) storage.Filter {
	if depth == 0 {
		if rapid.IntRange(0, 9).Draw(r, "nested") == 0 {
			return storage.Element{Path: pick(r, "nested element", []string{}, []string{"value"}, []string{"manager"}), Filter: randomAttr(r, innerPaths)}
		}
		return randomAttr(r, innerPaths)
	}
	return randomNode(r, func() storage.Filter { return randomInner(r, depth-1) })
}

func randomAttr(r *rapid.T, paths [][]string) storage.Filter {
	a := storage.Attr{Path: rapid.SampledFrom(paths).Draw(r, "path")}
	switch rapid.IntRange(0, 4).Draw(r, "type") {
	case 0:
		a.Op, a.Value = pick(r, "op", orderOps...), rapid.Bool().Draw(r, "value")
	case 1:
		a.Op = pick(r, "op", orderOps...)
		a.Value = pick[any](r, "value", int64(1), int64(0), int64(100), 1.5, 1.0, -1.0, 9007199254740991.0)
	default:
		a.Op, a.Value = pick(r, "op", allOps...), pick(r, "value", words...)
	}
	return a
}

func randomCmp(r *rapid.T, w world) storage.Filter {
	c := storage.Cmp{Field: rapid.SampledFrom(fieldsOf(w.users, false)).Draw(r, "field")}
	switch {
	case slices.Contains(timeFields, c.Field):
		c.Op = pick(r, "op", orderOps...)
		c.Value = pick(r, "value", instants()...).Add(pick(r, "nanoseconds", 0, 0, time.Nanosecond))
	case slices.Contains(numberFields, c.Field):
		c.Op, c.Value = pick(r, "op", orderOps...), rapid.Int64Range(0, 4).Draw(r, "value")
	case c.Field == storage.FieldActive:
		c.Op, c.Value = pick(r, "op", orderOps...), rapid.Bool().Draw(r, "value")
	default:
		c.Op, c.Value = pick(r, "op", allOps...), textOf(r, w, c.Field)
	}
	return c
}

func randomIn(r *rapid.T, w world) storage.Filter {
	in := storage.In{Field: rapid.SampledFrom(textFields).Draw(r, "field")}
	if !w.users {
		in.Field = rapid.SampledFrom(groupTextFields).Draw(r, "field")
	}
	for range rapid.IntRange(0, 4).Draw(r, "values") {
		in.Values = append(in.Values, textOf(r, w, in.Field))
	}
	return in
}

// textOf draws a text that the field may well hold.
func textOf(r *rapid.T, w world, field storage.Field) string {
	switch rapid.IntRange(0, 5).Draw(r, "text") {
	case 0:
		return pick(r, "word", words...)
	case 1:
		return pick(r, "id", w.ids...)
	}
	if held := w.held[field]; len(held) > 0 {
		return pick(r, "held", held...)
	}
	return ""
}
