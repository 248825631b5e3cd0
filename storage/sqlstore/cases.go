package sqlstore

import (
	"context"
	"fmt"

	"github.com/healthix/healthix-scim/storage"
)

// ListCases answers undeleted users with their dossiers, in order of id.
func (r reader) ListCases(ctx context.Context, users []string) ([]storage.Case, error) {
	cases, err := r.cases(ctx, users)
	if err != nil {
		return nil, fmt.Errorf("users with their dossiers: %w", err)
	}
	return cases, nil
}

// cases takes five statements, however many users there are.
func (r reader) cases(ctx context.Context, users []string) ([]storage.Case, error) {
	if len(users) == 0 {
		return nil, nil
	}
	among, ids := r.anyOf("u.id", users)
	found, err := r.users(ctx, "where "+among+" and u.deleted is null order by u.id", ids)
	if err != nil {
		return nil, err
	}
	cases, at := make([]storage.Case, len(found)), make(map[string]*storage.Case, len(found))
	for i, u := range found {
		cases[i].User = u
		at[u.ID] = &cases[i]
	}
	var taken []string
	if _, err := r.get(ctx, &taken, `select u.id from users u join email_owner o on o.email_key = u.email_key
	  where `+among+` and u.email_key <> '' and o.user_id <> u.id`, ids); err != nil {
		return nil, err
	}
	for _, id := range taken {
		if c := at[id]; c != nil {
			c.EmailTaken = true
		}
	}
	among, ids = r.anyOf("user_id", users)
	evidence, err := r.evidence(ctx, among, ids)
	if err != nil {
		return nil, err
	}
	for _, e := range evidence {
		if c := at[e.User]; c != nil {
			c.Evidence = append(c.Evidence, e)
		}
	}
	approvals, err := r.approvals(ctx, among, ids)
	if err != nil {
		return nil, err
	}
	for _, a := range approvals {
		if c := at[a.User]; c != nil {
			c.Approvals = append(c.Approvals, a)
		}
	}
	holds, err := r.holds(ctx, among, ids)
	if err != nil {
		return nil, err
	}
	for _, h := range holds {
		if c := at[h.User]; c != nil {
			c.Holds = append(c.Holds, h)
		}
	}
	return cases, nil
}
