package scim_test

import (
	"bytes"
	"context"
	"path/filepath"
	"testing"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
	"github.com/healthix/healthix-scim/storage/sqlstore"
)

// engine is a database that the exchanges run on.
type engine struct {
	name string
	url  func(t testing.TB) string
}

var engines = []engine{
	{"sqlite", func(t testing.TB) string { return "sqlite://" + filepath.Join(t.TempDir(), "scim.db") }},
	{"postgres", pgtest.URL},
}

type noMail struct{}

func (noMail) Send(context.Context, lifecycle.Mail) error { return nil }

// newServer makes the engine over real deeds, with two participants.
func newServer(t testing.TB, e engine) *server {
	t.Helper()
	ctx := context.Background()
	store, err := sqlstore.Open(ctx, e.url(t), sqlstore.Options{Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() }) //nolint:errcheck // the folder goes with it
	deeds, err := lifecycle.New(lifecycle.Options{Store: store, Mailer: noMail{}, Key: bytes.Repeat([]byte("k"), 32), PortalURL: "https://portal.example"})
	if err != nil {
		t.Fatal(err)
	}
	if err := deeds.EnsurePolicy(ctx); err != nil {
		t.Fatal(err)
	}
	s := &server{deeds: deeds, store: store, participants: map[string]storage.Participant{}}
	for _, id := range []string{"mercy", "north"} {
		if s.participants[id], err = deeds.AddParticipant(ctx, lifecycle.System, storage.Participant{ID: id, Name: id}); err != nil {
			t.Fatal(err)
		}
	}
	s.handler = newHandler(s, deeds)
	return s
}
