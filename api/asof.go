package api

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// Users as they were. What is asked about an instant is answered when nothing
// can come to be recorded any more at or before it, so that the answer is the
// same for ever; but for what an erasure took.

// asOf reads the instant that is asked about and waits until it is settled; nil
// when the present is.
func (s *server) asOf(ctx context.Context, c *call) (*time.Time, error) {
	if c.query.Get("asOf") == "" {
		if c.query.Has("asOf") {
			return nil, lifecycle.Faultf(lifecycle.KindInvalid, "asOf", "asOf is empty; leave it out to read the present state")
		}
		return nil, nil
	}
	at, err := c.instant("asOf")
	if err != nil {
		return nil, err
	}
	at = at.UTC().Truncate(time.Microsecond) // what the record tells apart
	return &at, s.Service.Settle(ctx, at)
}

// userAnswer is one user; as of an instant, with what decided about them then.
type userAnswer struct {
	UserView
	AsOf      *time.Time     `json:"asOf,omitempty"`
	Decision  *decisionView  `json:"decision,omitempty"`
	Evidence  []evidenceView `json:"evidence,omitempty"`  // that counted then
	Approvals []approvalView `json:"approvals,omitempty"` // that held then; staff only
	Holds     []holdView     `json:"holds,omitempty"`     // that held then; staff only
}

// approvalView is a second person's word on a user; for staff.
type approvalView struct {
	ID         string     `json:"id"`
	Approved   bool       `json:"approved"`
	Role       string     `json:"role"`
	Title      string     `json:"title"`
	At         time.Time  `json:"at"`
	ValidUntil *time.Time `json:"validUntil"`
	Actor      string     `json:"actor"`
	Reason     string     `json:"reason,omitempty"`
}

func showApproval(a storage.Approval) approvalView {
	v := approvalView{ID: a.ID, Approved: a.Approved, Role: a.Role, Title: a.Title, At: a.At, Actor: a.Actor, Reason: a.Reason}
	if !a.ValidUntil.IsZero() {
		v.ValidUntil = &a.ValidUntil
	}
	return v
}

// userAt answers the user in the path as they were. Who had left by then is
// shown to staff only, as in the present.
func (s *server) userAt(ctx context.Context, c *call, at time.Time) (storage.User, error) {
	u, err := s.read.GetUserAt(ctx, c.who.Participant, c.id(), at)
	if err == nil && u.Deleted != nil && !c.staffTexts() {
		err = fmt.Errorf("user %s: %w", c.id(), storage.ErrNotFound)
	}
	return c.looksAt(u, err)
}

func (s *server) getUserAt(ctx context.Context, c *call, at time.Time) (userAnswer, error) {
	u, err := s.userAt(ctx, c, at)
	if err != nil {
		return userAnswer{}, err
	}
	known, err := lifecycle.KnownAt(ctx, s.read, u.ID, at)
	if err != nil {
		return userAnswer{}, err
	}
	decided := c.decision(u, u.Decision.Trace, at)
	a := userAnswer{UserView: c.user(u, at), AsOf: &at, Decision: &decided, Evidence: as(known.Evidence, c.evidence)}
	if c.staffTexts() {
		a.Approvals, a.Holds = as(known.Approvals, showApproval), as(known.Holds, showHold)
	}
	return a, nil
}

// looksAtMost bounds how many users a page as of an instant looks at: what they
// were then no index knows, so they are looked at one by one.
const looksAtMost = 2000

// listUsersAt answers users as they were, by id. A page may hold less than it
// could, and go on all the same.
func (s *server) listUsersAt(ctx context.Context, c *call, participant string, at time.Time, limit int) (page[UserView], error) {
	var empty page[UserView]
	fits, err := c.fits(at)
	if err != nil {
		return empty, err
	}
	bound, err := json.Marshal([]string{"users at", participant, c.query.Get("q"), c.query.Get("status"), c.query.Get("role"), c.query.Get("gate"), c.query.Get("asOf")})
	if err != nil {
		return empty, fmt.Errorf("bind cursor: %w", err)
	}
	last, err := after[string](s, bound, c.query.Get("cursor"))
	if err != nil {
		return empty, err
	}
	q := storage.AsOfQuery{Participant: participant, At: at}
	if last != nil {
		q.After = *last
	}
	found, more := []storage.User{}, true
	for looked := 0; more && looked < looksAtMost && len(found) < limit; {
		q.Limit = max(limit, 100) + 1
		users, err := s.read.ListUsersAt(ctx, q)
		if err != nil {
			return empty, err
		}
		more = len(users) == q.Limit
		users = users[:min(len(users), q.Limit-1)] // the one more says that there is one
		for i, u := range users {
			if len(found) == limit {
				more = true
				users = users[:i]
				break
			}
			if fits(u) {
				found = append(found, u)
			}
		}
		looked += len(users)
		if len(users) > 0 {
			q.After = users[len(users)-1].ID
		}
	}
	answer := page[UserView]{Items: as(found, func(u storage.User) UserView { return c.user(u, at) })}
	if more {
		next, err := s.cursor(bound, q.After)
		if err != nil {
			return empty, err
		}
		answer.NextCursor = &next
	}
	return answer, nil
}

// fits is userFilter for users as they were.
func (c *call) fits(at time.Time) (func(storage.User) bool, error) {
	if _, err := userFilter(c); err != nil {
		return nil, err
	}
	if c.query.Get("sort") != "" {
		return nil, lifecycle.Faultf(lifecycle.KindInvalid, "sort", "sort does not go with asOf; users as they were come by id")
	}
	name, text := storage.UserNameKey(c.query.Get("q")), storage.FoldKey(c.query.Get("q"))
	status, role, gate := c.query.Get("status"), c.query.Get("role"), policy.Gate(c.query.Get("gate"))
	staff := c.staffTexts()
	return func(u storage.User) bool {
		if u.Deleted != nil && !staff {
			return false
		}
		if text != "" && !strings.Contains(u.UserNameKey, name) &&
			!slices.ContainsFunc([]string{u.DisplayName, u.GivenName, u.FamilyName, u.Email}, func(v string) bool { return strings.Contains(storage.FoldKey(v), text) }) {
			return false
		}
		d := u.Access(at)
		return (status == "" || string(d.Status) == status) && (role == "" || d.Role == role) &&
			(gate == "" || slices.Contains(d.ClosedGates(), string(gate)))
	}, nil
}
