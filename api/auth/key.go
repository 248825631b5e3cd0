package auth

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/golang-jwt/jwt/v5"

	"github.com/healthix/healthix-scim/storage"
)

// Signer mints tokens.
type Signer struct {
	key      ed25519.PrivateKey
	issuer   string
	audience string
	id       string
}

// NewSigner makes a signer; issuer is the instance id.
func NewSigner(key ed25519.PrivateKey, issuer, audience string) *Signer {
	return &Signer{key: key, issuer: issuer, audience: audience, id: thumbprint(key.Public().(ed25519.PublicKey))}
}

// Mint writes the token whose record is given.
func (s *Signer) Mint(t storage.Token) (string, error) {
	if t.ID == "" || t.Scope == "" || t.Expires.IsZero() {
		return "", fmt.Errorf("mint token %q: id, scope and expiry must be on its record", t.ID)
	}
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: s.issuer, Subject: t.Subject, Audience: jwt.ClaimStrings{s.audience},
			ExpiresAt: jwt.NewNumericDate(t.Expires), IssuedAt: jwt.NewNumericDate(t.Issued), ID: t.ID,
		},
		Scope: t.Scope, Participant: t.Participant,
	})
	token.Header["kid"] = s.id
	text, err := token.SignedString(s.key)
	if err != nil {
		return "", fmt.Errorf("sign token %s: %w", t.ID, err)
	}
	return text, nil
}

// jwk is a public key as RFC 8037 §2 writes it.
type jwk struct {
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Kid string `json:"kid"`
	Use string `json:"use"`
	Alg string `json:"alg"`
}

// JWKS is the public key as a JSON Web Key Set (RFC 7517 §5).
func (s *Signer) JWKS() ([]byte, error) {
	set, err := json.Marshal(map[string][]jwk{"keys": {{
		Kty: "OKP", Crv: "Ed25519", X: encode(s.key.Public().(ed25519.PublicKey)), Kid: s.id, Use: "sig", Alg: jwt.SigningMethodEdDSA.Alg(),
	}}})
	if err != nil {
		return nil, fmt.Errorf("write key set: %w", err)
	}
	return set, nil
}

// thumbprint is RFC 7638's: SHA-256 over the required members in order.
func thumbprint(key ed25519.PublicKey) string {
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + encode(key) + `"}`))
	return encode(sum[:])
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

const pemType = "PRIVATE KEY"

// ParseKey reads an Ed25519 private key in PEM, PKCS#8.
func ParseKey(text []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != pemType {
		return nil, errors.New(`parse key: expected a PEM block "PRIVATE KEY" (PKCS#8)`)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parse key: %w", err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("parse key: expected Ed25519, found %T", parsed)
	}
	return key, nil
}

// LoadKey reads a key file.
func LoadKey(path string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load key: %w", err)
	}
	key, err := ParseKey(text)
	if err != nil {
		return nil, fmt.Errorf("load key %s: %w", path, err)
	}
	return key, nil
}

// LoadOrCreateKey reads a key file and generates it, mode 0600, when there is
// none. The file appears whole, and of two processes that create it at once
// both get the same key.
func LoadOrCreateKey(path string) (ed25519.PrivateKey, error) {
	key, err := LoadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	_, fresh, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(fresh)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	if err := writeOnce(path, pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der})); err != nil {
		return nil, fmt.Errorf("create key %s: %w", path, err)
	}
	return LoadKey(path)
}

// writeOnce makes a file with this text unless it is there already.
func writeOnce(path string, text []byte) error {
	draft, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name()) //nolint:errcheck // the link below keeps the content
	_, err = draft.Write(text)
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := os.Link(draft.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
