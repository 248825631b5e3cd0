package api

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

func TestAddressBelievesTrustedProxiesOnly(t *testing.T) {
	s := &server{Options: Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}}
	for name, c := range map[string]struct {
		peer   string
		header http.Header
		want   string
	}{
		"no proxy":                 {"198.51.100.7:4711", nil, "198.51.100.7"},
		"a stranger's header":      {"198.51.100.7:4711", http.Header{"X-Forwarded-For": {"203.0.113.9"}}, "198.51.100.7"},
		"proxy without header":     {"10.0.0.1:4711", nil, "10.0.0.1"},
		"proxy":                    {"10.0.0.1:4711", http.Header{"X-Forwarded-For": {"203.0.113.9"}}, "203.0.113.9"},
		"two proxies":              {"10.0.0.1:4711", http.Header{"X-Forwarded-For": {"203.0.113.9, 10.0.0.2"}}, "203.0.113.9"},
		"the client's own forgery": {"10.0.0.1:4711", http.Header{"X-Forwarded-For": {"192.0.2.1", "203.0.113.9, 10.0.0.2"}}, "203.0.113.9"},
		"nothing but proxies":      {"10.0.0.1:4711", http.Header{"X-Forwarded-For": {"10.0.0.3, 10.0.0.2"}}, "10.0.0.3"},
		"broken hop":               {"10.0.0.1:4711", http.Header{"X-Forwarded-For": {"203.0.113.9, nonsense, 10.0.0.2"}}, "10.0.0.2"},
		"Forwarded":                {"10.0.0.1:4711", http.Header{"Forwarded": {`for=192.0.2.1, For="[2001:db8::1]:80";proto=https`}}, "2001:db8::1"},
		"Forwarded before X-":      {"10.0.0.1:4711", http.Header{"Forwarded": {"for=192.0.2.1"}, "X-Forwarded-For": {"203.0.113.9"}}, "192.0.2.1"},
		"obfuscated":               {"10.0.0.1:4711", http.Header{"Forwarded": {"for=_hidden"}}, "10.0.0.1"},
		"IPv4 in IPv6":             {"[::ffff:10.0.0.1]:4711", http.Header{"X-Forwarded-For": {"203.0.113.9:99"}}, "203.0.113.9"},
		"IPv6 proxy":               {"[fd00::1]:4711", http.Header{"X-Forwarded-For": {"[2001:db8::2]"}}, "2001:db8::2"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.RemoteAddr = c.peer
			if c.header != nil {
				r.Header = c.header
			}
			if got := s.address(r); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestParseRate(t *testing.T) {
	for text, want := range map[string]Rate{
		"": {PerSecond: 200, Burst: 1000}, "off": {Off: true}, "25/50": {PerSecond: 25, Burst: 50}, "0.5/1": {PerSecond: 0.5, Burst: 1},
	} {
		if got, err := ParseRate(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"200", "200/", "/1", "0/10", "-1/10", "10/0", "NaN/1", "Inf/1", "1e400/1", "OFF", "1/2/3", " 1/2"} {
		if got, err := ParseRate(text); err == nil {
			t.Errorf("%q: read as %+v", text, got)
		}
	}
}

func TestLimiter(t *testing.T) {
	now := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	l := newLimiter(func() time.Time { return now })
	slow := Rate{PerSecond: 0.5, Burst: 2}
	take := func(key string, r Rate) (time.Duration, bool) { return l.allow(key, r) }
	for range 2 {
		if _, ok := take("mercy", slow); !ok {
			t.Fatal("the burst is not given")
		}
	}
	if wait, ok := take("mercy", slow); ok || wait != 2*time.Second {
		t.Errorf("after the burst: %v, wait %v, want 2s", ok, wait)
	}
	if _, ok := take("general", slow); !ok {
		t.Error("one participant's flood reaches another")
	}
	if _, ok := take("mercy", Rate{PerSecond: 1, Burst: 1}); !ok {
		t.Error("a changed setting begins anew")
	}
	if _, ok := take("mercy", Rate{Off: true}); !ok {
		t.Error("off is off")
	}
	now = now.Add(forgetAfter)
	take("general", slow)
	if len(l.buckets) != 1 {
		t.Errorf("%d buckets kept, want 1", len(l.buckets))
	}
	if retryAfter(1500*time.Millisecond) != "2" || retryAfter(0) != "1" {
		t.Error("Retry-After rounds up, and is never 0")
	}
}

func TestDepth(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "1": 0, "{}": 1, `{"a":[{}]}`: 3, `"[[["`: 0, `{"a\"[[":1}`: 1, `"\\"[`: 1, "[][][]": 1, "]]][": 0, strings.Repeat("[", 70): 70,
	} {
		if got := depth([]byte(text)); got != want {
			t.Errorf("%s: %d, want %d", text, got, want)
		}
	}
}

func TestReadBodyLimits(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		length int64
		says   string
	}{
		"at the limit":        {strings.Repeat(" ", 64), 64, ""},
		"announced too large": {"{}", 65, "larger than 64 bytes"},
		"found too large":     {strings.Repeat(" ", 65), -1, "larger than 64 bytes"},
		"too deep":            {strings.Repeat("[", 51), -1, "deeper than 50 levels"},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewBufferString(c.body))
		r.ContentLength = c.length
		_, err := readBody(httptest.NewRecorder(), r, 64)
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says) || lifecycle.AsFault(err).Kind != kindTooLarge):
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

func TestDecodeNamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ body, attribute, says string }{
		{`{"id":"mercy","name":"Mercy","settings":{"sso":true,"contacts":["it@mercy.example"]}}`, "", ""},
		{``, "", "a JSON body is needed, with only id, name, type, mode, settings"},
		{`{`, "", "not valid JSON"},
		{`{} {}`, "", "not valid JSON"},
		{`[]`, "", "the body must be an object, not array"},
		{`{"Id":"mercy"}`, "Id", `unknown member "Id"; expected only id, name, type, mode, settings`},
		{`{"settings":{"fuse":1}}`, "settings.fuse", `unknown member "settings.fuse"; expected only sso, profile, rateLimit`},
		{`{"name":7}`, "name", "name must be a string, not number"},
		{`{"settings":{"sso":"yes"}}`, "settings.sso", "settings.sso must be true or false, not string"},
		{`{"settings":{"contacts":"it@mercy.example"}}`, "settings.contacts", "settings.contacts must be an array, not string"},
		{`{"name":"Mer\u0000cy"}`, "name", "name holds a NUL character"},
	} {
		var in newParticipant
		err := decode([]byte(c.body), &in)
		if c.says == "" {
			if err != nil || in.ID != "mercy" || !*in.Settings.SSO {
				t.Errorf("%s: %v, %+v", c.body, err, in)
			}
			continue
		}
		f := lifecycle.AsFault(err)
		if err == nil || f.Kind != lifecycle.KindInvalid || f.Attribute != c.attribute || !strings.Contains(f.Message, c.says) {
			t.Errorf("%s: %+v, want %q at %q", c.body, f, c.says, c.attribute)
		}
	}
	var at newEvidence
	if err := decode([]byte(`{"completedAt":"yesterday"}`), &at); lifecycle.AsFault(err).Kind != lifecycle.KindInvalid {
		t.Errorf("an instant that is none: %v", err)
	}
	var nothing none
	if err := decode([]byte(`{"reason":"x"}`), &nothing); err == nil || !strings.Contains(err.Error(), "expected no members") {
		t.Errorf("a body where none is read: %v", err)
	}
}

func TestCursorOpensOneQueryOnly(t *testing.T) {
	s := &server{seal: cursorSeal([]byte("root"))}
	last := storage.User{ID: "0198f0aa-0000-7000-8000-000000000002", Created: time.Date(2026, 3, 2, 12, 0, 0, 1000, time.UTC)}.Position(storage.Query{})
	text, err := s.cursor([]byte("mercy, pending"), last)
	if err != nil {
		t.Fatal(err)
	}
	open := func(s *server, query, text string) (*storage.Position, error) {
		return after[storage.Position](s, []byte(query), text)
	}
	got, err := open(s, "mercy, pending", text)
	if err != nil || !reflect.DeepEqual(got, last) {
		t.Errorf("got %+v, %v", got, err)
	}
	for name, tc := range map[string]struct {
		s           *server
		query, text string
	}{
		"another query":  {s, "general, pending", text},
		"another server": {&server{seal: cursorSeal([]byte("another root"))}, "mercy, pending", text},
		"changed":        {s, "mercy, pending", "A" + text[1:]},
		"no cursor":      {s, "mercy, pending", "100"},
		"no base64":      {s, "mercy, pending", "%%%"},
	} {
		if got, err := open(tc.s, tc.query, tc.text); err == nil || lifecycle.AsFault(err).Attribute != "cursor" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestSCIMRouteIsATemplate(t *testing.T) {
	for path, want := range map[string]struct {
		route  string
		people bool
	}{
		"/scim/v2":                       {"/scim/v2/*", true},
		"/scim/v2/":                      {"/scim/v2/*", true},
		"/scim/v2/Users":                 {"/scim/v2/Users", true},
		"/scim/v2/Users/0198f0aa":        {"/scim/v2/Users/{id}", true},
		"/scim/v2/Groups/.search":        {"/scim/v2/Groups/.search", true},
		"/scim/v2/ana.lima@example":      {"/scim/v2/*", true},
		"/scim/v2/Schemas/urn:ietf:x":    {"/scim/v2/Schemas/{id}", false},
		"/scim/v2/ServiceProviderConfig": {"/scim/v2/ServiceProviderConfig", false},
	} {
		if route, people := scimRoute(path); route != want.route || people != want.people {
			t.Errorf("%s: %s %v, want %+v", path, route, people, want)
		}
	}
}

func TestServerHasLimits(t *testing.T) {
	srv := NewServer(http.NotFoundHandler(), "127.0.0.1:0")
	if srv.ReadHeaderTimeout == 0 || srv.ReadTimeout == 0 || srv.WriteTimeout <= requestDeadline || srv.IdleTimeout == 0 || srv.MaxHeaderBytes != 64<<10 {
		t.Errorf("a limit is missing: %+v", srv)
	}
}
