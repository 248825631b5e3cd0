package litmos

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/connector/litmos/litmosfake"
)

func TestNewRefuses(t *testing.T) {
	good := Options{URL: "https://api.litmos.com/v1.svc", APIKey: apiKey, Source: "healthix", Now: time.Now}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Options){
		"no URL":            func(o *Options) { o.URL = "" },
		"no host":           func(o *Options) { o.URL = "https:///v1.svc" },
		"other scheme":      func(o *Options) { o.URL = "ftp://api.litmos.com" },
		"http to anybody":   func(o *Options) { o.URL = "http://api.litmos.com/v1.svc" },
		"http to any IP":    func(o *Options) { o.URL = "http://192.0.2.1/v1.svc" },
		"password":          func(o *Options) { o.URL = "https://u:hunter2@api.litmos.com" },
		"broken password":   func(o *Options) { o.URL = "https://u:hunter2%@api.litmos.com" },
		"query":             func(o *Options) { o.URL += "?apikey=hunter2" },
		"no key":            func(o *Options) { o.APIKey = "" },
		"key of two lines":  func(o *Options) { o.APIKey = "hunter2\r\nHost: evil" },
		"key too long":      func(o *Options) { o.APIKey = strings.Repeat("hunter2", 8) },
		"no source":         func(o *Options) { o.Source = "" },
		"no clock":          func(o *Options) { o.Now = nil },
		"hardly any budget": func(o *Options) { o.PerMinute = 9 },
		"no check of TLS": func(o *Options) {
			transport := http.DefaultTransport.(*http.Transport).Clone()
			transport.TLSClientConfig.InsecureSkipVerify = true
			o.HTTPClient = &http.Client{Transport: transport}
		},
	} {
		o := good
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s is accepted", name)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error repeats a secret: %v", name, err)
		}
	}
	for given, want := range map[string]string{
		"https://api.litmos.com":              "https://api.litmos.com/v1.svc",
		"https://api.litmoseu.com/v1.svc/":    "https://api.litmoseu.com/v1.svc",
		"http://localhost:9090":               "http://localhost:9090/v1.svc",
		"http://[::1]:9090/v1.svc":            "http://[::1]:9090/v1.svc",
		"https://proxy.example/litmos/v1.svc": "https://proxy.example/litmos/v1.svc",
	} {
		if got, err := baseURL(given); got != want {
			t.Errorf("%s becomes %q, %v", given, got, err)
		}
	}
}

// What each of Litmos's bad days means to a job.
func TestBadDays(t *testing.T) {
	for fate, tc := range map[string]struct {
		is    []error
		after time.Duration
	}{
		"503":     {[]error{ErrBusy}, time.Minute},
		"429":     {[]error{ErrBusy}, time.Minute},
		"504":     {[]error{ErrBusy}, 0},
		"500":     {[]error{ErrBusy}, 0},
		"drop":    {[]error{ErrBusy}, 0},
		"lost":    {[]error{ErrBusy}, 0},
		"cut":     {[]error{ErrBusy}, 0},
		"401":     {[]error{ErrRefused, ErrKey}, 0},
		"garbage": {nil, 0},
	} {
		t.Run(fate, func(t *testing.T) {
			s := newStage(t, nil)
			id := s.enrol(june)
			s.assign(id, privacy)
			s.complete(id, privacy, march)
			for name, do := range map[string]func() error{
				"enrol":        func() error { _, err := s.client.Enrol(t.Context(), june); return err },
				"deactivate":   func() error { return s.client.Deactivate(t.Context(), id) },
				"assign":       func() error { return s.client.Assign(t.Context(), id, portal) },
				"reset":        func() error { return s.client.Reset(t.Context(), id, consent) },
				"completed":    func() error { _, err := s.client.Completed(t.Context(), id); return err },
				"achievements": func() error { return s.client.Achievements(t.Context(), march, func(Achievement) error { return nil }) },
			} {
				// A look that is cut is repeated once by net/http on a new connection.
				s.fake.Set(litmosfake.Knobs{Next: []string{fate, fate, fate}})
				err := s.say(do())
				if err == nil {
					t.Errorf("%s goes well", name)
					continue
				}
				for _, kind := range []error{ErrBusy, ErrRefused, ErrKey, ErrNotFound, ErrOthers, ErrNoModule} {
					if want := slices.Contains(tc.is, kind); errors.Is(err, kind) != want {
						t.Errorf("%s: %v; is %q: %v", name, err, kind, !want)
					}
				}
				if got := RetryAfter(err); got != tc.after {
					t.Errorf("%s: %v; again after %s, want %s", name, err, got, tc.after)
				}
			}
			s.fake.Set(litmosfake.Knobs{})
			s.enrol(june)
		})
	}
}

func TestStatuses(t *testing.T) {
	for code, want := range map[int]error{
		400: ErrRefused, 403: ErrKey, 404: ErrNotFound, 406: ErrRefused, 408: ErrBusy, 410: ErrRefused, 429: ErrBusy,
		301: ErrRefused, 302: ErrRefused, 304: ErrRefused, 500: ErrBusy, 502: ErrBusy, 503: ErrBusy, 504: ErrBusy,
	} {
		c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
			io.WriteString(w, june.Email)
		})
		_, err := c.Completed(t.Context(), "abc1")
		if !errors.Is(err, want) || strings.Contains(err.Error(), june.Email) {
			t.Errorf("%d: %v, want %v", code, err, want)
		}
	}
}

// A redirect would carry the key to whoever it names.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var stolen atomic.Int64
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	defer thief.Close()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
	})
	if _, err := c.Enrol(t.Context(), june); !errors.Is(err, ErrRefused) {
		t.Errorf("Enrol = %v, want ErrRefused", err)
	}
	if stolen.Load() != 0 {
		t.Error("the redirect was followed")
	}
}

func TestRetryAfterHeader(t *testing.T) {
	now := time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"7": 7 * time.Second, "0": 0, "Mon, 02 Mar 2026 15:00:30 GMT": 30 * time.Second,
		"Mon, 02 Mar 2026 14:00:30 GMT": 0, "86400": longestRetryAfter, "2147483647": longestRetryAfter,
	} {
		if got, ok := retryAfter(header, now); got != want || !ok {
			t.Errorf("%q: %s, %v", header, got, ok)
		}
	}
	for _, header := range []string{"", "-1", "soon", "99999999999999999999", "1.5"} {
		if got, ok := retryAfter(header, now); ok {
			t.Errorf("%q is taken for %s", header, got)
		}
	}
}

func TestSlowAnswers(t *testing.T) {
	s := newStage(t, nil)
	s.fake.Set(litmosfake.Knobs{Delay: litmosfake.Duration(5 * time.Second)})
	s.client.http.Timeout = 50 * time.Millisecond
	if _, err := s.client.Enrol(t.Context(), june); !errors.Is(s.say(err), ErrBusy) {
		t.Errorf("Enrol = %v, want ErrBusy", err)
	}
	s.client.http.Timeout = 0
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.client.Enrol(short, june); !errors.Is(s.say(err), ErrBusy) {
		t.Errorf("Enrol = %v, want ErrBusy", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := s.client.Enrol(gone, june); !errors.Is(s.say(err), context.Canceled) || errors.Is(err, ErrBusy) {
		t.Errorf("Enrol = %v, want the context's error", err)
	}
}

func TestLitmosAway(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	c, err := New(Options{URL: "http://" + address, APIKey: apiKey, Source: "healthix", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Enrol(t.Context(), june)
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), address) {
		t.Errorf("Enrol = %v, want ErrBusy and where", err)
	}
}

// What is no HTTP is not repeated in the error.
func TestAnswerThatIsNoHTTP(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, "LoginKey=hunter2\r\n\r\n")
			conn.Close()
		}
	}()
	c, err := New(Options{URL: "http://" + listener.Addr().String(), APIKey: apiKey, Source: "healthix", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Enrol(t.Context(), june); !errors.Is(err, ErrBusy) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("Enrol = %v", err)
	}
}

func TestOnlyALitmosThatProvesItself(t *testing.T) {
	fake := litmosfake.New(litmosfake.Options{Key: apiKey, Now: time.Now})
	defer fake.Close()
	server := httptest.NewUnstartedServer(fake)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	o := Options{URL: server.URL, APIKey: apiKey, Source: "healthix", Now: time.Now}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Enrol(t.Context(), june); err == nil || errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("Enrol = %v, want a complaint about the certificate", err)
	}
	if n := fake.Counts().Requests; n != 0 {
		t.Errorf("%d requests went to an unproven Litmos", n)
	}
	o.HTTPClient = server.Client()
	if c, err = New(o); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Enrol(t.Context(), june); err != nil {
		t.Errorf("Enrol = %v", err)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	var written atomic.Int64
	endless := func(w io.Writer, begin, more string) {
		written.Store(0)
		io.WriteString(w, begin)
		chunk := bytes.Repeat([]byte(more), 1+10_000/len(more))
		for range 6000 { // 60 MB
			n, err := w.Write(chunk)
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	}
	for name, tc := range map[string]struct {
		begin, more string
		most        int64 // a bound and what connections hold on their way
		do          func(*Client) error
	}{
		"a record":  {`{"Id":"abc1","UserName":"`, "x", boundOne + 20<<20, func(c *Client) error { _, err := c.Enrol(t.Context(), june); return err }},
		"a page":    {"[{}", `,{"Title":"` + strings.Repeat("x", 500) + `"}`, boundPage + 20<<20, func(c *Client) error { _, err := c.Completed(t.Context(), "abc1"); return err }},
		"unread":    {"", "x", boundOne + 20<<20, func(c *Client) error { return c.Deactivate(t.Context(), "abc1") }},
		"a refusal": {`{"Detail":"`, "x", boundOne + 20<<20, func(c *Client) error { return c.Deactivate(t.Context(), "conflict1") }},
	} {
		ended := make(chan struct{}, 1)
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet && (name == "unread" || name == "a refusal") {
				io.WriteString(w, `{"Id":"`+r.URL.Path[len("/v1.svc/users/"):]+`","Active":true}`)
				return
			}
			if name == "a refusal" {
				w.WriteHeader(http.StatusConflict)
			}
			endless(w, tc.begin, tc.more)
			ended <- struct{}{}
		})
		err := tc.do(c)
		if err == nil || name != "a refusal" && !strings.Contains(err.Error(), "longer than") {
			t.Errorf("%s: %v", name, err)
		}
		<-ended
		if n := written.Load(); n > tc.most {
			t.Errorf("%s: %d bytes were taken, want %d at most", name, n, tc.most)
		}
	}
}

// A bad hour of everything at once: whatever is said holds no secret (the stage
// looks), and in the end everything is as it should be, once.
func TestABadHour(t *testing.T) {
	s := newStage(t, nil)
	s.fake.Set(litmosfake.Knobs{Trouble: 0.3, Repeat: true, Shuffle: true})
	now := time.Now()
	until := func(do func() error) {
		t.Helper()
		for range 200 {
			if s.say(do()) == nil {
				return
			}
		}
		t.Fatal("200 tries, and no end")
	}
	ids := map[string]string{}
	for _, l := range []Learner{june, omar} {
		until(func() (err error) {
			ids[l.UserID], err = s.client.Enrol(t.Context(), l)
			return err
		})
		id := ids[l.UserID]
		until(func() error { return s.client.Assign(t.Context(), id, privacy, bundle) })
		s.complete(id, privacy, now)
		s.complete(id, bundle, now)
		until(func() error { return s.client.Deactivate(t.Context(), id) })
		until(func() error { return s.client.Reactivate(t.Context(), id) })
		until(func() error {
			got, err := s.client.Completed(t.Context(), id)
			if err == nil && len(got) != 4 {
				t.Errorf("completed %v", got)
			}
			return err
		})
	}
	if len(s.said) == 0 {
		t.Error("nothing went wrong: this hour tests nothing")
	}
	told := map[string]int{}
	poll := s.client.PollFrom(now.Add(-time.Hour))
	until(func() error {
		return poll.Next(t.Context(), func(a Achievement) error { told[a.LitmosID+" "+a.Module]++; return nil })
	})
	if len(told) != 8 {
		t.Errorf("told %v", told)
	}
	for what, n := range told {
		if n != 1 {
			t.Errorf("%s told %d times", what, n)
		}
	}
	s.fake.Set(litmosfake.Knobs{})
	for _, l := range []Learner{june, omar} {
		if id := s.enrol(l); id != ids[l.UserID] {
			t.Errorf("a second record %s beside %s", id, ids[l.UserID])
		}
	}
}
