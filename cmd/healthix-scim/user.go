package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/api"
	"github.com/healthix/healthix-scim/storage"
)

type userCommands struct {
	List  userList  `cmd:"" help:"List people, oldest first."`
	Show  userShow  `cmd:"" help:"Show one person: access, gates and why."`
	Erase userErase `cmd:"" help:"Erase what is personal of somebody who was revoked, once the record of them need not be kept any more. There is no way back."`
}

type userList struct {
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
		now := time.Now()
		views, rows := []api.UserView{}, [][]string{}
		err := eachUser(ctx, read, c.Participant, now, func(u storage.User) {
			if c.JSON {
				views = append(views, api.ShowUser(u, now))
				return
			}
			d := u.Access(now)
			rows = append(rows, []string{
				u.ID, u.Participant, u.UserName, orDash(u.Title), orDash(d.Role), string(d.Status), orDash(strings.Join(d.ClosedGates(), " ")),
			})
		})
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, views)
		}
		return printTable(p.stdout, []string{"ID", "PARTICIPANT", "USERNAME", "TITLE", "ROLE", "STATUS", "CLOSED GATES"}, rows)
	})
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

type userShow struct {
	ID          string `arg:"" help:"The user's id."`
	Participant string `help:"Look at this participant only."`
	JSON        bool   `name:"json" help:"Print JSON."`
}

func (c *userShow) Run(ctx context.Context, p *program) error {
	return p.look(ctx, func(ctx context.Context, read storage.Store) error {
		u, err := read.GetUser(ctx, c.Participant, c.ID)
		if err != nil {
			return named("user", c.ID, err)
		}
		v := api.ShowUser(u, time.Now())
		if c.JSON {
			return printJSON(p.stdout, v)
		}
		pairs := [][2]string{
			{"id", v.ID}, {"participant", v.Participant}, {"userName", v.UserName}, {"externalId", u.ExternalID},
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
		return show(p.stdout, append(pairs,
			[2]string{"created", stamp(&v.Created)}, [2]string{"lastModified", stamp(&v.LastModified)}, [2]string{"version", strconv.FormatInt(v.Version, 10)}))
	})
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
