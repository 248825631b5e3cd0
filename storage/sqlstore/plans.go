package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// planRow is a plan as a table keeps it.
type planRow struct {
	ID          string `gorm:"primaryKey"`
	Participant string
	Base        int64
	Document    []byte
	Digest      string
	State       string
	Summary     string
	Origin      string
	Note        string
	Actor       string
	Token       string
	Created     instant
	Confirmed   *instant
	ConfirmedBy string
	At          *instant
	AppliedBy   string
	Version     int64
	Carried     *instant
	Changed     instant
	Holder      string
	HeldUntil   *instant
	RowVersion  int64
}

// TableName names the table for gorm.
func (planRow) TableName() string { return "policy_plan" }

const planFacts = `id, participant, base, digest, state, summary, origin, note, actor, token, created, confirmed, confirmed_by, at,
  applied_by, version, carried, changed, holder, held_until, row_version`

func planRowOf(p storage.Plan) planRow {
	document := p.Document
	if document == nil {
		document = []byte{}
	}
	return planRow{
		ID: p.ID, Participant: p.Participant, Base: p.Base, Document: document, Digest: p.Digest, State: p.State,
		Summary: string(p.Summary), Origin: p.Origin, Note: p.Note, Actor: p.Actor, Token: p.Token, Created: instant(p.Created),
		Confirmed: instantOf(p.Confirmed), ConfirmedBy: p.ConfirmedBy, At: instantOf(p.At), AppliedBy: p.AppliedBy,
		Version: p.Version, Carried: instantOf(p.Carried), Changed: instant(p.Changed),
		Holder: p.Holder, HeldUntil: instantOf(p.HeldUntil), RowVersion: p.Row,
	}
}

func (row planRow) plan() storage.Plan {
	p := storage.Plan{
		ID: row.ID, Participant: row.Participant, Base: row.Base, Document: row.Document, Digest: row.Digest, State: row.State,
		Origin: row.Origin, Note: row.Note, Actor: row.Actor, Token: row.Token, Created: time.Time(row.Created),
		Confirmed: row.Confirmed.time(), ConfirmedBy: row.ConfirmedBy, At: row.At.time(), AppliedBy: row.AppliedBy,
		Version: row.Version, Carried: row.Carried.time(), Changed: time.Time(row.Changed),
		Holder: row.Holder, HeldUntil: row.HeldUntil.time(), Row: row.RowVersion,
	}
	if row.Summary != "" {
		p.Summary = []byte(row.Summary)
	}
	return p
}

func (r reader) plans(ctx context.Context, columns, tail string, args ...any) ([]storage.Plan, error) {
	var rows []planRow
	if _, err := r.get(ctx, &rows, "select "+columns+" from policy_plan "+tail, args...); err != nil {
		return nil, err
	}
	found := make([]storage.Plan, len(rows))
	for i, row := range rows {
		found[i] = row.plan()
	}
	return found, nil
}

func (r reader) getPlan(ctx context.Context, id, lock string) (storage.Plan, error) {
	found, err := r.plans(ctx, planFacts+", document", "where id = ?"+lock, id)
	if err != nil {
		return storage.Plan{}, fmt.Errorf("plan %s: %w", id, err)
	}
	if len(found) == 0 {
		return storage.Plan{}, fmt.Errorf("plan %s: %w", id, storage.ErrNotFound)
	}
	return found[0], nil
}

// GetPlan answers one plan.
func (r reader) GetPlan(ctx context.Context, id string) (storage.Plan, error) {
	return r.getPlan(ctx, id, "")
}

// LockPlan answers one plan and keeps others from changing it.
func (t *tx) LockPlan(ctx context.Context, id string) (storage.Plan, error) {
	return t.getPlan(ctx, id, t.lock("policy_plan"))
}

// ListPlans answers plans without documents, newest first.
func (r reader) ListPlans(ctx context.Context, limit int) ([]storage.Plan, error) {
	found, err := r.plans(ctx, planFacts, "order by created desc, id desc limit ?", limit)
	if err != nil {
		return nil, fmt.Errorf("plans: %w", err)
	}
	return found, nil
}

// PutPlan inserts row version 1 of a plan, or updates the row of the version
// before.
func (t *tx) PutPlan(ctx context.Context, p storage.Plan) error {
	row := planRowOf(p)
	err := t.put(ctx, &row, "row_version", row.RowVersion)
	if err == nil && p.Carried != nil { // nobody is narrowed by it any more
		_, err = t.do(ctx, "delete from policy_carrying where plan = ?", p.ID)
	}
	if err != nil {
		return fmt.Errorf("keep plan %s: %w", p.ID, err)
	}
	return nil
}

func listPlanPeople(q storage.PlanQuery) (query string, args []any) {
	query, args = "select user_id, participant, class, change from policy_plan_person where plan = ? and user_id > ?", []any{q.Plan, q.After}
	for _, is := range [][2]string{{"class", q.Class}, {"participant", q.Participant}} {
		narrow, arg := here(is[1], is[0])
		query, args = query+narrow, append(args, arg...)
	}
	return query + " order by user_id limit " + strconv.Itoa(q.Limit), args
}

// ListPlanPeople answers the people of a plan by user id.
func (r reader) ListPlanPeople(ctx context.Context, q storage.PlanQuery) ([]storage.PlanPerson, error) {
	query, args := listPlanPeople(q)
	var rows []struct {
		UserID      string
		Participant string
		Class       string
		Change      string
	}
	if _, err := r.get(ctx, &rows, query, args...); err != nil {
		return nil, fmt.Errorf("people of plan %s: %w", q.Plan, err)
	}
	found := make([]storage.PlanPerson, len(rows))
	for i, row := range rows {
		found[i] = storage.PlanPerson{User: row.UserID, Participant: row.Participant, Class: row.Class}
		if err := json.Unmarshal([]byte(row.Change), &found[i].Change); err != nil {
			return nil, fmt.Errorf("read what plan %s does to %s: %w", q.Plan, row.UserID, err)
		}
	}
	return found, nil
}

// PutPlanPeople adds people to a plan; who is there already stays.
func (t *tx) PutPlanPeople(ctx context.Context, plan string, people []storage.PlanPerson) error {
	rows := make([][]string, len(people))
	for i, p := range people {
		change, err := jsonText(p.Change)
		if err != nil {
			return fmt.Errorf("encode what plan %s does to %s: %w", plan, p.User, err)
		}
		rows[i] = []string{p.User, p.Participant, p.Class, change}
	}
	if err := t.fill(ctx, plan, planPeople, rows, stays); err != nil {
		return fmt.Errorf("keep %d people of plan %s: %w", len(people), plan, err)
	}
	return nil
}

// DeletePlanPeople forgets at most limit people of a plan.
func (t *tx) DeletePlanPeople(ctx context.Context, plan string, limit int) (int, error) {
	n, err := t.do(ctx, `delete from policy_plan_person where plan = ? and user_id in (
	  select user_id from policy_plan_person where plan = ? order by user_id limit ?)`, plan, plan, limit)
	if err != nil {
		return 0, fmt.Errorf("forget people of plan %s: %w", plan, err)
	}
	return n, nil
}
