// Package pgtest gives tests a PostgreSQL of their own: one throw-away cluster
// per test process, one fresh database per test. It knows no schema, and never
// touches a database that it did not create.
package pgtest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// ServerVariable may name an existing server whose user may create databases;
// then no cluster is started.
const ServerVariable = "HEALTHIX_TEST_DATABASE_URL"

// ErrMissing: PostgreSQL's programs are not on this machine.
var ErrMissing = errors.New("PostgreSQL's programs (initdb, postgres) are not on this machine; `make postgres` installs them, or " + ServerVariable + " may name a server")

// Options are for Start.
type Options struct {
	// Unsynced trades safety of the cluster's files for speed. What must
	// survive a crash cannot be tested on it.
	Unsynced bool
	// Prepare fills the template that every database is copied from, once.
	Prepare func(ctx context.Context, url string) error
}

// server is where this process's databases live.
type server struct {
	admin    string // URL of the database that commands are sent to
	template string // name, "" for an empty database
	cluster  *cluster
}

var running struct {
	sync.Mutex
	*server
	err error // of the start; asked once
}

// patience bounds every step; a fresh cluster takes about a second.
const patience = time.Minute

// Start starts the cluster, or connects to the server that ServerVariable
// names. Without it the first URL or Database starts one with zero Options.
// What was started ends with the process, however that ends, or with Stop.
func Start(o Options) error {
	running.Lock()
	defer running.Unlock()
	if running.server != nil || running.err != nil {
		return errors.New("pgtest was started before")
	}
	running.server, running.err = start(o)
	return running.err
}

// Stop ends the cluster and removes its folder.
func Stop() {
	running.Lock()
	defer running.Unlock()
	if s := running.server; s != nil {
		s.stop()
	}
	running.server, running.err = nil, nil
}

// URL is a fresh database for the test, gone when it ends. Without PostgreSQL's
// programs the test is skipped, loudly; with CI=true it fails.
func URL(t testing.TB) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	address, drop, err := Database(ctx)
	if errors.Is(err, ErrMissing) && os.Getenv("CI") != "true" {
		fmt.Fprintf(os.Stderr, "\n*** LEFT OUT: %s on PostgreSQL: %v\n\n", t.Name(), err)
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(drop)
	return address
}

// Database is a fresh database for whoever has no testing.TB; drop removes it.
func Database(ctx context.Context) (address string, drop func(), err error) {
	running.Lock()
	if running.server == nil && running.err == nil {
		running.server, running.err = start(Options{})
	}
	s, err := running.server, running.err
	running.Unlock()
	if err != nil {
		return "", nil, err
	}
	name, err := s.create(ctx, "healthix_test_", s.template)
	if err != nil {
		return "", nil, err
	}
	return s.url(name), func() { s.drop(name) }, nil
}

func start(o Options) (*server, error) {
	s := &server{admin: os.Getenv(ServerVariable)}
	if s.admin == "" {
		c, err := startCluster(o.Unsynced)
		if err != nil {
			return nil, err
		}
		s.cluster, s.admin = c, c.url()
	}
	if o.Prepare == nil {
		return s, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	template, err := s.create(ctx, "healthix_template_", "")
	if err == nil {
		s.template = template
		err = o.Prepare(ctx, s.url(template))
	}
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("prepare the template database: %w", err)
	}
	return s, nil
}

func (s *server) stop() {
	if s.template != "" {
		s.drop(s.template)
	}
	if s.cluster != nil {
		s.cluster.stop()
	}
}

// url is the server's URL with another database.
func (s *server) url(database string) string {
	u, err := url.Parse(s.admin)
	if err != nil {
		panic(fmt.Sprintf("%s is not a URL", ServerVariable)) // create had connected to it
	}
	u.Path = "/" + database
	return u.String()
}

func (s *server) create(ctx context.Context, prefix, template string) (name string, err error) {
	if template == "" {
		template = "template0"
	}
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	name = prefix + hex.EncodeToString(b[:])
	if err := s.do(ctx, "create database "+name+" template "+template); err != nil {
		return "", fmt.Errorf("create a test database: %w", err)
	}
	return name, nil
}

// drop also ends connections that a test left open.
func (s *server) drop(name string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.do(ctx, "drop database if exists "+name+" with (force)"); err != nil {
		fmt.Fprintf(os.Stderr, "drop test database %s: %v\n", name, err)
	}
}

func (s *server) do(ctx context.Context, statement string) error {
	conn, err := pgx.Connect(ctx, s.admin)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}
