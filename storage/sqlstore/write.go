package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"

	"github.com/healthix/healthix-scim/storage"
)

// attempts is how often Write runs a function that meets others.
const attempts = 8

// Write runs f in one transaction; see storage.Store. Once f has ended well the
// caller learns how the commit ended, even when its context ends meanwhile.
func (s *Store) Write(ctx context.Context, f func(ctx context.Context, tx storage.Tx) error) error {
	return s.write(ctx, func(ctx context.Context, t *tx) error { return f(ctx, t) })
}

func (s *Store) write(ctx context.Context, f func(ctx context.Context, t *tx) error) error {
	once := s.transaction
	if s.group != nil {
		once = s.group.write
	}
	for attempt := 1; ; attempt++ {
		err := once(ctx, f)
		if err == nil || attempt == attempts || !helps(err, attempt) {
			return err
		}
		// The others need a moment, and not all of them the same one.
		pause := time.Millisecond << (attempt - 1)
		select {
		case <-time.After(pause + rand.N(pause)): //nolint:gosec // spreads waits, keeps no secret
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// helps says whether running the function again may end otherwise.
func helps(err error, attempt int) bool {
	var pg *pgconn.PgError
	if errors.Is(err, storage.ErrStale) || (errors.As(err, &pg) && again(pg)) {
		return true
	}
	// A unique value may have been taken between the function's look and its
	// write; its next look sees that.
	var taken *storage.ConflictError
	return attempt == 1 && errors.As(err, &taken)
}

// now is a clock reading as rows keep it.
func (s *Store) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

// begun is a deed's transaction over one of database/sql.
func (s *Store) begun(in *sql.Tx) *tx {
	// A context makes gorm give the session a statement of its own.
	db := s.writes.Session(&gorm.Session{NewDB: true, Context: context.Background()})
	db.Statement.ConnPool = in
	return &tx{reader: reader{db: db, engine: s.engine, inside: true}, sql: in, clock: s.now}
}

// run is the deed and, when it ended well, the record of it.
func (t *tx) run(ctx context.Context, f func(ctx context.Context, t *tx) error) error {
	if err := f(ctx, t); err != nil {
		return err
	}
	return t.flush(ctx)
}

// waited is the answer to a caller whose turn did not come in time. When it was
// a deadline that ended, the database is too busy.
func waited(ctx context.Context) error {
	err := fmt.Errorf("wait for a transaction: %w", ctx.Err())
	if errors.Is(err, context.DeadlineExceeded) {
		return unavailable(err)
	}
	return err
}

// patience is how long a commit may outlive a caller that gave up: how it ends
// is worth knowing, so it is not cut off at once.
const patience = 10 * time.Second

// readCommitted is what the barrier and the locks of deeds reckon with, whatever
// the database's default is.
var readCommitted = &sql.TxOptions{Isolation: sql.LevelReadCommitted}

// transaction runs f once on PostgreSQL.
func (s *Store) transaction(ctx context.Context, f func(ctx context.Context, t *tx) error) error {
	conn, err := s.sql.Conn(ctx)
	if err != nil && ctx.Err() != nil {
		return waited(ctx)
	}
	if err != nil {
		return fmt.Errorf("begin: %w", fault(err))
	}
	defer conn.Close() //nolint:errcheck // it only goes back to the pool

	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(patience, cancel) })()
	in, err := conn.BeginTx(own, readCommitted)
	if err != nil {
		return fmt.Errorf("begin: %w", fault(err))
	}
	// Explicit, also after a failed statement and a panic: pgxpool throws away
	// a connection that comes back inside a transaction. After a commit it does
	// nothing.
	defer in.Rollback() //nolint:errcheck // what made it necessary is the answer

	t := s.begun(in)
	t.conn = conn
	if err := t.run(ctx, f); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return committed(in.Commit())
}

// committed says how a commit ended. When the database went away in the middle
// nobody knows; a caller that tries again finds out.
func committed(err error) error {
	if err = fault(err); errors.Is(err, storage.ErrUnavailable) {
		return fmt.Errorf("commit, whose outcome is not known: %w", err)
	}
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}
