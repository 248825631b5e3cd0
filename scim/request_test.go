package scim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/healthix/healthix-scim/scim"
)

const (
	urnUser  = "urn:ietf:params:scim:schemas:core:2.0:User"
	urnGroup = "urn:ietf:params:scim:schemas:core:2.0:Group"
	urnPatch = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
)

// reply is an answer read once.
type reply struct {
	*httptest.ResponseRecorder
	body map[string]any
}

// ask sends a request as mercy's provider. A body is JSON text.
func (s *server) ask(t testing.TB, method, path, body string) reply {
	t.Helper()
	req := httptest.NewRequest(method, baseURL+scim.Prefix+strings.ReplaceAll(path, " ", "%20"), strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/scim+json")
	}
	r := reply{ResponseRecorder: s.do(req, "")}
	if r.Body.Len() > 0 {
		if err := json.Unmarshal(r.Body.Bytes(), &r.body); err != nil {
			t.Errorf("%s %s: %v in %s", method, path, err, r.Body)
		}
	}
	return r
}

// expect is ask that reports another status; it may run beside the test's own
// goroutine.
func (s *server) expect(t testing.TB, status int, method, path, body string) reply {
	t.Helper()
	r := s.ask(t, method, path, body)
	if r.Code != status {
		t.Errorf("%s %s: %d %.500s, want %d", method, path, r.Code, r.Body, status)
	}
	return r
}

// must is expect that ends the test.
func (s *server) must(t testing.TB, status int, method, path, body string) reply {
	t.Helper()
	r := s.expect(t, status, method, path, body)
	if r.Code != status {
		t.FailNow()
	}
	return r
}

func (r reply) raw() *bytes.Reader { return bytes.NewReader(r.Body.Bytes()) }

func (r reply) total() float64 { return r.body["totalResults"].(float64) }
func (r reply) id() string {
	id, _ := r.body["id"].(string)
	return id
}

func (s *server) newUser(t testing.TB, userName string) string {
	t.Helper()
	return s.expect(t, 201, "POST", "/Users", fmt.Sprintf(`{"schemas":[%q],"userName":%q}`, urnUser, userName)).id()
}

func (s *server) newGroup(t testing.TB, name string, members ...string) string {
	t.Helper()
	return s.expect(t, 201, "POST", "/Groups", fmt.Sprintf(`{"schemas":[%q],"displayName":%q,"members":%s}`, urnGroup, name, memberList(members))).id()
}

func memberList(ids []string) string {
	values := make([]string, len(ids))
	for i, id := range ids {
		values[i] = fmt.Sprintf(`{"value":%q}`, id)
	}
	return "[" + strings.Join(values, ",") + "]"
}

func patchOf(operations ...string) string {
	return fmt.Sprintf(`{"schemas":[%q],"Operations":[%s]}`, urnPatch, strings.Join(operations, ","))
}

// isError says whether an answer is a SCIM error of a kind.
func (r reply) isError(status int, scimType string) bool {
	kind, _ := r.body["scimType"].(string)
	return r.Code == status && kind == scimType && r.body["status"] == fmt.Sprint(status) && r.body["detail"] != ""
}
