package scim

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/schema"
)

// contentType is the media type of every answer (RFC 7644 §8.1).
const contentType = "application/scim+json"

// refusal is an answer that HTTP asks for, before any resource is looked at.
type refusal struct {
	status   int
	scimType protocol.Type
	detail   string
	allow    string // with 405
}

func (r *refusal) Error() string { return r.detail }

func refuse(status int, detail string) error { return &refusal{status: status, detail: detail} }

// retryAfter is the seconds a client should wait when the store is not there.
const retryAfter = 5

// answer turns an error into what leaves the house: the one table of statuses.
func answer(err error) refusal {
	var r *refusal
	if errors.As(err, &r) {
		return *r
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return refusal{status: http.StatusRequestEntityTooLarge, detail: "the body is larger than " + strconv.FormatInt(large.Limit, 10) + " bytes, the limit here; send less at once"}
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return refusal{status: http.StatusServiceUnavailable, detail: "the request took too long, and may have been carried out all the same; look before you repeat it"}
	}
	f := lifecycle.AsFault(err)
	switch f.Kind {
	case lifecycle.KindInvalid, lifecycle.KindRefused:
		t := protocol.InvalidValue
		_ = errors.As(f.Err, &t) // the engine's own faults carry their type
		return refusal{status: http.StatusBadRequest, scimType: t, detail: f.Message}
	case lifecycle.KindTaken:
		return refusal{status: http.StatusConflict, scimType: protocol.Uniqueness, detail: f.Message}
	case lifecycle.KindStale:
		return refusal{status: http.StatusPreconditionFailed, detail: f.Message}
	case lifecycle.KindNotFound:
		return refusal{status: http.StatusNotFound, detail: f.Message}
	case lifecycle.KindForbidden:
		return refusal{status: http.StatusForbidden, detail: f.Message}
	case lifecycle.KindUnavailable:
		return refusal{status: http.StatusServiceUnavailable, detail: f.Message}
	case lifecycle.KindInternal:
	}
	return refusal{status: http.StatusInternalServerError, detail: "internal error; tell support the request id"}
}

// WriteError writes a SCIM error (RFC 7644 §3.12). It names the request, so that
// both sides can find it in their logs.
func WriteError(w http.ResponseWriter, r *http.Request, status int, scimType, detail string) {
	if id := w.Header().Get("X-Request-Id"); id != "" {
		detail += " (request id " + id + ")"
	}
	body, err := json.Marshal(struct {
		Schemas []string `json:"schemas"`
		Status  string   `json:"status"` // a string (RFC 7644 §3.12)
		Type    string   `json:"scimType,omitempty"`
		Detail  string   `json:"detail,omitempty"`
	}{[]string{protocol.MessageError}, strconv.Itoa(status), scimType, detail})
	if err != nil { // three strings always encode
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	h := w.Header()
	if status == http.StatusServiceUnavailable && h.Get("Retry-After") == "" {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		h.Set("WWW-Authenticate", `Bearer realm="healthix"`)
	}
	write(w, r, status, body)
}

// write sends a body; a HEAD has the same headers and no body.
func write(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store") // personal data
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) //nolint:gosec // JSON, sent as such with nosniff; a client that left is nobody's error
	}
}

// notFound says so in the words of the endpoint; an id of another participant
// gets the same answer.
func notFound(r *schema.Resource, err error) error {
	if lifecycle.AsFault(err).Kind != lifecycle.KindNotFound {
		return err
	}
	return lifecycle.Faultf(lifecycle.KindNotFound, "id", "no %s has this id; look it up again by a filter on %s", r.Name, r.Base.Attributes[0].Name())
}
