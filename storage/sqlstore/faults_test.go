package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
)

// A refused deed gives its connection back whole: 409s are daily traffic.
func TestConflictKeepsTheConnection(t *testing.T) {
	s := opened(t, pgtest.URL(t), Options{})
	u := settle(t, s)
	if err := s.putUser(u); err != nil {
		t.Fatal(err)
	}
	before := s.pool.Stat().NewConnsCount()
	for range 20 {
		var conflict *storage.ConflictError
		if err := s.putUser(u); !errors.As(err, &conflict) {
			t.Fatal(err)
		}
	}
	if n := s.pool.Stat().NewConnsCount() - before; n > 1 {
		t.Errorf("%d new connections for 20 conflicts", n)
	}
}

// A function that hides a failed statement does not hide it from the commit.
func TestSwallowedFault(t *testing.T) {
	s := opened(t, pgtest.URL(t), Options{})
	u := settle(t, s)
	if err := s.putUser(u); err != nil {
		t.Fatal(err)
	}
	err := s.Write(t.Context(), func(ctx context.Context, tx storage.Tx) error {
		_, _ = tx.PutUser(ctx, u)
		return nil
	})
	if err == nil {
		t.Error("a transaction that cannot have been kept was")
	}
}

// PostgreSQL ends a connection in the middle of a deed.
func TestConnectionLost(t *testing.T) {
	address := pgtest.URL(t)
	s := opened(t, address, Options{})
	u := settle(t, s)
	admin, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	err = s.write(t.Context(), func(ctx context.Context, tx *tx) error {
		var pid int
		if _, err := tx.get(ctx, &pid, "select pg_backend_pid()"); err != nil {
			return err
		}
		if _, err := admin.Exec(ctx, "select pg_terminate_backend($1, 5000)", pid); err != nil {
			return err
		}
		_, err := tx.PutUser(ctx, u)
		return err
	})
	if !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("in the middle: %v", err)
	}
	err = s.write(t.Context(), func(ctx context.Context, tx *tx) error {
		var pid int
		_, err := tx.get(ctx, &pid, "select pg_backend_pid()")
		if err != nil {
			return err
		}
		_, err = admin.Exec(ctx, "select pg_terminate_backend($1, 5000)", pid)
		return err
	})
	if !errors.Is(err, storage.ErrUnavailable) || !strings.Contains(err.Error(), "not known") {
		t.Errorf("at the commit: %v", err)
	}
	if err := s.putUser(u); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A deed whose server was lost ends, and with it the wait for it. The URL may say
// how long it is waited for.
func TestDeedThatDoesNothing(t *testing.T) {
	address := pgtest.URL(t)
	joint := "?"
	if strings.Contains(address, "?") {
		joint = "&"
	}
	s := opened(t, address+joint+"idle_in_transaction_session_timeout=300ms", Options{})
	u := settle(t, s)
	seen, behind := make(chan error, 1), make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- s.Write(context.Background(), func(ctx context.Context, tx storage.Tx) error {
			_, err := tx.PolicyState(ctx)
			seen <- err
			<-behind
			_, err = tx.PutUser(ctx, u)
			return err
		})
	}()
	if err := <-seen; err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := s.Barrier(ctx); err != nil {
		t.Errorf("the barrier waits for a deed that does nothing: %v", err)
	}
	close(behind)
	if err := <-ended; !errors.Is(err, storage.ErrUnavailable) {
		t.Errorf("the deed ended with %v, want ErrUnavailable", err)
	}
	if _, err := s.GetUser(t.Context(), "", u.ID); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("what it wrote too late: %v", err)
	}

	usual := opened(t, address, Options{})
	var limit string
	if err := usual.sql.QueryRowContext(t.Context(), "show idle_in_transaction_session_timeout").Scan(&limit); err != nil || limit != "1min" {
		t.Errorf("usually it is waited for %s, %v", limit, err)
	}
}

// Two deeds that wait for each other: one runs again, both are kept.
func TestDeadlock(t *testing.T) {
	s := opened(t, pgtest.URL(t), Options{})
	u := settle(t, s)
	users := []storage.User{u, u}
	users[1].ID, users[1].UserName, users[1].UserNameKey = "2", "bea", "bea"
	for _, u := range users {
		if err := s.putUser(u); err != nil {
			t.Fatal(err)
		}
	}
	both := make(chan struct{}, 2)
	var wg sync.WaitGroup
	for i := range users {
		wg.Go(func() {
			run := 0
			err := s.Write(t.Context(), func(ctx context.Context, tx storage.Tx) error {
				run++
				for j := range users {
					u, err := tx.LockUser(ctx, "mercy", users[(i+j)%2].ID)
					if err != nil {
						return err
					}
					if j == 0 && run == 1 {
						both <- struct{}{}
						for len(both) < 2 {
							time.Sleep(time.Millisecond)
						}
					}
					u.Version++
					if _, err := tx.PutUser(ctx, u); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, u := range users {
		if got, err := s.GetUser(t.Context(), "", u.ID); err != nil || got.Version != 3 {
			t.Errorf("%s: version %d, %v", u.UserName, got.Version, err)
		}
	}
}

// A full disk ends a group's transaction; nobody in it hears of success, and
// the next deed works once there is room.
func TestDiskFull(t *testing.T) {
	s := opened(t, "sqlite://"+filepath.Join(t.TempDir(), "healthix.db"), Options{})
	u := settle(t, s)
	pages := func(n int) {
		t.Helper()
		var is int
		if err := s.sql.QueryRowContext(t.Context(), fmt.Sprintf("pragma max_page_count = %d", n)).Scan(&is); err != nil {
			t.Fatal(err)
		}
	}
	pages(1) // as many as there are
	u.Document["note"] = strings.Repeat("x", 1<<20)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			u := u
			u.ID, u.UserNameKey = fmt.Sprint(i), fmt.Sprint(i)
			errs[i] = s.putUser(u)
		})
	}
	wg.Wait()
	for i, err := range errs {
		if !errors.Is(err, storage.ErrUnavailable) {
			t.Errorf("deed %d: %v", i, err)
		}
	}
	pages(1 << 30)
	if err := s.putUser(u); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if _, total, err := s.ListUsers(t.Context(), storage.Query{Total: true}); err != nil || total != 1 {
		t.Errorf("%d users, %v", total, err)
	}
}

// A caller whose deadline ends while others are served hears that the database
// is busy.
func TestTooBusy(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		if strings.HasPrefix(address, "postgres") {
			address += "&pool_max_conns=1"
		}
		s := opened(t, address, Options{})
		for range 3 { // of four; the deed takes the last
			if s.pool == nil {
				break
			}
			conn, err := s.pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Release()
		}
		err := s.Write(t.Context(), func(ctx context.Context, _ storage.Tx) error {
			ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			defer cancel()
			err := s.Write(ctx, func(context.Context, storage.Tx) error { return errors.New("ran inside another") })
			if !errors.Is(err, storage.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}
