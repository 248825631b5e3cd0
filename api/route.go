package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// route is one line of the route table: what it does, and who may.
type route struct {
	method  string // "" for all
	path    string // with {name} for a path value
	summary string
	scopes  []string // who may; empty only when public
	public  bool
	query   []string // the parameters it takes, no others
	status  int      // of a good answer; 0 means 200, or 204 when it answers none
	later   bool     // it may answer 202 with a Location, and go on meanwhile
	shows   sight    // whether a read is recorded before it is answered
	also    []string // media types that it answers beside JSON, when asked for one

	do       operation        // a typed handler, or
	serve    http.HandlerFunc // one that writes its own answer,
	produces string           // of this media type,
	form     []string         // and takes these parameters of a form
}

// formType is the media type of a form.
const formType = "application/x-www-form-urlencoded"

// none is the body that a request or an answer does not have.
type none struct{}

// operation is a typed handler with its types at hand: they decode the body,
// encode the answer and describe both in /openapi.json.
type operation struct {
	in, out reflect.Type
	takes   []string // media types of a body that is read as it is; nil for JSON
	run     func(ctx context.Context, c *call, body []byte) (any, error)
}

func typed[In, Out any](run func(context.Context, *call, In) (Out, error)) operation {
	return operation{in: reflect.TypeFor[In](), out: reflect.TypeFor[Out](), run: func(ctx context.Context, c *call, body []byte) (any, error) {
		var in In
		if err := decode(body, &in); err != nil {
			return nil, err
		}
		return run(ctx, c, in)
	}}
}

// document is a body that is read as it is.
type document []byte

// asSent makes an operation of a handler that takes a document in one of some
// media types.
func asSent[Out any](run func(context.Context, *call, document) (Out, error), takes ...string) operation {
	return operation{in: reflect.TypeFor[document](), out: reflect.TypeFor[Out](), takes: takes, run: func(ctx context.Context, c *call, body []byte) (any, error) {
		return run(ctx, c, body)
	}}
}

// call is one request to a typed handler.
type call struct {
	r        *http.Request
	who      auth.Principal
	query    url.Values
	header   http.Header // of the answer
	location string      // path of what was made, for the Location header
	goesOn   bool        // what was asked for is not done yet: 202

	person *storage.User // who is looked at
	of     string        // the participant that a list was narrowed to
}

func (c *call) id() string { return c.r.PathValue("id") }

// staffTexts says whether the caller may read what is written for Healthix
// staff; everybody else gets the outward texts.
func (c *call) staffTexts() bool {
	return c.who.Scope == auth.ScopeOperator || c.who.Scope == auth.ScopeAuditor
}

// within answers the participant that a read is bounded by, "" for all. To a
// token that is bound to one participant the others do not exist.
func (c *call) within(asked string) (string, error) {
	if own := c.who.Participant; own != "" {
		if asked != "" && asked != own {
			return "", lifecycle.Faultf(lifecycle.KindNotFound, "participant", "not found")
		}
		asked = own
	}
	c.of = asked
	return asked, nil
}

// limit reads the page size.
func (c *call) limit() (int, error) {
	const usual, most = 100, 500
	text := c.query.Get("limit")
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, lifecycle.Faultf(lifecycle.KindInvalid, "limit", "limit is %q; expected a whole number from 1 to %d", text, most)
	}
	return n, nil
}

// page is what every list answers.
type page[T any] struct {
	Items      []T     `json:"items"`
	NextCursor *string `json:"nextCursor"` // null at the end
	Total      *int    `json:"total,omitempty"`
}

// whole is a list that fits one page.
func whole[T any](items []T) page[T] {
	if items == nil {
		items = []T{}
	}
	return page[T]{Items: items}
}

func (p page[T]) rows() int { return len(p.Items) }

// as makes a list's items presentable.
func as[From, To any](items []From, show func(From) To) []To {
	shown := make([]To, 0, len(items))
	for _, item := range items {
		shown = append(shown, show(item))
	}
	return shown
}

// rendered is an answer that is not JSON when another media type was asked for.
type rendered interface {
	render() (contentType string, body []byte)
}

// streamed is an answer that may be too long to hold: it writes itself. After
// the first byte only the connection can say that it broke.
type streamed interface {
	stream() (contentType string, write func(ctx context.Context, w io.Writer) error)
}

// handler is the one way from request to answer: who asks, what they ask, do
// it, record the reading, answer.
func (s *server) handler(rt route) http.HandlerFunc {
	if rt.serve != nil {
		return rt.serve
	}
	return func(w http.ResponseWriter, r *http.Request) {
		answer, c, err := s.answer(w, r, rt)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		if c.location != "" {
			w.Header().Set("Location", s.BaseURL+c.location)
		}
		status := rt.statusOf()
		if c.goesOn {
			status = http.StatusAccepted
		}
		if status == http.StatusNoContent {
			w.WriteHeader(status)
			return
		}
		if long, ok := answer.(streamed); ok {
			if contentType, body := long.stream(); contentType != "" {
				s.stream(w, r, contentType, body)
				return
			}
		}
		if other, ok := answer.(rendered); ok {
			if contentType, body := other.render(); contentType != "" {
				write(w, r, status, contentType, body)
				return
			}
		}
		body, err := json.Marshal(answer)
		if err != nil {
			s.refuse(w, r, fmt.Errorf("encode answer of %s: %w", rt.path, err))
			return
		}
		write(w, r, status, "application/json", append(body, '\n'))
	}
}

// stream writes a long answer. A reader that keeps reading is given time; one
// that stops is not waited for.
func (s *server) stream(w http.ResponseWriter, r *http.Request, contentType string, body func(context.Context, io.Writer) error) {
	w.Header().Set("Content-Type", contentType)
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return
	}
	// A million lines take longer than a request may work. Who left is noticed by
	// the next write.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), streamTime)
	defer cancel()
	if err := body(ctx, &patientWriter{w: w, control: http.NewResponseController(w)}); err != nil {
		s.refuse(w, r, fmt.Errorf("write answer: %w", err))
	}
}

// patientWriter counts the time to write from the last piece that was taken, by
// the clock that the connection goes by.
type patientWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (p *patientWriter) Write(b []byte) (int, error) {
	if err := p.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, fmt.Errorf("prolong the answer: %w", err)
	}
	return p.w.Write(b)
}

func (rt route) statusOf() int {
	switch {
	case rt.status != 0:
		return rt.status
	case rt.do.out == reflect.TypeFor[none]():
		return http.StatusNoContent
	default:
		return http.StatusOK
	}
}

func (s *server) answer(w http.ResponseWriter, r *http.Request, rt route) (any, *call, error) {
	who, err := s.enter(r, rt.scopes)
	if err != nil {
		return nil, nil, err
	}
	if err := s.paceStaff(w.Header(), who); err != nil {
		return nil, nil, err
	}
	query, err := checkQuery(r.URL.RawQuery, rt.query)
	if err != nil {
		return nil, nil, err
	}
	body, err := s.bodyOf(w, r, rt.do)
	if err != nil {
		return nil, nil, err
	}
	c := &call{r: r, who: who, query: query, header: w.Header()}
	answer, err := rt.do.run(r.Context(), c, body)
	if rt.recorded() {
		if lost := s.recordRead(r, rt, c, body, answer, err); lost != nil {
			return nil, nil, lost
		}
	}
	return answer, c, err
}

// bodyOf reads what an operation takes, within its limits.
func (s *server) bodyOf(w http.ResponseWriter, r *http.Request, do operation) ([]byte, error) {
	if do.takes != nil {
		if err := checkMedia(r.Header, do.takes...); err != nil {
			return nil, err
		}
		return readWhole(w, r, maxDocument)
	}
	body, err := readBody(w, r, maxResource)
	if err == nil && len(body) > 0 {
		err = checkMedia(r.Header, "application/json", "application/merge-patch+json")
	}
	return body, err
}

// checkQuery reads a query strictly: a parameter that would be ignored is
// refused, so that nobody takes a whole list for a filtered one.
func checkQuery(raw string, known []string) (url.Values, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, lifecycle.Faultf(lifecycle.KindInvalid, "", "the query string cannot be read; check its %% signs")
	}
	for name, given := range values {
		switch {
		case !slices.Contains(known, name):
			return nil, lifecycle.Faultf(lifecycle.KindInvalid, name, "unknown query parameter %q; expected %s", name, orNone(known))
		case len(given) > 1:
			return nil, lifecycle.Faultf(lifecycle.KindInvalid, name, "query parameter %q is given %d times; give it once", name, len(given))
		case !isText(given[0]):
			return nil, lifecycle.Faultf(lifecycle.KindInvalid, name, "query parameter %q is not text", name)
		}
	}
	return values, nil
}

// isText says whether every database can hold the text.
func isText(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return "only " + strings.Join(names, ", ")
}
