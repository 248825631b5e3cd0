package scim_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

type published struct {
	Name            string
	Type            string
	MultiValued     *bool
	Required        *bool
	CaseExact       *bool
	Mutability      string
	Returned        string
	Uniqueness      string
	ReferenceTypes  []string
	CanonicalValues []string
	SubAttributes   []published
}

type publishedSchema struct {
	ID, Name, Description string
	Attributes            []published
	Meta                  struct{ ResourceType, Location string }
}

func schemasOf(t *testing.T, s *server) map[string]publishedSchema {
	t.Helper()
	var list struct{ Resources []publishedSchema }
	if err := json.Unmarshal(s.must(t, 200, "GET", "/Schemas", "").Body.Bytes(), &list); err != nil {
		t.Fatal(err)
	}
	byURN := map[string]publishedSchema{}
	for _, x := range list.Resources {
		byURN[x.ID] = x
	}
	return byURN
}

func TestPublishedSchemasAreWhole(t *testing.T) {
	inBothProfiles(t, func(t *testing.T, s *server) {
		for urn, x := range schemasOf(t, s) {
			if x.Name == "" || x.Description == "" || x.Meta.ResourceType != "Schema" || !strings.HasSuffix(x.Meta.Location, "/Schemas/"+urn) {
				t.Errorf("%s: %+v", urn, x.Meta)
			}
			if strings.Contains(urn, ":api:messages:") {
				t.Errorf("%s is a message", urn)
			}
			for _, a := range x.Attributes {
				checkPublished(t, urn+":"+a.Name, a, 0)
			}
		}
	}, 12, 23, 24, 29)
}

func checkPublished(t *testing.T, path string, a published, depth int) {
	t.Helper()
	types := []string{"string", "boolean", "decimal", "integer", "dateTime", "binary", "reference", "complex"}
	switch {
	case !slices.Contains(types, a.Type):
		t.Errorf("%s: type %q", path, a.Type)
	case a.MultiValued == nil, a.Required == nil, a.CaseExact == nil:
		t.Errorf("%s: a characteristic is missing", path)
	case !slices.Contains([]string{"readOnly", "readWrite", "immutable", "writeOnly"}, a.Mutability),
		!slices.Contains([]string{"always", "never", "default", "request"}, a.Returned),
		!slices.Contains([]string{"none", "server", "global"}, a.Uniqueness):
		t.Errorf("%s: mutability %q, returned %q, uniqueness %q", path, a.Mutability, a.Returned, a.Uniqueness)
	case a.Type == "complex" && (depth > 0 || len(a.SubAttributes) == 0):
		t.Errorf("%s: complex at depth %d with %d sub-attributes", path, depth, len(a.SubAttributes))
	case a.Type != "complex" && len(a.SubAttributes) > 0:
		t.Errorf("%s: sub-attributes of a %s", path, a.Type)
	case a.Type == "reference" && len(a.ReferenceTypes) == 0:
		t.Errorf("%s: a reference to nothing", path)
	case strings.EqualFold(a.Name, "password"):
		t.Errorf("%s is published and not implemented", path)
	}
	for _, sub := range a.SubAttributes {
		checkPublished(t, path+"."+sub.Name, sub, depth+1)
	}
}

func TestResourceTypesNamePublishedSchemas(t *testing.T) {
	inBothProfiles(t, func(t *testing.T, s *server) {
		known := schemasOf(t, s)
		var list struct {
			Resources []struct {
				ID, Name, Endpoint, Schema string
				SchemaExtensions           []struct {
					Schema   string
					Required *bool
				}
			}
		}
		if err := json.Unmarshal(s.must(t, 200, "GET", "/ResourceTypes", "").Body.Bytes(), &list); err != nil {
			t.Fatal(err)
		}
		used := map[string]bool{}
		for _, r := range list.Resources {
			used[r.Schema] = true
			if r.ID != r.Name || r.Endpoint != "/"+r.Name+"s" {
				t.Errorf("%+v", r)
			}
			for _, x := range r.SchemaExtensions {
				used[x.Schema] = true
				if x.Required == nil {
					t.Errorf("%s: required is missing", x.Schema)
				}
			}
			s.must(t, 200, "GET", r.Endpoint, "") // what is published is served
		}
		for urn := range used {
			if _, ok := known[urn]; !ok {
				t.Errorf("%s is no published schema", urn)
			}
		}
		if len(used) != len(known) {
			t.Errorf("%d schemas published, %d used", len(known), len(used))
		}
	}, 21, 23, 26)
}

// TestPublishedIsImplemented: every attribute that clients may write is kept and
// found, and no other.
func TestPublishedIsImplemented(t *testing.T) {
	inBothProfiles(t, func(t *testing.T, s *server) {
		for urn, x := range schemasOf(t, s) {
			if !strings.HasSuffix(urn, ":User") {
				continue
			}
			for _, a := range x.Attributes {
				path := urn + ":" + a.Name
				if a.Name != "groups" && a.Type != "complex" {
					s.must(t, 200, "GET", "/Users?filter="+path+" pr", "")
				}
				for _, sub := range a.SubAttributes {
					if a.Name != "groups" {
						s.must(t, 200, "GET", "/Users?filter="+path+"."+sub.Name+" pr", "")
					}
				}
			}
		}
		for _, path := range []string{"/Users", "/Groups"} { // common attributes of every type
			s.must(t, 200, "GET", path+"?filter=id pr or externalId pr or meta.created pr and meta.lastModified pr", "")
		}
	}, 26, 27)
}

func TestConfigurationStatesEverything(t *testing.T) {
	inBothProfiles(t, func(t *testing.T, s *server) {
		config := s.must(t, 200, "GET", "/ServiceProviderConfig", "").body
		for _, name := range []string{"patch", "bulk", "filter", "changePassword", "sort", "etag"} {
			feature, _ := config[name].(map[string]any)
			if _, stated := feature["supported"].(bool); !stated {
				t.Errorf("%s.supported is not stated", name)
			}
		}
		for name, members := range map[string][]string{"bulk": {"maxOperations", "maxPayloadSize"}, "filter": {"maxResults"}} {
			feature, _ := config[name].(map[string]any)
			for _, m := range members {
				if _, number := feature[m].(float64); !number {
					t.Errorf("%s.%s is not a number", name, m)
				}
			}
		}
		schemes, _ := config["authenticationSchemes"].([]any)
		types := []any{}
		for _, e := range schemes {
			scheme := e.(map[string]any)
			if types = append(types, scheme["type"]); scheme["name"] == "" || scheme["description"] == "" {
				t.Errorf("scheme %v", scheme)
			}
		}
		if fmt.Sprint(types) != "[oauthbearertoken oauth2]" {
			t.Errorf("authentication schemes %v", types)
		}
		if text := s.must(t, 200, "GET", "/ServiceProviderConfig", "").Body.String(); strings.Contains(text, "mercy") {
			t.Errorf("tells of a participant: %s", text)
		}
		if again := s.must(t, 200, "GET", "/ServiceProviderConfig?startIndex=2&count=0&sortBy=x&attributes=patch", "").Body.String(); !strings.Contains(again, "authenticationSchemes") {
			t.Errorf("parameters were followed: %s", again)
		}
	}, 15, 16, 17, 18, 20)
}
