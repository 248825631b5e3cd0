package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/api"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

type userCommands struct {
	List  userList  `cmd:"" help:"List people, oldest first."`
	Show  userShow  `cmd:"" help:"Show one person: access, gates and why."`
	Erase userErase `cmd:"" help:"Erase what is personal of somebody who was revoked, once the record of them need not be kept any more. There is no way back."`
}

type userList struct {
	AsOf        string `name:"as-of" placeholder:"TIME" help:"As they were at an instant with its zone, like 2026-03-02T15:00:00Z; deleted people too."`
	Participant string `help:"Only this participant's people."`
	JSON        bool   `name:"json" help:"Print JSON."`
}

func (c *userList) Run(ctx context.Context, p *program) error {
	return p.look(ctx, func(ctx context.Context, read storage.Store) error {
		if c.Participant != "" {
			if _, err := read.GetParticipant(ctx, c.Participant); err != nil {
				return named("participant", c.Participant, err)
			}
		}
		at, past, err := asOf(ctx, read, c.AsOf)
		if err != nil {
			return err
		}
		views, rows := []api.UserView{}, [][]string{}
		add := func(u storage.User) {
			if c.JSON {
				views = append(views, api.ShowUser(u, at))
				return
			}
			d := u.Access(at)
			rows = append(rows, []string{
				u.ID, u.Participant, orErased(u.UserName), orDash(u.Title), orDash(d.Role), string(d.Status), orDash(strings.Join(d.ClosedGates(), " ")),
			})
		}
		if past {
			err = p.eachUserAt(ctx, read, c.Participant, at, add)
		} else {
			err = eachUser(ctx, read, c.Participant, at, add)
		}
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, views)
		}
		return printTable(p.stdout, []string{"ID", "PARTICIPANT", "USERNAME", "TITLE", "ROLE", "STATUS", "CLOSED GATES"}, rows)
	})
}

// asOf reads --as-of and waits until that instant is settled; the present when it
// is not given.
func asOf(ctx context.Context, read storage.Store, text string) (at time.Time, past bool, err error) {
	now := time.Now()
	if text == "" {
		return now, false, nil
	}
	at, err = time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return at, false, usage(fmt.Errorf("--as-of is %q; expected an instant with its zone, like 2026-03-02T15:00:00Z", text))
	}
	at = at.UTC().Truncate(time.Microsecond)
	if err := lifecycle.SettleIn(ctx, read, now, at); err != nil {
		if errors.Is(err, storage.ErrUnsettled) {
			return at, false, fmt.Errorf("--as-of %s: a change is under way that may still be recorded at or before it; ask again in a moment, or for an earlier instant", text)
		}
		return at, false, err
	}
	return at, true, nil
}

// eachUser goes through people page by page, so that no page costs more than
// the first.
func eachUser(ctx context.Context, read storage.Reader, participant string, now time.Time, do func(storage.User)) error {
	q := storage.Query{Participant: participant, Limit: 500, Now: now}
	for {
		users, _, err := read.ListUsers(ctx, q)
		if err != nil {
			return fmt.Errorf("list users: %w", err)
		}
		for _, u := range users {
			do(u)
		}
		if len(users) < q.Limit {
			return nil
		}
		q.After = users[len(users)-1].Position(q)
	}
}

// eachUserAt is eachUser for users as they were; a terminal sees how far it is.
func (p *program) eachUserAt(ctx context.Context, read storage.Reader, participant string, at time.Time, do func(storage.User)) error {
	total, err := read.CountUsersAt(ctx, participant, at)
	if err != nil {
		return err
	}
	listen, end := p.progress("Reading")
	defer end()
	done := 0
	return lifecycle.EachUserAt(ctx, read, participant, at, func(users []storage.User) error {
		for _, u := range users {
			do(u)
		}
		if done += len(users); listen != nil {
			listen(done, total)
		}
		return nil
	})
}

// orErased is a name, which an erasure takes.
func orErased(name string) string {
	if name == "" {
		return "(erased)"
	}
	return name
}

type userShow struct {
	ID          string `arg:"" help:"The user's id."`
	AsOf        string `name:"as-of" placeholder:"TIME" help:"As they were at an instant with its zone, like 2026-03-02T15:00:00Z."`
	Participant string `help:"Look at this participant only."`
	JSON        bool   `name:"json" help:"Print JSON."`
}

func (c *userShow) Run(ctx context.Context, p *program) error {
	return p.look(ctx, func(ctx context.Context, read storage.Store) error {
		at, past, err := asOf(ctx, read, c.AsOf)
		if err != nil {
			return err
		}
		find := read.GetUser
		if past {
			find = func(ctx context.Context, participant, id string) (storage.User, error) {
				return read.GetUserAt(ctx, participant, id, at)
			}
		}
		u, err := find(ctx, c.Participant, c.ID)
		if past && errors.Is(err, storage.ErrNotFound) {
			return fmt.Errorf("there was no user %s at %s", c.ID, c.AsOf)
		}
		if err != nil {
			return named("user", c.ID, err)
		}
		v := api.ShowUser(u, at)
		if c.JSON {
			return printJSON(p.stdout, v)
		}
		return show(p.stdout, userPairs(u, v, past))
	})
}

// userPairs is a user, a line for each member.
func userPairs(u storage.User, v api.UserView, past bool) [][2]string {
	pairs := [][2]string{
		{"id", v.ID}, {"participant", v.Participant}, {"userName", orErased(v.UserName)}, {"externalId", u.ExternalID},
		{"name", strings.TrimSpace(u.GivenName + " " + u.FamilyName)}, {"email", u.Email}, {"mobile", u.Mobile},
		{"title", u.Title}, {"department", u.Department}, {"active", strconv.FormatBool(u.Active)},
		{"status", string(v.Access.Status)}, {"role", text(v.Access.Role)}, {"requestedRole", text(v.Access.RequestedRole)},
		{"permissions", strings.Join(v.Access.Permissions, " ")}, {"username", u.HealthixUsername},
		{"releasedAt", stamp(v.Access.ReleasedAt)}, {"validUntil", stamp(v.Access.ValidUntil)}, {"clinicalAlerts", u.ClinicalAlerts},
		{"reason", v.Access.Reason},
	}
	for _, g := range v.Access.Gates {
		state := "open"
		if !g.Open {
			state = "closed: " + g.Reason
		}
		pairs = append(pairs, [2]string{"gate " + string(g.Gate), state})
	}
	if past {
		pairs = append(pairs, [2]string{"rule", u.Decision.Rule}, [2]string{"policyVersion", strconv.FormatInt(v.Access.PolicyVersion, 10)},
			[2]string{"deleted", stamp(v.Deleted)})
	}
	return append(pairs,
		[2]string{"created", stamp(&v.Created)}, [2]string{"lastModified", stamp(&v.LastModified)}, [2]string{"version", strconv.FormatInt(v.Version, 10)})
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
