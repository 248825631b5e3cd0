package litmos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/connector/litmos/litmosfake"
)

const (
	apiKey  = "5f1c0d5e-key-of-the-account-owner"
	juneID  = "0190b2a4-7c1e-7d3a-9f52-3c1e5a7b9d01"
	omarID  = "0190b2a4-7c1e-7d3a-9f52-3c1e5a7b9d02"
	ninaID  = "0190b2a4-7c1e-7d3a-9f52-3c1e5a7b9d03"
	privacy = "C-PRIVACY1"
	portal  = "C-PORTAL1"
	consent = "C-CONSENT1"
	bundle  = "LP-CLINICAL1"
)

var (
	june = Learner{UserID: juneID, GivenName: "June", FamilyName: "O'Park & Sons", Email: "june.park@general.example"}
	omar = Learner{UserID: omarID, GivenName: "Omar", FamilyName: "Haddad", Email: "omar.haddad@general.example"}
)

// stage is a fake Litmos behind real HTTP and a client of it. What the client
// says in errors is gathered and searched for secrets in the end.
type stage struct {
	t      *testing.T
	fake   *litmosfake.Fake
	client *Client
	sent   *sent

	mu   sync.Mutex
	said []string
}

// sent notes what goes out, as the wire has it.
type sent struct {
	next http.RoundTripper
	mu   sync.Mutex
	reqs []*http.Request
	body []string
}

func (s *sent) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.GetBody != nil {
		copied, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		body, _ = io.ReadAll(copied)
	}
	s.mu.Lock()
	s.reqs, s.body = append(s.reqs, r), append(s.body, string(body))
	s.mu.Unlock()
	return s.next.RoundTrip(r)
}

// requests answers "METHOD path?query body" of everything sent since it was
// asked last.
func (s *sent) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for i, r := range s.reqs {
		out = append(out, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+s.body[i]))
	}
	s.reqs, s.body = nil, nil
	return out
}

// newStage is without limits unless change sets some.
func newStage(t *testing.T, change func(*Options, *litmosfake.Options)) *stage {
	t.Helper()
	fo := litmosfake.Options{Key: apiKey, Now: time.Now, Seed: 1}
	o := Options{APIKey: apiKey, Source: "healthix test", Now: time.Now, PerMinute: 100_000}
	if change != nil {
		change(&o, &fo)
	}
	s := &stage{t: t, fake: litmosfake.New(fo)}
	server := httptest.NewServer(s.fake)
	o.URL = server.URL + "/v1.svc"
	transport := http.DefaultTransport.(*http.Transport).Clone()
	s.sent = &sent{next: transport}
	o.HTTPClient = &http.Client{Transport: s.sent, Timeout: 10 * time.Second}
	o.Source = strings.ReplaceAll(o.Source, " ", "-")
	var err error
	if s.client, err = New(o); err != nil {
		t.Fatal(err)
	}
	s.offer()
	t.Cleanup(func() {
		s.fake.Close()
		transport.CloseIdleConnections()
		server.Close()
		s.assertNoSecrets()
	})
	return s
}

func (s *stage) offer() {
	s.fake.AddCourse(privacy, "Privacy & consent <NY>")
	s.fake.AddCourse(portal, "Clinical portal")
	s.fake.AddCourse(consent, "Registration")
	if err := s.fake.AddPath(bundle, "Clinical access", portal, consent); err != nil {
		s.t.Fatal(err)
	}
}

// say keeps an error's text for the search in the end, and hands the error on.
func (s *stage) say(err error) error {
	if err != nil {
		s.mu.Lock()
		s.said = append(s.said, fmt.Sprintf("%v | %+v | %#v", err, err, err))
		for e := err; e != nil; e = errors.Unwrap(e) {
			s.said = append(s.said, e.Error())
		}
		s.mu.Unlock()
	}
	return err
}

// assertNoSecrets searches everything said for what must not be there: the key,
// sign-in keys, and what tells who somebody is.
func (s *stage) assertNoSecrets() {
	s.t.Helper()
	secrets := append(s.fake.Secrets(), apiKey, "loginkey", "hunter2", june.Email, omar.Email, june.FamilyName, omar.FamilyName)
	s.said = append(s.said, fmt.Sprintf("%v %+v %#v", s.client, s.client, s.client))
	for _, text := range s.said {
		for _, secret := range secrets {
			if strings.Contains(strings.ToLower(text), strings.ToLower(secret)) {
				s.t.Errorf("%q holds %q", text, secret)
			}
		}
	}
}

func (s *stage) enrol(l Learner) string {
	s.t.Helper()
	id, err := s.client.Enrol(s.t.Context(), l)
	if err := s.say(err); err != nil {
		s.t.Fatal(err)
	}
	return id
}

func (s *stage) assign(id string, modules ...string) {
	s.t.Helper()
	if err := s.say(s.client.Assign(s.t.Context(), id, modules...)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) complete(id, module string, at time.Time) {
	s.t.Helper()
	if err := s.fake.Complete(id, module, at); err != nil {
		s.t.Fatal(err)
	}
}

// all walks the achievements once.
func (s *stage) all(since time.Time) []Achievement {
	s.t.Helper()
	var out []Achievement
	err := s.client.Achievements(s.t.Context(), since, func(a Achievement) error {
		out = append(out, a)
		return nil
	})
	if err := s.say(err); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// virtual is a fake and a client in a bubble of virtual time: their connections
// are pipes, so that minutes pass in no time at all.
type virtual struct {
	fake   *litmosfake.Fake
	client *Client
	close  func()
}

// pipes is a listener whose connections are made by its own dial.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.done:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// newVirtual must run inside synctest.Test.
func newVirtual(t *testing.T, knobs litmosfake.Knobs) *virtual {
	t.Helper()
	v := &virtual{fake: litmosfake.New(litmosfake.Options{Key: apiKey, Now: time.Now, Seed: 1, Knobs: knobs})}
	listener := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	server := &http.Server{Handler: v.fake}
	served := make(chan struct{})
	go func() {
		defer close(served)
		server.Serve(listener)
	}()
	transport := &http.Transport{DialContext: listener.dial, MaxIdleConnsPerHost: 200}
	client, err := New(Options{
		URL: "http://127.0.0.1:1/v1.svc", APIKey: apiKey, Source: "healthix", Now: time.Now,
		HTTPClient: &http.Client{Transport: transport, Timeout: 30 * time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	v.client = client
	(&stage{t: t, fake: v.fake}).offer()
	v.close = func() {
		v.fake.Close()
		transport.CloseIdleConnections()
		server.Close()
		<-served
	}
	return v
}
