package lifecycle

import (
	"context"
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

// holdPlan takes a plan into hand. While another process holds it the fault is
// KindUnavailable.
func (s *Service) holdPlan(ctx context.Context, id string) (*planHold, error) {
	holder, err := uuid.NewRandom()
	if err != nil {
		return nil, err
	}
	h := &planHold{s: s, id: id, holder: holder.String()}
	return h, h.renew(ctx)
}

// renew prolongs the lease when it is time to.
func (h *planHold) renew(ctx context.Context) error {
	if !h.renewed.IsZero() && h.s.Now().Sub(h.renewed) < planRenew {
		return nil
	}
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
	if err := h.move(ctx, func(p *storage.Plan, _ time.Time) { p.Holder, p.HeldUntil = "", nil }); err != nil {
		h.s.log.WarnContext(ctx, "plan was not given out of hand", "plan", h.id, "error", err)
	}
}

// stillHeld is asked before work is made to count: who was too slow and lost the
// plan to somebody else has not done it.
func (h *planHold) stillHeld(p storage.Plan) error {
	if p.Holder != h.holder {
		return Faultf(KindUnavailable, "plan", "another process has taken this plan over; look at it again shortly")
	}
	return nil
}

func (h *planHold) move(ctx context.Context, f func(p *storage.Plan, now time.Time)) error {
	return h.s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		p, err := tx.LockPlan(ctx, h.id)
		if err != nil {
			return err
		}
		now := tx.Now()
		if p.Holder != h.holder && p.HeldUntil != nil && now.Before(*p.HeldUntil) {
			return Faultf(KindUnavailable, "plan", "another process is working on this plan; it is done by %s, or somebody else may go on then", p.HeldUntil.UTC().Format(time.RFC3339))
		}
		f(&p, now)
		p.Row++ // Changed stays: nothing was decided
		return tx.PutPlan(ctx, p)
	})
}

// heldPlan does a long piece of work on a plan while holding it.
func (s *Service) heldPlan(ctx context.Context, id string, work func(ctx context.Context, h *planHold) (storage.Plan, error)) (storage.Plan, error) {
	h, err := s.holdPlan(ctx, id)
	if err != nil {
		return storage.Plan{}, err
	}
	defer h.release(ctx)
	return work(ctx, h)
}
