package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/storage"
)

// The request log is for the people who connect an identity provider: what it
// sent, what we answered. It is written beside the requests and never in their
// way: who has answered leaves what was heard in a queue, and when the queue is
// full it is lost and counted.

const (
	// queueLength bounds what waits, and with maxHeard twice each, memory: 32 MB
	// when every body is large.
	queueLength = 1024
	// batchRows is how many rows go together. On SQLite deeds wait for them: some
	// 5 ms.
	batchRows = 64
	// batchWait is how long a row waits for others.
	batchWait = 250 * time.Millisecond
	// keepTime bounds one attempt to keep a batch, and the whole of it at the end.
	keepTime = 10 * time.Second
	// retryPause is how long a store that is not there is left alone.
	retryPause = time.Second
)

// strangerRate is how many requests without a token of ours are kept.
var strangerRate = Rate{PerSecond: 2, Burst: 10}

// Why a row was lost, for the metrics.
const (
	lostToQueue     = "queue full"
	lostToStore     = "not stored"
	lostToStrangers = "no token"
)

// RequestStore is where rows go.
type RequestStore interface {
	AppendRequests(ctx context.Context, rows []storage.RequestRow) error
}

// RequestLog keeps what identity providers sent and what they were answered.
// Run must run for rows to be written.
type RequestLog struct {
	store     RequestStore
	metrics   *Metrics
	log       *slog.Logger
	queue     chan *exchange
	strangers *limiter
}

// NewRequestLog makes a log over a store.
func NewRequestLog(store RequestStore, metrics *Metrics, log *slog.Logger, now func() time.Time) *RequestLog {
	return &RequestLog{store: store, metrics: metrics, log: log, queue: make(chan *exchange, queueLength), strangers: newLimiter(now)}
}

// exchange is what the door hears of one request for the log. A nil one hears
// nothing. Bodies are held as they are and masked later, off the request's path;
// nobody else writes to them.
type exchange struct {
	token    storage.Token // of whoever asked, refused ones too; zero when our key signed none
	body     []byte        // its beginning
	answer   []byte        // its beginning
	bytesIn  int64
	bytesOut int64
	location string // of what was made

	row   storage.RequestRow // what needs no masking, once answered
	query string
	agent string
	notes []slog.Attr
}

// by notes whose token let the request in.
func (x *exchange) by(who auth.Principal) {
	if x != nil {
		x.token = storage.Token{ID: who.TokenID, Participant: who.Participant, Label: who.Actor.Label}
	}
}

// refused notes whose token did not, if our key had signed it.
func (x *exchange) refused(err error) {
	var refusal *auth.Refusal
	if x != nil && errors.As(err, &refusal) {
		x.token = refusal.Token
	}
}

func (x *exchange) sent(body []byte) {
	if x == nil {
		return
	}
	x.body, x.bytesIn = body, int64(len(body))
	if len(body) > maxHeard { // a part would hold the whole in memory
		x.body = slices.Clone(body[:maxHeard])
	}
}

func (x *exchange) told(part []byte) {
	if x == nil {
		return
	}
	x.bytesOut += int64(len(part))
	x.answer = append(x.answer, part[:min(len(part), maxHeard-len(x.answer))]...)
}

func (x *exchange) made(location string) {
	if x != nil {
		x.location = location
	}
}

// record hands a request that was answered to the writer. It never waits.
func (l *RequestLog) record(r *http.Request, t *trail, at time.Time, took time.Duration) {
	x := t.heard
	if x.token.ID == "" {
		if _, ok := l.strangers.allow("", strangerRate); !ok {
			l.metrics.requestLost(lostToStrangers, 1)
			return
		}
	}
	took = took.Truncate(time.Microsecond)
	x.row = storage.RequestRow{
		Participant: x.token.Participant, At: at.Add(-took), RequestID: t.id, Token: x.token.ID, TokenLabel: x.token.Label,
		Address: t.address, Method: knownMethod(r.Method), Route: t.route, Resource: resourceOf(r, t), Status: t.status, Took: took,
		BytesIn: max(x.bytesIn, r.ContentLength, 0), BytesOut: x.bytesOut, // refused unread: as announced
	}
	x.query, x.agent, x.notes = r.URL.RawQuery, r.UserAgent(), t.notes
	select {
	case l.queue <- x:
	default:
		l.metrics.requestLost(lostToQueue, 1)
	}
}

// resourceOf is the id of the user or group that a request was about; of what
// was made, its Location ends with it.
func resourceOf(r *http.Request, t *trail) string {
	path := r.URL.Path
	if t.status == http.StatusCreated {
		path = t.heard.location
	}
	id := path[strings.LastIndexByte(path, '/')+1:]
	if !uuids.MatchString(id) {
		return "" // anything else may name a person
	}
	return strings.ToLower(id)
}

// mask makes the row that is kept. Whatever goes wrong with what a stranger
// sent costs that row its bodies, not the server its life.
func (x *exchange) mask() (row storage.RequestRow) {
	row = x.row
	row.ID = uuid.NewString()
	defer func() {
		if recover() != nil {
			row.Query, row.Request, row.Answer = "", quoted("‹not shown›"), quoted("‹not shown›")
		}
	}()
	sent := masking{}
	row.Query = strings.Map(printable, sent.query(x.query))
	row.Request = sent.body(x.body, x.bytesIn)
	row.Answer = masking{answer: true}.body(x.answer, x.bytesOut)
	row.UserAgent = cut(strings.Map(printable, x.agent), maxValue)
	for _, note := range x.notes {
		switch note.Key {
		case "leniencies":
			row.Leniencies = texts(note.Value.Any())
		case "found": // by a filter, one and no other
			if id := note.Value.String(); row.Resource == "" && uuids.MatchString(id) {
				row.Resource = id
			}
		case "dropped":
			for _, name := range texts(note.Value.Any()) {
				shown, _ := sent.name(name, "")
				row.Dropped = append(row.Dropped, shown)
			}
		}
	}
	return row
}

func printable(c rune) rune {
	if !unicode.IsPrint(c) {
		return -1
	}
	return c
}

// texts reads a slice of any kind of text: what notes a request is in another
// room, and its types with it.
func texts(v any) []string {
	list := reflect.ValueOf(v)
	if list.Kind() != reflect.Slice || list.Type().Elem().Kind() != reflect.String {
		return nil
	}
	out := make([]string, list.Len())
	for i := range out {
		out[i] = list.Index(i).String()
	}
	return out
}

// Run masks and writes rows until ctx ends, and then what still waits, for as
// long as keepTime.
func (l *RequestLog) Run(ctx context.Context) error {
	// What is being written when ctx ends is written to its end.
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(keepTime, cancel) })()
	for {
		select {
		case first := <-l.queue:
			l.keep(ctx, work, l.batch(ctx, first))
			continue
		case <-ctx.Done():
		}
		select {
		case last := <-l.queue:
			l.keep(ctx, work, l.batch(ctx, last))
		default:
			return nil
		}
	}
}

// batch gathers what comes soon after the first.
func (l *RequestLog) batch(ctx context.Context, first *exchange) []storage.RequestRow {
	rows := append(make([]storage.RequestRow, 0, batchRows), first.mask())
	soon := time.NewTimer(batchWait)
	defer soon.Stop()
	for len(rows) < batchRows {
		select {
		case x := <-l.queue: // what is there, however late it is
			rows = append(rows, x.mask())
			continue
		default:
		}
		select {
		case x := <-l.queue:
			rows = append(rows, x.mask())
		case <-soon.C:
			return rows
		case <-ctx.Done():
			return rows
		}
	}
	return rows
}

// keep writes a batch in work. While ctx lasts it waits for a store that is
// away; the queue fills meanwhile, and nobody else waits.
func (l *RequestLog) keep(ctx, work context.Context, rows []storage.RequestRow) {
	for told := false; ; told = true {
		attempt, cancel := context.WithTimeout(work, keepTime)
		err := l.store.AppendRequests(attempt, rows)
		cancel()
		if err == nil {
			return
		}
		again := ctx.Err() == nil && (errors.Is(err, storage.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded))
		if !told {
			l.log.WarnContext(ctx, "requests are not in the request log", "requests", len(rows), "trying again", again, "error", err)
		}
		if !again {
			l.metrics.requestLost(lostToStore, len(rows))
			return
		}
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
		}
	}
}
