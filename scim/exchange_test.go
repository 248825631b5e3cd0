package scim_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/scim"
	"github.com/healthix/healthix-scim/storage"
)

// failing are deeds that end the way a test asks; they show how the face
// translates what real deeds answer only under stress.
type failing struct {
	scim.Deeds
	err error
}

func (f failing) Now() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }

func (f failing) CreateUser(context.Context, lifecycle.Actor, lifecycle.UserDraft) (storage.User, error) {
	if f.err == nil {
		panic("a secret in a panic")
	}
	return storage.User{}, f.err
}

func TestFaultsBecomeSCIMErrors(t *testing.T) {
	proves(t, 132, 134, 135, 136)
	for name, tc := range map[string]struct {
		err        error
		status     int
		scimType   string
		retryAfter bool
	}{
		"panic":       {nil, 500, "", false},
		"internal":    {errors.New("pq: password authentication failed for user hx"), 500, "", false},
		"taken":       {&storage.ConflictError{Attribute: "externalId"}, 409, "uniqueness", false},
		"unavailable": {storage.ErrUnavailable, 503, "", true},
		"contended":   {storage.ErrStale, 503, "", true},
		"deadline":    {context.DeadlineExceeded, 503, "", true},
		"invalid":     {lifecycle.Faultf(lifecycle.KindInvalid, "emails", "emails is wrong; send another"), 400, "invalidValue", false},
		"refused":     {lifecycle.Faultf(lifecycle.KindRefused, "", "against the rules"), 400, "invalidValue", false},
		"forbidden":   {lifecycle.Faultf(lifecycle.KindForbidden, "", "not for you"), 403, "", false},
		"stale":       {lifecycle.Faultf(lifecycle.KindStale, "", "moved"), 412, "", false},
		"not found":   {storage.ErrNotFound, 404, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			s := &server{participants: map[string]storage.Participant{"mercy": {ID: "mercy"}}}
			s.handler = newHandler(s, failing{err: tc.err})
			req := httptest.NewRequest(http.MethodPost, "/scim/v2/Users", strings.NewReader(`{"userName":"a"}`))
			w := s.do(req, "mercy")
			var body struct {
				Schemas                  []string
				Status, ScimType, Detail string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatal(err)
			}
			if w.Code != tc.status || body.ScimType != tc.scimType || (w.Header().Get("Retry-After") != "") != tc.retryAfter {
				t.Errorf("got %d %+v %v", w.Code, body, w.Header())
			}
			if body.Status != http.StatusText(tc.status) && body.Status == "" || !strings.Contains(body.Detail, "request id req-1") {
				t.Errorf("got %+v", body)
			}
			if strings.Contains(w.Body.String(), "secret") || strings.Contains(w.Body.String(), "password authentication") {
				t.Errorf("leaks: %s", w.Body)
			}
		})
	}
}

func TestBodyLimits(t *testing.T) {
	s := &server{participants: map[string]storage.Participant{"mercy": {ID: "mercy"}}}
	s.handler = newHandler(s, failing{})
	for _, tc := range []struct {
		method, path, limit string
		size                int
	}{
		{http.MethodPost, "/scim/v2/Users", "1048576", 1<<20 + 1},
		{http.MethodPatch, "/scim/v2/Groups/x", "8388608", 8<<20 + 1},
		{http.MethodPost, "/scim/v2/.search", "1048576", 1<<20 + 1},
	} {
		w := s.do(httptest.NewRequest(tc.method, tc.path, strings.NewReader(`{"x":"`+strings.Repeat("y", tc.size)+`"}`)), "mercy")
		if w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), tc.limit) {
			t.Errorf("%s %s: %d %s", tc.method, tc.path, w.Code, w.Body)
		}
	}
}

func TestDeepJSONIsRefused(t *testing.T) {
	s := &server{participants: map[string]storage.Participant{"mercy": {ID: "mercy"}}}
	s.handler = newHandler(s, failing{})
	for _, text := range []string{strings.Repeat("[", 500_000), `{"a":` + strings.Repeat(`{"a":`, 100_000), `{"emails":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`} {
		w := s.do(httptest.NewRequest(http.MethodPost, "/scim/v2/Users", strings.NewReader(text)), "mercy")
		if w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), "invalidSyntax") {
			t.Errorf("%.20s…: %d %s", text, w.Code, w.Body)
		}
	}
}

func TestLenienciesAreCountedAndLoggedByName(t *testing.T) {
	s := &server{participants: map[string]storage.Participant{"mercy": {ID: "mercy"}}}
	s.handler = newHandler(s, failing{err: storage.ErrUnavailable})
	s.do(httptest.NewRequest(http.MethodPost, "/scim/v2/Users", strings.NewReader(`{"userName":"a","active":"True","shoeSize":"forty-two","password":"hunter2"}`)), "mercy")
	for _, name := range []string{"content-type-missing", "schemas-missing", "string-boolean", "unknown-dropped", "password-dropped"} {
		if !slices.Contains(s.leniencies, name) {
			t.Errorf("%s is not counted: %v", name, s.leniencies)
		}
	}
	line := s.log.String()
	if !strings.Contains(line, "shoeSize") || strings.Contains(line, "forty-two") || strings.Contains(line, "hunter2") {
		t.Errorf("log: %s", line)
	}
}

func TestHeadHasNoBody(t *testing.T) {
	s := &server{participants: map[string]storage.Participant{"mercy": {ID: "mercy"}}}
	s.handler = newHandler(s, failing{})
	get := s.do(httptest.NewRequest(http.MethodGet, "/scim/v2/Schemas", nil), "mercy")
	head := s.do(httptest.NewRequest(http.MethodHead, "/scim/v2/Schemas", nil), "mercy")
	if head.Code != http.StatusOK || head.Body.Len() != 0 || head.Header().Get("Content-Length") != get.Header().Get("Content-Length") {
		t.Errorf("%d, %d bytes, %v", head.Code, head.Body.Len(), head.Header())
	}
}

func TestATokenWithoutParticipantIsRefused(t *testing.T) {
	s := &server{}
	s.handler = newHandler(s, failing{})
	if w := s.do(httptest.NewRequest(http.MethodGet, "/scim/v2/Users", nil), "mercy"); w.Code != http.StatusForbidden {
		t.Errorf("got %d", w.Code)
	}
}
