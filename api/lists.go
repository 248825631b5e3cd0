package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
)

// A list may look at every user of a participant. These bounds keep one that
// sends many of them from taking the database from the others.
const (
	listsAtOnce = 4
	listsQueued = 200
	listWait    = 10 * time.Second
)

// isList says whether a SCIM request searches: a GET of a collection or of the
// root, or any .search.
func isList(r *http.Request) bool {
	path := strings.Trim(strings.TrimPrefix(r.URL.Path, scimRoot), "/")
	if r.Method == http.MethodPost {
		return path == ".search" || strings.HasSuffix(path, "/.search")
	}
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && (path == "" || path == "Users" || path == "Groups")
}

// listTurn waits for the participant's turn to search; done ends it.
func (s *server) listTurn(w http.ResponseWriter, r *http.Request, participant string) (done func(), err error) {
	later := func() error {
		w.Header().Set("Retry-After", retryAfter(time.Second))
		return lifecycle.Faultf(kindTooMany, "", "%d searches of a participant run at a time, and too many wait; send this one again, or a cheaper one", listsAtOnce)
	}
	turn, ok := s.lists.enter(participant)
	if !ok {
		return nil, later()
	}
	ctx, cancel := context.WithTimeout(r.Context(), listWait)
	defer cancel()
	select {
	case turn <- struct{}{}:
		return func() { <-turn; s.lists.exit(participant) }, nil
	case <-ctx.Done():
		s.lists.exit(participant)
		if errors.Is(r.Context().Err(), context.Canceled) {
			return nil, context.Canceled
		}
		return nil, later()
	}
}
