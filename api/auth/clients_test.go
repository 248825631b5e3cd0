package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

const (
	clientID  = "0198f0aa-0000-7000-8000-0000000000c1"
	signerID  = "0198f0aa-0000-7000-8000-0000000000c2"
	unknownID = "0198f0aa-0000-7000-8000-0000000000ff"
	secret    = "hxs_of-mercy"
	tokenURL  = "https://house.example/oauth/token"
	issuerURL = "https://house.example"
)

// clientTable is a table of clients that counts who is looked for.
type clientTable struct {
	clients map[string]storage.Client
	asked   []string
	down    error
}

func (r *clientTable) GetClient(_ context.Context, id string) (storage.Client, error) {
	r.asked = append(r.asked, id)
	if r.down != nil {
		return storage.Client{}, r.down
	}
	c, ok := r.clients[id]
	if !ok {
		return storage.Client{}, storage.ErrNotFound
	}
	return c, nil
}

// signing are the keys of a client that signs, by algorithm.
type signing struct {
	edwards ed25519.PrivateKey
	curve   *ecdsa.PrivateKey
	rsa     *rsa.PrivateKey
}

func newSigning(t testing.TB) signing {
	t.Helper()
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return signing{edwards, curve, big}
}

// jwkOf writes a public key as its owner would.
func jwkOf(t testing.TB, key crypto.PublicKey, more map[string]any) map[string]any {
	t.Helper()
	k := map[string]any{}
	switch key := key.(type) {
	case ed25519.PublicKey:
		k["kty"], k["crv"], k["x"] = "OKP", "Ed25519", encode(key)
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		k["kty"], k["crv"], k["x"], k["y"] = "EC", key.Curve.Params().Name, encode(point[1:1+len(point)/2]), encode(point[1+len(point)/2:])
	case *rsa.PublicKey:
		k["kty"], k["n"], k["e"] = "RSA", encode(key.N.Bytes()), encode(big.NewInt(int64(key.E)).Bytes())
	default:
		t.Fatalf("a %T", key)
	}
	for name, value := range more {
		k[name] = value
	}
	return k
}

func setOf(t testing.TB, keys ...map[string]any) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

type clientBench struct {
	clients *Clients
	table   *clientTable
	keys    signing
	now     time.Time
}

func newClientBench(t testing.TB) *clientBench {
	t.Helper()
	b := &clientBench{now: noon, keys: newSigning(t)}
	kept, err := ParseKeys(setOf(t,
		jwkOf(t, b.keys.edwards.Public(), map[string]any{"kid": "ed"}), jwkOf(t, &b.keys.curve.PublicKey, map[string]any{"kid": "ec"}),
		jwkOf(t, &b.keys.rsa.PublicKey, map[string]any{"kid": "rsa"})))
	if err != nil {
		t.Fatal(err)
	}
	b.table = &clientTable{clients: map[string]storage.Client{
		clientID: {ID: clientID, Participant: "mercy", Label: "okta", Scopes: []string{"scim"}, SecretHash: lifecycle.SecretHash(secret), Created: noon, Expires: noon.Add(time.Hour)},
		signerID: {ID: signerID, Participant: "mercy", Scopes: []string{"scim"}, Keys: kept, Created: noon, Expires: noon.Add(time.Hour)},
	}}
	b.clients, err = NewClients(ClientOptions{Records: b.table, Issuer: issuerURL, TokenURL: tokenURL, Now: func() time.Time { return b.now }})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// assertion signs what a client says of itself.
func assertion(t testing.TB, method jwt.SigningMethod, key any, header map[string]any, change func(jwt.MapClaims)) GrantRequest {
	t.Helper()
	c := jwt.MapClaims{"iss": signerID, "sub": signerID, "aud": tokenURL, "jti": "j1", "exp": noon.Add(2 * time.Minute).Unix(), "iat": noon.Unix()}
	if change != nil {
		change(c)
	}
	token := jwt.NewWithClaims(method, c)
	for name, value := range header {
		token.Header[name] = value
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return GrantRequest{assertion: text}
}

func TestProveBySecret(t *testing.T) {
	b := newClientBench(t)
	c, g, err := b.clients.Prove(t.Context(), GrantRequest{client: clientID, secret: secret})
	if err != nil || c.ID != clientID || g != (lifecycle.Grant{Client: clientID, Scope: "scim"}) {
		t.Errorf("%+v %+v %v", c, g, err)
	}
	for name, r := range map[string]GrantRequest{
		"wrong secret":               {client: clientID, secret: secret + "x"},
		"no secret":                  {client: clientID},
		"hash instead":               {client: clientID, secret: string(lifecycle.SecretHash(secret))},
		"unknown client":             {client: unknownID, secret: secret},
		"not an id":                  {client: "mercy", secret: secret},
		"id in capitals":             {client: strings.ToUpper(clientID), secret: secret},
		"id in braces":               {client: "{" + clientID + "}", secret: secret},
		"a client that signs":        {client: signerID, secret: secret},
		"a client that signs, empty": {client: signerID},
	} {
		t.Run(name, func(t *testing.T) {
			c, g, err := b.clients.Prove(t.Context(), r)
			wantsRefusal(t, err, InvalidClient, "not known, or has not proven")
			if c.ID != "" || g != (lifecycle.Grant{}) {
				t.Errorf("a refusal answers %+v %+v", c, g)
			}
		})
	}
	_, _, err = b.clients.Prove(t.Context(), GrantRequest{client: clientID, secret: secret, scope: "operator"})
	wantsRefusal(t, err, InvalidScope, "scim")

	b.table.down = errors.New("connection refused")
	if _, _, err := b.clients.Prove(t.Context(), GrantRequest{client: clientID, secret: secret}); lifecycle.AsFault(err).Kind != lifecycle.KindUnavailable {
		t.Errorf("got %v, want unavailable", err)
	}
}

// Only who has proven to be the client hears that it was revoked or expired.
func TestProvenClientIsToldWhy(t *testing.T) {
	at := noon.Add(-time.Minute)
	for name, c := range map[string]struct {
		change func(*storage.Client)
		reason string
	}{
		"revoked": {func(c *storage.Client) { c.Revoked = &at }, "revoked on 2026-03-02T11:59:00Z"},
		"expired": {func(c *storage.Client) { c.Expires = noon }, "expired on 2026-03-02T12:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newClientBench(t)
			for id, client := range b.table.clients {
				c.change(&client)
				b.table.clients[id] = client
			}
			_, _, err := b.clients.Prove(t.Context(), GrantRequest{client: clientID, secret: secret})
			wantsRefusal(t, err, InvalidClient, c.reason)
			_, _, err = b.clients.Prove(t.Context(), assertion(t, jwt.SigningMethodEdDSA, b.keys.edwards, nil, nil))
			wantsRefusal(t, err, InvalidClient, c.reason)
			_, _, err = b.clients.Prove(t.Context(), GrantRequest{client: clientID, secret: "guess"})
			wantsRefusal(t, err, InvalidClient, "not known, or has not proven")
		})
	}
}

func TestProveBySignature(t *testing.T) {
	b := newClientBench(t)
	ids := map[string]any{"EdDSA": "ed", "ES256": "ec", "RS256": "rsa"}
	for _, c := range []struct {
		method jwt.SigningMethod
		key    any
	}{{jwt.SigningMethodEdDSA, b.keys.edwards}, {jwt.SigningMethodES256, b.keys.curve}, {jwt.SigningMethodRS256, b.keys.rsa}} {
		for name, r := range map[string]GrantRequest{
			"with kid":         assertion(t, c.method, c.key, map[string]any{"kid": ids[c.method.Alg()]}, nil),
			"without kid":      assertion(t, c.method, c.key, nil, nil),
			"aud is issuer":    assertion(t, c.method, c.key, nil, func(m jwt.MapClaims) { m["aud"] = issuerURL }),
			"aud as array":     assertion(t, c.method, c.key, nil, func(m jwt.MapClaims) { m["aud"] = []string{tokenURL} }),
			"no iat":           assertion(t, c.method, c.key, nil, func(m jwt.MapClaims) { delete(m, "iat") }),
			"clock ahead":      assertion(t, c.method, c.key, nil, func(m jwt.MapClaims) { m["iat"], m["nbf"] = noon.Unix()+29, noon.Unix()+29 }),
			"clock behind":     assertion(t, c.method, c.key, nil, func(m jwt.MapClaims) { m["exp"] = noon.Unix() - 29 }),
			"five minutes":     assertion(t, c.method, c.key, nil, func(m jwt.MapClaims) { m["exp"] = noon.Add(5 * time.Minute).Unix() }),
			"says who it is":   func() GrantRequest { r := assertion(t, c.method, c.key, nil, nil); r.client = signerID; return r }(),
			"longest usual id": assertion(t, c.method, c.key, nil, func(m jwt.MapClaims) { m["jti"] = strings.Repeat("j", 256) }),
		} {
			t.Run(c.method.Alg()+" "+name, func(t *testing.T) {
				client, g, err := b.clients.Prove(t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
				if client.ID != signerID || g.Client != signerID || g.Scope != "scim" || g.Assertion == "" {
					t.Errorf("%+v %+v", client, g)
				}
				// Its id is kept at least as long as it would be taken.
				b.now = g.Until
				defer func() { b.now = noon }()
				if _, _, err := b.clients.Prove(t.Context(), r); err == nil {
					t.Errorf("taken at %s, when its id is forgotten", b.now)
				}
			})
		}
	}
}

func TestSignatureRefuses(t *testing.T) {
	b := newClientBench(t)
	ours := func(change func(jwt.MapClaims)) GrantRequest {
		return assertion(t, jwt.SigningMethodEdDSA, b.keys.edwards, nil, change)
	}
	with := func(name string, value any) GrantRequest {
		return ours(func(c jwt.MapClaims) {
			if c[name] = value; value == nil {
				delete(c, name)
			}
		})
	}
	foreign := newSigning(t)
	public := b.keys.edwards.Public().(ed25519.PublicKey)
	good := ours(nil)
	cut := func(text string) GrantRequest { return GrantRequest{assertion: text} }
	const nobody, form = "not known, or has not proven", "not a signed JWT"
	cases := map[string]struct {
		r      GrantRequest
		reason string
	}{
		"not a token":            {cut("mercy"), form},
		"very long":              {cut(strings.Repeat("a", maxAssertion+1)), form},
		"alg none":               {assertion(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, nil), nobody},
		"HS256 with public key":  {assertion(t, jwt.SigningMethodHS256, []byte(public), map[string]any{"kid": "ed"}, nil), nobody},
		"HS256 with its modulus": {assertion(t, jwt.SigningMethodHS256, b.keys.rsa.N.Bytes(), map[string]any{"kid": "rsa"}, nil), nobody},
		"PS256":                  {assertion(t, jwt.SigningMethodPS256, b.keys.rsa, nil, nil), nobody},
		"RS512":                  {assertion(t, jwt.SigningMethodRS512, b.keys.rsa, nil, nil), nobody},
		"another's Ed25519":      {assertion(t, jwt.SigningMethodEdDSA, foreign.edwards, nil, nil), nobody},
		"another's P-256":        {assertion(t, jwt.SigningMethodES256, foreign.curve, nil, nil), nobody},
		"another's RSA":          {assertion(t, jwt.SigningMethodRS256, foreign.rsa, nil, nil), nobody},
		"another's, expired":     {assertion(t, jwt.SigningMethodEdDSA, foreign.edwards, nil, func(c jwt.MapClaims) { c["exp"] = 1 }), nobody},
		"kid of another key":     {assertion(t, jwt.SigningMethodEdDSA, b.keys.edwards, map[string]any{"kid": "rsa"}, nil), nobody},
		"unknown kid":            {assertion(t, jwt.SigningMethodEdDSA, b.keys.edwards, map[string]any{"kid": "x"}, nil), nobody},
		"key in the header":      {assertion(t, jwt.SigningMethodEdDSA, foreign.edwards, map[string]any{"jwk": jwkOf(t, foreign.edwards.Public(), nil)}, nil), nobody},
		"critical header":        {assertion(t, jwt.SigningMethodEdDSA, b.keys.edwards, map[string]any{"crit": []string{"b64"}, "b64": true}, nil), nobody},
		"unknown client":         {with("sub", unknownID), nobody},
		"client with a secret":   {with("sub", clientID), nobody},
		"no sub":                 {with("sub", nil), nobody},
		"says to be another":     {func() GrantRequest { r := good; r.client = clientID; return r }(), nobody},
		"signature cut off":      {cut(good.assertion[:strings.LastIndex(good.assertion, ".")+1]), nobody},
		"other claims": {cut(func() string {
			p := strings.Split(good.assertion, ".")
			return p[0] + "." + encode([]byte(`{"sub":"`+signerID+`"}`)) + "." + p[2]
		}()), nobody},
		"iss is not sub":       {with("iss", clientID), "iss and sub must both be the client id"},
		"no iss":               {with("iss", nil), "iss and sub must both be the client id"},
		"another aud":          {with("aud", "https://another.example/token"), "aud must be " + tokenURL},
		"no aud":               {with("aud", nil), "aud must be " + tokenURL},
		"our tokens' aud":      {with("aud", Audience), "aud must be " + tokenURL},
		"aud of two servers":   {with("aud", []string{tokenURL, "https://another.example/token"}), "and nothing else"},
		"no exp":               {with("exp", nil), "has no exp"},
		"expired":              {with("exp", noon.Unix()-31), "has expired"},
		"ends late":            {with("exp", noon.Add(assertionLife+clockSkew).Unix()+1), "more than 5m0s from now"},
		"ends never":           {with("exp", int64(1)<<60), "more than 5m0s from now"},
		"not yet":              {with("nbf", noon.Unix()+31), "check this machine's clock"},
		"made in the future":   {with("iat", noon.Unix()+31), "check this machine's clock"},
		"no jti":               {with("jti", nil), "needs a jti"},
		"empty jti":            {with("jti", ""), "needs a jti"},
		"endless jti":          {with("jti", strings.Repeat("j", 257)), "needs a jti"},
		"scope of an operator": {func() GrantRequest { r := good; r.scope = "operator"; return r }(), "scim"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			code := InvalidClient
			if name == "scope of an operator" {
				code = InvalidScope
			}
			client, g, err := b.clients.Prove(t.Context(), c.r)
			wantsRefusal(t, err, code, c.reason)
			if client.ID != "" || g != (lifecycle.Grant{}) {
				t.Errorf("a refusal answers %+v %+v", client, g)
			}
		})
	}
}

// A client that is not there costs what one costs that is: one look-up, and one
// comparison or one verification of the same kind.
func TestUnknownClientCostsTheSame(t *testing.T) {
	b := newClientBench(t)
	compared := 0
	b.clients.equal = func(x, y []byte) int {
		if compared++; len(x) != len(y) {
			t.Errorf("%d bytes are compared with %d", len(x), len(y))
		}
		return subtle.ConstantTimeCompare(x, y)
	}
	for _, id := range []string{clientID, unknownID, signerID, "no id at all"} {
		compared, b.table.asked = 0, nil
		_, _, err := b.clients.Prove(t.Context(), GrantRequest{client: id, secret: "guess"})
		wantsRefusal(t, err, InvalidClient, "")
		if compared != 1 || len(b.table.asked) != 1 {
			t.Errorf("%s: %d comparisons, %d look-ups", id, compared, len(b.table.asked))
		}
	}
	foreign := newSigning(t)
	for _, c := range []struct {
		method jwt.SigningMethod
		key    any
	}{{jwt.SigningMethodEdDSA, foreign.edwards}, {jwt.SigningMethodES256, foreign.curve}, {jwt.SigningMethodRS256, foreign.rsa}} {
		for _, id := range []string{signerID, unknownID, clientID} {
			b.table.asked = nil
			r := assertion(t, c.method, c.key, nil, func(m jwt.MapClaims) { m["iss"], m["sub"] = id, id })
			_, _, err := b.clients.Prove(t.Context(), r)
			wantsRefusal(t, err, InvalidClient, "")
			if len(b.table.asked) != 1 {
				t.Errorf("%s: %d look-ups", id, len(b.table.asked))
			}
			// The verification ran to its end with a key of the right kind.
			keys, err := ReadKeys(b.clients.decoySet)
			if err != nil || len(keys) != 3 {
				t.Fatal(keys, err)
			}
			verified := false
			_, err = b.clients.parser.ParseWithClaims(r.assertion, &jwt.RegisteredClaims{}, func(token *jwt.Token) (any, error) {
				verified = true
				key := b.clients.keyFor(token, keys)
				if same := key == nil; same {
					t.Errorf("%s: no key to verify with", c.method.Alg())
				}
				return key, nil
			})
			if !verified || !errors.Is(err, jwt.ErrTokenSignatureInvalid) || errors.Is(err, jwt.ErrInvalidKeyType) || errors.Is(err, jwt.ErrInvalidKey) {
				t.Errorf("%s: %v", c.method.Alg(), err)
			}
		}
	}
}

func TestParseKeys(t *testing.T) {
	s := newSigning(t)
	edwards := s.edwards.Public()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	off := encode(make([]byte, 32))
	type more = map[string]any
	for name, c := range map[string]struct {
		set    []byte
		reason string
	}{
		"Ed25519":       {setOf(t, jwkOf(t, edwards, nil)), ""},
		"P-256":         {setOf(t, jwkOf(t, &s.curve.PublicKey, more{"alg": "ES256", "use": "sig", "x5c": []string{"x"}})), ""},
		"RSA":           {setOf(t, jwkOf(t, &s.rsa.PublicKey, more{"alg": "RS256", "key_ops": []string{"verify"}})), ""},
		"several":       {setOf(t, jwkOf(t, edwards, more{"kid": "a"}), jwkOf(t, edwards, more{"kid": "b"})), ""},
		"no JSON":       {[]byte("{"), "not a JSON Web Key Set"},
		"an array":      {[]byte("[]"), "not a JSON Web Key Set"},
		"no keys":       {[]byte(`{"keys":[]}`), "holds 0 keys"},
		"one key alone": {[]byte(`{"kty":"OKP"}`), "holds 0 keys"},
		"too many": {setOf(t, func() (many []map[string]any) {
			for range 11 {
				many = append(many, jwkOf(t, edwards, nil))
			}
			return
		}()...), "holds 11 keys"},
		"too large":          {[]byte(`{"keys":[{"kty":"` + strings.Repeat("x", maxKeySet) + `"}]}`), "larger than"},
		"private Ed25519":    {setOf(t, jwkOf(t, edwards, more{"d": "x"})), "private or symmetric key (keys[0].d)"},
		"private RSA":        {setOf(t, jwkOf(t, &s.rsa.PublicKey, more{"p": "x"})), "private or symmetric key (keys[0].p)"},
		"symmetric":          {setOf(t, more{"kty": "oct", "k": "c2VjcmV0"}), "private or symmetric key (keys[0].k)"},
		"RSA of 1024 bits":   {setOf(t, jwkOf(t, &small.PublicKey, nil)), "1024 bits"},
		"RSA, endless":       {setOf(t, more{"kty": "RSA", "n": encode(append([]byte{1}, make([]byte, 1024)...)), "e": "AQAB"}), "8193 bits"},
		"RSA, even":          {setOf(t, more{"kty": "RSA", "n": encode(append([]byte{128}, make([]byte, 255)...)), "e": "AQAB"}), "RSA modulus"},
		"RSA, e is 3":        {setOf(t, jwkOf(t, &s.rsa.PublicKey, more{"e": "Aw"})), "e must be"},
		"RSA, e is endless":  {setOf(t, jwkOf(t, &s.rsa.PublicKey, more{"e": encode([]byte{1, 0, 0, 0, 1})})), "e must be"},
		"P-384":              {setOf(t, jwkOf(t, &p384.PublicKey, nil)), "expected Ed25519"},
		"off the curve":      {setOf(t, more{"kty": "EC", "crv": "P-256", "x": off, "y": off}), "no point of P-256"},
		"X25519":             {setOf(t, jwkOf(t, edwards, more{"crv": "X25519"})), "expected Ed25519"},
		"short x":            {setOf(t, jwkOf(t, edwards, more{"x": "AQAB"})), "32 bytes"},
		"padded x":           {setOf(t, jwkOf(t, edwards, more{"x": base64.URLEncoding.EncodeToString(edwards.(ed25519.PublicKey))})), "32 bytes"},
		"other alg":          {setOf(t, jwkOf(t, &s.rsa.PublicKey, more{"alg": "PS256"})), "alg does not fit"},
		"for encryption":     {setOf(t, jwkOf(t, &s.rsa.PublicKey, more{"use": "enc"})), "use is not sig"},
		"for encryption too": {setOf(t, jwkOf(t, &s.rsa.PublicKey, more{"key_ops": []string{"encrypt"}})), "key_ops"},
		"one kid, two keys":  {setOf(t, jwkOf(t, edwards, more{"kid": "a"}), jwkOf(t, &s.curve.PublicKey, more{"kid": "a"})), "two keys of one kid"},
		"one key twice":      {setOf(t, jwkOf(t, edwards, nil), jwkOf(t, edwards, nil)), "two keys of one kid"},
		"long kid":           {setOf(t, jwkOf(t, edwards, more{"kid": strings.Repeat("k", 201)})), "kid is longer"},
		"kid is a number":    {setOf(t, jwkOf(t, edwards, more{"kid": 7})), "not"},
	} {
		t.Run(name, func(t *testing.T) {
			kept, err := ParseKeys(c.set)
			if c.reason != "" {
				if f := lifecycle.AsFault(err); err == nil || f.Kind != lifecycle.KindInvalid || f.Attribute != "jwks" || !strings.Contains(f.Message, c.reason) {
					t.Errorf("got %v, want %q", err, c.reason)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			keys, err := ReadKeys(kept)
			if err != nil || len(keys) == 0 || keys[0].Kid == "" || keys[0].Alg == "" || strings.Contains(string(kept), "x5c") {
				t.Errorf("kept %s, read %+v, %v", kept, keys, err)
			}
			if again, err := ParseKeys(kept); err != nil || string(again) != string(kept) {
				t.Errorf("what is kept is read as %s, %v", again, err)
			}
		})
	}
}

// RFC 8037 appendix A.3 gives the thumbprint of its key.
func TestKeyWithoutKidGetsItsThumbprint(t *testing.T) {
	kept, err := ParseKeys([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`))
	if err != nil || !strings.Contains(string(kept), `"kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"`) {
		t.Errorf("%s, %v", kept, err)
	}
}
