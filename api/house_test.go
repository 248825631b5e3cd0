package api

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
	"github.com/healthix/healthix-scim/storage/sqlstore"
)

// house is the whole server over a real store, without the SCIM engine: what
// stands at /scim/v2 tells whom the door let in.
type house struct {
	t       testing.TB
	store   storage.Store
	service *lifecycle.Service
	signer  *auth.Signer
	checker *auth.Checker
	options Options
	url     string
	log     *logText
	ahead   atomic.Int64 // of the real clock, in nanoseconds

	mercy, general storage.User
}

// Deeds must stay what lifecycle does.
var _ Deeds = (*lifecycle.Service)(nil)

// operator is who sets the stage.
var operator = lifecycle.Actor{Kind: "operator", Subject: "dana@healthix.example"}

type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

type noMail struct{}

func (noMail) Send(context.Context, lifecycle.Mail) error { return nil }

func newHouse(t *testing.T, change func(*Options)) *house {
	t.Helper()
	return newHouseAt(t, "sqlite://"+filepath.Join(t.TempDir(), "house.db"), change)
}

// onBothEngines runs a test in a house on each engine.
func onBothEngines(t *testing.T, test func(t *testing.T, h *house)) {
	t.Run("SQLite", func(t *testing.T) { test(t, newHouse(t, nil)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, newHouseAt(t, pgtest.URL(t), nil)) })
}

// now is the house's clock; pass sets it ahead.
func (h *house) now() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }

func (h *house) pass(d time.Duration) { h.ahead.Add(int64(d)) }

func newHouseAt(t testing.TB, address string, change func(*Options)) *house {
	t.Helper()
	ctx := t.Context()
	h := &house{t: t, log: &logText{}}
	log := slog.New(slog.NewJSONHandler(h.log, nil))
	var err error
	h.store, err = sqlstore.Open(ctx, address, sqlstore.Options{Migrate: true, Log: log, Clock: h.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.store.Close() }) //nolint:errcheck // the folder goes with it
	key := bytes.Repeat([]byte("k"), 32)
	h.service, err = lifecycle.New(lifecycle.Options{
		Store: h.store, Mailer: noMail{}, Key: key, PortalURL: "http://house.example/portal", Log: log, Clock: h.now,
		LogKeys: []ed25519.PrivateKey{ed25519.NewKeyFromSeed(key)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.service.EnsurePolicy(ctx); err != nil {
		t.Fatal(err)
	}
	issuer, err := h.store.Instance(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, signing, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	h.signer = auth.NewSigner(signing, issuer, auth.Audience)
	h.checker = auth.NewChecker(auth.Options{Key: signing.Public().(ed25519.PublicKey), Issuer: issuer, Records: h.store, Now: h.service.Now, Log: log})
	h.options = Options{
		Service: h.service, Store: h.store, Checker: h.checker, Signer: h.signer, Key: key,
		SCIM: http.HandlerFunc(h.scim), WithCaller: withCaller, SCIMError: scimError,
		BaseURL: "http://house.example", PortalStandIn: true, Log: log,
	}
	if change != nil {
		change(&h.options)
	}
	server := httptest.NewServer(New(h.options))
	t.Cleanup(server.Close)
	h.url = server.URL

	for _, id := range []string{"mercy", "general"} {
		if _, err := h.service.AddParticipant(ctx, operator, storage.Participant{ID: id, Name: strings.ToUpper(id[:1]) + id[1:] + " Hospital", Type: "standard", Mode: "live"}); err != nil {
			t.Fatal(err)
		}
	}
	h.mercy = h.person("mercy", "Ana", "Lima", "Registered Nurse")
	h.general = h.person("general", "Generosa", "Okafor", "Registered Nurse")
	return h
}

// person is somebody whom an identity provider pushed.
func (h *house) person(participant, given, family, title string) storage.User {
	h.t.Helper()
	name := strings.ToLower(given + "." + family)
	document := storage.Document{
		"userName": name, "active": true, "title": title, "externalId": participant + "-" + name,
		"name":         map[string]any{"givenName": given, "familyName": family},
		"emails":       []any{map[string]any{"value": name + "@" + participant + ".example", "type": "work", "primary": true}},
		"phoneNumbers": []any{map[string]any{"value": "+12125550123", "type": "mobile"}},
	}
	u, err := h.service.CreateUser(h.t.Context(), lifecycle.Actor{Kind: "provider", Subject: participant, Participant: participant},
		lifecycle.UserDraft{Document: document, Fold: json.RawMessage(`{}`)})
	if err != nil {
		h.t.Fatalf("create %s: %v", name, err)
	}
	return u
}

// token issues a token of a scope.
func (h *house) token(scope, participant string) string {
	h.t.Helper()
	spec := lifecycle.TokenSpec{Scope: scope, Participant: participant}
	if scope != auth.ScopeSCIM {
		spec.Subject = scope + "@healthix.example"
	}
	record, err := h.service.IssueToken(h.t.Context(), operator, spec)
	if err != nil {
		h.t.Fatalf("issue %s token: %v", scope, err)
	}
	text, err := h.signer.Mint(record)
	if err != nil {
		h.t.Fatal(err)
	}
	return text
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   string
	json   map[string]any
}

// ask sends a request with a token ("" for none) and, unless body is "", as
// JSON.
func (h *house) ask(method, path, token, body string, headers ...string) answer {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read whole
	text, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	a := answer{status: res.StatusCode, header: res.Header, body: string(text)}
	if strings.Contains(res.Header.Get("Content-Type"), "json") && len(text) > 0 {
		if err := json.Unmarshal(text, &a.json); err != nil {
			h.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
	return a
}

// must is ask for an answer of this status.
func (h *house) must(status int, method, path, token, body string, headers ...string) answer {
	h.t.Helper()
	a := h.ask(method, path, token, body, headers...)
	if a.status != status {
		h.t.Fatalf("%s %s: %d, want %d\n%s", method, path, a.status, status, a.body)
	}
	return a
}

type testCaller struct{}

func withCaller(ctx context.Context, who auth.Principal, at storage.Participant) context.Context {
	return context.WithValue(ctx, testCaller{}, who.Scope+" at "+at.ID)
}

// scim stands in for the SCIM engine, which this room does not know.
func (h *house) scim(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, "/panic") {
		panic("ana.lima@mercy.example broke it")
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		h.t.Error(err)
	}
	w.Header().Set("Content-Type", "application/scim+json")
	caller, _ := r.Context().Value(testCaller{}).(string)
	fmt.Fprintf(w, `{"caller":%q,"bytes":%d,"Resources":[{},{}]}`, caller, len(body)) //nolint:errcheck // test
}

func scimError(w http.ResponseWriter, _ *http.Request, status int, scimType, detail string) {
	w.Header().Set("Content-Type", "application/scim+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]string{"status": fmt.Sprint(status), "scimType": scimType, "detail": detail}) //nolint:errcheck // test
}

// reads are the entries that staff reads left.
func (h *house) reads() []storage.EntryRow {
	h.t.Helper()
	all, err := h.store.ListEntries(h.t.Context(), "")
	if err != nil {
		h.t.Fatal(err)
	}
	var reads []storage.EntryRow
	for _, e := range all {
		if e.Action == "read" {
			reads = append(reads, e)
		}
	}
	return reads
}

// train records every module the user's role asks for.
func (h *house) train(u storage.User) {
	h.t.Helper()
	for _, module := range u.Access(h.service.Now()).Gate("training").Missing {
		if _, err := h.service.RecordEvidence(h.t.Context(), operator, u.ID, lifecycle.EvidenceSpec{
			Gate: "training", Module: module, CompletedAt: h.service.Now().Add(-time.Hour), Source: "webinar",
		}); err != nil {
			h.t.Fatal(err)
		}
	}
}
