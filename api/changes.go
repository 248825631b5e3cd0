package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

const (
	// changesWait is how long a poll waits for a change; less than requestDeadline.
	changesWait = 25 * time.Second
	// changesWaiters is how many polls of one token may be under way: one for each
	// of the portal's own servers, and then some.
	changesWaiters = 16
	changesPage    = 500
)

// What a change is about.
const (
	aboutUser        = "user"
	aboutParticipant = "participant" // everybody there
	aboutAll         = "all"
)

// changeView is a user as they are now, or says that the portal should ask again
// about everybody at a participant, or about everybody.
type changeView struct {
	About       string        `json:"about"`                 // user, participant, all
	Participant string        `json:"participant,omitempty"` // absent for all; the rest is of users only
	Username    string        `json:"username,omitempty"`
	Status      policy.Status `json:"status,omitempty"`
	Role        *string       `json:"role,omitempty"`
	Permissions *[]string     `json:"permissions,omitempty"`
	Email       *string       `json:"email,omitempty"`
	Mobile      *string       `json:"mobile,omitempty"`
	Version     int64         `json:"version,omitempty"`
	ValidUntil  *time.Time    `json:"validUntil,omitempty"`
}

// changesCursor is how far a portal came, and an instant before which nothing
// happened that it has not heard of.
type changesCursor struct {
	Place storage.ChangePlace `json:"place"`
	At    time.Time           `json:"at"`
}

// listChanges answers whose access changed since a cursor, in the order of
// commits and as it is now, or waits until somebody's does.
func (s *server) listChanges(ctx context.Context, c *call, _ none) (page[changeView], error) {
	// A bound token does not hear of the others' people: its cursor tells nothing
	// to a token that does.
	bound, err := json.Marshal([]string{"changes", c.who.Participant})
	if err != nil {
		return page[changeView]{}, fmt.Errorf("bind cursor: %w", err)
	}
	from, err := after[changesCursor](s, bound, c.query.Get("cursor"))
	if err != nil {
		return page[changeView]{}, err
	}
	answer := func(items []changeView, to changesCursor) (page[changeView], error) {
		next, err := s.cursor(bound, to)
		if err != nil {
			return page[changeView]{}, err
		}
		p := whole(items)
		p.NextCursor = &next
		return p, nil
	}
	if from == nil {
		begin := s.Service.Now()
		_, end, err := s.read.LastAccessChange(ctx)
		if err != nil {
			return page[changeView]{}, err
		}
		return answer(nil, changesCursor{Place: end, At: begin})
	}
	if s.Service.Now().Sub(from.At) > lifecycle.ChangesLast {
		return page[changeView]{}, forgottenChanges()
	}
	if _, ok := s.polls.enter(c.who.TokenID); !ok {
		c.header.Set("Retry-After", retryAfter(time.Second))
		return page[changeView]{}, lifecycle.Faultf(kindTooMany, "", "%d polls of this token are under way already; let one of them answer first", changesWaiters)
	}
	defer s.polls.exit(c.who.TokenID)
	patience := time.NewTimer(s.ChangesWait)
	defer patience.Stop()
	for at, last := *from, false; ; {
		items, to, err := s.changesAfter(ctx, at, c.who.Participant)
		if err != nil {
			return page[changeView]{}, err
		}
		if len(items) > 0 || last {
			return answer(items, to)
		}
		at = to
		if last, err = s.watch.wait(ctx, at.Place, patience.C); err != nil {
			return page[changeView]{}, err
		}
		// The token may have been revoked meanwhile.
		if _, err := s.Checker.Check(ctx, c.r.Header.Get("Authorization")); err != nil {
			return page[changeView]{}, err
		}
	}
}

// forgottenChanges is the answer to a cursor that nobody can go on from.
func forgottenChanges() error {
	return lifecycle.Faultf(kindGone, "cursor",
		"changes after this cursor are not known any more; forget all access that you remember, then begin without a cursor")
}

// changesAfter is a page of changes that somebody bound to a participant may hear
// of, "" for all, and how far it goes.
func (s *server) changesAfter(ctx context.Context, from changesCursor, within string) ([]changeView, changesCursor, error) {
	to := changesCursor{At: s.Service.Now()}
	changes, next, err := s.read.ListAccessChanges(ctx, from.Place, changesPage)
	if errors.Is(err, storage.ErrAhead) {
		return nil, to, forgottenChanges()
	}
	if err != nil {
		return nil, to, err
	}
	to.Place = next
	if len(changes) == changesPage { // what follows may be as old as the last of these
		if last := changes[changesPage-1].At; last.Before(to.At) {
			to.At = last
		}
	}
	// What is about many comes first: whoever reads a page from top to bottom forgets
	// them, and then learns of those who are in it. All are as they are now.
	var items []changeView
	var ids []string
	told := map[storage.AccessChange]bool{}
	for _, change := range changes {
		about := storage.AccessChange{Participant: change.Participant, User: change.User}
		if within != "" && change.Participant != "" && change.Participant != within || told[about] {
			continue
		}
		told[about] = true
		switch {
		case change.User != "":
			ids = append(ids, change.User)
		case change.Participant != "":
			items = append(items, changeView{About: aboutParticipant, Participant: change.Participant})
		default:
			items = append(items, changeView{About: aboutAll})
		}
	}
	if len(ids) == 0 {
		return items, to, nil
	}
	users, err := s.read.ListUsersByID(ctx, ids)
	if err != nil {
		return nil, to, err
	}
	for _, id := range ids {
		if u, ok := users[id]; ok && u.HealthixUsername != "" {
			items = append(items, s.changeOf(u))
		}
	}
	return items, to, nil
}

func (s *server) changeOf(u storage.User) changeView {
	v := s.portal(u)
	return changeView{
		About: aboutUser, Participant: u.Participant, Username: u.HealthixUsername, Status: v.Status, Role: v.Role, Permissions: &v.Permissions,
		Email: v.Email, Mobile: v.Mobile, Version: v.Version, ValidUntil: v.ValidUntil,
	}
}
