package lifecycle_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/connector/litmos"
	"github.com/healthix/healthix-scim/connector/litmos/litmosfake"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
)

const lmsKey = "5f1c0d5e-key-of-the-account-owner"

// lms speaks to Litmos in lifecycle's words, as the program does.
type lms struct {
	client *litmos.Client
	mu     sync.Mutex
	poll   *litmos.Poll
}

func (l *lms) words(err error) error {
	for _, as := range []struct{ theirs, ours error }{
		{litmos.ErrKey, lifecycle.ErrLMSKey}, {litmos.ErrBusy, lifecycle.ErrLMSBusy}, {litmos.ErrNotFound, lifecycle.ErrLMSGone},
		{litmos.ErrOthers, lifecycle.ErrLMSRefused}, {litmos.ErrNoModule, lifecycle.ErrLMSRefused}, {litmos.ErrRefused, lifecycle.ErrLMSRefused},
	} {
		if errors.Is(err, as.theirs) {
			return fmt.Errorf("%w: %w", as.ours, err)
		}
	}
	return err
}

func (l *lms) Enrol(ctx context.Context, who lifecycle.Trainee) (string, error) {
	id, err := l.client.Enrol(ctx, litmos.Learner{UserID: who.User, GivenName: who.GivenName, FamilyName: who.FamilyName, Email: who.Email})
	return id, l.words(err)
}

func (l *lms) Find(ctx context.Context, user string) (string, error) {
	id, err := l.client.Find(ctx, user)
	return id, l.words(err)
}

func (l *lms) Assign(ctx context.Context, id string, courses []string) error {
	return l.words(l.client.Assign(ctx, id, courses...))
}

func (l *lms) Reset(ctx context.Context, id, course string) error {
	return l.words(l.client.Reset(ctx, id, course))
}

func (l *lms) Deactivate(ctx context.Context, id string) error {
	return l.words(l.client.Deactivate(ctx, id))
}

func completion(a litmos.Achievement) lifecycle.Completion {
	return lifecycle.Completion{Key: a.Key(), ID: a.LitmosID, Course: a.Module, At: a.CompletedAt}
}

func (l *lms) Completed(ctx context.Context, id string) ([]lifecycle.Completion, error) {
	all, err := l.client.Completed(ctx, id)
	out := make([]lifecycle.Completion, len(all))
	for i, a := range all {
		out[i] = completion(a)
	}
	return out, l.words(err)
}

func (l *lms) Completions(ctx context.Context, since time.Time, f func(lifecycle.Completion) error) (time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.poll == nil || !l.poll.Since().Equal(since) {
		l.poll = l.client.PollFrom(since)
	}
	err := l.poll.Next(ctx, func(a litmos.Achievement) error { return f(completion(a)) })
	return l.poll.Since(), l.words(err)
}

// school is a house whose people are trained in the fake Litmos, over HTTP.
type school struct {
	*house
	fake  *litmosfake.Fake
	lms   *lms
	asks  *httptest.Server
	hooks *httptest.Server
	log   *bytes.Buffer
	path  string // of the database's file, "" on PostgreSQL
}

// atSchool runs a test on SQLite and on PostgreSQL.
func atSchool(t *testing.T, test func(s *school)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "house.db")
		s := newSchool(t, "sqlite://"+path)
		s.path = path
		test(s)
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(newSchool(t, pgtest.URL(t)))
	})
}

func newSchool(t *testing.T, url string) *school {
	t.Helper()
	s := &school{house: newHouseAt(t, url), log: &bytes.Buffer{}}
	s.hooks = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if id, ok := litmos.ParseHook(body); ok {
			if err := s.HintCompletion(r.Context(), id); err != nil {
				t.Error(err)
			}
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	s.fake = litmosfake.New(litmosfake.Options{Key: lmsKey, Hook: s.hooks.URL, Now: s.clock.Now, Seed: 1})
	s.fake.AddCourse("C-1", "Policy")
	s.fake.AddCourse("C-2", "Portal")
	s.fake.AddCourse("C-3", "Emergency")
	s.asks = httptest.NewServer(s.fake)
	t.Cleanup(func() {
		s.fake.Close()
		s.asks.Close()
		s.hooks.Close()
	})
	s.restart()
	s.applied(s.planOf(courses(t)).ID)
	return s
}

func (s *school) planOf(document []byte) storage.Plan {
	s.t.Helper()
	p, _ := s.planned(lifecycle.PlanSpec{Document: document})
	return p
}

// courses is the default policy with courses.
func courses(t testing.TB, pairs ...string) []byte {
	t.Helper()
	return document(t, append([]string{
		"nys-policy:          New York State policy, privacy and consent", "nys-policy: {name: State policy, litmos: C-1}",
		"clinical-access:     Clinical portal", "clinical-access: {name: Clinical portal, litmos: C-2}",
		"break-the-glass:     Emergency access", "break-the-glass: {name: Emergency access, litmos: C-3}",
	}, pairs...)...)
}

// restart makes a new Service on the same store: it remembers nothing.
func (s *school) restart() {
	s.t.Helper()
	client, err := litmos.New(litmos.Options{URL: s.asks.URL, APIKey: lmsKey, Source: "healthix", Now: s.clock.Now, PerMinute: 100_000})
	if err != nil {
		s.t.Fatal(err)
	}
	s.lms = &lms{client: client}
	s.Service = s.serviceWith(s.lms)
}

func (s *school) serviceWith(l lifecycle.LMS) *lifecycle.Service {
	s.t.Helper()
	made, err := lifecycle.New(lifecycle.Options{
		Store: s.store, Mailer: s.post, Key: bytes.Repeat([]byte("k"), 32), PortalURL: "https://portal.example", Clock: s.clock.Now,
		LMS: l, Log: slog.New(slog.NewTextHandler(s.log, nil)),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return made
}

// tell does all that can be done now: jobs, and what the LMS is to be told and
// asked.
func (s *school) tell() {
	s.t.Helper()
	for more := true; more; {
		s.work()
		tended, err := s.TendLearners(s.ctx)
		if err != nil && !errors.Is(err, lifecycle.ErrLMSKey) {
			s.t.Fatal(err)
		}
		asked, err := s.ConfirmLearners(s.ctx)
		if err != nil && !errors.Is(err, lifecycle.ErrLMSBusy) {
			s.t.Fatal(err)
		}
		more = err == nil && tended+asked > 0
	}
	s.work()
}

func (s *school) pollNow() {
	s.t.Helper()
	if err := s.PollLMS(s.ctx); err != nil {
		s.t.Fatal(err)
	}
}

// enrolled is somebody who was invited, with their record's id.
func (s *school) enrolled(name, title string) (storage.User, string) {
	s.t.Helper()
	u := s.create(mercy, person(name, title))
	s.tell()
	l := s.learner(u.ID)
	if l.State != storage.LearnerEnrolled || l.LMSID == "" {
		s.t.Fatalf("%s is %s: %s", name, l.State, l.Why)
	}
	return u, l.LMSID
}

func (s *school) learner(user string) storage.Learner {
	s.t.Helper()
	l, found, err := s.store.FindLearner(s.ctx, user)
	if err != nil || !found {
		s.t.Fatalf("learner %s: found %v, %v", user, found, err)
	}
	return l
}

func (s *school) is(user, state string) storage.Learner {
	s.t.Helper()
	l := s.learner(user)
	if l.State != state {
		s.t.Errorf("the learner is %s (%s), want %s", l.State, l.Why, state)
	}
	return l
}

func (s *school) complete(id string, at time.Time, modules ...string) {
	s.t.Helper()
	for _, m := range modules {
		if err := s.fake.Complete(id, m, at); err != nil {
			s.t.Fatal(err)
		}
	}
}

// hooked waits until the fake delivered so many webhooks.
func (s *school) hooked(n int) {
	s.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); s.fake.Counts().Hooks < n; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%d webhooks arrived, want %d", s.fake.Counts().Hooks, n)
		}
	}
}

func (s *school) mails(name string, want ...string) {
	s.t.Helper()
	if got := s.post.to(name + "@mail.example"); !slices.Equal(got, want) {
		s.t.Errorf("mails to %s: %v, want %v", name, got, want)
	}
}

// evidence lists modules with valid evidence, one for each row.
func (s *school) evidence(user string, want ...string) {
	s.t.Helper()
	rows, err := s.store.ListEvidence(s.ctx, user)
	if err != nil {
		s.t.Fatal(err)
	}
	got := []string{}
	for _, e := range rows {
		got = append(got, e.Module)
		if e.Source != "lms" {
			s.t.Errorf("evidence of %s comes from %s", e.Module, e.Source)
		}
	}
	slices.Sort(got)
	if fmt.Sprint(got) != fmt.Sprint(append([]string{}, want...)) {
		s.t.Errorf("evidence of %v, want %v", got, want)
	}
}

func (s *school) assigned(id, want string) {
	s.t.Helper()
	if got := fmt.Sprint(s.fake.Assigned(id)); got != want {
		s.t.Errorf("assigned are %s, want %s", got, want)
	}
}

func (s *school) active(id string, want bool) {
	s.t.Helper()
	p, found := s.fake.Profile(id)
	if !found || p["Active"] != want {
		s.t.Errorf("record %s: found %v, active %v, want %v", id, found, p["Active"], want)
	}
}

// posts counts calls to one route since the fake was asked last.
func count(calls []string, route string) int {
	n := 0
	for _, c := range calls {
		if c == route {
			n++
		}
	}
	return n
}

const both = "map[C-1:false C-2:false]"
