package api

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// requestView is a row of the request log as the API shows it.
type requestView struct {
	ID         string          `json:"id"`
	At         time.Time       `json:"at"`
	RequestID  string          `json:"requestId"`
	Token      *string         `json:"token"`
	TokenLabel string          `json:"tokenLabel,omitempty"`
	Address    string          `json:"address"`
	UserAgent  string          `json:"userAgent,omitempty"`
	Method     string          `json:"method"`
	Route      string          `json:"route"`
	Resource   *string         `json:"resource"` // id of the user or group
	Query      string          `json:"query,omitempty"`
	Status     int             `json:"status"`
	DurationMS float64         `json:"durationMs"`
	BytesIn    int64           `json:"bytesIn"`
	BytesOut   int64           `json:"bytesOut"`
	Leniencies []string        `json:"leniencies"`
	Dropped    []string        `json:"dropped"`
	Request    json.RawMessage `json:"request,omitempty"` // masked
	Answer     json.RawMessage `json:"answer,omitempty"`  // masked
}

func showRequest(r storage.RequestRow) requestView {
	return requestView{
		ID: r.ID, At: r.At, RequestID: r.RequestID, Token: optional(r.Token), TokenLabel: r.TokenLabel, Address: r.Address, UserAgent: r.UserAgent,
		Method: r.Method, Route: r.Route, Resource: optional(r.Resource), Query: r.Query, Status: r.Status,
		DurationMS: float64(r.Took.Microseconds()) / 1000, BytesIn: r.BytesIn, BytesOut: r.BytesOut,
		Leniencies: append([]string{}, r.Leniencies...), Dropped: append([]string{}, r.Dropped...),
		Request: json.RawMessage(r.Request), Answer: json.RawMessage(r.Answer),
	}
}

// nobody stands in the path for the participant of requests that no token of
// ours came with. No participant can have this id.
const nobody = "-"

// listRequests answers what an identity provider sent and what we answered.
func (s *server) listRequests(ctx context.Context, c *call, _ none) (page[requestView], error) {
	var empty page[requestView]
	q, err := c.requestQuery()
	if err != nil {
		return empty, err
	}
	if c.id() != nobody || c.who.Participant != "" {
		p, err := s.participantOf(ctx, c)
		if err != nil {
			return empty, err
		}
		q.Participant = p.ID
	}
	limit, err := c.limit()
	if err != nil {
		return empty, err
	}
	bound, err := json.Marshal([]string{"requests", c.id(), c.query.Get("from"), c.query.Get("to"), c.query.Get("status"), c.query.Get("user")})
	if err != nil {
		return empty, fmt.Errorf("bind cursor: %w", err)
	}
	if q.Before, err = after[storage.RequestPlace](s, bound, c.query.Get("cursor")); err != nil {
		return empty, err
	}
	q.Limit = limit + 1
	rows, err := s.read.ListRequests(ctx, q)
	if err != nil {
		return empty, err
	}
	var answer page[requestView]
	if len(rows) > limit {
		rows = rows[:limit]
		next, err := s.cursor(bound, storage.RequestPlace{At: rows[limit-1].At, ID: rows[limit-1].ID})
		if err != nil {
			return empty, err
		}
		answer.NextCursor = &next
	}
	answer.Items = as(rows, showRequest)
	return answer, nil
}

var statusText = regexp.MustCompile(`^([1-5])(xx|[0-9]{2})$`)

// requestQuery reads what the log is narrowed by.
func (c *call) requestQuery() (storage.RequestQuery, error) {
	q := storage.RequestQuery{Resource: c.query.Get("user")}
	var err error
	if q.From, err = c.instant("from"); err != nil {
		return q, err
	}
	if q.To, err = c.instant("to"); err != nil {
		return q, err
	}
	text := c.query.Get("status")
	if text == "" {
		return q, nil
	}
	parts := statusText.FindStringSubmatch(text)
	switch {
	case parts == nil:
		return q, lifecycle.Faultf(lifecycle.KindInvalid, "status", "status is %q; expected a code like 404, or a class like 4xx", text)
	case parts[2] == "xx":
		q.StatusFrom, _ = strconv.Atoi(parts[1] + "00") // digits
		q.StatusTo = q.StatusFrom + 99
	default:
		q.StatusFrom, _ = strconv.Atoi(text) // digits
		q.StatusTo = q.StatusFrom
	}
	return q, nil
}

// instant reads a query parameter that is a time with its zone.
func (c *call) instant(name string) (time.Time, error) {
	text := c.query.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, lifecycle.Faultf(lifecycle.KindInvalid, name, "%s is %q; expected an instant with its zone, like 2026-03-02T15:00:00Z", name, text)
	}
	return at, nil
}
