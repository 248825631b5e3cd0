package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// records is a table of tokens that can be taken away: what a Checker does
// when the database does not answer cannot be tried on one that does.
type records struct {
	mu      sync.Mutex
	tokens  map[string]storage.Token
	down    error
	reads   int
	touched map[string]time.Time
}

func (r *records) GetToken(_ context.Context, id string) (storage.Token, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads++
	if r.down != nil {
		return storage.Token{}, r.down
	}
	t, ok := r.tokens[id]
	if !ok {
		return storage.Token{}, storage.ErrNotFound
	}
	return t, nil
}

func (r *records) TouchTokens(_ context.Context, used map[string]time.Time) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down != nil {
		return r.down
	}
	for id, at := range used {
		r.touched[id] = at
	}
	return nil
}

type bench struct {
	signer  *Signer
	checker *Checker
	records *records
	key     ed25519.PrivateKey
	token   storage.Token
	now     time.Time
}

func newBench(t testing.TB) *bench {
	t.Helper()
	key := ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", ed25519.SeedSize)))
	b := &bench{
		key: key, now: noon, signer: NewSigner(key, "instance-1", Audience),
		token: storage.Token{
			ID: "0198f0aa-0000-7000-8000-000000000001", Participant: "mercy", Scope: ScopeSCIM, Subject: "mercy-idp", Label: "entra",
			Issued: noon.Add(-time.Hour), Expires: noon.Add(time.Hour),
		},
	}
	b.records = &records{tokens: map[string]storage.Token{b.token.ID: b.token}, touched: map[string]time.Time{}}
	b.checker = NewChecker(Options{
		Key: key.Public().(ed25519.PublicKey), Issuer: "instance-1", Records: b.records, Now: func() time.Time { return b.now },
	})
	return b
}

func (b *bench) mint(t testing.TB, change func(*storage.Token)) string {
	t.Helper()
	token := b.token
	if change != nil {
		change(&token)
	}
	text, err := b.signer.Mint(token)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sign makes a token of any shape with our key, or with another method.
func sign(t testing.TB, method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
	t.Helper()
	c := jwt.MapClaims{
		"iss": "instance-1", "aud": Audience, "sub": "mercy-idp", "jti": "0198f0aa-0000-7000-8000-000000000001",
		"scope": "scim", "participant": "mercy", "exp": noon.Add(time.Hour).Unix(),
	}
	if change != nil {
		change(c)
	}
	text, err := jwt.NewWithClaims(method, c).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestCheckAnswersThePrincipal(t *testing.T) {
	b := newBench(t)
	for _, scheme := range []string{"Bearer ", "bearer ", "BEARER  "} {
		p, err := b.checker.Check(t.Context(), scheme+b.mint(t, nil))
		if err != nil {
			t.Fatalf("%q: %v", scheme, err)
		}
		want := Principal{
			Actor: lifecycle.Actor{Kind: "provider", Subject: "mercy-idp", Token: b.token.ID, Label: "entra", Participant: "mercy"},
			Scope: ScopeSCIM, Participant: "mercy", TokenID: b.token.ID,
		}
		if p != want {
			t.Errorf("%q: got %+v, want %+v", scheme, p, want)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	b := newBench(t)
	public := b.key.Public().(ed25519.PublicKey)
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	_, foreign, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	ours := func(change func(jwt.MapClaims)) string { return sign(t, jwt.SigningMethodEdDSA, b.key, change) }
	with := func(name string, value any) string {
		return ours(func(c jwt.MapClaims) {
			if c[name] = value; value == nil {
				delete(c, name)
			}
		})
	}
	good := b.mint(t, nil)
	const notOurs = "the token is not one of ours"
	cases := map[string]struct{ header, reason string }{
		"no header":                   {"", "a token is needed"},
		"other scheme":                {"Basic bWVyY3k6c2VjcmV0", "must read: Bearer TOKEN"},
		"no token":                    {"Bearer ", "must read: Bearer TOKEN"},
		"not a token":                 {"Bearer mercy", notOurs},
		"two tokens":                  {"Bearer " + good + " " + good, notOurs},
		"very long":                   {"Bearer " + strings.Repeat("a", maxToken+1), notOurs},
		"alg none":                    {"Bearer " + sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil), notOurs},
		"HS256 with public key":       {"Bearer " + sign(t, jwt.SigningMethodHS256, []byte(public), nil), notOurs},
		"HS256 with public PEM":       {"Bearer " + sign(t, jwt.SigningMethodHS256, publicPEM, nil), notOurs},
		"another key":                 {"Bearer " + sign(t, jwt.SigningMethodEdDSA, foreign, nil), notOurs},
		"another key, expired":        {"Bearer " + sign(t, jwt.SigningMethodEdDSA, foreign, func(c jwt.MapClaims) { c["exp"] = 1 }), notOurs},
		"signature cut off":           {"Bearer " + good[:strings.LastIndex(good, ".")+1], notOurs},
		"signature changed":           {"Bearer " + good[:len(good)-4] + "AAAA", notOurs},
		"wrong issuer":                {"Bearer " + with("iss", "instance-2"), "issued for another server"},
		"no issuer":                   {"Bearer " + with("iss", nil), "claims do not hold"},
		"wrong audience":              {"Bearer " + with("aud", "another"), "issued for another server"},
		"no audience":                 {"Bearer " + with("aud", nil), "claims do not hold"},
		"expired":                     {"Bearer " + with("exp", noon.Add(-time.Hour).Unix()), "the token expired on 2026-03-02T11:00:00Z"},
		"no expiry":                   {"Bearer " + with("exp", nil), "claims do not hold"},
		"unknown jti":                 {"Bearer " + with("jti", "0198f0aa-0000-7000-8000-00000000ffff"), "not on record"},
		"no jti":                      {"Bearer " + with("jti", nil), "not on record"},
		"scope above its record":      {"Bearer " + with("scope", "operator"), "does not match its record"},
		"participant not its record":  {"Bearer " + with("participant", "general"), "does not match its record"},
		"no participant, record does": {"Bearer " + with("participant", nil), "does not match its record"},
		"subject not its record":      {"Bearer " + with("sub", "someone"), "does not match its record"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			p, err := b.checker.Check(t.Context(), c.header)
			var refusal *Refusal
			if !errors.As(err, &refusal) {
				t.Fatalf("got %+v, %v; want a refusal", p, err)
			}
			if !strings.Contains(refusal.Reason, c.reason) {
				t.Errorf("reason %q, want %q in it", refusal.Reason, c.reason)
			}
			if refusal.Absent != (c.header == "") {
				t.Errorf("absent is %v", refusal.Absent)
			}
			if p != (Principal{}) {
				t.Errorf("a refusal names a principal: %+v", p)
			}
		})
	}
}

func TestRecordRulesOverClaims(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*storage.Token)
		reason string
	}{
		"ended earlier":  {func(r *storage.Token) { r.Expires = noon.Add(-time.Minute) }, "expired on 2026-03-02T11:59:00Z"},
		"ends this tick": {func(r *storage.Token) { r.Expires = noon }, "expired on"},
		"revoked":        {func(r *storage.Token) { at := noon.Add(-time.Minute); r.Revoked = &at }, "revoked on 2026-03-02T11:59:00Z"},
		"unknown scope":  {func(r *storage.Token) { r.Scope = "root" }, "scope is not known"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			record := b.token
			c.change(&record)
			b.records.tokens[record.ID] = record
			text := b.mint(t, func(token *storage.Token) { token.Scope = record.Scope })
			_, err := b.checker.Check(t.Context(), "Bearer "+text)
			var refusal *Refusal
			if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, c.reason) {
				t.Errorf("got %v, want a refusal with %q", err, c.reason)
			}
		})
	}
}

func TestRevocationTakesEffectWithinFiveSeconds(t *testing.T) {
	b := newBench(t)
	bearer := "Bearer " + b.mint(t, nil)
	check := func() error { _, err := b.checker.Check(t.Context(), bearer); return err }
	if err := check(); err != nil {
		t.Fatal(err)
	}
	revoked := b.token
	revoked.Revoked = &noon
	b.records.tokens[b.token.ID] = revoked

	b.now = noon.Add(5*time.Second - time.Microsecond)
	if err := check(); err != nil {
		t.Errorf("the record was read again within its age: %v", err)
	}
	if b.records.reads != 1 {
		t.Errorf("%d reads, want 1", b.records.reads)
	}
	b.now = noon.Add(5 * time.Second)
	if err := check(); err == nil || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("5 s after the revocation: %v", err)
	}
}

func TestForgetReadsTheRecordAgain(t *testing.T) {
	b := newBench(t)
	bearer := "Bearer " + b.mint(t, nil)
	if _, err := b.checker.Check(t.Context(), bearer); err != nil {
		t.Fatal(err)
	}
	delete(b.records.tokens, b.token.ID)
	b.checker.Forget(b.token.ID)
	var refusal *Refusal
	if _, err := b.checker.Check(t.Context(), bearer); !errors.As(err, &refusal) {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestUnreadableRecordIsUnavailable(t *testing.T) {
	b := newBench(t)
	bearer := "Bearer " + b.mint(t, nil)
	if _, err := b.checker.Check(t.Context(), bearer); err != nil {
		t.Fatal(err)
	}
	b.records.down = errors.New("connection refused")
	b.now = noon.Add(4 * time.Second)
	if _, err := b.checker.Check(t.Context(), bearer); err != nil {
		t.Errorf("a record read 4 s ago is still good: %v", err)
	}
	b.now = noon.Add(5 * time.Second)
	_, err := b.checker.Check(t.Context(), bearer)
	if f := lifecycle.AsFault(err); err == nil || f.Kind != lifecycle.KindUnavailable {
		t.Errorf("got %v, want unavailable", err)
	}
	if _, err := b.checker.Check(t.Context(), "Bearer nonsense"); lifecycle.AsFault(err).Kind == lifecycle.KindUnavailable {
		t.Errorf("a bad signature is refused whatever the database does: %v", err)
	}
}

func TestLastUseIsWrittenInBatches(t *testing.T) {
	b := newBench(t)
	bearer := "Bearer " + b.mint(t, nil)
	for range 3 {
		b.now = b.now.Add(time.Second)
		if _, err := b.checker.Check(t.Context(), bearer); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.records.touched) != 0 {
		t.Fatal("a check waits for no write")
	}
	b.records.down = errors.New("connection refused")
	b.checker.flush(t.Context())
	b.records.down = nil

	ended, end := context.WithCancel(t.Context())
	end()
	if err := b.checker.Run(ended); err != nil {
		t.Fatal(err)
	}
	if got := b.records.touched[b.token.ID]; !got.Equal(noon.Add(3 * time.Second)) {
		t.Errorf("last use %v, want that of the third check, kept over a failed flush", got)
	}
}

func TestMintAsksForAWholeRecord(t *testing.T) {
	b := newBench(t)
	for name, change := range map[string]func(*storage.Token){
		"id":     func(r *storage.Token) { r.ID = "" },
		"scope":  func(r *storage.Token) { r.Scope = "" },
		"expiry": func(r *storage.Token) { r.Expires = time.Time{} },
	} {
		token := b.token
		change(&token)
		if text, err := b.signer.Mint(token); err == nil {
			t.Errorf("without %s: minted %s", name, text)
		}
	}
}

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token.key")
	made, err := LoadOrCreateKey(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode().Perm())
	}
	again, err := LoadOrCreateKey(path)
	if err != nil || !again.Equal(made) {
		t.Errorf("read again: %v, the same key: %v", err, again.Equal(made))
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("files left: %v %v", left, err)
	}
	for name, text := range map[string]string{"empty": "", "no PEM": "key", "other block": "-----BEGIN X-----\n-----END X-----\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadOrCreateKey(path); err == nil {
			t.Errorf("%s: a broken key file is never replaced or read as a key", name)
		}
	}
}

func TestKeyFileCreatedByTwoAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token.key")
	keys := make([]ed25519.PrivateKey, 8)
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() { keys[i], _ = LoadOrCreateKey(path) })
	}
	all.Wait()
	for i, key := range keys {
		if key == nil || !key.Equal(keys[0]) {
			t.Errorf("creator %d holds another key", i)
		}
	}
}

// FuzzCheck: whatever is presented, nothing panics and only the text that was
// minted opens the door.
func FuzzCheck(f *testing.F) {
	b := newBench(f)
	good := b.mint(f, nil)
	for _, seed := range []string{
		"", "Bearer", "Bearer ", "Bearer " + good, "bearer  " + good, "Bearer a.b.c", "Basic x",
		"Bearer " + sign(f, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil),
		"Bearer eyJhbGciOiJFZERTQSJ9.e30." + good[strings.LastIndex(good, ".")+1:],
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		_, err := b.checker.Check(t.Context(), header)
		if err != nil {
			return
		}
		if _, text, _ := strings.Cut(header, " "); strings.TrimSpace(text) != good {
			t.Errorf("accepted %q", header)
		}
	})
}
