package lifecycle

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/storage"
)

// A plan is worked on by one process at a time: a worker of any server, or a
// command. It holds the plan by a lease, so that another one goes on when it
// dies.
const (
	planLease = 30 * time.Second
	planRenew = 10 * time.Second // before the lease is due
)

// planHold is a plan in the hands of this process.
type planHold struct {
	s       *Service
	id      string
	holder  string
	renewed time.Time
}

// heldPlan does a long piece of work on a plan while holding it. What the plan is
// then counts, not what it was when somebody looked before: a plan that is not in
// the state is answered as it is.
func (s *Service) heldPlan(ctx context.Context, id, state string, work func(ctx context.Context, h *planHold, p storage.Plan) (storage.Plan, error)) (storage.Plan, error) {
	holder, err := uuid.NewRandom()
	if err != nil {
		return storage.Plan{}, fmt.Errorf("name the holder of plan %s: %w", id, err)
	}
	h := &planHold{s: s, id: id, holder: holder.String()}
	plan, err := h.take(ctx)
	if err != nil {
		return storage.Plan{}, err
	}
	defer h.release(ctx)
	if plan.State != state {
		return plan, nil
	}
	return work(ctx, h, plan)
}

// renew prolongs the lease when it is time to.
func (h *planHold) renew(ctx context.Context) error {
	if h.s.Now().Sub(h.renewed).Abs() < planRenew { // a clock may step back
		return nil
	}
	_, err := h.take(ctx)
	return err
}

func (h *planHold) take(ctx context.Context) (storage.Plan, error) {
	return h.move(ctx, func(p *storage.Plan, now time.Time) {
		until := now.Add(planLease)
		p.Holder, p.HeldUntil = h.holder, &until
		h.renewed = now
	})
}

// release gives the plan out of hand; best effort, for the lease ends by itself.
func (h *planHold) release(ctx context.Context) {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if _, err := h.move(ctx, func(p *storage.Plan, _ time.Time) { p.Holder, p.HeldUntil = "", nil }); err != nil {
		h.s.log.WarnContext(ctx, "plan was not given out of hand", "plan", h.id, "error", err)
	}
}

func (h *planHold) move(ctx context.Context, f func(p *storage.Plan, now time.Time)) (storage.Plan, error) {
	var held storage.Plan
	err := h.s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		p, err := tx.LockPlan(ctx, h.id)
		if err != nil {
			return fmt.Errorf("plan %s: %w", h.id, err)
		}
		now := tx.Now()
		if p.Holder != h.holder && p.HeldUntil != nil && now.Before(*p.HeldUntil) {
			return Faultf(KindUnavailable, "plan", "another process is working on this plan; it is done by %s, or somebody else may go on then", p.HeldUntil.UTC().Format(time.RFC3339))
		}
		f(&p, now)
		p.Row++ // Changed stays: nothing was decided
		held = p
		return tx.PutPlan(ctx, p)
	})
	return held, err
}

// stillHeld is asked in every transaction that makes work count: whose lease ran
// out, and who lost the plan to somebody else, has not done it. So the lease may
// be judged by clocks that differ.
func (h *planHold) stillHeld(p storage.Plan, state string) error {
	if p.Holder != h.holder || p.State != state {
		return Faultf(KindUnavailable, "plan", "another process has taken this plan over; look at it again shortly")
	}
	return nil
}

// write does f in a transaction in which the plan is held, and in the state.
func (h *planHold) write(ctx context.Context, state string, f func(ctx context.Context, tx storage.Tx) error) error {
	return h.s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		p, err := tx.LockPlan(ctx, h.id)
		if err != nil {
			return fmt.Errorf("plan %s: %w", h.id, err)
		}
		if err := h.stillHeld(p, state); err != nil {
			return err
		}
		return f(ctx, tx)
	})
}
