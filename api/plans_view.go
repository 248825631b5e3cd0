package api

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// PlanView is a policy change: what it would do, and how far it has come.
type PlanView struct {
	Plan         string            `json:"plan"`
	Base         int64             `json:"base"`        // the version that it was compared with
	Participant  *string           `json:"participant"` // whose overlay changes, null for the policy of all
	Digest       string            `json:"digest"`
	State        string            `json:"state"`   // computing, ready, scheduled, applying, applied, refused
	Origin       *string           `json:"origin"`  // how the document came about, null when somebody wrote it
	Note         *string           `json:"note"`    // why it was refused
	Summary      *planTotals       `json:"summary"` // null until it is worked out
	Classes      []planClass       `json:"classes"`
	Participants []planParticipant `json:"participants"`
	Confirm      *string           `json:"confirm"` // why a second operator must confirm it, null when none must
	ConfirmedBy  *string           `json:"confirmedBy"`
	PlannedBy    string            `json:"plannedBy"`
	AppliedBy    *string           `json:"appliedBy"`
	At           *time.Time        `json:"at"`      // when it is to come into force
	Version      *int64            `json:"version"` // under which it is in force
	Carried      *time.Time        `json:"carried"` // when everybody concerned was decided again
	Created      time.Time         `json:"created"`
	Changed      time.Time         `json:"changed"`
}

type planTotals struct {
	Gain       int `json:"gain"`
	Lose       int `json:"lose"`
	Change     int `json:"change"`
	Unmapped   int `json:"unmapped"`
	Gates      int `json:"gates"`
	Ends       int `json:"ends"`       // of whom something in force ends at once
	BreakGlass int `json:"breakGlass"` // who gain emergency access
	Checked    int `json:"checked"`    // active people who were looked at
	Released   int `json:"released"`   // of them, those who have access
}

type planClass struct {
	Class  policy.ChangeClass `json:"class"`
	From   *string            `json:"from"` // role, null for none
	To     *string            `json:"to"`
	People int                `json:"people"`
}

type planParticipant struct {
	Participant string `json:"participant"`
	Gain        int    `json:"gain"`
	Lose        int    `json:"lose"`
	Change      int    `json:"change"`
	Unmapped    int    `json:"unmapped"`
	Gates       int    `json:"gates"`
}

// PlanPersonView is somebody whom a plan touches. Name and title are as they are
// now, null when the person was deleted since.
type PlanPersonView struct {
	ID          string        `json:"id"`
	Participant string        `json:"participant"`
	UserName    *string       `json:"userName"`
	Title       *string       `json:"title"`
	Class       string        `json:"class"`
	From        *string       `json:"from"` // role that the title leads to
	To          *string       `json:"to"`
	Gains       []string      `json:"gains"`
	Loses       []string      `json:"loses"`
	Ends        []string      `json:"ends"`
	Gates       []policy.Gate `json:"gates"`
	StatusFrom  policy.Status `json:"statusFrom"`
	StatusTo    policy.Status `json:"statusTo"`
}

// ShowPlan shows a plan without its people.
func ShowPlan(p storage.Plan) (PlanView, error) {
	v := PlanView{
		Plan: p.ID, Base: p.Base, Participant: optional(p.Participant), Digest: p.Digest, State: p.State, Origin: optional(p.Origin), Note: optional(p.Note),
		Classes: []planClass{}, Participants: []planParticipant{},
		ConfirmedBy: optional(p.ConfirmedBy), PlannedBy: p.Actor, AppliedBy: optional(p.AppliedBy), At: p.At, Carried: p.Carried, Created: p.Created, Changed: p.Changed,
	}
	if p.Version != 0 {
		v.Version = &p.Version
	}
	if len(p.Summary) == 0 {
		return v, nil
	}
	sum, err := lifecycle.Summary(p)
	if err != nil {
		return v, err
	}
	v.Confirm = optional(sum.Confirm)
	v.Summary = &planTotals{
		Gain: sum.Gain, Lose: sum.Lose, Change: sum.Change, Unmapped: sum.Unmapped, Gates: sum.Gates,
		Ends: sum.Ends, BreakGlass: sum.BreakGlass, Checked: sum.Checked, Released: sum.Released,
	}
	v.Classes = as(sum.Classes, func(c lifecycle.PlanClass) planClass {
		return planClass{Class: c.Class, From: optional(c.From), To: optional(c.To), People: c.People}
	})
	v.Participants = as(sum.Participants, func(p lifecycle.PlanParticipant) planParticipant {
		return planParticipant{Participant: p.Participant, Gain: p.Gain, Lose: p.Lose, Change: p.Change, Unmapped: p.Unmapped, Gates: p.Gates}
	})
	return v, nil
}

// ListPlanPeople reads a page of a plan's people with their names and titles.
func ListPlanPeople(ctx context.Context, read storage.Reader, q storage.PlanQuery) ([]PlanPersonView, error) {
	rows, err := read.ListPlanPeople(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("people of plan %s: %w", q.Plan, err)
	}
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.User
	}
	cases, err := read.ListCases(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("people of plan %s: %w", q.Plan, err)
	}
	known := make(map[string]storage.User, len(cases))
	for _, c := range cases {
		known[c.User.ID] = c.User
	}
	return as(rows, func(row storage.PlanPerson) PlanPersonView {
		u := known[row.User]
		return PlanPersonView{
			ID: row.User, Participant: row.Participant, UserName: optional(u.UserName), Title: optional(u.Title),
			Class: row.Class, From: optional(row.Change.From), To: optional(row.Change.To),
			Gains: append([]string{}, row.Change.Gains...), Loses: append([]string{}, row.Change.Loses...), Ends: append([]string{}, row.Change.Ends...),
			Gates: append([]policy.Gate{}, row.Change.Gates...), StatusFrom: row.Change.StatusFrom, StatusTo: row.Change.StatusTo,
		}
	}), nil
}

// EachPlanPerson hands everybody to do, page by page.
func EachPlanPerson(ctx context.Context, read storage.Reader, q storage.PlanQuery, do func([]PlanPersonView) error) error {
	q.Limit = 500
	for {
		people, err := ListPlanPeople(ctx, read, q)
		if err != nil || len(people) == 0 {
			return err
		}
		if err := do(people); err != nil {
			return err
		}
		if len(people) < q.Limit {
			return nil
		}
		q.After = people[len(people)-1].ID
	}
}

// WritePlanCSV writes everybody whom a plan touches, a line each, headings first.
func WritePlanCSV(ctx context.Context, read storage.Reader, q storage.PlanQuery, w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"participant", "id", "userName", "title", "class", "from", "to", "gains", "loses", "ends", "gates", "statusFrom", "statusTo"}); err != nil {
		return err
	}
	err := EachPlanPerson(ctx, read, q, func(people []PlanPersonView) error {
		for _, p := range people {
			gates := as(p.Gates, func(g policy.Gate) string { return string(g) })
			line := []string{
				p.Participant, p.ID, orEmpty(p.UserName), orEmpty(p.Title), p.Class, orEmpty(p.From), orEmpty(p.To),
				strings.Join(p.Gains, " "), strings.Join(p.Loses, " "), strings.Join(p.Ends, " "), strings.Join(gates, " "),
				string(p.StatusFrom), string(p.StatusTo),
			}
			for i := range line {
				line[i] = inert(line[i])
			}
			if err := out.Write(line); err != nil {
				return err
			}
		}
		out.Flush()
		return out.Error()
	})
	out.Flush()
	if err == nil {
		err = out.Error()
	}
	return err
}

func orEmpty(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// inert keeps a spreadsheet from taking what somebody sent for a formula.
func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
