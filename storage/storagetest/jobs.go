package storagetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// jobsChild names the database that a child process works on until it is killed.
const jobsChild = "STORAGETEST_JOBS_CHILD"

// RunJobs asks of a store what storage promises of jobs. fresh makes an empty
// database and answers its address, open opens one. The caller shortens the
// store's pauses and leases to some hundred milliseconds and bounds a job to
// four attempts, else this takes a day.
func RunJobs(t *testing.T, fresh func(t *testing.T) string, open func(t *testing.T, address string) storage.Store) {
	t.Helper()
	if address := os.Getenv(jobsChild); address != "" {
		child(t, open(t, address))
		return
	}
	for name, test := range map[string]func(b *jobsBench){
		"KeptWithTheDeed":   keptWithTheDeed,
		"UniqueWhileLive":   uniqueWhileLive,
		"AgainWhileRunning": againWhileRunning,
		"NotBeforeCommit":   notBeforeCommit,
		"Scheduled":         scheduled,
		"EarlierCounts":     earlierCounts,
		"Retried":           retried,
		"Dead":              dead,
		"GivenUp":           givenUp,
		"Shared":            shared,
		"Crash":             crash,
		"CrashUnderLoad":    crashUnderLoad,
		"EndsGracefully":    endsGracefully,
		"CutOff":            cutOff,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := fresh(t)
			test(&jobsBench{T: t, Store: open(t, address), address: address, open: open})
		})
	}
}

// jobsBench is one database under test.
type jobsBench struct {
	*testing.T
	storage.Store
	address string
	open    func(t *testing.T, address string) storage.Store
}

const (
	soon = 15 * time.Second // more than anything here takes
	beat = 10 * time.Millisecond
)

func (b *jobsBench) enqueue(kind, key string, in time.Duration) {
	b.Helper()
	err := b.Write(b.Context(), func(ctx context.Context, tx storage.Tx) error {
		var at time.Time
		if in > 0 {
			at = tx.Now().Add(in)
		}
		return tx.Enqueue(ctx, kind, key, "subject-of-"+key, at)
	})
	if err != nil {
		b.Fatalf("enqueue %s %s: %v", kind, key, err)
	}
}

func (b *jobsBench) jobs(state string) []storage.Job {
	b.Helper()
	jobs, err := b.ListJobs(b.Context(), state, -1)
	if err != nil {
		b.Fatalf("list jobs: %v", err)
	}
	return jobs
}

// one answers the only job.
func (b *jobsBench) one() storage.Job {
	b.Helper()
	jobs := b.jobs("")
	if len(jobs) != 1 {
		b.Fatalf("jobs = %+v, want one", jobs)
	}
	return jobs[0]
}

func (b *jobsBench) await(what string, holds func() bool) {
	b.Helper()
	for end := time.Now().Add(soon); !holds(); time.Sleep(beat) {
		if time.Now().After(end) {
			b.Fatalf("%s: not within %v; jobs: %+v", what, soon, b.jobs(""))
		}
	}
}

func (b *jobsBench) awaitState(state string) storage.Job {
	b.Helper()
	b.await("one job "+state, func() bool { return len(b.jobs(state)) == 1 })
	return b.jobs(state)[0]
}

// work starts a Work loop; the function it answers ends it and waits.
func (b *jobsBench) work(s storage.Store, do func(ctx context.Context, j storage.Job) error) (end func()) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- s.Work(ctx, do) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.Errorf("Work: %v", err)
		}
	})
	b.Cleanup(end)
	return end
}

// jobsLog is what a Work loop did.
type jobsLog struct {
	mu   sync.Mutex
	jobs []storage.Job
	at   []time.Time
}

func (l *jobsLog) add(j storage.Job) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.jobs, l.at = append(l.jobs, j), append(l.at, time.Now())
}

func (l *jobsLog) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.jobs)
}

func keptWithTheDeed(b *jobsBench) {
	refused := errors.New("refused")
	err := b.Write(b.Context(), func(ctx context.Context, tx storage.Tx) error {
		if err := tx.Enqueue(ctx, "mail", "1", "u1", time.Time{}); err != nil {
			return err
		}
		if jobs, err := tx.ListJobs(ctx, "", -1); err != nil || len(jobs) != 1 {
			b.Errorf("inside the deed: %+v, %v; want its own job", jobs, err)
		}
		if jobs := b.jobs(""); len(jobs) != 0 {
			b.Errorf("outside, before the commit: %+v", jobs)
		}
		return refused
	})
	if !errors.Is(err, refused) {
		b.Fatalf("Write = %v", err)
	}
	if jobs := b.jobs(""); len(jobs) != 0 {
		b.Fatalf("a deed that was rolled back left %+v", jobs)
	}

	var did jobsLog
	b.work(b.Store, func(_ context.Context, j storage.Job) error { did.add(j); return nil })
	var waits []time.Duration
	for i := range 5 {
		key := fmt.Sprint(i)
		b.enqueue("mail", key, 0)
		committed := time.Now()
		b.await("the job runs", func() bool { return did.len() == i+1 })
		waits = append(waits, did.at[i].Sub(committed))
		if j := did.jobs[i]; j.Kind != "mail" || j.Key != key || j.Subject != "subject-of-"+key || j.Attempt != 1 || j.ID == 0 || j.State != "running" {
			b.Errorf("the worker got %+v", j)
		}
	}
	slices.Sort(waits)
	b.Logf("commit to work: %v", waits)
	if waits[len(waits)/2] > time.Second {
		b.Errorf("commit to work takes %v", waits)
	}
	b.await("completed", func() bool { return len(b.jobs("completed")) == 5 })
	if jobs := b.jobs(""); jobs[0].Key != "4" || jobs[4].Key != "0" {
		b.Errorf("not newest first: %+v", jobs)
	}
	if two, err := b.ListJobs(b.Context(), "completed", 2); err != nil || len(two) != 2 {
		b.Errorf("limit 2: %+v, %v", two, err)
	}
	if none, err := b.ListJobs(b.Context(), "lost", -1); err != nil || len(none) != 0 {
		b.Errorf("an unknown state: %+v, %v", none, err)
	}
}

func uniqueWhileLive(b *jobsBench) {
	var together sync.WaitGroup
	for range 8 {
		together.Go(func() {
			err := b.Write(b.Context(), func(ctx context.Context, tx storage.Tx) error {
				return errors.Join(tx.Enqueue(ctx, "decide", "u1", "u1", time.Time{}), tx.Enqueue(ctx, "decide", "u1", "u1", time.Time{}))
			})
			if err != nil {
				b.Errorf("enqueue: %v", err)
			}
		})
	}
	together.Wait()
	b.one()
	b.enqueue("decide", "u2", 0)
	b.enqueue("mail", "u1", 0)
	if jobs := b.jobs("available"); len(jobs) != 3 {
		b.Fatalf("another key and another kind: %+v", jobs)
	}
	b.work(b.Store, func(context.Context, storage.Job) error { return nil })
	b.await("completed", func() bool { return len(b.jobs("completed")) == 3 })
	b.enqueue("decide", "u1", 0)
	b.await("promised again after it was done", func() bool { return len(b.jobs("completed")) == 4 })
}

// A running job may have looked before the deed's commit, so a promise made
// meanwhile must run after it.
func againWhileRunning(b *jobsBench) {
	var did jobsLog
	began, goOn := make(chan struct{}, 2), make(chan struct{})
	b.work(b.Store, func(_ context.Context, j storage.Job) error {
		did.add(j)
		began <- struct{}{}
		if did.len() == 1 {
			<-goOn
		}
		return nil
	})
	b.enqueue("decide", "u1", 0)
	<-began
	b.enqueue("decide", "u1", 0)
	b.enqueue("decide", "u1", 0)
	close(goOn)
	b.await("both done", func() bool { return len(b.jobs("completed")) == 2 })
	if jobs := b.jobs(""); len(jobs) != 2 {
		b.Errorf("jobs = %+v, want the first and one more", jobs)
	}
}

// A waiting job that a deed promises again must not begin before that deed can
// be seen, or it would miss what the deed changed.
func notBeforeCommit(b *jobsBench) {
	b.enqueue("decide", "u1", 0)
	var did jobsLog
	err := b.Write(b.Context(), func(ctx context.Context, tx storage.Tx) error {
		if err := tx.Enqueue(ctx, "decide", "u1", "u1", time.Time{}); err != nil {
			return err
		}
		b.work(b.Store, func(_ context.Context, j storage.Job) error { did.add(j); return nil })
		time.Sleep(700 * time.Millisecond)
		if did.len() != 0 {
			b.Error("it ran before the commit")
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.awaitState("completed")
	b.one()
}

func scheduled(b *jobsBench) {
	var did jobsLog
	b.work(b.Store, func(_ context.Context, j storage.Job) error { did.add(j); return nil })
	begun := time.Now()
	b.enqueue("sweep", "1", time.Second)
	if j := b.one(); j.State != "scheduled" || j.Schedule.Sub(j.Created) != time.Second {
		b.Errorf("job = %+v, want scheduled a second after it was made", j)
	}
	b.awaitState("completed")
	if waited := did.at[0].Sub(begun); waited < 990*time.Millisecond {
		b.Errorf("ran after %v", waited)
	}
}

func earlierCounts(b *jobsBench) {
	b.enqueue("sweep", "1", 48*time.Hour)
	b.enqueue("sweep", "1", 24*time.Hour)
	if j := b.one(); j.State != "scheduled" || j.Schedule.Sub(j.Created) > 25*time.Hour {
		b.Errorf("job = %+v, want the earlier time", j)
	}
	b.enqueue("sweep", "1", 72*time.Hour)
	if j := b.one(); j.Schedule.Sub(j.Created) > 25*time.Hour {
		b.Errorf("job = %+v, want the earlier time", j)
	}
	b.work(b.Store, func(context.Context, storage.Job) error { return nil })
	b.enqueue("sweep", "1", 0)
	b.awaitState("completed")
}

func retried(b *jobsBench) {
	var did jobsLog
	b.work(b.Store, func(_ context.Context, j storage.Job) error {
		did.add(j)
		switch j.Attempt {
		case 1:
			return errors.New("the mail server is away " + strings.Repeat("…", 1000))
		case 2:
			panic("at the disco")
		default:
			return nil
		}
	})
	b.enqueue("mail", "1", 0)
	b.await("an attempt that went wrong", func() bool { return len(b.one().Errors) > 0 })
	j := b.awaitState("completed")
	if j.Attempt != 3 || len(j.Errors) != 2 || !strings.HasPrefix(j.Errors[0], "the mail server is away") || !strings.Contains(j.Errors[1], "at the disco") {
		b.Errorf("job = %+v", j)
	}
	if len(j.Errors[0]) > 600 {
		b.Errorf("an error of %d bytes was kept", len(j.Errors[0]))
	}
	if got := did.jobs[2].Errors; len(got) != 2 {
		b.Errorf("the third attempt saw errors %q", got)
	}
	if first, second := did.at[1].Sub(did.at[0]), did.at[2].Sub(did.at[1]); first < 50*time.Millisecond || second < 100*time.Millisecond {
		b.Errorf("pauses %v, %v do not grow", first, second)
	}
}

func dead(b *jobsBench) {
	var mended sync.Map
	b.work(b.Store, func(_ context.Context, j storage.Job) error {
		if _, ok := mended.Load("yes"); ok {
			return nil
		}
		return errors.New("no such address")
	})
	b.enqueue("mail", "1", 0)
	j := b.awaitState("discarded")
	if j.Attempt != 4 || len(j.Errors) != 4 {
		b.Errorf("job = %+v, want four attempts and their errors", j)
	}
	mended.Store("yes", true)
	if err := b.RetryJob(b.Context(), j.ID); err != nil {
		b.Fatalf("retry: %v", err)
	}
	if again := b.awaitState("completed"); again.ID != j.ID {
		b.Errorf("job = %+v, want %d", again, j.ID)
	}
	if err := b.RetryJob(b.Context(), j.ID+1000); !errors.Is(err, storage.ErrNotFound) {
		b.Errorf("retry of an unknown job = %v", err)
	}
}

func givenUp(b *jobsBench) {
	var did jobsLog
	b.enqueue("mail", "1", 0)
	end := b.work(b.Store, func(_ context.Context, j storage.Job) error {
		did.add(j)
		return fmt.Errorf("the user is gone: %w", storage.ErrGiveUp)
	})
	j := b.awaitState("cancelled")
	if len(j.Errors) != 1 || j.Errors[0] != "the user is gone: give up" || j.Attempt != 1 {
		b.Errorf("job = %+v", j)
	}
	end()
	// A live job of the same name answers for the dead one.
	b.enqueue("mail", "1", 0)
	if err := b.RetryJob(b.Context(), j.ID); err != nil {
		b.Errorf("retry: %v", err)
	}
	if live := b.awaitState("available"); live.ID == j.ID {
		b.Errorf("two live jobs of one name: %+v", b.jobs(""))
	}
	if did.len() != 1 {
		b.Errorf("ran %d times", did.len())
	}
}

func shared(b *jobsBench) {
	const jobs = 60
	var mu sync.Mutex
	attempts, by := map[string]int{}, map[int]int{}
	for n, s := range []storage.Store{b.Store, b.open(b.T, b.address)} {
		b.work(s, func(_ context.Context, j storage.Job) error {
			mu.Lock()
			attempts[fmt.Sprintf("%d/%d", j.ID, j.Attempt)]++
			by[n]++
			mu.Unlock()
			time.Sleep(20 * time.Millisecond)
			return nil
		})
	}
	err := b.Write(b.Context(), func(ctx context.Context, tx storage.Tx) error {
		for i := range jobs {
			if err := tx.Enqueue(ctx, "mail", fmt.Sprint(i), "", time.Time{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.await("all done", func() bool { return len(b.jobs("completed")) == jobs })
	mu.Lock()
	defer mu.Unlock()
	if len(attempts) != jobs || by[0] == 0 || by[1] == 0 {
		b.Errorf("%d attempts, by loop %v", len(attempts), by)
	}
	for attempt, n := range attempts {
		if n != 1 {
			b.Errorf("attempt %s ran %d times", attempt, n)
		}
	}
}

func endsGracefully(b *jobsBench) {
	began, ended := make(chan struct{}), false
	end := b.work(b.Store, func(ctx context.Context, _ storage.Job) error {
		close(began)
		time.Sleep(300 * time.Millisecond)
		ended = ctx.Err() == nil
		return ctx.Err()
	})
	b.enqueue("mail", "1", 0)
	<-began
	b.enqueue("mail", "2", 0)
	end()
	if !ended {
		b.Error("Work did not wait for the running job")
	}
	b.awaitState("completed")
	if left := b.jobs("available"); len(left)+len(b.jobs("completed")) != 2 {
		b.Errorf("jobs = %+v", b.jobs(""))
	}
}

// A job that outlasts the patience of a stopping Work is cut off, and that
// attempt does not count.
func cutOff(b *jobsBench) {
	began := make(chan struct{})
	end := b.work(b.Store, func(ctx context.Context, _ storage.Job) error {
		close(began)
		<-ctx.Done()
		return ctx.Err()
	})
	b.enqueue("mail", "1", 0)
	<-began
	end()
	if j := b.one(); j.State != "available" || j.Attempt != 0 || len(j.Errors) != 0 {
		b.Errorf("job = %+v, want it available as if never begun", j)
	}
}
