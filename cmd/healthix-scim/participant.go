package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/healthix/healthix-scim/api"
	"github.com/healthix/healthix-scim/storage"
)

type participantCommands struct {
	Add     participantAdd     `cmd:"" help:"Add an organization."`
	List    participantList    `cmd:"" help:"List organizations."`
	Show    participantShow    `cmd:"" help:"Show one organization with its settings."`
	Set     participantSet     `cmd:"" help:"Change name or settings."`
	Suspend participantSuspend `cmd:"" help:"Close access for everybody there, at once."`
	Resume  participantResume  `cmd:"" help:"End a suspension; else open what a recovery of the database closed."`
	Restore participantRestore `cmd:"" help:"Give back what a mass change of its identity provider took."`
	Accept  participantAccept  `cmd:"" help:"Close the case of its breaker: the mass change was meant to be."`
}

type participantAdd struct {
	ID   string `arg:"" help:"Slug, such as mercy-hospital; it never changes."`
	Name string `required:"" help:"The organization's name."`
	Type string `default:"standard" enum:"standard,health-plan,cbo,government" help:"standard, health-plan, cbo or government."`
	Mode string `default:"live" enum:"live,observe" help:"live, or observe: everything is decided, nothing sent or released."`
}

func (c *participantAdd) Run(ctx context.Context, p *program) error {
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		kept, err := h.deeds.AddParticipant(ctx, p.actor(), storage.Participant{ID: c.ID, Name: c.Name, Type: c.Type, Mode: c.Mode})
		if err != nil {
			return err
		}
		say(p.stderr, "added %s (%s, %s)\n", kept.ID, kept.Type, kept.Mode)
		return nil
	})
}

type participantList struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (c *participantList) Run(ctx context.Context, p *program) error {
	return p.look(ctx, func(ctx context.Context, read storage.Store) error {
		all, err := read.ListParticipants(ctx)
		if err != nil {
			return fmt.Errorf("list participants: %w", err)
		}
		views := make([]api.ParticipantView, len(all))
		rows := make([][]string, len(all))
		for i, one := range all {
			views[i] = api.ShowParticipant(one)
			rows[i] = []string{one.ID, one.Name, one.Type, one.Status, one.Mode}
		}
		if c.JSON {
			return printJSON(p.stdout, views)
		}
		return printTable(p.stdout, []string{"ID", "NAME", "TYPE", "STATUS", "MODE"}, rows)
	})
}

type participantShow struct {
	ID   string `arg:"" help:"The participant."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (c *participantShow) Run(ctx context.Context, p *program) error {
	return p.look(ctx, func(ctx context.Context, read storage.Store) error {
		one, err := read.GetParticipant(ctx, c.ID)
		if err != nil {
			return named("participant", c.ID, err)
		}
		v := api.ShowParticipant(one)
		if v.Breaker, err = api.ShowBreaker(ctx, read, one); err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, v)
		}
		pairs := [][2]string{
			{"id", v.ID}, {"name", v.Name}, {"type", v.Type}, {"status", v.Status}, {"mode", v.Mode}, {"reason", v.Reason}, {"recovering", stamp(v.Recovering)},
			{"sso", strconv.FormatBool(v.Settings.SSO)}, {"profile", v.Settings.Profile}, {"rateLimit", v.Settings.RateLimit},
			{"sharedExternalId", strconv.FormatBool(v.Settings.SharedExternalID)}, {"contacts", strings.Join(v.Settings.Contacts, ",")}, {"digest", v.Settings.Digest},
			{"created", stamp(&v.Created)}, {"changed", stamp(&v.Changed)}, {"version", strconv.FormatInt(v.Version, 10)},
		}
		return show(p.stdout, append(pairs, breakerPairs(one, v.Breaker)...))
	})
}

type participantSet struct {
	ID     string   `arg:"" help:"The participant."`
	Change []string `arg:"" name:"key=value" help:"name, sso, profile, rateLimit, sharedExternalId, contacts (comma-separated), breaker (default, off, or limits), digest (weekly, off)."`
}

// participantKeys are what may be set, each with how its text is read.
var participantKeys = map[string]func(p *storage.Participant, value string) error{
	"name":             func(p *storage.Participant, value string) error { p.Name = value; return nil },
	"sso":              func(p *storage.Participant, value string) error { return setBool(&p.Settings.SSO, value) },
	"profile":          func(p *storage.Participant, value string) error { p.Settings.Profile = value; return nil },
	"sharedExternalId": func(p *storage.Participant, value string) error { return setBool(&p.Settings.SharedExternalID, value) },
	"rateLimit": func(p *storage.Participant, value string) error {
		p.Settings.RateLimit = value
		_, err := api.ParseRate(value)
		return err
	},
	"breaker": func(p *storage.Participant, value string) error { p.Settings.Breaker = value; return nil },
	"digest":  func(p *storage.Participant, value string) error { p.Settings.Digest = value; return nil },
	"contacts": func(p *storage.Participant, value string) error {
		p.Settings.Contacts = strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
		return nil
	},
}

func setBool(to *bool, value string) error {
	set, err := strconv.ParseBool(value)
	if err != nil {
		return fmt.Errorf("%q is neither true nor false", value)
	}
	*to = set
	return nil
}

func (c *participantSet) Run(ctx context.Context, p *program) error {
	edit, err := participantEdit(c.Change)
	if err != nil {
		return usage(err)
	}
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		if _, err := h.deeds.ChangeParticipant(ctx, p.actor(), c.ID, edit); err != nil {
			return named("participant", c.ID, err)
		}
		say(p.stderr, "changed %s\n", c.ID)
		return nil
	})
}

// participantEdit reads KEY=VALUE pairs; one that is wrong spoils all.
func participantEdit(pairs []string) (func(*storage.Participant) error, error) {
	var draft storage.Participant
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		set, known := participantKeys[name]
		switch {
		case !ok:
			return nil, fmt.Errorf("%q is no KEY=VALUE", pair)
		case !known:
			return nil, fmt.Errorf("%s: %w", name, unknownKey(name))
		}
		if err := set(&draft, value); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return func(p *storage.Participant) error {
		for _, pair := range pairs {
			name, value, _ := strings.Cut(pair, "=")
			if err := participantKeys[name](p, value); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

func unknownKey(name string) error {
	var names []string
	for known := range participantKeys {
		names = append(names, known)
	}
	slices.Sort(names)
	if name == "mode" {
		return fmt.Errorf("a participant goes live through the API only, POST /api/v1/participants/ID/live")
	}
	if best := closest(name, names); best != "" {
		return fmt.Errorf("there is no such key; did you mean %s?", best)
	}
	return fmt.Errorf("there is no such key; expected %s", strings.Join(names, ", "))
}

type participantSuspend struct {
	ID     string `arg:"" help:"The participant."`
	Reason string `required:"" help:"Why, for the record; staff only."`
}

func (c *participantSuspend) Run(ctx context.Context, p *program) error {
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		kept, err := h.deeds.SuspendParticipant(ctx, p.actor(), c.ID, c.Reason)
		if err != nil {
			return named("participant", c.ID, err)
		}
		say(p.stderr, "%s is %s: access is closed for everybody there\n", c.ID, kept.Status)
		return nil
	})
}

type participantResume struct {
	ID string `arg:"" help:"The participant."`
}

func (c *participantResume) Run(ctx context.Context, p *program) error {
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		kept, err := h.deeds.ResumeParticipant(ctx, p.actor(), c.ID)
		if err != nil {
			return named("participant", c.ID, err)
		}
		if kept.Recovering != nil {
			say(p.stderr, "%s is %s, and closed until its identity provider has told of everybody since the restore; resume again opens it before\n", c.ID, kept.Status)
			return nil
		}
		say(p.stderr, "%s is %s\n", c.ID, kept.Status)
		return nil
	})
}
