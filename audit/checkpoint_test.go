package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/audit"
)

const origin = "healthix-scim/5b0c7c1e-0000-4000-8000-000000000001"

// logKey is a key whose bytes are known.
func logKey(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func signer(t testing.TB, origin string, seed byte) *audit.Signer {
	t.Helper()
	s, err := audit.NewSigner(origin, logKey(seed))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func checkpoint() audit.Checkpoint {
	return audit.Checkpoint{Origin: origin, Size: 3, Root: audit.Sum([]byte("root")), At: time.Date(2026, 3, 2, 15, 4, 5, 123456000, time.UTC)}
}

func signed(t testing.TB, c audit.Checkpoint, by ...*audit.Signer) string {
	t.Helper()
	text, err := audit.Sign(c, by...)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestCheckpointNote pins the signed note and the key's text.
func TestCheckpointNote(t *testing.T) {
	s := signer(t, origin, 1)
	const key = "healthix-scim/5b0c7c1e-0000-4000-8000-000000000001+411a151a+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"
	const want = "healthix-scim/5b0c7c1e-0000-4000-8000-000000000001\n3\nSBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=\ntime 2026-03-02T15:04:05.123456Z\n" +
		"\n— healthix-scim/5b0c7c1e-0000-4000-8000-000000000001 QRoVGmQt7U0pwGOb9Rqq91hgAsnEijPGm4iC+FvhzWzRgbum3LW94ZuSFFCTkWVTEefVaAD8xbN32dqo7pGXBTIPkQY=\n"
	if s.Key() != key {
		t.Errorf("key %q", s.Key())
	}
	text := signed(t, checkpoint(), s)
	if text != want {
		t.Errorf("note %q", text)
	}
	for _, open := range []func() (audit.Checkpoint, error){
		func() (audit.Checkpoint, error) { return audit.OpenCheckpoint(text, key) },
		func() (audit.Checkpoint, error) { return audit.OpenCheckpoint(text, key+"\n", key) },
		func() (audit.Checkpoint, error) { return audit.ParseCheckpoint(text) },
	} {
		if c, err := open(); err != nil || c != checkpoint() {
			t.Errorf("%+v, %v", c, err)
		}
	}
}

func TestEveryByteOfACheckpointCounts(t *testing.T) {
	s := signer(t, origin, 1)
	text := signed(t, checkpoint(), s)
	for i := range len(text) {
		for _, flip := range []byte{1, 2, 4, 8, 16, 32, 64, 128} {
			b := []byte(text)
			b[i] ^= flip
			if c, err := audit.OpenCheckpoint(string(b), s.Key()); err == nil {
				t.Errorf("byte %d ^ %d: opened as %+v", i, flip, c)
			}
		}
	}
	// The last sign of a signature holds bits that base64 would ignore.
	for i := len(text) - 4; i < len(text); i++ {
		for c := range 256 {
			b := []byte(text)
			b[i] = byte(c)
			if c, err := audit.OpenCheckpoint(string(b), s.Key()); err == nil && string(b) != text {
				t.Errorf("%q: opened as %+v", b[i-10:], c)
			}
		}
	}
	sig := strings.LastIndex(text, "— ")
	if _, err := audit.OpenCheckpoint(text+text[sig:], s.Key()); err == nil {
		t.Error("the same signature twice: taken")
	}
}

func TestARotationSignsTwice(t *testing.T) {
	older, newer := signer(t, origin, 1), signer(t, origin, 2)
	text := signed(t, checkpoint(), newer, older)
	for _, keys := range [][]string{{older.Key()}, {newer.Key()}, {older.Key(), newer.Key()}} {
		if c, err := audit.OpenCheckpoint(text, keys...); err != nil || c != checkpoint() {
			t.Errorf("%+v, %v", c, err)
		}
	}
	for i, b := range []byte(text) {
		flipped := []byte(text)
		flipped[i] = b ^ 1
		if c, err := audit.OpenCheckpoint(string(flipped), older.Key(), newer.Key()); err == nil && c != checkpoint() {
			t.Errorf("byte %d: opened as %+v", i, c)
		}
	}
}

func TestWhyACheckpointDoesNotOpen(t *testing.T) {
	s, other := signer(t, origin, 1), signer(t, origin, 2)
	elsewhere := signer(t, "healthix-scim/elsewhere", 1)
	c := checkpoint()
	text := signed(t, c, s)
	away := c
	away.Origin = "healthix-scim/elsewhere"
	before, _, _ := strings.Cut(text, "— ")
	id := func(key string) string { return strings.Split(key, "+")[1] }
	for name, tc := range map[string]struct {
		text, key string
		kind      audit.DamageKind
		says      []string
	}{
		"another key":      {text, other.Key(), audit.Forged, []string{id(s.Key()), id(other.Key())}},
		"another instance": {signed(t, away, elsewhere), s.Key(), audit.Foreign, []string{"elsewhere", origin}},
		"altered":          {strings.Replace(text, "\n3\n", "\n4\n", 1), s.Key(), audit.Forged, []string{"altered", id(s.Key())}},
		"no note":          {"hello", s.Key(), audit.Malformed, nil},
		"empty":            {"", s.Key(), audit.Malformed, nil},
		"no signature":     {before, s.Key(), audit.Malformed, nil},
		"crlf":             {strings.ReplaceAll(text, "\n", "\r\n"), s.Key(), audit.Malformed, nil},
		"long":             {strings.Repeat(text, 1000), s.Key(), audit.Malformed, []string{"16384"}},
	} {
		_, err := audit.OpenCheckpoint(tc.text, tc.key)
		var damage *audit.Damage
		if !errors.As(err, &damage) || damage.Kind != tc.kind {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, s := range tc.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %v does not say %s", name, err, s)
			}
		}
	}
	for _, key := range []string{"", "x", s.Key()[1:], s.Key()[:20], "other" + s.Key()} {
		if _, err := audit.OpenCheckpoint(text, key); err == nil || !strings.Contains(err.Error(), "audit key") {
			t.Errorf("key %q: %v", key, err)
		}
	}
	if _, err := audit.OpenCheckpoint(text); err == nil {
		t.Error("opened without a key")
	}
}

// TestACheckpointHasOneSpelling: what a signature would cover all the same must
// not be read in two ways.
func TestACheckpointHasOneSpelling(t *testing.T) {
	root := base64.StdEncoding.EncodeToString(make([]byte, 32))
	const sig = "\n— healthix-scim/x AAAAAAAA\n"
	good := "healthix-scim/x\n3\n" + root + "\ntime 2026-03-02T15:04:05.000000Z\n" + sig
	if _, err := audit.ParseCheckpoint(good); err != nil {
		t.Fatal(err)
	}
	for _, pair := range [][2]string{
		{"\n3\n", "\n03\n"}, {"\n3\n", "\n+3\n"}, {"\n3\n", "\n-3\n"}, {"\n3\n", "\n\n"}, {"\n3\n", "\n9223372036854775808\n"},
		{"A=", "B="}, {root, root[4:]}, {"time ", "time"}, {"time ", "at "}, {"05.000000Z", "05.000Z"}, {"05.000000Z", "05.000000+00:00"},
		{"03-02", "02-30"}, {"Z\n", "Z\nmore\n"}, {"healthix-scim/x\n3", "healthix-scim/\n3"}, {"healthix-scim/x\n3", "other/x\n3"}, {"healthix-scim/x\n3", "healthix-scim/x y\n3"},
	} {
		text := strings.Replace(good, pair[0], pair[1], 1)
		if text == good {
			t.Fatalf("%q is not there", pair[0])
		}
		if c, err := audit.ParseCheckpoint(text); err == nil {
			t.Errorf("%q: %+v", text, c)
		}
	}
}

func TestWhoMayNotSign(t *testing.T) {
	for _, name := range []string{"", "a b", "a+b"} {
		if _, err := audit.NewSigner(name, logKey(1)); err == nil {
			t.Errorf("origin %q: taken", name)
		}
	}
	if _, err := audit.NewSigner(origin, logKey(1)[1:]); err == nil {
		t.Error("half a key: taken")
	}
	if _, err := audit.Sign(checkpoint()); err == nil {
		t.Error("signed by nobody")
	}
	if _, err := audit.Sign(checkpoint(), signer(t, "healthix-scim/elsewhere", 1)); err == nil {
		t.Error("signed by another instance's key")
	}
	broken := checkpoint()
	broken.Origin = "elsewhere"
	if _, err := audit.Sign(broken, signer(t, "elsewhere", 1)); err == nil {
		t.Error("signed what does not parse")
	}
}

func FuzzParseCheckpoint(f *testing.F) {
	s := signer(f, origin, 1)
	f.Add(signed(f, checkpoint(), s))
	f.Add("")
	f.Add("healthix-scim/x\n0\n\n\n— x y\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := audit.ParseCheckpoint(text)
		if _, openErr := audit.OpenCheckpoint(text, s.Key()); openErr == nil && err != nil {
			t.Errorf("opens, but does not parse: %v", err)
		}
		if err != nil {
			return
		}
		if again, err := audit.ParseCheckpoint(signed(t, c, signer(t, c.Origin, 3))); err != nil || again != c {
			t.Errorf("%+v came back as %+v, %v", c, again, err)
		}
	})
}
