package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/api"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// planPrint is how a plan is printed.
type planPrint struct {
	JSON   bool `name:"json" xor:"print" help:"Print JSON, everybody among it."`
	CSV    bool `name:"csv" xor:"print" help:"Print everybody whom it touches as CSV."`
	People bool `name:"people" xor:"print" help:"Print everybody whom it touches below the counts."`
}

type policyPlan struct {
	File        string `arg:"" help:"The document (YAML or JSON); its title table may be in a CSV file beside it. - reads standard input."`
	Participant string `help:"The document is the overlay of this participant."`
	planPrint   `embed:""`
}

func (c *policyPlan) Run(ctx context.Context, p *program) error {
	from, err := readSource(c.File)
	if err != nil {
		return err
	}
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		document := from.Text
		if c.Participant == "" { // an overlay has no table
			if document, err = policy.Inline(from); err != nil {
				return p.wrongDocument(from.Name, err)
			}
		}
		plan, err := h.deeds.PlanPolicy(ctx, p.actor(), lifecycle.PlanSpec{Participant: c.Participant, Document: document})
		if err != nil {
			return p.wrongDocument(from.Name, named("participant", c.Participant, err))
		}
		return c.print(ctx, p, h, plan.ID)
	})
}

type policyWithdraw struct {
	Plan string `arg:"" help:"The plan's id."`
}

func (c *policyWithdraw) Run(ctx context.Context, p *program) error {
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		_, err := h.deeds.WithdrawPlan(ctx, p.actor(), c.Plan)
		if err != nil {
			return named("plan", c.Plan, err)
		}
		say(p.stderr, "plan %s was withdrawn; it is not in force\n", c.Plan)
		return nil
	})
}

type policyRollback struct {
	Version   int64 `arg:"" help:"The version to go back to, as policy history lists it."`
	planPrint `embed:""`
}

func (c *policyRollback) Run(ctx context.Context, p *program) error {
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		plan, err := h.deeds.RollBack(ctx, p.actor(), c.Version)
		if err != nil {
			return err
		}
		return c.print(ctx, p, h, plan.ID)
	})
}

// print works a plan out and prints what it comes to.
func (c *planPrint) print(ctx context.Context, p *program, h *house, id string) error {
	plan, err := p.follow(ctx, h, id, "planning", h.deeds.ComputePlan, func(plan storage.Plan) bool { return plan.State != lifecycle.PlanComputing })
	if err != nil {
		return err
	}
	if plan.State == lifecycle.PlanRefused {
		return errors.New(plan.Note)
	}
	v, err := api.ShowPlan(plan)
	if err != nil {
		return err
	}
	people := storage.PlanQuery{Plan: id}
	switch {
	case c.JSON:
		err = printPlanJSON(ctx, p.stdout, h.store, v, people)
	case c.CSV:
		err = api.WritePlanCSV(ctx, h.store, people, p.stdout)
	default:
		err = printPlan(p.stdout, v)
		if err == nil && c.People {
			err = printPeople(ctx, p.stdout, h.store, people)
		}
	}
	if err != nil {
		return err
	}
	say(p.stderr, "%s\n", nextStep(v))
	return nil
}

// nextStep is what to do with a plan that is ready.
func nextStep(v api.PlanView) string {
	apply := "healthix-scim policy apply --plan " + v.Plan
	if v.Confirm != nil && v.ConfirmedBy == nil {
		return fmt.Sprintf("A second operator must confirm this plan, because %s: POST /api/v1/policy/plans/%s/confirm with a token of their own.\nThen: %s", *v.Confirm, v.Plan, apply)
	}
	return "Nothing is changed yet. To put it in force: " + apply
}

// printPlan prints what a plan comes to: itself, then by class, then by
// participant.
func printPlan(w io.Writer, v api.PlanView) error {
	pairs := [][2]string{{"plan", v.Plan}, {"state", v.State}, {"base", "version " + strconv.FormatInt(v.Base, 10)}}
	for _, more := range []struct {
		name string
		text *string
	}{{"participant", v.Participant}, {"origin", v.Origin}, {"second operator", v.Confirm}, {"confirmed by", v.ConfirmedBy}} {
		if more.text != nil {
			pairs = append(pairs, [2]string{more.name, *more.text})
		}
	}
	if sum := v.Summary; sum != nil {
		pairs = append(pairs, [2]string{"looked at", fmt.Sprintf("%s people, %s of them with access", thousands(sum.Checked), thousands(sum.Released))},
			[2]string{"at once", thousands(sum.Ends) + " lose something that is in force"})
		if sum.BreakGlass > 0 {
			pairs = append(pairs, [2]string{"emergency", thousands(sum.BreakGlass) + " gain emergency access"})
		}
	}
	if err := show(w, pairs); err != nil {
		return err
	}
	if len(v.Classes) == 0 {
		_, err := fmt.Fprintln(w, "\nIt touches nobody.")
		return err
	}
	var classes, participants [][]string
	for _, c := range v.Classes {
		classes = append(classes, []string{string(c.Class), orDash(text(c.From)), orDash(text(c.To)), thousands(c.People)})
	}
	for _, at := range v.Participants {
		participants = append(participants, []string{at.Participant, thousands(at.Gain), thousands(at.Lose), thousands(at.Change), thousands(at.Unmapped), thousands(at.Gates)})
	}
	for _, table := range []struct {
		headings []string
		rows     [][]string
	}{
		{[]string{"CLASS", "FROM", "TO", "PEOPLE"}, classes},
		{[]string{"PARTICIPANT", "GAIN", "LOSE", "CHANGE", "UNMAPPED", "GATES"}, participants},
	} {
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
		if err := printTable(w, table.headings, table.rows); err != nil {
			return err
		}
	}
	return nil
}

// printPeople prints everybody, in tables of a page each.
func printPeople(ctx context.Context, w io.Writer, read storage.Reader, q storage.PlanQuery) error {
	headings := []string{"ID", "PARTICIPANT", "USERNAME", "TITLE", "CLASS", "FROM", "TO", "STATUS", "ENDS"}
	return api.EachPlanPerson(ctx, read, q, func(people []api.PlanPersonView) error {
		rows := make([][]string, len(people))
		for i, one := range people {
			status := string(one.StatusTo)
			if one.StatusFrom != one.StatusTo {
				status = string(one.StatusFrom) + " → " + status
			}
			rows[i] = []string{
				one.ID, one.Participant, orDash(text(one.UserName)), orDash(text(one.Title)), one.Class, orDash(text(one.From)), orDash(text(one.To)),
				status, orDash(strings.Join(one.Ends, " ")),
			}
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
		return printTable(w, headings, rows)
	})
}

// printPlanJSON prints a plan as the API does, with everybody, page by page.
func printPlanJSON(ctx context.Context, w io.Writer, read storage.Reader, v api.PlanView, q storage.PlanQuery) error {
	var head strings.Builder
	if err := printJSON(&head, v); err != nil {
		return err
	}
	if _, err := io.WriteString(w, strings.TrimSuffix(head.String(), "\n}\n")+",\n  \"people\": ["); err != nil {
		return err
	}
	separator := "\n    "
	err := api.EachPlanPerson(ctx, read, q, func(people []api.PlanPersonView) error {
		for _, one := range people {
			line, err := json.Marshal(one)
			if err != nil {
				return err
			}
			if _, err := io.WriteString(w, separator+string(line)); err != nil {
				return err
			}
			separator = ",\n    "
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, "\n  ],\n  \"nextCursor\": null\n}\n")
	return err
}

// glance is how often work in other hands is looked at, and tryAgain when it is
// taken up should they have let it go.
const (
	glance   = 200 * time.Millisecond
	tryAgain = 5 * time.Second
)

// follow does a step of a plan here, or watches the server that does it.
func (p *program) follow(ctx context.Context, h *house, id, label string, step func(context.Context, string, lifecycle.Progress) (storage.Plan, error), done func(storage.Plan) bool) (storage.Plan, error) {
	for told := false; ; {
		listen, end := p.progress(label)
		plan, err := step(ctx, id, listen)
		end()
		if err == nil && done(plan) {
			return plan, nil
		}
		if err != nil && !inOtherHands(err) {
			return plan, err
		}
		if !told {
			say(p.stderr, "a server is %s plan %s; waiting for it\n", label, id)
			told = true
		}
		if plan, err = watch(ctx, h, id, done); err != nil || done(plan) {
			return plan, err
		}
	}
}

// inOtherHands says that another process holds the plan.
func inOtherHands(err error) bool {
	var fault *lifecycle.Fault
	return errors.As(err, &fault) && fault.Kind == lifecycle.KindUnavailable && fault.Attribute == "plan"
}

// watch looks at a plan until it is done, or for a while.
func watch(ctx context.Context, h *house, id string, done func(storage.Plan) bool) (storage.Plan, error) {
	until := time.Now().Add(tryAgain)
	for {
		plan, err := h.store.GetPlan(ctx, id)
		if err != nil || done(plan) || time.Now().After(until) {
			return plan, err
		}
		select {
		case <-time.After(glance):
		case <-ctx.Done():
			return plan, ctx.Err()
		}
	}
}
