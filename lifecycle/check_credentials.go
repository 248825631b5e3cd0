package lifecycle

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// Tokens and OAuth clients are compared with the entries that issued and revoked
// them. No entry is kept of a token that a client fetched, and its row is forgotten
// some time after it ended: it is held to the entry of its client, and to those
// that revoked it alone.

// credential is a token or client as entries have it.
type credential struct {
	known   bool // an entry issued it
	issued  audit.Kept
	fields  map[string]string // of that entry, with what was not erased of the personal ones
	revoked []audit.Kept      // entries that revoked it: two servers may at once
}

// says compares a value with a field; an entry from before there was the field
// says nothing.
func (k *credential) says(field, value string) bool {
	said, there := k.fields[field]
	return !there || said == value
}

// ends is the instant of its end; false when the entry does not say.
func (k *credential) ends() (time.Time, bool) {
	at := instantIn(k.fields["expires"])
	return at, !at.IsZero()
}

func (k *credential) endsAt(at time.Time) bool {
	end, said := k.ends()
	return !said || end.Equal(at)
}

// credentials holds tokens and clients to their entries.
func (c *inspection) credentials(ctx context.Context) error {
	return c.s.store.Look(ctx, func(ctx context.Context, read storage.Reader) error {
		clients, err := credentialsOf(ctx, read, "client")
		if err != nil {
			return err
		}
		tokens, err := credentialsOf(ctx, read, "token")
		if err != nil {
			return err
		}
		if err := c.clients(ctx, read, clients); err != nil {
			return err
		}
		return c.tokens(ctx, read, tokens, clients)
	})
}

// credentialsOf reads what entries say of tokens or clients, by id.
func credentialsOf(ctx context.Context, read storage.Reader, kind string) (map[string]*credential, error) {
	all := map[string]*credential{}
	one := func(id string) *credential {
		if all[id] == nil {
			all[id] = &credential{}
		}
		return all[id]
	}
	issued, err := entriesOf(ctx, read, kind+".issued")
	if err != nil {
		return nil, err
	}
	for page := range slices.Chunk(issued, linesAtOnce) {
		ids := make([]string, len(page))
		for i, k := range page {
			ids[i] = k.ID
		}
		personal, err := read.ListPersonal(ctx, ids)
		if err != nil {
			return nil, err
		}
		for _, k := range page {
			fields := k.Public()
			for _, p := range personal[k.ID] {
				fields[p.Name] = p.Value
			}
			it := one(fields[kind])
			it.known, it.issued, it.fields = true, k, fields
		}
	}
	revoked, err := entriesOf(ctx, read, kind+".revoked")
	for _, k := range revoked {
		it := one(k.Public()[kind])
		it.revoked = append(it.revoked, k)
	}
	return all, err
}

func (c *inspection) clients(ctx context.Context, read storage.Reader, said map[string]*credential) error {
	there := map[string]bool{}
	for after := ""; ; {
		page, err := read.ListKeptClients(ctx, after, linesAtOnce)
		if err != nil {
			return err
		}
		for _, k := range page {
			there[k.ID] = true
			one := said[k.ID]
			if one == nil || !one.known {
				c.wrong("client", k.ID, "no entry knows of this row")
				continue
			}
			c.revoked("client", k.ID, k.Revoked, one.revoked)
			c.columns("client", k.ID, one, clientColumns(k, one))
		}
		c.report.Clients += len(page)
		if len(page) < linesAtOnce {
			break
		}
		after = page[len(page)-1].ID
	}
	c.lost("client", said, there)
	return nil
}

func clientColumns(k storage.Client, said *credential) []column {
	digest := func(b []byte) string { // as fields have it, "" of nothing
		if len(b) == 0 {
			return ""
		}
		return audit.Sum(b).String()
	}
	signs := said.fields["method"] == "keys"
	return []column{
		{"participant", k.Participant == said.issued.Participant}, {"label", said.says("label", k.Label)},
		{"scopes", said.says("scopes", strings.Join(k.Scopes, " "))},
		{"secret_hash", (len(k.SecretHash) == 0) == signs && said.says("secretDigest", digest(k.SecretHash))},
		{"keys", said.fields["keys"] == digest(k.Keys)},
		{"created", k.Created.Equal(said.issued.At)}, {"created_by", k.CreatedBy == said.issued.Actor.Subject},
		{"expires", said.endsAt(k.Expires)},
	}
}

func (c *inspection) tokens(ctx context.Context, read storage.Reader, said, clients map[string]*credential) error {
	there := map[string]bool{}
	for after := ""; ; {
		page, err := read.ListKeptTokens(ctx, after, linesAtOnce)
		if err != nil {
			return err
		}
		for _, t := range page {
			there[t.ID] = true
			c.token(t, said[t.ID], clients[t.Client])
		}
		c.report.Tokens += len(page)
		if len(page) < linesAtOnce {
			break
		}
		after = page[len(page)-1].ID
	}
	c.lost("token", said, there)
	return nil
}

// token holds one to what is said of it, and of the client that fetched it; each
// is nil when no entry is about it.
func (c *inspection) token(t storage.Token, said, client *credential) {
	if said == nil {
		said = &credential{}
	}
	switch {
	case said.known:
		c.columns("token", t.ID, said, []column{
			{"participant", t.Participant == said.issued.Participant}, {"scope", said.says("scope", t.Scope)},
			{"subject", said.says("subject", t.Subject)}, {"label", said.says("label", t.Label)},
			{"issued", t.Issued.Equal(said.issued.At)}, {"issued_by", t.IssuedBy == said.issued.Actor.Subject},
			{"expires", said.endsAt(t.Expires)}, {"client", t.Client == ""},
		})
	case t.Client == "":
		c.wrong("token", t.ID, "no entry knows of this row")
		return
	case client == nil || !client.known:
		c.wrong("token", t.ID, "no entry knows of the client that fetched it")
	default:
		end, bound := client.ends()
		c.columns("token", t.ID, client, []column{
			{"participant", t.Participant == client.issued.Participant}, {"scope", slices.Contains(strings.Fields(client.fields["scopes"]), t.Scope)},
			{"subject", t.Subject == t.Client}, {"label", client.says("label", t.Label)}, {"issued_by", t.IssuedBy == t.Client},
			{"expires", !t.Expires.After(t.Issued.Add(mostClientTokenTTL)) && (!bound || !t.Expires.After(end))},
		})
	}
	c.revoked("token", t.ID, t.Revoked, said.revoked)
}

// revoked holds a row to the entries that revoked it: it is exactly when there
// is one.
func (c *inspection) revoked(table, id string, at *time.Time, by []audit.Kept) {
	switch {
	case at == nil && len(by) > 0:
		c.wrong(table, id, "entry %s revoked it, and the row does not say so", by[0].ID)
	case at != nil && len(by) == 0:
		c.wrong(table, id, "the row says that it was revoked, and no entry does")
	case at != nil && !slices.ContainsFunc(by, func(k audit.Kept) bool { return k.At.Equal(*at) }):
		c.wrong(table, id, "column revoked is not when entry %s revoked it", by[0].ID)
	}
}

// columns says in which columns a row is not what the entry says that issued it,
// or its client.
func (c *inspection) columns(table, id string, said *credential, columns []column) {
	for _, one := range columns {
		if !one.same {
			c.wrong(table, id, "column %s is not what entry %s says", one.name, said.issued.ID)
		}
	}
}

// lost says which rows are gone that entries issued.
func (c *inspection) lost(table string, said map[string]*credential, there map[string]bool) {
	for _, id := range sortedKeys(said) {
		if said[id].known && !there[id] {
			c.wrong(table, id, "the row is missing that entry %s issued", said[id].issued.ID)
		}
	}
}
