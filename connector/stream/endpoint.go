package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// endpoint takes batches by POST; 2xx says that it has them.
type endpoint struct {
	address  string // without user and password
	host     string
	token    string
	exchange *http.Client
}

func newEndpoint(u *url.URL, token string) *endpoint {
	e := &endpoint{host: u.Host, token: token, exchange: &http.Client{
		// A token goes to the server that was named, and to no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if token == "" && u.User != nil {
		if password, given := u.User.Password(); given {
			e.token = password
		} else {
			e.token = u.User.Username()
		}
	}
	bare := *u
	bare.User = nil
	e.address = bare.String()
	return e
}

func (e *endpoint) Send(ctx context.Context, lines []Line) error {
	var batch bytes.Buffer
	for _, l := range lines {
		batch.Write(l.Text)
		batch.WriteByte('\n')
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.address, &batch)
	if err != nil {
		return fmt.Errorf("%s: the address is not valid", e.host)
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	if e.token != "" {
		req.Header.Set("Authorization", "Bearer "+e.token)
	}
	res, err := e.exchange.Do(req)
	if err != nil {
		var inside *url.Error // it repeats the whole address, and a path may be a secret
		if errors.As(err, &inside) {
			err = inside.Err
		}
		return fmt.Errorf("%s: %w", e.host, err)
	}
	defer res.Body.Close() //nolint:errcheck // the status says it all
	const most = 64 << 10
	io.CopyN(io.Discard, res.Body, most) //nolint:errcheck // only to use the connection again
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered with status %d", e.host, res.StatusCode)
	}
	return nil
}
