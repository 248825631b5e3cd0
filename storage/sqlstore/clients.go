package sqlstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

type clientRow struct {
	ID          string
	Participant string
	Label       string
	Scopes      string
	SecretHash  []byte
	Keys        string
	Created     instant
	CreatedBy   string
	Expires     instant
	Revoked     *instant
	LastUsed    *instant
}

func (r reader) clients(ctx context.Context, tail string, args ...any) ([]storage.Client, error) {
	var rows []clientRow
	if _, err := r.get(ctx, &rows, "select id, participant, label, scopes, secret_hash, keys, created, created_by, expires, revoked, last_used from client "+tail, args...); err != nil {
		return nil, err
	}
	found := make([]storage.Client, len(rows))
	for i, row := range rows {
		found[i] = storage.Client{
			ID: row.ID, Participant: row.Participant, Label: row.Label, Scopes: strings.Fields(row.Scopes),
			Created: time.Time(row.Created), CreatedBy: row.CreatedBy,
			Expires: time.Time(row.Expires), Revoked: row.Revoked.time(), LastUsed: row.LastUsed.time(),
		}
		if len(row.SecretHash) > 0 { // drivers disagree on empty bytes
			found[i].SecretHash = row.SecretHash
		}
		if row.Keys != "" {
			found[i].Keys = []byte(row.Keys)
		}
	}
	return found, nil
}

// GetClient answers one client, revoked and expired ones too.
func (r reader) GetClient(ctx context.Context, id string) (storage.Client, error) {
	found, err := r.clients(ctx, "where id = ?", id)
	if err != nil {
		return storage.Client{}, fmt.Errorf("client %s: %w", id, err)
	}
	if len(found) == 0 {
		return storage.Client{}, fmt.Errorf("client %s: %w", id, storage.ErrNotFound)
	}
	return found[0], nil
}

// ListClients answers clients as they were made.
func (r reader) ListClients(ctx context.Context, participant string) ([]storage.Client, error) {
	narrow, args := here(participant, "participant")
	found, err := r.clients(ctx, "where true"+narrow+" order by created, id", args...)
	if err != nil {
		return nil, fmt.Errorf("clients: %w", err)
	}
	return found, nil
}

// PutClient keeps a client. Of one that is there only its revocation moves, and
// never back.
func (t *tx) PutClient(ctx context.Context, c storage.Client) error {
	_, err := t.do(ctx, `insert into client (id, participant, label, scopes, secret_hash, keys, created, created_by, expires, revoked, last_used, warned)
	  values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)
	  on conflict (id) do update set revoked = coalesce(client.revoked, excluded.revoked)`,
		c.ID, c.Participant, c.Label, strings.Join(c.Scopes, " "), append([]byte{}, c.SecretHash...), string(c.Keys),
		instant(c.Created), c.CreatedBy, instant(c.Expires), instantOf(c.Revoked), instantOf(c.LastUsed))
	if err != nil {
		return fmt.Errorf("keep client %s: %w", c.ID, err)
	}
	return nil
}

// TouchClient records a client's last use; a later one on record stays.
func (t *tx) TouchClient(ctx context.Context, id string, at time.Time) error {
	_, err := t.do(ctx, "update client set last_used = ? where id = ? and (last_used is null or last_used < ?)", instant(at), id, instant(at))
	if err != nil {
		return fmt.Errorf("record the use of client %s: %w", id, err)
	}
	return nil
}

// SpendAssertion keeps an assertion's id. Of two that come with the same one,
// the second waits for the first and finds it spent.
func (t *tx) SpendAssertion(ctx context.Context, client, id string, expires time.Time) (bool, error) {
	n, err := t.do(ctx, "insert into client_assertion (client, id, expires) values (?, ?, ?) on conflict do nothing", client, id, instant(expires))
	if err != nil {
		return false, fmt.Errorf("keep the assertion of client %s: %w", client, err)
	}
	return n == 1, nil
}

// ListCredentials answers what participants have to renew.
func (r reader) ListCredentials(ctx context.Context, after time.Time) ([]storage.Credential, error) {
	var rows []struct {
		Kind        string
		ID          string
		Participant string
		Label       string
		Issued      instant
		Expires     instant
		Warned      int
	}
	_, err := r.get(ctx, &rows, `select 'token' as kind, id, participant, label, issued, expires, warned
	    from token where client = '' and revoked is null and expires > ? and scope = 'scim'
	  union all
	  select 'client', id, participant, label, created, expires, warned
	    from client where revoked is null and expires > ?
	  order by participant, expires, id`, instant(after), instant(after))
	if err != nil {
		return nil, fmt.Errorf("credentials of participants: %w", err)
	}
	found := make([]storage.Credential, len(rows))
	for i, row := range rows {
		found[i] = storage.Credential{
			Kind: row.Kind, ID: row.ID, Participant: row.Participant, Label: row.Label,
			Issued: time.Time(row.Issued), Expires: time.Time(row.Expires), Warned: row.Warned,
		}
	}
	return found, nil
}

// MarkWarned keeps which warning was promised last. Two nodes that look at the
// same time promise it once: the second waits for the first one's row.
func (t *tx) MarkWarned(ctx context.Context, c storage.Credential, days int) (bool, error) {
	table := ""
	switch c.Kind {
	case storage.CredentialToken:
		table = "token"
	case storage.CredentialClient:
		table = "client"
	default:
		return false, fmt.Errorf("warn of the end of %s: there is no kind of credential %q", c.ID, c.Kind)
	}
	n, err := t.do(ctx, "update "+table+" set warned = ? where id = ? and (warned = 0 or warned > ?)", days, c.ID, days)
	if err != nil {
		return false, fmt.Errorf("warn of the end of %s %s: %w", c.Kind, c.ID, err)
	}
	return n == 1, nil
}

// DeleteSpent forgets what ended before an instant.
func (s *Store) DeleteSpent(ctx context.Context, before time.Time, limit int) (int, error) {
	total := 0
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		tokens, err := t.do(ctx, `delete from token where id in (
		  select id from token where client <> '' and expires < ? limit ?)`, instant(before), limit)
		if err != nil {
			return err
		}
		assertions, err := t.do(ctx, `delete from client_assertion where (client, id) in (
		  select client, id from client_assertion where expires < ? limit ?)`, instant(before), limit)
		total = tokens + assertions
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("forget tokens of clients from before %s: %w", before.UTC().Format(time.RFC3339), err)
	}
	return total, nil
}
