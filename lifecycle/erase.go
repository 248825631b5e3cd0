package lifecycle

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// EraseUser empties everything personal of a user who was revoked before an
// instant and ever since: in their row, their versions, the entries about them
// and the staging of a breaker. What the record proves of them stays proven, for
// versions and entries hold salted digests of what is gone: who had which access
// and why can still be told, and no longer who that was. The user is deleted for
// SCIM, and their username is never given to anybody else.
//
// One who is not revoked, or was later, is KindRefused. A second erasure changes
// nothing.
func (s *Service) EraseUser(ctx context.Context, by Actor, id string, revokedBefore time.Time) error {
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		old, err := tx.LockUser(ctx, "", id)
		if err != nil {
			return err
		}
		if old.Erased != nil {
			return nil
		}
		if old.Decision.Status != policy.StatusRevoked {
			return Faultf(KindRefused, "", "user %s is %s; only who was revoked can be erased: deactivate them first, and keep the record of them as long as it must be kept", id, old.Decision.Status)
		}
		since, err := revokedSince(ctx, tx, id)
		if err != nil {
			return err
		}
		if !since.Before(revokedBefore) {
			return Faultf(KindRefused, "", "user %s was revoked on %s; who was revoked on %s or later is still kept (HEALTHIX_RETENTION_RECORD)",
				id, since.UTC().Format(time.DateOnly), revokedBefore.UTC().Format(time.DateOnly))
		}
		return s.erase(ctx, tx, by, old)
	})
	if err != nil {
		return fmt.Errorf("erase user %s: %w", id, err)
	}
	return nil
}

// revokedSince is when the newest of a user's times without access began.
func revokedSince(ctx context.Context, read storage.Reader, id string) (time.Time, error) {
	versions, err := read.ListHistory(ctx, id)
	if err != nil {
		return time.Time{}, err
	}
	var since time.Time
	for i := len(versions) - 1; i >= 0 && versions[i].Kept.Decision.Status == policy.StatusRevoked; i-- {
		since = versions[i].ValidFrom
	}
	if since.IsZero() {
		return since, fmt.Errorf("history of %s does not end in revoked", id)
	}
	return since, nil
}

func (s *Service) erase(ctx context.Context, tx storage.Tx, by Actor, old storage.User) error {
	now := tx.Now()
	u := storage.User{
		ID: old.ID, Participant: old.Participant, Version: old.Version + 1,
		Title: old.Title, TitleKey: old.TitleKey, Department: old.Department,
		Decision: old.Decision, HealthixUsername: old.HealthixUsername, ClinicalAlerts: old.ClinicalAlerts,
		ReleasedAt: old.ReleasedAt, ClosedAt: old.ClosedAt, InvitedAt: old.InvitedAt,
		Created: old.Created, LastModified: now, Deleted: old.Deleted, Erased: &now,
	}
	if u.Deleted == nil {
		u.Deleted = &now
	}
	u.Decision.Staff, u.Decision.Gates = "", slices.Clone(old.Decision.Gates)
	for i := range u.Decision.Gates {
		u.Decision.Gates[i].Staff = "" // what staff wrote may name people
	}
	digest, err := tx.PutUser(ctx, u)
	if err != nil {
		return err
	}
	if err := tx.ReleaseEmail(ctx, old.EmailKey, old.ID); err != nil {
		return err
	}
	if err := tx.RemoveMember(ctx, old.Participant, old.ID); err != nil {
		return err
	}
	if err := tx.EraseUser(ctx, old.ID); err != nil {
		return err
	}
	return s.entry(ctx, tx, by, audit.Draft{
		Participant: old.Participant, User: old.ID, Action: "user.erased", PolicyVersion: old.Decision.PolicyVersion,
		Sentence: "What was personal of the user was erased.", History: []audit.Digest{digest},
	})
}

// ListErasable hands ids of users to do who were revoked before an instant and
// not erased yet. It looks at everybody once, page by page.
func (s *Service) ListErasable(ctx context.Context, participant string, revokedBefore time.Time, do func(id string) error) error {
	return EachUserAt(ctx, s.store, participant, revokedBefore, func(page []storage.User) error {
		for _, u := range page {
			if u.Decision.Status != policy.StatusRevoked || u.Erased != nil {
				continue
			}
			now, err := s.store.ListUsersByID(ctx, []string{u.ID})
			if err != nil {
				return err
			}
			if now[u.ID].Erased != nil || now[u.ID].Decision.Status != policy.StatusRevoked {
				continue
			}
			since, err := revokedSince(ctx, s.store, u.ID) // they may have been something else between
			if err != nil {
				return err
			}
			if !since.Before(revokedBefore) {
				continue
			}
			if err := do(u.ID); err != nil {
				return err
			}
		}
		return nil
	})
}
