package pgtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"
)

// Own is a cluster that one test has to itself, so that it may break it.
type Own struct {
	URL     string // of a database without tables
	cluster *cluster
}

// NewOwn starts a cluster, durable and gone when the test ends. ServerVariable is
// not asked, for nobody's server is to be broken. Without PostgreSQL's programs
// the test is skipped, loudly; with CI=true it fails.
func NewOwn(t testing.TB) *Own {
	t.Helper()
	c, err := startCluster(false)
	if errors.Is(err, ErrMissing) && os.Getenv("CI") != "true" {
		fmt.Fprintf(os.Stderr, "\n*** LEFT OUT: %s on PostgreSQL: %v\n\n", t.Name(), err)
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.stop)
	return &Own{URL: c.url(), cluster: c}
}

// Crash ends the server at once, as a fault of its machine would (its immediate
// shutdown: nothing is written any more, what was committed is recovered from
// the log), and starts it again after a pause of whole seconds. It returns when
// the signal is on its way.
func (o *Own) Crash(pause time.Duration) error {
	_, err := fmt.Fprintf(o.cluster.life, "QUIT %d\n", int(pause.Seconds()))
	return err
}

// Ready waits until the server answers, a minute at most.
func (o *Own) Ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return o.cluster.ready(ctx)
}
