package storagetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

func testOrder(t *testing.T, s storage.Store) {
	p := &population{participants: []storage.Participant{openParticipant}}
	for id, u := range map[string]struct{ title, fold string }{
		"a": {"B", `{"nickname":"b","emails":[{"value":"z@x.example"},{"value":"b@x.example","primary":true}]}`},
		"b": {"", `{"emails":[{"value":"a@x.example"},{"value":"z@x.example"}]}`},
		"c": {"Z", `{"nickname":"é"}`},
		"d": {"Ä", `{"nickname":"","emails":[{"type":"work"},{"value":"a@x.example"}]}`},
		"e": {"b", `{"nickname":"z","emails":[{"value":"c@x.example"}]}`},
	} {
		user := newUser(openParticipant, id, u.fold)
		user.Title = u.title
		p.users = append(p.users, user)
	}
	p.keep(t, s)
	for _, tc := range []struct {
		order storage.Order
		want  string
	}{
		{storage.Order{Field: storage.FieldTitle}, "a e c d b"},                   // bytes of the folded: b b z ä, the missing last
		{storage.Order{Field: storage.FieldTitle, Descending: true}, "b d c e a"}, // ties the other way, too
		{storage.Order{Path: []string{"nickname"}}, "a e c b d"},
		{storage.Order{Path: []string{"nickname"}, Descending: true}, "d b c e a"},
		{storage.Order{Path: []string{"emails", "value"}}, "b a e c d"}, // d's first has no value
		{storage.Order{Field: storage.FieldEmail}, "b a e c d"},
		{storage.Order{Path: []string{"emails", "value"}, Descending: true}, "d c e a b"},
		{storage.Order{Field: storage.FieldActive}, "a b c d e"},
		{storage.Order{Field: storage.FieldReleasedAt, Descending: true}, "e d c b a"},
		{storage.Order{Field: storage.FieldID, Descending: true}, "e d c b a"},
	} {
		got, _, err := userIDs(t, s, storage.Query{Participant: openParticipant.ID, Sort: []storage.Order{tc.order}, Limit: -1, Now: queryNow})
		if err != nil || strings.Join(got, " ") != tc.want {
			t.Errorf("%+v: got %q, want %q: %v", tc.order, got, tc.want, err)
		}
	}
}

// testPages: a walk by keyset sees everybody who was there, once, whoever is
// added meanwhile.
func testPages(t *testing.T, s storage.Store) {
	p := &population{participants: []storage.Participant{openParticipant}}
	for n := range 25 {
		u := newUser(openParticipant, fmt.Sprintf("u%02d", n), `{}`)
		u.Created = queryNow.Add(time.Duration(n/3) * time.Microsecond) // several share an instant
		p.users = append(p.users, u)
	}
	p.keep(t, s)
	all, _, err := userIDs(t, s, storage.Query{Participant: openParticipant.ID, Limit: -1})
	if err != nil || len(all) != 25 {
		t.Fatalf("list everybody: %d users: %v", len(all), err)
	}

	var walked []string
	q := storage.Query{Participant: openParticipant.ID, Limit: 4, Total: true}
	for page := 0; ; page++ {
		users, total, err := s.ListUsers(t.Context(), q)
		if err != nil {
			t.Fatalf("page %d: %v", page, err)
		}
		if total != 25+page {
			t.Errorf("page %d: total %d, want all %d", page, total, 25+page)
		}
		if len(users) == 0 {
			break
		}
		for _, u := range users {
			walked = append(walked, u.ID)
		}
		q.After = users[len(users)-1].Position(q)
		early := newUser(openParticipant, fmt.Sprintf("early%d", page), `{}`)
		early.Created = queryNow.Add(-time.Hour)
		(&population{users: []storage.User{early}}).keep(t, s)
	}
	if !slices.Equal(walked, all) {
		t.Errorf("walk by keyset\n got %q\nwant %q", walked, all)
	}

	for _, tc := range []struct {
		offset, limit, rows, total int
	}{{0, 0, 0, 32}, {0, -1, 32, 32}, {0, 5, 5, 32}, {30, 5, 2, 32}, {30, -1, 2, 32}, {32, 5, 0, 32}, {99, 5, 0, 32}, {0, 32, 32, 32}, {0, 33, 32, 32}} {
		got, total, err := userIDs(t, s, storage.Query{Participant: openParticipant.ID, Offset: tc.offset, Limit: tc.limit, Total: true})
		if err != nil || len(got) != tc.rows || total != tc.total {
			t.Errorf("%+v: %d rows, total %d: %v", tc, len(got), total, err)
		}
	}
}

func testGroupQueries(t *testing.T, s storage.Store) {
	p := &population{participants: []storage.Participant{openParticipant}, members: map[string][]storage.Member{}}
	for _, id := range []string{"u1", "u2", "u3", "u4"} {
		p.users = append(p.users, newUser(openParticipant, id, `{}`))
	}
	group := func(id string, deleted *time.Time, members ...string) {
		p.groups = append(p.groups, storage.Group{
			ID: id, Participant: openParticipant.ID, Version: 1, DisplayName: "Ward " + id, DisplayNameKey: "ward " + id, Document: storage.Document{},
			Fold: []byte(`{"displayname":"ward ` + id + `"}`), Created: queryNow, LastModified: queryNow, Deleted: deleted,
		})
		for _, m := range members {
			kind := "User"
			if m[0] == 'g' {
				kind = "Group"
			}
			p.members[id] = append(p.members[id], storage.Member{ID: m, Type: kind})
		}
	}
	group("g1", nil, "u1", "g2")
	group("g2", nil, "u2", "g3")
	group("g3", nil, "u3", "g1") // a ring
	group("g4", &queryNow, "u4")
	p.keep(t, s)

	expect(t, s, field(storage.FieldGroup, storage.OpEq, "g1"), "u1", "u2", "u3")
	expect(t, s, field(storage.FieldGroup, storage.OpNe, "g2"), "u4")
	expect(t, s, field(storage.FieldGroup, storage.OpEq, "g4"))
	expect(t, s, field(storage.FieldGroup, storage.OpPresent, nil), "u1", "u2", "u3")
	expect(t, s, storage.In{Field: storage.FieldGroup, Values: []string{"g3", "g4"}}, "u1", "u2", "u3")
	for _, tc := range []struct {
		q    storage.Query
		want string
	}{
		{storage.Query{Filter: field(storage.FieldMember, storage.OpEq, "u2")}, "g2"}, // direct members only
		{storage.Query{Filter: field(storage.FieldMember, storage.OpEq, "g1")}, "g3"},
		{storage.Query{Filter: field(storage.FieldMember, storage.OpNe, "u2")}, "g1 g3"},
		{storage.Query{Filter: field(storage.FieldMember, storage.OpEq, "u4"), Deleted: true}, "g4"},
		{storage.Query{Filter: storage.In{Field: storage.FieldMember, Values: []string{"u1", "u3"}}}, "g1 g3"},
		{storage.Query{Filter: field(storage.FieldDisplayName, storage.OpSw, "ward g")}, "g1 g2 g3"},
		{storage.Query{Filter: attr("displayname", storage.OpEq, "ward g3")}, "g3"},
		{storage.Query{Sort: []storage.Order{{Field: storage.FieldDisplayName, Descending: true}}}, "g3 g2 g1"},
	} {
		tc.q.Participant, tc.q.Limit = openParticipant.ID, -1
		got, _, err := groupIDs(t, s, tc.q)
		if err != nil || strings.Join(got, " ") != tc.want {
			t.Errorf("%+v: got %q, want %q: %v", tc.q, got, tc.want, err)
		}
	}
}

// testIsolation: whatever is asked, a participant's query finds nothing of
// another's, while a query without participant finds both.
func testIsolation(t *testing.T, s storage.Store) {
	p := &population{members: map[string][]storage.Member{}}
	for _, id := range []string{"here", "there"} {
		participant := newParticipant(id, "active", "live", nil)
		u := newUser(participant, "user-"+id, `{"nickname":"ana","emails":[{"value":"ana@x.example"}]}`)
		u.UserName, u.UserNameKey, u.ExternalID, u.Email, u.EmailKey = "ana", "ana", "e1", "ana@x.example", "ana@x.example"
		g := storage.Group{ID: "group-" + id, Participant: id, Version: 1, DisplayName: "Ward", DisplayNameKey: "ward", Created: queryNow, LastModified: queryNow}
		p.participants, p.users, p.groups = append(p.participants, participant), append(p.users, u), append(p.groups, g)
		p.members[g.ID] = []storage.Member{{ID: u.ID, Type: "User"}}
	}
	p.keep(t, s)
	nickname := attr("nickname", storage.OpEq, "ana")
	for _, f := range []storage.Filter{
		nil, nickname, attr("nickname", storage.OpSw, "a"), storage.Not{Filter: attr("nickname", storage.OpEq, "other")},
		storage.Or{nickname, storage.And{}}, storage.Element{Path: []string{"emails"}, Filter: attr("value", storage.OpEq, "ana@x.example")},
		field(storage.FieldUserName, storage.OpEq, "ana"), field(storage.FieldEmail, storage.OpEq, "ana@x.example"), field(storage.FieldEmail, storage.OpCo, "ana"),
		field(storage.FieldExternalID, storage.OpEq, "e1"), field(storage.FieldGroup, storage.OpPresent, nil),
		storage.In{Field: storage.FieldID, Values: []string{"user-here", "user-there"}}, storage.In{Field: storage.FieldGroup, Values: []string{"group-here", "group-there"}},
	} {
		for participant, want := range map[string]string{"here": "user-here", "there": "user-there", "": "user-here user-there", "other": ""} {
			got, total, err := userIDs(t, s, storage.Query{Participant: participant, Filter: f, Limit: -1, Total: true, Now: queryNow})
			if err != nil || strings.Join(got, " ") != want || total != len(strings.Fields(want)) {
				t.Errorf("participant %q, %+v: got %q of %d, want %q: %v", participant, f, got, total, want, err)
			}
		}
	}
	for _, q := range []storage.Query{
		{Participant: "here", Filter: field(storage.FieldGroup, storage.OpEq, "group-there")},
		{Participant: "here", After: &storage.Position{Keys: []any{time.Time{}}}, Filter: storage.In{Field: storage.FieldID, Values: []string{"user-there"}}},
	} {
		q.Limit = -1
		if got, _, err := userIDs(t, s, q); err != nil || len(got) > 0 {
			t.Errorf("%+v: found %q: %v", q, got, err)
		}
	}
	for _, f := range []storage.Filter{nil, field(storage.FieldMember, storage.OpPresent, nil), storage.In{Field: storage.FieldMember, Values: []string{"user-here", "user-there"}}} {
		got, total, err := groupIDs(t, s, storage.Query{Participant: "here", Filter: f, Limit: -1, Total: true})
		if err != nil || strings.Join(got, " ") != "group-here" || total != 1 {
			t.Errorf("groups by %+v: got %q of %d: %v", f, got, total, err)
		}
	}
}

// testDeleted: who is deleted is found only when asked for, and then by whatever
// finds others.
func testDeleted(t *testing.T, s storage.Store) {
	gone := newUser(openParticipant, "gone", `{"nickname":"ana","emails":[{"value":"ana@x.example"}]}`)
	gone.Deleted = &queryNow
	p := &population{participants: []storage.Participant{openParticipant}, users: []storage.User{gone}}
	p.keep(t, s)
	for _, f := range []storage.Filter{
		nil, field(storage.FieldID, storage.OpEq, "gone"), field(storage.FieldUserName, storage.OpEq, "gone"), attr("nickname", storage.OpEq, "ana"),
		field(storage.FieldEmail, storage.OpEq, "ana@x.example"), field(storage.FieldEmail, storage.OpSw, "ana"),
	} {
		for _, deleted := range []bool{true, false} {
			got, total, err := userIDs(t, s, storage.Query{Filter: f, Deleted: deleted, Limit: -1, Total: true})
			if found := len(got) == 1; err != nil || found != deleted || total != len(got) {
				t.Errorf("%+v, deleted %t: got %q of %d: %v", f, deleted, got, total, err)
			}
		}
	}
}

// testLargeQueries: filters as large as the faces let through, and lists larger
// than what a statement may bind one by one.
func testLargeQueries(t *testing.T, s storage.Store) {
	seed(t, s, map[string]string{"ana": `{"nickname":"n899"}`, "bob": `{}`})
	var terms storage.Or
	for n := range 900 {
		terms = append(terms, attr("nickname", storage.OpEw, fmt.Sprintf("n%d", n)))
	}
	expect(t, s, terms, "ana")
	var deep storage.Filter = attr("nickname", storage.OpPresent, nil)
	for n := range 50 {
		deep = storage.Not{Filter: storage.And{deep, storage.Or{attr("nickname", storage.OpSw, fmt.Sprint(n)), storage.And{}}}}
	}
	expect(t, s, deep, "ana")
	ids := make([]string, 70000)
	for n := range ids {
		ids[n] = fmt.Sprintf("nobody-%d", n)
	}
	expect(t, s, storage.In{Field: storage.FieldID, Values: append(ids, "bob")}, "bob")
}

// testRefusedQueries: what is no query is an error, never another query.
func testRefusedQueries(t *testing.T, s storage.Store) {
	seed(t, s, map[string]string{"ana": `{"nickname":"ana"}`})
	for _, q := range []storage.Query{
		{Filter: storage.Attr{Path: []string{`a"') or true --`}, Op: storage.OpPresent}},
		{Filter: storage.Attr{Path: []string{"NickName"}, Op: storage.OpEq, Value: "ana"}},
		{Filter: storage.Attr{Path: []string{""}, Op: storage.OpEq, Value: "ana"}},
		{Filter: storage.Attr{Op: storage.OpEq, Value: "ana"}},
		{Filter: storage.Attr{Path: []string{"nickname"}, Op: "like", Value: "ana"}},
		{Filter: storage.Attr{Path: []string{"nickname"}, Op: storage.OpEq, Value: []string{"ana"}}},
		{Filter: storage.Attr{Path: []string{"nickname"}, Op: storage.OpEq, Value: nil}},
		{Filter: storage.Attr{Path: []string{"nickname"}, Op: storage.OpEq, Value: "a\x00"}},
		{Filter: storage.Attr{Path: []string{"nickname"}, Op: storage.OpCo, Value: "a\xff"}},
		{Filter: storage.Element{Path: []string{"a'b"}, Filter: storage.And{}}},
		{Filter: field("users.id", storage.OpEq, "ana")},
		{Filter: field(storage.FieldMember, storage.OpEq, "ana")},
		{Filter: field(storage.FieldUserName, storage.OpEq, 1)},
		{Filter: field(storage.FieldUserName, "glob", "ana")},
		{Filter: field(storage.FieldCreated, storage.OpEq, "2026")},
		{Filter: field(storage.FieldCreated, storage.OpCo, queryNow)},
		{Filter: field(storage.FieldActive, storage.OpEq, "true")},
		{Filter: storage.In{Field: storage.FieldCreated, Values: []string{"2026"}}},
		{Filter: storage.Not{}},
		{Sort: []storage.Order{{Path: []string{`a", (select 1)`}}}},
		{Sort: []storage.Order{{}}},
		{Sort: []storage.Order{{Field: "id desc; drop table users"}}},
		{Offset: 1, After: &storage.Position{Keys: []any{queryNow}, ID: "ana"}},
		{After: &storage.Position{}},
		{After: &storage.Position{Keys: []any{"ana"}, ID: "ana"}},
		{After: &storage.Position{Keys: []any{nil}, ID: "ana"}},
		{After: &storage.Position{Keys: []any{queryNow, queryNow}, ID: "ana"}},
		{After: &storage.Position{Keys: []any{queryNow}, ID: "a\x00"}},
		{Sort: []storage.Order{{Field: storage.FieldUserName}}, After: &storage.Position{Keys: []any{queryNow}, ID: "ana"}},
		{Sort: []storage.Order{{Field: storage.FieldUserName}}, After: &storage.Position{Keys: []any{nil}, ID: "ana"}},
		{Sort: []storage.Order{{Field: storage.FieldActive}}, After: &storage.Position{Keys: []any{"true"}, ID: "ana"}},
		{Sort: []storage.Order{{Field: storage.FieldPolicyVersion}}, After: &storage.Position{Keys: []any{json.Number("1.5")}, ID: "ana"}},
		{Sort: []storage.Order{{Field: storage.FieldTitle}}, After: &storage.Position{Keys: []any{"a\xff"}, ID: "ana"}},
		{Sort: []storage.Order{{Path: []string{"nickname"}}}, After: &storage.Position{Keys: []any{[]any{}}, ID: "ana"}},
	} {
		q.Participant, q.Limit = openParticipant.ID, -1
		if got, _, err := userIDs(t, s, q); err == nil {
			t.Errorf("%+v: found %q instead of an error", q, got)
		}
	}
}
