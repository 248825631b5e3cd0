package offsite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// shelf is one address of an HTTP server: PUT replaces what is there, GET reads
// it.
type shelf struct {
	address  string // without user and password
	host     string
	user     *url.Userinfo
	exchange *http.Client
}

func newShelf(u *url.URL) *shelf {
	s := &shelf{host: u.Host, user: u.User, exchange: &http.Client{
		Timeout: 30 * time.Second,
		// A password goes to the server that was named, and to no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	bare := *u
	bare.User = nil
	s.address = bare.String()
	return s
}

func (s *shelf) Put(ctx context.Context, size int64, _ time.Time, note string) error {
	status, _, err := s.ask(ctx, http.MethodPut, note)
	if err == nil && status/100 != 2 {
		err = fmt.Errorf("%s answered PUT with status %d", s.host, status)
	}
	if err != nil {
		return fmt.Errorf("put the checkpoint of %d entries: %w", size, err)
	}
	return nil
}

func (s *shelf) Latest(ctx context.Context) (string, bool, error) {
	status, note, err := s.ask(ctx, http.MethodGet, "")
	switch {
	case err != nil:
		return "", true, err
	case status == http.StatusOK:
		return note, true, nil
	case status == http.StatusNotFound, status == http.StatusNoContent:
		return "", true, nil
	}
	return "", true, fmt.Errorf("%s answered GET with status %d", s.host, status)
}

func (s *shelf) ask(ctx context.Context, method, body string) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, s.address, strings.NewReader(body))
	if err != nil {
		return 0, "", fmt.Errorf("%s: the address is not valid", s.host)
	}
	if method == http.MethodPut {
		req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	}
	if s.user != nil {
		password, _ := s.user.Password()
		req.SetBasicAuth(s.user.Username(), password)
	}
	res, err := s.exchange.Do(req)
	if err != nil {
		var inside *url.Error // it repeats the whole address, and a path may be a secret
		if errors.As(err, &inside) {
			err = inside.Err
		}
		return 0, "", fmt.Errorf("%s: %w", s.host, err)
	}
	defer res.Body.Close() //nolint:errcheck // what matters was read
	if res.StatusCode != http.StatusOK || method != http.MethodGet {
		io.CopyN(io.Discard, res.Body, longest) //nolint:errcheck // only to use the connection again
		return res.StatusCode, "", nil
	}
	answer, err = readNote(res.Body)
	if err != nil {
		return 0, "", fmt.Errorf("%s: %w", s.host, err)
	}
	return res.StatusCode, answer, nil
}
