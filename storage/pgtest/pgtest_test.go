package pgtest_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/healthix/healthix-scim/storage/pgtest"
)

func TestMain(m *testing.M) {
	if os.Getenv("PGTEST_CHILD") != "" {
		child()
	}
	os.Exit(m.Run())
}

// child starts a cluster, says where it is, and waits to be killed.
func child() {
	address, _, err := pgtest.Database(context.Background())
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(address)
	time.Sleep(time.Minute)
	os.Exit(1)
}

func TestDatabasesAreApart(t *testing.T) {
	a, b := pgtest.URL(t), pgtest.URL(t)
	if a == b {
		t.Fatalf("one database twice: %s", a)
	}
	for _, address := range []string{a, b} {
		conn, err := pgx.Connect(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(t.Context())
		if _, err := conn.Exec(t.Context(), "create table mine (id int)"); err != nil {
			t.Errorf("a fresh database: %v", err)
		}
	}
}

func TestDroppedAtTheEnd(t *testing.T) {
	var address string
	t.Run("one", func(t *testing.T) {
		address = pgtest.URL(t)
		conn, err := pgx.Connect(t.Context(), address)
		if err != nil {
			t.Fatal(err)
		}
		// Left open on purpose: a database with a guest is dropped too.
		t.Cleanup(func() { conn.Close(context.Background()) })
	})
	if address == "" {
		t.Skip("no PostgreSQL")
	}
	if conn, err := pgx.Connect(t.Context(), address); err == nil {
		conn.Close(t.Context())
		t.Errorf("%s is still there", address)
	}
}

// A killed test process leaves neither server nor folder behind.
func TestEndsWithTheProcess(t *testing.T) {
	if os.Getenv(pgtest.ServerVariable) != "" {
		t.Skip("the server is not ours to end")
	}
	pgtest.URL(t) // skips where PostgreSQL is missing
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "PGTEST_CHILD=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("the child said nothing: %v", lines.Err())
	}
	config, err := pgx.ParseConfig(lines.Text())
	if err != nil {
		t.Fatalf("the child said %q: %v", lines.Text(), err)
	}
	if _, err := os.Stat(config.Host); err != nil {
		t.Fatalf("the child's folder: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(config.Host); os.IsNotExist(err) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still there", config.Host)
		}
	}
}
