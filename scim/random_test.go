package scim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/healthix/healthix-scim/scim/filter"
)

// Words that trip databases, collations, LIKE, folding and JSON.
var words = []string{"a", "A", "ab", "aB c", "b", "ä", "Ä", "a\u0308", "ß", "SS", "é", "Éa", "İ", "ı", "ǆ", "K", "😀", "%", "_", "a%b", "a_b", `\`, `a\b`, `"`, "'", "x' or '1'='1", "[x]", "(y)", "1", "10", "9", " a", "work", "WORK", "home", "null", "true", "ſ", "ﬁ", "日本"}

var instants = []string{"2001-01-01T00:00:00Z", "2026-11-25T10:00:00.123Z", "2026-11-25T12:00:00+02:00", "2126-01-01T00:00:00.1234567Z"}

// fields is what random filters ask of, by the kind of value.
var fields = map[string][]string{
	"text": {"userName", "nickName", "displayName", "title", "name.givenName", "name.familyName", "name.honorificPrefix", "emails", "emails.value", "emails.type", "emails.display", "phoneNumbers.value",
		"addresses.locality", "externalId", "profileUrl", "userType", "locale", urnEnterprise + ":employeeNumber", urnEnterprise + ":department", urnEnterprise + ":manager", urnEnterprise + ":manager.value",
		urnHealthix + ":npi", urnHealthix + ":accessStatus", urnHealthix + ":clinicalAlerts", urnHealthix + ":reason", urnUser + ":nickName", "meta.resourceType", "schemas"},
	"bool":    {"active", "emails.primary", "phoneNumbers.primary"},
	"number":  {urnHealthix + ":policyVersion"},
	"instant": {"meta.created", "meta.lastModified"},
	"any":     {"name", "addresses", "phoneNumbers", "emails", urnEnterprise},
}

const (
	urnEnterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	urnHealthix   = "urn:ietf:params:scim:schemas:extension:healthix:2.0:User"
)

func draw[T any](r *rapid.T, label string, from ...T) T {
	return rapid.SampledFrom(from).Draw(r, label)
}

// randomCase writes a name in some letter case.
func randomCase(r *rapid.T, s string) string {
	switch draw(r, "case", 0, 0, 1, 2) {
	case 1:
		return strings.ToLower(s)
	case 2:
		return strings.ToUpper(s)
	}
	return s
}

func quoted(s string) string {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)
	return strings.TrimSpace(buf.String())
}

func randomCompare(r *rapid.T, kind, path string) string {
	text := randomCase(r, path) + " "
	ops, value := []string{"eq", "ne"}, ""
	switch kind {
	case "text":
		ops, value = append(ops, "co", "sw", "ew", "gt", "ge", "lt", "le"), quoted(draw(r, "word", words...))
	case "bool":
		value = draw(r, "bool", "true", "false", "TRUE")
	case "number":
		ops, value = append(ops, "gt", "ge", "lt", "le"), draw(r, "number", "0", "1", "2")
	case "instant":
		ops, value = append(ops, "gt", "ge", "lt", "le"), quoted(draw(r, "instant", instants...))
	}
	switch draw(r, "form", 0, 0, 0, 0, 0, 1, 2) {
	case 1:
		return text + randomCase(r, "pr")
	case 2:
		return text + draw(r, "null", "eq", "ne", "eq") + " null"
	}
	if kind == "any" {
		return text + "pr"
	}
	return text + randomCase(r, draw(r, "op", ops...)) + " " + value
}

func randomElement(r *rapid.T, depth int) string {
	return draw(r, "of", "emails", "phoneNumbers", urnUser+":emails") + "[" + randomTree(r, depth, func() string {
		if draw(r, "sub", 0, 1, 2) == 0 {
			return randomCompare(r, "bool", "primary")
		}
		return randomCompare(r, "text", draw(r, "name", "value", "type", "display"))
	}) + "]"
}

func randomTree(r *rapid.T, depth int, leaf func() string) string {
	if depth == 0 {
		return leaf()
	}
	inner := func() string { return randomTree(r, depth-1, leaf) }
	switch draw(r, "node", 0, 1, 2, 3, 4) {
	case 0:
		return inner() + " " + randomCase(r, "and") + " " + inner()
	case 1:
		return inner() + " " + randomCase(r, "or") + "  " + inner()
	case 2:
		return randomCase(r, "not") + draw(r, "space", "", " ") + "(" + inner() + ")"
	case 3:
		return "( " + inner() + " )"
	}
	return leaf()
}

func randomFilter(r *rapid.T) string {
	return randomTree(r, rapid.IntRange(0, 3).Draw(r, "depth"), func() string {
		if draw(r, "leaf", 0, 0, 0, 1) == 1 {
			text := randomElement(r, rapid.IntRange(0, 2).Draw(r, "inner depth"))
			if draw(r, "after", 0, 0, 1) == 1 {
				text += "." + randomCompare(r, "text", "value")
			}
			return text
		}
		kind := draw(r, "kind", "text", "text", "text", "text", "bool", "number", "instant", "any")
		return randomCompare(r, kind, draw(r, "path", fields[kind]...))
	})
}

// randomUser is a body with what the words and chance make of it.
func randomUser(r *rapid.T, i int) map[string]any {
	u := map[string]any{"schemas": []string{urnUser, urnEnterprise, urnHealthix}, "userName": fmt.Sprintf("%s%d", draw(r, "userName", "a", "Ä", "ß", "b_", "c%", "日"), i)}
	maybe := func(o map[string]any, names ...string) {
		for _, name := range names {
			if rapid.Bool().Draw(r, name) {
				o[name] = draw(r, name, words...)
			}
		}
	}
	maybe(u, "nickName", "displayName", "title", "profileUrl", "userType", "locale")
	if rapid.Bool().Draw(r, "external") {
		u["externalId"] = fmt.Sprintf("%s%d", draw(r, "externalId", "a", "A", "%"), i)
	}
	if rapid.Bool().Draw(r, "active?") {
		u["active"] = rapid.Bool().Draw(r, "active")
	}
	name := map[string]any{}
	maybe(name, "givenName", "familyName", "honorificPrefix")
	u["name"] = name
	for _, attribute := range []string{"emails", "phoneNumbers"} {
		var list []any
		for range rapid.IntRange(0, 3).Draw(r, attribute) {
			e := map[string]any{}
			maybe(e, "value", "display")
			if rapid.Bool().Draw(r, "typed") {
				e["type"] = draw(r, "type", "work", "HOME", "Work", "a")
			}
			if rapid.Bool().Draw(r, "primary?") {
				e["primary"] = rapid.Bool().Draw(r, "primary")
			}
			list = append(list, e)
		}
		u[attribute] = list
	}
	address := map[string]any{}
	maybe(address, "locality", "region")
	u["addresses"] = []any{address}
	enterprise := map[string]any{}
	maybe(enterprise, "employeeNumber", "department", "manager")
	u[urnEnterprise] = enterprise
	npi := map[string]any{}
	maybe(npi, "npi")
	u[urnHealthix] = npi
	return u
}

// TestRandomFiltersMeanWhatTheySay: what the database finds is what the filter
// says of the resources as they are shown.
func TestRandomFiltersMeanWhatTheySay(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			proves(t, 72, 74, 76, 78, 88)
			s := newServer(t, engine)
			bodies := rapid.Custom(func(r *rapid.T) []map[string]any {
				list := make([]map[string]any, 60)
				for i := range list {
					list[i] = randomUser(r, i)
				}
				return list
			}).Example(20261125)
			for _, body := range bodies {
				text, err := json.Marshal(body)
				if err != nil {
					t.Fatal(err)
				}
				s.must(t, 201, "POST", "/Users", string(text))
			}
			var shown struct{ Resources []map[string]any }
			dec := json.NewDecoder(s.must(t, 200, "GET", "/Users?count=1000", "").raw())
			dec.UseNumber()
			if err := dec.Decode(&shown); err != nil || len(shown.Resources) != len(bodies) {
				t.Fatalf("%d users shown, %v", len(shown.Resources), err)
			}
			matched := 0
			rapid.Check(t, func(r *rapid.T) {
				for range 3 {
					text := randomFilter(r)
					e, err := filter.Parse(text)
					if err != nil {
						r.Fatalf("%s: %v", text, err)
					}
					var want []string
					for _, u := range shown.Resources {
						if holds(e, u) {
							want = append(want, u["id"].(string))
						}
					}
					got := s.found(t, r, text)
					if !slices.Equal(got, want) {
						r.Fatalf("%s\n found %d: %v\n holds of %d: %v", text, len(got), missing(got, want), len(want), missing(want, got))
					}
					if len(got) > 0 && len(got) < len(bodies) {
						matched++
					}
				}
			})
			if matched < 20 {
				t.Errorf("only %d filters told users apart", matched)
			}
		})
	}
}

// found lists the ids that a filter finds, oldest first.
func (s *server) found(t *testing.T, r *rapid.T, text string) []string {
	a := s.ask(t, "GET", "/Users?attributes=id&count=1000&filter="+url.QueryEscape(text), "")
	if a.Code != 200 {
		r.Fatalf("%s: %d %s", text, a.Code, a.Body)
	}
	var ids []string
	for _, u := range a.body["Resources"].([]any) {
		ids = append(ids, u.(map[string]any)["id"].(string))
	}
	if int(a.total()) != len(ids) {
		r.Fatalf("%s: %d found, total %v", text, len(ids), a.total())
	}
	return ids
}

// missing lists what is in the one and not in the other.
func missing(of, from []string) []string {
	return slices.DeleteFunc(slices.Clone(of), func(id string) bool { return slices.Contains(from, id) })
}
