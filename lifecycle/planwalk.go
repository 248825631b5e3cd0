package lifecycle

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// Progress hears how many of how many people were looked at; nil listens not.
type Progress func(done, total int)

const (
	titledPage = 2000 // people looked at in one page of a walk
	casePage   = 500  // of them, people decided in one batch
	// forgetPage is how many working rows of a plan one transaction forgets.
	forgetPage = 5000
)

// touched is somebody whom a plan changes something for.
type touched struct {
	user      storage.User
	class     policy.ChangeClass
	change    policy.Change
	narrowing *policy.Narrowing
}

// tally adds up what a plan comes to. Its size is that of the policy and the
// number of participants, not of the population.
type tally struct {
	sum           PlanSummary
	byClass       map[PlanClass]int // People is 0 in the key
	byParticipant map[string]*Counts
	unguarded     []string // permissions that the new policy no longer guards
}

// people counts them in English.
func people(n int) string {
	if n == 1 {
		return "1 person"
	}
	return strconv.Itoa(n) + " people"
}

func newTally() *tally {
	return &tally{byClass: map[PlanClass]int{}, byParticipant: map[string]*Counts{}}
}

func (t *tally) add(p touched, breakGlass bool) {
	t.sum.add(p.class)
	t.byClass[PlanClass{Class: p.class, From: p.change.From, To: p.change.To}]++
	at := t.byParticipant[p.user.Participant]
	if at == nil {
		at = &Counts{}
		t.byParticipant[p.user.Participant] = at
	}
	at.add(p.class)
	if len(p.change.Ends) > 0 {
		t.sum.Ends++
	}
	if breakGlass {
		t.sum.BreakGlass++
	}
}

// summary is the tally in a fixed order, with the reason why a second operator
// must confirm it.
func (t *tally) summary() PlanSummary {
	s := t.sum
	s.Classes, s.Participants = []PlanClass{}, []PlanParticipant{}
	for class, n := range t.byClass {
		class.People = n
		s.Classes = append(s.Classes, class)
	}
	slices.SortFunc(s.Classes, func(a, b PlanClass) int {
		return cmp.Or(cmp.Compare(b.People, a.People), cmp.Compare(a.Class, b.Class), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	for id, counts := range t.byParticipant {
		s.Participants = append(s.Participants, PlanParticipant{Participant: id, Counts: *counts})
	}
	slices.SortFunc(s.Participants, func(a, b PlanParticipant) int {
		return cmp.Or(cmp.Compare(b.affected(), a.affected()), cmp.Compare(a.Participant, b.Participant))
	})
	switch {
	case len(t.unguarded) > 0:
		s.Confirm = strings.Join(t.unguarded, " and ") + " would no longer be guarded as privileged or emergency access"
	case s.BreakGlass > 0:
		s.Confirm = people(s.BreakGlass) + " would gain emergency access"
	case s.Ends*100 > s.Released*5:
		s.Confirm = fmt.Sprintf("%d of %d people with access would lose some of it at once, which is more than 5 %%", s.Ends, s.Released)
	}
	return s
}

// walkPlan decides everybody under two rulebooks, page by page, and hands those
// for whom it makes a difference to each, in batches. Most are passed by on what
// the policies read of them alone; nobody is locked, and memory stays flat.
func (s *Service) walkPlan(ctx context.Context, h *planHold, from, to *rulebook, participant string, progress Progress, each func(context.Context, []touched) error) (*tally, error) {
	total, released, err := s.store.CountUsers(ctx, participant)
	if err != nil {
		return nil, fmt.Errorf("count people: %w", err)
	}
	t := newTally()
	t.sum.Released, t.unguarded = released, from.all.Unguards(to.all)
	var ids []string
	decide := func(least int) error {
		for len(ids) > 0 && len(ids) >= least {
			n := min(len(ids), casePage)
			batch, err := s.compare(ctx, from, to, ids[:n], t)
			if err != nil {
				return err
			}
			ids = ids[n:]
			if err := h.renew(ctx); err != nil {
				return err
			}
			if len(batch) == 0 {
				continue
			}
			if err := each(ctx, batch); err != nil {
				return err
			}
		}
		return nil
	}
	q := storage.TitledQuery{Participant: participant, JobCode: to.of(participant).JobCodePath(), Limit: titledPage}
	for {
		page, err := s.store.ListTitled(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("walk over people: %w", err)
		}
		for _, u := range page {
			f := policy.Facts{
				Participant: policy.ParticipantState{Type: u.Type}, Active: u.Active,
				Title: u.Title, Department: u.Department, UserType: u.UserType, NPI: u.NPI, JobCode: u.JobCode,
			}
			// What is carried through a change of role hangs on more than the title.
			if u.Transition || !from.of(u.Participant).LeadsAlike(to.of(u.Participant), f) {
				ids = append(ids, u.ID)
			}
		}
		t.sum.Checked += len(page)
		if err := h.renew(ctx); err != nil {
			return nil, err
		}
		if err := decide(casePage); err != nil {
			return nil, err
		}
		if progress != nil {
			progress(t.sum.Checked, max(total, t.sum.Checked))
		}
		if len(page) < q.Limit {
			return t, decide(1)
		}
		q.After = page[len(page)-1].ID
	}
}

// compare decides a batch of people under both rulebooks.
func (s *Service) compare(ctx context.Context, from, to *rulebook, ids []string, t *tally) ([]touched, error) {
	cases, err := s.store.ListCases(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read people: %w", err)
	}
	now := s.Now()
	var batch []touched
	for _, c := range cases {
		was, will := from.of(c.User.Participant), to.of(c.User.Participant)
		f := facts(c.User, c.User.ParticipantState, will)
		f.EmailTaken = c.EmailTaken
		f.Prior = c.User.Decision
		(&dossier{evidence: c.Evidence, approvals: c.Approvals, holds: c.Holds}).facts(&f)
		after, class, change := was.Compare(will, f, now)
		if class == policy.ChangeNone {
			continue
		}
		p := touched{user: c.User, class: class, change: change, narrowing: c.User.Decision.Narrowing(after, to.version)}
		t.add(p, breaksGlass(was, will, change))
		batch = append(batch, p)
	}
	return batch, nil
}

// breaksGlass says whether somebody comes to emergency access: as a gain, or
// because a gate is no longer asked for. Either policy's word on what that is
// counts, so that a document cannot take its own change out of two people's hands.
func breaksGlass(was, will *policy.Policy, c policy.Change) bool {
	more := slices.Concat(c.Gains, c.Starts)
	return was.BreakGlass(more) || will.BreakGlass(more)
}

// ComputePlan works out what a plan would do and makes it ready. It may run
// again: a plan that is not being computed is answered as it is.
func (s *Service) ComputePlan(ctx context.Context, id string, progress Progress) (storage.Plan, error) {
	plan, err := s.store.GetPlan(ctx, id)
	if err != nil || plan.State != PlanComputing {
		return plan, err
	}
	plan, err = s.heldPlan(ctx, id, PlanComputing, func(ctx context.Context, h *planHold, p storage.Plan) (storage.Plan, error) {
		return s.computePlan(ctx, h, p, progress)
	})
	if err != nil {
		return storage.Plan{}, fmt.Errorf("compute plan %s: %w", id, err)
	}
	return plan, nil
}

func (s *Service) computePlan(ctx context.Context, h *planHold, plan storage.Plan, progress Progress) (storage.Plan, error) {
	id := plan.ID
	from, _, err := s.rulesIn(ctx, s.store)
	if err != nil {
		return storage.Plan{}, err
	}
	if from.version != plan.Base {
		return s.refusePlan(ctx, System, id, movedBase(plan.Base, from.version))
	}
	to, err := outcome(ctx, s.store, plan, from.version)
	if err != nil {
		return storage.Plan{}, err
	}
	// Of an attempt that did not end:
	if err := forget(func() (n int, err error) {
		err = h.write(ctx, PlanComputing, func(ctx context.Context, tx storage.Tx) (err error) {
			n, err = tx.DeletePlanPeople(ctx, id, forgetPage)
			return err
		})
		return n, err
	}); err != nil {
		return storage.Plan{}, err
	}
	t, err := s.walkPlan(ctx, h, from, to, plan.Participant, progress, func(ctx context.Context, batch []touched) error {
		people := make([]storage.PlanPerson, len(batch))
		for i, p := range batch {
			people[i] = storage.PlanPerson{User: p.user.ID, Participant: p.user.Participant, Class: string(p.class), Change: p.change}
		}
		return h.write(ctx, PlanComputing, func(ctx context.Context, tx storage.Tx) error { return tx.PutPlanPeople(ctx, id, people) })
	})
	if err != nil {
		return storage.Plan{}, err
	}
	summary, err := json.Marshal(t.summary())
	if err != nil {
		return storage.Plan{}, fmt.Errorf("encode summary: %w", err)
	}
	return s.movePlan(ctx, id, func(ctx context.Context, tx storage.Tx, p *storage.Plan) error {
		if err := h.stillHeld(*p, PlanComputing); err != nil {
			return err
		}
		p.State, p.Summary = PlanReady, summary
		return s.planEntry(ctx, tx, System, *p, "policy.computed", "What the policy change would do was worked out.")
	})
}

func movedBase(base, now int64) string {
	return fmt.Sprintf("the policy moved from version %d to %d since this plan was made; plan the change again", base, now)
}

// refusePlan ends a plan that may not come into force.
func (s *Service) refusePlan(ctx context.Context, by Actor, id, why string) (storage.Plan, error) {
	return s.movePlan(ctx, id, func(ctx context.Context, tx storage.Tx, p *storage.Plan) error {
		if p.State == PlanApplied || p.State == PlanRefused {
			return errUnmoved
		}
		state, err := tx.PolicyState(ctx)
		if err != nil {
			return fmt.Errorf("policy in force: %w", err)
		}
		if state.Pending == id {
			if err := tx.PendPolicy(ctx, ""); err != nil {
				return fmt.Errorf("end the change of policy: %w", err)
			}
		}
		p.State, p.Note = PlanRefused, why
		return s.planEntry(ctx, tx, by, *p, "policy.refused", "The policy change was not put in force.")
	})
}

// forgetRefused deletes what is left of a plan that was refused.
func (s *Service) forgetRefused(ctx context.Context, id string) error {
	return forget(func() (n int, err error) {
		err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
			p, err := tx.LockPlan(ctx, id)
			if err != nil || p.State != PlanRefused {
				return err
			}
			n, err = tx.DeleteEffects(ctx, id, false, forgetPage)
			return err
		})
		return n, err
	})
}

// forget deletes rows batch by batch.
func forget(batch func() (int, error)) error {
	for {
		n, err := batch()
		if err != nil {
			return fmt.Errorf("forget working rows: %w", err)
		}
		if n < forgetPage {
			return nil
		}
	}
}

// keepPlans is how long the people of a plan, and a plan nobody applied, are
// kept to be looked at.
const keepPlans = 30 * 24 * time.Hour

// SweepPlans ends plans that nobody applied and forgets the people of old ones;
// what was done and why stays on record.
func (s *Service) SweepPlans(ctx context.Context) error {
	const most = 1000
	plans, err := s.store.ListPlans(ctx, most)
	if err != nil {
		return fmt.Errorf("list plans: %w", err)
	}
	var failures error
	for _, p := range plans {
		old := s.Now().Sub(p.Changed) >= keepPlans
		overdue := p.State == PlanScheduled && p.At != nil && s.Now().Sub(*p.At) >= 2*24*time.Hour // its job gave up
		switch {
		case overdue:
			_, err = s.giveUp(ctx, System, p.ID, "it could not be put in force at its time; see the jobs")
		case old && (p.State == PlanReady || p.State == PlanComputing):
			_, err = s.refusePlan(ctx, System, p.ID, "nobody applied it within 30 days")
		case p.State == PlanRefused:
			err = s.forgetRefused(ctx, p.ID) // and what deeds under way still kept of it
		default:
			err = nil
		}
		failures = errors.Join(failures, err)
		if !old {
			continue
		}
		failures = errors.Join(failures, forget(func() (n int, err error) {
			err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) (err error) {
				n, err = tx.DeletePlanPeople(ctx, p.ID, forgetPage)
				return err
			})
			return n, err
		}))
	}
	return failures
}
