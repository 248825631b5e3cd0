package schema_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/schema"
	"github.com/healthix/healthix-scim/storage"
)

// TestAttributes holds the schemas against RFC 7643 §4 and contract.md.
func TestAttributes(t *testing.T) {
	names := func(list []*schema.Attribute) string {
		var out []string
		for _, a := range list {
			out = append(out, a.Name())
		}
		return strings.Join(out, " ")
	}
	for _, tc := range []struct {
		of   *schema.Schema
		want string
	}{
		{schema.User.Base, "userName name displayName nickName profileUrl title userType preferredLanguage locale timezone active emails phoneNumbers ims photos addresses groups entitlements roles x509Certificates"},
		{schema.Group.Base, "displayName members"},
		{schema.User.Extension(schema.URNEnterprise), "employeeNumber costCenter organization division department manager"},
		{schema.User.Extension(schema.URNHealthix), "accessStatus role permissions requestedRole closedGates reason policyVersion healthixUsername releasedAt trainingExpiresAt clinicalAlerts npi"},
	} {
		if got := names(tc.of.Attributes); got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.of.URN, got, tc.want)
		}
	}
	for _, a := range schema.User.Extension(schema.URNHealthix).Attributes {
		if a.ReadOnly() == (a.Name() == "npi") {
			t.Errorf("%s: read-only is %v", a.Path(), a.ReadOnly())
		}
	}
	manager := schema.User.Extension(schema.URNEnterprise).Attribute("MANAGER")
	if !manager.Sub("value").CaseExact() || !manager.Sub("displayName").ReadOnly() {
		t.Error("manager's sub-attributes")
	}
	if !schema.Group.Core("displayName").Required() || !schema.User.Core("username").Required() {
		t.Error("required attributes")
	}
}

func TestResolve(t *testing.T) {
	for path, want := range map[string]string{
		"USERNAME": "userName", "name.GIVENNAME": "name.givenName", "$ref": "", "meta.lastmodified": "meta.lastModified", "groups.$REF": "groups.$ref",
		"urn:ietf:params:scim:schemas:core:2.0:user:name.familyName":                "name.familyName",
		"URN:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value":  schema.URNEnterprise + ":manager.value",
		"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.employeeNumber": schema.URNEnterprise + ":employeeNumber",
		"manager":   schema.URNEnterprise + ":manager",
		"manager.x": "", "shoe": "", "name.": "", "": "", ".": "", "name.givenName.x": "",
		"urn:ietf:params:scim:schemas:core:2.0:User": "", "urn:ietf:params:scim:schemas:core:2.0:UserX:name": "",
	} {
		target, ok := schema.User.Resolve(path, &dialect.Reading{})
		got := ""
		if ok && target.Leaf() != nil {
			got = target.Leaf().Path()
		}
		if got != want {
			t.Errorf("%q: got %q, want %q", path, got, want)
		}
	}
	if _, ok := schema.User.Resolve("manager", &dialect.Reading{Strict: true}); ok {
		t.Error("strict: a bare extension attribute resolves")
	}
}

func TestDecodeAndFold(t *testing.T) {
	o, err := protocol.Read([]byte(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"Ana","PASSWORD":"x","nickName":"","roles":[],"name":{"givenName":null},
		"emails":[{"Type":"Work","VALUE":"Ana@X.example","Extra":{"Deep":[1,null]}},{},null],"active":"TRUE","x509Certificates":[{"value":"AAECAw"}],
		"urn:ietf:params:scim:schemas:extension:healthix:2.0:User":{"role":"aum"}}`))
	if err != nil {
		t.Fatal(err)
	}
	reading := &dialect.Reading{}
	doc, err := schema.User.Decode(o, reading)
	if err != nil {
		t.Fatal(err)
	}
	want := storage.Document{
		"userName": "Ana", "active": true,
		"emails":           []any{map[string]any{"type": "Work", "value": "Ana@X.example", "Extra": map[string]any{"Deep": []any{json.Number("1")}}}},
		"x509Certificates": []any{map[string]any{"value": "AAECAw"}},
	}
	if !reflect.DeepEqual(doc, want) {
		t.Errorf("got %v", doc)
	}
	if !slices.Contains(reading.Leniencies(), dialect.ExtensionUnlisted) {
		t.Errorf("leniencies %v", reading.Leniencies())
	}
	fold, err := schema.User.FoldJSON(doc)
	if err != nil {
		t.Fatal(err)
	}
	const folded = `{"active":true,"emails":[{"type":"work","value":"ana@x.example"}],"username":"ana","x509certificates":[{"value":"AAECAw"}]}`
	if string(fold) != folded {
		t.Errorf("fold %s", fold)
	}
}

func TestWrongTypes(t *testing.T) {
	for _, body := range []string{
		`{"userName":7}`, `{"userName":["a"]}`, `{"userName":"a","active":1}`, `{"userName":"a","name":"Ana"}`, `{"userName":"a","emails":[7]}`,
		`{"userName":"a","x509Certificates":[{"value":"§"}]}`, `{"userName":"a","emails":[{"primary":"maybe"}]}`, `{"userName":"a","name":[{"givenName":"a"},{"givenName":"b"}]}`,
		`{"userName":"` + strings.Repeat("a", 1025) + `"}`, `{"userName":"a","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":7}`,
	} {
		o, err := protocol.Read([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		_, err = schema.User.Decode(o, &dialect.Reading{})
		var kind protocol.Type
		if !errors.As(err, &kind) || kind != protocol.InvalidValue {
			t.Errorf("%.60s: %v", body, err)
		}
	}
}

func TestParseTime(t *testing.T) {
	for text, want := range map[string]string{
		"2026-01-02T03:04:05Z":              "2026-01-02T03:04:05.000000000Z",
		"2026-01-02T03:04:05.1234567Z":      "2026-01-02T03:04:05.123456700Z",
		"2026-01-02T05:04:05+02:00":         "2026-01-02T03:04:05.000000000Z",
		"2026-01-02T03:04:05":               "2026-01-02T03:04:05.000000000Z",
		"2026-01-02T03:04:05.123456789012Z": "2026-01-02T03:04:05.123456789Z",
	} {
		got, ok := schema.ParseTime(text)
		if !ok || schema.Instant(got) != want {
			t.Errorf("%s: %s, %v", text, schema.Instant(got), ok)
		}
	}
	for _, text := range []string{"2026-01-02", "2026-13-02T03:04:05Z", "02.01.2026", "2026-01-02 03:04:05Z", ""} {
		if _, ok := schema.ParseTime(text); ok {
			t.Errorf("%q is read", text)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"a","emails":[{"value":"b","primary":"True"},"c"],"active":"False"}`)
	f.Add(`{"schemas":null,"USERNAME":"a","name":[{"givenName":""}],"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":"m"}}`)
	f.Add(`{"userName":"a","x509Certificates":[{"value":"AAECAw"}],"addresses":{"country":"United States"},"profileUrl":"%","n":1e2}`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range schema.Resources {
			for _, strict := range []bool{false, true} {
				fuzzDecode(t, r, text, strict)
			}
		}
	})
}

// fuzzDecode: what is read is read once and for all. Reading it again takes
// nothing but what documents leave out, and changes nothing.
func fuzzDecode(t *testing.T, r *schema.Resource, text string, strict bool) {
	o, err := protocol.Read([]byte(text))
	if err != nil {
		return
	}
	doc, err := r.Decode(o, &dialect.Reading{Strict: strict})
	if err != nil {
		var kind protocol.Type
		if !errors.As(err, &kind) {
			t.Fatalf("an error without a type: %v", err)
		}
		return
	}
	fold, err := r.FoldJSON(doc)
	if err != nil || !json.Valid(fold) {
		t.Fatalf("fold %s, %v", fold, err)
	}
	kept, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	if o, err = protocol.Read(kept); err != nil {
		t.Fatalf("%v: %s", err, kept)
	}
	again, err := r.Decode(o, &dialect.Reading{})
	if err != nil || !reflect.DeepEqual(again, doc) {
		t.Fatalf("%v\n first %s\n again %v", err, kept, again)
	}
}
