package sqlstore_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
	"github.com/healthix/healthix-scim/storage/sqlstore"
	"github.com/healthix/healthix-scim/storage/storagetest"
)

func TestSQLite(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store { return open(t, file(t)) })
}

func TestPostgreSQL(t *testing.T) {
	storagetest.Run(t, func(t *testing.T) storage.Store { return open(t, pgtest.URL(t)) })
}

// file is the URL of a database that is not there yet.
func file(t testing.TB) string { return "sqlite://" + filepath.Join(t.TempDir(), "healthix.db") }

func open(t testing.TB, address string) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(context.Background(), address, sqlstore.Options{Migrate: true, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
