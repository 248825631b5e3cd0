package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/healthix/healthix-scim/storage/pgtest"
)

// suite runs the tests with a folder for the built program.
type suite struct{ *testing.M }

var built struct {
	sync.Once
	folder, path string
	err          error
}

func (s suite) Run() int {
	code := s.M.Run()
	if built.folder != "" {
		os.RemoveAll(built.folder)
	}
	return code
}

func TestMain(m *testing.M) {
	testscript.Main(suite{m}, map[string]func(){"healthix-scim": main})
}

// binary builds the real program, once.
func binary(t *testing.T) string {
	t.Helper()
	built.Do(func() {
		if built.folder, built.err = os.MkdirTemp("", "healthix-binary-"); built.err != nil {
			return
		}
		built.path = filepath.Join(built.folder, "healthix-scim")
		cmd := exec.Command("go", "build", "-o", built.path, ".")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

// site is a folder with settings, in which the program runs.
type site struct {
	t      *testing.T
	folder string
	env    []string
}

// onBothEngines runs a test on the embedded database and on PostgreSQL.
func onBothEngines(t *testing.T, do func(t *testing.T, s *site)) {
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); do(t, newSite(t, "sqlite://healthix.db")) })
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		do(t, newSite(t, pgtest.URL(t), "HEALTHIX_DEV=true"))
	})
}

func newSite(t *testing.T, database string, more ...string) *site {
	t.Helper()
	folder := t.TempDir()
	return &site{t: t, folder: folder, env: append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "TMPDIR=" + folder,
		"HEALTHIX_DATABASE_URL=" + database, "HEALTHIX_ADDR=127.0.0.1:0", "HEALTHIX_ACTOR=tester", "HEALTHIX_RATE_LIMIT=off",
	}, more...)}
}

func (s *site) command(args ...string) *exec.Cmd {
	cmd := exec.Command(binary(s.t), args...)
	cmd.Dir, cmd.Env = s.folder, s.env
	return cmd
}

// run runs one command to its end; it must succeed.
func (s *site) run(args ...string) string {
	s.t.Helper()
	cmd := s.command(args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		s.t.Fatalf("healthix-scim %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return strings.TrimSpace(stdout.String())
}

func (s *site) mails() string { return filepath.Join(s.folder, "mail") }

// letters reads the mails that are there now.
func (s *site) letters() []letter {
	s.t.Helper()
	files, err := filepath.Glob(filepath.Join(s.mails(), "*.eml"))
	if err != nil {
		s.t.Fatal(err)
	}
	var out []letter
	for _, file := range files {
		l, err := readLetter(file)
		if err != nil {
			s.t.Fatalf("%s: %v", file, err)
		}
		out = append(out, l)
	}
	return out
}

// waitForLetter waits for a mail to an address whose text holds something.
func (s *site) waitForLetter(to, holds string) letter {
	s.t.Helper()
	var found letter
	eventually(s.t, 30*time.Second, func() error {
		for _, l := range s.letters() {
			if l.to == to && strings.Contains(l.text, holds) {
				found = l
				return nil
			}
		}
		return fmt.Errorf("no mail to %s that holds %q", to, holds)
	})
	return found
}

func eventually(t *testing.T, patience time.Duration, try func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s: %v", patience, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// node is a running server: the real program in a process of its own.
type node struct {
	t    *testing.T
	cmd  *exec.Cmd
	base string
	done chan struct{}
	err  error // of the process, once done is closed

	mu  sync.Mutex
	log strings.Builder
}

// start runs the server and waits until it listens.
func (s *site) start(args ...string) *node {
	s.t.Helper()
	n := &node{t: s.t, cmd: s.command(append([]string{"serve"}, args...)...), done: make(chan struct{})}
	stderr, err := n.cmd.StderrPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	listening := make(chan string, 1)
	go n.follow(stderr, listening)
	s.t.Cleanup(func() {
		n.cmd.Process.Kill()
		<-n.done
		if s.t.Failed() {
			s.t.Logf("the server's log:\n%s", n.logged())
		}
	})
	select {
	case address := <-listening:
		n.base = "http://" + address
	case <-n.done:
		s.t.Fatalf("the server ended: %v\n%s", n.err, n.logged())
	case <-time.After(60 * time.Second):
		s.t.Fatalf("the server does not listen\n%s", n.logged())
	}
	return n
}

func (n *node) follow(stderr io.Reader, listening chan<- string) {
	lines := bufio.NewScanner(stderr)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		n.mu.Lock()
		n.log.WriteString(lines.Text() + "\n")
		n.mu.Unlock()
		var line struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			listening <- line.Address
		}
	}
	n.err = n.cmd.Wait()
	close(n.done)
}

func (n *node) logged() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.String()
}

// signal sends a signal.
func (n *node) signal(sig os.Signal) {
	n.t.Helper()
	if err := n.cmd.Process.Signal(sig); err != nil {
		n.t.Fatal(err)
	}
}

// ended waits for the process to end and answers how.
func (n *node) ended() error {
	n.t.Helper()
	select {
	case <-n.done:
		return n.err
	case <-time.After(60 * time.Second):
		n.t.Fatalf("the server does not end\n%s", n.logged())
		return nil
	}
}

// stop ends the server with SIGTERM; it must leave with exit code 0.
func (n *node) stop() {
	n.t.Helper()
	n.signal(syscall.SIGTERM)
	if err := n.ended(); err != nil {
		n.t.Fatalf("exit after SIGTERM: %v\n%s", err, n.logged())
	}
}

// kill ends the server as a power cut would.
func (n *node) kill() {
	n.t.Helper()
	n.signal(syscall.SIGKILL)
	var exit *exec.ExitError
	if err := n.ended(); !errors.As(err, &exit) {
		n.t.Fatalf("kill -9 ended it with %v", err)
	}
}

// ask sends a request and reads the answer's JSON, if it is any. An error is
// one of the connection.
func ask(ctx context.Context, method, url, token string, body any) (status int, answer object, err error) {
	var send io.Reader = http.NoBody
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		send = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, send)
	if err != nil {
		return 0, nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	got, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer got.Body.Close()
	said, err := io.ReadAll(got.Body)
	if err != nil {
		return 0, nil, err
	}
	if err := json.Unmarshal(said, &answer); err != nil {
		answer = object{"text": string(said)}
	}
	return got.StatusCode, answer, nil
}

// must is ask for an answer that has to have a status.
func (n *node) must(want int, method, path, token string, body any) object {
	n.t.Helper()
	status, answer, err := ask(n.t.Context(), method, n.base+path, token, body)
	if err != nil || status != want {
		n.t.Fatalf("%s %s: status %d, want %d; %v %v", method, path, status, want, err, answer)
	}
	return answer
}

const extension = "urn:ietf:params:scim:schemas:extension:healthix:2.0:User"

// access is what a SCIM answer says of access.
func access(user object) object {
	a, _ := user[extension].(object)
	return a
}

// nurse is a person whose title is in the table.
func nurse(given, family string) object {
	name := strings.ToLower(given + "." + family)
	return object{
		"schemas":      array{"urn:ietf:params:scim:schemas:core:2.0:User"},
		"userName":     name,
		"name":         object{"givenName": given, "familyName": family},
		"title":        "Registered Nurse",
		"active":       true,
		"emails":       array{object{"value": name + "@mercy.example", "type": "work", "primary": true}},
		"phoneNumbers": array{object{"value": "+1 212 555 0101", "type": "mobile"}},
	}
}

func patchOp(operations ...any) object {
	return object{"schemas": array{"urn:ietf:params:scim:api:messages:2.0:PatchOp"}, "Operations": operations}
}
