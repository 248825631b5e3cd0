package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/storage/pgtest"
)

// Two servers over one PostgreSQL send each checkpoint once, over HTTP, with the
// password of the URL and none of it in their logs.
func TestCheckpointsLeaveOverHTTP(t *testing.T) {
	var mu sync.Mutex
	var notes []string
	kept := func() int { mu.Lock(); defer mu.Unlock(); return len(notes) }
	shelf := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if _, password, _ := r.BasicAuth(); password != "s3cretpass" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.Method == http.MethodPut {
			note, _ := io.ReadAll(r.Body)
			notes = append(notes, string(note))
			return
		}
		if len(notes) == 0 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		io.WriteString(w, notes[len(notes)-1]) //nolint:errcheck // test
	}))
	defer shelf.Close()
	s := newSite(t, pgtest.URL(t), "HEALTHIX_DEV=true", "HEALTHIX_CHECKPOINT_EVERY=1s",
		"HEALTHIX_CHECKPOINT_URL="+strings.Replace(shelf.URL, "://", "://healthix:s3cretpass@", 1)+"/t0ken")
	s.run("participant", "add", "mercy", "--name", "Mercy General")
	provider := s.run("token", "issue", "--scope", "scim", "--participant", "mercy")
	one, two := s.start(), s.start()
	eventually(t, 30*time.Second, func() error {
		if kept() == 0 {
			return fmt.Errorf("none has left")
		}
		return nil
	})
	for i := range 3 {
		n := []*node{one, two}[i%2]
		n.must(201, "POST", "/scim/v2/Users", provider, nurse(fmt.Sprint("Ana", i), "Lima"))
		was := kept()
		eventually(t, 30*time.Second, func() error {
			if kept() == was {
				return fmt.Errorf("none has left after user %d", i)
			}
			return nil
		})
	}
	time.Sleep(3 * time.Second)
	was := kept()
	time.Sleep(3 * time.Second)
	if kept() != was {
		t.Error("a checkpoint left, and nothing was new")
	}
	mu.Lock()
	seen := map[string]bool{}
	for _, note := range notes {
		if seen[note] {
			t.Error("a checkpoint left twice")
		}
		seen[note] = true
	}
	mu.Unlock()
	one.stop()
	two.stop()
	shelf.Close()
	three := s.start() // the place is away
	three.must(200, "GET", "/readyz", "", nil)
	three.must(201, "POST", "/scim/v2/Users", provider, nurse("Ben", "Lima"))
	three.stop()
	for _, n := range []*node{one, two, three} {
		if log := n.logged(); strings.Contains(log, "s3cretpass") || strings.Contains(log, "t0ken") {
			t.Errorf("a log holds what the URL does:\n%s", log)
		}
	}
	if !strings.Contains(three.logged(), "not known yet") {
		t.Error("a place that is away is not told of")
	}
}

// Checkpoints go to a real mail server; nothing is read back.
func TestCheckpointsLeaveByMail(t *testing.T) {
	office := newPostOffice(t)
	s := newSite(t, "sqlite://healthix.db", "HEALTHIX_MAIL_URL=smtp://"+office.address, "HEALTHIX_MAIL_FROM=no-reply@healthix.example",
		"HEALTHIX_CHECKPOINT_URL=mailto:auditor@keep.example", "HEALTHIX_CHECKPOINT_EVERY=1s")
	s.run("participant", "add", "mercy", "--name", "Mercy General")
	n := s.start()
	eventually(t, 30*time.Second, func() error {
		office.mu.Lock()
		defer office.mu.Unlock()
		if got := office.received["auditor@keep.example"]; len(got) == 0 || !strings.Contains(got[0].id, "checkpoint-") {
			return fmt.Errorf("received: %v", got)
		}
		return nil
	})
	n.stop()
	if out, err := s.command("audit", "recover", "--reason", "x").CombinedOutput(); err == nil || !strings.Contains(string(out), "--force") {
		t.Errorf("%s %v", out, err)
	}
	s.run("audit", "recover", "--reason", "the copy of the night", "--force")
	var p struct{ Recovering *time.Time }
	decode(t, s.run("participant", "show", "mercy", "--json"), &p)
	if p.Recovering == nil {
		t.Error("the participant is open")
	}
	s.run("participant", "resume", "mercy")
	p.Recovering = nil
	decode(t, s.run("participant", "show", "mercy", "--json"), &p)
	if p.Recovering != nil {
		t.Error("the participant is closed after resume")
	}
}

// A server is killed with kill -9 while a syslog collector cuts every other
// connection in the middle: what a collector read whole is in order, and nothing
// is missing in the end.
func TestStreamSurvivesKills(t *testing.T) {
	onBothEngines(t, func(t *testing.T, s *site) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var mu sync.Mutex
		var got []int64
		go func() {
			for i := 0; ; i++ {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				if i%2 == 1 {
					io.CopyN(io.Discard, conn, 300) //nolint:errcheck // test
					conn.Close()                    //nolint:errcheck // test
					continue
				}
				whole := readSyslog(conn)
				conn.Close() //nolint:errcheck // test
				mu.Lock()
				got = append(got, whole...)
				mu.Unlock()
			}
		}()
		s.env = append(s.env, "HEALTHIX_STREAM_URL=syslog://"+l.Addr().String(), "HEALTHIX_CHECKPOINT_URL=off")
		s.run("participant", "add", "mercy", "--name", "Mercy General")
		provider := s.run("token", "issue", "--scope", "scim", "--participant", "mercy")
		for round := range 3 {
			n := s.start()
			for i := range 5 {
				n.must(201, "POST", "/scim/v2/Users", provider, nurse(fmt.Sprintf("Ana%d%d", round, i), "Lima"))
				time.Sleep(100 * time.Millisecond)
			}
			n.kill()
		}
		n := s.start()
		want := 0
		eventually(t, 60*time.Second, func() error {
			text := fmt.Sprint(n.must(200, "GET", "/metrics", "", nil)["text"])
			if !strings.Contains(text, "healthix_stream_lag_entries 0\n") {
				return fmt.Errorf("entries wait")
			}
			mu.Lock()
			defer mu.Unlock()
			for _, p := range got {
				want = max(want, int(p)+1)
			}
			if want < 18 { // a participant, a token, 15 people and what came with them
				return fmt.Errorf("%d entries are out", want)
			}
			return nil
		})
		n.stop()
		mu.Lock()
		defer mu.Unlock()
		next := int64(0)
		for _, p := range got {
			if p > next {
				t.Fatalf("position %d comes where %d belongs: %v", p, next, got)
			}
			next = max(next, p+1)
		}
	})
}

// readSyslog reads counted messages to the end, and answers their positions.
func readSyslog(conn io.Reader) (positions []int64) {
	for r := bufio.NewReader(conn); ; {
		size, err := r.ReadString(' ')
		if err != nil {
			return positions
		}
		n, err := strconv.Atoi(strings.TrimSpace(size))
		if err != nil {
			return positions
		}
		m := make([]byte, n)
		if _, err := io.ReadFull(r, m); err != nil {
			return positions
		}
		var line struct{ Position int64 }
		if _, text, found := strings.Cut(string(m), " - {"); !found || json.Unmarshal([]byte("{"+text), &line) != nil {
			return positions
		}
		positions = append(positions, line.Position)
	}
}
