package api

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

const (
	scimNewest = "/scim"
	scimRoot   = scimNewest + "/v2"
)

func isSCIM(path string) bool { return path == scimNewest || strings.HasPrefix(path, scimNewest+"/") }

// versioned puts the newest version into a path without one (RFC 7644 §3.13).
// The SCIM handler refuses any other.
func versioned(path string) string {
	rest := strings.TrimPrefix(path, scimNewest)
	if len(rest) > 2 && (rest[1] == 'v' || rest[1] == 'V') && rest[2] >= '0' && rest[2] <= '9' {
		return path
	}
	return scimRoot + rest
}

// scimResources are the first path segments that metrics and log may name, and
// whether a read of them is a read of people.
var scimResources = map[string]bool{
	"Users": true, "Groups": true, "Me": true, ".search": true, "Bulk": true,
	"Schemas": false, "ResourceTypes": false, "ServiceProviderConfig": false,
}

// scimRoute is the template of a SCIM path.
func scimRoute(path string) (route string, people bool) {
	first, rest, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(path, scimRoot), "/"), "/")
	people, known := scimResources[first]
	switch {
	case !known:
		return scimRoot + "/*", true // whatever it is, it is not known to be harmless
	case rest == "":
		return scimRoot + "/" + first, people
	case rest == ".search":
		return scimRoot + "/" + first + "/.search", people
	default:
		return scimRoot + "/" + first + "/{id}", people
	}
}

// serveSCIM is the door to the SCIM handler: token, participant, rate, size.
func (s *server) serveSCIM(w http.ResponseWriter, r *http.Request) {
	if path := versioned(r.URL.Path); path != r.URL.Path {
		r = r.Clone(r.Context())
		r.URL.Path = path
	}
	route, people := scimRoute(r.URL.Path)
	trailOf(r.Context()).route = route
	if isBulk(r) {
		s.serveBulk(w, r)
		return
	}
	who, err := s.admitSCIM(w, &r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	body, err := readBody(w, r, scimLimit(r))
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	trailOf(r.Context()).heard.sent(body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if isList(r) && who.Participant != "" {
		done, err := s.listTurn(w, r, who.Participant)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		defer done()
	}
	if who.Scope != auth.ScopeAuditor || !people {
		s.SCIM.ServeHTTP(w, r)
		return
	}
	answer := &held{header: w.Header(), status: http.StatusOK}
	s.SCIM.ServeHTTP(answer, r)
	if err := s.readLog(r.Context(), who.Actor, lifecycle.Reading{
		Route: r.Method + " " + route, Participant: who.Participant, User: scimUser(r.URL.Path, answer.status), Filter: s.filterDigest(r, body), Rows: answer.rows(),
	}); err != nil {
		s.refuse(w, r, err)
		return
	}
	w.WriteHeader(answer.status)
	w.Write(answer.body.Bytes()) //nolint:errcheck // the peer is gone; there is nobody to tell
}

// admitSCIM knows the caller and puts them into the request. RFC 7644 §4: the
// service provider's configuration may be read before one has a token.
func (s *server) admitSCIM(w http.ResponseWriter, r **http.Request) (auth.Principal, error) {
	req := *r
	reading := req.Method == http.MethodGet || req.Method == http.MethodHead
	if reading && req.URL.Path == scimRoot+"/ServiceProviderConfig" && req.Header.Get("Authorization") == "" {
		return auth.Principal{}, s.pace(w.Header(), s.visitors, neighbourhood(trailOf(req.Context()).address), s.RateLimit)
	}
	who, err := s.enter(req, []string{auth.ScopeSCIM, auth.ScopeAuditor})
	if err != nil {
		return auth.Principal{}, err
	}
	if who.Scope == auth.ScopeAuditor {
		reading = reading || req.Method == http.MethodPost && strings.HasSuffix(req.URL.Path, "/.search")
		switch {
		case who.Participant == "":
			return auth.Principal{}, lifecycle.Faultf(lifecycle.KindForbidden, "", "SCIM is read at one participant; this auditor's token names none")
		case !reading:
			return auth.Principal{}, lifecycle.Faultf(lifecycle.KindForbidden, "", "an auditor may read and never write")
		}
	}
	at, err := s.settled.get(req.Context(), who.Participant)
	if err != nil {
		return auth.Principal{}, err
	}
	if who.Scope == auth.ScopeAuditor { // each read is an entry, and the provider's rate is the provider's
		err = s.paceStaff(w.Header(), who)
	} else {
		err = s.pace(w.Header(), s.clients, at.ID, s.rateOf(at))
	}
	if err != nil {
		return auth.Principal{}, err
	}
	*r = req.WithContext(s.WithCaller(req.Context(), who, at))
	return who, nil
}

// rateOf is the participant's own rate, else the server's.
func (s *server) rateOf(p storage.Participant) Rate {
	if p.Settings.RateLimit == "" {
		return s.RateLimit
	}
	own, err := ParseRate(p.Settings.RateLimit)
	if err != nil { // settings are checked when written; an older one must not open the gates
		return s.RateLimit
	}
	return own
}

// nodes is how many servers share the limits of rate.
func (s *server) nodes() int {
	if s.Nodes == nil {
		return 1
	}
	return max(1, s.Nodes())
}

// pace takes one request from a bucket or answers 429 with the time to wait.
func (s *server) pace(h http.Header, l *limiter, key string, r Rate) error {
	wait, ok := l.allow(key, r.share(s.nodes()))
	if ok {
		return nil
	}
	h.Set("Retry-After", retryAfter(wait))
	return lifecycle.Faultf(kindTooMany, "", "more requests than %g a second, after a burst of %d; wait and try again", r.orDefault().PerSecond, r.orDefault().Burst)
}

// scimLimit is the body limit of a SCIM request.
func scimLimit(r *http.Request) int64 {
	group := strings.HasPrefix(r.URL.Path, scimRoot+"/Groups/")
	if group && slices.Contains([]string{http.MethodPut, http.MethodPatch}, r.Method) {
		return maxGroup
	}
	return maxResource
}

// held keeps an answer back until its reading is on record.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *held) Header() http.Header         { return h.header }
func (h *held) WriteHeader(status int)      { h.status = status }
func (h *held) Write(b []byte) (int, error) { return h.body.Write(b) }

// rows counts the resources in a SCIM answer.
func (h *held) rows() int {
	if h.status != http.StatusOK {
		return 0
	}
	var list struct{ Resources *[]json.RawMessage }
	if err := json.Unmarshal(h.body.Bytes(), &list); err == nil && list.Resources != nil {
		return len(*list.Resources)
	}
	return 1
}
