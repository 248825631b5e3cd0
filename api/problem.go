package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// Kinds of fault that only the front door meets.
const (
	kindUnauthenticated lifecycle.Kind = "unauthenticated"
	kindMethod          lifecycle.Kind = "method not allowed"
	kindTooLarge        lifecycle.Kind = "too large"
	kindMedia           lifecycle.Kind = "unsupported media type"
	kindTooMany         lifecycle.Kind = "too many requests"
	kindGone            lifecycle.Kind = "gone"
	kindUnsettled       lifecycle.Kind = "unsettled"
)

// problemKind is how a kind of fault looks from outside.
type problemKind struct {
	status int
	name   string // last part of the type URN
	title  string
}

// problems is the one table from which every refusal is made, here and, by its
// status, on the SCIM side of the door.
var problems = map[lifecycle.Kind]problemKind{
	lifecycle.KindInvalid:     {http.StatusBadRequest, "invalid", "The request is not valid"},
	kindUnauthenticated:       {http.StatusUnauthorized, "unauthenticated", "A valid token is needed"},
	lifecycle.KindForbidden:   {http.StatusForbidden, "forbidden", "This token may not do this"},
	lifecycle.KindNotFound:    {http.StatusNotFound, "not-found", "Not found"},
	kindMethod:                {http.StatusMethodNotAllowed, "method-not-allowed", "Method not allowed"},
	lifecycle.KindTaken:       {http.StatusConflict, "taken", "A unique value is in use"},
	lifecycle.KindStale:       {http.StatusPreconditionFailed, "stale", "It was changed meanwhile"},
	kindGone:                  {http.StatusGone, "gone", "It is not known any more"},
	kindUnsettled:             {http.StatusConflict, "unsettled", "This instant is not settled yet"},
	kindTooLarge:              {http.StatusRequestEntityTooLarge, "too-large", "The request is too large"},
	kindMedia:                 {http.StatusUnsupportedMediaType, "unsupported-media-type", "The body's media type is not read here"},
	lifecycle.KindRefused:     {http.StatusUnprocessableEntity, "refused", "Refused by a rule"},
	kindTooMany:               {http.StatusTooManyRequests, "too-many-requests", "Too many requests"},
	lifecycle.KindInternal:    {http.StatusInternalServerError, "internal", "Internal error"},
	lifecycle.KindUnavailable: {http.StatusServiceUnavailable, "unavailable", "Not available right now"},
}

// problem is a problem document (RFC 9457 §3).
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail,omitempty"`
	Instance  string `json:"instance,omitempty"`
	RequestID string `json:"requestId"`
	Attribute string `json:"attribute,omitempty"`

	Problems []policy.Problem `json:"problems,omitempty"` // of a policy document, each with its place
}

const problemType = "application/problem+json"

// asFault finds what went wrong, a refused token included.
func asFault(err error) *lifecycle.Fault {
	var refusal *auth.Refusal
	if errors.As(err, &refusal) {
		return &lifecycle.Fault{Kind: kindUnauthenticated, Message: refusal.Reason, Err: err}
	}
	var grant *auth.GrantRefusal
	if errors.As(err, &grant) {
		kind := lifecycle.KindInvalid
		if grant.Code == auth.InvalidClient {
			kind = kindUnauthenticated
		}
		return &lifecycle.Fault{Kind: kind, Message: grant.Reason, Err: err}
	}
	if errors.Is(err, storage.ErrUnsettled) {
		return &lifecycle.Fault{Kind: kindUnsettled, Attribute: "asOf", Message: "a change is under way that may still be recorded at or before this instant; ask again in a moment, or for an earlier instant", Err: err}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return &lifecycle.Fault{Kind: lifecycle.KindUnavailable, Message: "the request took too long, and may have been carried out all the same; look before you repeat it", Err: err}
	}
	return lifecycle.AsFault(err)
}

// refuse answers an error in the words of the face it happened at. What is
// internal leaves its text in the log and its request id in the answer.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	fault := asFault(err)
	kind, ok := problems[fault.Kind]
	if !ok {
		kind = problems[lifecycle.KindInternal]
	}
	t := trailOf(r.Context())
	if kind.status >= http.StatusInternalServerError {
		t.fault = err
	}
	if t.began { // part of an answer is out: only the connection can say that it broke
		panic(http.ErrAbortHandler)
	}
	detail := fault.Message
	if kind.status == http.StatusInternalServerError {
		detail = "something went wrong on our side; give Healthix this request's id: " + t.id
	}
	header := w.Header()
	switch {
	case kind.status == http.StatusUnauthorized:
		header.Set("WWW-Authenticate", challenge(r, err))
	case kind.status == http.StatusServiceUnavailable, fault.Kind == kindUnsettled:
		header.Set("Retry-After", "2")
	}
	if isSCIM(r.URL.Path) {
		s.SCIMError(w, r, kind.status, "", detail)
		return
	}
	if r.URL.Path == tokenPath {
		refuseGrant(w, r, kind.status, err, detail)
		return
	}
	body, err := json.Marshal(problem{
		Type: "urn:healthix:problem:" + kind.name, Title: kind.title, Status: kind.status, Detail: detail,
		Instance: r.URL.Path, RequestID: t.id, Attribute: fault.Attribute, Problems: fault.Problems,
	})
	if err != nil { // strings and a number always encode
		panic(err)
	}
	write(w, r, kind.status, problemType, body)
}

// challenge is RFC 6750 §3's: no error code when nothing was presented. A client
// at the token endpoint has no token yet (RFC 6749 §5.2).
func challenge(r *http.Request, err error) string {
	if r.URL.Path == tokenPath {
		return `Basic realm="healthix-scim", charset="UTF-8"`
	}
	var refusal *auth.Refusal
	if !errors.As(err, &refusal) || refusal.Absent {
		return `Bearer realm="healthix-scim"`
	}
	return `Bearer realm="healthix-scim", error="invalid_token", error_description="` + refusal.Reason + `"`
}

// write sends a whole answer.
func write(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body) //nolint:errcheck // the peer is gone; there is nobody to tell
	}
}
