package stream

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func some(from, n int) []Line {
	lines := make([]Line, n)
	for i := range lines {
		lines[i] = Line{
			Position: int64(from + i), At: time.Date(2026, 3, 2, 15, 0, 0, 7000, time.UTC), Action: "user.created",
			Text: fmt.Appendf(nil, `{"position":%d,"entry":{"name":"Zoë"}}`, from+i),
		}
	}
	return lines
}

func open(t *testing.T, url string) Sink {
	t.Helper()
	s, err := Open(url, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "entries.jsonl")
	s := open(t, "file://"+path)
	send := func(from, n int) {
		t.Helper()
		if err := s.Send(t.Context(), some(from, n)); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(path string, want string) {
		t.Helper()
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var found string
		for _, m := range regexp.MustCompile(`(?m)"position":(\d+)(,"entry":\{"name":"Zoë"\}\})?$`).FindAllStringSubmatch(string(got), -1) {
			found += m[1] + " "
		}
		if found != want || strings.Count(string(got), "\n") != strings.Count(want, " ") {
			t.Errorf("%q", got)
		}
	}
	send(0, 2)
	send(2, 1)
	holds(path, "0 1 2 ")
	// Rotated while we run.
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	send(3, 1)
	holds(path, "3 ")
	holds(path+".1", "0 1 2 ")
	// A crash left half a line.
	if err := os.WriteFile(path, []byte(`"position":9`), 0o600); err != nil {
		t.Fatal(err)
	}
	send(4, 1)
	holds(path, "9 4 ")
	if err := open(t, "file://"+filepath.Dir(path)).Send(t.Context(), some(0, 1)); err == nil {
		t.Error("a folder was written")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Send(ended, some(5, 1)); err == nil {
		t.Error("sent after its time")
	}
}

// listen is a syslog collector; serve says what it does with one connection.
func listen(t *testing.T, over *tls.Config, serve func(n int, conn net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if over != nil {
		l = tls.NewListener(l, over)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for n := 0; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { defer conn.Close(); serve(n, conn) }) //nolint:errcheck // test
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() }) //nolint:errcheck // test
	return address
}

// messages reads counted messages to the end.
func messages(conn io.Reader) (got []string, err error) {
	r := bufio.NewReader(conn)
	for {
		size, err := r.ReadString(' ')
		if errors.Is(err, io.EOF) && size == "" {
			return got, nil
		}
		if err != nil {
			return got, err
		}
		n, err := strconv.Atoi(strings.TrimSpace(size))
		if err != nil {
			return got, err
		}
		m := make([]byte, n)
		if _, err := io.ReadFull(r, m); err != nil {
			return got, err
		}
		got = append(got, string(m))
	}
}

var framed = regexp.MustCompile(`^<110>1 2026-03-02T15:00:00\.000007Z \S+ healthix-scim - user\.created - \{"position":(\d+),"entry":\{"name":"Zoë"\}\}$`)

func TestSyslogOverTCPAndTLS(t *testing.T) {
	server, client := certificate(t)
	for name, over := range map[string]*tls.Config{"syslog": nil, "syslog+tls": server} {
		t.Run(name, func(t *testing.T) {
			got := make(chan []string, 10)
			address := listen(t, over, func(_ int, conn net.Conn) {
				m, err := messages(conn)
				if err != nil && over == nil {
					t.Error(err)
				}
				got <- m
			})
			s := open(t, name+"://"+address)
			if over != nil {
				if err := s.Send(t.Context(), some(0, 1)); err == nil || !strings.Contains(err.Error(), "certificate") {
					t.Errorf("a certificate that nobody vouches for: %v", err)
				}
				<-got
				s.(*collector).tls.RootCAs = client
			}
			if err := s.Send(t.Context(), some(5, 300)); err != nil {
				t.Fatal(err)
			}
			m := <-got
			if len(m) != 300 {
				t.Fatalf("%d messages", len(m))
			}
			for i, text := range m {
				if parts := framed.FindStringSubmatch(text); parts == nil || parts[1] != strconv.Itoa(5+i) {
					t.Fatalf("%d: %q", i, text)
				}
			}
		})
	}
}

func TestSyslogThatMisbehaves(t *testing.T) {
	for name, serve := range map[string]func(conn net.Conn){
		"closes at once": func(net.Conn) {},
		"cuts in the middle": func(conn net.Conn) {
			io.CopyN(io.Discard, conn, 5000) //nolint:errcheck // test
		},
		"reads nothing": func(conn net.Conn) { time.Sleep(2 * time.Second) },
		"never closes": func(conn net.Conn) {
			io.Copy(io.Discard, conn) //nolint:errcheck // test
			time.Sleep(2 * time.Second)
		},
		"resets": func(conn net.Conn) {
			io.CopyN(io.Discard, conn, 10)   //nolint:errcheck // test
			conn.(*net.TCPConn).SetLinger(0) //nolint:errcheck // test
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, "syslog://"+listen(t, nil, func(_ int, conn net.Conn) { serve(conn) }))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			begin := time.Now()
			if err := s.Send(ctx, some(0, 2000)); err == nil {
				t.Error("taken for delivered")
			}
			if took := time.Since(begin); took > 1900*time.Millisecond {
				t.Errorf("it took %s", took)
			}
		})
	}
	t.Run("is slow", func(t *testing.T) {
		t.Parallel()
		var n atomic.Int64
		s := open(t, "syslog://"+listen(t, nil, func(_ int, conn net.Conn) {
			for buf := make([]byte, 4096); ; time.Sleep(5 * time.Millisecond) {
				k, err := conn.Read(buf)
				if n.Add(int64(k)); err != nil {
					return
				}
			}
		}))
		if err := s.Send(t.Context(), some(0, 2000)); err != nil || n.Load() < 200_000 {
			t.Errorf("%d bytes, %v", n.Load(), err)
		}
	})
	t.Run("is away", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close() //nolint:errcheck // test
		if err := open(t, "syslog://"+l.Addr().String()).Send(t.Context(), some(0, 1)); err == nil {
			t.Error("sent to nobody")
		}
	})
}

func TestSyslogOverUDP(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // test
	lines := some(0, 2)
	lines[1].Text = []byte(`"` + strings.Repeat("x", 70_000) + `"`)
	if err := open(t, "syslog+udp://"+conn.LocalAddr().String()).Send(t.Context(), lines); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 65536)
	for _, want := range []string{`{"position":0,"entry":{"name":"Zoë"}}`, `{"position":1,"tooLong":70002}`} {
		conn.SetReadDeadline(time.Now().Add(5 * time.Second)) //nolint:errcheck // test
		n, _, err := conn.ReadFrom(buf)
		if err != nil || !strings.HasSuffix(string(buf[:n]), " - "+want) {
			t.Errorf("%q, %v", buf[:n], err)
		}
	}
}

func TestEndpoint(t *testing.T) {
	var mu sync.Mutex
	status, slow := 200, false
	var body, media, bearer string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if slow {
			time.Sleep(300 * time.Millisecond)
		}
		if status == 0 { // cut in the middle
			io.CopyN(io.Discard, r.Body, 10) //nolint:errcheck // test
			panic(http.ErrAbortHandler)
		}
		text, _ := io.ReadAll(r.Body)
		body, media, bearer = string(text), r.Header.Get("Content-Type"), r.Header.Get("Authorization")
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	defer server.Close()
	s := open(t, strings.Replace(server.URL, "://", "://t0ken@", 1)+"/in")
	if err := s.Send(t.Context(), some(1, 2)); err != nil {
		t.Fatal(err)
	}
	if body != `{"position":1,"entry":{"name":"Zoë"}}`+"\n"+`{"position":2,"entry":{"name":"Zoë"}}`+"\n" || media != "application/x-ndjson" || bearer != "Bearer t0ken" {
		t.Errorf("%q %q %q", body, media, bearer)
	}
	for _, code := range []int{0, 302, 401, 413, 500} {
		mu.Lock()
		status = code
		mu.Unlock()
		if err := s.Send(t.Context(), some(1, 2000)); err == nil || strings.Contains(err.Error(), "t0ken") {
			t.Errorf("status %d: %v", code, err)
		}
	}
	mu.Lock()
	status, slow = 204, true
	mu.Unlock()
	if err := s.Send(t.Context(), some(1, 2)); err != nil {
		t.Errorf("slow: %v", err)
	}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Send(short, some(1, 2)); err == nil {
		t.Error("too slow, and taken")
	}
	given, err := Open(strings.Replace(server.URL, "://", "://user:pass@", 1), "of-a-file")
	if err != nil || given.(*endpoint).token != "of-a-file" || strings.Contains(given.(*endpoint).address, "pass") {
		t.Errorf("%+v, %v", given, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, text := range []string{
		"", "file://", "syslog://", "syslog://user:s3cret@host.example", "syslog+udp://host.example/path", "http://host.example/", "tcp://u:s3cret@host.example", "https://u:s3cret@ho st/",
	} {
		if _, err := Open(text, ""); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for text, want := range map[string]string{"syslog://h.example": "h.example:601", "syslog+tls://h.example": "h.example:6514", "syslog+udp://[::1]": "[::1]:514", "syslog://h.example:7": "h.example:7"} {
		if got := open(t, text).(*collector).address; got != want {
			t.Errorf("%s goes to %s", text, got)
		}
	}
}

// certificate is a server's for 127.0.0.1, and what a client needs to trust it.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}, pool
}
