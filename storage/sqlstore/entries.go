package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

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
