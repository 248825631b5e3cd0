package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/api"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

type policyCommands struct {
	Lint    policyLint    `cmd:"" help:"Check a policy document; every mistake with its line."`
	Explain policyExplain `cmd:"" help:"Say which role a title leads to, and why."`
	History policyHistory `cmd:"" help:"List the policy versions on record, newest first."`
}

type policyLint struct {
	File string `arg:"" help:"The document (YAML); - reads standard input."`
}

func (c *policyLint) Run(p *program) error {
	name, read := c.File, func() ([]byte, error) { return os.ReadFile(c.File) }
	if c.File == "-" {
		name, read = "standard input", func() ([]byte, error) { return io.ReadAll(os.Stdin) }
	}
	document, err := read()
	if err != nil {
		return fmt.Errorf("read policy: %w", err)
	}
	checked, err := policy.Parse(document)
	var wrong *policy.DocumentError
	if errors.As(err, &wrong) {
		for _, at := range wrong.Problems {
			say(p.stderr, "%s:%d: %s: %s\n", name, at.Line, at.Key, at.Message)
		}
		return fmt.Errorf("%s has %d mistake(s)", name, len(wrong.Problems))
	}
	if err != nil {
		return fmt.Errorf("%s is no policy: %w", name, err)
	}
	_, err = fmt.Fprintf(p.stdout, "%s: %d roles, digest %s\n", name, len(checked.Roles()), checked.Digest())
	return err
}

type policyExplain struct {
	Title       string `arg:"" help:"A job title as an identity provider would send it."`
	Department  string `help:"The department, for titles that depend on it."`
	Participant string `help:"The participant; some roles are for some types only."`
	JSON        bool   `name:"json" help:"Print JSON."`
}

func (c *policyExplain) Run(ctx context.Context, p *program) error {
	facts := policy.Facts{Title: c.Title, Department: c.Department, Active: true, Participant: policy.ParticipantState{Type: "standard"}}
	if there, path := p.databaseThere(); !there && c.Participant == "" {
		// Asking about a title needs no database, and makes none.
		say(p.stderr, "there is no database at %s; the default policy answers\n", path)
		inForce, err := policy.Parse(policy.Default())
		if err != nil {
			return fmt.Errorf("read default policy: %w", err)
		}
		return c.answer(p, inForce.Explain(facts, time.Now()))
	}
	return p.look(ctx, func(ctx context.Context, read storage.Store) error {
		if c.Participant != "" {
			at, err := read.GetParticipant(ctx, c.Participant)
			if err != nil {
				return named("participant", c.Participant, err)
			}
			facts.Participant = at.State()
		}
		inForce, err := policyInForce(ctx, read)
		if err != nil {
			return err
		}
		return c.answer(p, inForce.Explain(facts, time.Now()))
	})
}

// policyInForce is the policy on record; before the first, the default one that
// will be it.
func policyInForce(ctx context.Context, read storage.Reader) (*policy.Policy, error) {
	kept, err := read.CurrentPolicy(ctx)
	if errors.Is(err, storage.ErrNotFound) {
		kept, err = storage.PolicyVersion{Document: policy.Default()}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("policy in force: %w", err)
	}
	inForce, err := policy.Parse(kept.Document)
	if err != nil {
		return nil, fmt.Errorf("policy version %d: %w", kept.Version, err)
	}
	return inForce.WithVersion(kept.Version, kept.Applied), nil
}

func (c *policyExplain) answer(p *program, e policy.Explanation) error {
	if c.JSON {
		return printJSON(p.stdout, e)
	}
	role := "none"
	if e.Role != nil {
		role = *e.Role
	}
	lines := [][2]string{{"role", role}, {"reason", e.Reason}, {"title", e.Title.Normal}, {"rule", e.Rule}, {"policy", "version " + strconv.FormatInt(e.PolicyVersion, 10)}}
	for _, s := range e.Trace {
		lines = append(lines, [2]string{s.Step, s.Detail})
	}
	for _, s := range e.Suggestions {
		lines = append(lines, [2]string{"suggestion", s.Title + " → " + s.Role})
	}
	return show(p.stdout, lines)
}

type policyHistory struct {
	JSON bool `name:"json" help:"Print JSON."`
}

func (c *policyHistory) Run(ctx context.Context, p *program) error {
	return p.look(ctx, func(ctx context.Context, read storage.Store) error {
		kept, err := read.ListPolicies(ctx)
		if err != nil {
			return fmt.Errorf("list policy versions: %w", err)
		}
		views := make([]api.PolicyVersionView, len(kept))
		rows := make([][]string, len(kept))
		for i, v := range kept {
			views[i] = api.ShowPolicyVersion(v)
			rows[i] = []string{strconv.FormatInt(v.Version, 10), stamp(&v.Applied), v.Actor, strings.TrimSpace(v.Digest)}
		}
		if c.JSON {
			return printJSON(p.stdout, views)
		}
		return printTable(p.stdout, []string{"VERSION", "APPLIED", "ACTOR", "DIGEST"}, rows)
	})
}
