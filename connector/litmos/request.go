package litmos

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	boundOne  = 1 << 20  // bytes of an answer that is one record
	boundPage = 16 << 20 // of a page: 1000 records
)

// longestRetryAfter caps what Litmos may ask for: a mistaken header must not
// silence us for days.
const longestRetryAfter = 15 * time.Minute

type request struct {
	lane   lane
	method string
	path   string // below the base URL
	query  url.Values
	body   any   // sent as JSON; nil for none
	bound  int64 // bytes of the answer
	read   func(io.Reader) error
}

// do sends one request and reads its answer. Errors name neither the learner
// nor anything that Litmos wrote.
func (c *Client) do(ctx context.Context, r request) error {
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return fmt.Errorf("request body: %w", err)
		}
		body = bytes.NewReader(text)
	}
	query := url.Values{"source": {c.source}, "format": {"json"}}
	for name, values := range r.query {
		query[name] = values
	}
	// A plus sign means a space in forms only; %20 is one everywhere.
	target := c.base + r.path + "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return errors.New("request cannot be made from the litmos URL")
	}
	req.Header.Set("apikey", c.key())
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	done, err := c.budget.take(ctx, r.lane)
	if err != nil {
		return err
	}
	defer done()
	res, err := c.http.Do(req)
	if err != nil {
		return lost(ctx, err)
	}
	defer res.Body.Close() //nolint:errcheck // read to its end or given up
	if res.StatusCode/100 != 2 {
		return c.refusal(res)
	}
	if r.read == nil {
		r.read, r.bound = discard, boundOne
	}
	in := &answer{from: res.Body, left: r.bound}
	err = r.read(in)
	switch {
	case in.failed != nil:
		return lost(ctx, in.failed)
	case in.left < 0:
		return fmt.Errorf("answer is longer than %d bytes", r.bound)
	}
	return err
}

func discard(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// answer is a bounded body that remembers how its connection failed, so that a
// cut connection is not taken for bad JSON.
type answer struct {
	from   io.Reader
	left   int64
	failed error
}

func (a *answer) Read(p []byte) (int, error) {
	if a.left < 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := a.from.Read(p)
	a.left -= int64(n)
	if err != nil && err != io.EOF { //nolint:errorlint // io.EOF is never wrapped by a Reader
		a.failed = err
	}
	return n, err
}

// refusal puts an answer that is not 2xx into our words.
func (c *Client) refusal(res *http.Response) error {
	code := res.StatusCode
	switch {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return fmt.Errorf("%w: %w (answer %d)", ErrRefused, ErrKey, code)
	case code == http.StatusNotFound:
		return ErrNotFound
	case code == http.StatusConflict:
		return &conflict{taken: saysTaken(res)}
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500:
		after, asked := retryAfter(res.Header.Get("Retry-After"), c.now())
		if asked {
			c.budget.hush(after)
		} else if code == http.StatusServiceUnavailable || code == http.StatusTooManyRequests {
			after = time.Minute // Litmos's own word for an overrun, and its window
		}
		return &busyError{what: "answer " + strconv.Itoa(code), after: after}
	}
	return fmt.Errorf("%w: answer %d", ErrRefused, code)
}

// retryAfter reads the header: seconds, or a date (RFC 9110 §10.2.3).
func retryAfter(header string, now time.Time) (time.Duration, bool) {
	if header == "" {
		return 0, false
	}
	var after time.Duration
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		after = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		after = at.Sub(now)
	} else {
		return 0, false
	}
	return min(max(after, 0), longestRetryAfter), true
}

// conflict is a 409: the name is taken, or a value is not accepted.
type conflict struct{ taken bool }

func (e *conflict) Error() string {
	if e.taken {
		return ErrOthers.Error()
	}
	return ErrRefused.Error() + ": a value is not accepted (answer 409)"
}

func (e *conflict) Is(target error) bool {
	return target == ErrOthers && e.taken || target == ErrRefused && !e.taken
}

// saysTaken tells whether a 409 is about another's record. Litmos answers
// {"Detail":"UserName already exists"}, and repeats it in the status line; the
// other texts say that something is invalid or too short.
func saysTaken(res *http.Response) bool {
	var said struct{ Detail text }
	// A body that is not JSON leaves the status line.
	_ = json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&said)
	words := strings.ToLower(string(said.Detail) + " " + res.Status)
	return !strings.Contains(words, "invalid") && !strings.Contains(words, "must be")
}

// busyError is ErrBusy with what happened and when to come back.
type busyError struct {
	what  string
	after time.Duration
}

func (e *busyError) Error() string        { return ErrBusy.Error() + ": " + e.what }
func (e *busyError) Is(target error) bool { return target == ErrBusy }

// RetryAfter is how long to wait before the next try after an ErrBusy; 0 when
// neither Litmos nor our budget says.
func RetryAfter(err error) time.Duration {
	var busy *busyError
	if errors.As(err, &busy) {
		return busy.after
	}
	return 0
}

// lost puts a failed connection into our words. net/http's own can repeat the
// URL and pieces of what the other side sent.
func lost(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Canceled
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return &busyError{what: "no answer in time"}
	}
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return fmt.Errorf("litmos's certificate: %w", certificate.Err)
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return &busyError{what: dial.Error()} // host and network only
	}
	return &busyError{what: "connection lost"}
}
