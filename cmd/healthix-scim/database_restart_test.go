package main

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/healthix/healthix-scim/storage/pgtest"
)

// pushed is what the server said to creates while its database went and came.
type pushed struct {
	sync.Mutex
	created map[string]string // userName → id, as acknowledged
	unsure  map[string]bool   // userName: was answered 503 once, so may be there or not
	put     int               // answers 503
}

// All connections are cut, then PostgreSQL crashes and is away for two seconds,
// under a load of creates: the server stays up, says 503 and means it, and comes
// back by itself. What it acknowledged is there, what it put off can be sent
// again, and every promise is kept.
func TestDatabaseRestartsUnderLoad(t *testing.T) {
	t.Parallel()
	own := pgtest.NewOwn(t)
	s := newSite(t, own.URL, "HEALTHIX_DEV=true")
	s.run("participant", "add", "mercy", "--name", "Mercy General")
	provider := s.run("token", "issue", "--scope", "scim", "--participant", "mercy")
	operator := s.run("token", "issue", "--scope", "operator", "--subject", "dana@healthix.example")
	n := s.start()
	seen := &pushed{created: map[string]string{}, unsure: map[string]bool{}}
	over := make(chan struct{})
	var clients sync.WaitGroup
	for client := range 4 {
		clients.Go(func() { push(t, n, provider, client, seen, over) })
	}
	for _, fault := range []func() error{func() error { return cutConnections(t, own.URL) }, func() error { return crashAndWatch(own, n) }} {
		more(t, seen, 40)
		if err := fault(); err != nil {
			t.Error(err)
			break
		}
	}
	more(t, seen, 40)
	close(over)
	clients.Wait()

	t.Logf("%d creates acknowledged, %d answers 503, %d people sent again", len(seen.created), seen.put, len(seen.unsure))
	if seen.put == 0 {
		t.Error("no create was answered 503: the load never met the crash")
	}
	select {
	case <-n.done:
		t.Fatalf("the server ended: %v", n.err)
	default:
	}
	n.must(200, "GET", "/readyz", "", nil)
	for userName, id := range seen.created {
		if got := n.must(200, "GET", "/scim/v2/Users/"+id, provider, nil); got["userName"] != userName {
			t.Errorf("%s was acknowledged as %s and is %v", userName, id, got["userName"])
		}
	}
	// Who was put off was sent again until the answer was clear: each is there once.
	list := n.must(200, "GET", "/scim/v2/Users?count=0", provider, nil)
	everybody := len(seen.created)
	for userName := range seen.unsure {
		if seen.created[userName] == "" {
			everybody++ // 409: the first try had been committed
		}
	}
	if list["totalResults"] != float64(everybody) {
		t.Errorf("%v people are there, %d were pushed", list["totalResults"], everybody)
	}
	eventually(t, 60*time.Second, func() error {
		invited := map[string]bool{}
		for _, l := range s.letters() {
			invited[strings.TrimSuffix(l.to, "@mercy.example")] = true
		}
		for userName := range seen.created {
			if !invited[userName] {
				return fmt.Errorf("%s was not invited; %d of %d were", userName, len(invited), everybody)
			}
		}
		if len(invited) != everybody {
			return fmt.Errorf("%d of %d were invited", len(invited), everybody)
		}
		return nil
	})
	for _, state := range []string{"discarded", "cancelled"} {
		if items, _ := n.must(200, "GET", "/api/v1/jobs?state="+state, operator, nil)["items"].(array); len(items) > 0 {
			t.Errorf("jobs are %s: %v", state, items)
		}
	}
}

// push creates people one by one; who was answered 503 is sent again.
func push(t *testing.T, n *node, token string, client int, seen *pushed, over <-chan struct{}) {
	for i := 0; ; i++ {
		select {
		case <-over:
			return
		default:
		}
		person := nurse(fmt.Sprintf("C%d", client), fmt.Sprintf("I%d", i))
		userName := fmt.Sprint(person["userName"])
		for sent := false; !sent; {
			status, user, err := ask(t.Context(), "POST", n.base+"/scim/v2/Users", token, person)
			if err != nil {
				t.Errorf("create %s: %v", userName, err)
				return
			}
			seen.Lock()
			again := seen.unsure[userName]
			switch {
			case status == 201:
				seen.created[userName], sent = fmt.Sprint(user["id"]), true
			case status == 409 && again:
				sent = true
			case status == 503:
				seen.unsure[userName] = true
				seen.put++
			default:
				t.Errorf("create %s (sent before: %v): %d %v", userName, again, status, user)
				seen.Unlock()
				return
			}
			seen.Unlock()
			if !sent {
				time.Sleep(50 * time.Millisecond)
			}
		}
	}
}

// more waits until so many further creates were acknowledged.
func more(t *testing.T, seen *pushed, want int) {
	t.Helper()
	count := func() int {
		seen.Lock()
		defer seen.Unlock()
		return len(seen.created)
	}
	before := count()
	eventually(t, 60*time.Second, func() error {
		if got := count() - before; got < want {
			return fmt.Errorf("%d of %d further creates", got, want)
		}
		return nil
	})
}

// cutConnections ends everybody's connection but its own.
func cutConnections(t *testing.T, url string) error {
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		return err
	}
	var cut int
	err = conn.QueryRow(t.Context(), `select count(pg_terminate_backend(pid)) from pg_stat_activity
		where pid <> pg_backend_pid() and backend_type = 'client backend'`).Scan(&cut)
	if err == nil && cut == 0 {
		err = errors.New("nobody was connected")
	}
	return errors.Join(err, conn.Close(t.Context()))
}

// crashAndWatch crashes the database and sees the server say that it is away.
func crashAndWatch(own *pgtest.Own, n *node) error {
	if err := own.Crash(2 * time.Second); err != nil {
		return err
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		status, _, err := ask(n.t.Context(), "GET", n.base+"/readyz", "", nil)
		if err != nil {
			return err
		}
		if status == 503 {
			break
		}
		if time.Now().After(deadline) {
			return errors.New("/readyz never said that the database was away")
		}
	}
	return own.Ready()
}
