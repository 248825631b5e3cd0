package scim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/discovery"
	"github.com/healthix/healthix-scim/scim/protocol"
)

// operationDeadline is what one operation of a Bulk may take, as much as a
// single request.
const operationDeadline = 30 * time.Second

// bulk is one Bulk on its way (RFC 7644 §3.7). Its operations are exchanges of
// their own, each with the deed, the checks and the record of a single request;
// together they are no transaction.
// maxKept is how many bytes of resources one answer may hold, of those that the
// client asked to see; past it an operation's answer is its status.
const maxKept = 16 << 20

type bulk struct {
	*exchange
	ops        []*operation
	failOn     int               // stop after so many errors; 0: never
	sent       map[string]bool   // bulkIds of all POSTs, also of those that cannot be tried
	ids        map[string]string // of what was made, by bulkId
	errors     int
	kept       int   // bytes of resources in the answer
	unfinished error // why the rest was not attempted
}

// bulk carries the operations out. Once they begin, the answer is 200, whatever
// becomes of each.
func (x *exchange) bulk() error {
	b := &bulk{exchange: x, sent: map[string]bool{}, ids: map[string]string{}}
	if err := b.read(); err != nil {
		return err
	}
	for _, op := range b.ops {
		if op.method == http.MethodPost {
			b.sent[op.bulkID] = true
		}
	}
	for _, step := range plan(b.ops) {
		if b.failOn > 0 && b.errors >= b.failOn {
			break
		}
		// A client that left stops the rest; what was done stays done.
		if x.r.Context().Err() != nil {
			b.unfinished = notAttempted(context.Cause(x.r.Context()))
			break
		}
		if circular(step) {
			b.circle(step)
		} else {
			b.single(step[0])
		}
		for _, op := range step {
			if op.result.failed() {
				b.errors++
			}
		}
	}
	b.giveUp()
	answer, err := b.answer()
	if err != nil {
		return err
	}
	write(x.w, x.r, http.StatusOK, answer)
	return nil
}

// notAttempted is the answer for an operation that was never begun; a cause that
// the door gave has words of its own.
func notAttempted(cause error) error {
	if errors.Is(cause, context.Canceled) || errors.Is(cause, context.DeadlineExceeded) {
		return refuse(http.StatusServiceUnavailable, "the Bulk ended before this operation, which was not attempted; send it again")
	}
	return cause
}

// read reads the message and counts it before anything is done.
func (b *bulk) read() error {
	text, err := b.text(discovery.MaxPayload)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("the Bulk is larger than %d bytes, the maxPayloadSize here; send fewer operations at once", large.Limit))
	}
	if err != nil {
		return err
	}
	message, err := protocol.Scan(text)
	if err != nil {
		return err
	}
	members, err := message.Members()
	if err != nil {
		return err
	}
	var schemas, operations protocol.Raw
	for _, m := range members {
		switch strings.ToLower(m.Name) {
		case "schemas":
			schemas = m.Value
		case "operations":
			operations = m.Value
		case "failonerrors":
			if err := b.setFailOn(m.Value); err != nil {
				return err
			}
		}
	}
	if !lists(schemas, protocol.MessageBulk) && !b.reading.Allow(dialect.SchemasMissing) {
		return protocol.Errorf(protocol.InvalidSyntax, "schemas", "schemas does not list %s; add it", protocol.MessageBulk)
	}
	list, ok := operations.Elements(discovery.MaxOperations)
	if !ok || len(list) == 0 {
		return protocol.Errorf(protocol.InvalidSyntax, "Operations", "Operations is %s; send an array with at least one operation", operations.Kind())
	}
	if len(list) > discovery.MaxOperations {
		return refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("the Bulk holds more than %d operations, the maxOperations here; send fewer at once", discovery.MaxOperations))
	}
	b.ops = readOperations(list, b.reading)
	return nil
}

func lists(schemas protocol.Raw, urn string) bool {
	urns, _ := schemas.Elements(100)
	return slices.ContainsFunc(urns, func(r protocol.Raw) bool {
		text, _ := r.Text()
		return strings.EqualFold(text, urn)
	})
}

func (b *bulk) setFailOn(value protocol.Raw) error {
	if value.Kind() == protocol.Kind(nil) {
		return nil
	}
	n, err := strconv.ParseInt(string(value), 10, 32)
	if err != nil || n < 1 {
		return protocol.Errorf(protocol.InvalidValue, "failOnErrors", "failOnErrors is no integer from 1 on; send how many errors end the Bulk, or leave it out")
	}
	b.failOn = int(n)
	return nil
}

// single carries out an operation that waits for no other.
func (b *bulk) single(op *operation) {
	if op.fault == nil {
		op.fault = b.unresolved(op, nil)
	}
	if op.fault != nil {
		op.result = b.refused(op, op.fault)
		return
	}
	op.result = b.carryOut(op, op.method, op.at(b.made), op.body(b.made))
	if op.method == http.MethodPost && !op.result.failed() {
		b.ids[op.bulkID] = op.result.id
	}
}

// made is the swap for what was made so far.
func (b *bulk) made(bulkID string) (string, bool) {
	id, ok := b.ids[bulkID]
	return id, ok
}

// unresolved says which reference leads nowhere, but for those to be made by
// the same circle.
func (b *bulk) unresolved(op *operation, circle map[string]bool) error {
	for _, bulkID := range op.refs {
		if _, made := b.ids[bulkID]; made || circle[bulkID] {
			continue
		}
		if b.sent[bulkID] {
			return protocol.Errorf(protocol.InvalidValue, "bulkId", "bulkId %s is referred to, and the operation that should make it failed; mend that one first", protocol.Quote(bulkID))
		}
		return protocol.Errorf(protocol.InvalidValue, "bulkId", "bulkId %s is referred to, but no POST of this Bulk has it; add one, or send the id", protocol.Quote(bulkID))
	}
	return nil
}

// result is how an operation ended.
type result struct {
	status   int
	id       string // of what a POST made
	location string
	version  string
	body     []byte // of an error, or when it was asked for
	rehired  bool   // a POST brought somebody back
}

func (r *result) failed() bool { return r.status >= http.StatusMultipleChoices }

// carryOut runs an operation as a request of its own, through the same door of
// the engine. It does not end with the client: what has begun is done whole.
func (b *bulk) carryOut(op *operation, method string, at *url.URL, body []byte) *result {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(b.r.Context()), operationDeadline)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, at.String(), bytes.NewReader(body))
	if err != nil {
		return b.refused(op, fmt.Errorf("operation %d: %w", op.index, err))
	}
	if len(body) > 0 {
		r.Header.Set("Content-Type", contentType)
	}
	if op.version != "" {
		r.Header.Set("If-Match", op.version)
	}
	inner, kept := b.inner(op, r)
	inner.run(true)
	inner.count()
	b.inside.Merge(inner.reading)

	out := kept.result()
	out.rehired = slices.Contains(inner.reading.Leniencies(), dialect.RehireByPost)
	if op.method == http.MethodPost {
		out.id = out.location[strings.LastIndex(out.location, "/")+1:]
	} else {
		out.location = b.location(r.URL)
	}
	if !out.failed() && (!op.shown || b.kept+len(out.body) > maxKept) {
		out.body = nil // RFC 7644 §3.7: may be left out
	}
	if !out.failed() {
		b.kept += len(out.body)
	}
	return out
}

// refused answers an operation that is not carried out.
func (b *bulk) refused(op *operation, err error) *result {
	inner, kept := b.inner(op, b.r)
	inner.fail(err)
	out := kept.result()
	if op.target != "" && !strings.Contains(op.target, "/"+bulkIDPrefix) {
		out.location = b.location(op.url)
	}
	return out
}

// inner is the exchange of one operation; its request id is the Bulk's with the
// operation's index, counted from 0, in the answer, the log and the record.
func (b *bulk) inner(op *operation, r *http.Request) (*exchange, *kept) {
	w := &kept{header: http.Header{}}
	name := func(id string) string {
		if id == "" {
			return ""
		}
		return id + ":" + strconv.Itoa(op.index)
	}
	w.header.Set("X-Request-Id", name(b.w.Header().Get("X-Request-Id")))
	caller := b.caller
	caller.Actor.RequestID = name(caller.Actor.RequestID)
	return b.engine.exchange(w, r, caller), w
}

// location is the URL of the resource at an operation's path, "" for a path that
// leads to none.
func (b *bulk) location(at *url.URL) string {
	endpoint, id, _ := strings.Cut(strings.TrimPrefix(at.Path, Prefix+"/"), "/")
	if endpoint != "Users" && endpoint != "Groups" || id == "" || strings.Contains(id, "/") {
		return ""
	}
	return b.baseURL + "/" + endpoint + "/" + url.PathEscape(id)
}

// kept is an answer that waits for the others.
type kept struct {
	header http.Header
	status int
	body   []byte
}

func (k *kept) Header() http.Header { return k.header }

func (k *kept) WriteHeader(status int) { k.status = status }

func (k *kept) Write(text []byte) (int, error) {
	k.body = append(k.body, text...)
	return len(text), nil
}

func (k *kept) result() *result {
	return &result{status: k.status, location: k.header.Get("Location"), version: k.header.Get("ETag"), body: k.body}
}

// giveUp answers for what was not attempted because time, the client or the
// server ended the Bulk. What failOnErrors left out is not reported (RFC 7644
// §3.7.3 wants the processed ones only).
func (b *bulk) giveUp() {
	attempted := 0
	for _, op := range b.ops {
		switch {
		case op.result != nil:
			attempted++
		case b.unfinished != nil:
			op.result = b.refused(op, b.unfinished)
		}
	}
	b.remarks = append(b.remarks, slog.Int("operations", len(b.ops)), slog.Int("attempted", attempted), slog.Int("errors", b.errors))
}

// operationAnswer is one operation in a BulkResponse.
type operationAnswer struct {
	Location string          `json:"location,omitempty"`
	Method   string          `json:"method,omitempty"`
	BulkID   string          `json:"bulkId,omitempty"`
	Version  string          `json:"version,omitempty"`
	Status   string          `json:"status"` // a string, as in RFC 7644 §3.7.3
	Response json.RawMessage `json:"response,omitempty"`
}

// answer writes the results in the order in which the operations were sent.
func (b *bulk) answer() ([]byte, error) {
	message := struct {
		Schemas    []string          `json:"schemas"`
		Operations []operationAnswer `json:"Operations"`
	}{[]string{protocol.MessageDone}, make([]operationAnswer, 0, len(b.ops))}
	for _, op := range b.ops {
		if r := op.result; r != nil {
			message.Operations = append(message.Operations, operationAnswer{
				Location: r.location, Method: op.method, BulkID: op.bulkID, Version: r.version,
				Status: strconv.Itoa(r.status), Response: r.body,
			})
		}
	}
	text := &bytes.Buffer{}
	encoder := json.NewEncoder(text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(message); err != nil {
		return nil, fmt.Errorf("encode the results of %d operations: %w", len(b.ops), err)
	}
	return text.Bytes(), nil
}
