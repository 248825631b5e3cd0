package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

type requestRow struct {
	Participant string  `json:"participant"`
	At          instant `json:"-"`
	ID          string  `json:"id"`
	RequestID   string  `json:"request_id"`
	Token       string  `json:"token"`
	TokenLabel  string  `json:"token_label"`
	Address     string  `json:"address"`
	Method      string  `json:"method"`
	Route       string  `json:"route"`
	Resource    string  `json:"resource"`
	Status      int     `json:"status"`
	Took        int64   `json:"took"`
	BytesIn     int64   `json:"bytes_in"`
	BytesOut    int64   `json:"bytes_out"`
	Leniencies  string  `json:"leniencies"`
	Dropped     string  `json:"dropped"`
	UserAgent   string  `json:"user_agent"`
	Query       string  `json:"query"`
	Request     string  `json:"request"`
	Answer      string  `json:"answer"`
}

// requestColumns are in the order of the migration, with their types as
// PostgreSQL reads them from JSON.
var requestColumns = [][2]string{
	{"participant", "text"}, {"at", "timestamptz"}, {"id", "text"}, {"request_id", "text"}, {"token", "text"}, {"token_label", "text"},
	{"address", "text"}, {"method", "text"}, {"route", "text"}, {"resource", "text"}, {"status", "integer"}, {"took", "bigint"},
	{"bytes_in", "bigint"}, {"bytes_out", "bigint"}, {"leniencies", "text"}, {"dropped", "text"}, {"user_agent", "text"},
	{"query", "text"}, {"request", "text"}, {"answer", "text"},
}

// appendRequests inserts rows that come as one JSON array: one statement and
// one bound value, however many rows. A statement for each number of rows would
// be prepared, and kept, on every connection.
func appendRequests(e engine) string {
	names, typed, picked := []string{}, []string{}, []string{}
	for _, c := range requestColumns {
		names = append(names, c[0])
		typed = append(typed, c[0]+" "+c[1])
		picked = append(picked, "value->>'"+c[0]+"'")
	}
	into := "insert into request_log (" + strings.Join(names, ", ") + ") select "
	if e == postgresEngine {
		return into + strings.Join(names, ", ") + " from json_to_recordset(?::json) as r(" + strings.Join(typed, ", ") + ") on conflict do nothing"
	}
	// "where true" keeps SQLite from reading "on" as a join's.
	return into + strings.Join(picked, ", ") + " from json_each(?) where true on conflict do nothing"
}

// AppendRequests keeps rows of the request log.
func (s *Store) AppendRequests(ctx context.Context, rows []storage.RequestRow) error {
	type written struct {
		requestRow
		At any `json:"at"`
	}
	batch := make([]written, len(rows))
	for i, r := range rows {
		batch[i].requestRow = requestRowOf(r)
		batch[i].At = r.At.UnixMicro()
		if s.engine == postgresEngine {
			batch[i].At = r.At.UTC().Truncate(time.Microsecond)
		}
	}
	text, err := jsonText(batch)
	if err != nil {
		return fmt.Errorf("encode %d request(s): %w", len(rows), err)
	}
	err = s.write(ctx, func(ctx context.Context, t *tx) error {
		_, err := t.do(ctx, appendRequests(s.engine), text)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep %d request(s): %w", len(rows), err)
	}
	return nil
}

// DeleteRequests forgets rows from before an instant.
func (s *Store) DeleteRequests(ctx context.Context, before time.Time, limit int) (int, error) {
	n := 0
	err := s.write(ctx, func(ctx context.Context, t *tx) error {
		var err error
		n, err = t.do(ctx, `delete from request_log where (participant, at, id) in (
		  select participant, at, id from request_log where at < ? limit ?)`, instant(before), limit)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("forget requests before %s: %w", before.UTC().Format(time.RFC3339), err)
	}
	return n, nil
}

// ListRequests answers a page of the request log, newest first.
func (r reader) ListRequests(ctx context.Context, q storage.RequestQuery) ([]storage.RequestRow, error) {
	query, args := listRequests(q)
	var rows []requestRow
	if _, err := r.get(ctx, &rows, query, args...); err != nil {
		return nil, fmt.Errorf("requests of participant %s: %w", q.Participant, err)
	}
	found := make([]storage.RequestRow, len(rows))
	for i, row := range rows {
		var err error
		if found[i], err = row.request(); err != nil {
			return nil, fmt.Errorf("request %s: %w", row.ID, err)
		}
	}
	return found, nil
}

// listRequests writes conditions that the partial indexes need to see as SQL,
// not as values.
func listRequests(q storage.RequestQuery) (query string, args []any) {
	names := make([]string, len(requestColumns))
	for i, c := range requestColumns {
		names[i] = c[0]
	}
	where := []string{"participant = ?"}
	args = append(args, q.Participant)
	and := func(condition string, values ...any) {
		where = append(where, condition)
		args = append(args, values...)
	}
	if !q.From.IsZero() {
		and("at >= ?", instant(q.From))
	}
	if !q.To.IsZero() {
		and("at < ?", instant(q.To))
	}
	if q.StatusFrom != 0 || q.StatusTo != 0 {
		and("status between ? and ?", q.StatusFrom, q.StatusTo)
	}
	if q.StatusFrom >= 400 {
		and("status >= 400")
	}
	if q.Resource != "" {
		and("resource <> '' and resource = ?", q.Resource)
	}
	if q.Before != nil {
		and("(at, id) < (?, ?)", instant(q.Before.At), q.Before.ID)
	}
	query = "select " + strings.Join(names, ", ") + " from request_log where " + strings.Join(where, " and ") + " order by at desc, id desc limit ?"
	return query, append(args, q.Limit)
}

func requestRowOf(r storage.RequestRow) requestRow {
	return requestRow{
		Participant: r.Participant, At: instant(r.At), ID: r.ID, RequestID: r.RequestID, Token: r.Token, TokenLabel: r.TokenLabel,
		Address: r.Address, Method: r.Method, Route: r.Route, Resource: r.Resource, Status: r.Status, Took: r.Took.Microseconds(),
		BytesIn: r.BytesIn, BytesOut: r.BytesOut, Leniencies: jsonArray(r.Leniencies), Dropped: jsonArray(r.Dropped),
		UserAgent: r.UserAgent, Query: r.Query, Request: r.Request, Answer: r.Answer,
	}
}

func (row requestRow) request() (storage.RequestRow, error) {
	r := storage.RequestRow{
		Participant: row.Participant, At: time.Time(row.At), ID: row.ID, RequestID: row.RequestID, Token: row.Token, TokenLabel: row.TokenLabel,
		Address: row.Address, Method: row.Method, Route: row.Route, Resource: row.Resource, Status: row.Status,
		Took: time.Duration(row.Took) * time.Microsecond, BytesIn: row.BytesIn, BytesOut: row.BytesOut,
		UserAgent: row.UserAgent, Query: row.Query, Request: row.Request, Answer: row.Answer,
	}
	if err := json.Unmarshal([]byte(row.Leniencies), &r.Leniencies); err != nil {
		return r, fmt.Errorf("read its leniencies: %w", err)
	}
	if err := json.Unmarshal([]byte(row.Dropped), &r.Dropped); err != nil {
		return r, fmt.Errorf("read its dropped attributes: %w", err)
	}
	return r, nil
}
