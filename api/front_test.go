package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

func spec(scope, participant string) lifecycle.TokenSpec {
	s := lifecycle.TokenSpec{Scope: scope, Participant: participant}
	if scope != auth.ScopeSCIM {
		s.Subject = scope + "@healthix.example"
	}
	return s
}

func TestSCIMDoor(t *testing.T) {
	h := newHouse(t, nil)
	scim, auditor := h.token(auth.ScopeSCIM, "mercy"), h.token(auth.ScopeAuditor, "mercy")
	everywhere := h.token(auth.ScopeAuditor, "")
	big := `"` + strings.Repeat("x", maxResource) + `"`
	for name, c := range map[string]struct {
		method, path, token, body string
		status                    int
		says                      string
	}{
		"own token":                 {"GET", "/Users", scim, "", 200, `"caller":"scim at mercy"`},
		"the root":                  {"GET", "", scim, "", 200, `"caller":"scim at mercy"`},
		"a body passes whole":       {"POST", "/Users", scim, `{"a":1}`, 200, `"bytes":7`},
		"no token":                  {"GET", "/Users", "", "", 401, "a token is needed"},
		"discovery without token":   {"GET", "/ServiceProviderConfig", "", "", 200, `"caller":""`},
		"discovery, no other verb":  {"POST", "/ServiceProviderConfig", "", "{}", 401, "a token is needed"},
		"discovery, broken token":   {"GET", "/ServiceProviderConfig", "x", "", 401, "not one of ours"},
		"operator":                  {"GET", "/Users", h.token(auth.ScopeOperator, ""), "", 403, "takes scim or auditor"},
		"aum":                       {"GET", "/Users", h.token(auth.ScopeAUM, "mercy"), "", 403, "takes scim or auditor"},
		"portal":                    {"GET", "/Users", h.token(auth.ScopePortal, ""), "", 403, "takes scim or auditor"},
		"auditor reads":             {"GET", "/Users", auditor, "", 200, `"caller":"auditor at mercy"`},
		"auditor searches":          {"POST", "/Users/.search", auditor, "{}", 200, `"caller":"auditor at mercy"`},
		"auditor writes":            {"POST", "/Users", auditor, "{}", 403, "never write"},
		"auditor deletes":           {"DELETE", "/Users/1", auditor, "", 403, "never write"},
		"auditor of no participant": {"GET", "/Users", everywhere, "", 403, "names none"},
		"too large":                 {"POST", "/Users", scim, big, 413, "larger than 1048576 bytes"},
		"a user may not be a group": {"PATCH", "/Users/1", scim, big, 413, "larger than 1048576 bytes"},
		"a group may be larger":     {"PATCH", "/Groups/1", scim, big, 200, fmt.Sprintf(`"bytes":%d`, len(big))},
		"too deep":                  {"POST", "/Users", scim, strings.Repeat("[", 51), 413, "deeper than 50 levels"},
		"panic":                     {"GET", "/panic", scim, "", 500, "request's id"},
		"a verb nobody knows":       {"BREW", "/Users", scim, "", 405, "Allow"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &house{t: t, url: h.url}
			got := h.ask(c.method, "/scim/v2"+c.path, c.token, c.body)
			if got.status != c.status || !strings.Contains(got.body, c.says) {
				t.Errorf("%d %s, want %d with %q", got.status, got.body, c.status, c.says)
			}
			if got.header.Get("Content-Type") != "application/scim+json" {
				t.Errorf("answered as %q", got.header.Get("Content-Type"))
			}
			if challenge := got.header.Get("WWW-Authenticate"); (c.status == 401) != strings.HasPrefix(challenge, "Bearer ") {
				t.Errorf("WWW-Authenticate: %q", challenge)
			}
			if got.header.Get("X-Request-Id") == "" || strings.Contains(got.body, "ana.lima") {
				t.Errorf("headers %v, body %s", got.header, got.body)
			}
		})
	}
	if reads := h.reads(); len(reads) != 2 || !strings.Contains(string(reads[0].Canonical), "/scim/v2/Users") {
		t.Errorf("the auditor's two reads left %d entries: %s", len(reads), reads)
	}
	if got := h.must(200, "HEAD", "/scim/v2/Users", scim, ""); got.body != "" {
		t.Errorf("HEAD has a body: %s", got.body)
	}
}

func TestSuspendedParticipantsTokensKeepWorking(t *testing.T) {
	h := newHouse(t, nil)
	scim := h.token(auth.ScopeSCIM, "mercy")
	h.must(200, "POST", root+"/participants/mercy/suspend", h.token(auth.ScopeOperator, ""), `{"reason":"contract ended"}`)
	h.must(200, "DELETE", "/scim/v2/Users/1", scim, "")
}

func TestRateLimit(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.RateLimit = Rate{PerSecond: 0.01, Burst: 3} })
	mercy, general := h.token(auth.ScopeSCIM, "mercy"), h.token(auth.ScopeSCIM, "general")
	second := h.token(auth.ScopeSCIM, "mercy")
	for _, token := range []string{mercy, second, mercy} {
		h.must(200, "GET", "/scim/v2/Users", token, "")
	}
	got := h.must(429, "GET", "/scim/v2/Users", second, "")
	if got.header.Get("Retry-After") == "" || !strings.Contains(got.body, "0.01 a second") {
		t.Errorf("%v %s", got.header, got.body)
	}
	h.must(200, "GET", "/scim/v2/Users", general, "")

	operator := h.token(auth.ScopeOperator, "")
	h.must(400, "PATCH", root+"/participants/mercy", operator, `{"settings":{"rateLimit":"fast"}}`)
	h.must(200, "PATCH", root+"/participants/mercy", operator, `{"settings":{"rateLimit":"off"}}`)
	for range 5 {
		h.must(200, "GET", "/scim/v2/Users", mercy, "")
	}
}

func TestTokenLife(t *testing.T) {
	h := newHouse(t, nil)
	operator, aum := h.token(auth.ScopeOperator, ""), h.token(auth.ScopeAUM, "mercy")

	made := h.must(201, "POST", root+"/tokens", aum, `{"scope":"scim","label":"entra","ttl":"48h"}`)
	scim, id := made.json["token"].(string), made.json["id"].(string)
	if made.json["participant"] != "mercy" {
		t.Errorf("a manager's token is for another participant: %s", made.body)
	}
	h.must(200, "GET", "/scim/v2/Users", scim, "")
	if list := h.must(200, "GET", root+"/tokens", aum, ""); strings.Contains(list.body, scim) || !strings.Contains(list.body, id) || strings.Contains(list.body, `"scope":"aum"`) {
		t.Errorf("a manager's list: %s", list.body)
	}
	for scope, token := range map[string]string{"operator": operator, "aum": aum, "auditor": aum} {
		if got := h.ask("POST", root+"/tokens", token, `{"scope":"`+scope+`","subject":"x@healthix.example"}`); got.status != 403 {
			t.Errorf("issued: %d %s", got.status, got.body)
		}
	}
	h.must(400, "POST", root+"/tokens", operator, `{"scope":"scim","participant":"mercy","ttl":"soon"}`)

	ctx, stop := context.WithCancel(t.Context())
	stop() // the last flush is enough
	if err := h.checker.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if kept, err := h.store.GetToken(t.Context(), id); err != nil || kept.LastUsed == nil {
		t.Errorf("last use is not kept: %+v, %v", kept, err)
	}

	h.must(204, "DELETE", root+"/tokens/"+id, aum, "")
	if got := h.must(401, "GET", "/scim/v2/Users", scim, ""); !strings.Contains(got.body, "revoked on") || !strings.Contains(got.header.Get("WWW-Authenticate"), "revoked on") {
		t.Errorf("%v %s", got.header, got.body)
	}
}

func TestProblems(t *testing.T) {
	h := newHouse(t, nil)
	operator := h.token(auth.ScopeOperator, "")
	users := root + "/users/" + h.mercy.ID
	for name, c := range map[string]struct {
		method, path, token, body string
		status                    int
		kind, attribute, says     string
	}{
		"no token":           {"GET", "/users", "", "", 401, "unauthenticated", "", "Authorization: Bearer TOKEN"},
		"wrong scope":        {"GET", "/users", h.token(auth.ScopePortal, ""), "", 403, "forbidden", "", "scope portal"},
		"no such path":       {"GET", "/nothing", operator, "", 404, "not-found", "", "nothing at this path"},
		"no such user":       {"GET", "/users/0198f0aa-0000-7000-8000-00000000ffff", operator, "", 404, "not-found", "", ""},
		"not an id":          {"GET", "/users/%00%ff", operator, "", 404, "not-found", "", ""},
		"wrong verb":         {"PATCH", "/users", operator, "{}", 405, "method-not-allowed", "", "Allow"},
		"later work":         {"POST", "/imports", operator, "{}", 404, "not-found", "", "nothing at this path"},
		"as of without zone": {"GET", "/users?asOf=2026-01-01T00:00:00", operator, "", 400, "invalid", "asOf", "with its zone"},
		"as of tomorrow":     {"GET", "/users?asOf=2999-01-01T00:00:00Z", operator, "", 400, "invalid", "asOf", "lies in the future"},
		"as of nothing":      {"GET", "/users?asOf=", operator, "", 400, "invalid", "asOf", "leave it out"},
		"as of, sorted":      {"GET", "/users?asOf=2026-01-01T00:00:00Z&gate=hold&sort=since", operator, "", 400, "invalid", "sort", "leave sort or asOf out"},
		"as of nowhere":      {"GET", "/participants?asOf=2026-01-01T00:00:00Z", operator, "", 400, "invalid", "asOf", "unknown query parameter"},
		"unknown parameter":  {"GET", "/users?Status=released", operator, "", 400, "invalid", "Status", "expected only participant, q, status"},
		"given twice":        {"GET", "/users?q=a&q=b", operator, "", 400, "invalid", "q", "2 times"},
		"unknown status":     {"GET", "/users?status=open", operator, "", 400, "invalid", "status", "pending, released"},
		"unknown gate":       {"GET", "/users?gate=door", operator, "", 400, "invalid", "gate", "participant, title"},
		"limit":              {"GET", "/users?limit=0", operator, "", 400, "invalid", "limit", "1 to 500"},
		"cursor":             {"GET", "/users?cursor=abc", operator, "", 400, "invalid", "cursor", "does not belong"},
		"unknown member":     {"POST", "/participants", operator, `{"id":"x","nom":"X"}`, 400, "invalid", "nom", "expected only id, name"},
		"wrong type":         {"POST", "/participants", operator, `{"id":7}`, 400, "invalid", "id", "must be a string"},
		"taken":              {"POST", "/participants", operator, `{"id":"mercy","name":"Mercy"}`, 409, "taken", "", ""},
		"no body":            {"POST", "/participants", operator, "", 400, "invalid", "", "a JSON body is needed"},
		"too large":          {"POST", "/participants", operator, `"` + strings.Repeat("x", maxResource) + `"`, 413, "too-large", "", "1048576 bytes"},
		"too deep":           {"POST", "/participants", operator, strings.Repeat("[", 51), 413, "too-large", "", "50 levels"},
		"decision":           {"POST", "/users/x/approvals", operator, `{"decision":"yes"}`, 400, "invalid", "decision", "approve or reject"},
		"no version":         {"POST", "/users/x/approvals", operator, `{"decision":"approve"}`, 400, "invalid", "ifVersion", "missing"},
		"identity unmatched": {"POST", "/users/" + h.mercy.ID + "/deactivate", operator, `{"givenName":"Ana","familyName":"Lima","email":"other@mercy.example"}`, 422, "refused", "", ""},
		"job":                {"POST", "/jobs/first/retry", operator, "", 404, "not-found", "", ""},
		"job state":          {"GET", "/jobs?state=lost", operator, "", 400, "invalid", "state", "available"},
		"username":           {"GET", "/access/nobody12", h.token(auth.ScopePortal, ""), "", 404, "not-found", "", ""},
		"who":                {"GET", "/access?participant=mercy", h.token(auth.ScopePortal, ""), "", 400, "invalid", "userName", "either"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &house{t: t, url: h.url}
			got := h.ask(c.method, root+c.path, c.token, c.body, "X-Request-Id", "my-request.1")
			if got.status != c.status || got.header.Get("Content-Type") != problemType {
				t.Fatalf("%d %s, want %d\n%s", got.status, got.header.Get("Content-Type"), c.status, got.body)
			}
			detail, _ := got.json["detail"].(string)
			attribute, _ := got.json["attribute"].(string)
			path, _, _ := strings.Cut(root+c.path, "?")
			switch {
			case got.json["type"] != "urn:healthix:problem:"+c.kind, got.json["status"] != float64(c.status), got.json["title"] == "",
				got.json["requestId"] != "my-request.1", got.header.Get("X-Request-Id") != "my-request.1":
				t.Errorf("not a whole problem: %s", got.body)
			case attribute != c.attribute && c.attribute != "":
				t.Errorf("attribute %q, want %q: %s", attribute, c.attribute, got.body)
			case detail == "" || !strings.Contains(detail, c.says):
				t.Errorf("detail %q, want %q", detail, c.says)
			case !strings.Contains(path, "%") && got.json["instance"] != path:
				t.Errorf("instance %v, want %s", got.json["instance"], path)
			}
			if c.status == 405 && got.header.Get("Allow") == "" {
				t.Error("no Allow header")
			}
		})
	}
	r, err := http.NewRequestWithContext(t.Context(), "PUT", h.url+users+"/clinical-alerts", strings.NewReader("value=alerts"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "Bearer "+operator)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close() //nolint:errcheck // only the status counts
	if res.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("a form: %d", res.StatusCode)
	}
}

// broken takes one thing away from the real service.
type broken struct {
	*lifecycle.Service
	err error
}

func (b broken) ReadLog(context.Context, lifecycle.Actor, lifecycle.Reading) error { return b.err }
func (b broken) ResendActivation(context.Context, lifecycle.Actor, string, string) error {
	return b.err
}

func TestUnrecordedReadIsNotAnswered(t *testing.T) {
	h := newHouse(t, func(o *Options) {
		o.Service = broken{o.Service.(*lifecycle.Service), fmt.Errorf("append: %w", storage.ErrUnavailable)}
	})
	auditor := h.token(auth.ScopeAuditor, "mercy")
	for _, path := range []string{root + "/users", root + "/users/" + h.mercy.ID, "/scim/v2/Users"} {
		got := h.must(503, "GET", path, auditor, "")
		if strings.Contains(got.body, "Lima") || strings.Contains(got.body, "Resources") || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: %v %s", path, got.header, got.body)
		}
	}
}

func TestInternalErrorsSayNothing(t *testing.T) {
	h := newHouse(t, func(o *Options) {
		o.Service = broken{o.Service.(*lifecycle.Service), errors.New("dial tcp 10.1.2.3: refused")}
	})
	got := h.must(500, "POST", root+"/users/"+h.mercy.ID+"/activation", h.token(auth.ScopeOperator, ""), "")
	if strings.Contains(got.body, "10.1.2.3") || !strings.Contains(got.body, got.header.Get("X-Request-Id")) {
		t.Error(got.body)
	}
	if log := h.log.String(); !strings.Contains(log, "10.1.2.3") || !strings.Contains(log, got.header.Get("X-Request-Id")) {
		t.Errorf("the log does not tell: %s", log)
	}
}

func TestLogHoldsIdsOnly(t *testing.T) {
	h := newHouse(t, nil)
	h.must(200, "GET", root+"/users?q=lima", h.token(auth.ScopeAUM, "mercy"), "", "X-Request-Id", "req-7")
	h.must(404, "GET", "/ana.lima@mercy.example", "", "", "X-Request-Id", "not sane: ana.lima@mercy.example")
	var line string
	for l := range strings.Lines(h.log.String()) {
		if strings.Contains(l, `"req-7"`) {
			line = l
		}
	}
	for _, part := range []string{`"route":"/api/v1/users"`, `"status":200`, `"method":"GET"`, `"participant":"mercy"`, `"scope":"aum"`, `"durationMs":`} {
		if !strings.Contains(line, part) {
			t.Errorf("no %s in %s", part, line)
		}
	}
	if strings.Contains(strings.ToLower(h.log.String()), "lima") {
		t.Errorf("the log names a person: %s", h.log.String())
	}
}

func TestHeadWhereverGet(t *testing.T) {
	h := newHouse(t, nil)
	operator, portal := h.token(auth.ScopeOperator, ""), h.token(auth.ScopePortal, "")
	for _, rt := range everyRoute().routes {
		if rt.method != http.MethodGet {
			continue
		}
		path := strings.NewReplacer("/participants/{id}", "/participants/mercy", "{id}", h.mercy.ID, "{username}", "nobody12").Replace(rt.path)
		token := operator
		if len(rt.scopes) > 0 && rt.scopes[0] == auth.ScopePortal {
			token = portal
		}
		get, head := h.ask("GET", path, token, ""), h.ask("HEAD", path, token, "")
		if head.status != get.status || head.body != "" || head.header.Get("Content-Type") != get.header.Get("Content-Type") {
			t.Errorf("%s: GET %d, HEAD %d %q", path, get.status, head.status, head.body)
		}
	}
}

func TestOperating(t *testing.T) {
	h := newHouse(t, nil)
	h.must(200, "GET", "/livez", "", "")
	h.must(200, "GET", "/readyz", "", "")
	keys := h.must(200, "GET", "/.well-known/jwks.json", "", "")
	if !strings.Contains(keys.body, `"crv":"Ed25519"`) || strings.Contains(keys.body, `"d":`) {
		t.Error(keys.body)
	}
	got := h.must(200, "GET", "/openapi.json", "", "")
	for header, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"} {
		if got.header.Get(header) != want {
			t.Errorf("%s: %q", header, got.header.Get(header))
		}
	}
	h.must(404, "GET", root+"/users/someone", h.token(auth.ScopeOperator, ""), "")
	h.options.Metrics = nil
	metrics := h.must(200, "GET", "/metrics", "", "").body
	if !strings.Contains(metrics, `healthix_http_requests_total{method="GET",route="/api/v1/users/{id}",status="404"} 1`) || strings.Contains(metrics, "someone") {
		t.Error(metrics)
	}
	if err := h.store.Close(); err != nil {
		t.Fatal(err)
	}
	h.must(503, "GET", "/readyz", "", "")
	h.must(200, "GET", "/livez", "", "")
}

// TestHeaderLimit speaks to a server with its limits, over TCP.
func TestHeaderLimit(t *testing.T) {
	h := newHouse(t, nil)
	srv := NewServer(New(h.options), "")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(listener)            //nolint:errcheck // ends with Close
	t.Cleanup(func() { srv.Close() }) //nolint:errcheck // test
	conn, err := net.DialTimeout("tcp", listener.Addr().String(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()                                                                                                  //nolint:errcheck // test
	fmt.Fprintf(conn, "GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n", strings.Repeat("a", maxHeaderBytes+8192)) //nolint:errcheck // the server may hang up first
	status, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(status, "431") {
		t.Errorf("%q %v", status, err)
	}
}
