package audit

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// OriginPrefix begins every origin; the instance's id follows.
const OriginPrefix = "healthix-scim/"

// Origin names the log of an instance: in its checkpoints and in its keys.
func Origin(instance string) string { return OriginPrefix + instance }

// Checkpoint is a log's state at an instant: whoever has it can tell whether
// the log was rewritten since.
type Checkpoint struct {
	Origin string
	Size   uint64
	Root   Digest
	At     time.Time // of signing, UTC, microseconds
}

// stampLayout is the layout of Stamp.
const stampLayout = "2006-01-02T15:04:05.000000Z"

// text is the body of C2SP tlog-checkpoint: origin, size, root hash, and one
// extension line with the instant.
func (c Checkpoint) text() string {
	return c.Origin + "\n" + strconv.FormatUint(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\ntime " + Stamp(c.At) + "\n"
}

// Signer signs checkpoints of one origin with one Ed25519 key.
type Signer struct {
	origin string
	hash   uint32
	key    ed25519.PrivateKey
}

// NewSigner fails when the origin cannot be a key's name (it must not be empty
// nor hold spaces or a plus), or when the key is none.
func NewSigner(origin string, key ed25519.PrivateKey) (*Signer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("log key: %d bytes are not an Ed25519 key", len(key))
	}
	public, _ := key.Public().(ed25519.PublicKey)
	v, err := note.NewVerifier(VerifierKey(origin, public))
	if err != nil {
		return nil, fmt.Errorf("log key of %q: %w", origin, err)
	}
	return &Signer{origin: origin, hash: v.KeyHash(), key: key}, nil
}

// VerifierKey is the text by which others verify: name, key id and key, as
// signed notes have it.
func VerifierKey(origin string, key ed25519.PublicKey) string {
	text, err := note.NewEd25519VerifierKey(origin, key)
	if err != nil {
		panic("audit: " + err.Error()) // a public key of another length: a mistake in the program
	}
	return text
}

// Key is the signer's verifier key.
func (s *Signer) Key() string {
	public, _ := s.key.Public().(ed25519.PublicKey)
	return VerifierKey(s.origin, public)
}

// Name is the origin. Name, KeyHash and Sign make it a signer of notes.
func (s *Signer) Name() string { return s.origin }

// KeyHash is the key's id.
func (s *Signer) KeyHash() uint32 { return s.hash }

// Sign signs a note's text; Sign the function signs checkpoints.
func (s *Signer) Sign(text []byte) ([]byte, error) { return ed25519.Sign(s.key, text), nil }

// Sign gives the checkpoint as a signed note. Several signers sign while a key
// is replaced: whoever has only the old key verifies too.
func Sign(c Checkpoint, signers ...*Signer) (string, error) {
	if len(signers) == 0 {
		return "", errors.New("sign checkpoint: no key")
	}
	with := make([]note.Signer, len(signers))
	for i, s := range signers {
		if s.origin != c.Origin {
			return "", fmt.Errorf("sign checkpoint: the key is of %s, the checkpoint of %s", s.origin, c.Origin)
		}
		with[i] = s
	}
	if _, err := parseBody(c.text()); err != nil {
		return "", fmt.Errorf("sign checkpoint: %w", err)
	}
	signed, err := note.Sign(&note.Note{Text: c.text()}, with...)
	if err != nil {
		return "", fmt.Errorf("sign checkpoint: %w", err)
	}
	return string(signed), nil
}

// longestCheckpoint bounds what is parsed, in bytes.
const longestCheckpoint = 16 << 10

// ParseCheckpoint reads a signed note without looking at its signatures. The
// error is a *Damage.
func ParseCheckpoint(text string) (Checkpoint, error) {
	c, _, err := readCheckpoint(text, nil)
	return c, err
}

// OpenCheckpoint reads a signed note that one of the keys must have signed. The
// error is a *Damage which says what a person can do about it.
func OpenCheckpoint(text string, keys ...string) (Checkpoint, error) {
	if len(keys) == 0 {
		return Checkpoint{}, errors.New("open checkpoint: no key to verify with")
	}
	var known []note.Verifier
	var expected, origins []string
	for _, k := range keys {
		v, err := note.NewVerifier(strings.TrimSpace(k))
		if err != nil || !strings.HasPrefix(v.Name(), OriginPrefix) {
			return Checkpoint{}, fmt.Errorf("%q is not a public key as `audit key` prints it", k)
		}
		id := keyID(v.KeyHash())
		if slices.Contains(expected, id) && slices.Contains(origins, v.Name()) {
			continue // the same key twice: a note's list of verifiers would refuse it
		}
		known, expected, origins = append(known, v), append(expected, id), append(origins, v.Name())
	}
	c, n, err := readCheckpoint(text, note.VerifierList(known...))
	if err != nil {
		return Checkpoint{}, err
	}
	if !slices.Contains(origins, c.Origin) {
		return Checkpoint{}, &Damage{Kind: Foreign, Detail: fmt.Sprintf("the checkpoint is of %s, the key of %s", c.Origin, strings.Join(origins, ", "))}
	}
	for _, s := range n.Sigs {
		if s.Name == c.Origin {
			return c, nil
		}
	}
	var found []string
	for _, s := range n.UnverifiedSigs {
		found = append(found, keyID(s.Hash))
	}
	return Checkpoint{}, &Damage{Kind: Forged, Detail: fmt.Sprintf("the checkpoint is signed by key %s, not by key %s", strings.Join(found, ", "), strings.Join(expected, ", "))}
}

func keyID(hash uint32) string { return fmt.Sprintf("%08x", hash) }

// readCheckpoint opens the note with the verifiers that are known, if any, and
// takes only one spelling of it: base64 and numbers have several.
func readCheckpoint(text string, known note.Verifiers) (Checkpoint, *note.Note, error) {
	if len(text) > longestCheckpoint {
		return Checkpoint{}, nil, &Damage{Kind: Malformed, Detail: fmt.Sprintf("a checkpoint is at most %d bytes long", longestCheckpoint)}
	}
	n, err := note.Open([]byte(text), known)
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case err == nil:
	case errors.As(err, &unverified):
		n = unverified.Note
	case errors.As(err, &invalid):
		return Checkpoint{}, nil, &Damage{Kind: Forged, Detail: fmt.Sprintf("the signature of key %s does not belong to this checkpoint: it was altered after signing", keyID(invalid.Hash))}
	default:
		return Checkpoint{}, nil, &Damage{Kind: Malformed, Detail: "this is not a signed checkpoint: " + err.Error()}
	}
	c, err := parseBody(n.Text)
	if err != nil {
		return Checkpoint{}, nil, &Damage{Kind: Malformed, Detail: "this is not a checkpoint of this program: " + err.Error()}
	}
	signatures := 0
	for _, s := range slices.Concat(n.Sigs, n.UnverifiedSigs) {
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return Checkpoint{}, nil, &Damage{Kind: Malformed, Detail: "a signature of the checkpoint is not written in the one way there is"}
		}
		signatures++
	}
	if lines := strings.Count(text[len(n.Text):], "\n"); lines != 1+signatures {
		return Checkpoint{}, nil, &Damage{Kind: Malformed, Detail: "the checkpoint has the same signature twice"}
	}
	return c, n, nil
}

func parseBody(text string) (Checkpoint, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 5 {
		return Checkpoint{}, errors.New("origin, size, root and time are expected, a line each")
	}
	c := Checkpoint{Origin: lines[0]}
	if !strings.HasPrefix(c.Origin, OriginPrefix) || len(c.Origin) == len(OriginPrefix) || strings.ContainsAny(c.Origin, " +") {
		return Checkpoint{}, fmt.Errorf("origin %q", c.Origin)
	}
	var err error
	if c.Size, err = strconv.ParseUint(lines[1], 10, 63); err != nil {
		return Checkpoint{}, fmt.Errorf("size %q", lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != len(c.Root) {
		return Checkpoint{}, fmt.Errorf("root hash %q", lines[2])
	}
	c.Root = Digest(root)
	at, ok := strings.CutPrefix(lines[3], "time ")
	if !ok {
		return Checkpoint{}, fmt.Errorf("%q where a time is expected", lines[3])
	}
	if c.At, err = time.Parse(stampLayout, at); err != nil {
		return Checkpoint{}, fmt.Errorf("time %q", at)
	}
	if c.text() != text { // further lines, leading zeros
		return Checkpoint{}, errors.New("there is more in it than origin, size, root and time, each in its one spelling")
	}
	return c, nil
}
