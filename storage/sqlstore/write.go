package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/healthix/healthix-scim/storage"
)

// attempts is how often Write runs a function that meets others.
const attempts = 5

// Write runs f in one transaction; see storage.Store.
func (s *Store) Write(ctx context.Context, f func(ctx context.Context, tx storage.Tx) error) error {
	for attempt := 1; ; attempt++ {
		err := s.once(ctx, f)
		if err == nil || attempt >= attempts || !s.helps(err, attempt) {
			return err
		}
		// The others need a moment, and not all of them the same one.
		pause := time.Duration(attempt) * time.Millisecond
		select {
		case <-time.After(pause + rand.N(pause)): //nolint:gosec // spreads waits, keeps no secret
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// helps says whether running the function again may end otherwise.
func (s *Store) helps(err error, attempt int) bool {
	var pg *pgconn.PgError
	if errors.Is(err, storage.ErrStale) || (errors.As(err, &pg) && again(pg)) {
		return true
	}
	// A unique value was taken between the function's look and its write. Its
	// next look sees that; on SQLite nobody else writes in between.
	var taken *storage.ConflictError
	return s.engine == postgresEngine && attempt == 1 && errors.As(err, &taken)
}

// now is a clock reading as rows keep it.
func (s *Store) now() time.Time { return s.clock().UTC().Truncate(time.Microsecond) }

func (s *Store) once(ctx context.Context, f func(ctx context.Context, tx storage.Tx) error) error {
	if s.group != nil {
		return s.group.write(ctx, f)
	}
	return s.transaction(ctx, f)
}

// patience is how long a commit may outlive a caller that gave up: its end is
// worth knowing, so it is not cut off at once.
const patience = 10 * time.Second

func (s *Store) transaction(ctx context.Context, f func(ctx context.Context, tx storage.Tx) error) (err error) {
	conn, err := s.sql.Conn(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", fault(err))
	}
	defer func() { err = errors.Join(err, closing(conn)) }()

	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(patience, cancel) })()

	begun, err := conn.BeginTx(own, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", fault(err))
	}
	done := false
	defer func() {
		if !done {
			// Explicit, also after a failed statement and a panic: pgxpool throws
			// away a connection that comes back inside a transaction.
			_ = begun.Rollback()
		}
	}()
	t := &tx{reader: reader{db: s.within(begun), engine: s.engine, inside: true}, sql: begun, now: s.now()}
	promised, ok := any(t).(storage.Tx)
	if !ok {
		return errors.New("the transaction lacks methods")
	}
	if err := f(ctx, promised); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	done = true
	if err := begun.Commit(); err != nil {
		return commitFault(err)
	}
	return nil
}
