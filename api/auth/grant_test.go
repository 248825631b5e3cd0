package auth

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
)

const form = "application/x-www-form-urlencoded"

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(id+":"+secret))
}

// wantsRefusal checks code and sentence of a refusal, and that the sentence may
// stand in an error_description (RFC 6749 §5.2).
func wantsRefusal(t *testing.T, err error, code, reason string) {
	t.Helper()
	var r *GrantRefusal
	if !errors.As(err, &r) || r.Code != code || !strings.Contains(r.Reason, reason) {
		t.Errorf("got %v, want %s with %q", err, code, reason)
		return
	}
	for _, c := range r.Reason {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			t.Errorf("%q holds %q", r.Reason, c)
		}
	}
}

func TestReadGrant(t *testing.T) {
	for name, c := range map[string]struct {
		authorization, body string
		want                GrantRequest
	}{
		"basic":              {basic("c1", "s1"), "grant_type=client_credentials", GrantRequest{client: "c1", secret: "s1"}},
		"basic, encoded":     {basic("c%2B1", "a%3Ab+c%25"), "grant_type=client_credentials", GrantRequest{client: "c+1", secret: "a:b c%"}},
		"basic, any case":    {"bAsIc " + base64.StdEncoding.EncodeToString([]byte("c1:s:1")), "grant_type=client_credentials", GrantRequest{client: "c1", secret: "s:1"}},
		"basic, id repeated": {basic("c1", "s1"), "grant_type=client_credentials&client_id=c1&scope=scim", GrantRequest{client: "c1", secret: "s1", scope: "scim"}},
		"post":               {"", "grant_type=client_credentials&client_id=c1&client_secret=a%2Bb", GrantRequest{client: "c1", secret: "a+b"}},
		"post, other way empty": {"", "grant_type=client_credentials&client_id=c1&client_secret=s1&client_assertion=&client_assertion_type=&scope=",
			GrantRequest{client: "c1", secret: "s1"}},
		"post, unknown extra": {"", "grant_type=client_credentials&client_id=c1&client_secret=s1&resource=https%3A%2F%2Fx.example", GrantRequest{client: "c1", secret: "s1"}},
		"assertion": {"", "grant_type=client_credentials&client_assertion=a.b.c&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer",
			GrantRequest{assertion: "a.b.c"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{"Content-Type": {form + "; charset=utf-8"}}
			if c.authorization != "" {
				h.Set("Authorization", c.authorization)
			}
			got, err := ReadGrant(h, "", []byte(c.body))
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v, want %+v", got, err, c.want)
			}
		})
	}
}

func TestReadGrantRefuses(t *testing.T) {
	const grant, jwtType = "grant_type=client_credentials", "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	for name, c := range map[string]struct {
		header, value, query, body string
		code, reason               string
	}{
		"JSON":                      {"Content-Type", "application/json", "", `{"grant_type":"client_credentials"}`, InvalidRequest, "must be a form"},
		"no content type":           {"Content-Type", "", "", grant, InvalidRequest, "must be a form"},
		"multipart":                 {"Content-Type", "multipart/form-data; boundary=x", "", grant, InvalidRequest, "must be a form"},
		"secret in the address":     {"", "", "client_secret=s", grant, InvalidRequest, "not into the address"},
		"broken escape":             {"", "", "", grant + "&x=%zz", InvalidRequest, "cannot be read"},
		"semicolon":                 {"", "", "", grant + ";x=y", InvalidRequest, "cannot be read"},
		"NUL":                       {"", "", "", grant + "&client_id=%00&client_secret=s", InvalidRequest, "not text"},
		"not UTF-8":                 {"", "", "", grant + "&client_id=%ff&client_secret=s", InvalidRequest, "not text"},
		"no grant type":             {"", "", "", "client_id=c&client_secret=s", InvalidRequest, "grant_type is missing"},
		"empty grant type":          {"", "", "", "grant_type=&client_id=c&client_secret=s", InvalidRequest, "grant_type is missing"},
		"empty body":                {"", "", "", "", InvalidRequest, "grant_type is missing"},
		"password grant":            {"", "", "", "grant_type=password&client_id=c&client_secret=s", UnsupportedGrantType, "client_credentials"},
		"grant type in capitals":    {"", "", "", "grant_type=CLIENT_CREDENTIALS&client_id=c&client_secret=s", UnsupportedGrantType, "client_credentials"},
		"grant type twice":          {"", "", "", grant + "&" + grant + "&client_id=c&client_secret=s", InvalidRequest, "more than once"},
		"secret twice":              {"", "", "", grant + "&client_id=c&client_secret=s&client_secret=s", InvalidRequest, "more than once"},
		"unknown parameter twice":   {"", "", "", grant + "&client_id=c&client_secret=s&x=1&x=2", InvalidRequest, "more than once"},
		"nobody":                    {"", "", "", grant, InvalidClient, "names no client"},
		"id without proof":          {"", "", "", grant + "&client_id=c", InvalidClient, "names no client"},
		"secret without id":         {"", "", "", grant + "&client_secret=s", InvalidRequest, "client_id is missing"},
		"Basic and post":            {"Authorization", basic("c", "s"), "", grant + "&client_id=c&client_secret=s", InvalidRequest, "more than one way"},
		"Basic and assertion":       {"Authorization", basic("c", "s"), "", grant + "&client_assertion=a.b.c&" + jwtType, InvalidRequest, "more than one way"},
		"post and assertion":        {"", "", "", grant + "&client_id=c&client_secret=s&client_assertion=a.b.c&" + jwtType, InvalidRequest, "more than one way"},
		"Basic, other id in body":   {"Authorization", basic("c", "s"), "", grant + "&client_id=d", InvalidRequest, "not the one"},
		"Basic, no colon":           {"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("cs")), "", grant, InvalidClient, "must read: Basic"},
		"Basic, no base64":          {"Authorization", "Basic c:s", "", grant, InvalidClient, "must read: Basic"},
		"Basic, broken escape":      {"Authorization", basic("c%", "s"), "", grant, InvalidClient, "must read: Basic"},
		"Basic, no secret":          {"Authorization", basic("c", ""), "", grant, InvalidClient, "must read: Basic"},
		"a token instead":           {"Authorization", "Bearer a.b.c", "", grant, InvalidClient, "must read: Basic"},
		"type without assertion":    {"", "", "", grant + "&" + jwtType, InvalidRequest, "client_assertion is missing"},
		"assertion without type":    {"", "", "", grant + "&client_assertion=a.b.c", InvalidRequest, "client_assertion_type is missing"},
		"assertion of another type": {"", "", "", grant + "&client_assertion=x&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:saml2-bearer", InvalidClient, "jwt-bearer"},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{"Content-Type": {form}}
			if c.header != "" {
				if h.Set(c.header, c.value); c.value == "" {
					h.Del(c.header)
				}
			}
			got, err := ReadGrant(h, c.query, []byte(c.body))
			wantsRefusal(t, err, c.code, c.reason)
			_ = got
		})
	}
	two := http.Header{"Content-Type": {form}, "Authorization": {basic("c", "s"), basic("d", "s")}}
	_, err := ReadGrant(two, "", []byte(grant))
	wantsRefusal(t, err, InvalidRequest, "more than one way")
}

func TestScopeOf(t *testing.T) {
	for name, c := range map[string]struct {
		has         []string
		asked, want string
	}{
		"left out":         {[]string{"scim"}, "", "scim"},
		"asked":            {[]string{"scim"}, "scim", "scim"},
		"asked twice":      {[]string{"scim"}, "scim  scim", "scim"},
		"more than it has": {[]string{"scim"}, "scim operator", ""},
		"another":          {[]string{"scim"}, "operator", ""},
		"in capitals":      {[]string{"scim"}, "SCIM", ""},
		"none to have":     {nil, "", ""},
		"one of two":       {[]string{"a", "b"}, "b", "b"},
		"two at once":      {[]string{"a", "b"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := scopeOf(c.has, c.asked)
			if got != c.want {
				t.Errorf("got %q, %v", got, err)
			}
			if c.want == "" {
				wantsRefusal(t, err, InvalidScope, "")
			}
		})
	}
}

// FuzzReadGrant: whatever is sent, nothing panics, and what is read is one proof
// of one client.
func FuzzReadGrant(f *testing.F) {
	for _, seed := range [][2]string{
		{"", "grant_type=client_credentials&client_id=c&client_secret=s"}, {basic("c", "s"), "grant_type=client_credentials"},
		{"", "grant_type=client_credentials&client_assertion=a.b.c&client_assertion_type=" + assertionType}, {"Basic :", "%"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, authorization, body string) {
		h := http.Header{"Content-Type": {form}}
		if authorization != "" {
			h.Set("Authorization", authorization)
		}
		r, err := ReadGrant(h, "", []byte(body))
		if err == nil && (r.secret == "") == (r.assertion == "") {
			t.Errorf("read %+v of %q and %q", r, authorization, body)
		}
	})
}
