package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// tableSchema is where SQLite keeps jobs. name is what makes a job unique while
// it is live; null when it gave that up. due, lease and finished are instants.
const tableSchema = `
create table if not exists job (
  id       integer primary key autoincrement,
  kind     text not null,
  key      text not null,
  subject  text not null,
  name     blob,
  state    text not null,
  attempt  integer not null,
  errors   text not null,
  created  integer not null,
  due      integer not null,
  lease    integer,
  finished integer
);
create unique index if not exists job_name on job (name) where state in ('available', 'running', 'retryable', 'scheduled');
create index if not exists job_due on job (due) where state in ('available', 'retryable', 'scheduled');
create index if not exists job_lease on job (lease) where state = 'running';
create index if not exists job_finished on job (state, finished) where finished is not null;
`

const tableJobColumns = "id, kind, key, subject, state, attempt, errors, created, due as schedule"

const insertTableJob = `
insert into job (kind, key, subject, name, state, attempt, errors, created, due) values (?, ?, ?, ?, ?, 0, '[]', ?, ?)
on conflict (name) where state in ('available', 'running', 'retryable', 'scheduled') do update set
  due = min(due, excluded.due),
  state = case when excluded.state = 'available' and state in ('scheduled', 'retryable') then 'available' else state end
returning id, state`

func tableJob(kind, key, subject string, at, now time.Time) []any {
	state := "available"
	if at.After(now) {
		state = "scheduled"
	} else {
		at = now
	}
	return []any{kind, key, subject, jobName(kind, key), state, now.UnixMicro(), at.UnixMicro()}
}

// workTable takes jobs that are due, some at a time, and lets them run.
func (w *worker) workTable(ctx context.Context) error {
	attempts, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	renewing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var renewal sync.WaitGroup
	renewal.Go(func() { w.every(renewing, lease/3, "renew leases", w.renewTable) })
	defer renewal.Wait()
	defer stop()

	// Prepared, and on a reader's connection: an idle loop should cost nothing.
	due, err := w.store.reads.PrepareContext(ctx,
		"select exists (select 1 from job where state in ('available', 'retryable', 'scheduled') and due <= ?)")
	if err != nil && ctx.Err() != nil {
		return nil // ended before it began
	}
	if err != nil {
		return fault(err)
	}
	defer due.Close() //nolint:errcheck // nothing was written through it

	var running sync.WaitGroup
	free, freed := workers, make(chan struct{}, workers)
	wait := time.NewTicker(look)
	defer wait.Stop()
	for ctx.Err() == nil {
		jobs, err := w.look(ctx, due, free)
		if err != nil && ctx.Err() == nil {
			w.store.log.WarnContext(ctx, "jobs: look for work", slog.String("error", err.Error()))
			rest(ctx, time.Second)
		}
		free -= len(jobs)
		for _, j := range jobs {
			running.Go(func() {
				w.runTable(attempts, j)
				freed <- struct{}{}
			})
		}
		select {
		case <-ctx.Done():
		case <-freed:
			free++
		case <-wait.C:
		}
	}

	ended := make(chan struct{})
	go func() {
		running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-time.After(softStop):
		cut()
	}
	select {
	case <-ended:
		return nil
	case <-time.After(hardStop):
		return fmt.Errorf("%d jobs did not end with their contexts", len(w.ids()))
	}
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// look takes up to n jobs when a reader sees that some are due.
func (w *worker) look(ctx context.Context, due *sql.Stmt, n int) ([]storage.Job, error) {
	if n == 0 {
		return nil, nil
	}
	var some bool
	// Without an end: for a context that may end the driver starts a goroutine,
	// which costs more than the query.
	if err := due.QueryRowContext(context.WithoutCancel(ctx), w.store.now().UnixMicro()).Scan(&some); err != nil || !some {
		return nil, fault(err)
	}
	return w.take(ctx, n)
}

// take claims up to n jobs that are due.
func (w *worker) take(ctx context.Context, n int) ([]storage.Job, error) {
	s, now := w.store, w.store.now()
	const query = `update job set state = 'running', attempt = attempt + 1, lease = ? where id in (
			select id from job where state in ('available', 'retryable', 'scheduled') and due <= ? order by due, id limit ?)
		returning ` + tableJobColumns
	var rows []jobRow
	err := s.change(ctx, func(ctx context.Context, t *tx) error {
		rows = nil
		_, err := t.get(ctx, &rows, query, instant(now.Add(lease)), instant(now), n)
		return err
	})
	if err != nil {
		return nil, err
	}
	jobs := make([]storage.Job, len(rows))
	for i, row := range rows {
		if jobs[i], err = row.job(); err != nil {
			return nil, err // its lease brings it back
		}
	}
	return jobs, nil
}

// runTable runs one attempt and keeps how it ended. When that cannot be kept,
// the lease runs out and the job runs again.
func (w *worker) runTable(ctx context.Context, j storage.Job) {
	defer w.ended(j.ID)
	bounded, cancel := context.WithTimeout(ctx, longest)
	failed := w.attempt(bounded, j)
	cancel()

	state, attempt, text := "completed", j.Attempt, ""
	now := w.store.now()
	due, finished := j.Schedule, &now
	if failed != nil {
		text = failed.Error()
	}
	switch {
	case failed == nil:
	case errors.Is(failed, storage.ErrGiveUp):
		state = "cancelled"
	case ctx.Err() != nil: // cut off by the end of Work: not the job's doing
		state, attempt, text, due, finished = "available", j.Attempt-1, "", now, nil
	case j.Attempt >= maxAttempts:
		state = "discarded"
	default:
		state, due, finished = "retryable", now.Add(pause(j.Attempt)), nil
	}
	// attempt in the condition: a worker taken for dead keeps nothing.
	const query = `update job set state = ?, attempt = ?, due = ?, finished = ?, lease = null,
			errors = case when ? = '' then errors else json_insert(errors, '$[#]', ?) end
		where id = ? and state = 'running' and attempt = ?`
	err := w.store.change(context.WithoutCancel(ctx), func(ctx context.Context, t *tx) error {
		_, err := t.do(ctx, query, state, attempt, instant(due), instantOf(finished), text, text, j.ID, j.Attempt)
		return err
	})
	if err != nil {
		w.store.log.WarnContext(ctx, "jobs: keep how a job ended", slog.Int64("job", j.ID), slog.String("error", err.Error()))
	}
}

// renewTable keeps the jobs that run here, makes those available that were left
// by a worker that died, and takes out what ended long ago. While nothing is to
// be done it only reads.
func (w *worker) renewTable(ctx context.Context) error {
	s, now := w.store, w.store.now()
	type step struct {
		due, query string // due says whether query has anything to do
		asks, args []any
	}
	lost := []any{instant(now)}
	steps := []step{{
		due:  "select 1 from job where state = 'running' and lease < ? limit 1",
		asks: lost,
		query: `update job set state = case when attempt >= ? then 'discarded' else 'available' end,
				finished = case when attempt >= ? then ? end,
				due = ?, lease = null, errors = json_insert(errors, '$[#]', ?)
			where state = 'running' and lease < ?`,
		args: []any{maxAttempts, maxAttempts, instant(now), instant(now), errLost, instant(now)},
	}}
	for state, age := range map[string]time.Duration{"completed": keepCompleted, "cancelled": keepDead, "discarded": keepDead} {
		old := []any{state, instant(now.Add(-age))}
		steps = append(steps, step{
			due:   "select 1 from job where state = ? and finished < ? and finished is not null limit 1",
			asks:  old,
			query: "delete from job where id in (select id from job where state = ? and finished < ? and finished is not null limit 1000)",
			args:  old,
		})
	}
	if ids := w.ids(); len(ids) > 0 {
		err := s.change(ctx, func(ctx context.Context, t *tx) error {
			_, err := t.do(ctx, "update job set lease = ? where state = 'running' and id in ?", instant(now.Add(lease)), ids)
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, step := range steps {
		var one int
		n, err := s.get(ctx, &one, step.due, step.asks...)
		if err == nil && n > 0 {
			err = s.change(ctx, func(ctx context.Context, t *tx) error {
				_, err := t.do(ctx, step.query, step.args...)
				return err
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}
