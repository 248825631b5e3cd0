// Package auth mints and checks tokens, and knows the OAuth clients that ask for
// them. It reads nothing from a token before its signature holds, believes no
// claim that the token's record does not repeat, and neither issues nor revokes:
// lifecycle keeps the records.
package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// Audience is the aud of every token: the program, whatever its URL is today.
const Audience = "healthix-scim"

// The scopes a token may have.
const (
	ScopeSCIM     = "scim"
	ScopeAUM      = "aum"
	ScopeOperator = "operator"
	ScopeAuditor  = "auditor"
	ScopePortal   = "portal"
)

const (
	// recordAge bounds how long a record is believed, and so how long a revoked
	// token still works, on any node.
	recordAge = 5 * time.Second
	// touchEvery is how often last uses are written, in one batch.
	touchEvery = 3 * time.Second
	// maxToken bounds what is parsed; our tokens are some 500 bytes.
	maxToken = 4096
	// maxProven bounds how many proven tokens are remembered; past it they are
	// forgotten and proven anew.
	maxProven = 10_000
)

// kinds says which actor a scope makes. A scope that is missing here is refused.
var kinds = map[string]string{
	ScopeSCIM: "provider", ScopeAUM: "aum", ScopeOperator: "operator", ScopeAuditor: "auditor", ScopePortal: "portal",
}

// Principal is who asks, by which token.
type Principal struct {
	Actor       lifecycle.Actor
	Scope       string
	Participant string // "" when not bound to one
	TokenID     string
}

// Refusal says why a token does not open the door. The reason may leave the
// house: it names nothing that was not proven by the signature.
type Refusal struct {
	Reason string
	Absent bool // nothing was presented at all
	// Token is the record of a token that our key had signed, if there is one.
	Token storage.Token

	proven string // the jti of a token whose signature held and whose claims did not
}

func (r *Refusal) Error() string { return r.Reason }

// Records is what a Checker needs of the store.
type Records interface {
	GetToken(ctx context.Context, id string) (storage.Token, error)
	TouchTokens(ctx context.Context, used map[string]time.Time) error
}

// claims is what our tokens say.
type claims struct {
	jwt.RegisteredClaims
	Scope       string `json:"scope"`
	Participant string `json:"participant,omitempty"`
}

// Options is what a Checker works with.
type Options struct {
	Key      ed25519.PublicKey
	Issuer   string // the instance id
	Audience string // "" means Audience
	Records  Records
	Now      func() time.Time // nil means time.Now
	Log      *slog.Logger     // nil means slog.Default
}

// Checker checks tokens against key and record.
type Checker struct {
	key     ed25519.PublicKey
	parser  *jwt.Parser
	records Records
	now     func() time.Time
	log     *slog.Logger

	mu     sync.Mutex
	proven map[[sha256.Size]byte]claims // by digest of the whole token: signature, issuer and audience held
	seen   map[string]record            // by jti
	used   map[string]time.Time         // by jti; last uses that are not written yet
}

// record is a token's record as it was read at an instant.
type record struct {
	token storage.Token
	read  time.Time
}

// fresh says whether a record may still be believed. A clock that stepped back
// makes nothing younger.
func (r record) fresh(now time.Time) bool {
	age := now.Sub(r.read)
	return age >= 0 && age < recordAge
}

// NewChecker makes a checker. Run must run for last uses to be written.
func NewChecker(o Options) *Checker {
	if o.Audience == "" {
		o.Audience = Audience
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return &Checker{
		key: o.Key, records: o.Records, now: o.Now, log: o.Log,
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}),
			jwt.WithIssuer(o.Issuer),
			jwt.WithAudience(o.Audience),
			jwt.WithExpirationRequired(),
			jwt.WithTimeFunc(o.Now),
			jwt.WithStrictDecoding(),
		),
		proven: map[[sha256.Size]byte]claims{}, seen: map[string]record{}, used: map[string]time.Time{},
	}
}

// Check tells who presents the value of an Authorization header. It answers a
// *Refusal (401) or, when the token's record cannot be read, a fault of
// lifecycle.KindUnavailable (503).
func (c *Checker) Check(ctx context.Context, bearer string) (Principal, error) {
	text, err := bearerToken(bearer)
	if err != nil {
		return Principal{}, err
	}
	said, err := c.prove(text)
	if err != nil {
		return Principal{}, c.whose(ctx, err)
	}
	token, err := c.record(ctx, said.ID)
	if errors.Is(err, storage.ErrNotFound) && said.ExpiresAt != nil && !c.now().Before(said.ExpiresAt.Time) {
		return Principal{}, expired(said.ExpiresAt.Time, storage.Token{}) // long ago: its record was forgotten
	}
	if errors.Is(err, storage.ErrNotFound) {
		return Principal{}, &Refusal{Reason: "the token is not on record; ask for a new one"}
	}
	if err != nil {
		return Principal{}, &lifecycle.Fault{Kind: lifecycle.KindUnavailable, Message: "the token's record cannot be read; try again shortly", Err: err}
	}
	if token.ID != said.ID || token.Scope != said.Scope || token.Participant != said.Participant || token.Subject != said.Subject {
		return Principal{}, &Refusal{Reason: "the token does not match its record; ask for a new one", Token: token}
	}
	now := c.now()
	switch kind := kinds[token.Scope]; {
	case token.Revoked != nil:
		return Principal{}, &Refusal{Reason: "the token was revoked on " + token.Revoked.UTC().Format(time.RFC3339), Token: token}
	case !now.Before(token.Expires):
		return Principal{}, expired(token.Expires, token)
	case kind == "":
		return Principal{}, &Refusal{Reason: "the token's scope is not known", Token: token}
	default:
		c.touch(token.ID, now)
		return Principal{
			Actor:       lifecycle.Actor{Kind: kind, Subject: token.Subject, Token: token.ID, Label: token.Label, Participant: token.Participant},
			Scope:       token.Scope,
			Participant: token.Participant,
			TokenID:     token.ID,
		}, nil
	}
}

// bearerToken takes the token out of a header. RFC 9110 §11.1: the scheme's
// case does not matter.
func bearerToken(header string) (string, error) {
	if header == "" {
		return "", &Refusal{Reason: "a token is needed: send Authorization: Bearer TOKEN", Absent: true}
	}
	scheme, text, _ := strings.Cut(header, " ")
	text = strings.TrimSpace(text)
	if !strings.EqualFold(scheme, "Bearer") || text == "" {
		return "", &Refusal{Reason: "the Authorization header must read: Bearer TOKEN"}
	}
	if len(text) > maxToken {
		return "", &Refusal{Reason: "the token is not one of ours"}
	}
	return text, nil
}

// prove is verify that remembers tokens it has verified: a signature costs more
// than the rest of a small request. Expiry and revocation are no part of what is
// remembered; Check asks the record for both, every time.
func (c *Checker) prove(text string) (claims, error) {
	digest := sha256.Sum256([]byte(text))
	c.mu.Lock()
	said, known := c.proven[digest]
	c.mu.Unlock()
	if known {
		return said, nil
	}
	said, err := c.verify(text)
	if err != nil {
		return claims{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.proven) >= maxProven {
		clear(c.proven)
	}
	c.proven[digest] = said
	return said, nil
}

// verify holds the signature first; only then may a reason speak of a claim.
func (c *Checker) verify(text string) (claims, error) {
	var said claims
	_, err := c.parser.ParseWithClaims(text, &said, func(*jwt.Token) (any, error) { return c.key, nil })
	switch {
	case err == nil:
		return said, nil
	case !errors.Is(err, jwt.ErrTokenInvalidClaims):
		return claims{}, &Refusal{Reason: "the token is not one of ours"}
	case errors.Is(err, jwt.ErrTokenInvalidIssuer), errors.Is(err, jwt.ErrTokenInvalidAudience):
		return claims{}, &Refusal{Reason: "the token was issued for another server"}
	case errors.Is(err, jwt.ErrTokenExpired) && said.ExpiresAt != nil:
		refusal := expired(said.ExpiresAt.Time, storage.Token{})
		refusal.proven = said.ID
		return claims{}, refusal
	default:
		return claims{}, &Refusal{Reason: "the token's claims do not hold"}
	}
}

func expired(at time.Time, token storage.Token) *Refusal {
	return &Refusal{Reason: "the token expired on " + at.UTC().Format(time.RFC3339), Token: token}
}

// whose finds the record of a token that was refused after its signature held.
// The refusal stands whether there is one or not.
func (c *Checker) whose(ctx context.Context, err error) error {
	var refusal *Refusal
	if errors.As(err, &refusal) && refusal.proven != "" {
		if token, missed := c.record(ctx, refusal.proven); missed == nil {
			refusal.Token = token
		}
	}
	return err
}

// record answers the token's record, at most recordAge old. The age counts
// from before the read, so that a revocation during it is not missed.
func (c *Checker) record(ctx context.Context, id string) (storage.Token, error) {
	now := c.now()
	c.mu.Lock()
	known, ok := c.seen[id]
	c.mu.Unlock()
	if ok && known.fresh(now) {
		return known.token, nil
	}
	token, err := c.records.GetToken(ctx, id)
	if err != nil {
		return storage.Token{}, fmt.Errorf("read token %s: %w", id, err)
	}
	c.mu.Lock()
	c.seen[id] = record{token: token, read: now}
	c.mu.Unlock()
	return token, nil
}

// Forget makes the next check of a token read its record again.
func (c *Checker) Forget(id string) {
	c.mu.Lock()
	delete(c.seen, id)
	c.mu.Unlock()
}

// ForgetClient is Forget for every token that a client fetched.
func (c *Checker) ForgetClient(client string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, r := range c.seen {
		if r.token.Client == client {
			delete(c.seen, id)
		}
	}
}

func (c *Checker) touch(id string, at time.Time) {
	c.mu.Lock()
	c.used[id] = at
	c.mu.Unlock()
}

// Run writes last uses every few seconds, and once more when ctx ends.
func (c *Checker) Run(ctx context.Context) error {
	tick := time.NewTicker(touchEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.flush(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), touchEvery)
			defer cancel()
			c.flush(last)
			return nil
		}
	}
}

// flush writes the uses since the last one and forgets records that are too
// old to be believed. Uses that could not be written wait for the next flush.
func (c *Checker) flush(ctx context.Context) {
	now := c.now()
	c.mu.Lock()
	used := c.used
	c.used = map[string]time.Time{}
	for id, r := range c.seen {
		if !r.fresh(now) {
			delete(c.seen, id)
		}
	}
	c.mu.Unlock()
	if len(used) == 0 {
		return
	}
	if err := c.records.TouchTokens(ctx, used); err != nil {
		c.log.WarnContext(ctx, "last uses of tokens are not written yet", "tokens", len(used), "error", err)
		c.mu.Lock()
		for id, at := range used {
			if _, newer := c.used[id]; !newer {
				c.used[id] = at
			}
		}
		c.mu.Unlock()
	}
}
