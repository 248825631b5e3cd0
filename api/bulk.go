package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
)

const (
	maxBulk = 16 << 20
	// bulkQueued is how many Bulks of a participant wait while one runs.
	bulkQueued   = 4
	bulkWait     = 10 * time.Minute
	bulkDeadline = 10 * time.Minute // of the work; no operation begins after it
	bulkRetry    = 15 * time.Second // what a refused client is told to wait
	// bulkWatch is how often the token of a Bulk is looked at again: with the
	// age of its record, the time in which a revocation takes effect.
	bulkWatch = time.Second
)

func isBulk(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.Trim(strings.TrimPrefix(r.URL.Path, scimRoot), "/") == "Bulk"
}

// deadline is what the whole of a request may take.
func deadline(r *http.Request) time.Duration {
	if isBulk(r) {
		return requestDeadline + bulkWait + bulkDeadline // each held by a clock of its own
	}
	return requestDeadline
}

// serveBulk is the door to a Bulk. It is one request to the rate limiter, has a
// queue of its own, and is refused only before its first operation.
func (s *server) serveBulk(w http.ResponseWriter, r *http.Request) {
	ctx, end := context.WithCancelCause(r.Context())
	defer end(nil)
	clock := time.AfterFunc(requestDeadline, func() { end(context.DeadlineExceeded) })
	defer clock.Stop()
	r = r.WithContext(ctx)

	who, err := s.admitSCIM(w, &r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	turn, ok := s.bulks.enter(who.Participant)
	if !ok {
		s.refuse(w, r, bulkLater(w))
		return
	}
	defer s.bulks.exit(who.Participant)
	body, err := readBody(w, r, maxBulk) // before the turn: a slow client holds up nobody
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	trailOf(r.Context()).heard.sent(body)
	r.Body = io.NopCloser(bytes.NewReader(body))

	clock.Reset(bulkWait)
	holdOpen(w, bulkWait)
	go s.watchBulk(r, end)
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
		err = s.tokenHolds(r) // it may have waited long
	case <-r.Context().Done():
		err = context.Cause(r.Context())
		if errors.Is(err, context.DeadlineExceeded) {
			err = bulkLater(w)
		}
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	clock.Reset(bulkDeadline)
	holdOpen(w, bulkDeadline)
	s.SCIM.ServeHTTP(w, r)
}

func bulkLater(w http.ResponseWriter) error {
	w.Header().Set("Retry-After", retryAfter(bulkRetry))
	return lifecycle.Faultf(kindTooMany, "", "one Bulk of a participant runs at a time and %d wait; send this one again later", bulkQueued)
}

// holdOpen gives a connection more time than a single request has. Its read
// deadline would end the request's context too: net/http reads on to notice
// that a client left.
func holdOpen(w http.ResponseWriter, d time.Duration) {
	until := time.Now().Add(d + writeTimeout)
	c := http.NewResponseController(w)
	_ = c.SetReadDeadline(until) // a writer without a connection has no deadline either
	_ = c.SetWriteDeadline(until)
}

// watchBulk ends a Bulk, after the operation under way, when its token holds no
// more or the server is about to stop.
func (s *server) watchBulk(r *http.Request, end context.CancelCauseFunc) {
	ctx := r.Context()
	tick := time.NewTicker(bulkWatch)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-leaving(ctx):
			end(lifecycle.Faultf(lifecycle.KindUnavailable, "", "the server is about to stop and did not carry this out; send it again"))
			return
		case <-tick.C:
			if err := s.tokenHolds(r); err != nil {
				end(err)
				return
			}
		}
	}
}

// tokenHolds checks the token of a request that was let in before.
func (s *server) tokenHolds(r *http.Request) error {
	_, err := s.Checker.Check(r.Context(), r.Header.Get("Authorization"))
	var refusal *auth.Refusal
	if errors.As(err, &refusal) {
		return lifecycle.Faultf(lifecycle.KindForbidden, "", "this was not carried out: %s", refusal.Reason)
	}
	return err
}
