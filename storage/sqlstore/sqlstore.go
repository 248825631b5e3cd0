// Package sqlstore keeps storage's promise with gorm on PostgreSQL and on
// SQLite. It refuses to decide: it knows no policy, mints no id, and takes no
// row on trust that the database itself does not hold to. Row structs, SQL and
// driver errors never leave it.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"gorm.io/gorm"

	"github.com/healthix/healthix-scim/storage"
)

var (
	_ storage.Store = (*Store)(nil)
	_ storage.Tx    = (*tx)(nil)
)

// engine is which SQL a statement is written in.
type engine string

const (
	postgresEngine engine = "postgres"
	sqliteEngine   engine = "sqlite"
)

// Options are what Open needs besides the URL.
type Options struct {
	// Migrate brings the schema up to date; otherwise Open refuses one that is
	// not.
	Migrate bool
	Log     *slog.Logger     // nil discards
	Clock   func() time.Time // nil is the system's clock
}

// Store is a storage.Store on one database.
type Store struct {
	reader // each call sees one committed state

	pool    *pgxpool.Pool // PostgreSQL only: deeds and jobs
	lookups *pgxpool.Pool // PostgreSQL only: look-ups outside of deeds
	sql     *sql.DB       // PostgreSQL: over pool. SQLite: the one write connection
	writes  *gorm.DB      // over sql
	reads   *sql.DB       // SQLite: the readers' connections. PostgreSQL: over lookups
	group   *group        // SQLite: deeds that share a commit

	log   *slog.Logger
	clock func() time.Time
}

// Open connects to sqlite://PATH, sqlite:///absolute/path or postgres://….
func Open(ctx context.Context, url string, o Options) (*Store, error) {
	s, err := connect(ctx, url, o)
	if err != nil {
		return nil, err
	}
	if o.Migrate {
		err = s.migrate(ctx)
	} else {
		err = s.current(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close ends the connections; deeds that run are waited for.
func (s *Store) Close() error {
	if s.group != nil {
		s.group.close()
	}
	var err error
	for _, db := range []*sql.DB{s.reads, s.sql} {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
	}
	for _, pool := range []*pgxpool.Pool{s.lookups, s.pool} {
		if pool != nil {
			pool.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("close the database: %w", err)
	}
	return nil
}

// Ready says whether database and schema answer.
func (s *Store) Ready(ctx context.Context) error {
	_, err := s.Instance(ctx)
	return err
}

// Instance is the id fixed at the first migration.
func (s *Store) Instance(ctx context.Context) (string, error) {
	var id string
	n, err := s.get(ctx, &id, "select id from instance")
	if err != nil {
		return "", fmt.Errorf("instance id: %w", err)
	}
	if n == 0 {
		return "", fmt.Errorf("instance id: %w", storage.ErrNotFound)
	}
	return id, nil
}
