package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// A policy change is a plan before it is anything else (product rule 12). Its
// states: computing → ready → scheduled or applying → applied, or refused.
const (
	PlanComputing = "computing"
	PlanReady     = "ready"
	PlanScheduled = "scheduled"
	PlanApplying  = "applying"
	PlanApplied   = "applied"
	PlanRefused   = "refused"
)

// PlanSpec asks what a document would do.
type PlanSpec struct {
	Participant string // whose overlay it is, "" for the policy of all
	Document    []byte
	Origin      string // how it came about, "" when somebody wrote it
}

// PlanSummary is what a plan comes to.
type PlanSummary struct {
	Checked      int               `json:"checked"`  // active people who were looked at
	Released     int               `json:"released"` // of them, people who have access
	Counts                         // of people, by what happens to them
	Ends         int               `json:"ends"`       // people of whom something in force ends at once
	BreakGlass   int               `json:"breakGlass"` // people who gain emergency access
	Classes      []PlanClass       `json:"classes"`
	Participants []PlanParticipant `json:"participants"`
	Confirm      string            `json:"confirm,omitempty"` // why a second operator must confirm, "" when none must
}

// Counts are people by class of change.
type Counts struct {
	Gain     int `json:"gain"`
	Lose     int `json:"lose"`
	Change   int `json:"change"`
	Unmapped int `json:"unmapped"`
	Gates    int `json:"gates"`
}

// PlanClass is one class of change: what a plan is bound to.
type PlanClass struct {
	Class  policy.ChangeClass `json:"class"`
	From   string             `json:"from"` // role, "" for none
	To     string             `json:"to"`
	People int                `json:"people"`
}

// PlanParticipant is what a plan comes to at one participant.
type PlanParticipant struct {
	Participant string `json:"participant"`
	Counts
}

// affected is how many people a plan touches.
func (c Counts) affected() int { return c.Gain + c.Lose + c.Change + c.Unmapped + c.Gates }

func (c *Counts) add(class policy.ChangeClass) {
	switch class {
	case policy.ChangeNone:
	case policy.ChangeGain:
		c.Gain++
	case policy.ChangeLose:
		c.Lose++
	case policy.ChangeRole:
		c.Change++
	case policy.ChangeUnmapped:
		c.Unmapped++
	case policy.ChangeGates:
		c.Gates++
	}
}

// Summary reads what a plan comes to; the zero one while it is computed.
func Summary(p storage.Plan) (PlanSummary, error) {
	var s PlanSummary
	if len(p.Summary) == 0 {
		return s, nil
	}
	if err := json.Unmarshal(p.Summary, &s); err != nil {
		return s, fmt.Errorf("summary of plan %s: %w", p.ID, err)
	}
	return s, nil
}

// PlanPolicy takes a document in and promises to compute what it would do. A
// document that is wrong is refused with every mistake in it.
func (s *Service) PlanPolicy(ctx context.Context, by Actor, spec PlanSpec) (storage.Plan, error) {
	rules, _, err := s.rulesIn(ctx, s.store)
	if err != nil {
		return storage.Plan{}, err
	}
	if spec.Participant != "" {
		if _, err := s.store.GetParticipant(ctx, spec.Participant); err != nil {
			return storage.Plan{}, fmt.Errorf("participant %s: %w", spec.Participant, err)
		}
	}
	digest, err := s.checkDocument(ctx, rules, spec)
	if err != nil {
		return storage.Plan{}, err
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return storage.Plan{}, fmt.Errorf("plan id: %w", err)
	}
	plan := storage.Plan{
		ID: id.String(), Participant: spec.Participant, Base: rules.version, Document: spec.Document, Digest: digest,
		State: PlanComputing, Origin: spec.Origin, Actor: by.Subject, Token: by.Token, Row: 1,
	}
	err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		plan.Created, plan.Changed = tx.Now(), tx.Now()
		if err := tx.PutPlan(ctx, plan); err != nil {
			return fmt.Errorf("keep plan: %w", err)
		}
		if err := tx.Enqueue(ctx, JobPlan, plan.ID, plan.ID, time.Time{}); err != nil {
			return fmt.Errorf("promise plan: %w", err)
		}
		return s.planEntry(ctx, tx, by, plan, "policy.planned", "A policy change was planned.")
	})
	if err != nil {
		return storage.Plan{}, fmt.Errorf("plan policy: %w", err)
	}
	return plan, nil
}

// checkDocument answers the digest of a document that may be planned.
func (s *Service) checkDocument(ctx context.Context, rules *rulebook, spec PlanSpec) (string, error) {
	if spec.Participant != "" {
		o, err := policy.ParseOverlay(spec.Document, rules.all)
		if err != nil {
			return "", documentFault(err)
		}
		return o.Digest(), lintFault(o.Lint(rules.all))
	}
	p, err := policy.Parse(spec.Document)
	if err != nil {
		return "", documentFault(err)
	}
	if err := lintFault(p.Lint(policy.LintOptions{})); err != nil {
		return "", err
	}
	// Every overlay must still fit the policy that it lies over.
	rows, err := s.store.ListPoliciesInForce(ctx, rules.version)
	if err != nil {
		return "", fmt.Errorf("overlays in force: %w", err)
	}
	for _, row := range rows[1:] {
		if _, err := policy.KeptOverlay(row.Document, p); err != nil {
			fault := AsFault(documentFault(err))
			return "", &Fault{
				Kind: KindRefused, Problems: fault.Problems,
				Message: fmt.Sprintf("the overlay of %s does not fit this document: %s; change the overlay first", row.Participant, fault.Message),
			}
		}
	}
	return p.Digest(), nil
}

// documentFault says what is wrong with a document in a caller's terms.
func documentFault(err error) error {
	var wrong *policy.DocumentError
	if !errors.As(err, &wrong) {
		return err
	}
	return &Fault{Kind: KindInvalid, Message: wrong.Error(), Problems: wrong.Problems}
}

// lintFault refuses a document for the errors among its findings.
func lintFault(findings []policy.Finding) error {
	var problems []policy.Problem
	for _, f := range findings {
		if f.Severity == policy.SeverityError {
			problems = append(problems, policy.Problem{Line: f.Line, Key: f.Key, Message: f.Message})
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return documentFault(&policy.DocumentError{Problems: problems})
}

// RollBack plans a new version equal to an old one.
func (s *Service) RollBack(ctx context.Context, by Actor, version int64) (storage.Plan, error) {
	row, err := s.store.GetPolicy(ctx, version)
	if errors.Is(err, storage.ErrNotFound) {
		return storage.Plan{}, Faultf(KindNotFound, "version", "there is no policy version %d", version)
	}
	if err != nil {
		return storage.Plan{}, fmt.Errorf("policy version %d: %w", version, err)
	}
	rules, _, err := s.rulesIn(ctx, s.store)
	if err != nil {
		return storage.Plan{}, err
	}
	rows, err := s.store.ListPoliciesInForce(ctx, rules.version)
	if err != nil {
		return storage.Plan{}, fmt.Errorf("policy in force: %w", err)
	}
	if slices.ContainsFunc(rows, func(v storage.PolicyVersion) bool { return v.Participant == row.Participant && v.Digest == row.Digest }) {
		return storage.Plan{}, Faultf(KindRefused, "version", "version %d is what is in force; there is nothing to go back to", version)
	}
	return s.PlanPolicy(ctx, by, PlanSpec{
		Participant: row.Participant, Document: row.Document, Origin: "rollback to version " + strconv.FormatInt(version, 10),
	})
}

// DraftSynonym plans that a waiting title is read as a title of the table: by a
// new alias for everybody, or in the overlay of one participant.
func (s *Service) DraftSynonym(ctx context.Context, by Actor, participant, key, title string) (storage.Plan, error) {
	waiting, err := s.store.ListWaitingTitles(ctx, participant)
	if err != nil {
		return storage.Plan{}, fmt.Errorf("waiting titles: %w", err)
	}
	i := slices.IndexFunc(waiting, func(w storage.WaitingTitle) bool { return w.Key == key && w.Disagrees == "" })
	if i < 0 || key == "" {
		return storage.Plan{}, Faultf(KindNotFound, "key", "no title %q is waiting; the queue lists those that do", key)
	}
	// What opens a formula in a spreadsheet is no part of a title.
	raw := strings.TrimLeft(strings.TrimSpace(waiting[i].Title), "=+-@ \t\r\n")
	rules, _, err := s.rulesIn(ctx, s.store)
	if err != nil {
		return storage.Plan{}, err
	}
	rows, err := s.store.ListPoliciesInForce(ctx, rules.version)
	if err != nil {
		return storage.Plan{}, fmt.Errorf("policy in force: %w", err)
	}
	draft := func() ([]byte, error) { return policy.Draft(rows[0].Document, raw, title) }
	if participant != "" {
		var overlay []byte
		if j := slices.IndexFunc(rows, func(v storage.PolicyVersion) bool { return v.Participant == participant }); j >= 0 {
			overlay = rows[j].Document
		}
		draft = func() ([]byte, error) { return policy.DraftOverlay(overlay, raw, title) }
	}
	document, err := draft()
	if err != nil {
		return storage.Plan{}, &Fault{Kind: KindRefused, Attribute: "title", Message: err.Error()}
	}
	return s.PlanPolicy(ctx, by, PlanSpec{
		Participant: participant, Document: document, Origin: fmt.Sprintf("draft: %q is read as %q", raw, title),
	})
}

// ConfirmPlan is a second operator's word on a plan.
func (s *Service) ConfirmPlan(ctx context.Context, by Actor, id string) (storage.Plan, error) {
	return s.movePlan(ctx, id, func(ctx context.Context, tx storage.Tx, p *storage.Plan) error {
		switch {
		case by.Subject == "":
			return Faultf(KindRefused, "", "a confirmation names the person who gives it; this token has no subject")
		case p.Token == "" && sameName(by.Subject, p.Actor):
			return Faultf(KindRefused, "", "the plan was made by a command as %s, which may be you; ask another operator", p.Actor)
		case samePersonnel(by.Subject, p.Actor):
			return Faultf(KindRefused, "", "who made a plan may not confirm it; ask another operator")
		case p.State != PlanReady:
			return Faultf(KindRefused, "", "the plan is %s; only one that is ready can be confirmed", p.State)
		}
		now := tx.Now()
		p.Confirmed, p.ConfirmedBy = &now, by.Subject
		return s.planEntry(ctx, tx, by, *p, "policy.confirmed", "A second operator confirmed the policy change.")
	})
}

// sameName says whether a subject and the name that a command was given may be
// one person: a command proves no name, and "dana" is dana@healthix.example.
func sameName(subject, name string) bool {
	local, _, _ := strings.Cut(subject, "@")
	given, _, _ := strings.Cut(name, "@")
	return given == "" || strings.EqualFold(local, given)
}

// errUnmoved ends movePlan with nothing kept.
var errUnmoved = errors.New("nothing to change")

// movePlan changes a locked plan; f answers errUnmoved when it changed nothing.
func (s *Service) movePlan(ctx context.Context, id string, f func(ctx context.Context, tx storage.Tx, p *storage.Plan) error) (storage.Plan, error) {
	var kept storage.Plan
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		p, err := tx.LockPlan(ctx, id)
		if err != nil {
			return fmt.Errorf("plan %s: %w", id, err)
		}
		if err := f(ctx, tx, &p); errors.Is(err, errUnmoved) {
			kept = p
			return nil
		} else if err != nil {
			return err
		}
		p.Row++
		p.Changed = tx.Now()
		if err := tx.PutPlan(ctx, p); err != nil {
			return fmt.Errorf("keep plan %s: %w", id, err)
		}
		kept = p
		return nil
	})
	return kept, err
}

// planEntry records a step of a plan.
func (s *Service) planEntry(ctx context.Context, tx storage.Tx, by Actor, p storage.Plan, action, sentence string) error {
	fields := []audit.Field{
		public("plan", p.ID), public("base", strconv.FormatInt(p.Base, 10)), public("digest", p.Digest), public("plannedBy", p.Actor),
	}
	if action == audit.PolicyApplied { // what an auditor is given of it can be compared byte for byte
		fields = append(fields, public(audit.DocumentField, audit.Sum(p.Document).String()))
	}
	if p.Origin != "" {
		fields = append(fields, public("origin", p.Origin))
	}
	if p.Note != "" {
		fields = append(fields, public("note", p.Note))
	}
	if p.ConfirmedBy != "" {
		fields = append(fields, public("confirmedBy", p.ConfirmedBy))
	}
	if p.At != nil {
		fields = append(fields, public("at", p.At.UTC().Format(time.RFC3339Nano)))
	}
	sum, err := Summary(p)
	if err != nil {
		return err
	}
	if len(p.Summary) > 0 {
		for name, n := range map[string]int{
			"gain": sum.Gain, "lose": sum.Lose, "change": sum.Change, "unmapped": sum.Unmapped, "gates": sum.Gates, "ends": sum.Ends, "breakGlass": sum.BreakGlass,
		} {
			fields = append(fields, public(name, strconv.Itoa(n)))
		}
	}
	slices.SortStableFunc(fields, func(a, b audit.Field) int { return strings.Compare(a.Name, b.Name) })
	return s.entry(ctx, tx, by, audit.Draft{
		Participant: p.Participant, Action: action, Sentence: sentence, PolicyVersion: p.Version, Fields: fields,
	})
}
