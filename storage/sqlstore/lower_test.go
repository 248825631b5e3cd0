package sqlstore

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// TestSuccessor: a prefix is a range.
func TestSuccessor(t *testing.T) {
	for prefix, want := range map[string]string{"a": "b", "az": "a{", "\ud7ff": "\ue000", "a\U0010FFFE": "a\U0010FFFF", "a\U0010FFFF": "b"} {
		if got, ok := successor(prefix); !ok || got != want {
			t.Errorf("successor of %q: %q %t, want %q", prefix, got, ok, want)
		}
	}
	if got, ok := successor("\U0010FFFF"); ok {
		t.Errorf("successor of the last character: %q", got)
	}
	text := rapid.StringOf(rapid.SampledFrom([]rune("ab\ud7ff\ue000\U0010FFFE\U0010FFFF")))
	rapid.Check(t, func(t *rapid.T) {
		s, prefix := text.Draw(t, "s"), text.Filter(func(p string) bool { return p != "" }).Draw(t, "prefix")
		next, ok := successor(prefix)
		if within := s >= prefix && (!ok || s < next); within != strings.HasPrefix(s, prefix) {
			t.Fatalf("%q from %q to %q %t: %t", s, prefix, next, ok, within)
		}
	})
}

// TestLowering: values are bound, and the text of a statement grows with the
// filter and no faster.
func TestLowering(t *testing.T) {
	const secret = "needle"
	path := []string{"urn:example:user", "manager", "value"}
	var deep storage.Filter = storage.Attr{Path: path, Op: storage.OpCo, Value: secret}
	for range 50 {
		deep = storage.Not{Filter: storage.Element{Path: []string{"emails"}, Filter: storage.And{deep, storage.Attr{Path: []string{"type"}, Op: storage.OpEq, Value: secret}}}}
	}
	for _, e := range []engine{postgresEngine, sqliteEngine} {
		_, page, err := lowerQuery(e, userResource, storage.Query{
			Participant: secret, Filter: deep, After: &storage.Position{Keys: []any{time.Time{}}, ID: secret}, Limit: 5,
		})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(page.sql, secret) || len(page.sql) > 60000 {
			t.Errorf("%s: %d bytes of SQL", e, len(page.sql))
		}
		_, page, err = lowerQuery(e, userResource, storage.Query{
			Sort: []storage.Order{{Path: path}, {Path: path, Descending: true}}, After: &storage.Position{Keys: []any{secret, secret}, ID: secret},
		})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(page.sql, secret) || len(page.sql) > 15000 {
			t.Errorf("%s: %d bytes of SQL for two sort keys", e, len(page.sql))
		}
	}
}

// TestOverlaySentences: policy has a sentence for each overlay, and the SQL
// calls a participant open that policy calls open.
func TestOverlaySentences(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range []string{
		overlaySentences.suspended, overlaySentences.notLive, overlaySentences.expired, overlaySentences.expiredMoving, overlaySentences.ended,
		overlaySentences.emptied, overlaySentences.narrowed,
	} {
		if strings.HasPrefix(s, "Suspended: ") == (s == overlaySentences.narrowed) || s == "" || seen[s] {
			t.Errorf("overlay sentence %q", s)
		}
		seen[s] = true
	}
	if !(policy.ParticipantState{Status: "active", Mode: "live"}).Open() || !strings.Contains(participantOpen, "'active'") || !strings.Contains(participantOpen, "'live'") {
		t.Error("an open participant is not active and live any more")
	}
}
