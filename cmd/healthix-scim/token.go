package main

import (
	"context"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/api"
	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

type tokenCommands struct {
	Issue  tokenIssue  `cmd:"" help:"Issue a token; it is printed once and not kept."`
	List   tokenList   `cmd:"" help:"List tokens on record."`
	Revoke tokenRevoke `cmd:"" help:"Revoke a token; it stops within five seconds on every node."`
}

type tokenIssue struct {
	Scope       string        `required:"" enum:"scim,operator,auditor,aum,portal" help:"scim, operator, auditor, aum or portal."`
	Participant string        `help:"The participant: needed for scim and aum, allowed for auditor and portal."`
	Subject     string        `help:"Who uses it: a person's e-mail address; for portal the service's name."`
	TTL         time.Duration `name:"ttl" help:"How long it is valid. Default: 8760h for scim and portal, 720h for people."`
	Label       string        `help:"Your own name for it, such as entra."`
}

func (c *tokenIssue) Run(ctx context.Context, p *program) error {
	if c.TTL < 0 {
		return usage(fmt.Errorf("--ttl is %s; expected a duration like 720h", c.TTL))
	}
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		text, err := h.issue(ctx, p.actor(), lifecycle.TokenSpec{
			Participant: c.Participant, Scope: c.Scope, Subject: c.Subject, Label: c.Label, TTL: c.TTL,
		})
		if err != nil {
			return named("participant", c.Participant, err)
		}
		_, err = fmt.Fprintln(p.stdout, text)
		return err
	})
}

// signer mints tokens for this instance.
func (h *house) signer(ctx context.Context) (*auth.Signer, string, error) {
	instance, err := h.store.Instance(ctx)
	if err != nil {
		return nil, "", fmt.Errorf("read instance id: %w", err)
	}
	return auth.NewSigner(h.keys.token, instance, auth.Audience), instance, nil
}

// issue puts a token on record and mints it.
func (h *house) issue(ctx context.Context, by lifecycle.Actor, spec lifecycle.TokenSpec) (string, error) {
	signer, _, err := h.signer(ctx)
	if err != nil {
		return "", err
	}
	record, err := h.deeds.IssueToken(ctx, by, spec)
	if err != nil {
		return "", err
	}
	return signer.Mint(record)
}

type tokenList struct {
	Participant string `help:"Only this participant's."`
	JSON        bool   `name:"json" help:"Print JSON."`
}

func (c *tokenList) Run(ctx context.Context, p *program) error {
	return p.look(ctx, func(ctx context.Context, read storage.Store) error {
		if c.Participant != "" {
			if _, err := read.GetParticipant(ctx, c.Participant); err != nil {
				return named("participant", c.Participant, err)
			}
		}
		all, err := read.ListTokens(ctx, c.Participant)
		if err != nil {
			return fmt.Errorf("list tokens: %w", err)
		}
		now := time.Now()
		views := make([]api.TokenView, len(all))
		rows := make([][]string, len(all))
		for i, t := range all {
			views[i] = api.ShowToken(t)
			rows[i] = []string{t.ID, t.Scope, orDash(t.Participant), orDash(t.Subject), orDash(t.Label), tokenState(t, now), stamp(&t.Expires), stamp(t.LastUsed)}
		}
		if c.JSON {
			return printJSON(p.stdout, views)
		}
		return printTable(p.stdout, []string{"TOKEN-ID", "SCOPE", "PARTICIPANT", "SUBJECT", "LABEL", "STATE", "EXPIRES", "LAST USED"}, rows)
	})
}

func tokenState(t storage.Token, now time.Time) string {
	switch {
	case t.Revoked != nil:
		return "revoked"
	case !now.Before(t.Expires):
		return "expired"
	default:
		return "live"
	}
}

type tokenRevoke struct {
	ID string `arg:"" name:"token-id" help:"The token's jti, as token list shows it."`
}

func (c *tokenRevoke) Run(ctx context.Context, p *program) error {
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		if err := h.deeds.RevokeToken(ctx, p.actor(), c.ID); err != nil {
			return named("token", c.ID, err)
		}
		say(p.stderr, "%s is revoked; every server refuses it within 5 seconds\n", c.ID)
		return nil
	})
}
