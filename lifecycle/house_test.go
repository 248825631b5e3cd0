package lifecycle_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/sqlstore"
)

var (
	dana  = lifecycle.Actor{Kind: "operator", Subject: "dana@healthix.example", Token: "dana's"}
	erin  = lifecycle.Actor{Kind: "operator", Subject: "erin@healthix.example", Token: "erin's"}
	mercy = lifecycle.Actor{Kind: "provider", Subject: "entra", Participant: "mercy"}
	north = lifecycle.Actor{Kind: "provider", Subject: "okta", Participant: "north"}
	door  = lifecycle.Actor{Kind: "portal", Subject: "portal"}
)

// clock is set by tests.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(time.Millisecond) // no two deeds share an instant
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// postbox keeps what was sent; it refuses while broken.
type postbox struct {
	mu     sync.Mutex
	mails  []lifecycle.Mail
	broken bool
}

func (p *postbox) Send(_ context.Context, m lifecycle.Mail) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken {
		return errors.New("the post is on strike")
	}
	p.mails = append(p.mails, m)
	return nil
}

// to lists the kinds of message that went to an address.
func (p *postbox) to(address string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	kinds := []string{}
	for _, m := range p.mails {
		if m.To == address {
			kind, _, _ := strings.Cut(m.ID, ".")
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// last is the newest message to an address.
func (p *postbox) last(t testing.TB, address string) lifecycle.Mail {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.mails) - 1; i >= 0; i-- {
		if p.mails[i].To == address {
			return p.mails[i]
		}
	}
	t.Fatalf("no message to %s", address)
	return lifecycle.Mail{}
}

type house struct {
	*lifecycle.Service
	t     testing.TB
	ctx   context.Context
	store storage.Store
	clock *clock
	post  *postbox
}

func newHouse(t testing.TB) *house {
	t.Helper()
	return newHouseAt(t, "sqlite://"+filepath.Join(t.TempDir(), "house.db"))
}

func newHouseAt(t testing.TB, url string) *house {
	t.Helper()
	h := &house{
		t: t, ctx: context.Background(), post: &postbox{},
		clock: &clock{now: time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)},
	}
	var err error
	h.store, err = sqlstore.Open(h.ctx, url, sqlstore.Options{Migrate: true, Clock: h.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.store.Close() }) //nolint:errcheck // the folder goes with it
	h.Service, err = lifecycle.New(lifecycle.Options{
		Store: h.store, Mailer: h.post, Key: bytes.Repeat([]byte("k"), 32), PortalURL: "https://portal.example", Clock: h.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.EnsurePolicy(h.ctx); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"mercy", "north"} {
		if _, err := h.AddParticipant(h.ctx, dana, storage.Participant{ID: id, Name: id + " hospital"}); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// person is a draft of somebody; change edits the document.
func person(name, title string, change ...func(storage.Document)) lifecycle.UserDraft {
	doc := storage.Document{
		"userName": name, "active": true, "externalId": "hr-" + name, "title": title,
		"name":         map[string]any{"givenName": strings.ToUpper(name[:1]) + name[1:], "familyName": "Lima"},
		"emails":       []any{map[string]any{"value": name + "@mail.example", "type": "work", "primary": true}},
		"phoneNumbers": []any{map[string]any{"value": "+12125550123", "type": "mobile"}},
	}
	for _, c := range change {
		c(doc)
	}
	return lifecycle.UserDraft{Document: doc, Fold: json.RawMessage(`{}`)}
}

func set(name string, value any) func(storage.Document) {
	return func(d storage.Document) {
		if value == nil {
			delete(d, name)
			return
		}
		d[name] = value
	}
}

func email(value string) func(storage.Document) {
	return set("emails", []any{map[string]any{"value": value, "type": "work"}})
}

func (h *house) create(a lifecycle.Actor, d lifecycle.UserDraft) storage.User {
	h.t.Helper()
	u, err := h.CreateUser(h.ctx, a, d)
	if err != nil {
		h.t.Fatal(err)
	}
	return u
}

// change edits the user's document as an identity provider would.
func (h *house) change(a lifecycle.Actor, id string, edits ...func(storage.Document)) storage.User {
	h.t.Helper()
	u, err := h.tryChange(a, id, edits...)
	if err != nil {
		h.t.Fatal(err)
	}
	return u
}

func (h *house) tryChange(a lifecycle.Actor, id string, edits ...func(storage.Document)) (storage.User, error) {
	return h.ChangeUser(h.ctx, a, id, func(old storage.User) (lifecycle.UserDraft, bool, error) {
		doc := storage.Document{}
		for k, v := range old.Document {
			doc[k] = v
		}
		doc["active"] = old.Active
		for _, e := range edits {
			e(doc)
		}
		return lifecycle.UserDraft{Document: doc, Fold: json.RawMessage(`{}`)}, true, nil
	})
}

func (h *house) get(id string) storage.User {
	h.t.Helper()
	u, err := h.store.GetUser(h.ctx, "", id)
	if err != nil {
		h.t.Fatal(err)
	}
	return u
}

// train records every module that is missing.
func (h *house) train(u storage.User) storage.User {
	h.t.Helper()
	for _, m := range h.get(u.ID).Access(h.Now()).Gate(policy.GateTraining).Missing {
		if _, err := h.RecordEvidence(h.ctx, dana, u.ID, lifecycle.EvidenceSpec{Module: m, CompletedAt: h.Now().Add(-time.Hour), Source: "webinar"}); err != nil {
			h.t.Fatal(err)
		}
	}
	return h.get(u.ID)
}

// work lets the workers run until no job is left to do, or each that is left
// waits for another try.
func (h *house) work() {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.ctx)
	ended := make(chan error, 1)
	go func() { ended <- h.store.Work(ctx, h.Do) }()
	deadline := time.Now().Add(20 * time.Second)
	for h.waiting("available")+h.waiting("running") > 0 {
		if time.Now().After(deadline) {
			h.t.Error("jobs are left after 20 s")
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	cancel()
	if err := <-ended; err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) waiting(state string) int {
	h.t.Helper()
	jobs, err := h.store.ListJobs(h.ctx, state, 10_000)
	if err != nil {
		h.t.Fatal(err)
	}
	return len(jobs)
}

// wants checks what everybody sees of a user.
func (h *house) wants(id string, status policy.Status, role string, closed ...string) storage.User {
	h.t.Helper()
	u := h.get(id)
	d := u.Access(h.Now())
	if d.Status != status || d.Role != role || fmt.Sprint(d.ClosedGates()) != fmt.Sprint(closed) {
		h.t.Errorf("%s is %s %q, closed %v; want %s %q %v\n%s", u.UserName, d.Status, d.Role, d.ClosedGates(), status, role, closed, d.Reason)
	}
	return u
}

// code is the code in the newest message to an address.
func (h *house) code(address string) string {
	h.t.Helper()
	_, rest, found := strings.Cut(h.post.last(h.t, address).Text, "code=")
	if !found {
		h.t.Fatalf("no link in the message to %s", address)
	}
	code, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(code)
}

func wantsKind(t testing.TB, err error, kind lifecycle.Kind) {
	t.Helper()
	if err == nil || lifecycle.AsFault(err).Kind != kind {
		t.Errorf("got %v, want a fault of kind %q", err, kind)
	}
}
