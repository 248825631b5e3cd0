package sqlstore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/google/uuid"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations
var migrations embed.FS

// Migrate brings the database at the URL up to date.
func Migrate(ctx context.Context, url string) error {
	s, err := Open(ctx, url, Options{Migrate: true})
	if err != nil {
		return err
	}
	return s.Close()
}

// Pending answers how many migrations the database at the URL lacks.
func Pending(ctx context.Context, url string) (int, error) {
	s, err := connect(ctx, url, Options{})
	if err != nil {
		return 0, err
	}
	n, err := s.pending(ctx)
	return n, errors.Join(err, s.Close())
}

func (s *Store) provider() (*goose.Provider, error) {
	dialect := goose.DialectSQLite3
	options := []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger())}
	if s.engine == postgresEngine {
		dialect = goose.DialectPostgres
		// Several nodes may start at once: they ask every second, five minutes long.
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 300))
		if err != nil {
			return nil, fmt.Errorf("lock for migrations: %w", err)
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	files, err := fs.Sub(migrations, "migrations/"+string(s.engine))
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	provider, err := goose.NewProvider(dialect, s.sql, files, options...)
	if err != nil {
		return nil, fmt.Errorf("read migrations: %w", err)
	}
	return provider, nil
}

func (s *Store) migrate(ctx context.Context) error {
	if err := s.up(ctx); err != nil {
		return fmt.Errorf("migrate the schema: %w", err)
	}
	if err := s.migrateJobs(ctx); err != nil {
		return err
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return fmt.Errorf("instance id: %w", err)
	}
	// The first migration fixes it; of several nodes the first one wins.
	insert := "insert into instance (one, id, created) values (1, ?, ?) on conflict do nothing"
	done := s.writes.WithContext(ctx).Exec("?", statement{insert, []any{id.String(), instant(s.now())}})
	if done.Error != nil {
		return fmt.Errorf("fix the instance id: %w", fault(done.Error))
	}
	return nil
}

// up runs the migrations that are missing.
func (s *Store) up(ctx context.Context) error {
	provider, err := s.provider()
	if err != nil {
		return err
	}
	for attempt := 1; ; attempt++ {
		_, err := provider.Up(ctx)
		if err == nil || s.engine == postgresEngine || attempt == attempts {
			return fault(err)
		}
		// goose has no lock for SQLite. Who lost a race (a command beside a
		// server, say) looks again and finds the work done.
		time.Sleep(time.Duration(attempt) * 50 * time.Millisecond)
	}
}

// pending counts the migrations that the database lacks; it changes nothing,
// so it does not ask goose, which would make its table.
func (s *Store) pending(ctx context.Context) (int, error) {
	provider, err := s.provider()
	if err != nil {
		return 0, err
	}
	there := "select count(*) from sqlite_master where type = 'table' and name = 'goose_db_version'"
	if s.engine == postgresEngine {
		there = "select count(*) from pg_class where oid = to_regclass('goose_db_version')"
	}
	var tables int
	var version int64
	if _, err := s.get(ctx, &tables, there); err != nil {
		return 0, fmt.Errorf("look at the schema: %w", err)
	}
	if tables > 0 {
		if _, err := s.get(ctx, &version, "select coalesce(max(version_id), 0) from goose_db_version where is_applied"); err != nil {
			return 0, fmt.Errorf("look at the schema: %w", err)
		}
	}
	n, err := s.pendingJobs(ctx)
	if err != nil {
		return 0, err
	}
	for _, m := range provider.ListSources() {
		if m.Version > version {
			n++
		}
	}
	return n, nil
}

// current refuses a schema that this program does not know how to use.
func (s *Store) current(ctx context.Context) error {
	n, err := s.pending(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("the database lacks %d migration(s) of this program; run healthix-scim migrate, or leave HEALTHIX_MIGRATE on", n)
	}
	return nil
}
