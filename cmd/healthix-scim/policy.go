package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/api"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

type policyCommands struct {
	Lint     policyLint     `cmd:"" help:"Check a policy document; every finding with its file and line."`
	Test     policyTest     `cmd:"" help:"Run a policy document's own tests, and say which rows none of them reaches."`
	Explain  policyExplain  `cmd:"" help:"Say which role a title leads to, and why."`
	Plan     policyPlan     `cmd:"" help:"Show what a document would do, person by person. Changes nothing."`
	Apply    policyApply    `cmd:"" help:"Put a plan in force, now or at a time, and carry it out."`
	Withdraw policyWithdraw `cmd:"" help:"End a plan that is not in force yet, also a scheduled one."`
	Rollback policyRollback `cmd:"" help:"Plan a new version equal to an old one."`
	History  policyHistory  `cmd:"" help:"List the policy versions on record."`
	Show     policyShow     `cmd:"" help:"Print a policy document: the one in force, or a version."`
	Schema   policySchema   `cmd:"" help:"Print the JSON Schema of policy documents, for editors."`
}

type policyExplain struct {
	Title       string `arg:"" help:"A job title as an identity provider would send it."`
	Department  string `help:"The department, for titles that depend on it."`
	UserType    string `help:"The userType, for titles that depend on it."`
	NPI         string `name:"npi" help:"The National Provider Identifier, for titles that depend on it."`
	JobCode     string `help:"The job code, where the policy reads one beside the title."`
	Participant string `help:"The participant; some roles are for some types only, and it may have an overlay."`
	JSON        bool   `name:"json" help:"Print JSON."`
}

func (c *policyExplain) Run(ctx context.Context, p *program) error {
	facts := policy.Facts{
		Title: c.Title, Department: c.Department, UserType: c.UserType, NPI: c.NPI, JobCode: c.JobCode,
		Active: true, Participant: policy.ParticipantState{Type: "standard"},
	}
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
		inForce, err := policyInForce(ctx, read, c.Participant)
		if err != nil {
			return err
		}
		return c.answer(p, inForce.Explain(facts, time.Now()))
	})
}

// documentsInForce are the policy of all and the overlays; before the first,
// the default policy that will be it.
func documentsInForce(ctx context.Context, read storage.Reader) (storage.PolicyState, []storage.PolicyVersion, error) {
	state, err := read.PolicyState(ctx)
	if err != nil {
		return state, nil, fmt.Errorf("policy in force: %w", err)
	}
	if state.Version == 0 {
		return state, []storage.PolicyVersion{{Document: policy.Default()}}, nil
	}
	rows, err := read.ListPoliciesInForce(ctx, state.Version)
	if err != nil {
		return state, nil, fmt.Errorf("policy in force: %w", err)
	}
	return state, rows, nil
}

// policyInForce is the policy in force at a participant, "" for the policy of
// all.
func policyInForce(ctx context.Context, read storage.Reader, participant string) (*policy.Policy, error) {
	state, rows, err := documentsInForce(ctx, read)
	if err != nil {
		return nil, err
	}
	inForce, err := policy.Parse(rows[0].Document)
	if err != nil {
		return nil, fmt.Errorf("policy version %d: %w", rows[0].Version, err)
	}
	inForce = inForce.WithVersion(state.Version, rows[0].Applied)
	i := overlayOf(rows, participant)
	if i < 0 {
		return inForce, nil
	}
	overlay, err := policy.KeptOverlay(rows[i].Document, inForce)
	if err != nil {
		return nil, fmt.Errorf("overlay of %s, policy version %d: %w", participant, rows[i].Version, err)
	}
	return inForce.With(overlay), nil
}

// overlayOf is where a participant's overlay is, -1 when it has none.
func overlayOf(rows []storage.PolicyVersion, participant string) int {
	if participant == "" {
		return -1
	}
	return slices.IndexFunc(rows, func(v storage.PolicyVersion) bool { return v.Participant == participant })
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
	if e.JobCodeTitle != "" {
		lines = append(lines, [2]string{"job code", "stands for " + e.JobCodeTitle})
	}
	for _, s := range e.Trace {
		lines = append(lines, [2]string{s.Step, s.Detail})
	}
	for _, would := range e.Counterfactuals {
		lines = append(lines, [2]string{"otherwise", would.Sentence})
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
			rows[i] = []string{strconv.FormatInt(v.Version, 10), stamp(&v.Applied), v.Actor, orDash(v.Participant), orDash(v.Plan), strings.TrimSpace(v.Digest)}
		}
		if c.JSON {
			return printJSON(p.stdout, views)
		}
		return printTable(p.stdout, []string{"VERSION", "APPLIED", "ACTOR", "PARTICIPANT", "PLAN", "DIGEST"}, rows)
	})
}

type policyShow struct {
	Version     int64  `arg:"" optional:"" help:"A version on record; the one in force when left out."`
	Participant string `help:"This participant's overlay in force."`
	Tests       bool   `help:"The tests of the default policy instead, to begin your own with."`
}

func (c *policyShow) Run(ctx context.Context, p *program) error {
	if c.Version != 0 && c.Participant != "" {
		return usage(errors.New("a version is of one document; give it or --participant"))
	}
	if c.Tests {
		if c.Version != 0 || c.Participant != "" {
			return usage(errors.New("the tests are those of the default policy; leave the version and --participant out"))
		}
		_, err := p.stdout.Write(policy.DefaultTests())
		return err
	}
	if there, path := p.databaseThere(); !there && c.Version == 0 && c.Participant == "" {
		say(p.stderr, "there is no database at %s; this is the default policy\n", path)
		_, err := p.stdout.Write(policy.Default())
		return err
	}
	return p.look(ctx, func(ctx context.Context, read storage.Store) error {
		document, err := c.document(ctx, read)
		if err != nil {
			return err
		}
		_, err = p.stdout.Write(document)
		return err
	})
}

func (c *policyShow) document(ctx context.Context, read storage.Reader) ([]byte, error) {
	if c.Version != 0 {
		kept, err := read.GetPolicy(ctx, c.Version)
		return kept.Document, named("policy version", strconv.FormatInt(c.Version, 10), err)
	}
	_, rows, err := documentsInForce(ctx, read)
	if err != nil {
		return nil, err
	}
	if c.Participant == "" {
		return rows[0].Document, nil
	}
	if _, err := read.GetParticipant(ctx, c.Participant); err != nil {
		return nil, named("participant", c.Participant, err)
	}
	i := overlayOf(rows, c.Participant)
	if i < 0 {
		return nil, fmt.Errorf("participant %s has no overlay; the policy of all holds there", c.Participant)
	}
	return rows[i].Document, nil
}
