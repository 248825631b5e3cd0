package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/healthix/healthix-scim/api"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

type policyApply struct {
	Plan string `required:"" placeholder:"PLAN-ID" help:"The plan, as policy plan shows it."`
	At   string `placeholder:"TIME" help:"Put it in force at this instant, such as 2026-12-01T06:00:00Z; a running server does. Now when left out."`
	JSON bool   `name:"json" help:"Print JSON."`
}

func (c *policyApply) Run(ctx context.Context, p *program) error {
	var at *time.Time
	if c.At != "" {
		when, err := time.Parse(time.RFC3339, c.At)
		if err != nil {
			return usage(fmt.Errorf("--at is %q; expected an instant with its zone, such as 2026-12-01T06:00:00Z", c.At))
		}
		at = &when
	}
	return p.deed(ctx, func(ctx context.Context, h *house) error {
		plan, err := c.apply(ctx, p, h, at)
		if err != nil {
			return err
		}
		v, err := api.ShowPlan(plan)
		if err != nil {
			return err
		}
		if c.JSON {
			return printJSON(p.stdout, v)
		}
		pairs := [][2]string{{"plan", v.Plan}, {"state", v.State}}
		if v.Version != nil {
			pairs = append(pairs, [2]string{"version", strconv.FormatInt(*v.Version, 10)}, [2]string{"carried out", stamp(v.Carried)})
		} else {
			pairs = append(pairs, [2]string{"at", stamp(v.At)})
			say(p.stderr, "scheduled; a running server puts it in force then\n")
		}
		return show(p.stdout, pairs)
	})
}

// apply puts a plan in force and carries it out, or schedules it. One that was
// begun and left is gone on with.
func (c *policyApply) apply(ctx context.Context, p *program, h *house, at *time.Time) (storage.Plan, error) {
	plan, err := h.store.GetPlan(ctx, c.Plan)
	if err != nil {
		return plan, named("plan", c.Plan, err)
	}
	begun := at == nil && (plan.State == lifecycle.PlanApplying || plan.State == lifecycle.PlanApplied && plan.Carried == nil)
	if !begun {
		if plan, err = h.deeds.ApplyPlan(ctx, p.actor(), c.Plan, at); err != nil || plan.State == lifecycle.PlanScheduled {
			return plan, err
		}
	}
	plan, err = p.follow(ctx, h, c.Plan, "applying", h.deeds.PutInForce, func(plan storage.Plan) bool { return plan.State != lifecycle.PlanApplying })
	if err != nil {
		return plan, err
	}
	if plan.State != lifecycle.PlanApplied {
		return plan, fmt.Errorf("the plan was not put in force: %s", plan.Note)
	}
	return p.follow(ctx, h, c.Plan, "carrying out", h.deeds.CarryOut, func(plan storage.Plan) bool { return plan.Carried != nil })
}
