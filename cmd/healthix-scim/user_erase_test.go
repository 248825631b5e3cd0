package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/sqlstore"
)

// Somebody who left seven years ago can be erased, and somebody who left last
// year cannot. The record still verifies, and says so without saying who it was.
func TestErasePastRetention(t *testing.T) {
	t.Parallel()
	s := newSite(t, "sqlite://healthix.db")
	s.run("participant", "add", "mercy", "--name", "Mercy General")
	long, lately := formerNurse(t, s, "quintana", 7), formerNurse(t, s, "renata", 1)

	if out, err := s.command("user", "erase", lately).CombinedOutput(); err == nil || !strings.Contains(string(out), "HEALTHIX_RETENTION_RECORD") {
		t.Errorf("refused with %q, %v", out, err)
	}
	if got := s.run("user", "erase", "--past-retention", "--dry-run"); got != long {
		t.Errorf("whose turn it is: %q, want %s", got, long)
	}
	before := s.run("audit", "export")
	if !strings.Contains(before, "quintana") {
		t.Fatal("the export did not know who it was")
	}
	kept := s.run("audit", "checkpoint")
	if got := s.run("user", "erase", "--past-retention", "--participant", "mercy"); got != long {
		t.Errorf("erased %q, want %s", got, long)
	}
	file, err := os.ReadFile(filepath.Join(s.folder, "healthix.db"))
	if err != nil || bytes.Contains(bytes.ToLower(file), []byte("quintana")) || !bytes.Contains(file, []byte("renata")) {
		t.Errorf("the file still knows who it was, or knows nobody; %v", err)
	}
	after := s.run("audit", "export")
	if strings.Contains(strings.ToLower(after), "quintana") || !strings.Contains(after, "renata") || !strings.Contains(after, `"user.erased"`) {
		t.Error("the export still knows who it was, or knows nobody")
	}
	write(t, s, "after.jsonl", after+"\n")
	write(t, s, "kept.txt", kept+"\n")
	report := s.run("audit", "verify", "after.jsonl", "--key", s.run("audit", "key"), "--checkpoint", "kept.txt")
	for _, says := range []string{"complete up to the checkpoint", "continues the checkpoint", "once erased, only a salted digest is left"} {
		if !strings.Contains(report, says) {
			t.Errorf("the report does not say %q:\n%s", says, report)
		}
	}
}

// formerNurse is somebody who left years ago; the store's clock is set back for it.
func formerNurse(t *testing.T, s *site, name string, years int) string {
	t.Helper()
	clock := func() time.Time { return time.Now().AddDate(-years, 0, 0) }
	store, err := sqlstore.Open(t.Context(), "sqlite://"+filepath.Join(s.folder, "healthix.db"), sqlstore.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close() //nolint:errcheck // the folder goes with it
	deeds, err := lifecycle.New(lifecycle.Options{Store: store, Mailer: nowhere{}, Key: bytes.Repeat([]byte("k"), 32), Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	by := lifecycle.Actor{Kind: "provider", Participant: "mercy"}
	u, err := deeds.CreateUser(t.Context(), by, lifecycle.UserDraft{
		Document: storage.Document{
			"userName": name, "active": true, "title": "Registered Nurse", "name": map[string]any{"givenName": name, "familyName": "Lima"},
			"emails": []any{map[string]any{"value": name + "@mercy.example", "type": "work"}},
		},
		Fold: json.RawMessage(`{}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := deeds.DeleteUser(t.Context(), by, u.ID, nil); err != nil {
		t.Fatal(err)
	}
	return u.ID
}

// nowhere is where mails go that nobody is to get.
type nowhere struct{}

func (nowhere) Send(context.Context, lifecycle.Mail) error { return nil }
