package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// slowPost sends a request but for the last byte of its body, and returns when
// the server is reading that body: a connection that it has only taken, it may
// drop when it is told to end.
func slowPost(t *testing.T, n *node, token string) (conn net.Conn, last string) {
	t.Helper()
	body, err := json.Marshal(nurse("Ana", "Lima"))
	if err != nil {
		t.Fatal(err)
	}
	address := strings.TrimPrefix(n.base, "http://")
	conn, err = net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "POST /scim/v2/Users HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/scim+json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		address, token, len(body))
	// The server asks for the body when the handler begins to read it.
	const goOn = "HTTP/1.1 100 Continue\r\n\r\n"
	asked := make([]byte, len(goOn))
	if _, err := io.ReadFull(conn, asked); err != nil || string(asked) != goOn {
		t.Fatalf("asked %q, %v", asked, err)
	}
	fmt.Fprint(conn, string(body[:len(body)-1]))
	return conn, string(body[len(body)-1:])
}

// SIGTERM: no new connections, the request under way is answered and kept, exit
// code 0.
func TestTermDrains(t *testing.T) {
	onBothEngines(t, func(t *testing.T, s *site) {
		s.run("participant", "add", "mercy", "--name", "Mercy General")
		token := s.run("token", "issue", "--scope", "scim", "--participant", "mercy")
		n := s.start()
		conn, last := slowPost(t, n, token)
		n.signal(syscall.SIGTERM)
		eventually(t, 10*time.Second, func() error {
			probe, err := net.DialTimeout("tcp", conn.RemoteAddr().String(), time.Second)
			if err == nil {
				probe.Close()
				return errors.New("new connections are still taken")
			}
			return nil
		})
		fmt.Fprint(conn, last)
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("the request under way was cut off: %v", err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusCreated {
			t.Fatalf("the request under way was answered %s", answer.Status)
		}
		if err := n.ended(); err != nil {
			t.Fatalf("exit after SIGTERM: %v", err)
		}
		if out := s.run("user", "list"); !strings.Contains(out, "ana.lima") {
			t.Errorf("the last request is not kept:\n%s", out)
		}
	})
}

// A second signal ends a server that is still draining, at once.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t, "sqlite://healthix.db")
	s.run("participant", "add", "mercy", "--name", "Mercy General")
	token := s.run("token", "issue", "--scope", "scim", "--participant", "mercy")
	n := s.start()
	slowPost(t, n, token)
	n.signal(syscall.SIGINT)
	eventually(t, 10*time.Second, func() error {
		if !strings.Contains(n.logged(), "shutting down") {
			return errors.New("the first signal is not noticed")
		}
		return nil
	})
	select {
	case <-n.done:
		t.Fatalf("the server did not wait for the request under way: %v", n.err)
	case <-time.After(300 * time.Millisecond):
	}
	n.signal(syscall.SIGINT)
	var exit *exec.ExitError
	if err := n.ended(); !errors.As(err, &exit) {
		t.Fatalf("ended with %v after the second signal", err)
	}
}

// Behind a balancer the server says that it is not ready before it takes no
// more connections.
func TestNotReadyBeforeLeaving(t *testing.T) {
	t.Parallel()
	s := newSite(t, "sqlite://healthix.db", "HEALTHIX_TRUSTED_PROXIES=192.0.2.0/24")
	n := s.start()
	n.must(200, "GET", "/readyz", "", nil)
	n.signal(syscall.SIGTERM)
	eventually(t, time.Second, func() error {
		status, _, err := ask(t.Context(), "GET", n.base+"/readyz", "", nil)
		if status != http.StatusServiceUnavailable {
			return fmt.Errorf("readyz is %d %w", status, err)
		}
		return nil
	})
	if err := n.ended(); err != nil {
		t.Fatalf("exit after SIGTERM: %v", err)
	}
}
