// Package scim is the face toward identity providers: the SCIM 2.0 exchange
// (RFC 7643, 7644) over the deeds of lifecycle. It opens no transaction, checks
// no token and decides nothing about access.
package scim

import (
	"context"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/discovery"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/schema"
	"github.com/healthix/healthix-scim/storage"
)

// Prefix is where the handler is mounted; without its version segment, the
// same is served (RFC 7644 §3.13).
const (
	Prefix = root + "/v2"
	root   = "/scim"
)

// Deeds is what the engine asks of the house; *lifecycle.Service does it.
type Deeds interface {
	CreateUser(ctx context.Context, actor lifecycle.Actor, draft lifecycle.UserDraft) (storage.User, error)
	ChangeUser(ctx context.Context, actor lifecycle.Actor, id string, edit lifecycle.UserEdit) (storage.User, error)
	DeleteUser(ctx context.Context, actor lifecycle.Actor, id string, check func(storage.User) error) error
	CreateGroup(ctx context.Context, actor lifecycle.Actor, draft lifecycle.GroupDraft, members []storage.Member) (storage.Group, error)
	ChangeGroup(ctx context.Context, actor lifecycle.Actor, id string, edit lifecycle.GroupEdit) (storage.Group, error)
	DeleteGroup(ctx context.Context, actor lifecycle.Actor, id string, check func(storage.Group) error) error
	Reader() storage.Reader
	Now() time.Time
}

// Options set the handler up. The zero value of each is usable but BaseURL's.
type Options struct {
	BaseURL string // public URL of the house, without /scim/v2
	// CursorKey is the HKDF root that cursors are sealed under. Servers that
	// share it read one another's cursors; unset, a random one ends with the
	// process.
	CursorKey []byte
	Log       *slog.Logger
	// Lenient is told each leniency granted, by name, for the metrics.
	Lenient func(name string)
	// Note adds attributes to the request's log line; unset, the engine logs a
	// line of its own when there is something to note.
	Note func(ctx context.Context, attrs ...slog.Attr)
}

// Caller is who asks, as the front door found out.
type Caller struct {
	Actor       lifecycle.Actor
	Strict      bool // the letter of the RFCs, no leniency
	ReadOnly    bool
	Participant storage.Participant
}

type callerKey struct{}

// WithCaller puts the caller where the handler finds it.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

type engine struct {
	deeds     Deeds
	options   Options
	baseURL   string // with Prefix
	documents *discovery.Documents
	seal      cipher.AEAD // of cursors
}

// New makes the handler. It panics when the built-in schemas cannot be encoded
// or the cursors' key cannot be derived, which is a mistake in the program.
func New(deeds Deeds, options Options) http.Handler {
	base := strings.TrimSuffix(options.BaseURL, "/") + Prefix
	documents, err := discovery.New(base)
	if err != nil {
		panic(err)
	}
	seal, err := cursorSeal(options.CursorKey)
	if err != nil {
		panic(err)
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	return &engine{deeds: deeds, options: options, baseURL: base, documents: documents, seal: seal}
}

// exchange is one request on its way, or one operation of a Bulk.
type exchange struct {
	*engine
	w       http.ResponseWriter
	r       *http.Request
	caller  Caller
	reading *dialect.Reading
	now     time.Time
	inside  dialect.Reading // what the operations of a Bulk took
	remarks []slog.Attr     // for the log line
}

func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	caller, known := r.Context().Value(callerKey{}).(Caller)
	caller.Actor.Participant = caller.Participant.ID
	x := e.exchange(w, r, caller)
	defer x.note()
	x.run(known)
}

func (e *engine) exchange(w http.ResponseWriter, r *http.Request, caller Caller) *exchange {
	return &exchange{engine: e, w: w, r: r, caller: caller, reading: &dialect.Reading{Strict: caller.Strict}, now: e.deeds.Now()}
}

// run answers, whatever happens.
func (x *exchange) run(known bool) {
	defer x.recover()
	if err := x.serve(known); err != nil {
		x.fail(err)
	}
}

func (x *exchange) fail(err error) {
	a := answer(err)
	if a.status == http.StatusInternalServerError {
		x.options.Log.ErrorContext(x.r.Context(), "scim request failed", "error", err, "request", x.w.Header().Get("X-Request-Id"))
	}
	if a.allow != "" {
		x.w.Header().Set("Allow", a.allow)
	}
	WriteError(x.w, x.r, a.status, string(a.scimType), a.detail)
}

// recover answers a panic as a SCIM error; net/http would cut the connection.
func (x *exchange) recover() {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so
		panic(v)
	}
	x.options.Log.ErrorContext(x.r.Context(), "scim request panicked", "stack", string(debug.Stack()))
	x.fail(fmt.Errorf("panic: %v", v))
}

// count tells the metrics which leniencies the exchange took.
func (x *exchange) count() {
	if x.options.Lenient == nil {
		return
	}
	for _, name := range x.reading.Leniencies() {
		x.options.Lenient(string(name))
	}
}

// note tells what is worth telling of a request: once for the metrics, once for
// the log. The operations of a Bulk were counted each by itself.
func (x *exchange) note() {
	x.count()
	x.reading.Merge(&x.inside)
	attrs := x.remarks
	if names := x.reading.Leniencies(); len(names) > 0 {
		attrs = append(attrs, slog.Any("leniencies", names))
	}
	if dropped := x.reading.Dropped(); len(dropped) > 0 {
		attrs = append(attrs, slog.Any("dropped", dropped))
	}
	if len(attrs) == 0 {
		return
	}
	if x.options.Note != nil {
		x.options.Note(x.r.Context(), attrs...)
		return
	}
	attrs = append(attrs, slog.String("participant", x.caller.Participant.ID), slog.String("request", x.w.Header().Get("X-Request-Id")))
	x.options.Log.LogAttrs(x.r.Context(), slog.LevelInfo, "scim request", attrs...)
}

// methods are the handlers of one path.
type methods map[string]func() error

// serve finds the path's handlers. Every way out that is not one of them is a
// SCIM error too (RFC 7644 §3.12).
func (x *exchange) serve(known bool) error {
	path, err := below(x.r.URL.Path)
	endpoint, rest, _ := strings.Cut(path, "/")
	var table methods
	if err == nil {
		table, err = x.route(endpoint, rest)
	}
	public := endpoint == "ServiceProviderConfig" && rest == ""
	if !known && !public {
		return refuse(http.StatusUnauthorized, "this path needs a bearer token of scope scim")
	}
	if err != nil {
		return err
	}
	method := x.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	handler, ok := table[method]
	if !ok {
		return &refusal{status: http.StatusMethodNotAllowed, detail: x.r.Method + " is not offered here, but " + table.allow(), allow: table.allow()}
	}
	if err := x.admit(known, method, strings.HasSuffix(path, ".search")); err != nil {
		return err
	}
	if !acceptable(x.r.Header.Values("Accept")) {
		return refuse(http.StatusNotAcceptable, "answers are "+contentType+"; send an Accept header that allows it, or none")
	}
	return handler()
}

var otherVersion = regexp.MustCompile(`^[vV][0-9][^/]*$`)

// below answers the path under the version segment. Another version is never
// served in silence (RFC 7644 §3.13).
func below(path string) (string, error) {
	if !utf8.ValidString(path) || strings.ContainsRune(path, 0) {
		return "", refuse(http.StatusNotFound, "the path is no text in UTF-8; nothing is served under it")
	}
	rest, versioned := strings.CutPrefix(path+"/", Prefix+"/")
	if !versioned {
		rest = strings.TrimPrefix(rest, root+"/")
		if first, _, _ := strings.Cut(rest, "/"); otherVersion.MatchString(first) {
			return "", &refusal{status: http.StatusBadRequest, scimType: protocol.InvalidVers, detail: "version " + protocol.Quote(first) + " is not served; use " + Prefix}
		}
	}
	return strings.Trim(rest, "/"), nil
}

func (x *exchange) admit(known bool, method string, search bool) error {
	switch {
	case !known: // ServiceProviderConfig
		return nil
	case x.caller.Participant.ID == "":
		return refuse(http.StatusForbidden, "this token is bound to no participant; SCIM serves one participant at a time")
	case x.caller.ReadOnly && method != http.MethodGet && !search:
		return refuse(http.StatusForbidden, "this token may read only")
	}
	return nil
}

func (m methods) allow() string {
	var names []string
	for _, name := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if m[name] == nil {
			continue
		}
		names = append(names, name)
		if name == http.MethodGet {
			names = append(names, http.MethodHead)
		}
	}
	return strings.Join(names, ", ")
}

func (x *exchange) route(endpoint, rest string) (methods, error) {
	deep := strings.Contains(rest, "/")
	switch endpoint {
	case "":
		return methods{http.MethodGet: func() error { return x.list(schema.Resources, x.queryOfURL) }}, nil
	case ".search":
		if rest == "" {
			return methods{http.MethodPost: func() error { return x.list(schema.Resources, x.queryOfBody) }}, nil
		}
	case "ServiceProviderConfig":
		if rest == "" {
			return methods{http.MethodGet: func() error { return x.document(x.documents.Config, true) }}, nil
		}
	case "ResourceTypes":
		return x.discover(x.documents.ResourceTypes, rest), nil
	case "Schemas":
		return x.discover(x.documents.Schemas, rest), nil
	case "Users":
		if !deep {
			return x.resource(schema.User, rest, userHandlers{x}), nil
		}
	case "Groups":
		if !deep {
			return x.resource(schema.Group, rest, groupHandlers{x}), nil
		}
	case "Me":
		return nil, refuse(http.StatusNotImplemented, "/Me is not offered: a token of this service stands for no person")
	case "Bulk":
		if rest == "" {
			return methods{http.MethodPost: x.bulk}, nil
		}
	}
	return nil, refuse(http.StatusNotFound, "nothing is served under this path; the endpoints are listed by /ResourceTypes")
}

// handlers are the verbs of one resource type.
type handlers interface {
	create() error
	get(id string) error
	put(id string) error
	patch(id string) error
	remove(id string) error
}

func (x *exchange) resource(r *schema.Resource, rest string, h handlers) methods {
	if !utf8.ValidString(rest) || strings.IndexByte(rest, 0) >= 0 {
		h = nowhere{r} // no store of text holds such an id, and some refuse to look
	}
	switch rest {
	case "":
		return methods{
			http.MethodGet:  func() error { return x.list([]*schema.Resource{r}, x.queryOfURL) },
			http.MethodPost: h.create,
		}
	case ".search":
		return methods{http.MethodPost: func() error { return x.list([]*schema.Resource{r}, x.queryOfBody) }}
	}
	return methods{
		http.MethodGet:    func() error { return h.get(rest) },
		http.MethodPut:    func() error { return h.put(rest) },
		http.MethodPatch:  func() error { return h.patch(rest) },
		http.MethodDelete: func() error { return h.remove(rest) },
	}
}

// nowhere are the verbs of an id that cannot be.
type nowhere struct{ *schema.Resource }

func (n nowhere) create() error       { return notFound(n.Resource, storage.ErrNotFound) }
func (n nowhere) get(string) error    { return n.create() }
func (n nowhere) put(string) error    { return n.create() }
func (n nowhere) patch(string) error  { return n.create() }
func (n nowhere) remove(string) error { return n.create() }

func (x *exchange) discover(c discovery.Collection, name string) methods {
	return methods{http.MethodGet: func() error {
		// A client must not believe that a filter was applied (RFC 7644 §4).
		if x.caller.Strict && x.r.URL.Query().Has("filter") {
			return refuse(http.StatusForbidden, "discovery cannot be filtered; leave the filter out")
		}
		if name == "" {
			return x.document(c.List, true)
		}
		item, ok := c.Find(name)
		return x.document(item, ok)
	}}
}

func (x *exchange) document(text []byte, ok bool) error {
	if !ok {
		return refuse(http.StatusNotFound, "no such document; the list names all there are")
	}
	sum := sha256.Sum256(text)
	tag := `W/"` + hex.EncodeToString(sum[:8]) + `"`
	if unmet, err := x.readable(tag); unmet || err != nil {
		return err
	}
	return x.send(http.StatusOK, "", tag, text)
}
