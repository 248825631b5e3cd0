package lifecycle

import (
	"context"
	"errors"
	"fmt"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// EnsurePolicy puts the default policy in force when there is none yet. Of
// several nodes that start at once, one does.
func (s *Service) EnsurePolicy(ctx context.Context) error {
	document := policy.Default()
	p, err := policy.Parse(document)
	if err != nil {
		return fmt.Errorf("default policy: %w", err)
	}
	err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		state, err := tx.PolicyState(ctx)
		if err != nil || state.Version > 0 {
			return err
		}
		row := storage.PolicyVersion{Version: 1, Digest: p.Digest(), Document: document, Applied: tx.Now(), Actor: System.Subject}
		if err := tx.PutPolicy(ctx, row); err != nil {
			return fmt.Errorf("keep policy: %w", err)
		}
		return s.entry(ctx, tx, System, audit.Draft{
			Action: "policy.applied", Sentence: "The default policy was put in force.", PolicyVersion: 1,
			Fields: []audit.Field{public("digest", row.Digest), public(audit.DocumentField, audit.Sum(document).String())},
		})
	})
	if err != nil && !errors.Is(err, storage.ErrStale) { // stale: another node did
		return fmt.Errorf("default policy: %w", err)
	}
	return nil
}

// Explain says which role a title leads to at a participant ("" for anywhere),
// and why. It grants nothing.
func (s *Service) Explain(ctx context.Context, participant string, f policy.Facts) (policy.Explanation, error) {
	const longest = 1024
	if len(f.Title) > longest || len(f.Department) > longest {
		return policy.Explanation{}, Faultf(KindInvalid, "title", "title or department is longer than %d bytes; send it as the identity provider would", longest)
	}
	p, err := s.PolicyAt(ctx, participant)
	if err != nil {
		return policy.Explanation{}, err
	}
	return p.Explain(f, s.Now()), nil
}
