package scim_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/scim"
)

// endless is a body that never ends and counts what was read of it.
type endless struct {
	read  int
	block []byte
}

func (e *endless) Read(p []byte) (int, error) {
	n := copy(p, e.block)
	e.read += n
	return n, nil
}

// TestAbuse: whatever is sent, the answer is a clear 4xx, soon, and memory stays
// flat.
func TestAbuse(t *testing.T) {
	inBothProfiles(t, func(t *testing.T, s *server) {
		user := s.newUser(t, "victim@mercy.example")
		filter := func(text string) string { return "/Users?filter=" + url.QueryEscape(text) }
		schemas := fmt.Sprintf(`{"schemas":[%q],`, urnUser)
		huge := strings.Repeat("x", 20<<20)
		for name, c := range map[string]struct {
			method, path, body string
			status             int
			scimType           string
		}{
			"200 KB of parentheses":           {"GET", filter(strings.Repeat("(", 200<<10)), "", 400, "invalidFilter"},
			"parentheses that fit":            {"GET", filter(strings.Repeat("(", 8<<10)), "", 400, "invalidFilter"},
			"closed parentheses":              {"GET", filter(strings.Repeat("(", 51) + "title pr" + strings.Repeat(")", 51)), "", 400, "invalidFilter"},
			"nots":                            {"GET", filter(strings.Repeat("not(", 2000)), "", 400, "invalidFilter"},
			"brackets":                        {"GET", filter(strings.Repeat("emails[", 1000)), "", 400, "invalidFilter"},
			"a string without end":            {"GET", filter(`title eq "` + strings.Repeat(`\"`, 4000)), "", 400, "invalidFilter"},
			"a number of 8 KB":                {"GET", filter(`title eq ` + strings.Repeat("9", 8000)), "", 400, "invalidFilter"},
			"a NUL":                           {"GET", filter("userName eq \"a\x00b\""), "", 400, "invalidFilter"},
			"a NUL by escape":                 {"GET", filter(`userName eq "a\u0000b"`), "", 400, "invalidFilter"},
			"no UTF-8":                        {"GET", filter("userName eq \"\xc3\x28\""), "", 400, "invalidFilter"},
			"200 KB of parentheses in a body": {"POST", "/Users/.search", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],"filter":"` + strings.Repeat("(", 200<<10) + `"}`, 400, "invalidFilter"},
			"a path of parentheses":           {"PATCH", "/Users/" + user, patchOf(`{"op":"replace","path":"emails[` + strings.Repeat("(", 200<<10) + `","value":"x"}`), 400, "invalidPath"},
			"20 MB":                           {"POST", "/Users", schemas + `"userName":"` + huge + `"}`, 413, ""},
			"20 MB of a group":                {"PUT", "/Groups/" + user, schemas + `"displayName":"` + huge + `"}`, 413, ""},
			"20 MB of a search":               {"POST", "/.search", `{"filter":"` + huge + `"}`, 413, ""},
			"arrays in arrays":                {"POST", "/Users", strings.Repeat("[", 1<<20), 400, "invalidSyntax"},
			"objects in objects":              {"POST", "/Users", strings.Repeat(`{"a":`, 100<<10), 400, "invalidSyntax"},
			"depth that is closed":            {"POST", "/Users", schemas + `"userName":"a","emails":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}", 400, "invalidSyntax"},
			"half a million nulls and more":   {"PATCH", "/Groups/" + user, `{"Operations":[` + strings.Repeat("0,", 3<<20) + `0]}`, 400, "invalidSyntax"},
			"a member twice":                  {"POST", "/Users", schemas + `"userName":"a","userName":"b"}`, 400, "invalidSyntax"},
			"twice in another letter case":    {"POST", "/Users", schemas + `"userName":"a","USERNAME":"b"}`, 400, "invalidSyntax"},
			"twice, deep":                     {"POST", "/Users", schemas + `"userName":"a","name":{"givenName":"a","GivenName":"b"}}`, 400, "invalidSyntax"},
			"twice, among many":               {"POST", "/Users", schemas + manyMembers(20_000) + `"userName":"a","userNAME":"b"}`, 400, "invalidSyntax"},
			"a NUL in a value":                {"POST", "/Users", schemas + `"userName":"a\u0000b"}`, 400, "invalidValue"},
			"a NUL in a name":                 {"POST", "/Users", schemas + `"userName":"a","na\u0000me":1}`, 400, "invalidValue"},
			"a bare NUL":                      {"POST", "/Users", schemas + "\"userName\":\"a\x00b\"}", 400, "invalidSyntax"},
			"a body that is no UTF-8":         {"POST", "/Users", schemas + "\"userName\":\"\xff\xfe\"}", 400, "invalidSyntax"},
			"a NUL in a PATCH":                {"PATCH", "/Users/" + user, patchOf(`{"op":"add","path":"nickName","value":"a\u0000"}`), 400, "invalidValue"},
			"a NUL in a member":               {"PATCH", "/Groups/" + user, patchOf(`{"op":"add","path":"members","value":[{"value":"\u0000"}]}`), 400, "invalidValue"},
			"a number beyond doubles":         {"POST", "/Users", schemas + `"userName":"a","emails":[{"value":"x","n":1e999}]}`, 400, "invalidValue"},
			"a number of a megabyte":          {"POST", "/Users", schemas + `"userName":"a","n":` + strings.Repeat("1", 1<<20-200) + "}", 400, "invalidValue"},
			"a userName beyond its index":     {"POST", "/Users", schemas + `"userName":"` + strings.Repeat("é", 600) + `"}`, 400, "invalidValue"},
			"40,000 addresses":                {"POST", "/Users", schemas + `"userName":"a","emails":[` + strings.Repeat(`{"value":"a","primary":true},`, 30_000) + `{"value":"b"}]}`, 400, "invalidValue"},
			"10,000 operations":               {"PATCH", "/Users/" + user, patchOf(strings.Repeat(`{"op":"add","path":"nickName","value":"a"},`, 10_000) + `{"op":"remove","path":"nickName"}`), 400, "invalidValue"},
			"20,000 parameters that say no":   {"GET", "/Users?count=1&" + strings.Repeat("a=b&", 20_000) + "count=x;y", "", 400, "invalidSyntax"},
			"a path of a megabyte":            {"GET", "/Users/" + strings.Repeat("x", 1<<20), "", 404, ""},
		} {
			start := time.Now()
			before := heap()
			r := s.ask(t, c.method, c.path, c.body)
			if !r.isError(c.status, c.scimType) {
				t.Errorf("%s: %d %.300s, want %d %s", name, r.Code, r.Body, c.status, c.scimType)
			}
			if r.Body.Len() > 2000 {
				t.Errorf("%s: an answer of %d bytes", name, r.Body.Len())
			}
			if grown := int64(heap()) - int64(before); grown > 128<<20 {
				t.Errorf("%s: %d MB more in use", name, grown>>20)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("%s: took %v", name, took)
			}
		}
		if total := s.must(t, 200, "GET", "/Users", "").total(); total != 1 {
			t.Errorf("%v users, want the one", total)
		}
	}, 28, 88, 125, 134, 136, 141)
}

func manyMembers(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, `"m%d":1,`, i)
	}
	return text.String()
}

// heap is what is in use, garbage not yet collected with it.
func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestAHundredThousandIDs: more than a statement has parameters for.
func TestAHundredThousandIDs(t *testing.T) {
	inBothProfiles(t, func(t *testing.T, s *server) {
		const n = 100_000
		group := s.newGroup(t, "G", s.newUser(t, "a@mercy.example"))
		strangers := make([]string, n)
		for i := range strangers {
			strangers[i] = fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
		}
		if r := s.ask(t, "PATCH", "/Groups/"+group, patchOf(`{"op":"add","path":"members","value":`+memberList(strangers)+`}`)); !r.isError(400, "invalidValue") {
			t.Errorf("strangers added: %d %.300s", r.Code, r.Body)
		}
		removals := make([]string, 40_000)
		for i := range removals {
			removals[i] = `{"op":"remove","path":"members[value eq \"` + strangers[i] + `\"]"}`
		}
		r := s.must(t, 200, "PATCH", "/Groups/"+group, patchOf(removals...))
		if members, _ := r.body["members"].([]any); len(members) != 1 {
			t.Errorf("members left: %v", members)
		}
		if r := s.ask(t, "PUT", "/Groups/"+group, fmt.Sprintf(`{"schemas":[%q],"displayName":"G","members":%s}`, urnGroup, memberList(strangers))); !r.isError(400, "invalidValue") {
			t.Errorf("replaced by strangers: %d %.300s", r.Code, r.Body)
		}
	}, 109, 114)
}

// TestDocumentsDoNotGrowWithoutEnd: what a body may not hold, many may not
// gather.
func TestDocumentsDoNotGrowWithoutEnd(t *testing.T) {
	inBothProfiles(t, func(t *testing.T, s *server) {
		user := s.newUser(t, "big@mercy.example")
		refused := false
		for i := range 8 {
			r := s.ask(t, "PATCH", "/Users/"+user+"?attributes=id", patchOf(fmt.Sprintf(`{"op":"add","path":"roles","value":[{"value":"r%d","display":"%s"}]}`, i, strings.Repeat("x", 300_000))))
			if refused = r.isError(400, "invalidValue"); refused {
				break
			}
			if r.Code != 200 {
				t.Fatalf("%d %.300s", r.Code, r.Body)
			}
		}
		if !refused {
			t.Error("2.4 MB are kept, a body holds 1")
		}
		s.must(t, 200, "PATCH", "/Users/"+user, patchOf(`{"op":"remove","path":"roles"}`))
	}, 88, 141)
}

// TestBodiesAreReadToTheirLimit: a body without end is left off at the limit.
func TestBodiesAreReadToTheirLimit(t *testing.T) {
	inBothProfiles(t, func(t *testing.T, s *server) {
		for path, limit := range map[string]int{"/Users": 1 << 20, "/.search": 1 << 20} {
			body := &endless{block: bytes.Repeat([]byte(" "), 4096)}
			req := httptest.NewRequest(http.MethodPost, baseURL+scim.Prefix+path, io.NopCloser(body))
			req.Header.Set("Content-Type", "application/scim+json")
			w := s.do(req, "")
			if w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), fmt.Sprint(limit)) {
				t.Errorf("%s: %d %s", path, w.Code, w.Body)
			}
			if body.read > 2*limit {
				t.Errorf("%s: read %d bytes past a limit of %d", path, body.read, limit)
			}
		}
	}, 134, 136)
}

// TestTheDearestRequestsThatAreAllowed: as many operations as may be, on as many
// values as may be, by filters as long as fit.
func TestTheDearestRequestsThatAreAllowed(t *testing.T) {
	s := newServer(t, engines[0])
	var emails, operations []string
	for i := range 1000 {
		emails = append(emails, fmt.Sprintf(`{"value":"a%d@mercy.example","type":"t%d"}`, i, i))
		operations = append(operations, fmt.Sprintf(`{"op":"replace","path":"emails[value co \"x\" or value co \"y\" or type eq \"t%d\"].display","value":"d%d"}`, i, i))
	}
	user := s.must(t, 201, "POST", "/Users", fmt.Sprintf(`{"schemas":[%q],"userName":"dear@mercy.example","emails":[%s]}`, urnUser, strings.Join(emails, ","))).id()
	start := time.Now()
	r := s.must(t, 200, "PATCH", "/Users/"+user, patchOf(operations...))
	if list := r.body["emails"].([]any); len(list) != 1000 || list[999].(map[string]any)["display"] != "d999" {
		t.Errorf("%d addresses, the last %v", len(list), list[len(list)-1])
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %v", took)
	} else {
		t.Logf("a thousand operations on a thousand values: %v", took)
	}
	s.must(t, 400, "PATCH", "/Users/"+user, patchOf(`{"op":"add","path":"emails","value":[{"value":"one@more.example"}]}`))
	s.must(t, 200, "PATCH", "/Users/"+user, patchOf(`{"op":"add","path":"emails","value":[{"value":"a7@mercy.example","type":"t7"}]}`))
}
