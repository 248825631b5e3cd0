package api

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// mostWaiting is how many people a list sorts by how long they wait: no index
// knows, so that all of them are read.
const mostWaiting = 10_000

// place is where a queue goes on: behind who has waited since then.
type place struct {
	Since time.Time `json:"since"`
	ID    string    `json:"id"`
}

func (p place) compare(q place) int {
	if c := p.Since.Compare(q.Since); c != 0 {
		return c
	}
	return strings.Compare(p.ID, q.ID)
}

// queue is a list of users whom a gate keeps waiting, who waits longest first.
func (s *server) queue(ctx context.Context, c *call, gate policy.Gate, q storage.Query, bound []byte) (page[UserView], error) {
	var empty page[UserView]
	begin, err := after[place](s, bound, c.query.Get("cursor"))
	if err != nil {
		return empty, err
	}
	limit := q.Limit - 1
	q.Limit, q.Total = mostWaiting+1, false
	users, _, err := s.read.ListUsers(ctx, q)
	if err != nil {
		return empty, err
	}
	if len(users) > mostWaiting {
		return empty, lifecycle.Faultf(lifecycle.KindRefused, "sort", "more than %d people wait at gate %s; narrow the list by participant, or leave sort out", mostWaiting, gate)
	}
	at := func(u storage.User) place {
		p := place{ID: u.ID}
		if since := u.Access(q.Now).Gate(gate).Since; since != nil {
			p.Since = *since
		}
		return p
	}
	slices.SortFunc(users, func(a, b storage.User) int { return at(a).compare(at(b)) })
	total := len(users)
	answer := page[UserView]{Total: &total}
	if begin != nil {
		i := slices.IndexFunc(users, func(u storage.User) bool { return at(u).compare(*begin) > 0 })
		if i < 0 {
			i = len(users)
		}
		users = users[i:]
	}
	if len(users) > limit {
		users = users[:limit]
		next, err := s.cursor(bound, at(users[limit-1]))
		if err != nil {
			return empty, err
		}
		answer.NextCursor = &next
	}
	answer.Items = as(users, func(u storage.User) UserView { return c.user(u, q.Now) })
	return answer, nil
}
