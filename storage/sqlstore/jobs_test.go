package sqlstore

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
	"github.com/healthix/healthix-scim/storage/storagetest"
)

var productionPause, productionAttempts = firstPause, maxAttempts

func init() {
	firstPause, maxAttempts = 50*time.Millisecond, 4
	lease = 2 * time.Second
	softStop, hardStop = time.Second, time.Second
}

func TestJobsOnSQLite(t *testing.T) {
	storagetest.RunJobs(t, func(t *testing.T) string {
		return "sqlite://" + filepath.Join(t.TempDir(), "healthix.db")
	}, openForJobs)
}

func TestJobsOnPostgreSQL(t *testing.T) {
	storagetest.RunJobs(t, func(t *testing.T) string { return pgtest.URL(t) }, openForJobs)
}

func openForJobs(t *testing.T, address string) storage.Store {
	t.Helper()
	s, err := Open(t.Context(), address, Options{Migrate: true, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
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

func TestJobsSchema(t *testing.T) {
	for name, fresh := range map[string]func(t *testing.T) string{
		"SQLite":     func(t *testing.T) string { return "sqlite://" + filepath.Join(t.TempDir(), "healthix.db") },
		"PostgreSQL": func(t *testing.T) string { return pgtest.URL(t) },
	} {
		t.Run(name, func(t *testing.T) {
			s, err := connect(t.Context(), fresh(t), Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if n, err := s.pendingJobs(t.Context()); err != nil || n != 1 {
				t.Errorf("empty database: pending = %d, %v", n, err)
			}
			for range 2 { // the second finds nothing to do
				if err := s.migrateJobs(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if n, err := s.pendingJobs(t.Context()); err != nil || n != 0 {
				t.Errorf("after migration: pending = %d, %v", n, err)
			}
		})
	}
}

func TestPausesSpanADay(t *testing.T) {
	var sum time.Duration
	for attempt := 1; attempt < productionAttempts; attempt++ {
		sum += pause(attempt) * (productionPause / firstPause)
	}
	if sum < 24*time.Hour || sum > 36*time.Hour {
		t.Errorf("%d attempts span %v", productionAttempts, sum)
	}
}

// A worker that was taken for dead and comes back keeps nothing.
func TestLateWorkerKeepsNothing(t *testing.T) {
	now := time.Now()
	s, err := Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "healthix.db"), Options{
		Migrate: true, Clock: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.Write(t.Context(), func(ctx context.Context, tx storage.Tx) error {
		return tx.Enqueue(ctx, "mail", "1", "", time.Time{})
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{store: s, running: map[int64]int{}, do: func(context.Context, storage.Job) error { return nil }}
	first, err := w.take(t.Context(), 1)
	if err != nil || len(first) != 1 {
		t.Fatalf("take = %+v, %v", first, err)
	}
	now = now.Add(2 * lease)
	if err := w.renewTable(t.Context()); err != nil {
		t.Fatal(err)
	}
	second, err := w.take(t.Context(), 1)
	if err != nil || len(second) != 1 || second[0].Attempt != 2 {
		t.Fatalf("take again = %+v, %v", second, err)
	}
	w.runTable(t.Context(), first[0])
	if jobs, err := s.ListJobs(t.Context(), "running", -1); err != nil || len(jobs) != 1 {
		t.Errorf("running after the late end: %+v, %v; want the second attempt", jobs, err)
	}
}

// What ended long ago goes; what died stays for a month.
func TestJobsAreCleaned(t *testing.T) {
	now := time.Now()
	s, err := Open(t.Context(), "sqlite://"+filepath.Join(t.TempDir(), "healthix.db"), Options{
		Migrate: true, Clock: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w := &worker{store: s, running: map[int64]int{}}
	left := func() int {
		jobs, err := s.ListJobs(t.Context(), "", -1)
		if err != nil {
			t.Fatal(err)
		}
		return len(jobs)
	}
	for key, end := range map[string]error{"done": nil, "given up": storage.ErrGiveUp} {
		w.do = func(context.Context, storage.Job) error { return end }
		err := s.Write(t.Context(), func(ctx context.Context, tx storage.Tx) error {
			return tx.Enqueue(ctx, "mail", key, "", time.Time{})
		})
		if err != nil {
			t.Fatal(err)
		}
		jobs, err := w.take(t.Context(), 1)
		if err != nil || len(jobs) != 1 {
			t.Fatalf("take = %+v, %v", jobs, err)
		}
		w.runTable(t.Context(), jobs[0])
	}
	for _, step := range []struct {
		later time.Duration
		want  int
	}{{time.Hour, 2}, {25 * time.Hour, 1}, {31 * 24 * time.Hour, 0}} {
		now = now.Add(step.later)
		if err := w.renewTable(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := left(); n != step.want {
			t.Errorf("%v later: %d jobs, want %d", step.later, n, step.want)
		}
	}
}

// Workers that were stopped work again in the same process: they stop while the
// log has a gap.
func TestWorkersStopAndGoOn(t *testing.T) {
	for engine, address := range map[string]func() string{
		"SQLite":     func() string { return "sqlite://" + filepath.Join(t.TempDir(), "healthix.db") },
		"PostgreSQL": func() string { return pgtest.URL(t) },
	} {
		t.Run(engine, func(t *testing.T) {
			s := openForJobs(t, address())
			for round := range 3 {
				if err := s.Write(t.Context(), func(ctx context.Context, tx storage.Tx) error {
					return tx.Enqueue(ctx, "test", fmt.Sprint(round), "", time.Time{})
				}); err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
				var done []string
				err := s.Work(ctx, func(_ context.Context, job storage.Job) error {
					done = append(done, job.Key)
					stop()
					return nil
				})
				stop()
				if err != nil || len(done) != 1 || done[0] != fmt.Sprint(round) {
					t.Fatalf("round %d: %v, %v", round, done, err)
				}
			}
		})
	}
}
