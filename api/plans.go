package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// planPatience is how long a request waits for a plan before it answers 202.
const planPatience = 10 * time.Second

// planAnswer is a plan with a page of its people; or all of them as CSV, or its
// document, when that was asked for.
type planAnswer struct {
	PlanView
	People     []PlanPersonView `json:"people"`
	NextCursor *string          `json:"nextCursor"` // null at the end

	count    int // people that the answer shows
	document []byte
	csv      func(ctx context.Context, w io.Writer) error
}

func (a planAnswer) rows() int { return a.count }

func (a planAnswer) render() (string, []byte) {
	if a.document == nil {
		return "", nil
	}
	return yamlType, a.document
}

func (a planAnswer) stream() (string, func(ctx context.Context, w io.Writer) error) {
	if a.csv == nil {
		return "", nil
	}
	return csvType, a.csv
}

// planPolicy takes a document in and answers what it would do.
func (s *server) planPolicy(ctx context.Context, c *call, text document) (planAnswer, error) {
	plan, err := s.Service.PlanPolicy(ctx, c.who.Actor, lifecycle.PlanSpec{Participant: c.query.Get("participant"), Document: text})
	return s.planned(ctx, c, plan, err)
}

type rollback struct {
	Version int64 `json:"version"`
}

// rollBack plans a new version equal to an old one.
func (s *server) rollBack(ctx context.Context, c *call, in rollback) (planAnswer, error) {
	plan, err := s.Service.RollBack(ctx, c.who.Actor, in.Version)
	return s.planned(ctx, c, plan, err)
}

// planned answers a plan that was made when it is ready, or as it stands.
func (s *server) planned(ctx context.Context, c *call, plan storage.Plan, err error) (planAnswer, error) {
	if err != nil {
		return planAnswer{}, err
	}
	plan, err = s.Service.WaitPlan(ctx, plan.ID, lifecycle.PlanComputing, s.PlanPatience)
	switch {
	case err != nil:
		return planAnswer{}, err
	case plan.State == lifecycle.PlanRefused:
		return planAnswer{}, lifecycle.Faultf(lifecycle.KindStale, "", "%s", plan.Note)
	case plan.State == lifecycle.PlanComputing:
		c.later(plan)
	}
	return s.showPlan(ctx, plan)
}

// later makes the answer a 202 that says where to look.
func (c *call) later(plan storage.Plan) {
	c.goesOn, c.location = true, root+"/policy/plans/"+plan.ID
}

func (s *server) confirmPlan(ctx context.Context, c *call, _ none) (planAnswer, error) {
	plan, err := s.Service.ConfirmPlan(ctx, c.who.Actor, c.id())
	if err != nil {
		return planAnswer{}, err
	}
	return s.showPlan(ctx, plan)
}

func (s *server) withdrawPlan(ctx context.Context, c *call, _ none) (none, error) {
	_, err := s.Service.WithdrawPlan(ctx, c.who.Actor, c.id())
	return none{}, err
}

type application struct {
	Plan string     `json:"plan"`
	At   *time.Time `json:"at,omitempty"` // at once when absent
}

// applyPlan puts a plan in force, now or at a time.
func (s *server) applyPlan(ctx context.Context, c *call, in application) (planAnswer, error) {
	if in.Plan == "" {
		return planAnswer{}, lifecycle.Faultf(lifecycle.KindInvalid, "plan", "plan is missing; send the id of a plan that is ready")
	}
	plan, err := s.Service.ApplyPlan(ctx, c.who.Actor, in.Plan, in.At)
	if err != nil {
		return planAnswer{}, err
	}
	if plan, err = s.Service.WaitPlan(ctx, plan.ID, lifecycle.PlanApplying, s.PlanPatience); err != nil {
		return planAnswer{}, err
	}
	switch plan.State {
	case lifecycle.PlanRefused: // people came or moved since it was worked out
		return planAnswer{}, lifecycle.Faultf(lifecycle.KindRefused, "plan", "%s", plan.Note)
	case lifecycle.PlanApplying, lifecycle.PlanScheduled:
		c.later(plan)
	}
	return s.showPlan(ctx, plan)
}

// firstPage is how many people an answer to a deed shows.
const firstPage = 100

// showPlan shows a plan with the first of its people.
func (s *server) showPlan(ctx context.Context, plan storage.Plan) (planAnswer, error) {
	return s.planPage(ctx, plan, peopleQuery{PlanQuery: storage.PlanQuery{Plan: plan.ID, Limit: firstPage}})
}

// peopleQuery is which of a plan's people are asked for.
type peopleQuery struct {
	storage.PlanQuery
	cursor string
}

// planPage shows a plan with a page of its people. While it is worked out some
// are known, but nobody should take them for all.
func (s *server) planPage(ctx context.Context, plan storage.Plan, q peopleQuery) (planAnswer, error) {
	v, err := ShowPlan(plan)
	if err != nil {
		return planAnswer{}, err
	}
	a := planAnswer{PlanView: v, People: []PlanPersonView{}}
	if plan.State == lifecycle.PlanComputing {
		return a, nil
	}
	bound, err := json.Marshal([]string{"plan", plan.ID, q.Class, q.Participant})
	if err != nil {
		return planAnswer{}, fmt.Errorf("bind cursor: %w", err)
	}
	begin, err := after[string](s, bound, q.cursor)
	if err != nil {
		return planAnswer{}, err
	}
	if begin != nil {
		q.After = *begin
	}
	limit := q.Limit
	q.Limit++
	if a.People, err = ListPlanPeople(ctx, s.read, q.PlanQuery); err != nil {
		return planAnswer{}, err
	}
	if len(a.People) > limit {
		a.People = a.People[:limit]
		next, err := s.cursor(bound, a.People[limit-1].ID)
		if err != nil {
			return planAnswer{}, err
		}
		a.NextCursor = &next
	}
	a.count = len(a.People)
	return a, nil
}

// planOf answers the plan in the path. To a token that is bound to a participant
// there are only the plans of its overlay: others concern other people too.
func (s *server) planOf(ctx context.Context, c *call) (storage.Plan, error) {
	plan, err := s.read.GetPlan(ctx, c.id())
	if err == nil && c.who.Participant != "" && plan.Participant != c.who.Participant {
		return storage.Plan{}, storage.ErrNotFound
	}
	return plan, err
}

var changeClasses = []string{
	string(policy.ChangeGain), string(policy.ChangeLose), string(policy.ChangeRole), string(policy.ChangeUnmapped), string(policy.ChangeGates),
}

// getPlan shows a plan: as JSON with a page of its people, as CSV with
// everybody, or its document.
func (s *server) getPlan(ctx context.Context, c *call, _ none) (planAnswer, error) {
	plan, err := s.planOf(ctx, c)
	if err != nil {
		return planAnswer{}, err
	}
	format := c.query.Get("format")
	if err := oneOf("format", format, []string{"json", "csv"}); err != nil {
		return planAnswer{}, err
	}
	if err := oneOf("class", c.query.Get("class"), changeClasses); err != nil {
		return planAnswer{}, err
	}
	limit, err := c.limit()
	if err != nil {
		return planAnswer{}, err
	}
	c.header.Set("Vary", "Accept")
	q := peopleQuery{
		PlanQuery: storage.PlanQuery{Plan: plan.ID, Class: c.query.Get("class"), Participant: c.query.Get("participant"), Limit: limit},
		cursor:    c.query.Get("cursor"),
	}
	switch {
	case format == "csv", format == "" && wants(c.r.Header, "text/csv"):
		return s.planCSV(ctx, c, plan, q)
	case format == "" && wants(c.r.Header, "yaml"):
		return planAnswer{document: plan.Document}, nil
	}
	return s.planPage(ctx, plan, q)
}

// planCSV answers everybody; how many that will be is what the plan came to.
func (s *server) planCSV(ctx context.Context, c *call, plan storage.Plan, q peopleQuery) (planAnswer, error) {
	if c.query.Has("cursor") || c.query.Has("limit") {
		return planAnswer{}, lifecycle.Faultf(lifecycle.KindInvalid, "format", "the CSV holds everybody; leave cursor and limit out")
	}
	if plan.State == lifecycle.PlanComputing {
		return planAnswer{}, lifecycle.Faultf(lifecycle.KindUnavailable, "", "the plan is being worked out; try again shortly")
	}
	v, err := ShowPlan(plan)
	if err != nil {
		return planAnswer{}, err
	}
	a := planAnswer{csv: func(ctx context.Context, w io.Writer) error { return WritePlanCSV(ctx, s.read, q.PlanQuery, w) }}
	q.Limit = 1
	some, err := s.read.ListPlanPeople(ctx, q.PlanQuery)
	if err != nil || len(some) == 0 { // the people of an old plan are forgotten
		return a, err
	}
	for _, p := range v.Participants {
		if q.Participant == "" || q.Participant == p.Participant {
			a.count += p.of(q.Class)
		}
	}
	return a, nil
}

// of is how many people of a class there are, "" for all.
func (p planParticipant) of(class string) int {
	switch policy.ChangeClass(class) {
	case policy.ChangeNone:
		return p.Gain + p.Lose + p.Change + p.Unmapped + p.Gates
	case policy.ChangeGain:
		return p.Gain
	case policy.ChangeLose:
		return p.Lose
	case policy.ChangeRole:
		return p.Change
	case policy.ChangeUnmapped:
		return p.Unmapped
	case policy.ChangeGates:
		return p.Gates
	}
	return 0
}

// listPlans shows the newest plans, without their people.
func (s *server) listPlans(ctx context.Context, c *call, _ none) (page[PlanView], error) {
	limit, err := c.limit()
	if err != nil {
		return page[PlanView]{}, err
	}
	plans, err := s.read.ListPlans(ctx, limit)
	if err != nil {
		return page[PlanView]{}, err
	}
	if own := c.who.Participant; own != "" {
		plans = slices.DeleteFunc(plans, func(p storage.Plan) bool { return p.Participant != own })
	}
	views := make([]PlanView, len(plans))
	for i, p := range plans {
		if views[i], err = ShowPlan(p); err != nil {
			return page[PlanView]{}, err
		}
	}
	return whole(views), nil
}
