package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"

	"github.com/healthix/healthix-scim/storage"
)

// promise is every job's arguments, and the only job kind River knows of: our
// kinds are data to it.
type promise struct {
	Name    string `json:"kind"`
	Key     string `json:"key"`
	Subject string `json:"subject"`
}

// Kind names the arguments for River.
func (promise) Kind() string { return "promise" }

const riverJobColumns = `id, args->>'kind' as kind, args->>'key' as key, args->>'subject' as subject, state::text as state,
  attempt, coalesce((select json_agg(e.error->>'error' order by e.n) from unnest(errors) with ordinality e(error, n)), '[]')::text as errors,
  created_at as created, scheduled_at as schedule`

// insertRiverJob is the row that River's client would write. Its InsertTx costs
// several times as much, and cannot say that an equal job is running already.
// There is no NOTIFY: PostgreSQL lets commits that carry one pass one by one.
//
// DO UPDATE, not DO NOTHING: it locks the row that was met, and workers skip
// locked rows, so a waiting job does not begin before this deed can be seen.
//
// The bits of unique_states: scheduled, running, retryable, pending, available.
const insertRiverJob = `
insert into river_job (args, created_at, kind, max_attempts, priority, queue, scheduled_at, state, unique_key, unique_states)
values (jsonb_build_object('kind', $1::text, 'key', $2::text, 'subject', $3::text), $4, 'promise', $5, 1, 'default',
  coalesce($6::timestamptz, now()), $7::river_job_state, $8, b'11110001')
on conflict (unique_key) where unique_key is not null and unique_states is not null
  and river_job_state_in_bitmask(unique_states, state)
do update set
  scheduled_at = least(river_job.scheduled_at, excluded.scheduled_at),
  state = case when excluded.state = 'available' and river_job.state in ('scheduled', 'retryable') then 'available'
    else river_job.state end
returning id, state::text`

func riverJob(kind, key, subject string, at, now time.Time) []any {
	state, due := "available", (*time.Time)(nil) // null: by the database's clock, as workers read it
	if at.After(now) {
		state, due = "scheduled", &at
	}
	return []any{kind, key, subject, now, maxAttempts, due, state, jobName(kind, key)}
}

// riverLog hands River's warnings on; the rest is its own affair.
func riverLog(log *slog.Logger) *slog.Logger { return slog.New(warnings{log.Handler()}) }

type warnings struct{ slog.Handler }

func (h warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

func (h warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{h.Handler.WithAttrs(attrs)}
}

func (h warnings) WithGroup(name string) slog.Handler { return warnings{h.Handler.WithGroup(name)} }

// riverPause is the time of a job's next attempt.
type riverPause struct{}

func (riverPause) NextRetry(j *rivertype.JobRow) time.Time {
	at := time.Now()
	if j.AttemptedAt != nil && j.AttemptedAt.After(at) {
		at = *j.AttemptedAt
	}
	return at.Add(pause(j.Attempt))
}

// riverWorker runs River's jobs through a worker.
type riverWorker struct {
	river.WorkerDefaults[promise]
	w *worker
}

// Work runs one attempt.
func (r *riverWorker) Work(ctx context.Context, j *river.Job[promise]) error {
	defer r.w.ended(j.ID)
	job := storage.Job{
		ID: j.ID, Kind: j.Args.Name, Key: j.Args.Key, Subject: j.Args.Subject, State: string(j.State),
		Attempt: j.Attempt, Created: j.CreatedAt.UTC(), Schedule: j.ScheduledAt.UTC(),
	}
	for _, e := range j.Errors {
		job.Errors = append(job.Errors, e.Error)
	}
	err := r.w.attempt(ctx, job)
	if errors.Is(err, storage.ErrGiveUp) {
		return river.JobCancel(err)
	}
	return err
}

// workRiver lets River fetch, retry, schedule and clean; leases are ours, because
// River takes a job from a dead worker only when no attempt could last so long.
func (w *worker) workRiver(ctx context.Context) error {
	registered := river.NewWorkers()
	river.AddWorker(registered, &riverWorker{w: w})
	client, err := river.NewClient(riverpgxv5.New(w.store.pool), &river.Config{
		Logger:                      riverLog(w.store.log),
		Queues:                      map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}},
		Workers:                     registered,
		FetchCooldown:               10 * time.Millisecond,
		FetchPollInterval:           2 * look,
		PollOnly:                    true, // see insertRiverJob
		JobTimeout:                  longest,
		MaxAttempts:                 maxAttempts,
		RetryPolicy:                 riverPause{},
		SoftStopTimeout:             softStop,
		CompletedJobRetentionPeriod: keepCompleted,
		CancelledJobRetentionPeriod: keepDead,
		DiscardedJobRetentionPeriod: keepDead,
	})
	if err != nil {
		return fmt.Errorf("set up River: %w", err)
	}
	if err := client.Start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return fmt.Errorf("start River: %w", fault(err))
	}

	// Leases are renewed until the last running job has ended.
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	done.Go(func() { w.every(renewing, lease/3, "renew leases", w.renewRiver) })
	defer done.Wait()
	defer stop()

	<-ctx.Done()
	select {
	case <-client.Stopped():
		return nil
	case <-time.After(softStop + hardStop):
		return fmt.Errorf("%d jobs did not end with their contexts", len(w.ids()))
	}
}

// renewRiver keeps the jobs that run here, and makes those available that were
// left by a worker that died. It waits for nobody: a deed that promises a running
// job again holds its row, and must not let the leases of others run out.
func (w *worker) renewRiver(ctx context.Context) error {
	if ids := w.ids(); len(ids) > 0 {
		const query = `update river_job set attempted_at = now() where id in (
			select id from river_job where id = any($1) and state = 'running' for update skip locked)`
		if _, err := w.store.pool.Exec(ctx, query, ids); err != nil {
			return fault(err)
		}
	}
	const query = `update river_job set
		state = case when attempt >= max_attempts then 'discarded' else 'available' end::river_job_state,
		finalized_at = case when attempt >= max_attempts then now() end,
		scheduled_at = now(),
		errors = array_append(errors, jsonb_build_object('at', now(), 'attempt', attempt, 'error', $2::text, 'trace', ''))
	where id in (select id from river_job where state = 'running' and attempted_at < now() - $1::interval for update skip locked)`
	_, err := w.store.pool.Exec(ctx, query, lease, errLost)
	return fault(err)
}

func (s *Store) riverMigrator() (*rivermigrate.Migrator[pgx.Tx], error) {
	m, err := rivermigrate.New(riverpgxv5.New(s.pool), &rivermigrate.Config{Logger: riverLog(s.log)})
	if err != nil {
		return nil, fmt.Errorf("read River's migrations: %w", err)
	}
	return m, nil
}

// riverMigrations is the advisory lock under which River's schema changes.
const riverMigrations = 0x6865616c // any number that nothing else locks

func (s *Store) migrateRiver(ctx context.Context) (err error) {
	migrator, err := s.riverMigrator()
	if err != nil {
		return err
	}
	// Several nodes may start at once.
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("lock the schema of jobs: %w", fault(err))
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1)", riverMigrations); err != nil {
		return fmt.Errorf("lock the schema of jobs: %w", fault(err))
	}
	defer func() {
		_, unlocked := conn.Exec(context.WithoutCancel(ctx), "select pg_advisory_unlock($1)", riverMigrations)
		err = errors.Join(err, fault(unlocked))
	}()
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate the schema of jobs: %w", fault(err))
	}
	return nil
}

func (s *Store) pendingRiver(ctx context.Context) (int, error) {
	migrator, err := s.riverMigrator()
	if err != nil {
		return 0, err
	}
	found, err := migrator.Validate(ctx, nil)
	if err != nil {
		return 0, fmt.Errorf("look at the schema of jobs: %w", fault(err))
	}
	if found.OK {
		return 0, nil
	}
	return 1, nil
}
