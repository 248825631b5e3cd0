package sqlstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

type tokenRow struct {
	ID          string
	Participant string
	Scope       string
	Subject     string
	Label       string
	Issued      instant
	IssuedBy    string
	Expires     instant
	Revoked     *instant
	LastUsed    *instant
	Client      string
}

// A token that a client fetched is revoked with the client: the join sees it
// whatever was issued meanwhile.
//
//nolint:gosec // SQL, and no secret in it
const tokenTable = `(select t.id, t.participant, t.scope, t.subject, t.label, t.issued, t.issued_by, t.expires,
    coalesce(t.revoked, c.revoked) as revoked, t.last_used, t.client
  from token t left join client c on c.id = t.client and t.client <> '') token `

func (r reader) tokens(ctx context.Context, tail string, args ...any) ([]storage.Token, error) {
	return r.tokensFrom(ctx, tokenTable+tail, args...)
}

func (r reader) tokensFrom(ctx context.Context, from string, args ...any) ([]storage.Token, error) {
	var rows []tokenRow
	if _, err := r.get(ctx, &rows, "select id, participant, scope, subject, label, issued, issued_by, expires, revoked, last_used, client from "+from, args...); err != nil {
		return nil, err
	}
	found := make([]storage.Token, len(rows))
	for i, row := range rows {
		found[i] = storage.Token{
			ID: row.ID, Participant: row.Participant, Scope: row.Scope, Subject: row.Subject, Label: row.Label,
			Issued: time.Time(row.Issued), IssuedBy: row.IssuedBy, Expires: time.Time(row.Expires),
			Revoked: row.Revoked.time(), LastUsed: row.LastUsed.time(), Client: row.Client,
		}
	}
	return found, nil
}

// GetToken answers one token's record, revoked and expired ones too.
func (r reader) GetToken(ctx context.Context, id string) (storage.Token, error) {
	found, err := r.tokens(ctx, "where id = ?", id)
	if err != nil {
		return storage.Token{}, fmt.Errorf("token %s: %w", id, err)
	}
	if len(found) == 0 {
		return storage.Token{}, fmt.Errorf("token %s: %w", id, storage.ErrNotFound)
	}
	return found[0], nil
}

// ListTokens answers tokens as they were issued by hand; those that clients
// fetch every hour are not worth a list.
func (r reader) ListTokens(ctx context.Context, participant string) ([]storage.Token, error) {
	narrow, args := here(participant, "participant")
	found, err := r.tokens(ctx, "where client = ''"+narrow+" order by issued, id", args...)
	if err != nil {
		return nil, fmt.Errorf("tokens: %w", err)
	}
	return found, nil
}

// PutToken keeps a token's record. A use recorded meanwhile stays.
func (t *tx) PutToken(ctx context.Context, k storage.Token) error {
	_, err := t.do(ctx, `insert into token (id, participant, scope, subject, label, issued, issued_by, expires, revoked, last_used, client, warned)
	  values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)
	  on conflict (id) do update set participant = excluded.participant, scope = excluded.scope, subject = excluded.subject,
	    label = excluded.label, issued = excluded.issued, issued_by = excluded.issued_by, expires = excluded.expires,
	    revoked = excluded.revoked,
	    last_used = case when excluded.last_used > token.last_used or token.last_used is null then excluded.last_used else token.last_used end`,
		k.ID, k.Participant, k.Scope, k.Subject, k.Label, instant(k.Issued), k.IssuedBy, instant(k.Expires),
		instantOf(k.Revoked), instantOf(k.LastUsed), k.Client)
	if err != nil {
		return fmt.Errorf("keep token %s: %w", k.ID, err)
	}
	return nil
}

// TouchTokens records last uses; a later one on record stays.
func (s *Store) TouchTokens(ctx context.Context, used map[string]time.Time) error {
	ids := slices.Sorted(maps.Keys(used)) // one order, so that two nodes never wait for each other
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		for _, id := range ids {
			at := instant(used[id].Truncate(time.Microsecond))
			if _, err := t.do(ctx, "update token set last_used = ? where id = ? and (last_used is null or last_used < ?)", at, id, at); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("record the use of %d token(s): %w", len(used), err)
	}
	return nil
}
