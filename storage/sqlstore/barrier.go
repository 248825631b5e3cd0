package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/healthix/healthix-scim/storage"
)

// A deed decides by the policy state that it saw, and what it saw may be old
// when it commits. So whoever changed the state waits for the deeds that saw the
// one before: that is the barrier.
//
// On PostgreSQL a deed that asks for the state holds a shared advisory lock to
// its end. Nobody ever takes it exclusively, so nobody waits for it; it only
// says who is to be waited for. Transaction ids would not do: a deed that has
// only read so far has none. Nor would virtual ids alone: a dump of the database
// has one for hours, and decides nothing.
//
// The lock is taken before the state is read, by a statement of its own. Under
// read committed each statement sees what was committed when it began, so a deed
// whose lock the barrier did not find reads a state that is at least as new as
// the barrier's own view. And PostgreSQL lets go of a transaction's locks only
// when others see what it committed.
//
// On SQLite deeds follow one another; the barrier is a deed that does nothing.

// deedsLock is "scim" and a number of our own.
const deedsLock = "1935894893, 1"

// PolicyState answers the number in force and the plan that is pending, and
// makes the barrier wait for this deed.
func (t *tx) PolicyState(ctx context.Context) (storage.PolicyState, error) {
	if t.engine != postgresEngine {
		return t.reader.PolicyState(ctx)
	}
	var state storage.PolicyState
	var both pgx.Batch // one round trip
	both.Queue("select pg_advisory_xact_lock_shared(" + deedsLock + ")")
	both.Queue(policyState).QueryRow(func(row pgx.Row) error { return row.Scan(&state.Version, &state.Pending) })
	err := t.conn.Raw(func(conn any) error {
		return conn.(*stdlib.Conn).Conn().SendBatch(ctx, &both).Close()
	})
	if err != nil {
		return storage.PolicyState{}, fmt.Errorf("policy in force: %w", fault(err))
	}
	return state, nil
}

// Barrier waits for the deeds that saw an older policy state; see storage.Store.
func (s *Store) Barrier(ctx context.Context) error {
	var err error
	if s.engine == postgresEngine {
		err = s.awaitDeeds(ctx)
	} else {
		err = s.group.barrier(ctx)
	}
	if err != nil && ctx.Err() != nil {
		err = waited(ctx)
	}
	if err != nil {
		return fmt.Errorf("wait for the deeds under way: %w", err)
	}
	return nil
}

// deedsUnderWay are transactions by their virtual ids, which are not used twice.
const deedsUnderWay = `select virtualtransaction from pg_locks where locktype = 'advisory' and granted
  and (classid, objid, objsubid) = (` + deedsLock + `, 2)
  and database = (select oid from pg_database where datname = current_database())`

func (s *Store) awaitDeeds(ctx context.Context) error {
	const longest = 50 * time.Millisecond
	var deeds []string
	if _, err := s.get(ctx, &deeds, deedsUnderWay); err != nil {
		return err
	}
	for pause := time.Millisecond; len(deeds) > 0; pause = min(2*pause, longest) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
		among, ids := s.anyOf("virtualtransaction", deeds)
		deeds = nil
		if _, err := s.get(ctx, &deeds, deedsUnderWay+" and "+among, ids); err != nil {
			return err
		}
	}
	return nil
}

// deedConns is what connections for deeds are called by PostgreSQL, so that
// deeds under way are told from look-ups.
const deedConns = "healthix-scim deeds"

// transactions are those under way on connections for deeds, by their virtual ids.
// Each holds a lock on its own, which everybody sees; when it began is hidden from
// other roles, with which a command may come. A pooler may add to the name.
const transactions = `select l.virtualtransaction from pg_locks l join pg_stat_activity a on a.pid = l.pid
  where l.locktype = 'virtualxid' and l.virtualxid = l.virtualtransaction and a.datname = current_database()
  and starts_with(a.application_name, '` + deedConns + `')`

// Settle waits until no deed is under way that may still be recorded at or
// before an instant. A deed reads the clock when it has its locks, some time after
// it began: one that began later is recorded later. Servers' clocks differ, and
// from the database's: skew is what they may.
func (s *Store) Settle(ctx context.Context, at time.Time) error {
	const longest = 50 * time.Millisecond
	err := error(nil)
	switch {
	case s.engine != postgresEngine:
		err = s.group.barrier(ctx)
	default:
		var deeds []string
		_, err = s.get(ctx, &deeds, transactions+" and (a.xact_start is null or a.xact_start <= ?)", instant(at.Add(skew)))
		for pause := time.Millisecond; err == nil && len(deeds) > 0; pause = min(2*pause, longest) {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				err = ctx.Err()
				continue
			}
			among, ids := s.anyOf("l.virtualtransaction", deeds)
			deeds = nil
			_, err = s.get(ctx, &deeds, transactions+" and "+among, ids)
		}
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: a change is under way that began before %s", storage.ErrUnsettled, at.UTC().Format(time.RFC3339Nano))
	}
	if err != nil {
		return fmt.Errorf("wait for the deeds under way: %w", err)
	}
	return nil
}

// skew is how far clocks may be apart.
const skew = 5 * time.Second
