package audit_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/audit"
)

func draft() audit.Draft {
	return audit.Draft{
		ID: "0198c0de-0000-7000-8000-000000000001", At: time.Date(2026, 3, 2, 10, 4, 5, 123456789, time.FixedZone("EST", -5*3600)),
		Participant: "mercy", User: "5f2c", Action: "user.created", RequestID: "req-1", Source: "192.0.2.7",
		Actor: audit.Actor{Kind: "provider", Token: "t-1", Label: "entra"},
		Rule:  "title:registered-nurse", PolicyVersion: 3, Sentence: `Title "RN" <is> practitioner & more.`,
		Fields: []audit.Field{
			{Name: "title", Class: audit.ClassPublic, Value: "RN"},
			{Name: "email", Class: audit.ClassPersonal, Value: "ana.lima@mercy.example"},
			{Name: "nobody said", Value: "hunter2"},
		},
		History: []audit.Digest{audit.Sum([]byte("row"))},
	}
}

// salt is a stand-in for a cryptographic source whose bytes are known.
type salt byte

func (s salt) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(s)
	}
	return len(p), nil
}

// TestCanonicalBytes pins the format: what was sealed years ago must still have
// the same bytes.
func TestCanonicalBytes(t *testing.T) {
	e, err := audit.Seal(draft(), salt(7))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"v":1,"id":"0198c0de-0000-7000-8000-000000000001","at":"2026-03-02T15:04:05.123456Z","participant":"mercy","user":"5f2c",` +
		`"actor":{"kind":"provider","token":"t-1","label":"entra"},"action":"user.created","request":"req-1","source":"192.0.2.7",` +
		`"rule":"title:registered-nurse","policy":3,"sentence":"Title \"RN\" <is> practitioner & more.",` +
		`"fields":[{"name":"title","value":"RN"},{"name":"email","digest":"54246272311697ce005cb8fcc4cc26a92e62ff56d7395eecd58b34ebf0c76af0"}],` +
		`"history":["634768dae1474506e4bf7d341890542b09987d7e6aea5d446c02e37581a56954"]}`
	if got := string(e.Canonical); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := e.Hash.String(); got != "b703378e5dc47f113fc8df6db89f82d1d1a17a28f5bb55c96f5b4a67fcfec772" {
		t.Errorf("hash %s", got)
	}
	if e.Hash != audit.Sum(e.Canonical) {
		t.Error("the hash does not cover the canonical bytes")
	}
}

func TestPersonalValuesLeaveADigest(t *testing.T) {
	a, err := audit.Seal(draft(), salt(1))
	if err != nil {
		t.Fatal(err)
	}
	b, err := audit.Seal(draft(), salt(2))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(a.Canonical, b.Canonical) {
		t.Error("the same value under another salt has the same digest: a dictionary would find it")
	}
	for _, e := range []audit.Entry{a, b} {
		if strings.Contains(string(e.Canonical), "ana.lima") || strings.Contains(string(e.Canonical), "hunter2") || strings.Contains(string(e.Canonical), "nobody said") {
			t.Errorf("a value without a class, or a personal one, is in the entry: %s", e.Canonical)
		}
		if len(e.Personal) != 1 || e.Personal[0].Value != "ana.lima@mercy.example" || len(e.Personal[0].Salt) != 16 {
			t.Errorf("personal values %+v", e.Personal)
		}
		// Erasing the value leaves a proof: the digest stands in the entry.
		if !strings.Contains(string(e.Canonical), e.Personal[0].Digest().String()) {
			t.Error("the entry does not hold the digest")
		}
	}
	// Name and value cannot be shifted into one another.
	x := audit.Personal{Name: "ab", Salt: []byte("s"), Value: "c"}
	y := audit.Personal{Name: "a", Salt: []byte("s"), Value: "bc"}
	if x.Digest() == y.Digest() {
		t.Error("two different fields have one digest")
	}
}

func TestASaltThatFailsSealsNothing(t *testing.T) {
	if _, err := audit.Seal(draft(), broken{}); err == nil {
		t.Error("sealed without salt")
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("no entropy") }
