package scim_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/api"
	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/scim"
	"github.com/healthix/healthix-scim/storage"
)

// front is the SCIM face behind the real front door, as the program puts them
// together.
type front struct {
	*server
	url    string
	signer *auth.Signer
	now    *time.Time
	client *http.Client
	log    *bytes.Buffer
}

func newFront(t *testing.T, e engine, rate api.Rate) *front {
	t.Helper()
	s := newServer(t, e)
	now := time.Now()
	f := &front{server: s, now: &now, log: &bytes.Buffer{}}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	const issuer = "house"
	f.signer = auth.NewSigner(key, issuer, auth.Audience)
	log := slog.New(slog.NewTextHandler(f.log, nil))
	checker := auth.NewChecker(auth.Options{Key: key.Public().(ed25519.PublicKey), Issuer: issuer, Records: s.store, Now: func() time.Time { return *f.now }, Log: log})
	handler := api.New(api.Options{
		Service: s.deeds, Store: s.store, Checker: checker, Signer: f.signer, Key: bytes.Repeat([]byte("k"), 32),
		SCIM: s.handler, SCIMError: scim.WriteError, BaseURL: baseURL, RateLimit: rate, Log: log,
		WithCaller: func(ctx context.Context, who auth.Principal, at storage.Participant) context.Context {
			return scim.WithCaller(ctx, scim.Caller{Actor: who.Actor, Strict: s.strict, ReadOnly: who.Scope != auth.ScopeSCIM, Participant: at})
		},
	})
	door := httptest.NewUnstartedServer(handler)
	door.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	door.StartTLS()
	t.Cleanup(door.Close)
	f.url = door.URL
	f.client = door.Client()
	return f
}

func (f *front) token(t *testing.T, scope, participant string, life time.Duration) (text, id string) {
	t.Helper()
	spec := lifecycle.TokenSpec{Scope: scope, Participant: participant, TTL: life}
	if scope != auth.ScopeSCIM {
		spec.Subject = scope + "@healthix.example"
	}
	record, err := f.deeds.IssueToken(t.Context(), lifecycle.Actor{Kind: "operator", Subject: "dana@healthix.example"}, spec)
	if err != nil {
		t.Fatal(err)
	}
	if text, err = f.signer.Mint(record); err != nil {
		t.Fatal(err)
	}
	return text, record.ID
}

// visit asks through the door and expects a status, a SCIM answer, and a
// challenge exactly with 401.
func (f *front) visit(t *testing.T, status int, method, path, token, body string) (http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/scim+json")
	}
	answer, err := f.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(answer.Body); err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != status || answer.Header.Get("Content-Type") != "application/scim+json" && text.Len() > 0 {
		t.Errorf("%s %s: %d %v %.300s, want %d", method, path, answer.StatusCode, answer.Header, &text, status)
	}
	if status >= 400 && !strings.Contains(text.String(), "urn:ietf:params:scim:api:messages:2.0:Error") {
		t.Errorf("%s %s: no SCIM error: %.300s", method, path, &text)
	}
	if challenge := answer.Header.Get("WWW-Authenticate"); strings.HasPrefix(challenge, "Bearer") != (status == 401) {
		t.Errorf("%s %s: WWW-Authenticate %q", method, path, challenge)
	}
	return answer.Header, text.String()
}

func TestTokensAtTheDoor(t *testing.T) {
	bothProfilesAtTheDoor(t, api.Rate{Off: true}, func(t *testing.T, f *front) {
		mercy, _ := f.token(t, auth.ScopeSCIM, "mercy", time.Hour)
		north, _ := f.token(t, auth.ScopeSCIM, "north", time.Hour)
		operator, _ := f.token(t, auth.ScopeOperator, "", time.Hour)
		auditor, _ := f.token(t, auth.ScopeAuditor, "mercy", time.Hour)
		f.visit(t, 401, "GET", "/scim/v2/Users", "", "")
		f.visit(t, 401, "GET", "/scim/v2/Users", "Basic YTpi", "")
		f.visit(t, 401, "GET", "/scim/v2/Users", "Bearer "+mercy[:len(mercy)-3]+"AAA", "")
		f.visit(t, 401, "GET", "/scim/v2/nothing", "", "")
		f.visit(t, 200, "GET", "/scim/v2/ServiceProviderConfig", "", "")
		f.visit(t, 200, "GET", "/scim/v2/Users", "Bearer "+mercy, "")
		f.visit(t, 200, "GET", "/scim/v2/Users", "bearer "+mercy, "")
		f.visit(t, 403, "GET", "/scim/v2/Users", "Bearer "+operator, "")
		f.visit(t, 200, "GET", "/scim/v2/Users", "Bearer "+auditor, "")
		f.visit(t, 403, "POST", "/scim/v2/Users", "Bearer "+auditor, `{"schemas":["`+urnUser+`"],"userName":"x"}`)

		// The token alone says whose people these are.
		_, made := f.visit(t, 201, "POST", "/scim/v2/Users?participant=north&tenant=north", "Bearer "+mercy, `{"schemas":["`+urnUser+`"],"userName":"whose@mercy.example"}`)
		if !strings.Contains(made, "whose@mercy.example") {
			t.Errorf("made %s", made)
		}
		if _, list := f.visit(t, 200, "GET", "/scim/v2/Users", "Bearer "+north, ""); !strings.Contains(list, `"totalResults":0`) {
			t.Errorf("north sees %s", list)
		}
		if strings.Contains(f.log.String(), "whose@mercy") || strings.Contains(f.log.String(), "tenant=") {
			t.Errorf("the log holds what was sent: %s", f.log)
		}
	}, 2, 3, 4, 5, 7, 18, 94, 137)
}

func TestVersionsInThePath(t *testing.T) {
	bothProfilesAtTheDoor(t, api.Rate{Off: true}, func(t *testing.T, f *front) {
		mercy, _ := f.token(t, auth.ScopeSCIM, "mercy", time.Hour)
		bearer := "Bearer " + mercy
		for _, path := range []string{"/scim/v2/Users", "/scim/Users", "/scim/Users/.search", "/scim/v2", "/scim"} {
			if strings.HasSuffix(path, "search") {
				f.visit(t, 200, "POST", path, bearer, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]}`)
				continue
			}
			f.visit(t, 200, "GET", path, bearer, "")
		}
		f.visit(t, 200, "GET", "/scim/ServiceProviderConfig", "", "")
		for _, path := range []string{"/scim/v1/Users", "/scim/v3", "/scim/v2.1/ServiceProviderConfig", "/scim/V1/Users/1"} {
			if _, text := f.visit(t, 400, "GET", path, bearer, ""); !strings.Contains(text, `"scimType":"invalidVers"`) {
				t.Errorf("%s: %s", path, text)
			}
		}
		f.visit(t, 404, "GET", "/scim/vanilla", bearer, "")
	}, 10, 11, 133)
}

func TestTokensEnd(t *testing.T) {
	bothProfilesAtTheDoor(t, api.Rate{Off: true}, func(t *testing.T, f *front) {
		short, _ := f.token(t, auth.ScopeSCIM, "mercy", time.Hour)
		revoked, id := f.token(t, auth.ScopeSCIM, "mercy", 24*time.Hour)
		f.visit(t, 200, "GET", "/scim/v2/Users", "Bearer "+short, "")
		if err := f.deeds.RevokeToken(t.Context(), lifecycle.Actor{Kind: "operator", Subject: "dana@healthix.example"}, id); err != nil {
			t.Fatal(err)
		}
		*f.now = f.now.Add(2 * time.Hour)
		if _, text := f.visit(t, 401, "GET", "/scim/v2/Users", "Bearer "+short, ""); !strings.Contains(text, "expired") {
			t.Errorf("of an expired token: %s", text)
		}
		if _, text := f.visit(t, 401, "GET", "/scim/v2/Users", "Bearer "+revoked, ""); !strings.Contains(text, "revoked") {
			t.Errorf("of a revoked token: %s", text)
		}
		if len(short) < 200 {
			t.Errorf("a token of %d characters", len(short))
		}
	}, 5, 7)
}

func TestFloodsAreSlowed(t *testing.T) {
	bothProfilesAtTheDoor(t, api.Rate{PerSecond: 0.01, Burst: 2}, func(t *testing.T, f *front) {
		mercy, _ := f.token(t, auth.ScopeSCIM, "mercy", time.Hour)
		north, _ := f.token(t, auth.ScopeSCIM, "north", time.Hour)
		f.visit(t, 200, "GET", "/scim/v2/Users", "Bearer "+mercy, "")
		f.visit(t, 200, "GET", "/scim/v2/Users", "Bearer "+mercy, "")
		if h, _ := f.visit(t, 429, "GET", "/scim/v2/Users", "Bearer "+mercy, ""); h.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
		f.visit(t, 200, "GET", "/scim/v2/Users", "Bearer "+north, "")
	}, 134, 141)
}

func bothProfilesAtTheDoor(t *testing.T, rate api.Rate, test func(t *testing.T, f *front), lines ...int) {
	t.Helper()
	for _, profile := range []string{"auto", "strict"} {
		t.Run(profile, func(t *testing.T) {
			provesIn(t, profile, lines...)
			f := newFront(t, engines[0], rate)
			f.strict = profile == "strict"
			test(t, f)
		})
	}
}
