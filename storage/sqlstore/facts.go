package sqlstore

import (
	"context"
	"fmt"
	"time"

	"gorm.io/gorm/clause"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// keep inserts a row, or updates the one with its id.
func (t *tx) keep(ctx context.Context, row any) error {
	return fault(t.db.WithContext(ctx).Clauses(clause.OnConflict{UpdateAll: true}).Create(row).Error)
}

// end is a zero time as an absent one, which the policy words have for "no end".
func end(t time.Time) *instant {
	if t.IsZero() {
		return nil
	}
	return instantOf(&t)
}

func endOf(t *instant) time.Time {
	if t == nil {
		return time.Time{}
	}
	return time.Time(*t)
}

type evidenceRow struct {
	ID          string `gorm:"primaryKey"`
	UserID      string
	Participant string
	Gate        string
	Module      string
	CompletedAt instant
	ValidUntil  *instant
	Source      string
	Note        string
	Actor       string
	Recorded    instant
	Revoked     *instant
	RevokedWhy  string
}

// TableName names the table for gorm.
func (evidenceRow) TableName() string { return "evidence" }

// ListEvidence answers a user's evidence, revoked too, as it was recorded.
func (r reader) ListEvidence(ctx context.Context, user string) ([]storage.Evidence, error) {
	found, err := r.evidence(ctx, "user_id = ?", user)
	if err != nil {
		return nil, fmt.Errorf("evidence of user %s: %w", user, err)
	}
	return found, nil
}

func (r reader) evidence(ctx context.Context, where string, arg any) ([]storage.Evidence, error) {
	var rows []evidenceRow
	if _, err := r.get(ctx, &rows, "select * from evidence where "+where+" order by recorded, id", arg); err != nil {
		return nil, err
	}
	found := make([]storage.Evidence, len(rows))
	for i, row := range rows {
		found[i] = storage.Evidence{
			Evidence: policy.Evidence{
				ID: row.ID, Gate: policy.Gate(row.Gate), Module: row.Module,
				CompletedAt: time.Time(row.CompletedAt), ValidUntil: endOf(row.ValidUntil),
			},
			User: row.UserID, Participant: row.Participant, Source: row.Source, Note: row.Note, Actor: row.Actor,
			Recorded: time.Time(row.Recorded), Revoked: row.Revoked.time(), RevokedWhy: row.RevokedWhy,
		}
	}
	return found, nil
}

// PutEvidence keeps evidence.
func (t *tx) PutEvidence(ctx context.Context, e storage.Evidence) error {
	if err := t.keep(ctx, &evidenceRow{
		ID: e.ID, UserID: e.User, Participant: e.Participant, Gate: string(e.Gate), Module: e.Module,
		CompletedAt: instant(e.CompletedAt), ValidUntil: end(e.ValidUntil), Source: e.Source, Note: e.Note,
		Actor: e.Actor, Recorded: instant(e.Recorded), Revoked: instantOf(e.Revoked), RevokedWhy: e.RevokedWhy,
	}); err != nil {
		return fmt.Errorf("keep evidence %s: %w", e.ID, err)
	}
	return nil
}

type approvalRow struct {
	ID          string `gorm:"primaryKey"`
	UserID      string
	Participant string
	Approved    bool
	Role        string
	Title       string
	At          instant
	ValidUntil  *instant
	Actor       string
	Reason      string
	Ended       *instant
}

// TableName names the table for gorm.
func (approvalRow) TableName() string { return "approval" }

// ListApprovals answers a user's approvals and rejections, oldest first.
func (r reader) ListApprovals(ctx context.Context, user string) ([]storage.Approval, error) {
	found, err := r.approvals(ctx, "user_id = ?", user)
	if err != nil {
		return nil, fmt.Errorf("approvals of user %s: %w", user, err)
	}
	return found, nil
}

func (r reader) approvals(ctx context.Context, where string, arg any) ([]storage.Approval, error) {
	var rows []approvalRow
	if _, err := r.get(ctx, &rows, "select * from approval where "+where+" order by at, id", arg); err != nil {
		return nil, err
	}
	found := make([]storage.Approval, len(rows))
	for i, row := range rows {
		found[i] = storage.Approval{
			Approval: policy.Approval{
				ID: row.ID, Approved: row.Approved, Role: row.Role, Title: row.Title,
				At: time.Time(row.At), ValidUntil: endOf(row.ValidUntil),
			},
			User: row.UserID, Participant: row.Participant, Actor: row.Actor, Reason: row.Reason, Ended: row.Ended.time(),
		}
	}
	return found, nil
}

// PutApproval keeps an approval or a rejection.
func (t *tx) PutApproval(ctx context.Context, a storage.Approval) error {
	if err := t.keep(ctx, &approvalRow{
		ID: a.ID, UserID: a.User, Participant: a.Participant, Approved: a.Approved, Role: a.Role, Title: a.Title,
		At: instant(a.At), ValidUntil: end(a.ValidUntil), Actor: a.Actor, Reason: a.Reason, Ended: instantOf(a.Ended),
	}); err != nil {
		return fmt.Errorf("keep approval %s: %w", a.ID, err)
	}
	return nil
}

type holdRow struct {
	ID          string `gorm:"primaryKey"`
	UserID      string
	Participant string
	Reason      string
	Since       instant
	Actor       string
	Lifted      *instant
}

// TableName names the table for gorm.
func (holdRow) TableName() string { return "hold" }

// ListHolds answers a user's holds, lifted ones too, oldest first.
func (r reader) ListHolds(ctx context.Context, user string) ([]storage.Hold, error) {
	found, err := r.holds(ctx, "user_id = ?", user)
	if err != nil {
		return nil, fmt.Errorf("holds of user %s: %w", user, err)
	}
	return found, nil
}

func (r reader) holds(ctx context.Context, where string, arg any) ([]storage.Hold, error) {
	var rows []holdRow
	if _, err := r.get(ctx, &rows, "select * from hold where "+where+" order by since, id", arg); err != nil {
		return nil, err
	}
	found := make([]storage.Hold, len(rows))
	for i, row := range rows {
		found[i] = storage.Hold{
			Hold: policy.Hold{ID: row.ID, Reason: row.Reason, Since: time.Time(row.Since)},
			User: row.UserID, Participant: row.Participant, Actor: row.Actor, Lifted: row.Lifted.time(),
		}
	}
	return found, nil
}

// PutHold keeps a hold.
func (t *tx) PutHold(ctx context.Context, h storage.Hold) error {
	if err := t.keep(ctx, &holdRow{
		ID: h.ID, UserID: h.User, Participant: h.Participant, Reason: h.Reason, Since: instant(h.Since),
		Actor: h.Actor, Lifted: instantOf(h.Lifted),
	}); err != nil {
		return fmt.Errorf("keep hold %s: %w", h.ID, err)
	}
	return nil
}
