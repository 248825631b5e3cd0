package lifecycle_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// credentials issues three clients and six tokens of every kind, of which one
// client and two tokens are revoked.
func credentials(h *house) {
	h.t.Helper()
	must := func(err error) {
		h.t.Helper()
		if err != nil {
			h.t.Fatal(err)
		}
	}
	client := func(label string, keys []byte) storage.Client {
		c, _, err := h.IssueClient(h.ctx, dana, lifecycle.ClientSpec{Participant: "mercy", Label: label, Keys: keys})
		must(err)
		return c
	}
	fetch := func(c storage.Client) storage.Token {
		k, err := h.GrantToken(h.ctx, lifecycle.Grant{Client: c.ID, Scope: "scim"})
		must(err)
		return k
	}
	issue := func(spec lifecycle.TokenSpec) storage.Token {
		k, err := h.IssueToken(h.ctx, dana, spec)
		must(err)
		return k
	}
	okta := client("okta", nil)
	fetch(okta)
	left := client("left", nil)
	fetch(left)
	must(h.RevokeClient(h.ctx, dana, left.ID))
	alone := fetch(client("signs", []byte(`{"keys":[]}`)))
	must(h.RevokeToken(h.ctx, dana, alone.ID))
	issue(lifecycle.TokenSpec{Participant: "mercy", Scope: "aum", Subject: "kim@mercy.example", Label: "night shift"})
	issue(lifecycle.TokenSpec{Scope: "portal", Subject: "portal", Label: "portal"})
	lost := issue(lifecycle.TokenSpec{Participant: "mercy", Scope: "scim", Label: "lost"})
	must(h.RevokeToken(h.ctx, dana, lost.ID))
}

// changed makes one change to one row, wants it to be found, and undoes it.
func (m *meddler) changed(table, where, set string) {
	m.t.Helper()
	ids := m.texts("select id from " + table + " where " + where)
	if len(ids) != 1 {
		m.t.Fatalf("%s has %d rows where %s", table, len(ids), where)
	}
	where = "id = '" + ids[0] + "'"
	m.do("create table aside as select * from " + table + " where " + where)
	m.do("update " + table + " set " + set + " where " + where)
	m.found(table+" "+set, []string{table}, ids)
	m.back(table, where)
}

// unboundOfFetched are columns of tokens that clients fetched in which a second,
// or a letter, more is not found, and why.
var unboundOfFetched = map[string]string{
	"id":        "no entry is kept of them; which one it is, its signature says",
	"issued":    "as of id",
	"expires":   "as of id; past its client's end, and past the most that such a token lives, is found",
	"last_used": "for people: nothing is decided by it",
	"warned":    "a promise of mail",
}

// Whoever writes to the tables brings nothing back to life, widens nothing and
// exchanges no secret without being found.
func TestCheckHoldsTokensAndClientsToTheirEntries(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, address string) {
		h := newHouseAt(t, address).signing()
		m := newMeddler(t, h, address, "")
		credentials(h)
		h.placed()
		h.sound()
		fetched := func(label string) string {
			return "client = (select id from client where label = '" + label + "')"
		}
		names, types := m.columns("token")
		for i, column := range names {
			if unboundOfFetched[column] == "" {
				m.changed("token", fetched("okta"), column+" = "+m.other("token", column, types[i]))
			}
		}
		const end = "(select expires from client where label = 'okta')"
		second := " + interval '1 second'"
		if m.lite {
			second = " + 1000000"
		}
		for _, one := range []struct{ table, where, set string }{
			{"token", "label = 'lost'", "revoked = null"},
			{"token", "label = 'lost'", "revoked = issued"},
			{"token", "label = 'portal'", "revoked = issued"},
			{"token", "label = 'portal'", "scope = 'operator'"},
			{"token", "label = 'portal'", "participant = 'mercy'"},
			{"token", fetched("signs"), "revoked = null"},
			{"token", fetched("signs"), "revoked = issued"},
			{"token", fetched("okta"), "revoked = issued"},
			{"token", fetched("okta"), "scope = 'operator'"},
			{"token", fetched("okta"), "participant = ''"},
			{"token", fetched("okta"), "client = ''"},
			{"token", fetched("okta"), "expires = " + end},
			{"token", fetched("okta"), "issued = " + end + ", expires = " + end + second}, // past the client's
			{"client", "label = 'left'", "revoked = null"},
			{"client", "label = 'left'", "revoked = created"},
			{"client", "label = 'okta'", "revoked = created"},
			{"client", "label = 'okta'", "scopes = 'operator scim'"},
			{"client", "label = 'okta'", "secret_hash = (select b.secret_hash from client b where b.label = 'left')"},
			{"client", "label = 'signs'", "secret_hash = (select b.secret_hash from client b where b.label = 'left')"},
			{"client", "label = 'signs'", "keys = '{\"keys\":[{}]}'"},
			{"client", "label = 'signs'", "keys = ''"},
		} {
			m.changed(one.table, one.where, one.set)
		}
		h.sound() // everything is back

		// What is swept leaves its entry of revocation behind.
		h.clock.pass(48 * time.Hour)
		if n, err := h.SweepClients(h.ctx); err != nil || n != 3 {
			t.Errorf("swept %d, %v", n, err)
		}
		if r := h.sound(); r.Tokens != 3 || r.Clients != 3 {
			t.Errorf("looked at %+v", r)
		}
	})
}

// An entry from before its kind named a secret or an end holds the row to what
// it names.
func TestCheckOfCredentialsFromBeforeFields(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, address string) {
		h := newHouseAt(t, address).signing()
		m := newMeddler(t, h, address, "")
		older := func(action string, fields ...audit.Field) func(ctx context.Context, tx storage.Tx) error {
			return func(ctx context.Context, tx storage.Tx) error {
				e, err := audit.Seal(audit.Draft{
					ID: uuid.Must(uuid.NewV7()).String(), At: tx.Now(), Participant: "mercy", Action: action,
					Actor: audit.Actor{Kind: "operator", Subject: dana.Subject}, Fields: fields,
				}, bytes.NewReader(nil))
				if err != nil {
					return err
				}
				if action == "client.issued" {
					err = tx.PutClient(ctx, storage.Client{
						ID: "c1", Participant: "mercy", Label: "entra", Scopes: []string{"scim"}, SecretHash: lifecycle.SecretHash("s"), Created: tx.Now(),
						CreatedBy: dana.Subject, Expires: tx.Now().Add(time.Hour),
					})
				} else {
					err = tx.PutToken(ctx, storage.Token{
						ID: "t1", Participant: "mercy", Scope: "scim", Label: "entra", Issued: tx.Now(), IssuedBy: dana.Subject, Expires: tx.Now().Add(time.Hour),
					})
				}
				if err != nil {
					return err
				}
				return tx.Append(ctx, e)
			}
		}
		field := func(name, value string) audit.Field {
			return audit.Field{Name: name, Class: audit.ClassPublic, Value: value}
		}
		for _, deed := range []func(ctx context.Context, tx storage.Tx) error{
			older("client.issued", field("client", "c1"), field("scopes", "scim"), field("method", "secret")),
			older("token.issued", field("token", "t1"), field("scope", "scim")),
		} {
			if err := h.store.Write(h.ctx, deed); err != nil {
				t.Fatal(err)
			}
		}
		h.placed()
		h.sound()
		m.changed("client", "id = 'c1'", "scopes = 'operator'")
		m.changed("client", "id = 'c1'", "revoked = created")
		m.changed("token", "id = 't1'", "scope = 'operator'")
		m.changed("token", "id = 't1'", "revoked = issued")
		if r := h.sound(); r.Tokens != 1 || r.Clients != 1 {
			t.Errorf("looked at %+v", r)
		}
	})
}

// The entry says by which secret a client proves itself, and not what its row
// must have.
func TestAClientsEntryHidesWhatIsKeptOfItsSecret(t *testing.T) {
	clientHouse(t, func(t *testing.T, h *house) {
		c, _, err := h.IssueClient(h.ctx, dana, lifecycle.ClientSpec{Participant: "mercy", Label: "okta"})
		if err != nil {
			t.Fatal(err)
		}
		k, err := audit.ReadEntry(h.actions("client.issued")[0].Canonical)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := k.Public()["secretDigest"], audit.Sum(c.SecretHash).String(); got != want {
			t.Errorf("secretDigest is %q, want %q", got, want)
		}
	})
}
