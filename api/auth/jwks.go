package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"

	"github.com/golang-jwt/jwt/v5"

	"github.com/healthix/healthix-scim/lifecycle"
)

// Bounds of a client's keys.
const (
	maxKeySet  = 64 << 10 // bytes
	maxKeys    = 10
	maxKeyID   = 200 // bytes
	minRSABits = 2048
	maxRSABits = 8192 // a signature by more costs us, not them
	minRSAExp  = 65537
)

// signingAlgs are how a client may sign, by what its key is.
var signingAlgs = []string{jwt.SigningMethodEdDSA.Alg(), jwt.SigningMethodES256.Alg(), jwt.SigningMethodRS256.Alg()}

// SigningAlgs are the algorithms that a client may sign with.
func SigningAlgs() []string { return slices.Clone(signingAlgs) }

// ClientKey is one public key of a client.
type ClientKey struct {
	Kid string
	Alg string
	key crypto.PublicKey
}

// clientJWK is a public key on record (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2):
// these members and no others.
type clientJWK struct {
	Kty string `json:"kty"`
	Crv string `json:"crv,omitempty"`
	X   string `json:"x,omitempty"`
	Y   string `json:"y,omitempty"`
	N   string `json:"n,omitempty"`
	E   string `json:"e,omitempty"`
	Kid string `json:"kid,omitempty"`
	Use string `json:"use,omitempty"`
	Alg string `json:"alg,omitempty"`
}

// private are the members of a key that nobody but its owner may see (RFC 7518
// §6.2.2, §6.3.2, §6.4).
var private = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

// ParseKeys reads the JSON Web Key Set that a client is registered with and
// answers it as it is kept: public members only, each key with a kid. A private
// key is refused, for it was shown to more than its owner.
func ParseKeys(text []byte) ([]byte, error) {
	bad := func(format string, args ...any) error {
		return lifecycle.Faultf(lifecycle.KindInvalid, "jwks", "jwks "+format, args...)
	}
	var set struct {
		Keys []map[string]json.RawMessage `json:"keys"`
	}
	switch err := json.Unmarshal(text, &set); {
	case len(text) > maxKeySet:
		return nil, bad("is larger than %d bytes", maxKeySet)
	case err != nil:
		return nil, bad("is not a JSON Web Key Set; expected an object with the member keys, an array of public keys")
	case len(set.Keys) == 0 || len(set.Keys) > maxKeys:
		return nil, bad("holds %d keys; expected 1 to %d", len(set.Keys), maxKeys)
	}
	kept := struct {
		Keys []clientJWK `json:"keys"`
	}{}
	seen := map[string]bool{}
	for i, members := range set.Keys {
		for _, name := range private {
			if _, there := members[name]; there {
				return nil, bad("holds a private or symmetric key (keys[%d].%s); send the public part only, and use a new key, for this one was shown", i, name)
			}
		}
		k, err := parseKey(members)
		if err != nil {
			return nil, bad("keys[%d]: %v", i, err)
		}
		if seen[k.Kid] {
			return nil, bad("holds two keys of one kid (keys[%d])", i)
		}
		seen[k.Kid] = true
		kept.Keys = append(kept.Keys, k)
	}
	return json.Marshal(kept)
}

// parseKey reads one key strictly and gives it its algorithm and a kid.
func parseKey(members map[string]json.RawMessage) (clientJWK, error) {
	var k clientJWK
	whole, err := json.Marshal(members)
	if err != nil {
		return k, err
	}
	if err := json.Unmarshal(whole, &k); err != nil {
		return k, fmt.Errorf("a member that should be a string is not")
	}
	var ops []string
	if raw, there := members["key_ops"]; there && (json.Unmarshal(raw, &ops) != nil || !slices.Contains(ops, "verify")) {
		return k, fmt.Errorf("key_ops does not hold verify")
	}
	asked := k.Alg
	if _, err := k.public(); err != nil {
		return k, err
	}
	k.Alg = k.alg()
	switch {
	case k.Use != "" && k.Use != "sig":
		return k, fmt.Errorf("use is not sig")
	case asked != "" && asked != k.Alg:
		return k, fmt.Errorf("alg does not fit the key, which signs with %s", k.Alg)
	case len(k.Kid) > maxKeyID:
		return k, fmt.Errorf("kid is longer than %d bytes", maxKeyID)
	case k.Kid == "":
		k.Kid = k.thumbprint()
	}
	// What its kind does not need is dropped.
	kept := clientJWK{Kty: k.Kty, Kid: k.Kid, Use: "sig", Alg: k.Alg}
	switch k.Kty {
	case "RSA":
		kept.N, kept.E = k.N, k.E
	case "EC":
		kept.Crv, kept.X, kept.Y = k.Crv, k.X, k.Y
	default:
		kept.Crv, kept.X = k.Crv, k.X
	}
	return kept, nil
}

// alg is how a key signs: one way for each kind, so that a client cannot choose
// another by what it writes into a header.
func (k clientJWK) alg() string {
	switch k.Kty {
	case "RSA":
		return jwt.SigningMethodRS256.Alg()
	case "EC":
		return jwt.SigningMethodES256.Alg()
	default:
		return jwt.SigningMethodEdDSA.Alg()
	}
}

// public is the key itself.
func (k clientJWK) public() (crypto.PublicKey, error) {
	switch {
	case k.Kty == "OKP" && k.Crv == "Ed25519":
		x, err := octets(k.X, ed25519.PublicKeySize)
		if err != nil {
			return nil, fmt.Errorf("x: %w", err)
		}
		return ed25519.PublicKey(x), nil
	case k.Kty == "EC" && k.Crv == "P-256":
		const size = 32
		x, errX := octets(k.X, size)
		y, errY := octets(k.Y, size)
		if errX != nil || errY != nil {
			return nil, fmt.Errorf("x and y must be %d bytes each in base64url", size)
		}
		const uncompressed = 4
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{uncompressed}, x, y))
		if err != nil {
			return nil, fmt.Errorf("x and y are no point of P-256")
		}
		return key, nil
	case k.Kty == "RSA":
		n, errN := base64.RawURLEncoding.DecodeString(k.N)
		e, errE := base64.RawURLEncoding.DecodeString(k.E)
		if errN != nil || errE != nil {
			return nil, fmt.Errorf("n and e must be base64url")
		}
		modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
		switch {
		case modulus.BitLen() < minRSABits || modulus.BitLen() > maxRSABits || modulus.Bit(0) == 0:
			return nil, fmt.Errorf("n has %d bits; expected an RSA modulus of %d to %d", modulus.BitLen(), minRSABits, maxRSABits)
		case exponent.BitLen() > 31 || exponent.Int64() < minRSAExp || exponent.Bit(0) == 0:
			return nil, fmt.Errorf("e must be an odd number from %d to 2^31-1", minRSAExp)
		}
		return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}, nil
	}
	return nil, fmt.Errorf("expected Ed25519 (kty OKP, crv Ed25519), P-256 (kty EC, crv P-256) or RSA (kty RSA)")
}

func octets(text string, size int) ([]byte, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(b) != size {
		return nil, fmt.Errorf("must be %d bytes in base64url", size)
	}
	return b, nil
}

// thumbprint is RFC 7638's: the members that make the key, in order.
func (k clientJWK) thumbprint() string {
	var members string
	switch k.Kty {
	case "RSA":
		members = fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, k.E, k.N)
	case "EC":
		members = fmt.Sprintf(`{"crv":%q,"kty":"EC","x":%q,"y":%q}`, k.Crv, k.X, k.Y)
	default:
		members = fmt.Sprintf(`{"crv":%q,"kty":%q,"x":%q}`, k.Crv, k.Kty, k.X)
	}
	sum := sha256.Sum256([]byte(members))
	return encode(sum[:])
}

// ReadKeys reads the keys of a client as they are kept.
func ReadKeys(kept []byte) ([]ClientKey, error) {
	if len(kept) == 0 {
		return nil, nil
	}
	var set struct {
		Keys []clientJWK `json:"keys"`
	}
	if err := json.Unmarshal(kept, &set); err != nil {
		return nil, fmt.Errorf("read a client's keys: %w", err)
	}
	keys := make([]ClientKey, len(set.Keys))
	for i, k := range set.Keys {
		public, err := k.public()
		if err != nil {
			return nil, fmt.Errorf("read a client's key %d: %w", i, err)
		}
		keys[i] = ClientKey{Kid: k.Kid, Alg: k.alg(), key: public}
	}
	return keys, nil
}
