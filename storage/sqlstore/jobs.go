package sqlstore

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// Promised jobs. On PostgreSQL River keeps them, on SQLite a table of ours, for
// the reasons in docs/decisions/0001-jobs-on-sqlite.md. What both share is
// here: what may be promised, how an attempt runs, and when the next one is.
//
// A job is unique while it waits. A promise made while one like it runs is kept
// beside it, because the running one may have looked before the deed's commit.

const (
	// workers is how many jobs one Work loop runs at once.
	workers = 8
	// look is how often an idle Work loop asks for work.
	look = 25 * time.Millisecond
	// longest is how long one attempt may take before its context ends: a policy
	// change walks over everybody.
	longest = time.Hour
	// maxErrorText caps what a job keeps of an error.
	maxErrorText = 500

	keepCompleted = 24 * time.Hour
	keepDead      = 30 * 24 * time.Hour
)

// Variables, so that tests need not wait as long.
var (
	// maxAttempts with doubling pauses from firstPause spread over 27 hours.
	maxAttempts = 15
	firstPause  = 6 * time.Second
	// lease is how long a job stays with a worker that gives no sign of life.
	lease = 30 * time.Second
	// softStop is how long running jobs may go on when Work is asked to end;
	// then their contexts end, and hardStop later Work returns without them.
	softStop = 20 * time.Second
	hardStop = 5 * time.Second
)

// jobStates are the states a job may be in, in storage's words.
var jobStates = []string{"available", "running", "retryable", "completed", "discarded", "cancelled", "scheduled"}

// errLost is what a job keeps of an attempt whose worker died.
const errLost = "the worker stopped giving signs of life"

// Enqueue promises a job in this transaction; see storage.Tx. Of two promises
// of the same job the earlier time counts.
func (t *tx) Enqueue(ctx context.Context, kind, key, subject string, at time.Time) error {
	if kind == "" || key == "" {
		return errors.New("promise a job: kind and key must be given")
	}
	for {
		kept, err := t.insertJob(ctx, kind, key, subject, at)
		if err != nil {
			return fmt.Errorf("promise job %s: %w", kind, err)
		}
		if kept.State != "running" {
			return nil
		}
		// Its row is locked now, so it cannot end before this commit. It gives
		// up its name, and the next round inserts a job that runs after it.
		if err := t.unnameJob(ctx, kept.ID); err != nil {
			return fmt.Errorf("promise job %s again: %w", kind, err)
		}
	}
}

// keptJob is the row that an insert made or met.
type keptJob struct {
	ID    int64
	State string
}

// insertJob speaks to database/sql: most deeds promise something, and gorm
// would double what that costs.
func (t *tx) insertJob(ctx context.Context, kind, key, subject string, at time.Time) (kept keptJob, err error) {
	query, args := insertTableJob, tableJob(kind, key, subject, at, t.Now())
	if t.engine == postgresEngine {
		query, args = insertRiverJob, riverJob(kind, key, subject, at, t.Now())
	}
	err = t.sql.QueryRowContext(ctx, query, args...).Scan(&kept.ID, &kept.State)
	return kept, fault(err)
}

func (t *tx) unnameJob(ctx context.Context, id int64) error {
	query := "update job set name = null where id = ?"
	if t.engine == postgresEngine {
		query = "update river_job set unique_key = null where id = ?"
	}
	_, err := t.do(ctx, query, id)
	return err
}

// jobName is what makes a waiting job unique.
func jobName(kind, key string) []byte {
	sum := sha256.Sum256([]byte(kind + "\x00" + key))
	return sum[:]
}

// jobRow is a job as both engines select it.
type jobRow struct {
	ID       int64
	Kind     string
	Key      string
	Subject  string
	State    string
	Attempt  int
	Errors   string // JSON
	Created  instant
	Schedule instant
}

func (row jobRow) job() (storage.Job, error) {
	j := storage.Job{
		ID: row.ID, Kind: row.Kind, Key: row.Key, Subject: row.Subject, State: row.State, Attempt: row.Attempt,
		Created: time.Time(row.Created), Schedule: time.Time(row.Schedule),
	}
	if err := json.Unmarshal([]byte(row.Errors), &j.Errors); err != nil {
		return storage.Job{}, fmt.Errorf("read the errors of job %d: %w", row.ID, err)
	}
	for i := range j.Errors {
		j.Errors[i] = strings.TrimPrefix(j.Errors[i], "JobCancelError: ") // River's mark for errors that end a job
	}
	return j, nil
}

// ListJobs answers jobs, newest first; a limit below 0 means all.
func (r reader) ListJobs(ctx context.Context, state string, limit int) ([]storage.Job, error) {
	if limit == 0 || (state != "" && !slices.Contains(jobStates, state)) {
		return nil, nil
	}
	columns, table, where := tableJobColumns, "job", "state = ?"
	if r.engine == postgresEngine {
		columns, table, where = riverJobColumns, "river_job", "state = ?::river_job_state"
	}
	query, args := "select "+columns+" from "+table, []any{}
	if state != "" {
		query, args = query+" where "+where, append(args, state)
	}
	query += " order by id desc"
	if limit > 0 {
		query, args = query+" limit ?", append(args, limit)
	}
	var rows []jobRow
	if _, err := r.get(ctx, &rows, query, args...); err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	jobs := make([]storage.Job, len(rows))
	for i, row := range rows {
		var err error
		if jobs[i], err = row.job(); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// RetryJob makes a job available now, with all its attempts before it. One that
// waits or runs already under the same name answers for it.
func (s *Store) RetryJob(ctx context.Context, id int64) error {
	return s.change(ctx, func(ctx context.Context, t *tx) error {
		_, _, err := t.RetryJob(ctx, id)
		return err
	})
}

// RetryJob is the same in a deed.
func (t *tx) RetryJob(ctx context.Context, id int64) (was storage.Job, again bool, err error) {
	query := `update job set state = 'available', attempt = 0, due = ?, finished = null
		where id = ? and state not in ('available', 'running') and not exists (
			select 1 from job o where o.name = job.name and o.id <> job.id and o.state in ('available', 'running', 'retryable', 'scheduled'))`
	args := []any{instant(t.Now()), id}
	look := "select " + tableJobColumns + " from job where id = ?"
	if t.engine == postgresEngine {
		query = `update river_job j set state = 'available', attempt = 0, scheduled_at = now(), finalized_at = null
			where id = ? and state not in ('available', 'running') and not exists (
				select 1 from river_job o where o.unique_key = j.unique_key and o.id <> j.id
				and o.state in ('available', 'running', 'retryable', 'scheduled'))`
		args = []any{id}
		look = "select " + riverJobColumns + " from river_job where id = ? for update"
	}
	var row jobRow
	n, err := t.get(ctx, &row, look, id)
	if err == nil && n == 0 {
		err = storage.ErrNotFound
	}
	if err == nil {
		was, err = row.job()
	}
	if err == nil {
		n, err = t.do(ctx, query, args...)
	}
	if err != nil {
		return storage.Job{}, false, fmt.Errorf("retry job %d: %w", id, err)
	}
	return was, n > 0, nil
}

// change is Write for the store's own bookkeeping.
func (s *Store) change(ctx context.Context, f func(ctx context.Context, t *tx) error) error {
	return s.Write(ctx, func(ctx context.Context, promised storage.Tx) error {
		t, ok := promised.(*tx)
		if !ok {
			return fmt.Errorf("a transaction of %T", promised)
		}
		return f(ctx, t)
	})
}

// migrateJobs brings the schema of jobs up to date.
func (s *Store) migrateJobs(ctx context.Context) error {
	if s.engine == postgresEngine {
		return s.migrateRiver(ctx)
	}
	if _, err := s.sql.ExecContext(ctx, tableSchema); err != nil {
		return fmt.Errorf("migrate the schema of jobs: %w", fault(err))
	}
	return nil
}

// pendingJobs counts what the schema of jobs lacks; it changes nothing.
func (s *Store) pendingJobs(ctx context.Context) (int, error) {
	if s.engine == postgresEngine {
		return s.pendingRiver(ctx)
	}
	var one int
	found, err := s.get(ctx, &one, "select 1 from sqlite_master where type = 'table' and name = 'job'")
	if err != nil {
		return 0, fmt.Errorf("look at the schema of jobs: %w", err)
	}
	return 1 - found, nil
}

// Work runs promised jobs until ctx ends; see storage.Store.
func (s *Store) Work(ctx context.Context, do func(ctx context.Context, job storage.Job) error) error {
	w := &worker{store: s, do: do, running: map[int64]int{}}
	var err error
	if s.engine == postgresEngine {
		err = w.workRiver(ctx)
	} else {
		err = w.workTable(ctx)
	}
	if err != nil {
		return fmt.Errorf("work promised jobs: %w", err)
	}
	return nil
}

// worker is one Work loop.
type worker struct {
	store *Store
	do    func(ctx context.Context, job storage.Job) error

	mu      sync.Mutex
	running map[int64]int // id to attempt
}

// attempt runs a job once. A panic is a failed attempt; a long error is cut.
func (w *worker) attempt(ctx context.Context, j storage.Job) (err error) {
	w.mu.Lock()
	w.running[j.ID] = j.Attempt
	w.mu.Unlock()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err != nil {
			err = &attemptError{err}
			if errors.Is(err, storage.ErrGiveUp) || j.Attempt >= maxAttempts {
				w.store.log.WarnContext(ctx, "job given up", slog.Int64("job", j.ID), slog.String("kind", j.Kind),
					slog.Int("attempt", j.Attempt), slog.String("error", err.Error()))
			}
		}
	}()
	return w.do(ctx, j)
}

// ended takes a job off the list of those whose lease is renewed.
func (w *worker) ended(id int64) {
	w.mu.Lock()
	delete(w.running, id)
	w.mu.Unlock()
}

func (w *worker) ids() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := make([]int64, 0, len(w.running))
	for id := range w.running {
		ids = append(ids, id)
	}
	return ids
}

// attemptError is a job's error with its text cut to what a row keeps.
type attemptError struct{ err error }

func (e *attemptError) Error() string {
	text := strings.ToValidUTF8(strings.ReplaceAll(e.err.Error(), "\x00", ""), "?")
	if len(text) <= maxErrorText {
		return text
	}
	return strings.ToValidUTF8(text[:maxErrorText], "") + "…"
}

func (e *attemptError) Unwrap() error { return e.err }

// pause is how long a job waits after its nth attempt went wrong.
func pause(attempt int) time.Duration {
	d := firstPause << min(max(attempt, 1)-1, 20) // 20: no overflow
	return d + rand.N(d/10+1)                     //nolint:gosec // spreads retries, keeps no secret
}

// every runs f at an interval until ctx ends, and says when it went wrong.
func (w *worker) every(ctx context.Context, interval time.Duration, what string, f func(ctx context.Context) error) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		if err := f(ctx); err != nil && ctx.Err() == nil {
			w.store.log.WarnContext(ctx, "jobs: "+what, slog.String("error", err.Error()))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
