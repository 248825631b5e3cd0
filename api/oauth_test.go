package api

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/healthix/healthix-scim/api/auth"
)

const jwtBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// secondNode is another server over the same store: what this one remembers, it
// does not know.
func (h *house) secondNode() *house {
	h.t.Helper()
	issuer, err := h.store.Instance(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	keys, err := h.signer.JWKS()
	if err != nil {
		h.t.Fatal(err)
	}
	var set struct{ Keys []struct{ X string } }
	if err := json.Unmarshal(keys, &set); err != nil {
		h.t.Fatal(err)
	}
	public, err := base64.RawURLEncoding.DecodeString(set.Keys[0].X)
	if err != nil {
		h.t.Fatal(err)
	}
	options := h.options
	options.Metrics = nil
	options.Checker = auth.NewChecker(auth.Options{Key: ed25519.PublicKey(public), Issuer: issuer, Records: h.store, Now: h.service.Now})
	server := httptest.NewServer(New(options))
	h.t.Cleanup(server.Close)
	return &house{t: h.t, url: server.URL, store: h.store, service: h.service}
}

// client registers one and answers its id and secret.
func (h *house) client(participant, more string) (id, secret string) {
	h.t.Helper()
	got := h.must(201, "POST", root+"/clients", h.token(auth.ScopeOperator, ""), `{"participant":"`+participant+`"`+more+`}`)
	id, _ = got.json["id"].(string)
	secret, _ = got.json["secret"].(string)
	return id, secret
}

// fetch asks for a token with a form.
func (h *house) fetch(form url.Values, headers ...string) answer {
	h.t.Helper()
	return h.ask("POST", tokenPath, "", form.Encode(), append([]string{"Content-Type", formType}, headers...)...)
}

func basicAuth(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

func grantOf(more ...string) url.Values {
	form := url.Values{"grant_type": {"client_credentials"}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form
}

// mercy's key pairs, by algorithm.
type keyPair struct {
	method  jwt.SigningMethod
	private any
	public  map[string]string
}

func keyPairs(t *testing.T) []keyPair {
	t.Helper()
	public, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := curve.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	big2048, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	return []keyPair{
		{jwt.SigningMethodEdDSA, edwards, map[string]string{"kty": "OKP", "crv": "Ed25519", "x": b64(public)}},
		{jwt.SigningMethodES256, curve, map[string]string{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}},
		{jwt.SigningMethodRS256, big2048, map[string]string{"kty": "RSA", "n": b64(big2048.N.Bytes()), "e": b64(big.NewInt(int64(big2048.E)).Bytes())}},
	}
}

func jwksOf(t *testing.T, pairs ...keyPair) string {
	t.Helper()
	set := map[string][]map[string]string{}
	for _, p := range pairs {
		set["keys"] = append(set["keys"], p.public)
	}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// assertion signs as a client does (RFC 7523 §2.2).
func (p keyPair) assertion(t *testing.T, client string, now time.Time, change func(jwt.MapClaims)) url.Values {
	t.Helper()
	claims := jwt.MapClaims{
		"iss": client, "sub": client, "aud": "http://house.example" + tokenPath, "jti": uuid.NewString(),
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}
	if change != nil {
		change(claims)
	}
	text, err := jwt.NewWithClaims(p.method, claims).SignedString(p.private)
	if err != nil {
		t.Fatal(err)
	}
	return grantOf("client_assertion_type", jwtBearer, "client_assertion", text)
}

// TestClientsOfTheEcosystem fetches tokens as programs do that know OAuth and
// not us, in every way that our metadata names.
func TestClientsOfTheEcosystem(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		id, secret := h.client("mercy", `,"label":"okta"`)
		pairs := keyPairs(t)
		signer, none := h.client("mercy", `,"jwks":`+jwksOf(t, pairs...))
		if len(secret) < 40 || none != "" {
			t.Fatalf("secrets %q and %q", secret, none)
		}
		metadata := h.must(200, "GET", metadataPath, "", "").json
		h.must(200, "HEAD", metadataPath, "", "")
		for name, want := range map[string]string{
			"issuer": "http://house.example", "token_endpoint": "http://house.example/oauth/token", "jwks_uri": "http://house.example/.well-known/jwks.json",
			"scopes_supported": "[scim]", "response_types_supported": "[]", "grant_types_supported": "[client_credentials]",
			"token_endpoint_auth_methods_supported":            "[client_secret_basic client_secret_post private_key_jwt]",
			"token_endpoint_auth_signing_alg_values_supported": "[EdDSA ES256 RS256]",
		} {
			if got := fmt.Sprint(metadata[name]); got != want {
				t.Errorf("metadata %s is %s, want %s", name, got, want)
			}
		}
		if len(metadata) != 8 {
			t.Errorf("metadata %v", metadata)
		}

		config := clientcredentials.Config{ClientID: id, ClientSecret: secret, TokenURL: h.url + tokenPath, Scopes: []string{"scim"}}
		signed := map[string]keyPair{}
		for _, p := range pairs {
			signed[p.method.Alg()] = p
		}
		ways := map[string]clientcredentials.Config{}
		for _, way := range metadata["token_endpoint_auth_methods_supported"].([]any) {
			c := config
			switch way {
			case "client_secret_basic":
				c.AuthStyle = oauth2.AuthStyleInHeader
			case "client_secret_post":
				c.AuthStyle = oauth2.AuthStyleInParams
			case "private_key_jwt":
				for _, alg := range metadata["token_endpoint_auth_signing_alg_values_supported"].([]any) {
					form := signed[alg.(string)].assertion(t, signer, h.now(), nil)
					form.Del("grant_type")
					ways["private_key_jwt "+alg.(string)] = clientcredentials.Config{
						ClientID: signer, TokenURL: config.TokenURL, AuthStyle: oauth2.AuthStyleInParams, EndpointParams: form,
					}
				}
				continue
			}
			ways[way.(string)] = c
		}
		ways["found out"] = config
		if len(ways) != 6 {
			t.Fatalf("ways: %v", ways)
		}
		for name, c := range ways {
			t.Run(name, func(t *testing.T) {
				token, err := c.Token(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if left := time.Until(token.Expiry); token.TokenType != "Bearer" || token.Extra("scope") != "scim" || left < 59*time.Minute || left > time.Hour {
					t.Errorf("%+v, %s left", token, left)
				}
				res, err := oauth2.NewClient(t.Context(), oauth2.StaticTokenSource(token)).Get(h.url + "/scim/v2/Users")
				if err != nil {
					t.Fatal(err)
				}
				defer res.Body.Close() //nolint:errcheck // read whole
				if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != 200 || !strings.Contains(string(body), "scim at mercy") {
					t.Errorf("%d %s %v", res.StatusCode, body, err)
				}
				// It opens the door to SCIM, and no other.
				h.must(403, "GET", root+"/users", token.AccessToken, "")
			})
		}

		aum := h.token(auth.ScopeAUM, "mercy")
		list := h.must(200, "GET", root+"/clients", aum, "")
		items := list.json["items"].([]any)
		first := items[0].(map[string]any)
		if len(items) != 2 || strings.Contains(list.body, secret) || first["id"] != id || first["lastUsed"] == nil || first["label"] != "okta" || first["secret"] != nil ||
			fmt.Sprint(items[1].(map[string]any)["methods"]) != "[private_key_jwt]" || len(items[1].(map[string]any)["keys"].([]any)) != 3 {
			t.Errorf("clients: %s", list.body)
		}
		if got := h.must(200, "GET", root+"/tokens", aum, ""); len(got.json["items"].([]any)) != 0 {
			t.Errorf("tokens that clients fetched are listed: %s", got.body)
		}
		if strings.Contains(h.log.String(), secret) || !strings.Contains(h.log.String(), `"client":"`+id+`"`) {
			t.Error("the log holds a secret, or does not say which client it was")
		}
	})
}

func TestRevokedClientsTokensEnd(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		other := h.secondNode()
		id, secret := h.client("mercy", "")
		form := grantOf("client_id", id, "client_secret", secret)
		got := h.fetch(form)
		token, _ := got.json["access_token"].(string)
		late, _ := other.fetch(form).json["access_token"].(string)
		for _, node := range []*house{h, other} {
			node.must(200, "GET", "/scim/v2/Users", token, "")
			node.must(200, "GET", "/scim/v2/Users", late, "")
		}
		h.must(204, "DELETE", root+"/clients/"+id, h.token(auth.ScopeAUM, "mercy"), "")
		for _, k := range []string{token, late} {
			if got := h.must(401, "GET", "/scim/v2/Users", k, ""); !strings.Contains(got.body, "revoked on") {
				t.Errorf("%s", got.body)
			}
		}
		h.pass(5 * time.Second)
		for _, k := range []string{token, late} {
			if got := other.must(401, "GET", "/scim/v2/Users", k, ""); !strings.Contains(got.body, "revoked on") {
				t.Errorf("%s", got.body)
			}
		}
		for _, node := range []*house{h, other} {
			if got := node.fetch(form); got.status != 401 || got.json["error"] != "invalid_client" || !strings.Contains(got.body, "revoked on") {
				t.Errorf("a revoked client is answered %d %s", got.status, got.body)
			}
		}
		form.Set("client_secret", "guess")
		if got := h.fetch(form); got.status != 401 || strings.Contains(got.body, "revoked") {
			t.Errorf("a stranger is told: %d %s", got.status, got.body)
		}
		h.must(204, "DELETE", root+"/clients/"+id, h.token(auth.ScopeOperator, ""), "")
		h.must(404, "DELETE", root+"/clients/"+uuid.NewString(), h.token(auth.ScopeOperator, ""), "")
	})
}

func TestAssertionIsReplayedOnNoNode(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		nodes := []*house{h, h.secondNode()}
		pair := keyPairs(t)[0]
		id, _ := h.client("mercy", `,"jwks":`+jwksOf(t, pair))
		form := pair.assertion(t, id, h.now(), nil)
		statuses := make([]int, 10)
		bodies := make([]string, len(statuses))
		var all sync.WaitGroup
		for i := range statuses {
			all.Go(func() {
				got := (&house{t: t, url: nodes[i%2].url}).fetch(form)
				statuses[i], bodies[i] = got.status, got.body
			})
		}
		all.Wait()
		good := 0
		for i, status := range statuses {
			switch {
			case status == 200:
				good++
			case status != 401 || !strings.Contains(bodies[i], "used before"):
				t.Errorf("%d %s", status, bodies[i])
			}
		}
		if good != 1 {
			t.Errorf("one assertion got %d tokens", good)
		}
		// Nor is it when its id has been forgotten.
		h.pass(25 * time.Hour)
		if n, err := h.service.SweepClients(t.Context()); err != nil || n != 2 {
			t.Errorf("%d rows forgotten, %v", n, err)
		}
		if got := nodes[1].fetch(form); got.status != 401 || !strings.Contains(got.body, "expired") {
			t.Errorf("%d %s", got.status, got.body)
		}
		// The same jti of another client is another assertion.
		second := keyPairs(t)[0]
		otherID, _ := h.client("general", `,"jwks":`+jwksOf(t, second))
		same := func(c jwt.MapClaims) { c["jti"] = "1" }
		if a, b := h.fetch(pair.assertion(t, id, h.now(), same)), h.fetch(second.assertion(t, otherID, h.now(), same)); a.status != 200 || b.status != 200 {
			t.Errorf("%s\n%s", a.body, b.body)
		}
	})
}

func TestClientsTokenExpires(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		id, secret := h.client("mercy", `,"ttl":"90m"`)
		form := grantOf("client_id", id, "client_secret", secret)
		token, _ := h.fetch(form).json["access_token"].(string)
		h.must(200, "GET", "/scim/v2/Users", token, "")
		h.pass(time.Hour)
		if got := h.must(401, "GET", "/scim/v2/Users", token, ""); !strings.Contains(got.body, "expired on") {
			t.Errorf("%s", got.body)
		}
		got := h.fetch(form)
		if left, _ := got.json["expires_in"].(float64); got.status != 200 || left > 1800 || left < 1700 {
			t.Errorf("a token that outlives its client: %s", got.body)
		}
		h.pass(31 * time.Minute)
		if got := h.fetch(form); got.status != 401 || got.json["error"] != "invalid_client" || !strings.Contains(got.body, "expired on") {
			t.Errorf("an expired client is answered %d %s", got.status, got.body)
		}
		h.pass(48 * time.Hour)
		if n, err := h.service.SweepClients(t.Context()); err != nil || n != 2 {
			t.Errorf("%d rows forgotten, %v", n, err)
		}
		if got := h.must(401, "GET", "/scim/v2/Users", token, ""); !strings.Contains(got.body, "expired on") {
			t.Errorf("%s", got.body)
		}
	})
}

func TestTokenEndpointRefuses(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		id, secret := h.client("mercy", "")
		pair := keyPairs(t)[0]
		signer, _ := h.client("mercy", `,"jwks":`+jwksOf(t, pair))
		proof := grantOf("client_id", id, "client_secret", secret).Encode()
		const grant = "grant_type=client_credentials"
		for name, c := range map[string]struct {
			method, path, body string
			headers            []string
			status             int
			code, says         string
		}{
			"GET":                       {"GET", tokenPath, "", nil, 405, "invalid_request", "Allow"},
			"JSON":                      {"POST", tokenPath, `{"grant_type":"client_credentials"}`, []string{"Content-Type", "application/json"}, 400, "invalid_request", "must be a form"},
			"XML":                       {"POST", tokenPath, proof, []string{"Content-Type", "text/xml"}, 400, "invalid_request", "must be a form"},
			"no content type":           {"POST", tokenPath, proof, []string{"Content-Type", ""}, 400, "invalid_request", "must be a form"},
			"compressed":                {"POST", tokenPath, proof, []string{"Content-Encoding", "gzip"}, 415, "invalid_request", "Content-Encoding"},
			"huge":                      {"POST", tokenPath, proof + "&x=" + strings.Repeat("x", maxGrant), nil, 413, "invalid_request", "larger than 65536 bytes"},
			"in the address":            {"POST", tokenPath + "?client_id=" + id, proof, nil, 400, "invalid_request", "not into the address"},
			"empty":                     {"POST", tokenPath, "", nil, 400, "invalid_request", "grant_type is missing"},
			"no grant type":             {"POST", tokenPath, "client_id=" + id, nil, 400, "invalid_request", "grant_type is missing"},
			"twice":                     {"POST", tokenPath, proof + "&client_id=" + id, nil, 400, "invalid_request", "more than once"},
			"another grant":             {"POST", tokenPath, "grant_type=authorization_code&code=x&client_id=" + id + "&client_secret=" + secret, nil, 400, "unsupported_grant_type", "client_credentials"},
			"another scope":             {"POST", tokenPath, proof + "&scope=operator", nil, 400, "invalid_scope", "scim"},
			"two ways":                  {"POST", tokenPath, proof, []string{"Authorization", basicAuth(id, secret)}, 400, "invalid_request", "more than one way"},
			"nobody":                    {"POST", tokenPath, grant, nil, 401, "invalid_client", "names no client"},
			"unknown client":            {"POST", tokenPath, grantOf("client_id", uuid.NewString(), "client_secret", secret).Encode(), nil, 401, "invalid_client", "not known"},
			"wrong secret":              {"POST", tokenPath, grantOf("client_id", id, "client_secret", secret[1:]).Encode(), nil, 401, "invalid_client", "not known"},
			"wrong secret by Basic":     {"POST", tokenPath, grant, []string{"Authorization", basicAuth(id, secret[1:])}, 401, "invalid_client", "not known"},
			"unknown client by Basic":   {"POST", tokenPath, grant, []string{"Authorization", basicAuth("mercy", secret)}, 401, "invalid_client", "not known"},
			"broken Basic":              {"POST", tokenPath, grant, []string{"Authorization", "Basic !"}, 401, "invalid_client", "must read"},
			"a token instead":           {"POST", tokenPath, grant, []string{"Authorization", "Bearer " + h.token(auth.ScopeSCIM, "mercy")}, 401, "invalid_client", "must read"},
			"secret of one who signs":   {"POST", tokenPath, grantOf("client_id", signer, "client_secret", secret).Encode(), nil, 401, "invalid_client", "not known"},
			"no type of assertion":      {"POST", tokenPath, grant + "&client_assertion=a.b.c", nil, 400, "invalid_request", "client_assertion_type is missing"},
			"not an assertion":          {"POST", tokenPath, grantOf("client_assertion_type", jwtBearer, "client_assertion", "a.b.c").Encode(), nil, 401, "invalid_client", "not a signed JWT"},
			"assertion for another":     {"POST", tokenPath, pair.assertion(t, signer, h.now(), func(c jwt.MapClaims) { c["aud"] = "https://login.example/token" }).Encode(), nil, 401, "invalid_client", "aud must be http://house.example/oauth/token"},
			"assertion, expired":        {"POST", tokenPath, pair.assertion(t, signer, h.now().Add(-time.Hour), nil).Encode(), nil, 401, "invalid_client", "has expired"},
			"assertion, an hour long":   {"POST", tokenPath, pair.assertion(t, signer, h.now(), func(c jwt.MapClaims) { c["exp"] = h.now().Add(time.Hour).Unix() }).Encode(), nil, 401, "invalid_client", "more than 5m0s"},
			"assertion of no client":    {"POST", tokenPath, pair.assertion(t, uuid.NewString(), h.now(), nil).Encode(), nil, 401, "invalid_client", "not known"},
			"assertion of a secret one": {"POST", tokenPath, pair.assertion(t, id, h.now(), nil).Encode(), nil, 401, "invalid_client", "not known"},
		} {
			t.Run(name, func(t *testing.T) {
				h := &house{t: t, url: h.url}
				got := h.ask(c.method, c.path, "", c.body, append([]string{"Content-Type", formType}, c.headers...)...)
				if got.status != c.status || got.json["error"] != c.code || !strings.Contains(fmt.Sprint(got.json["error_description"]), c.says) || len(got.json) != 2 {
					t.Errorf("%d %s, want %d %s with %q", got.status, got.body, c.status, c.code, c.says)
				}
				if got.header.Get("Content-Type") != "application/json" || got.header.Get("Cache-Control") != "no-store" || got.header.Get("Pragma") != "no-cache" {
					t.Errorf("headers %v", got.header)
				}
				if challenge := got.header.Get("WWW-Authenticate"); (c.status == 401) != strings.HasPrefix(challenge, "Basic ") {
					t.Errorf("WWW-Authenticate: %q", challenge)
				}
			})
		}
	})
}

// A body whose length nobody announced is cut off all the same.
func TestTokenEndpointReadsNoStream(t *testing.T) {
	h := newHouse(t, nil)
	r, err := http.NewRequestWithContext(t.Context(), "POST", h.url+tokenPath, io.MultiReader(strings.NewReader(strings.Repeat("x", maxGrant)), strings.NewReader("y")))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", formType)
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != 413 {
		t.Errorf("answered %d", res.StatusCode)
	}
}

func TestTokenEndpointIsPaced(t *testing.T) {
	h := newHouse(t, nil)
	id, secret := h.client("mercy", "")
	second, secretToo := h.client("mercy", "")
	paced := func(form url.Values, most int) (answered int, last answer) {
		t.Helper()
		for answered = range most {
			if last = h.fetch(form); last.status == 429 {
				return answered, last
			}
		}
		t.Fatalf("%d requests and never 429: %d", most, last.status)
		return 0, last
	}
	n, last := paced(grantOf("client_id", id, "client_secret", secret), 80)
	if n < clientGrantRate.Burst || last.json["error"] != "temporarily_unavailable" || last.header.Get("Retry-After") == "" {
		t.Errorf("429 after %d: %s", n, last.body)
	}
	// Another client at the same address is not concerned, until the address is.
	if got := h.fetch(grantOf("client_id", second, "client_secret", secretToo)); got.status != 200 {
		t.Errorf("another client is answered %d", got.status)
	}
	// Who fails in a client's name takes nothing of its share.
	h.pass(time.Hour)
	guess := grantOf("client_id", second, "client_secret", "guess")
	if n, _ := paced(guess, 400); n < strangerGrantRate.Burst {
		t.Errorf("an address is stopped after %d", n)
	}
	h.pass(10 * time.Second)
	if got := h.fetch(grantOf("client_id", second, "client_secret", secretToo)); got.status != 200 {
		t.Errorf("the client whose secret was guessed at is answered %d %s", got.status, got.body)
	}
}

func TestClientsAreMadeByWhoMay(t *testing.T) {
	h := newHouse(t, nil)
	operator, aum := h.token(auth.ScopeOperator, ""), h.token(auth.ScopeAUM, "mercy")
	for name, c := range map[string]struct {
		token, body string
		status      int
		says        string
	}{
		"own":                {aum, `{"label":"entra"}`, 201, `"participant":"mercy"`},
		"own, named":         {aum, `{"participant":"mercy","scopes":["scim"],"ttl":"8760h"}`, 201, `"secret":"hxs_`},
		"another's":          {aum, `{"participant":"general"}`, 404, "not found"},
		"operator":           {operator, `{"participant":"general"}`, 201, `"participant":"general"`},
		"of no participant":  {operator, `{}`, 400, "participant is missing"},
		"nobody's":           {operator, `{"participant":"nobody"}`, 404, "not found"},
		"a person's scope":   {operator, `{"participant":"mercy","scopes":["operator"]}`, 400, `scope is \"operator\"`},
		"no duration":        {operator, `{"participant":"mercy","ttl":"soon"}`, 400, "expected a duration"},
		"private key":        {operator, `{"participant":"mercy","jwks":{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"}]}}`, 400, "private or symmetric key"},
		"no keys":            {operator, `{"participant":"mercy","jwks":{"keys":[]}}`, 400, "holds 0 keys"},
		"a secret of theirs": {operator, `{"participant":"mercy","secret":"letmein"}`, 400, "unknown member"},
		"null is no key set": {operator, `{"participant":"mercy","jwks":null}`, 201, `"secret":"hxs_`},
		"auditor":            {h.token(auth.ScopeAuditor, "mercy"), `{}`, 403, "may not do this"},
		"by its own token":   {h.token(auth.ScopeSCIM, "mercy"), `{}`, 403, "may not do this"},
	} {
		t.Run(name, func(t *testing.T) {
			h := &house{t: t, url: h.url}
			if got := h.ask("POST", root+"/clients", c.token, c.body); got.status != c.status || !strings.Contains(got.body, c.says) {
				t.Errorf("%d %s, want %d with %s", got.status, got.body, c.status, c.says)
			}
		})
	}
	if got := h.must(200, "GET", root+"/clients?participant=general", operator, ""); len(got.json["items"].([]any)) != 1 {
		t.Errorf("general's clients: %s", got.body)
	}
}
