package lifecycle

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// rulebook is everything that is in force under one version number: the policy
// of all, and what it is at each participant with an overlay. It never changes.
type rulebook struct {
	version int64
	applied time.Time // when that version came into force
	plan    string    // whose outcome this is while it is pending, "" otherwise
	all     *policy.Policy
	at      map[string]*policy.Policy
}

// of is the policy by which a participant's people are decided.
func (r *rulebook) of(participant string) *policy.Policy {
	if p := r.at[participant]; p != nil {
		return p
	}
	return r.all
}

// readRulebook reads what is on record under a number.
func readRulebook(ctx context.Context, r storage.Reader, version int64) (*rulebook, error) {
	rows, err := r.ListPoliciesInForce(ctx, version)
	if err != nil {
		return nil, fmt.Errorf("policy version %d: %w", version, err)
	}
	if len(rows) == 0 || rows[0].Participant != "" {
		return nil, fmt.Errorf("policy version %d: %w", version, storage.ErrNotFound)
	}
	return bind(version, rows)
}

// bind reads documents into a rulebook: the policy of all first, then overlays.
func bind(version int64, rows []storage.PolicyVersion) (*rulebook, error) {
	all, err := policy.Parse(rows[0].Document)
	if err != nil {
		return nil, fmt.Errorf("policy version %d: %w", rows[0].Version, err)
	}
	b := &rulebook{version: version, all: all.WithVersion(version, rows[0].Applied), at: map[string]*policy.Policy{}}
	for _, row := range rows {
		if row.Applied.After(b.applied) {
			b.applied = row.Applied
		}
	}
	for _, row := range rows[1:] {
		o, err := policy.KeptOverlay(row.Document, b.all)
		if err != nil {
			return nil, fmt.Errorf("overlay of %s, policy version %d: %w", row.Participant, row.Version, err)
		}
		b.at[row.Participant] = b.all.With(o)
	}
	return b, nil
}

// rulesIn answers the rulebook that r sees in force, and the one that is about
// to be, nil when none is. Numbers are asked for every time, documents only when
// a number moved.
func (s *Service) rulesIn(ctx context.Context, r storage.Reader) (inForce, pending *rulebook, err error) {
	state, err := r.PolicyState(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("policy in force: %w", err)
	}
	fresh := func() bool {
		inForce, pending = s.inForce.Load(), s.pending.Load()
		if inForce == nil || inForce.version != state.Version {
			return false
		}
		return state.Pending == "" || (pending != nil && pending.plan == state.Pending && pending.version == state.Version+1)
	}
	if !fresh() {
		if err := s.readRules(ctx, r, state, fresh); err != nil {
			return nil, nil, err
		}
	}
	if state.Pending == "" {
		return inForce, nil, nil
	}
	return inForce, pending, nil
}

// readRules reads what moved: of the deeds that meet it, one, for reading a
// document costs a hundred times its size.
func (s *Service) readRules(ctx context.Context, r storage.Reader, state storage.PolicyState, fresh func() bool) error {
	s.reading.Lock()
	defer s.reading.Unlock()
	if fresh() {
		return nil
	}
	if b := s.inForce.Load(); b == nil || b.version != state.Version {
		b, err := readRulebook(ctx, r, state.Version)
		if err != nil {
			return err
		}
		s.inForce.Store(b)
	}
	if state.Pending != "" {
		plan, err := r.GetPlan(ctx, state.Pending)
		if err != nil {
			return fmt.Errorf("pending plan %s: %w", state.Pending, err)
		}
		b, err := outcome(ctx, r, plan, state.Version)
		if err != nil {
			return err
		}
		s.pending.Store(b)
	}
	if !fresh() {
		return Faultf(KindUnavailable, "", "the policy moved while it was read; try again")
	}
	return nil
}

// outcome is the rulebook that a plan leads to from a version. Grace is counted
// from when the plan was last changed: it comes into force moments later.
func outcome(ctx context.Context, r storage.Reader, plan storage.Plan, from int64) (*rulebook, error) {
	rows, err := r.ListPoliciesInForce(ctx, from)
	if err != nil {
		return nil, fmt.Errorf("policy version %d: %w", from, err)
	}
	next := storage.PolicyVersion{Version: from + 1, Participant: plan.Participant, Document: plan.Document, Applied: plan.Changed}
	i := slices.IndexFunc(rows, func(v storage.PolicyVersion) bool { return v.Participant == plan.Participant })
	if i >= 0 {
		rows[i] = next
	} else {
		rows = append(rows, next)
	}
	b, err := bind(from+1, rows)
	if err != nil {
		return nil, err
	}
	b.plan = plan.ID
	return b, nil
}

// Policy answers the policy of all in force.
func (s *Service) Policy(ctx context.Context) (*policy.Policy, error) {
	return s.PolicyAt(ctx, "")
}

// PolicyAt answers the policy in force at a participant, overlay included; ""
// asks for the policy of all.
func (s *Service) PolicyAt(ctx context.Context, participant string) (*policy.Policy, error) {
	rules, _, err := s.rulesIn(ctx, s.store)
	if err != nil {
		return nil, err
	}
	return rules.of(participant), nil
}
