package sqlstore

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
)

// An instant is not settled while somebody of another role has a deed under way,
// a command with an administrator's role say, and is once nobody has.
func TestSettleWaitsForOtherRoles(t *testing.T) {
	address := pgtest.URL(t)
	admin := opened(t, address, Options{})
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	role := "reader_" + strings.ToLower(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, u.Path))
	for _, statement := range []string{"create role " + role + " login", "grant select on all tables in schema public to " + role} {
		if _, err := admin.pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if _, err := admin.pool.Exec(context.Background(), "drop owned by "+role+"; drop role "+role); err != nil {
			t.Error(err)
		}
	})
	u.User = url.User(role)
	if q := u.Query(); q.Has("user") {
		q.Set("user", role)
		u.RawQuery = q.Encode()
	}
	server, err := Open(t.Context(), u.String(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() }) //nolint:errcheck // it only read
	var who string
	if _, err := server.get(t.Context(), &who, "select current_user"); err != nil || who != role {
		t.Fatal(who, err)
	}
	stamped, end, ended := make(chan time.Time, 1), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- admin.Write(context.Background(), func(ctx context.Context, tx storage.Tx) error {
			stamped <- tx.Now()
			<-end
			return nil
		})
	}()
	at := <-stamped
	patience, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := server.Settle(patience, at); !errors.Is(err, storage.ErrUnsettled) {
		t.Errorf("while an administrator's deed is under way: %v, want ErrUnsettled", err)
	}
	close(end)
	if err := errors.Join(server.Settle(t.Context(), at), <-ended); err != nil {
		t.Error(err)
	}
}
