package sqlstore

import (
	"path/filepath"
	"testing"

	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
	"github.com/healthix/healthix-scim/storage/storagetest"
)

func TestQueriesOnSQLite(t *testing.T) {
	storagetest.RunQueries(t, func(t *testing.T) storage.Store {
		return openForQueries(t, "sqlite://"+filepath.Join(t.TempDir(), "healthix.db"))
	})
}

func TestQueriesOnPostgreSQL(t *testing.T) {
	storagetest.RunQueries(t, func(t *testing.T) storage.Store { return openForQueries(t, pgtest.URL(t)) })
}

func openForQueries(t *testing.T, address string) *Store {
	t.Helper()
	s, err := Open(t.Context(), address, Options{Migrate: true})
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
