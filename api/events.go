package api

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// eventView is an entry of the record.
type eventView struct {
	ID            string      `json:"id"`
	At            time.Time   `json:"at"`
	Participant   *string     `json:"participant"`
	User          *string     `json:"user"` // id of the user, group or participant it is about
	Actor         actorView   `json:"actor"`
	Action        string      `json:"action"`
	Request       *string     `json:"request"`
	Source        *string     `json:"source"` // peer address
	Rule          *string     `json:"rule"`
	PolicyVersion *int64      `json:"policyVersion"`
	Sentence      string      `json:"sentence"`
	Fields        []fieldView `json:"fields"`
	History       []string    `json:"history"` // digests of the versions that the entry commits to
	Hash          string      `json:"hash"`
	Position      *int64      `json:"position"` // leaf of the log, from 0; null until it has one
	Number        *int64      `json:"number"`   // of its participant, from 1
}

// listEvents answers entries, newest first.
func (s *server) listEvents(ctx context.Context, c *call, _ none) (page[eventView], error) {
	var empty page[eventView]
	q := storage.EventQuery{User: c.query.Get("user"), Actor: c.query.Get("actor"), Action: c.query.Get("action")}
	var err error
	if q.Participant, err = c.within(c.query.Get("participant")); err != nil {
		return empty, err
	}
	if q.From, err = c.instant("from"); err != nil {
		return empty, err
	}
	if q.To, err = c.instant("to"); err != nil {
		return empty, err
	}
	limit, err := c.limit()
	if err != nil {
		return empty, err
	}
	bound, err := json.Marshal([]string{"events", q.Participant, q.User, q.Actor, q.Action, c.query.Get("from"), c.query.Get("to")})
	if err != nil {
		return empty, fmt.Errorf("bind cursor: %w", err)
	}
	last, err := after[string](s, bound, c.query.Get("cursor"))
	if err != nil {
		return empty, err
	}
	if last != nil {
		q.Before = *last
	}
	q.Limit = limit + 1
	rows, err := s.read.ListEvents(ctx, q)
	if err != nil {
		return empty, err
	}
	var answer page[eventView]
	if len(rows) > limit {
		rows = rows[:limit]
		next, err := s.cursor(bound, rows[limit-1].ID)
		if err != nil {
			return empty, err
		}
		answer.NextCursor = &next
	}
	if err := s.eventsOf(ctx, c, q); err != nil {
		return empty, err
	}
	answer.Items, err = s.showEvents(ctx, c, rows)
	return answer, err
}

// eventsOf remembers whose events are looked at, when they are one user's.
func (s *server) eventsOf(ctx context.Context, c *call, q storage.EventQuery) error {
	if q.User == "" {
		return nil
	}
	found, err := s.read.ListUsersByID(ctx, []string{q.User})
	if u, known := found[q.User]; known && (q.Participant == "" || u.Participant == q.Participant) {
		c.person = &u
	}
	return err
}

func (s *server) showEvents(ctx context.Context, c *call, rows []storage.EntryRow) ([]eventView, error) {
	shown := make([]eventView, 0, len(rows))
	if len(rows) == 0 {
		return shown, nil
	}
	personal, err := s.personalOf(ctx, rows)
	if err != nil {
		return nil, err
	}
	places, err := s.read.ListPositions(ctx, entryIDs(rows))
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		b, err := readEntry(row)
		if err != nil {
			return nil, err
		}
		v := eventView{
			ID: row.ID, At: row.At, Participant: optional(row.Participant), User: optional(row.User), Actor: c.actor(b.Actor), Action: row.Action,
			Request: optional(b.RequestID), Source: optional(b.Source), Rule: optional(b.Rule), Sentence: b.Sentence,
			Fields: b.fields(personal[row.ID]), History: append([]string{}, b.History...), Hash: row.Hash,
		}
		if b.PolicyVersion != 0 {
			v.PolicyVersion = &b.PolicyVersion
		}
		if place, placed := places[row.ID]; placed {
			v.Position, v.Number = &place.Position, &place.Number
		}
		shown = append(shown, v)
	}
	return shown, nil
}
