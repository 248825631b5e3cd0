package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/healthix/healthix-scim/storage/pgtest"
)

// stage is everything that is measured, running.
type stage struct {
	o       options
	folder  string
	url     string // of the server
	echoURL string
	filled  string // URL of the server's database
	sticks  string // URL of the database of the yardsticks
	token   string // scope scim
	other   string // scope scim, of a participant with a limit of rate
	admin   string // scope operator
	portal  string // scope portal
	client  *http.Client
	server  *exec.Cmd
	ids     []string
	made    atomic.Int64
	undo    []func()
}

// setStage starts PostgreSQL (durable: fsync on), the server and the echo, and
// fills the server with users over SCIM.
func setStage(ctx context.Context, o options) (_ *stage, err error) {
	s := &stage{o: o, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: o.clients}}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if o.server, err = filepath.Abs(o.server); err != nil {
		return nil, fmt.Errorf("find the server: %w", err)
	}
	if s.folder, err = os.MkdirTemp("", "healthix-bench-"); err != nil {
		return nil, fmt.Errorf("make a folder: %w", err)
	}
	s.later(func() { os.RemoveAll(s.folder) }) //nolint:errcheck // a temporary folder
	if err = pgtest.Start(pgtest.Options{}); err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	s.later(pgtest.Stop)
	if s.filled, err = s.database(ctx); err != nil {
		return nil, err
	}
	if s.sticks, err = s.database(ctx); err != nil {
		return nil, err
	}
	if err = s.startEcho(ctx); err != nil {
		return nil, err
	}
	if err = s.startServer(ctx, o.server, s.filled); err != nil {
		return nil, err
	}
	if err = s.fill(ctx); err != nil {
		return nil, err
	}
	return s, s.settle(ctx)
}

func (s *stage) database(ctx context.Context) (string, error) {
	url, drop, err := pgtest.Database(ctx)
	if err != nil {
		return "", fmt.Errorf("make a database: %w", err)
	}
	s.later(drop)
	return url, nil
}

func (s *stage) later(f func()) { s.undo = append(s.undo, f) }

func (s *stage) close() {
	for i := len(s.undo) - 1; i >= 0; i-- {
		s.undo[i]()
	}
}

func (s *stage) startEcho(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, "-echo") //nolint:gosec // this program itself
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start echo: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start echo: %w", err)
	}
	s.later(func() { end(cmd) })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("start echo: %w", err)
	}
	s.echoURL = "http://" + strings.TrimSpace(address) + "/"
	return nil
}

// end asks a process to end and waits for it.
func end(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGTERM) // it may be gone already
	_ = cmd.Wait()
}

func (s *stage) startServer(ctx context.Context, binary, database string) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("find a port: %w", err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return fmt.Errorf("find a port: %w", err)
	}
	env := append(os.Environ(), "HEALTHIX_DATABASE_URL="+database, "HEALTHIX_ADDR="+address, "HEALTHIX_DEV=true",
		"HEALTHIX_RATE_LIMIT=off", "HEALTHIX_LOG=warn", "HEALTHIX_ACTOR=bench")
	program := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, binary, args...) //nolint:gosec // the server that was asked for
		cmd.Dir, cmd.Env, cmd.Stderr = s.folder, env, os.Stderr
		return cmd
	}
	server := program("serve")
	if err := server.Start(); err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	s.server = server
	s.later(func() { end(server) })
	s.url = "http://" + address
	if err := s.ready(ctx); err != nil {
		return err
	}
	if out, err := program("participant", "add", "bench", "--name", "Bench Hospital").Output(); err != nil {
		return fmt.Errorf("add a participant: %w: %s", err, out)
	}
	for _, args := range [][]string{{"participant", "add", "flood", "--name", "Flood Hospital"}, {"participant", "set", "flood", "rateLimit=200/1000"}} {
		if out, err := program(args...).Output(); err != nil {
			return fmt.Errorf("add the other participant: %w: %s", err, out)
		}
	}
	other, err := program("token", "issue", "--participant", "flood", "--scope", "scim").Output()
	if err != nil {
		return fmt.Errorf("issue a token: %w", err)
	}
	token, err := program("token", "issue", "--participant", "bench", "--scope", "scim").Output()
	if err != nil {
		return fmt.Errorf("issue a token: %w", err)
	}
	admin, err := program("token", "issue", "--scope", "operator", "--subject", "bench@healthix.example").Output()
	if err != nil {
		return fmt.Errorf("issue a token: %w", err)
	}
	portal, err := program("token", "issue", "--scope", "portal", "--subject", "bench").Output()
	if err != nil {
		return fmt.Errorf("issue a token: %w", err)
	}
	s.other, s.portal = strings.TrimSpace(string(other)), strings.TrimSpace(string(portal))
	s.token, s.admin = strings.TrimSpace(string(token)), strings.TrimSpace(string(admin))
	return nil
}

// drain waits until the mails that creating users promised are out, so that no
// case is measured beside another one's aftermath.
func (s *stage) drain(ctx context.Context) error {
	for {
		waiting := false
		for _, state := range []string{"available", "running"} {
			text, err := s.ask(ctx, s.url+"/api/v1/jobs?limit=1&state="+state)
			if err != nil {
				return fmt.Errorf("wait for jobs: %w", err)
			}
			var page struct{ Items []json.RawMessage }
			if err := json.Unmarshal(text, &page); err != nil {
				return fmt.Errorf("wait for jobs: %w", err)
			}
			waiting = waiting || len(page.Items) > 0
		}
		if !waiting {
			return nil
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (s *stage) ask(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.admin)
	res, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // read whole below
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %.300s", res.StatusCode, text)
	}
	return text, err
}

func (s *stage) ready(ctx context.Context) error {
	for range 300 {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/readyz", http.NoBody)
		if err != nil {
			return fmt.Errorf("ask whether the server is ready: %w", err)
		}
		if res, err := s.client.Do(req); err == nil {
			_ = res.Body.Close() // nothing of it is read
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("the server was not ready after 30 s")
}

// fill creates the users that the measuring finds.
func (s *stage) fill(ctx context.Context) error {
	fmt.Fprintf(os.Stderr, "creating %d users\n", s.o.users)
	s.ids = make([]string, s.o.users)
	var (
		wg    sync.WaitGroup
		next  atomic.Int64
		first atomic.Pointer[error]
	)
	for range s.o.clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := int(next.Add(1)) - 1; n < s.o.users && first.Load() == nil; n = int(next.Add(1)) - 1 {
				id, err := s.make(ctx, n)
				if err != nil {
					first.CompareAndSwap(nil, &err)
				}
				s.ids[n] = id
			}
		}()
	}
	wg.Wait()
	if err := first.Load(); err != nil {
		return fmt.Errorf("create users: %w", *err)
	}
	return nil
}

func (s *stage) make(ctx context.Context, n int) (id string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.users(), bytes.NewReader(user(fmt.Sprintf("u%d", n), n)))
	if err != nil {
		return "", fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Content-Type", "application/scim+json")
	res, err := s.client.Do(req)
	if err != nil {
		return "", fmt.Errorf("send request: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // read whole below
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("status %d, %w: %.300s", res.StatusCode, err, text)
	}
	var made struct{ ID string }
	if err := json.Unmarshal(text, &made); err != nil {
		return "", fmt.Errorf("read user: %w", err)
	}
	return made.ID, nil
}
