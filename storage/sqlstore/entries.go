package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

type personalRow struct {
	EntryID string
	N       int
	Name    string
	Salt    []byte
	Value   string
}

// TableName names the table for gorm.
func (personalRow) TableName() string { return "audit_personal" }

// Append keeps an entry, its personal values in their own table, and the word
// that it has no position yet.
func (t *tx) Append(ctx context.Context, e audit.Entry) error {
	if err := t.append(ctx, e); err != nil {
		return fmt.Errorf("keep entry %s: %w", e.ID, err)
	}
	return nil
}

func (t *tx) append(ctx context.Context, e audit.Entry) error {
	if _, err := t.do(ctx, "insert into audit_entry (id, at, participant, user_id, action, canonical, hash) values (?, ?, ?, ?, ?, ?, ?)",
		e.ID, instant(e.At), e.Participant, e.User, e.Action, e.Canonical, e.Hash.String()); err != nil {
		return err
	}
	if len(e.Personal) > 0 {
		rows := make([]personalRow, len(e.Personal))
		for i, p := range e.Personal {
			rows[i] = personalRow{EntryID: e.ID, N: i, Name: p.Name, Salt: p.Salt, Value: p.Value}
		}
		if err := t.db.WithContext(ctx).Create(&rows).Error; err != nil {
			return fault(err)
		}
	}
	_, err := t.do(ctx, "insert into audit_pending (entry_id) values (?)", e.ID)
	return err
}

// ListEntries answers the entries about a user or group, or all of them,
// oldest first.
func (r reader) ListEntries(ctx context.Context, user string) ([]storage.EntryRow, error) {
	narrow, args := "", []any(nil)
	if user != "" {
		narrow, args = "where user_id = ? and user_id <> '' ", []any{user}
	}
	var rows []struct {
		ID          string
		At          instant
		Participant string
		UserID      string
		Action      string
		Canonical   []byte
		Hash        string
	}
	if _, err := r.get(ctx, &rows, "select id, at, participant, user_id, action, canonical, hash from audit_entry "+narrow+"order by at, id", args...); err != nil {
		return nil, fmt.Errorf("entries: %w", err)
	}
	found := make([]storage.EntryRow, len(rows))
	for i, row := range rows {
		found[i] = storage.EntryRow{
			ID: row.ID, At: time.Time(row.At), Participant: row.Participant, User: row.UserID, Action: row.Action,
			Canonical: row.Canonical, Hash: row.Hash,
		}
	}
	return found, nil
}
