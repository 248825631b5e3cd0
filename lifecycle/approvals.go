package lifecycle

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// Approve keeps a second person's word on user, role and normal title. It holds
// 365 days, and the version that was looked at must be the present one. The
// approver is neither who recorded the evidence, nor a contact of the
// participant, nor the user (product rule 7).
func (s *Service) Approve(ctx context.Context, by Actor, user string, approved bool, reason string, ifVersion int64) (storage.User, error) {
	if !approved && strings.TrimSpace(reason) == "" {
		return storage.User{}, Faultf(KindInvalid, "reason", "reason is missing; say for the record why the approval is rejected")
	}
	if len(reason) > 2000 {
		return storage.User{}, Faultf(KindInvalid, "reason", "reason is longer than 2000 bytes; send a shorter one")
	}
	kept, err := s.onUser(ctx, by, by.Participant, user, func(ctx context.Context, d *deed) (change, error) {
		u := &d.u
		if u.Version != ifVersion {
			return change{}, Faultf(KindStale, "ifVersion", "the user is at version %d, not %d; look again before you decide", u.Version, ifVersion)
		}
		asked := slices.ContainsFunc(u.Decision.Gates, func(g policy.GateState) bool { return g.Gate == policy.GateApproval })
		if !u.Active || !asked {
			return change{}, Faultf(KindRefused, "", "this user's title asks for no approval now; nothing was decided")
		}
		if err := mayApprove(by, d); err != nil {
			return change{}, err
		}
		now := d.tx.Now()
		newest := func(storage.Approval) bool { return false } // the newest word counts
		if err := d.on.endApprovals(ctx, d.tx, newest); err != nil {
			return change{}, err
		}
		id, err := uuid.NewRandom()
		if err != nil {
			return change{}, fmt.Errorf("approval id: %w", err)
		}
		ap := storage.Approval{
			Approval: policy.Approval{ID: id.String(), Approved: approved, Role: u.Decision.TitleRole, Title: u.Decision.NormalTitle, At: now, ValidUntil: now.AddDate(0, 0, 365)},
			User:     u.ID, Participant: u.Participant, Actor: by.Subject, Reason: reason,
		}
		if err := d.on.keepApproval(ctx, d.tx, ap); err != nil {
			return change{}, err
		}
		c := change{action: "approval.given", sentence: "The role was approved."}
		if !approved {
			c = change{action: "approval.rejected", sentence: "The role was not approved."}
		}
		c.fields = append(c.fields, public("approval", ap.ID), public("role", ap.Role), public("title", ap.Title), public("validUntil", audit.Stamp(ap.ValidUntil)), personal("reason", reason))
		return c, nil
	})
	if err != nil {
		return storage.User{}, fmt.Errorf("approve %s: %w", user, err)
	}
	return kept, nil
}

func mayApprove(by Actor, d *deed) error {
	const ask = "; ask another operator"
	if by.Subject == "" {
		return Faultf(KindRefused, "", "an approval names the person who gives it; this token has no subject")
	}
	if samePersonnel(d.u.Email, by.Subject) || samePersonnel(d.u.UserName, by.Subject) {
		return Faultf(KindRefused, "", "nobody approves themselves"+ask)
	}
	if slices.ContainsFunc(d.at.Settings.Contacts, func(c string) bool { return samePersonnel(c, by.Subject) }) {
		return Faultf(KindRefused, "", "a contact of the participant may not approve its users"+ask)
	}
	if slices.ContainsFunc(d.on.evidence, func(e storage.Evidence) bool { return e.Revoked == nil && samePersonnel(e.Actor, by.Subject) }) {
		return Faultf(KindRefused, "", "who recorded the evidence may not approve the user"+ask)
	}
	return nil
}
