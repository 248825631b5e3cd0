package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

func (r reader) policies(ctx context.Context, columns, tail string, args ...any) ([]storage.PolicyVersion, error) {
	var rows []struct {
		Version  int64
		Digest   string
		Document []byte
		Applied  instant
		Actor    string
	}
	if _, err := r.get(ctx, &rows, "select "+columns+" from policy_version "+tail, args...); err != nil {
		return nil, err
	}
	found := make([]storage.PolicyVersion, len(rows))
	for i, row := range rows {
		found[i] = storage.PolicyVersion{
			Version: row.Version, Digest: row.Digest, Document: row.Document, Applied: time.Time(row.Applied), Actor: row.Actor,
		}
	}
	return found, nil
}

const policyColumns = "version, digest, document, applied, actor"

// CurrentPolicy answers the version in force, which is the newest.
func (r reader) CurrentPolicy(ctx context.Context) (storage.PolicyVersion, error) {
	found, err := r.policies(ctx, policyColumns, "order by version desc limit 1")
	if err != nil {
		return storage.PolicyVersion{}, fmt.Errorf("policy in force: %w", err)
	}
	if len(found) == 0 {
		return storage.PolicyVersion{}, fmt.Errorf("policy in force: %w", storage.ErrNotFound)
	}
	return found[0], nil
}

// CurrentPolicyVersion answers its number, 0 before the first.
func (r reader) CurrentPolicyVersion(ctx context.Context) (int64, error) {
	var version int64
	if _, err := r.get(ctx, &version, "select coalesce(max(version), 0) from policy_version"); err != nil {
		return 0, fmt.Errorf("number of the policy in force: %w", err)
	}
	return version, nil
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

// ListPolicies answers all versions without their documents, oldest first.
func (r reader) ListPolicies(ctx context.Context) ([]storage.PolicyVersion, error) {
	found, err := r.policies(ctx, "version, digest, applied, actor", "order by version")
	if err != nil {
		return nil, fmt.Errorf("policy versions: %w", err)
	}
	return found, nil
}

// PutPolicy keeps the next version; ErrStale when another one came first or
// the number leaves a gap.
func (t *tx) PutPolicy(ctx context.Context, p storage.PolicyVersion) error {
	n, err := t.do(ctx, `insert into policy_version (version, digest, document, applied, actor)
	  select ?, ?, ?, ?, ? where (select coalesce(max(version), 0) from policy_version) = ?`,
		p.Version, p.Digest, p.Document, instant(p.Applied), p.Actor, p.Version-1)
	if err == nil && n == 0 {
		err = storage.ErrStale
	}
	if err != nil {
		return fmt.Errorf("keep policy version %d: %w", p.Version, err)
	}
	return nil
}
