package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

type activationRow struct {
	ID          string `gorm:"primaryKey"`
	UserID      string
	Participant string
	CodeHash    []byte
	Issued      instant
	Expires     instant
	Voided      *instant
	ClosedSeen  *instant
	Redeemed    *instant
	RedeemKey   string
}

// TableName names the table for gorm.
func (activationRow) TableName() string { return "activation" }

func (r reader) activations(ctx context.Context, tail string, args ...any) ([]storage.Activation, error) {
	var rows []activationRow
	if _, err := r.get(ctx, &rows, "select id, user_id, participant, code_hash, issued, expires, voided, closed_seen, redeemed, redeem_key from activation a "+tail, args...); err != nil {
		return nil, err
	}
	found := make([]storage.Activation, len(rows))
	for i, row := range rows {
		found[i] = storage.Activation{
			ID: row.ID, User: row.UserID, Participant: row.Participant, CodeHash: row.CodeHash,
			Issued: time.Time(row.Issued), Expires: time.Time(row.Expires), Voided: row.Voided.time(), ClosedSeen: row.ClosedSeen.time(),
			Redeemed: row.Redeemed.time(), RedeemKey: row.RedeemKey,
		}
	}
	return found, nil
}

// ListActivations answers a user's activation links, newest first.
func (r reader) ListActivations(ctx context.Context, user string) ([]storage.Activation, error) {
	found, err := r.activations(ctx, "where user_id = ? order by issued desc, id desc", user)
	if err != nil {
		return nil, fmt.Errorf("activation links of user %s: %w", user, err)
	}
	return found, nil
}

// GetActivation answers one link.
func (r reader) GetActivation(ctx context.Context, id string) (storage.Activation, error) {
	return r.getActivation(ctx, id, "")
}

// LockActivation answers one link and keeps others from changing it.
func (t *tx) LockActivation(ctx context.Context, id string) (storage.Activation, error) {
	return t.getActivation(ctx, id, t.lock("a"))
}

func (r reader) getActivation(ctx context.Context, id, lock string) (storage.Activation, error) {
	found, err := r.activations(ctx, "where id = ?"+lock, id)
	if err != nil {
		return storage.Activation{}, fmt.Errorf("activation link %s: %w", id, err)
	}
	if len(found) == 0 {
		return storage.Activation{}, fmt.Errorf("activation link %s: %w", id, storage.ErrNotFound)
	}
	return found[0], nil
}

// FindActivation looks a link up by the hash of its code.
func (r reader) FindActivation(ctx context.Context, codeHash []byte) (storage.Activation, bool, error) {
	found, err := r.activations(ctx, "where code_hash = ?", codeHash)
	if err != nil {
		return storage.Activation{}, false, fmt.Errorf("activation link by code: %w", err)
	}
	if len(found) == 0 {
		return storage.Activation{}, false, nil
	}
	return found[0], true, nil
}

// PutActivation keeps a link.
func (t *tx) PutActivation(ctx context.Context, a storage.Activation) error {
	if err := t.keep(ctx, &activationRow{
		ID: a.ID, UserID: a.User, Participant: a.Participant, CodeHash: a.CodeHash, Issued: instant(a.Issued),
		Expires: instant(a.Expires), Voided: instantOf(a.Voided), ClosedSeen: instantOf(a.ClosedSeen), Redeemed: instantOf(a.Redeemed), RedeemKey: a.RedeemKey,
	}); err != nil {
		return fmt.Errorf("keep activation link %s: %w", a.ID, err)
	}
	return nil
}
