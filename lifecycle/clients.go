package lifecycle

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// How long a token lives that a client fetched.
const (
	usualClientTokenTTL = time.Hour
	leastClientTokenTTL = time.Minute
	mostClientTokenTTL  = 12 * time.Hour
)

// clientScopes are the scopes that a client's tokens may have: people's scopes
// name a person, and a client is nobody.
var clientScopes = []string{"scim"}

// secretPrefix makes a secret that strayed into a repository or a ticket easy to
// find.
const secretPrefix = "hxs_"

// ClientSpec asks for an OAuth client.
type ClientSpec struct {
	Participant string
	Label       string
	Scopes      []string      // none: scim
	Keys        []byte        // public keys, a checked JSON Web Key Set; none: it gets a secret
	TTL         time.Duration // 0: 8760h
}

// SecretHash is what is kept of a client's secret. A slow hash makes guessing
// costly where people choose secrets. Ours are 256 random bits: nobody guesses
// them at any speed, and a slow hash would only let strangers keep the server
// busy.
func SecretHash(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// IssueClient puts an OAuth client on record. It answers the secret, which is
// not kept, or "" for a client that signs with keys of its own.
func (s *Service) IssueClient(ctx context.Context, by Actor, spec ClientSpec) (storage.Client, string, error) {
	if spec.TTL == 0 {
		spec.TTL = machineTTL
	}
	if len(spec.Scopes) == 0 {
		spec.Scopes = clientScopes
	}
	strange := slices.IndexFunc(spec.Scopes, func(scope string) bool { return !slices.Contains(clientScopes, scope) })
	switch {
	case spec.Participant == "":
		return storage.Client{}, "", Faultf(KindInvalid, "participant", "participant is missing; a client belongs to one participant")
	case strange >= 0:
		return storage.Client{}, "", Faultf(KindInvalid, "scopes", "scope is %q; a client may have %s", spec.Scopes[strange], strings.Join(clientScopes, ", "))
	case len(spec.Label) > 100:
		return storage.Client{}, "", Faultf(KindInvalid, "label", "label is longer than 100 bytes; send a shorter one")
	case spec.TTL < time.Minute || spec.TTL > maxTTL:
		return storage.Client{}, "", Faultf(KindInvalid, "ttl", "ttl is %s; expected between 1m and %s", spec.TTL, maxTTL)
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return storage.Client{}, "", fmt.Errorf("client id: %w", err)
	}
	c := storage.Client{
		ID: id.String(), Participant: spec.Participant, Label: spec.Label, Scopes: slices.Compact(slices.Sorted(slices.Values(spec.Scopes))),
		Keys: spec.Keys, CreatedBy: by.Subject,
	}
	secret := ""
	if len(spec.Keys) == 0 {
		if secret, err = s.drawSecret(); err != nil {
			return storage.Client{}, "", err
		}
		c.SecretHash = SecretHash(secret)
	}
	err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		if _, err := tx.GetParticipant(ctx, c.Participant); err != nil {
			return fmt.Errorf("participant %s: %w", c.Participant, err)
		}
		c.Created, c.Expires = tx.Now(), tx.Now().Add(spec.TTL).Truncate(time.Second)
		if err := tx.PutClient(ctx, c); err != nil {
			return err
		}
		return s.entry(ctx, tx, by, audit.Draft{
			Participant: c.Participant, Action: "client.issued", Sentence: "An OAuth client was put on record.",
			Fields: append(clientFields(c), public("expires", audit.Stamp(c.Expires))),
		})
	})
	if err != nil {
		return storage.Client{}, "", fmt.Errorf("issue client: %w", err)
	}
	return c, secret, nil
}

// drawSecret draws 256 random bits, in letters that need no escaping in a form:
// the many clients that forget to (RFC 6749 §2.3.1) send the same text.
func (s *Service) drawSecret() (string, error) {
	var random [32]byte
	if _, err := io.ReadFull(s.random, random[:]); err != nil {
		return "", fmt.Errorf("draw secret: %w", err)
	}
	return secretPrefix + base64.RawURLEncoding.EncodeToString(random[:]), nil
}

// RevokeClient ends a client and every token it fetched; within seconds no node
// takes one of them any more. A second call changes nothing.
func (s *Service) RevokeClient(ctx context.Context, by Actor, id string) error {
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		c, err := tx.GetClient(ctx, id)
		if err != nil {
			return fmt.Errorf("client %s: %w", id, err)
		}
		if c.Revoked != nil {
			return nil
		}
		now := tx.Now()
		c.Revoked = &now
		if err := tx.PutClient(ctx, c); err != nil {
			return err
		}
		return s.entry(ctx, tx, by, audit.Draft{
			Participant: c.Participant, Action: "client.revoked", Sentence: "An OAuth client was revoked, and its tokens with it.", Fields: clientFields(c),
		})
	})
	if err != nil {
		return fmt.Errorf("revoke client: %w", err)
	}
	return nil
}

// clientFields says which client it was, and by what it proves itself: keys by
// their digest, and a secret by the digest of the digest that is kept, so that
// nobody reads in an entry what a row must have to take a secret.
func clientFields(c storage.Client) []audit.Field {
	method := "secret"
	fields := []audit.Field{public("client", c.ID), public("scopes", strings.Join(c.Scopes, " ")), public("label", c.Label)}
	if len(c.Keys) > 0 {
		method = "keys"
		sum := sha256.Sum256(c.Keys)
		fields = append(fields, public("keys", hex.EncodeToString(sum[:])))
	} else {
		sum := sha256.Sum256(c.SecretHash)
		fields = append(fields, public("secretDigest", hex.EncodeToString(sum[:])))
	}
	return append(fields, public("method", method))
}

// Grant asks for a token in the name of a client that has proven itself.
type Grant struct {
	Client    string
	Scope     string
	Assertion string    // the id of the signed assertion that was the proof, "" for a secret
	Until     time.Time // when that assertion ends for good
}

// GrantToken puts a short-lived token on record; the face that has the key mints
// it. Its record is forgotten some time after it ended. No entry is kept of
// it: whatever is done with it is on record under client and token, and entries
// never go.
func (s *Service) GrantToken(ctx context.Context, g Grant) (storage.Token, error) {
	id, err := uuid.NewRandom()
	if err != nil {
		return storage.Token{}, fmt.Errorf("token id: %w", err)
	}
	var kept storage.Token
	err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		c, err := tx.GetClient(ctx, g.Client)
		if err != nil {
			return err
		}
		now := tx.Now()
		switch {
		case c.Revoked != nil:
			return Faultf(KindRefused, "client", "the client was revoked on %s", audit.Stamp(*c.Revoked))
		case !now.Before(c.Expires):
			return Faultf(KindRefused, "client", "the client expired on %s; register a new one", audit.Stamp(c.Expires))
		case !slices.Contains(c.Scopes, g.Scope):
			return Faultf(KindForbidden, "scope", "the client may not have this scope")
		}
		if g.Assertion != "" {
			sum := sha256.Sum256([]byte(g.Assertion))
			fresh, err := tx.SpendAssertion(ctx, c.ID, hex.EncodeToString(sum[:]), g.Until)
			if err != nil {
				return err
			}
			if !fresh {
				return Faultf(KindRefused, "client_assertion", "the assertion was used before; sign a new one with a jti of its own")
			}
		}
		expires := now.Add(s.clientTokenTTL)
		if expires.After(c.Expires) {
			expires = c.Expires
		}
		kept = storage.Token{
			ID: id.String(), Participant: c.Participant, Scope: g.Scope, Subject: c.ID, Label: c.Label,
			Issued: now, IssuedBy: c.ID, Expires: expires.Truncate(time.Second), Client: c.ID,
		}
		if err := tx.PutToken(ctx, kept); err != nil {
			return fmt.Errorf("keep token %s: %w", kept.ID, err)
		}
		return tx.TouchClient(ctx, c.ID, now)
	})
	if err != nil {
		return storage.Token{}, fmt.Errorf("grant a token to client %s: %w", g.Client, err)
	}
	return kept, nil
}

// SweepClients forgets tokens of clients that ended a while ago, and ids of
// assertions that no node would take any more. It answers how many.
func (s *Service) SweepClients(ctx context.Context) (int, error) {
	const (
		keep  = 24 * time.Hour // a request that comes late is still told why it is refused
		batch = 500
	)
	total := 0
	for {
		n, err := s.store.DeleteSpent(ctx, s.Now().Add(-keep), batch)
		total += n
		switch {
		case err != nil:
			return total, fmt.Errorf("sweep of clients' tokens: %w", err)
		case n == 0:
			return total, nil
		}
	}
}

// clientTTL checks how long tokens of clients live; 0 is one hour.
func clientTTL(asked time.Duration) (time.Duration, error) {
	switch {
	case asked == 0:
		return usualClientTokenTTL, nil
	case asked < leastClientTokenTTL || asked > mostClientTokenTTL:
		return 0, errors.New("tokens of clients live between " + leastClientTokenTTL.String() + " and " + mostClientTokenTTL.String())
	}
	return asked, nil
}
