package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// cluster is a PostgreSQL in a temporary folder, reached by a socket there.
type cluster struct {
	folder string
	life   io.WriteCloser // while this is open, the cluster lives; what is written goes to guard
	ended  chan struct{}  // the guard has cleaned up
}

// guard runs the server and ends it when its standard input does, which is
// when the test process ends, be it by kill -9. A line "SIGNAL SECONDS" ends it
// by that signal and starts it again that much later.
const guard = `serve() { "$1/postgres" -D "$2/data" $3 >>"$2/log" 2>&1 & server=$!; }
serve "$@"
while read -r signal seconds; do
	kill -$signal $server
	wait $server
	sleep $seconds
	serve "$@"
done
kill -INT $server
wait $server
rm -rf "$2"`

func startCluster(unsynced bool) (*cluster, error) {
	programs, err := programs()
	if err != nil {
		return nil, err
	}
	// Not below a test's own folder: the path of a socket may have about 100
	// bytes.
	folder, err := os.MkdirTemp("", "pgtest-")
	if err != nil {
		return nil, fmt.Errorf("folder for a PostgreSQL cluster: %w", err)
	}
	c := &cluster{folder: folder, ended: make(chan struct{})}
	if err := c.start(programs, unsynced); err != nil {
		c.stop()
		return nil, errors.Join(fmt.Errorf("start PostgreSQL from %s: %w", programs, err), os.RemoveAll(folder))
	}
	return c, nil
}

func (c *cluster) start(programs string, unsynced bool) error {
	// PostgreSQL refuses to run as root.
	attributes, err := unprivileged(c.folder)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	//nolint:gosec // a program found at one of few places
	initdb := exec.CommandContext(ctx, filepath.Join(programs, "initdb"), "-D", filepath.Join(c.folder, "data"),
		"--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = c.folder, attributes
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}

	// The folder is for its owner alone, so whoever reaches the socket is trusted.
	settings := "-c listen_addresses= -c unix_socket_directories=" + c.folder + " -c max_connections=300"
	if unsynced {
		settings += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
	}
	//nolint:gosec,noctx // our own script; it lives as long as its input
	sh := exec.Command("sh", "-c", guard, "guard", programs, c.folder, settings)
	sh.Dir, sh.SysProcAttr = c.folder, attributes
	life, err := sh.StdinPipe()
	if err != nil {
		return err
	}
	if err := sh.Start(); err != nil {
		return err
	}
	c.life = life
	go func() {
		_ = sh.Wait() // how a killed server ends is of no interest
		close(c.ended)
	}()
	return c.ready(ctx)
}

// ready waits until the server answers.
func (c *cluster) ready(ctx context.Context) error {
	for {
		conn, err := pgx.Connect(ctx, c.url())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			log, _ := os.ReadFile(filepath.Join(c.folder, "log"))
			return fmt.Errorf("%w\n%s", err, log)
		}
	}
}

func (c *cluster) stop() {
	if c.life == nil {
		return
	}
	_ = c.life.Close()
	<-c.ended
	c.life = nil
}

func (c *cluster) url() string {
	return "postgres:///postgres?user=postgres&host=" + url.QueryEscape(c.folder)
}

// programs finds the folder of PostgreSQL's server programs, the newest last.
func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path), nil
		}
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/initdb", "/usr/pgsql-*/bin/initdb", "/opt/homebrew/opt/postgresql*/bin/initdb"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return filepath.Dir(slices.Max(found)), nil
		}
	}
	return "", ErrMissing
}

// unprivileged makes processes that own the folder: this user's, or when that
// is root, those of postgres or nobody. They have a process group of their own,
// so that an interrupt at the terminal reaches the tests first.
func unprivileged(folder string) (*syscall.SysProcAttr, error) {
	attributes := &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() != 0 {
		return attributes, nil
	}
	who, err := user.Lookup("postgres")
	if err != nil {
		if who, err = user.Lookup("nobody"); err != nil {
			return nil, fmt.Errorf("a user for PostgreSQL, which refuses root: %w", err)
		}
	}
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", who.Username, err)
	}
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", who.Username, err)
	}
	if err := os.Chown(folder, int(uid), int(gid)); err != nil {
		return nil, fmt.Errorf("hand the folder to %s: %w", who.Username, err)
	}
	attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attributes, nil
}
