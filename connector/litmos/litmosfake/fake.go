// Package litmosfake plays the part of Litmos's API v1 that enrolment needs, for
// tests and demonstrations: users, courses, learning paths, achievements and
// webhooks over real HTTP, in memory, with the real one's habits and, on demand,
// its bad days (Knobs). It knows nothing of the client that it is there to try,
// and must never hold real people: whoever reaches /_fake rules it.
package litmosfake

import (
	"context"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options say how the fake begins.
type Options struct {
	Key  string           // the API key it accepts
	Hook string           // where webhooks go; "" for nowhere. It may hold a secret and is never logged
	Now  func() time.Time // the clock
	Log  *slog.Logger     // nil for silence
	Seed uint64           // of what happens at random
	// HTTPClient sends the webhooks; nil for one that waits 10 seconds, as Litmos
	// does.
	HTTPClient *http.Client
	Knobs      Knobs
}

// Fake is the server; its methods may be called from several goroutines.
type Fake struct {
	key    string
	hook   string
	now    func() time.Time
	log    *slog.Logger
	client *http.Client
	mux    *http.ServeMux

	stop    context.Context
	end     context.CancelFunc
	sending sync.WaitGroup

	mu           sync.Mutex // guards all below; held for no longer than a map takes
	knobs        Knobs
	random       *rand.Rand
	serial       int
	users        map[string]*user
	order        []string // ids of users as they came
	courses      map[string]*course
	paths        map[string]*course
	achievements []achievement
	hooks        []event // held back by Knobs.HookHold
	taken        []time.Time
	counts       Counts
	calls        []string
}

// Counts tell what the fake has seen.
type Counts struct {
	Requests int `json:"requests"` // to the API
	Overruns int `json:"overruns"` // answered 503 because the minute was full
	Hooks    int `json:"hooks"`    // delivered, repeats included
}

type course struct {
	ID, Name string
	Inactive bool
	Courses  []string // of a learning path
}

// assignment is a course or path that a user has.
type assignment struct {
	at        time.Time
	completed time.Time // zero when to do
}

type user struct {
	profile
	loginKey string
	courses  map[string]*assignment
	paths    map[string]*assignment
}

// achievement is what a completion leaves for ever.
type achievement struct {
	number   int
	user     string
	module   string
	title    string
	path     bool
	at       time.Time
	appeared time.Time
}

// New makes an empty Litmos.
func New(o Options) *Fake {
	f := &Fake{
		key: o.Key, hook: o.Hook, now: o.Now, log: o.Log, client: o.HTTPClient, knobs: o.Knobs,
		random: rand.New(rand.NewPCG(o.Seed, 0)), //nolint:gosec // a bad day needs no cryptography
		serial: 368800, users: map[string]*user{}, courses: map[string]*course{}, paths: map[string]*course{},
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	if f.client == nil {
		f.client = &http.Client{Timeout: 10 * time.Second}
	}
	f.stop, f.end = context.WithCancel(context.Background())
	f.routes()
	return f
}

// Close ends deliveries and slow answers, and waits for them.
func (f *Fake) Close() {
	f.mu.Lock()
	f.end() // under the lock, so that no delivery begins after the wait
	f.mu.Unlock()
	f.sending.Wait()
}

// AddCourse offers a course.
func (f *Fake) AddCourse(id, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.courses[id] = &course{ID: id, Name: name}
}

// AddPath offers a learning path of courses that are offered already.
func (f *Fake) AddPath(id, name string, courses ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range courses {
		if f.courses[c] == nil {
			return fmt.Errorf("learning path %q: no course %q", id, c)
		}
	}
	f.paths[id] = &course{ID: id, Name: name, Courses: courses}
	return nil
}

// Retire makes a course or path inactive: what nobody has yet cannot be
// assigned any more.
func (f *Fake) Retire(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range []*course{f.courses[id], f.paths[id]} {
		if c != nil {
			c.Inactive = true
		}
	}
}

// AddUser makes a record that somebody else entered, and answers its id.
func (f *Fake) AddUser(userName, firstName, lastName, email string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := profile{UserName: userName, FirstName: firstName, LastName: lastName, Email: email, AccessLevel: "Learner", Active: true, TimeZone: "UTC"}
	return f.add(p).ID
}

// Remove deletes a record as an administrator of Litmos can.
func (f *Fake) Remove(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.users, id)
	f.order = slices.DeleteFunc(f.order, func(other string) bool { return other == id })
}

// Set turns the knobs.
func (f *Fake) Set(k Knobs) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.knobs = k
}

// Counts answers what was seen so far.
func (f *Fake) Counts() Counts {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts
}

// Calls answers the API's routes as they were called ("GET /users/{id}"), and
// forgets them.
func (f *Fake) Calls() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

// Secrets are all sign-in keys: what must be found nowhere else.
func (f *Fake) Secrets() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var keys []string
	for _, u := range f.users {
		keys = append(keys, u.loginKey)
	}
	return keys
}

// Profile is a record as stored, without the sign-in key; false when there is
// none.
func (f *Fake) Profile(id string) (map[string]any, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	u := f.users[id]
	if u == nil {
		return nil, false
	}
	return u.fields(), true
}

// Assigned are the ids of a user's courses and paths, and whether each is
// complete.
func (f *Fake) Assigned(id string) map[string]bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]bool{}
	if u := f.users[id]; u != nil {
		for course, a := range u.courses {
			out[course] = !a.completed.IsZero()
		}
		for path, a := range u.paths {
			out[path] = !a.completed.IsZero()
		}
	}
	return out
}

// Complete has a learner (id or user name) complete a course or every course of
// a path; a path whose last course is done is done too. It takes what is
// assigned, of people who can sign in. A zero instant is now.
func (f *Fake) Complete(idOrUserName, module string, at time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	u := f.find(idOrUserName)
	if at.IsZero() {
		at = f.now()
	}
	switch {
	case u == nil:
		return errors.New("no such user")
	case !u.Active:
		return errors.New("the user is inactive and cannot sign in")
	}
	todo := []string{module}
	if _, has := u.paths[module]; has {
		todo = f.paths[module].Courses
	} else if u.courses[module] == nil {
		return fmt.Errorf("%q is not assigned to the user", module)
	}
	for _, id := range todo {
		f.complete(u, id, at)
	}
	return nil
}

// complete notes one course, and the paths that end with it.
func (f *Fake) complete(u *user, id string, at time.Time) {
	a := u.courses[id]
	if a == nil || !a.completed.IsZero() {
		return
	}
	a.completed = at
	f.achieve(u, f.courses[id], false, at)
	for pathID, pa := range u.paths {
		path := f.paths[pathID]
		whole := !slices.ContainsFunc(path.Courses, func(c string) bool { return u.courses[c] == nil || u.courses[c].completed.IsZero() })
		if whole && pa.completed.IsZero() && slices.Contains(path.Courses, id) {
			pa.completed = at
			f.achieve(u, path, true, at)
		}
	}
}

func (f *Fake) achieve(u *user, c *course, path bool, at time.Time) {
	f.serial++
	a := achievement{
		number: f.serial, user: u.ID, module: c.ID, title: c.Name, path: path, at: at,
		appeared: f.now().Add(time.Duration(f.knobs.Late)),
	}
	f.achievements = append(f.achievements, a)
	f.announce(u, a)
}

// find takes an id or a user name, as Litmos does.
func (f *Fake) find(idOrUserName string) *user {
	if u := f.users[idOrUserName]; u != nil {
		return u
	}
	for _, u := range f.users {
		if strings.EqualFold(u.UserName, idOrUserName) {
			return u
		}
	}
	return nil
}

// add makes a record of a profile.
func (f *Fake) add(p profile) *user {
	f.serial++
	u := &user{profile: p, courses: map[string]*assignment{}, paths: map[string]*assignment{}}
	u.ID, u.OriginalID = f.id(), f.serial
	u.FullName = strings.TrimSpace(p.FirstName + " " + p.LastName)
	u.CreatedDate = f.now().UTC().Format("2006-01-02T15:04:05Z")
	u.loginKey = "https://fake.litmos.example//login.aspx?loginkey=" + f.id() + f.id()
	if u.Culture == "" {
		u.Culture = "en-US"
	}
	f.users[u.ID] = u
	f.order = append(f.order, u.ID)
	return u
}

// id is of the alphabet and about the length that Litmos's are.
func (f *Fake) id() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	b := make([]byte, 11)
	for i := range b {
		b[i] = alphabet[f.random.IntN(len(alphabet))]
	}
	return string(b) + "1"
}

// escaped is how Litmos writes texts into JSON.
func escaped(s string) string { return html.EscapeString(s) }
