package lifecycle_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
	"github.com/healthix/healthix-scim/storage/sqlstore"
)

// clientHouse runs a test on both engines.
func clientHouse(t *testing.T, test func(t *testing.T, h *house)) {
	t.Run("SQLite", func(t *testing.T) { test(t, newHouse(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, newHouseAt(t, pgtest.URL(t))) })
}

// actions lists the entries of an action, oldest first.
func (h *house) actions(action string) []storage.EntryRow {
	h.t.Helper()
	all, err := h.store.ListEntries(h.ctx, "")
	if err != nil {
		h.t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(e storage.EntryRow) bool { return e.Action != action })
}

func TestClients(t *testing.T) {
	clientHouse(t, func(t *testing.T, h *house) {
		c, secret, err := h.IssueClient(h.ctx, dana, lifecycle.ClientSpec{Participant: "mercy", Label: "okta"})
		if err != nil {
			t.Fatal(err)
		}
		if len(secret) < 40 || !bytes.Equal(c.SecretHash, lifecycle.SecretHash(secret)) || c.Expires.Sub(c.Created).Round(time.Hour) != 8760*time.Hour ||
			c.CreatedBy != dana.Subject || fmt.Sprint(c.Scopes) != "[scim]" {
			t.Errorf("secret %q of %+v", secret, c)
		}
		if kept, err := h.store.GetClient(h.ctx, c.ID); err != nil || !bytes.Equal(kept.SecretHash, c.SecretHash) || !kept.Expires.Equal(c.Expires) {
			t.Errorf("on record: %+v, %v", kept, err)
		}
		signs, none, err := h.IssueClient(h.ctx, dana, lifecycle.ClientSpec{Participant: "mercy", Keys: []byte(`{"keys":[]}`), TTL: 30 * time.Minute})
		if err != nil || none != "" || len(signs.SecretHash) != 0 {
			t.Errorf("a client with keys has the secret %q: %+v, %v", none, signs, err)
		}
		issued := h.actions("client.issued")
		if len(issued) != 2 || !strings.Contains(string(issued[0].Canonical), c.ID) || strings.Contains(string(issued[0].Canonical), secret) ||
			strings.Contains(string(issued[0].Canonical), fmt.Sprintf("%x", c.SecretHash)) {
			t.Errorf("entries: %s", issued)
		}

		before := len(h.actions("token.issued"))
		k, err := h.GrantToken(h.ctx, lifecycle.Grant{Client: c.ID, Scope: "scim"})
		if err != nil {
			t.Fatal(err)
		}
		if k.Client != c.ID || k.Participant != "mercy" || k.Scope != "scim" || k.Subject != c.ID || k.Label != "okta" || k.Expires.Sub(k.Issued).Round(time.Minute) != time.Hour {
			t.Errorf("token %+v", k)
		}
		if kept, err := h.store.GetClient(h.ctx, c.ID); err != nil || kept.LastUsed == nil || !kept.LastUsed.Equal(k.Issued) {
			t.Errorf("last use of the client: %+v, %v", kept, err)
		}
		if n := len(h.actions("token.issued")); n != before {
			t.Errorf("%d entries for a token that lives an hour", n-before)
		}

		// A token never outlives its client.
		short, err := h.GrantToken(h.ctx, lifecycle.Grant{Client: signs.ID, Scope: "scim"})
		if err != nil || short.Expires.After(signs.Expires) {
			t.Errorf("token until %s of a client until %s, %v", short.Expires, signs.Expires, err)
		}
		h.clock.pass(time.Hour)
		_, err = h.GrantToken(h.ctx, lifecycle.Grant{Client: signs.ID, Scope: "scim"})
		wantsKind(t, err, lifecycle.KindRefused)

		for range 2 {
			if err := h.RevokeClient(h.ctx, dana, c.ID); err != nil {
				t.Fatal(err)
			}
		}
		if n := len(h.actions("client.revoked")); n != 1 {
			t.Errorf("%d entries for one revocation", n)
		}
		_, err = h.GrantToken(h.ctx, lifecycle.Grant{Client: c.ID, Scope: "scim"})
		wantsKind(t, err, lifecycle.KindRefused)
		if kept, err := h.store.GetToken(h.ctx, k.ID); err != nil || kept.Revoked == nil {
			t.Errorf("a token of a revoked client: %+v, %v", kept, err)
		}
		wantsKind(t, h.RevokeClient(h.ctx, dana, "nobody"), lifecycle.KindNotFound)
		_, err = h.GrantToken(h.ctx, lifecycle.Grant{Client: "nobody", Scope: "scim"})
		wantsKind(t, err, lifecycle.KindNotFound)
	})
}

func TestIssueClientRefuses(t *testing.T) {
	h := newHouse(t)
	for name, c := range map[string]struct {
		spec lifecycle.ClientSpec
		kind lifecycle.Kind
	}{
		"no participant":         {lifecycle.ClientSpec{}, lifecycle.KindInvalid},
		"participant nobody has": {lifecycle.ClientSpec{Participant: "nobody"}, lifecycle.KindNotFound},
		"a person's scope":       {lifecycle.ClientSpec{Participant: "mercy", Scopes: []string{"scim", "operator"}}, lifecycle.KindInvalid},
		"long label":             {lifecycle.ClientSpec{Participant: "mercy", Label: strings.Repeat("x", 101)}, lifecycle.KindInvalid},
		"too short":              {lifecycle.ClientSpec{Participant: "mercy", TTL: time.Second}, lifecycle.KindInvalid},
		"too long":               {lifecycle.ClientSpec{Participant: "mercy", TTL: 4 * 8760 * time.Hour}, lifecycle.KindInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			c2, secret, err := h.IssueClient(h.ctx, dana, c.spec)
			wantsKind(t, err, c.kind)
			if secret != "" || c2.ID != "" {
				t.Errorf("answered %+v with %q", c2, secret)
			}
		})
	}
	if n := len(h.actions("client.issued")); n != 0 {
		t.Errorf("%d entries", n)
	}
}

func TestAssertionIsTakenOnce(t *testing.T) {
	clientHouse(t, func(t *testing.T, h *house) {
		c, _, err := h.IssueClient(h.ctx, dana, lifecycle.ClientSpec{Participant: "mercy", Keys: []byte(`{"keys":[]}`)})
		if err != nil {
			t.Fatal(err)
		}
		g := lifecycle.Grant{Client: c.ID, Scope: "scim", Assertion: "jti-1", Until: h.Now().Add(5 * time.Minute)}
		granted := make([]error, 8)
		var all sync.WaitGroup
		for i := range granted {
			all.Go(func() { _, granted[i] = h.GrantToken(h.ctx, g) })
		}
		all.Wait()
		taken := 0
		for _, err := range granted {
			if err == nil {
				taken++
				continue
			}
			wantsKind(t, err, lifecycle.KindRefused)
		}
		if taken != 1 {
			t.Errorf("one assertion was taken %d times", taken)
		}
		// A refused one leaves no token behind.
		h.clock.pass(25*time.Hour + 10*time.Minute)
		if n, err := h.SweepClients(h.ctx); err != nil || n != 2 {
			t.Errorf("%d rows forgotten, %v, want a token and an assertion", n, err)
		}
	})
}

func TestClientTokenTTLIsBounded(t *testing.T) {
	store, err := sqlstore.Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "house.db"), sqlstore.Options{Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for ttl, ok := range map[time.Duration]bool{
		0: true, time.Minute: true, 12 * time.Hour: true, -time.Hour: false, time.Second: false, 12*time.Hour + 1: false,
	} {
		s, err := lifecycle.New(lifecycle.Options{Store: store, Mailer: &postbox{}, Key: bytes.Repeat([]byte("k"), 32), ClientTokenTTL: ttl})
		if (err == nil) != ok || (s != nil) != ok {
			t.Errorf("%s: %v", ttl, err)
		}
	}
}
