// Package litmos enrols people as learners in the Litmos LMS, assigns them what
// their role's modules need, and reads what they completed: Litmos REST API v1,
// as JSON. It stores nothing, starts no goroutine, repeats no request of its own
// (jobs do that; net/http itself opens one new connection when a kept one turns
// out to be closed), adopts nobody else's record, and repeats neither a secret
// nor Litmos's own words in an error.
//
// Known, from Litmos's developer pages (www.litmos.com/docs/litmos/apis,
// …/webhooks, and the API's published description) and from exchanges recorded
// by public clients:
//
//   - the key travels in the header apikey, source and format=json in the query;
//     a key has 100 requests a minute, and an overrun answers 503
//   - GET /users/{id} takes a user name too; POST /users answers 201 with the
//     record, PUT /users/{id} 200 with nothing; a PUT writes the whole record,
//     its Id must equal the path's (else 404), and fields come in a fixed order
//   - 409 says that a user name is taken, but also that an address, user name,
//     culture or job role is invalid: only the text tells them apart
//   - text comes HTML-escaped inside JSON; a record holds LoginKey, a link that
//     signs the learner in without a password
//   - course ids that Litmos does not know are ignored without a word
//   - lists page by start and limit (100 unless asked, at most 1000); since is
//     "yyyy-MM-dd HH:mm:ss"; achievements come newest first
//   - a webhook is one JSON object with an event type and the learner's id,
//     unsigned, perhaps repeated, and wants 200, 201 or 202 within 10 seconds
//
// Assumed, to be seen against a real account (docs/litmos.md says how it shows
// when an assumption is wrong):
//
//   - since and dates without a zone are UTC; Overlap forgives any other zone
//   - completing a learning path is an achievement with the path's id as its
//     CourseId (LearningPathId is read when CourseId is empty)
//   - LoginKey and Password sent as "" leave them as they are
//   - a reset leaves the old achievement; the next completion makes a new one
package litmos

import (
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// What an error says about another try: one that wraps none of these may be
// gone by then.
var (
	// ErrBusy: Litmos is overrun, away or too slow (5xx, 408, 429, timeouts, cut
	// connections). RetryAfter says when to come back.
	ErrBusy = errors.New("litmos is busy")
	// ErrRefused: the same request will be refused again (4xx).
	ErrRefused = errors.New("litmos refused")
	// ErrKey comes with ErrRefused when it is the API key that is refused (401,
	// 403): other requests will be refused too, until the key is mended.
	ErrKey = errors.New("the API key is not accepted")
	// ErrNotFound: there is no such record (404).
	ErrNotFound = errors.New("litmos has no such record")
	// ErrOthers: the user name or address belongs to a record that is not ours.
	ErrOthers = errors.New("another litmos record holds the user name or address")
	// ErrNoModule: Litmos has no course or learning path of that id, or did not
	// keep its assignment.
	ErrNoModule = errors.New("litmos does not offer the module")
)

// Options say which Litmos, as whom.
type Options struct {
	// URL of the API: https://api.litmos.com/v1.svc, or its host alone. Plain
	// http is for loopback.
	URL    string
	APIKey string // an Account Owner's; at most 50 characters
	Source string // what Litmos's logs shall call us; at most 50 characters

	// Now is the clock.
	Now func() time.Time
	// HTTPClient is nil for one with a timeout of 30 seconds. Redirects are never
	// followed, whatever it says: they would carry the key elsewhere.
	HTTPClient *http.Client
	// PerMinute is how many requests this process may send in any minute; 0 is
	// Litmos's 100. Processes that share a key divide it among themselves.
	PerMinute int
	// Quiet keeps Litmos from mailing a new learner the way to sign in: for
	// accounts with single sign-on.
	Quiet bool
}

// perMinute is what Litmos grants one API key.
const perMinute = 100

// Client speaks to one Litmos account; its methods may be called from several
// goroutines. Calls that change one learner are read, change, write: the caller
// sees to it that there is one at a time per learner.
type Client struct {
	base   string
	key    func() string // a text would show when a Client is printed
	source string
	quiet  bool
	now    func() time.Time
	http   http.Client
	budget *budget

	mu    sync.Mutex
	kinds map[string]kind // of modules seen; a module's kind never changes
}

// New makes a client; it sends nothing yet.
func New(o Options) (*Client, error) {
	base, err := baseURL(o.URL)
	switch {
	case err != nil:
		return nil, err
	case !isToken(o.APIKey):
		return nil, errors.New("litmos API key: want 1 to 50 printable characters")
	case !isToken(o.Source):
		return nil, errors.New("litmos source: want 1 to 50 printable characters without spaces")
	case o.Now == nil:
		return nil, errors.New("litmos client: no clock")
	case o.PerMinute != 0 && o.PerMinute < 10:
		return nil, errors.New("litmos requests per minute: want 10 or more")
	}
	c := &Client{
		base: base, key: func() string { return o.APIKey }, source: o.Source, quiet: o.Quiet, now: o.Now,
		kinds: map[string]kind{},
	}
	if o.HTTPClient != nil {
		c.http = *o.HTTPClient
	} else {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		c.http = http.Client{Transport: transport, Timeout: 30 * time.Second}
	}
	if t, ok := c.http.Transport.(*http.Transport); ok && t.TLSClientConfig != nil && t.TLSClientConfig.InsecureSkipVerify {
		return nil, errors.New("litmos client: the connection must check Litmos's certificate")
	}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	n := o.PerMinute
	if n == 0 {
		n = perMinute
	}
	c.budget = newBudget(n, o.Now)
	return c, nil
}

// baseURL is the API's address without a slash at the end. The given text may
// hold a password, so that no error repeats it.
func baseURL(given string) (string, error) {
	u, err := url.Parse(given)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("litmos URL: want https://HOST/v1.svc")
	}
	switch u.Scheme {
	case "https":
	case "http":
		if ip := net.ParseIP(u.Hostname()); u.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return "", errors.New("litmos URL: want https; http is for loopback")
		}
	default:
		return "", errors.New("litmos URL: want https://HOST/v1.svc")
	}
	path := strings.TrimRight(u.EscapedPath(), "/")
	if path == "" {
		path = "/v1.svc"
	}
	return u.Scheme + "://" + u.Host + path, nil
}

func isToken(s string) bool {
	return s != "" && len(s) <= 50 && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// isID tells whether s can be an id of Litmos's (they are letters, digits, "-"
// and "_", at most 50). Nothing else gets into a path.
func isID(s string) bool {
	return s != "" && len(s) <= 50 && !strings.ContainsFunc(s, func(r rune) bool {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '_':
			return false
		}
		return true
	})
}
