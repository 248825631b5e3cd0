package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/healthix/healthix-scim/api/auth"
)

// The names of generated keys.
const (
	secretKeyName = "healthix-secret.key"
	tokenKeyName  = "healthix-token.key"
	logKeyName    = "healthix-log.key"
)

// minimalSecret is the least number of bytes that a root key has.
const minimalSecret = 32

// keys are what the server signs and derives with.
type keys struct {
	secret []byte               // root of activation codes and cursors
	token  ed25519.PrivateKey   // signs tokens
	log    []ed25519.PrivateKey // sign checkpoints of the record: the first for good, the others along
}

// checkKeys refuses keys that cannot be read, before anything is opened or made.
func checkKeys(s settings) error {
	_, err := readKeys(s, false)
	return err
}

// loadKeys reads the keys that are given and generates the others where that is
// allowed: beside the embedded database, or in the working directory for
// development.
func loadKeys(s settings) (keys, error) { return readKeys(s, true) }

// readKeys leaves out a key that is still to be generated unless it may create.
func readKeys(s settings, create bool) (keys, error) {
	var k keys
	if err := s.knownDatabase(); err != nil {
		return k, err
	}
	path, generate, err := keyPath("secret-key-file", s.SecretKeyFile, s.keyFolder(), secretKeyName)
	if err != nil {
		return k, err
	}
	k.secret, err = loadSecret(path, generate && create)
	if err != nil && !awaited(err, generate && !create) {
		return k, fmt.Errorf("%s: %w", variable("secret-key-file"), err)
	}
	if path, generate, err = keyPath("token-key-file", s.TokenKeyFile, s.keyFolder(), tokenKeyName); err != nil {
		return k, err
	}
	load := auth.LoadKey
	if generate && create {
		load = auth.LoadOrCreateKey
	}
	k.token, err = load(path)
	if err != nil && !awaited(err, generate && !create) {
		return k, fmt.Errorf("%s: %w", variable("token-key-file"), err)
	}
	if path, generate, err = keyPath("log-key-file", s.LogKeyFile, s.keyFolder(), logKeyName); err != nil {
		return k, err
	}
	k.log, err = loadLogKeys(path, generate && create)
	if err != nil && !awaited(err, generate && !create) {
		return k, fmt.Errorf("%s: %w", variable("log-key-file"), err)
	}
	return k, nil
}

// loadLogKeys reads the keys of the log, one PEM block behind the other: the one
// that signs, then those of before, for as long as auditors have only theirs.
func loadLogKeys(path string, generate bool) ([]ed25519.PrivateKey, error) {
	if generate {
		if _, err := auth.LoadOrCreateKey(path); err != nil {
			return nil, err
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load key: %w", err)
	}
	var keys []ed25519.PrivateKey
	for rest := text; len(keys) == 0 || len(bytes.TrimSpace(rest)) > 0; {
		one := rest
		if block, after := pem.Decode(rest); block != nil {
			one, rest = rest[:len(rest)-len(after)], after
		}
		key, err := auth.ParseKey(one) // says what is wrong with one that is none
		if err != nil {
			return nil, fmt.Errorf("load key %s: %w", path, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// awaited says that a key is missing because it is to be generated later.
func awaited(err error, later bool) bool { return later && errors.Is(err, fs.ErrNotExist) }

// keyPath is where a key is, and whether it may be generated there. A file that
// was named and is missing is a mistake, never a reason for a new key.
func keyPath(setting, given, folder, name string) (path string, generate bool, err error) {
	switch {
	case given != "":
		return given, false, nil
	case folder != "":
		return filepath.Join(folder, name), true, nil
	}
	return "", false, fmt.Errorf("%s is missing: with PostgreSQL the keys must be given, so that every node has the same; %s=true generates them in the working directory, for development",
		variable(setting), variable("dev"))
}

// loadSecret reads the base64 of a root key, or generates one that is not there.
func loadSecret(path string, generate bool) ([]byte, error) {
	text, err := os.ReadFile(path)
	if generate && errors.Is(err, fs.ErrNotExist) {
		if err := createSecret(path); err != nil {
			return nil, fmt.Errorf("create key %s: %w", path, err)
		}
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("load key: %w", err)
	}
	secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(secret) < minimalSecret {
		return nil, fmt.Errorf("load key %s: expected the base64 of %d random bytes or more, as `openssl rand -base64 %d` writes it", path, minimalSecret, minimalSecret)
	}
	return secret, nil
}

// createSecret writes a fresh root key, mode 0600. The file appears whole, and
// of two processes that create it at once the second keeps the first one's.
func createSecret(path string) error {
	secret := make([]byte, minimalSecret)
	if _, err := rand.Read(secret); err != nil {
		return err
	}
	draft, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(draft.Name()) //nolint:errcheck // the link below keeps the content
	_, err = draft.WriteString(base64.StdEncoding.EncodeToString(secret) + "\n")
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return err
	}
	if err := os.Link(draft.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// public is the key that tokens are checked with.
func (k keys) public() ed25519.PublicKey { return k.token.Public().(ed25519.PublicKey) }
