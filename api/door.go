package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
)

// trail is what the door knows of a request by the time it is answered. The
// inner handlers write it, one request's goroutine at a time.
type trail struct {
	id      string
	address string
	route   string // template, never the path as sent
	who     auth.Principal
	status  int
	began   bool  // the answer's status line is out
	fault   error // why a 5xx was answered
	notes   []slog.Attr
	heard   *exchange // nil: no row in the request log
	secret  string    // that the path ended with, which r.URL does not hold any more
}

type trailKey struct{}

// trailOf answers the request's trail; a request that came through no door has
// an empty one.
func trailOf(ctx context.Context) *trail {
	if t, ok := ctx.Value(trailKey{}).(*trail); ok {
		return t
	}
	return &trail{}
}

// Note adds to the request's log line. It is for ids and names from closed sets,
// never for what people sent.
func Note(ctx context.Context, attrs ...slog.Attr) {
	t := trailOf(ctx)
	t.notes = append(t.notes, attrs...)
}

// saneID is what a caller's own request id may look like; it goes into the log
// and the record.
var saneID = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)

// door is the outermost handler: id, address, security headers, deadline,
// rescue from panics, one log line and one measurement per request.
func (s *server) door(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now() // a duration, never a fact
		r, secret := unnamed(r)
		t := &trail{id: r.Header.Get("X-Request-Id"), address: s.address(r), route: "unknown", secret: secret}
		if !saneID.MatchString(t.id) {
			t.id = uuid.NewString()
		}
		ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), trailKey{}, t), deadline(r))
		defer cancel()
		r = r.WithContext(ctx)
		watched := &watchedWriter{ResponseWriter: w, trail: t}
		if s.Requests != nil && isSCIM(r.URL.Path) {
			t.heard = &exchange{}
		}
		s.secure(w.Header())
		w.Header().Set("X-Request-Id", t.id)

		defer func() { s.leave(r, t, time.Since(begin)) }()
		defer s.rescue(watched, r)
		next.ServeHTTP(watched, r)
	})
}

// secure sets what every answer carries; a handler may say otherwise.
func (s *server) secure(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	if strings.HasPrefix(s.BaseURL, "https://") {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// rescue answers a panic with a 500 that says nothing of it.
func (s *server) rescue(w http.ResponseWriter, r *http.Request) {
	reason := recover()
	if reason == nil {
		return
	}
	if err, ok := reason.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(reason) // net/http's own way to break a connection
	}
	s.refuse(w, r, fmt.Errorf("panic: %v\n%s", reason, debug.Stack()))
}

// leave writes the request's one log line. It holds ids, never names,
// addresses of people or query strings.
func (s *server) leave(r *http.Request, t *trail, took time.Duration) {
	s.Metrics.request(r.Method, t.route, t.status, took)
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("request", t.id), slog.String("method", r.Method), slog.String("route", t.route),
		slog.Int("status", t.status), slog.Float64("durationMs", float64(took.Microseconds())/1000),
		slog.String("participant", t.who.Participant), slog.String("scope", t.who.Scope), slog.String("token", t.who.TokenID),
	}
	attrs = append(attrs, t.notes...)
	switch {
	case t.fault != nil && errors.Is(r.Context().Err(), context.Canceled):
		attrs = append(attrs, slog.Bool("clientLeft", true)) // nobody reads the answer, and nothing is wrong here
	case t.fault != nil:
		level = slog.LevelError
		attrs = append(attrs, slog.Any("error", t.fault))
	}
	s.Log.LogAttrs(context.WithoutCancel(r.Context()), level, "request", attrs...)
	if t.heard != nil {
		s.Requests.record(r, t, s.Service.Now(), took)
	}
}

// watchedWriter sees the status of an answer go out.
type watchedWriter struct {
	http.ResponseWriter
	trail *trail
}

func (w *watchedWriter) WriteHeader(status int) {
	if status >= 200 { // 1xx announce, they do not answer
		w.trail.status, w.trail.began = status, true
		w.trail.heard.made(w.Header().Get("Location"))
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *watchedWriter) Write(b []byte) (int, error) {
	if !w.trail.began {
		w.trail.status, w.trail.began = http.StatusOK, true
	}
	w.trail.heard.told(b)
	return w.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *watchedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// enter knows who asks: a valid token with one of these scopes.
func (s *server) enter(r *http.Request, scopes []string) (auth.Principal, error) {
	t := trailOf(r.Context())
	if len(r.Header.Values("Authorization")) > 1 {
		return auth.Principal{}, &auth.Refusal{Reason: "the request has more than one Authorization header"} // a proxy may have judged the other
	}
	who, err := s.Checker.Check(r.Context(), r.Header.Get("Authorization"))
	if err != nil {
		t.heard.refused(err)
		return auth.Principal{}, err
	}
	who.Actor.RequestID, who.Actor.Source = t.id, t.address
	t.who = who
	t.heard.by(who)
	for _, scope := range scopes {
		if scope == who.Scope {
			return who, s.halted(r, who)
		}
	}
	return auth.Principal{}, lifecycle.Faultf(lifecycle.KindForbidden, "",
		"a token of scope %s may not do this; it takes %s", who.Scope, strings.Join(scopes, " or "))
}

// halted refuses what must wait until an operator recovered the log: every
// change, and what the portal asks, for who has access is not known. Staff may
// look, on record as always: entries over a gap hide it at no length of the log.
func (s *server) halted(r *http.Request, who auth.Principal) error {
	if s.Halted == nil {
		return nil
	}
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead || isSCIM(r.URL.Path) && strings.HasSuffix(r.URL.Path, "/.search")
	if why := s.Halted(); why != nil && (!reads || who.Scope == auth.ScopePortal) {
		return &lifecycle.Fault{Kind: lifecycle.KindUnavailable, Err: why,
			Message: "the server waits for an operator: the database was restored, and nothing is changed until healthix-scim audit recover; try again later"}
	}
	return nil
}
