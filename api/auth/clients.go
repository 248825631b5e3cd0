package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

const (
	// maxAssertion bounds what is parsed; one with an RSA signature of 8192 bits
	// is some 2,000 bytes.
	maxAssertion = 8 << 10
	// assertionLife is how far ahead an assertion may end: so long its id is kept.
	assertionLife = 5 * time.Minute
	// clockSkew is how wrong a client's clock may be, either way.
	clockSkew = 30 * time.Second
	// maxAssertionID bounds a jti.
	maxAssertionID = 256
)

// ClientRecords is what Clients needs of the store.
type ClientRecords interface {
	GetClient(ctx context.Context, id string) (storage.Client, error)
}

// ClientOptions is what Clients works with.
type ClientOptions struct {
	Records  ClientRecords
	Issuer   string // our name in assertions: the public URL,
	TokenURL string // or the token endpoint's
	Now      func() time.Time
}

// Clients knows OAuth clients by their secrets and signatures. Whether a client
// is there cannot be told from the answer: the one that is not there is looked
// for, compared and verified all the same. What is left in time is the reading
// of one row, some ten microseconds, and ids are not guessed: they are random.
type Clients struct {
	records  ClientRecords
	audience []string
	now      func() time.Time
	parser   *jwt.Parser
	decoys   map[string]crypto.PublicKey // by algorithm; nobody has their other halves
	decoySet []byte                      // the same as a client's are kept
	equal    func(a, b []byte) int
}

// NewClients makes it.
func NewClients(o ClientOptions) (*Clients, error) {
	decoySet, err := newDecoys()
	if err != nil {
		return nil, fmt.Errorf("make decoy keys: %w", err)
	}
	keys, err := ReadKeys(decoySet)
	if err != nil {
		return nil, fmt.Errorf("make decoy keys: %w", err)
	}
	decoys := map[string]crypto.PublicKey{}
	for _, k := range keys {
		decoys[k.Alg] = k.key
	}
	return &Clients{
		records: o.Records, audience: []string{o.TokenURL, o.Issuer}, now: o.Now, equal: subtle.ConstantTimeCompare,
		decoys: decoys, decoySet: decoySet,
		parser: jwt.NewParser(
			jwt.WithValidMethods(signingAlgs),
			jwt.WithExpirationRequired(),
			jwt.WithLeeway(clockSkew),
			jwt.WithIssuedAt(),
			jwt.WithTimeFunc(o.Now),
			jwt.WithStrictDecoding(),
		),
	}, nil
}

// newDecoys makes a public key for each algorithm. Of RSA a number of the right
// size does: verifying costs the same.
func newDecoys() ([]byte, error) {
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	owner, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	curve, err := owner.PublicKey.Bytes()
	if err != nil {
		return nil, err
	}
	var modulus [minRSABits / 8]byte
	if _, err := rand.Read(modulus[:]); err != nil {
		return nil, err
	}
	modulus[0] |= 0x80
	modulus[len(modulus)-1] |= 1
	return json.Marshal(map[string][]clientJWK{"keys": {
		{Kty: "OKP", Crv: "Ed25519", X: encode(edwards)},
		{Kty: "EC", Crv: "P-256", X: encode(curve[1:33]), Y: encode(curve[33:])},
		{Kty: "RSA", N: encode(modulus[:]), E: encode(big.NewInt(minRSAExp).Bytes())},
	}})
}

// unproven is the one answer to a client that is not there, has another secret,
// or did not sign: it says nothing of which it was.
func unproven() error {
	return refused(InvalidClient, "the client is not known, or has not proven to be it")
}

// Prove answers the client that a request proves to be, and what lifecycle may
// grant it. It answers a *GrantRefusal or, when the client's record cannot be
// read, a fault of lifecycle.KindUnavailable. A client that has proven itself is
// told what is wrong with it.
func (c *Clients) Prove(ctx context.Context, r GrantRequest) (storage.Client, lifecycle.Grant, error) {
	client, grant, err := c.prove(ctx, r)
	if err != nil {
		return storage.Client{}, lifecycle.Grant{}, err
	}
	switch now := c.now(); {
	case client.Revoked != nil:
		err = refused(InvalidClient, "the client was revoked on "+client.Revoked.UTC().Format(time.RFC3339))
	case !now.Before(client.Expires):
		err = refused(InvalidClient, "the client expired on "+client.Expires.UTC().Format(time.RFC3339)+"; register a new one")
	default:
		grant.Scope, err = scopeOf(client.Scopes, r.scope)
	}
	if err != nil {
		return storage.Client{}, lifecycle.Grant{}, err
	}
	grant.Client = client.ID
	return client, grant, nil
}

func (c *Clients) prove(ctx context.Context, r GrantRequest) (storage.Client, lifecycle.Grant, error) {
	if r.assertion != "" {
		return c.bySignature(ctx, r)
	}
	client, err := c.find(ctx, r.client)
	if err != nil {
		return storage.Client{}, lifecycle.Grant{}, err
	}
	hash := client.SecretHash
	if len(hash) == 0 { // not there, or one that signs: nothing has this hash
		hash = make([]byte, len(lifecycle.SecretHash("")))
	}
	if same := c.equal(lifecycle.SecretHash(r.secret), hash) == 1; !same || len(client.SecretHash) == 0 {
		return storage.Client{}, lifecycle.Grant{}, unproven()
	}
	return client, lifecycle.Grant{}, nil
}

// find answers the client of an id, and an empty one when there is none. What
// cannot be an id is looked for as well.
func (c *Clients) find(ctx context.Context, id string) (storage.Client, error) {
	const length = 36
	if _, err := uuid.Parse(id); err != nil || len(id) != length {
		id = uuid.Nil.String()
	}
	client, err := c.records.GetClient(ctx, id)
	if errors.Is(err, storage.ErrNotFound) {
		return storage.Client{}, nil
	}
	if err != nil {
		return storage.Client{}, &lifecycle.Fault{Kind: lifecycle.KindUnavailable, Message: "the client's record cannot be read; try again shortly", Err: err}
	}
	return client, nil
}

// bySignature is RFC 7523 §3. The subject is read before the signature holds, to
// find the key, and for nothing else.
func (c *Clients) bySignature(ctx context.Context, r GrantRequest) (storage.Client, lifecycle.Grant, error) {
	fail := func(err error) (storage.Client, lifecycle.Grant, error) {
		return storage.Client{}, lifecycle.Grant{}, err
	}
	var said jwt.RegisteredClaims
	if len(r.assertion) > maxAssertion {
		return fail(refused(InvalidClient, "client_assertion is not a signed JWT of a usual size"))
	}
	if _, _, err := c.parser.ParseUnverified(r.assertion, &said); err != nil {
		return fail(refused(InvalidClient, "client_assertion is not a signed JWT"))
	}
	if r.client != "" && r.client != said.Subject {
		return fail(unproven())
	}
	client, err := c.find(ctx, said.Subject)
	if err != nil {
		return fail(err)
	}
	kept := client.Keys
	if len(kept) == 0 { // not there, or one with a secret
		kept = c.decoySet
	}
	keys, err := ReadKeys(kept)
	if err != nil {
		return fail(fmt.Errorf("client %s: %w", client.ID, err))
	}
	said, err = c.verify(r.assertion, keys)
	if len(client.Keys) == 0 {
		err = unproven()
	}
	if err == nil {
		err = c.checkClaims(said, client.ID)
	}
	if err != nil {
		return fail(err)
	}
	return client, lifecycle.Grant{Assertion: said.ID, Until: said.ExpiresAt.Add(clockSkew)}, nil
}

// verify holds the signature and then the times. It verifies once, whatever was
// sent: with a key of the client, or with one that fits nothing.
func (c *Clients) verify(text string, keys []ClientKey) (jwt.RegisteredClaims, error) {
	var said jwt.RegisteredClaims
	_, err := c.parser.ParseWithClaims(text, &said, func(t *jwt.Token) (any, error) {
		return c.keyFor(t, keys), nil
	})
	switch {
	case err == nil:
		return said, nil
	case !errors.Is(err, jwt.ErrTokenInvalidClaims):
		return said, unproven()
	case errors.Is(err, jwt.ErrTokenExpired):
		return said, refused(InvalidClient, "the assertion has expired; sign a new one, and check this machine's clock")
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return said, refused(InvalidClient, "the assertion has no exp")
	default:
		return said, refused(InvalidClient, "the assertion is not valid yet; check this machine's clock")
	}
}

// keyFor picks the client's key: that of the kid, or the only one that signs
// this way. The key says how it signs, not the header.
func (c *Clients) keyFor(t *jwt.Token, keys []ClientKey) crypto.PublicKey {
	alg := t.Method.Alg()
	kid, named := t.Header["kid"].(string)
	fitting := slices.DeleteFunc(slices.Clone(keys), func(k ClientKey) bool { return k.Alg != alg || named && k.Kid != kid })
	// RFC 7515 §4.1.11: what we are told that we must understand, we do not.
	if _, critical := t.Header["crit"]; critical || len(fitting) != 1 {
		return c.decoys[alg]
	}
	return fitting[0].key
}

// checkClaims is asked once the signature holds: the client may be told.
func (c *Clients) checkClaims(said jwt.RegisteredClaims, client string) error {
	switch {
	case said.Subject != client || said.Issuer != client:
		return refused(InvalidClient, "the assertion's iss and sub must both be the client id")
	case len(said.Audience) != 1 || !slices.Contains(c.audience, said.Audience[0]):
		// One made for another server too could be brought here by that server.
		return refused(InvalidClient, "the assertion's aud must be "+c.audience[0]+" and nothing else")
	case said.ExpiresAt.After(c.now().Add(assertionLife + clockSkew)):
		return refused(InvalidClient, "the assertion ends more than "+assertionLife.String()+" from now; sign a shorter one")
	case said.ID == "" || len(said.ID) > maxAssertionID:
		return refused(InvalidClient, "the assertion needs a jti, unique and of 256 bytes at most")
	}
	return nil
}
