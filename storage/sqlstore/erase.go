package sqlstore

import (
	"context"
	"fmt"
)

// personalRows are the places of a user's personal values besides their own
// row. Entries and versions keep their salted digests, so that what was proven
// of them stays proven.
var personalRows = []string{
	"delete from audit_personal where entry_id in (select id from audit_entry where user_id = ? and user_id <> '')",
	"delete from breaker_loss where user_id = ?", // pre-images
	"delete from learner where user_id = ?",
	"update evidence set note = '', revoked_why = '' where user_id = ?",
	"update approval set reason = '' where user_id = ?",
	"update hold set reason = '' where user_id = ?",
	"update review_item set comment = '' where user_id = ?",
}

// EraseUser empties what is personal of a user everywhere but in their row.
func (t *tx) EraseUser(ctx context.Context, user string) error {
	if err := t.eraseVersions(ctx, user); err != nil {
		return fmt.Errorf("erase user %s: %w", user, err)
	}
	for _, statement := range personalRows {
		if _, err := t.do(ctx, statement, user); err != nil {
			return fmt.Errorf("erase user %s: %w", user, err)
		}
	}
	if t.engine == sqliteEngine {
		if _, err := t.do(ctx, "delete from user_email where user_id = ?", user); err != nil {
			return fmt.Errorf("erase user %s: %w", user, err)
		}
	}
	return nil
}

// eraseVersions takes the personal halves of a user's versions. Of a version from
// before, which is one whole, what is public takes its place: without it nobody
// could tell which access there was.
func (t *tx) eraseVersions(ctx context.Context, user string) error {
	var wholes []struct {
		Version int64
		Body    string
	}
	if _, err := t.get(ctx, &wholes, "select version, body from user_personal where user_id = ? and length(salt) = 0", user); err != nil {
		return err
	}
	for _, w := range wholes {
		left, err := publicOf(w.Body)
		if err != nil {
			return fmt.Errorf("version %d: %w", w.Version, err)
		}
		if _, err := t.do(ctx, "update user_personal set salt = ?, body = ? where user_id = ? and version = ?", remains, left, user, w.Version); err != nil {
			return err
		}
	}
	_, err := t.do(ctx, "delete from user_personal where user_id = ? and length(salt) > 1", user)
	return err
}
