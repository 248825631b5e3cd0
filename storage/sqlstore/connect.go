package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	gormpostgres "gorm.io/driver/postgres"
	gormsqlite "gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	_ "modernc.org/sqlite" // the driver "sqlite", without cgo

	"github.com/healthix/healthix-scim/storage"
)

// connect opens what the URL names and leaves the schema alone.
func connect(ctx context.Context, address string, o Options) (*Store, error) {
	s := &Store{log: o.Log, clock: o.Clock}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	scheme, rest, _ := strings.Cut(address, "://")
	switch scheme {
	case "sqlite":
		return s, s.connectSQLite(ctx, rest)
	case "postgres", "postgresql":
		return s, s.connectPostgres(ctx, address)
	default:
		return nil, fmt.Errorf("database URL must begin with sqlite:// or postgres://, not with %q", scheme)
	}
}

func (s *Store) connectPostgres(ctx context.Context, address string) error {
	config, err := pgxpool.ParseConfig(address)
	if err != nil {
		// pgx hides the password, but only in what it understood of the URL.
		return errors.New("database URL is not one that PostgreSQL understands; expected postgres://user:password@host:port/database")
	}
	// Migrations hold one connection while they use another, and the jobs'
	// listener keeps one: with fewer nothing would ever move.
	least := int32(4)
	if !strings.Contains(address, "pool_max_conns") {
		least = 16
	}
	config.MaxConns = max(config.MaxConns, least)
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTime
	}
	if _, given := config.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"]; !given {
		config.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = deedTime
	}
	config.ConnConfig.RuntimeParams["application_name"] = deedConns
	where := fmt.Sprintf("%s:%d", config.ConnConfig.Host, config.ConnConfig.Port)
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return fmt.Errorf("open PostgreSQL at %s: %w", where, fault(err))
	}
	if err := s.pool.Ping(ctx); err != nil {
		s.pool.Close()
		return fmt.Errorf("reach PostgreSQL at %s: %w", where, fault(err))
	}
	// Searches have connections of their own: however many there are, a deed
	// that ends somebody's access finds one.
	lookups := config.Copy()
	lookups.ConnConfig.RuntimeParams["statement_timeout"] = lookupTime
	lookups.ConnConfig.RuntimeParams["application_name"] = "healthix-scim look-ups"
	if s.lookups, err = pgxpool.NewWithConfig(ctx, lookups); err != nil {
		return errors.Join(fmt.Errorf("open PostgreSQL at %s: %w", where, fault(err)), s.Close())
	}
	s.sql, s.reads = stdlib.OpenDBFromPool(s.pool), stdlib.OpenDBFromPool(s.lookups)
	var reads *gorm.DB
	s.writes, err = gorm.Open(gormpostgres.New(gormpostgres.Config{Conn: s.sql}), quiet())
	if err == nil {
		reads, err = gorm.Open(gormpostgres.New(gormpostgres.Config{Conn: s.reads}), quiet())
	}
	if err != nil {
		return errors.Join(fmt.Errorf("open PostgreSQL at %s: %w", where, fault(err)), s.Close())
	}
	s.reader = reader{db: reads, engine: postgresEngine}
	return nil
}

const (
	// connectTime bounds how long a server may take to take a connection.
	connectTime = 10 * time.Second
	// lookupTime ends a look-up that goes on without anybody waiting for it; a
	// request ends earlier.
	lookupTime = "60s"
	// deedTime ends a deed that does nothing any more, because its server was
	// lost, say: its locks would stay, and the barrier would wait for it.
	deedTime = "60s"
)

func (s *Store) connectSQLite(ctx context.Context, path string) error {
	path, _, _ = strings.Cut(path, "?")
	if path == "" {
		return errors.New("database URL names no file; expected sqlite://PATH or sqlite:///absolute/path")
	}
	folder := filepath.Dir(path)
	if info, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("database file %s: the folder %s does not exist; create it first", path, folder)
	} else if err != nil {
		return fmt.Errorf("database file %s: %w", path, err)
	} else if !info.IsDir() {
		return fmt.Errorf("database file %s: %s is not a folder", path, folder)
	}
	// The file holds people's data: it is made before SQLite would make it for
	// everybody to read; the files beside it take its mode.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("database file: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("database file: %w", err)
	}
	open := func(more string, conns int) (*sql.DB, *gorm.DB, error) {
		dsn := "file:" + (&url.URL{Path: path}).EscapedPath() +
			"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
			// With recursive triggers, "insert or replace" meets those that refuse a delete.
			// What is deleted is overwritten: an erasure leaves nothing in the file.
			"&_pragma=foreign_keys(1)&_pragma=recursive_triggers(1)&_pragma=secure_delete(1)" + more
		db, err := sql.Open("sqlite", dsn)
		if err != nil {
			return nil, nil, err
		}
		db.SetMaxOpenConns(conns)
		db.SetMaxIdleConns(conns)
		config := quiet()
		config.PrepareStmt, config.PrepareStmtMaxSize = conns > 1, 200
		orm, err := gorm.Open(gormsqlite.New(gormsqlite.Config{DriverName: "sqlite", Conn: db}), config)
		if err == nil {
			err = db.PingContext(ctx)
		}
		if err != nil {
			return nil, nil, errors.Join(err, db.Close())
		}
		return db, orm, nil
	}
	if s.sql, s.writes, err = open("&_txlock=immediate", 1); err != nil {
		return fmt.Errorf("open database file %s: %w", path, fault(err))
	}
	var reads *gorm.DB
	if s.reads, reads, err = open("&_pragma=query_only(1)", 8); err != nil {
		return errors.Join(fmt.Errorf("open database file %s: %w", path, fault(err)), s.sql.Close())
	}
	s.reader = reader{db: reads, engine: sqliteEngine}
	s.group = newGroup(s)
	return nil
}

// quiet is gorm without its own logging (it would print values), transactions
// and statement cache (pgx has one).
func quiet() *gorm.Config {
	return &gorm.Config{
		Logger: logger.Discard, SkipDefaultTransaction: true, DisableAutomaticPing: true, PrepareStmt: false,
	}
}

// unavailable marks an error as one that a later try may not meet.
func unavailable(err error) error { return fmt.Errorf("%w: %w", storage.ErrUnavailable, err) }
