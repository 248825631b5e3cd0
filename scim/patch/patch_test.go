package patch_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/patch"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/schema"
	"github.com/healthix/healthix-scim/storage"
)

const start = `{"userName":"ana","active":true,"displayName":"Ana Lima","title":"Registered Nurse",
	"name":{"givenName":"Ana","familyName":"Lima"},
	"emails":[{"type":"work","value":"ana@mercy.example","primary":true},{"type":"home","value":"ana@home.example"}],
	"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"ED","manager":{"value":"m1","$ref":"../Users/m1"}}}`

func document(t testing.TB, text string) storage.Document {
	t.Helper()
	o, err := protocol.Read([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return storage.Document(schema.Plain(o).(map[string]any))
}

func apply(t testing.TB, strict bool, operations string) (storage.Document, *dialect.Reading, error) {
	t.Helper()
	o, err := protocol.Read([]byte(`{"schemas":["` + protocol.MessagePatch + `"],"Operations":[` + operations + `]}`))
	if err != nil {
		t.Fatalf("%s: %v", operations, err)
	}
	reading := &dialect.Reading{Strict: strict}
	req, err := patch.Parse(schema.User, o, reading)
	if err != nil {
		return nil, reading, err
	}
	old := document(t, start)
	current, err := protocol.Read([]byte(`{"id":"u1","meta":{"resourceType":"User"},"groups":[{"value":"g1"}],"urn:ietf:params:scim:schemas:extension:healthix:2.0:User":{"role":"practitioner","closedGates":["training","mobile"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	doc, err := req.Apply(old, current)
	if !patch.Same(old, document(t, start)) {
		t.Errorf("%s: the old document changed", operations)
	}
	return doc, reading, err
}

// TestApply tells for each operation which members of the document differ.
func TestApply(t *testing.T) {
	const ent = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	home := `{"type":"home","value":"ana@home.example"}`
	for operations, want := range map[string]string{
		`{"op":"replace","path":"title","value":"Physician"}`:                                    `{"title":"Physician"}`,
		`{"op":"Replace","path":"TITLE","value":"Physician"}`:                                    `{"title":"Physician"}`,
		`{"op":"add","path":"title","value":"Registered Nurse"}`:                                 `{}`,
		`{"op":"remove","path":"title"}`:                                                         `{"title":null}`,
		`{"op":"replace","path":"title","value":null}`:                                           `{"title":null}`,
		`{"op":"replace","path":"title","value":""}`:                                             `{"title":null}`,
		`{"op":"replace","value":{"active":false}}`:                                              `{"active":false}`,
		`{"op":"Replace","path":"active","value":"False"}`:                                       `{"active":false}`,
		`{"op":"remove","path":"active"}`:                                                        `{}`,
		`{"op":"replace","value":{"name.givenName":"Anna","` + ent + `:department":"ICU"}}`:      `{"name":{"givenName":"Anna","familyName":"Lima"},"` + ent + `":{"department":"ICU","manager":{"value":"m1","$ref":"../Users/m1"}}}`,
		`{"op":"add","path":"` + ent + `.employeeNumber","value":"7"}`:                           `{"` + ent + `":{"employeeNumber":"7","department":"ED","manager":{"value":"m1","$ref":"../Users/m1"}}}`,
		`{"op":"replace","path":"name","value":{"givenName":"Anna"}}`:                            `{"name":{"givenName":"Anna","familyName":"Lima"}}`,
		`{"op":"replace","path":"name","value":{"givenName":null}}`:                              `{"name":{"familyName":"Lima"}}`,
		`{"op":"remove","path":"name"}`:                                                          `{"name":null}`,
		`{"op":"replace","path":"` + ent + `:manager","value":"m2"}`:                             `{"` + ent + `":{"department":"ED","manager":{"value":"m2"}}}`,
		`{"op":"add","path":"` + ent + `:manager","value":[{"value":"m2"}]}`:                     `{"` + ent + `":{"department":"ED","manager":{"value":"m2"}}}`,
		`{"op":"replace","path":"` + ent + `:manager","value":""}`:                               `{"` + ent + `":{"department":"ED"}}`,
		`{"op":"remove","path":"` + ent + `"}`:                                                   `{"` + ent + `":null}`,
		`{"op":"remove","path":"emails[type eq \"home\"]"}`:                                      `{"emails":[{"type":"work","value":"ana@mercy.example","primary":true}]}`,
		`{"op":"remove","path":"emails[type eq \"other\"]"}`:                                     `{}`,
		`{"op":"remove","path":"emails"}`:                                                        `{"emails":null}`,
		`{"op":"remove","path":"emails[type eq \"work\"].primary"}`:                              `{"emails":[{"type":"work","value":"ana@mercy.example"},` + home + `]}`,
		`{"op":"replace","path":"emails[type eq \"work\"].value","value":"a@new.example"}`:       `{"emails":[{"type":"work","value":"a@new.example","primary":true},` + home + `]}`,
		`{"op":"Add","path":"phoneNumbers[type eq \"mobile\"].value","value":"+1 212 555 0123"}`: `{"phoneNumbers":[{"type":"mobile","value":"+1 212 555 0123"}]}`,
		`{"op":"Add","path":"roles[primary eq \"True\"].value","value":"x"},{"op":"Add","path":"roles[primary eq \"True\"].display","value":"X"}`:           `{"roles":[{"primary":true,"value":"x","display":"X"}]}`,
		`{"op":"add","path":"addresses[type eq \"work\"].locality","value":"Albany"},{"op":"add","path":"addresses[type eq \"work\"].region","value":"NY"}`: `{"addresses":[{"type":"work","locality":"Albany","region":"NY"}]}`,
		`{"op":"replace","path":"emails[type eq \"home\"].primary","value":true}`:                                                                           `{"emails":[{"type":"work","value":"ana@mercy.example","primary":false},{"type":"home","value":"ana@home.example","primary":true}]}`,
		`{"op":"add","path":"emails","value":[{"value":"new@x.example","primary":true}]}`:                                                                   `{"emails":[{"type":"work","value":"ana@mercy.example","primary":false},` + home + `,{"value":"new@x.example","primary":true}]}`,
		`{"op":"add","path":"emails","value":{"type":"home","value":"ANA@home.example"}}`:                                                                   `{"emails":[{"type":"work","value":"ana@mercy.example","primary":true},{"type":"home","value":"ANA@home.example"}]}`,
		`{"op":"add","path":"emails","value":[{"type":"home","value":"ana@home.example"}]}`:                                                                 `{}`,
		`{"op":"add","value":{"emails":[{"type":"home","value":"ana@home.example"}]}}`:                                                                      `{}`,
		`{"op":"replace","path":"emails","value":[{"value":"x@y.example"}]}`:                                                                                `{"emails":[{"value":"x@y.example"}]}`,
		`{"op":"replace","path":"emails[type eq \"home\"]","value":{"value":"x@y.example"}}`:                                                                `{"emails":[{"type":"work","value":"ana@mercy.example","primary":true},{"type":"home","value":"x@y.example"}]}`,
		`{"op":"remove","path":"emails","value":[{"value":"ana@home.example"}]}`:                                                                            `{"emails":[{"type":"work","value":"ana@mercy.example","primary":true}]}`,
		`{"op":"replace","value":{"id":"u1","schemas":["x"],"groups":[{"value":"g1"}],"meta":{"resourceType":"User"},"urn:ietf:params:scim:schemas:extension:healthix:2.0:User":{"role":"practitioner","closedGates":["mobile","training"]},"title":"RN"}}`: `{"title":"RN"}`,
		`{"op":"replace","value":{"password":"x","shoeSize":42,"nickName":"An"}}`:                                     `{"nickName":"An"}`,
		`{"op":"replace","value":{"manager":"m3"}}`:                                                                   `{"` + ent + `":{"department":"ED","manager":{"value":"m3"}}}`,
		`{"op":"replace","path":"title","value":"A"},{"op":"replace","path":"title","value":"Registered Nurse"}`:      `{}`,
		`{"op":"replace","path":"urn:ietf:params:scim:schemas:extension:healthix:2.0:User:npi","value":"1234567893"}`: `{"urn:ietf:params:scim:schemas:extension:healthix:2.0:User":{"npi":"1234567893"}}`,
	} {
		doc, _, err := apply(t, false, operations)
		if err != nil {
			t.Errorf("%s: %v", operations, err)
			continue
		}
		expected := document(t, start)
		var differ map[string]any
		if err := json.Unmarshal([]byte(want), &differ); err != nil {
			t.Fatalf("%s: %v", want, err)
		}
		for name, v := range differ {
			if v == nil {
				delete(expected, name)
			} else {
				expected[name] = v
			}
		}
		if !reflect.DeepEqual(doc, expected) {
			got, _ := json.Marshal(doc)
			wanted, _ := json.Marshal(expected)
			t.Errorf("%s:\n got %s\nwant %s", operations, got, wanted)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, tc := range []struct {
		operations string
		strict     bool
		want       protocol.Type
	}{
		{`{"op":"move","path":"title","value":"x"}`, false, protocol.InvalidSyntax},
		{`{"path":"title","value":"x"}`, false, protocol.InvalidSyntax},
		{`7`, false, protocol.InvalidSyntax},
		{strings.Repeat(`{"op":"replace","path":"title","value":"x"},`, 1000) + `{"op":"replace","path":"title","value":"y"}`, false, protocol.InvalidValue},
		{`{"op":"add","path":"title"}`, false, protocol.InvalidValue},
		{`{"op":"add","value":"x"}`, false, protocol.InvalidValue},
		{`{"op":"remove"}`, false, protocol.NoTarget},
		{`{"op":"replace","path":"shoeSize","value":1}`, false, protocol.InvalidPath},
		{`{"op":"replace","path":"emails[0]","value":"x"}`, false, protocol.InvalidFilter},
		{`{"op":"replace","path":"emails[type zz \"x\"]","value":"x"}`, false, protocol.InvalidFilter},
		{`{"op":"replace","path":"emails[type eq \"work\"].shoe","value":"x"}`, false, protocol.InvalidPath},
		{`{"op":"replace","path":"title[value eq \"x\"]","value":"x"}`, false, protocol.InvalidPath},
		{`{"op":"replace","path":"id","value":"x"}`, false, protocol.Mutability},
		{`{"op":"replace","path":"meta.version","value":"x"}`, false, protocol.Mutability},
		{`{"op":"add","path":"groups","value":[{"value":"x"}]}`, false, protocol.Mutability},
		{`{"op":"replace","value":{"id":"other"}}`, false, protocol.Mutability},
		{`{"op":"replace","value":{"id":"u1"}}`, true, protocol.Mutability},
		{`{"op":"replace","path":"urn:ietf:params:scim:schemas:extension:healthix:2.0:User:role","value":"aum"}`, false, protocol.Mutability},
		{`{"op":"replace","value":{"urn:ietf:params:scim:schemas:extension:healthix:2.0:User":{"role":"aum"}}}`, false, protocol.Mutability},
		{`{"op":"replace","path":"manager.displayName","value":"x"}`, false, protocol.Mutability},
		{`{"op":"remove","path":"userName"}`, false, protocol.Mutability},
		{`{"op":"replace","path":"userName","value":null}`, false, protocol.Mutability},
		{`{"op":"replace","path":"active","value":"maybe"}`, false, protocol.InvalidValue},
		{`{"op":"replace","path":"active","value":"False"}`, true, protocol.InvalidValue},
		{`{"op":"replace","path":"emails[type eq \"other\"].value","value":"x"}`, true, protocol.NoTarget},
		{`{"op":"replace","path":"emails[type ne \"work\" and type ne \"home\"].value","value":"x"}`, false, protocol.NoTarget},
		{`{"op":"add","path":"emails[value co \"zzz\"].display","value":"x"}`, false, protocol.NoTarget},
		{`{"op":"replace","path":"title","value":"x"},{"op":"replace","path":"userName","value":{}}`, false, protocol.InvalidValue},
	} {
		_, _, err := apply(t, tc.strict, tc.operations)
		var kind protocol.Type
		if !errors.As(err, &kind) || kind != tc.want {
			t.Errorf("%s: got %v, want %s", tc.operations, err, tc.want)
		}
	}
}

func TestDroppedByNameOnly(t *testing.T) {
	_, reading, err := apply(t, false, `{"op":"replace","value":{"password":"secret","shoeSize":42}}`)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(reading.Dropped(), []string{"shoeSize"}) || !slices.Contains(reading.Leniencies(), dialect.PasswordDropped) {
		t.Errorf("dropped %v, leniencies %v", reading.Dropped(), reading.Leniencies())
	}
}

func TestMembers(t *testing.T) {
	for _, tc := range []struct {
		operations  string
		clear       bool
		add, remove []string
	}{
		{`{"op":"Add","path":"members","value":[{"value":"a"},{"value":"b"},{"value":"a"}]}`, false, []string{"a", "b"}, nil},
		{`{"op":"Remove","path":"members","value":[{"value":"a","$ref":null}]}`, false, nil, []string{"a"}},
		{`{"op":"remove","path":"members[value eq \"a\" or value eq \"b\"]"}`, false, nil, []string{"a", "b"}},
		{`{"op":"remove","path":"members"}`, true, nil, nil},
		{`{"op":"replace","value":{"members":[{"value":"a"}]}}`, true, []string{"a"}, nil},
		{`{"op":"remove","path":"members[value eq \"a\"]"},{"op":"add","path":"members","value":[{"value":"b"},{"value":"a"}]}`, false, []string{"b", "a"}, nil},
		{`{"op":"add","path":"members","value":[{"value":"a"}]},{"op":"remove","path":"members[value eq \"a\"]"}`, false, nil, []string{"a"}},
		{`{"op":"add","path":"members","value":[{"value":"a"}]},{"op":"replace","path":"members","value":[]}`, true, nil, nil},
		{`{"op":"replace","path":"displayName","value":"x"}`, false, nil, nil},
	} {
		o, err := protocol.Read([]byte(`{"Operations":[` + tc.operations + `]}`))
		if err != nil {
			t.Fatal(err)
		}
		req, err := patch.Parse(schema.Group, o, &dialect.Reading{})
		if err != nil {
			t.Errorf("%s: %v", tc.operations, err)
			continue
		}
		c, err := req.Members()
		if err != nil || c.Clear != tc.clear || !slices.Equal(c.Add(), tc.add) || !slices.Equal(c.Remove(), tc.remove) {
			t.Errorf("%s: clear %v add %v remove %v, %v", tc.operations, c.Clear, c.Add(), c.Remove(), err)
		}
	}
}

func TestAgainst(t *testing.T) {
	now := []storage.Member{{ID: "a", Type: "User"}, {ID: "g", Type: "Group"}}
	delta := patch.ReplaceMembers([]string{"a", "b"}).Against(now, []storage.Member{{ID: "a"}, {ID: "b"}})
	if len(delta.Add) != 1 || delta.Add[0].ID != "b" || !slices.Equal(delta.Remove, []string{"g"}) || delta.Clear {
		t.Errorf("%+v", delta)
	}
	o, err := protocol.Read([]byte(`{"Operations":[{"op":"remove","path":"members[type eq \"group\"]"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	req, err := patch.Parse(schema.Group, o, &dialect.Reading{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := req.Members()
	if err != nil || !c.NeedsMembers() {
		t.Fatalf("%+v, %v", c, err)
	}
	if delta := c.Against(now, nil); !slices.Equal(delta.Remove, []string{"g"}) || len(delta.Add) != 0 {
		t.Errorf("%+v", delta)
	}
}

func FuzzPatch(f *testing.F) {
	f.Add(`{"op":"add","path":"emails[type eq \"x\"].value","value":"y"}`)
	f.Add(`{"op":"replace","value":{"name.givenName":"x","emails":[{"primary":true},{"primary":"True"}],"manager":[{"value":"z"}]}}`)
	f.Add(`{"op":"remove","path":"members","value":[{"value":"a"}]}`)
	f.Fuzz(func(t *testing.T, operations string) {
		for _, strict := range []bool{false, true} {
			fuzzPatch(t, operations, strict)
		}
	})
}

func fuzzPatch(t *testing.T, operations string, strict bool) {
	o, err := protocol.Read([]byte(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[` + operations + `]}`))
	if err != nil {
		return
	}
	if req, err := patch.Parse(schema.Group, o, &dialect.Reading{Strict: strict}); err == nil {
		if change, err := req.Members(); err == nil {
			change.Against([]storage.Member{{ID: "a", Type: "User"}}, nil)
		}
	}
	req, err := patch.Parse(schema.User, o, &dialect.Reading{Strict: strict})
	if err != nil {
		mustBeTyped(t, err)
		return
	}
	old := document(t, start)
	doc, err := req.Apply(old, nil)
	if !patch.Same(old, document(t, start)) {
		t.Fatal("the old document changed")
	}
	if err != nil {
		mustBeTyped(t, err)
		return
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if !patch.Same(doc, document(t, string(text))) {
		t.Fatalf("not the same after a round trip: %s", text)
	}
	mustBeValid(t, text)
	if _, err := schema.User.FoldJSON(doc); err != nil {
		t.Fatal(err)
	}
	again, err := req.Apply(doc, nil)
	if err != nil {
		return // what was there the first time may be gone
	}
	if text, err = json.Marshal(again); err != nil {
		t.Fatal(err)
	}
	mustBeValid(t, text)
}

func mustBeTyped(t *testing.T, err error) {
	t.Helper()
	var kind protocol.Type
	if !errors.As(err, &kind) {
		t.Fatalf("an error without a type: %v", err)
	}
}

// mustBeValid reads a document as a POST would send it, and more strictly: no
// string for a boolean, no object for an array, one primary at most.
func mustBeValid(t *testing.T, text []byte) {
	t.Helper()
	o, err := protocol.Read(text)
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	reading := &dialect.Reading{}
	if _, err := schema.User.Decode(o, reading); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	known := []dialect.Leniency{dialect.SchemasMissing, dialect.ExtensionUnlisted, dialect.FormAsSent} // documents hold no schemas
	for _, l := range reading.Leniencies() {
		if !slices.Contains(known, l) {
			t.Fatalf("it takes %s to read %s", l, text)
		}
	}
}
