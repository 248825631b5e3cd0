package api

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/healthix/healthix-scim/lifecycle"
)

// cursorSeal makes the cipher of cursors, with a key of its own.
func cursorSeal(root []byte) cipher.AEAD {
	key, err := hkdf.Key(sha256.New, root, nil, "healthix-scim api cursor", 32)
	if err != nil { // 32 bytes can always be expanded
		panic(fmt.Errorf("derive cursor key: %w", err))
	}
	block, err := aes.NewCipher(key)
	if err != nil { // 32 bytes are an AES key
		panic(fmt.Errorf("derive cursor key: %w", err))
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(fmt.Errorf("derive cursor key: %w", err))
	}
	return seal
}

// cursor writes a position so that only the same query can use it: a cursor
// sealed for one participant or filter opens no other.
func (s *server) cursor(query []byte, last any) (string, error) {
	text, err := json.Marshal(last)
	if err != nil {
		return "", fmt.Errorf("write cursor: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(s.seal.Seal(nil, nil, text, query)), nil //nolint:gosec // the nonce is random, and Seal's own
}

// after reads the position in a cursor; "" is the beginning.
func after[P any](s *server, query []byte, cursor string) (*P, error) {
	if cursor == "" {
		return nil, nil
	}
	refused := lifecycle.Faultf(lifecycle.KindInvalid, "cursor", "the cursor does not belong to this query; send the one from nextCursor with the same parameters, or begin without")
	sealed, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return nil, refused
	}
	text, err := s.seal.Open(nil, nil, sealed, query)
	if err != nil {
		return nil, refused
	}
	p := new(P)
	if err := json.Unmarshal(text, p); err != nil {
		return nil, refused
	}
	return p, nil
}
