package api

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/healthix/healthix-scim/api/auth"
)

// openDoors are the only paths that answer without a token.
var openDoors = map[string]bool{
	tokenPath: true, metadataPath: true,
	keysPath: true, hookPath: true, "/openapi.json": true, "/livez": true, "/readyz": true, "/metrics": true, standInPath: true,
}

func everyRoute() *server {
	s := &server{Options: Options{Metrics: NewMetrics(), PortalStandIn: true, HookSecrets: []string{"any"}}}
	s.routes = s.table()
	return s
}

func TestEveryRouteNamesItsScopes(t *testing.T) {
	s := everyRoute()
	byPath := map[string]route{}
	for _, rt := range s.routes {
		byPath[rt.method+" "+echoPath(rt.path)] = rt
		switch {
		case rt.public && (len(rt.scopes) > 0 || !openDoors[rt.path]):
			t.Errorf("%s %s is public", rt.method, rt.path)
		case !rt.public && len(rt.scopes) == 0:
			t.Errorf("%s %s names no scope", rt.method, rt.path)
		case (rt.serve == nil) == (rt.do.run == nil):
			t.Errorf("%s %s has not one handler", rt.method, rt.path)
		case rt.serve != nil && !rt.public && !isSCIM(rt.path):
			t.Errorf("%s %s writes its own answer: nobody checks its token", rt.method, rt.path)
		case rt.summary == "":
			t.Errorf("%s %s has no summary", rt.method, rt.path)
		case rt.shows == undecided:
			t.Errorf("%s %s does not say what it shows of people", rt.method, rt.path)
		case rt.shows == itsDeed && rt.method == http.MethodGet:
			t.Errorf("%s %s is no deed: no entry of its own tells of it", rt.method, rt.path)
		case rt.shows == toMachines && !slices.Equal(rt.scopes, portals):
			t.Errorf("%s %s may be asked by staff", rt.method, rt.path)
		case rt.shows == nothing && rt.do.run != nil && showsPeople(rt.do.out, map[reflect.Type]bool{}):
			t.Errorf("%s %s answers %v, which shows people, and says it shows nobody", rt.method, rt.path, rt.do.out)
		case slices.Contains(rt.scopes, auth.ScopeAuditor) && rt.method != http.MethodGet && rt.path != root+"/policy/explain" && !isSCIM(rt.path):
			t.Errorf("%s %s may be asked by auditors, who only read", rt.method, rt.path)
		}
	}
	for _, mounted := range s.router().Routes() {
		method := mounted.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		_, own := byPath[method+" "+mounted.Path]
		_, all := byPath[" "+mounted.Path]
		if !own && !all {
			t.Errorf("%s %s is mounted and not in the table", mounted.Method, mounted.Path)
		}
	}
}

// showsPeople says whether a type has a member that only people have.
func showsPeople(t reflect.Type, seen map[reflect.Type]bool) bool {
	switch {
	case t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice:
		return showsPeople(t.Elem(), seen)
	case t.Kind() != reflect.Struct || seen[t]:
		return false
	}
	seen[t] = true
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if slices.Contains([]string{"userName", "givenName", "email", "mobile", "user"}, name) && f.IsExported() && t != reflect.TypeFor[PlanView]() && t != reflect.TypeFor[ReviewView]() { // their notes are about all
			return true
		}
		if f.IsExported() && showsPeople(f.Type, seen) {
			return true
		}
	}
	return false
}

func TestEveryRouteIsDescribed(t *testing.T) {
	s := everyRoute()
	var document struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]map[string]struct {
			Responses map[string]json.RawMessage `json:"responses"`
			Security  []json.RawMessage          `json:"security"`
		} `json:"paths"`
		Components struct {
			Schemas map[string]json.RawMessage `json:"schemas"`
		} `json:"components"`
	}
	text := s.describe()
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	var everything struct{ Paths map[string]json.RawMessage }
	if err := json.Unmarshal(text, &everything); err != nil {
		t.Fatal(err)
	}
	if document.OpenAPI != "3.1.0" {
		t.Errorf("openapi is %q", document.OpenAPI)
	}
	for _, rt := range s.routes {
		if rt.method == "" {
			continue // SCIM describes itself
		}
		described, ok := document.Paths[rt.path][strings.ToLower(rt.method)]
		if !ok || len(described.Responses) < 2 || (len(described.Security) == 0) != rt.public {
			t.Errorf("%s %s: described as %+v", rt.method, rt.path, described)
		}
	}
	// What is taken as it is, answered in other forms, and perhaps later, is said.
	for path, want := range map[string][]string{
		"/policy/plan":       {`"requestBody":{"content":{"application/json":{"schema":{"type":"object"}},"application/x-yaml":`, `"202":`, `"Location"`},
		"/policy/plans/{id}": {`"text/csv":{"schema":{"type":"string"}}`, `"application/yaml":`},
	} {
		described, err := json.Marshal(everything.Paths[root+path])
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range want {
			if !strings.Contains(string(described), part) {
				t.Errorf("%s: no %s in %s", path, part, described)
			}
		}
	}
	for _, reference := range strings.Split(string(text), `"#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(reference, `"`)
		if len(document.Components.Schemas[name]) < len(`{"type":"object"}`) {
			t.Errorf("schema %q is used and not described", name)
		}
	}
	for name, schema := range document.Components.Schemas {
		if strings.ContainsAny(name, "[]/.·") {
			t.Errorf("schema name %q: %s", name, schema)
		}
	}
}
