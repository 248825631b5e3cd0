package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// ApplyPlan asks for a plan to come into force, now or at an instant. The checks
// of product rule 12 are made here, and again when it happens.
func (s *Service) ApplyPlan(ctx context.Context, by Actor, id string, at *time.Time) (storage.Plan, error) {
	return s.movePlan(ctx, id, func(ctx context.Context, tx storage.Tx, p *storage.Plan) error {
		if p.State != PlanReady && p.State != PlanScheduled {
			return Faultf(KindRefused, "plan", "the plan is %s; only one that is ready can be applied%s", p.State, because(p.Note))
		}
		if err := s.mayApply(ctx, tx, *p); err != nil {
			return err
		}
		now := tx.Now()
		p.AppliedBy = by.Subject
		if at != nil {
			const longest = 366 * 24 * time.Hour
			if !at.After(now) || at.Sub(now) > longest {
				return Faultf(KindInvalid, "at", "at is %s; expected an instant within the year to come", at.UTC().Format(time.RFC3339))
			}
			when := at.UTC().Truncate(time.Microsecond)
			p.State, p.At = PlanScheduled, &when
			if err := tx.Enqueue(ctx, JobApply, applyKey(*p), p.ID, when); err != nil {
				return fmt.Errorf("promise change of policy: %w", err)
			}
			return s.planEntry(ctx, tx, by, *p, "policy.scheduled", "The policy change was scheduled.")
		}
		p.State, p.At = PlanApplying, nil
		if err := tx.PendPolicy(ctx, p.ID); err != nil {
			if errors.Is(err, storage.ErrStale) {
				return Faultf(KindUnavailable, "", "another policy change is being applied; try again when it is done")
			}
			return fmt.Errorf("begin change of policy: %w", err)
		}
		if err := tx.Enqueue(ctx, JobApply, applyKey(*p), p.ID, time.Time{}); err != nil {
			return fmt.Errorf("promise change of policy: %w", err)
		}
		return s.planEntry(ctx, tx, by, *p, "policy.applying", "A policy change was begun.")
	})
}

func because(note string) string {
	if note == "" {
		return ""
	}
	return ": " + note
}

// applyKey tells the promises of one plan apart: it may be scheduled again.
func applyKey(p storage.Plan) string { return fmt.Sprintf("%s/%d", p.ID, p.Row) }

// mayApply checks what does not depend on people: the base, the second
// operator's word, and that the change before is done with.
func (s *Service) mayApply(ctx context.Context, tx storage.Tx, p storage.Plan) error {
	state, err := tx.PolicyState(ctx)
	if err != nil {
		return fmt.Errorf("policy in force: %w", err)
	}
	if state.Version != p.Base {
		return &Fault{Kind: KindStale, Attribute: "plan", Message: movedBase(p.Base, state.Version)}
	}
	inForce, err := tx.GetPolicy(ctx, state.Version)
	if err != nil {
		return fmt.Errorf("policy version %d: %w", state.Version, err)
	}
	if inForce.Plan != "" {
		before, err := tx.GetPlan(ctx, inForce.Plan)
		if err != nil {
			return fmt.Errorf("plan %s: %w", inForce.Plan, err)
		}
		if before.Carried == nil {
			return Faultf(KindUnavailable, "", "policy version %d is still being carried out; try again when everybody concerned was decided again", state.Version)
		}
	}
	sum, err := Summary(p)
	if err != nil {
		return err
	}
	if sum.Confirm != "" && p.Confirmed == nil {
		return Faultf(KindRefused, "plan", "a second operator must confirm this plan first, because %s", sum.Confirm)
	}
	return nil
}

// PutInForce does what ApplyPlan promised. From the instant at which the new
// version is in force nobody has more than what old and new have in common: who
// loses is worked out before, while deeds go on and foresee the change
// themselves. It may run again after a crash.
func (s *Service) PutInForce(ctx context.Context, id string, progress Progress) (storage.Plan, error) {
	plan, err := s.store.GetPlan(ctx, id)
	if err != nil {
		return storage.Plan{}, err
	}
	if plan.State == PlanScheduled {
		if plan.At != nil && s.Now().Before(*plan.At) {
			return plan, nil // scheduled again, for later
		}
		if plan, err = s.beginScheduled(ctx, id); err != nil {
			return storage.Plan{}, err
		}
	}
	if plan.State != PlanApplying {
		return plan, nil
	}
	plan, err = s.heldPlan(ctx, id, PlanApplying, func(ctx context.Context, h *planHold, p storage.Plan) (storage.Plan, error) {
		return s.putInForce(ctx, h, p, progress)
	})
	if err != nil {
		return storage.Plan{}, fmt.Errorf("apply plan %s: %w", id, err)
	}
	return plan, nil
}

func (s *Service) putInForce(ctx context.Context, h *planHold, plan storage.Plan, progress Progress) (storage.Plan, error) {
	id := plan.ID
	by := Actor{Kind: "operator", Subject: plan.AppliedBy}
	why, err := s.foreseeAll(ctx, h, plan, progress)
	if err != nil {
		return storage.Plan{}, err
	}
	if why != "" {
		return s.giveUp(ctx, by, id, why)
	}
	return s.movePlan(ctx, id, func(ctx context.Context, tx storage.Tx, p *storage.Plan) error {
		if err := h.stillHeld(*p, PlanApplying); err != nil {
			return err
		}
		p.State, p.Version = PlanApplied, p.Base+1
		row := storage.PolicyVersion{
			Version: p.Version, Participant: p.Participant, Digest: p.Digest, Document: p.Document,
			Applied: tx.Now(), Actor: p.AppliedBy, Plan: p.ID,
		}
		if err := tx.PutPolicy(ctx, row); err != nil {
			return fmt.Errorf("keep policy version %d: %w", row.Version, err)
		}
		if err := noteAccessOfAll(ctx, tx, p.Participant); err != nil {
			return fmt.Errorf("change of access of everybody: %w", err)
		}
		if err := tx.PendPolicy(ctx, ""); err != nil {
			return fmt.Errorf("end the change of policy: %w", err)
		}
		if err := tx.Enqueue(ctx, JobCarry, p.ID, p.ID, time.Time{}); err != nil {
			return fmt.Errorf("promise to carry the policy out: %w", err)
		}
		return s.planEntry(ctx, tx, by, *p, "policy.applied", "A new policy version came into force.")
	})
}

// beginScheduled makes the checks of ApplyPlan at the time it was scheduled for.
// What may not come into force stays unapplied, and says so loudly.
func (s *Service) beginScheduled(ctx context.Context, id string) (storage.Plan, error) {
	var refused *Fault
	by := Actor{Kind: "operator"}
	plan, err := s.movePlan(ctx, id, func(ctx context.Context, tx storage.Tx, p *storage.Plan) error {
		if p.State != PlanScheduled {
			return errUnmoved
		}
		by.Subject = p.AppliedBy
		err := s.mayApply(ctx, tx, *p)
		if err == nil {
			if err = tx.PendPolicy(ctx, p.ID); errors.Is(err, storage.ErrStale) {
				err = Faultf(KindUnavailable, "", "another policy change is being applied")
			}
		}
		if err == nil {
			p.State = PlanApplying
			return nil
		}
		fault := AsFault(err)
		if fault.Kind == KindInternal || fault.Kind == KindUnavailable {
			return err // try again: the job has patience
		}
		refused = fault
		return err
	})
	if refused == nil {
		return plan, err
	}
	return s.giveUp(ctx, by, id, refused.Message)
}

// giveUp refuses a plan that was to be applied, forgets what was foreseen, and
// says so in the log: somebody counts on it.
func (s *Service) giveUp(ctx context.Context, by Actor, id, why string) (storage.Plan, error) {
	plan, err := s.refusePlan(ctx, by, id, why)
	if err != nil {
		return storage.Plan{}, fmt.Errorf("refuse plan %s: %w", id, err)
	}
	if plan.State != PlanRefused { // somebody else was faster
		return plan, nil
	}
	s.log.ErrorContext(ctx, "policy change was not put in force", "plan", id, "why", plan.Note)
	return plan, s.forgetRefused(ctx, id)
}

// WithdrawPlan ends a plan that is not in force yet: one that was scheduled by
// mistake, or that stands in the way of another.
func (s *Service) WithdrawPlan(ctx context.Context, by Actor, id string) (storage.Plan, error) {
	plan, err := s.store.GetPlan(ctx, id)
	if err != nil {
		return storage.Plan{}, fmt.Errorf("plan %s: %w", id, err)
	}
	if plan.State != PlanApplied && plan.State != PlanRefused {
		if plan, err = s.refusePlan(ctx, by, id, "withdrawn by "+by.Subject); err != nil {
			return storage.Plan{}, fmt.Errorf("withdraw plan %s: %w", id, err)
		}
	}
	if plan.State == PlanApplied {
		return storage.Plan{}, Faultf(KindRefused, "plan", "the plan is in force as version %d; roll back to the version before instead", plan.Version)
	}
	return plan, s.forgetRefused(ctx, id)
}

// foreseeAll decides everybody under the pending policy and keeps what it takes
// from whom. It answers why the plan may not be applied, "" when it may.
func (s *Service) foreseeAll(ctx context.Context, h *planHold, plan storage.Plan, progress Progress) (why string, err error) {
	planned, err := Summary(plan)
	if err != nil {
		return "", err
	}
	from, to, err := s.rulesIn(ctx, s.store)
	if err != nil {
		return "", err
	}
	if from.version != plan.Base {
		return movedBase(plan.Base, from.version), nil
	}
	if to == nil || to.plan != plan.ID {
		return "", Faultf(KindUnavailable, "plan", "the plan is not pending any more; look at it again shortly")
	}
	// Deeds that began before the change was pending do not foresee it: they end
	// before anybody is looked at. What is left of an earlier attempt is worked
	// out anew.
	if err := s.store.Barrier(ctx); err != nil {
		return "", fmt.Errorf("wait for deeds under way: %w", err)
	}
	if err := forget(func() (n int, err error) {
		err = h.write(ctx, PlanApplying, func(ctx context.Context, tx storage.Tx) (err error) {
			n, err = tx.DeleteEffects(ctx, plan.ID, false, forgetPage)
			return err
		})
		return n, errors.Join(err, h.renew(ctx))
	}); err != nil {
		return "", err
	}
	t, err := s.walkPlan(ctx, h, from, to, plan.Participant, progress, func(ctx context.Context, batch []touched) error {
		effects := make([]storage.Effect, len(batch))
		for i, p := range batch {
			effects[i] = storage.Effect{User: p.user.ID, Narrowing: p.narrowing}
		}
		return h.write(ctx, PlanApplying, func(ctx context.Context, tx storage.Tx) error { return tx.AddEffects(ctx, plan.ID, effects) })
	})
	if err != nil {
		return "", err
	}
	found := t.summary()
	if why := exceeds(planned, found); why != "" {
		return why, nil
	}
	if found.Confirm != "" && plan.Confirmed == nil { // it was not so when it was planned
		return "a second operator must confirm this change by now, because " + found.Confirm + "; plan it again", nil
	}
	return "", nil
}

// exceeds says in what a change goes beyond what was planned (product rule 12),
// "" when it does not.
func exceeds(planned, found PlanSummary) string {
	known := map[PlanClass]bool{}
	for _, c := range planned.Classes {
		c.People = 0
		known[c] = true
	}
	for _, c := range found.Classes {
		n := c.People
		c.People = 0
		if !known[c] {
			return fmt.Sprintf("%s would be concerned in a way that the plan did not show (%s: %s → %s); plan the change again", people(n), c.Class, orNone(c.From), orNone(c.To))
		}
	}
	was, is := planned.affected(), found.affected()
	if more := is - was; more > 25 && more*100 > was {
		return fmt.Sprintf("%s would be concerned and the plan showed %d; plan the change again", people(is), was)
	}
	return ""
}

func orNone(role string) string {
	if role == "" {
		return "none"
	}
	return role
}

// foresee keeps what a pending policy will take from a user whom a deed has just
// decided under the one in force.
func foresee(ctx context.Context, tx storage.Tx, pending *rulebook, u storage.User, f policy.Facts) error {
	p := pending.of(u.Participant)
	f.Prior = u.Decision
	f.JobCode = textAt(u.Document, p.JobCodePath())
	after := p.Decide(f, tx.Now())
	effect := storage.Effect{User: u.ID, Narrowing: u.Decision.Narrowing(after, pending.version)}
	if err := tx.PutEffects(ctx, pending.plan, []storage.Effect{effect}); err != nil {
		return fmt.Errorf("foresee policy version %d for %s: %w", pending.version, u.ID, err)
	}
	return nil
}

// seeNarrowing reads again what a newer version leaves of a locked user's access.
// Whoever waited for the lock while that version came into force has the row as it
// is, but what is joined to it from before the wait; no deed waits longer than
// stragglers.
func seeNarrowing(ctx context.Context, tx storage.Tx, rules *rulebook, old *storage.User) error {
	if old.Narrowing != nil || old.Decision.Status != policy.StatusReleased || old.Decision.PolicyVersion >= rules.version ||
		tx.Now().Sub(rules.applied) > stragglers {
		return nil
	}
	again, err := tx.GetUser(ctx, old.Participant, old.ID)
	if errors.Is(err, storage.ErrNotFound) { // deleted, and so without access
		return nil
	}
	if err != nil {
		return fmt.Errorf("what is left to user %s: %w", old.ID, err)
	}
	old.Narrowing = again.Narrowing
	return nil
}

// carriers is how many people are decided at once when a policy is carried out.
const carriers = 4

// CarryOut decides everybody again whom a new version concerns, who loses first,
// each in a transaction of their own. It goes on where it was left.
func (s *Service) CarryOut(ctx context.Context, id string, progress Progress) (storage.Plan, error) {
	plan, err := s.store.GetPlan(ctx, id)
	if err != nil || plan.State != PlanApplied || plan.Carried != nil {
		return plan, err
	}
	plan, err = s.heldPlan(ctx, id, PlanApplied, func(ctx context.Context, h *planHold, p storage.Plan) (storage.Plan, error) {
		if p.Carried != nil {
			return p, nil
		}
		return s.carryOut(ctx, h, p, progress)
	})
	if err != nil {
		return storage.Plan{}, fmt.Errorf("carry out plan %s: %w", id, err)
	}
	return plan, nil
}

func (s *Service) carryOut(ctx context.Context, h *planHold, plan storage.Plan, progress Progress) (storage.Plan, error) {
	id := plan.ID
	// Deeds that were under way when the version came into force have kept what
	// it does to their users; from here on everybody is on the list.
	if err := s.store.Barrier(ctx); err != nil {
		return storage.Plan{}, fmt.Errorf("wait for deeds under way: %w", err)
	}
	total := 0
	if sum, err := Summary(plan); err == nil {
		total = sum.affected()
	}
	done, failed := 0, 0
	var failures error
	var after storage.Effect
	for {
		effects, err := s.store.ListEffects(ctx, id, after, casePage)
		if err != nil {
			return storage.Plan{}, fmt.Errorf("who is left: %w", err)
		}
		if len(effects) == 0 {
			break
		}
		if err := h.renew(ctx); err != nil {
			return storage.Plan{}, err
		}
		for _, err := range s.decideEach(ctx, effects) {
			if failed++; failed <= 10 { // the rest are told from the jobs' next errors
				failures = errors.Join(failures, err)
			}
		}
		done += len(effects)
		if progress != nil {
			progress(done, max(done, total))
		}
		if ctx.Err() != nil {
			return storage.Plan{}, ctx.Err()
		}
		after = effects[len(effects)-1]
	}
	if failures != nil {
		return storage.Plan{}, fmt.Errorf("%d people could not be decided again, and keep what the new version leaves them: %w", failed, failures)
	}
	// What was taken from whom stays: it is how things stood in between.
	if err := forget(func() (n int, err error) {
		err = h.write(ctx, PlanApplied, func(ctx context.Context, tx storage.Tx) (err error) {
			n, err = tx.DeleteEffects(ctx, id, true, forgetPage)
			return err
		})
		return n, errors.Join(err, h.renew(ctx))
	}); err != nil {
		return storage.Plan{}, err
	}
	return s.movePlan(ctx, id, func(ctx context.Context, tx storage.Tx, p *storage.Plan) error {
		if p.Carried != nil {
			return errUnmoved
		}
		now := tx.Now()
		p.Carried = &now
		return s.planEntry(ctx, tx, System, *p, "policy.carried", "Everybody whom the policy change concerns was decided again.")
	})
}

// decideEach decides people again, several at once; one who cannot be decided
// stops nobody else. Nobody is sent a link for it: only a release does that.
func (s *Service) decideEach(ctx context.Context, effects []storage.Effect) []error {
	var (
		wg       sync.WaitGroup
		mu       sync.Mutex
		failures []error
	)
	next := make(chan string)
	for range carriers {
		wg.Go(func() {
			for user := range next {
				_, err := s.onUser(ctx, System, "", user, func(context.Context, *deed) (change, error) { return change{}, nil })
				if err != nil && !errors.Is(err, storage.ErrNotFound) { // deleted meanwhile
					mu.Lock()
					failures = append(failures, fmt.Errorf("decide %s again: %w", user, err))
					mu.Unlock()
				}
			}
		})
	}
	for _, e := range effects {
		next <- e.User
	}
	close(next)
	wg.Wait()
	return failures
}

// WaitPlan answers the plan when it left a state, or as it stands when the
// patience ends.
func (s *Service) WaitPlan(ctx context.Context, id, state string, patience time.Duration) (storage.Plan, error) {
	const glance = 50 * time.Millisecond
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		plan, err := s.store.GetPlan(ctx, id)
		if err != nil || plan.State != state {
			return plan, err
		}
		select {
		case <-ctx.Done():
			return storage.Plan{}, ctx.Err()
		case <-deadline.C:
			return plan, nil
		case <-time.After(glance):
		}
	}
}
