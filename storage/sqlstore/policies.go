package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

func (r reader) policies(ctx context.Context, columns, tail string, args ...any) ([]storage.PolicyVersion, error) {
	var rows []struct {
		Version     int64
		Participant string
		Digest      string
		Document    []byte
		Applied     instant
		Actor       string
		Plan        string
	}
	if _, err := r.get(ctx, &rows, "select "+columns+" from policy_version v "+tail, args...); err != nil {
		return nil, err
	}
	found := make([]storage.PolicyVersion, len(rows))
	for i, row := range rows {
		found[i] = storage.PolicyVersion{
			Version: row.Version, Participant: row.Participant, Digest: row.Digest, Document: row.Document,
			Applied: time.Time(row.Applied), Actor: row.Actor, Plan: row.Plan,
		}
	}
	return found, nil
}

const (
	policyFacts   = "version, participant, digest, applied, actor, plan"
	policyColumns = policyFacts + ", document"
)

// CurrentPolicy answers the newest document of the policy of all.
func (r reader) CurrentPolicy(ctx context.Context) (storage.PolicyVersion, error) {
	found, err := r.policies(ctx, policyColumns, "where participant = '' order by version desc limit 1")
	if err != nil {
		return storage.PolicyVersion{}, fmt.Errorf("policy in force: %w", err)
	}
	if len(found) == 0 {
		return storage.PolicyVersion{}, fmt.Errorf("policy in force: %w", storage.ErrNotFound)
	}
	return found[0], nil
}

// GetPolicy answers one version.
func (r reader) GetPolicy(ctx context.Context, version int64) (storage.PolicyVersion, error) {
	found, err := r.policies(ctx, policyColumns, "where version = ?", version)
	if err != nil {
		return storage.PolicyVersion{}, fmt.Errorf("policy version %d: %w", version, err)
	}
	if len(found) == 0 {
		return storage.PolicyVersion{}, fmt.Errorf("policy version %d: %w", version, storage.ErrNotFound)
	}
	return found[0], nil
}

// ListPoliciesInForce answers the policy of all and the overlays that a number
// names, the policy of all first.
func (r reader) ListPoliciesInForce(ctx context.Context, version int64) ([]storage.PolicyVersion, error) {
	found, err := r.policies(ctx, policyColumns, `where v.version = (select max(w.version) from policy_version w
	  where w.participant = v.participant and w.version <= ?) order by v.participant`, version)
	if err != nil {
		return nil, fmt.Errorf("policies in force with version %d: %w", version, err)
	}
	return found, nil
}

// ListPolicies answers all versions without their documents, oldest first.
func (r reader) ListPolicies(ctx context.Context) ([]storage.PolicyVersion, error) {
	found, err := r.policies(ctx, policyFacts, "order by version")
	if err != nil {
		return nil, fmt.Errorf("policy versions: %w", err)
	}
	return found, nil
}

// PutPolicy keeps the next version; ErrStale when another one came first or
// the number leaves a gap. From its commit on it is in force, and what its plan
// takes is taken.
func (t *tx) PutPolicy(ctx context.Context, p storage.PolicyVersion) error {
	n, err := t.do(ctx, `insert into policy_version (version, participant, digest, document, applied, actor, plan)
	  select ?, ?, ?, ?, ?, ?, ? where (select coalesce(max(version), 0) from policy_version) = ?`,
		p.Version, p.Participant, p.Digest, p.Document, instant(p.Applied), p.Actor, p.Plan, p.Version-1)
	if err == nil && n == 0 {
		err = storage.ErrStale
	}
	if err == nil {
		err = t.carry(ctx, p.Plan, p.Version)
	}
	if err != nil {
		return fmt.Errorf("keep policy version %d: %w", p.Version, err)
	}
	return nil
}

// carry says which plan readers narrow by, the newest version's; "" none.
func (t *tx) carry(ctx context.Context, plan string, version int64) error {
	if _, err := t.do(ctx, "delete from policy_carrying"); err != nil || plan == "" {
		return err
	}
	_, err := t.do(ctx, "insert into policy_carrying (one, plan, version) values (1, ?, ?)", plan, version)
	return err
}

const policyState = `select coalesce((select max(version) from policy_version), 0) as version,
  coalesce((select plan from policy_pending), '') as pending`

// PolicyState answers the number in force and the plan that is pending.
func (r reader) PolicyState(ctx context.Context) (storage.PolicyState, error) {
	var state storage.PolicyState
	if _, err := r.get(ctx, &state, policyState); err != nil {
		return storage.PolicyState{}, fmt.Errorf("policy in force: %w", err)
	}
	return state, nil
}

// PendPolicy says which plan is being applied; ErrStale when another one is.
func (t *tx) PendPolicy(ctx context.Context, plan string) error {
	if plan == "" {
		if _, err := t.do(ctx, "delete from policy_pending"); err != nil {
			return fmt.Errorf("end the pending plan: %w", err)
		}
		return nil
	}
	n, err := t.do(ctx, `insert into policy_pending (one, plan) values (1, ?)
	  on conflict (one) do update set plan = excluded.plan where policy_pending.plan = excluded.plan`, plan)
	if err == nil && n == 0 {
		err = storage.ErrStale
	}
	if err != nil {
		return fmt.Errorf("pend plan %s: %w", plan, err)
	}
	return nil
}
