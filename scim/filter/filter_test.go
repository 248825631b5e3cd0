package filter_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/filter"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/schema"
	"github.com/healthix/healthix-scim/storage"
)

func bind(t testing.TB, text string) (storage.Filter, error) {
	t.Helper()
	e, err := filter.Parse(text)
	if err != nil {
		return nil, err
	}
	b := filter.Binder{Resource: schema.User, Reading: &dialect.Reading{}, Location: "https://scim.example/scim/v2/Users"}
	return b.Bind(e)
}

func TestBind(t *testing.T) {
	eq := func(f storage.Field, v any) storage.Filter { return storage.Cmp{Field: f, Op: storage.OpEq, Value: v} }
	at := func(s string) time.Time {
		parsed, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return parsed.UTC()
	}
	for text, want := range map[string]storage.Filter{
		`userName eq "Ana.Lima@Example.org"`:                         eq(storage.FieldUserName, "ana.lima@example.org"),
		`USERNAME Eq "a\"b\\c%😀"`:                                    eq(storage.FieldUserName, `a"b\c%😀`),
		`urn:ietf:params:scim:schemas:core:2.0:User:userName sw "j"`: storage.Cmp{Field: storage.FieldUserName, Op: storage.OpSw, Value: "j"},
		`externalId eq "aB"`:                                         eq(storage.FieldExternalID, "aB"),
		`active eq true`:                                             eq(storage.FieldActive, true),
		`active eq "True"`:                                           eq(storage.FieldActive, true),
		`emails eq "A@x.example"`:                                    eq(storage.FieldEmail, "a@x.example"),
		`emails.value co "X"`:                                        storage.Attr{Path: []string{"emails", "value"}, Op: storage.OpCo, Value: "x"},
		`groups eq "g1"`:                                             eq(storage.FieldGroup, "g1"),
		`groups[value eq "g1"]`:                                      eq(storage.FieldGroup, "g1"),
		`manager eq "m"`:                                             storage.Attr{Path: []string{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:user", "manager", "value"}, Op: storage.OpEq, Value: "m"},
		`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "ED"`: eq(storage.FieldDepartment, "ed"),
		`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.costCenter eq "1"`:  storage.Attr{Path: []string{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:user", "costcenter"}, Op: storage.OpEq, Value: "1"},
		`urn:ietf:params:scim:schemas:extension:healthix:2.0:User:policyVersion ge 3`:   storage.Cmp{Field: storage.FieldPolicyVersion, Op: storage.OpGe, Value: int64(3)},
		`emails[type eq "work"].value eq "a"`: storage.Element{Path: []string{"emails"}, Filter: storage.And{
			storage.Attr{Path: []string{"type"}, Op: storage.OpEq, Value: "work"}, storage.Attr{Path: []string{"value"}, Op: storage.OpEq, Value: "a"}}},
		`roles[primary eq "True"]`: storage.Element{Path: []string{"roles"}, Filter: storage.Attr{Path: []string{"primary"}, Op: storage.OpEq, Value: true}},
		`title pr or not(active eq true) and id eq "1"`: storage.Or{
			storage.Cmp{Field: storage.FieldTitle, Op: storage.OpPresent},
			storage.And{storage.Not{Filter: eq(storage.FieldActive, true)}, eq(storage.FieldID, "1")}},
		`(title pr or title pr) and title eq null`: storage.And{
			storage.Or{storage.Cmp{Field: storage.FieldTitle, Op: storage.OpPresent}, storage.Cmp{Field: storage.FieldTitle, Op: storage.OpPresent}},
			storage.Not{Filter: storage.Cmp{Field: storage.FieldTitle, Op: storage.OpPresent}}},
		`meta.lastModified gt "2026-01-02T03:04:05.1234567Z"`: storage.Cmp{Field: storage.FieldLastModified, Op: storage.OpGe, Value: at("2026-01-02T03:04:05.124Z")},
		`meta.lastModified ge "2026-01-02T05:04:05+02:00"`:    storage.Cmp{Field: storage.FieldLastModified, Op: storage.OpGe, Value: at("2026-01-02T03:04:05Z")},
		`meta.created eq "2026-01-02T03:04:05.123Z"`: storage.And{
			storage.Cmp{Field: storage.FieldCreated, Op: storage.OpGe, Value: at("2026-01-02T03:04:05.123Z")},
			storage.Cmp{Field: storage.FieldCreated, Op: storage.OpLt, Value: at("2026-01-02T03:04:05.124Z")}},
		`meta.resourceType eq "User"`:                             storage.And{},
		`meta.resourceType eq "Group"`:                            storage.Or{},
		`meta.location eq "https://scim.example/scim/v2/Users/7"`: eq(storage.FieldID, "7"),
		`schemas eq "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"`: storage.Or{
			storage.Attr{Path: []string{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:user"}, Op: storage.OpPresent}},
		`nickName gt null`: storage.Or{},
	} {
		got, err := bind(t, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %#v\nwant %#v", text, got, want)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, text := range []string{
		``, ` `, `userName`, `userName eq`, `userName eq 'x'`, `userName eq "x`, `userName zz "x"`, `userName eq "x" and`,
		`(userName eq "x"`, `userName eq "x")`, `emails[type eq "work"`, `emails[a[b eq 1]]`, `emails[type[x eq 1]]`,
		`shoeSize eq 1`, `password eq "x"`, `urn:ietf:params:scim:schemas:core:2.0:User:password eq "x"`,
		`active gt true`, `active co "t"`, `active eq "maybe"`, `userName eq 1`, `userName eq true`, `meta.created co "2026"`,
		`meta.created eq "yesterday"`, `name eq "x"`, `userName[value eq "x"]`, `emails[shoe eq "x"]`, `emails.shoe eq "x"`,
		`groups.display eq "x"`, `groups[display eq "x"]`, `meta.version eq "1"`, `userName eq "\x"`, "userName eq \"\\u0000\"", `not userName eq "x"`,
		`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User eq "x"`, `userName eq bogus`,
		strings.Repeat("(", filter.MaxDepth+2) + `title pr` + strings.Repeat(")", filter.MaxDepth+2),
		strings.Repeat("(", 200_000), strings.Repeat("not (", 1500),
		`title eq "` + strings.Repeat("x", filter.MaxLength) + `"`,
	} {
		_, err := bind(t, text)
		var kind protocol.Type
		if !errors.As(err, &kind) || kind != protocol.InvalidFilter {
			t.Errorf("%.60q: got %v, want invalidFilter", text, err)
		}
	}
	deep := strings.Repeat("(", filter.MaxDepth) + `title pr` + strings.Repeat(")", filter.MaxDepth)
	if _, err := bind(t, deep); err != nil {
		t.Errorf("depth %d: %v", filter.MaxDepth, err)
	}
}

func TestRefusalNamesTheAttribute(t *testing.T) {
	_, err := bind(t, `shoeSize eq "42"`)
	if err == nil || !strings.Contains(err.Error(), "shoeSize") || strings.Contains(err.Error(), "42") {
		t.Errorf("got %v", err)
	}
}

func TestStrictRefusesQuotedBooleans(t *testing.T) {
	e, err := filter.Parse(`active eq "True"`)
	if err != nil {
		t.Fatal(err)
	}
	b := filter.Binder{Resource: schema.User, Reading: &dialect.Reading{Strict: true}}
	if _, err := b.Bind(e); err == nil {
		t.Error("accepted")
	}
}

func TestMatch(t *testing.T) {
	doc := storage.Document{
		"nickName": "Bär", "locale": "en_US",
		"emails": []any{
			map[string]any{"type": "work", "value": "Ana@x.example", "primary": true},
			map[string]any{"type": "home", "value": "ana@home.example"},
		},
		schema.URNEnterprise: map[string]any{"costCenter": "C1", "manager": map[string]any{"value": "M1"}},
	}
	folded := any(schema.User.Fold(doc))
	for text, want := range map[string]bool{
		`nickName eq "BÄR"`:                          true,
		`nickName ne "x"`:                            true,
		`timezone ne "x"`:                            true,
		`timezone eq "x"`:                            false,
		`not (timezone eq "x")`:                      true,
		`timezone pr`:                                false,
		`timezone eq null`:                           true,
		`nickName ne null`:                           true,
		`emails[type eq "work" and value co "home"]`: false,
		`emails.type eq "work" and emails.value co "home"`:                           true,
		`emails.value ne "ana@x.example"`:                                            false,
		`emails[type eq "work"].value eq "ANA@X.example"`:                            true,
		`emails[type eq "work"].value ne "ANA@X.example"`:                            false,
		`emails[not (type eq "work")]`:                                               true,
		`emails.primary eq false`:                                                    true,
		`emails[type eq "home" and primary eq false]`:                                true,
		`emails[type eq "work" and primary eq false]`:                                false,
		`emails.primary ne false`:                                                    false,
		`phoneNumbers.primary eq false`:                                              false,
		`emails pr`:                                                                  true,
		`phoneNumbers pr`:                                                            false,
		`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager eq "m1"`: false, // caseExact, erratum 8472
		`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager eq "M1"`: true,
		`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User pr`:              true,
		`locale sw "EN" and locale ew "us" and locale ge "en_us" and locale lt "f"`:  true,
	} {
		f, err := bind(t, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := filter.Match(f, folded); got != want {
			t.Errorf("%s: got %v", text, got)
		}
	}
}

func TestRootQueryTreatsForeignAttributesAsUnassigned(t *testing.T) {
	for text, want := range map[string]storage.Filter{
		`userName eq "x"`: storage.Or{}, `userName ne "x"`: storage.And{}, `userName pr`: storage.Or{}, `userName eq null`: storage.And{},
		`emails[type eq "work"]`: storage.Or{},
	} {
		e, err := filter.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		b := filter.Binder{Resource: schema.Group, Reading: &dialect.Reading{}, Others: []*schema.Resource{schema.User}}
		got, err := b.Bind(e)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %#v, %v", text, got, err)
		}
	}
}

func TestParsePath(t *testing.T) {
	for text, want := range map[string]string{
		`displayName`:                                 `displayName||`,
		`name.givenName`:                              `name.givenName||`,
		`emails[type eq "work"]`:                      `emails|{type eq work}|`,
		`emails[type eq "]."].value`:                  `emails|{type eq ].}|value`,
		`urn:x:2.0:User:emails[type eq "work"].value`: `urn:x:2.0:User:emails|{type eq work}|value`,
	} {
		p, err := filter.ParsePath(text)
		inner := ""
		if p.Filter != nil {
			inner = fmt.Sprint(p.Filter)
		}
		if got := p.Attr + "|" + inner + "|" + p.Sub; err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{``, `a b`, `[type eq "x"]`, `emails[`, `emails[]`, `emails[type eq "x"`, `emails[type eq "x"]x`, `emails[type eq "x"].`, `emails[type eq "x"].a.b`, `emails[type eq "x"][type eq "y"]`, `emails[0]`} {
		if p, err := filter.ParsePath(text); err == nil {
			t.Errorf("%q: %+v", text, p)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{`userName eq "x"`, `a[b eq 1 and not (c pr)].d sw "e"`, `((title pr))`, `meta.created gt "2026-01-01T00:00:00Z"`, `emails[type eq "work"].value ne "\u00e4"`} {
		f.Add(seed)
	}
	doc := any(schema.User.Fold(storage.Document{"title": "x", "emails": []any{map[string]any{"type": "work"}}}))
	f.Fuzz(func(t *testing.T, text string) {
		begin := time.Now()
		bound, err := bind(t, text)
		if took := time.Since(begin); took > 2*time.Second {
			t.Fatalf("%d bytes took %v", len(text), took)
		}
		if err != nil {
			var kind protocol.Type
			if !errors.As(err, &kind) {
				t.Fatalf("%q: an error without a type: %v", text, err)
			}
			return
		}
		if filter.Match(bound, doc) == filter.Match(storage.Not{Filter: bound}, doc) {
			t.Fatalf("%q: matches and does not", text)
		}
	})
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{`emails[type eq "work"].value`, `name.givenName`, `urn:ietf:params:scim:schemas:core:2.0:User:title`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := filter.ParsePath(text)
		if err != nil {
			var kind protocol.Type
			if !errors.As(err, &kind) || kind != protocol.InvalidPath && kind != protocol.InvalidFilter {
				t.Fatalf("%q: an error of type %v: %v", text, kind, err)
			}
			return
		}
		if p.Attr == "" || p.Sub != "" && p.Filter == nil {
			t.Fatalf("%q: %+v", text, p)
		}
	})
}
