package sqlstore

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// here narrows a condition to a participant; "" means all.
func here(participant, column string) (condition string, args []any) {
	if participant == "" {
		return "", nil
	}
	return " and " + column + " = ?", []any{participant}
}

// findUser answers the user that a condition selects; the oldest of several.
// There is no limit in it: one would lead PostgreSQL to walk through everybody
// by age instead of looking the value up.
func (r reader) findUser(ctx context.Context, participant, condition, value string) (storage.User, bool, error) {
	narrow, args := here(participant, "u.participant")
	found, err := r.users(ctx, "where "+condition+narrow+" order by u.created, u.id", append([]any{value}, args...)...)
	if err != nil || len(found) == 0 {
		return storage.User{}, false, err
	}
	return found[0], true, nil
}

// GetUser answers an undeleted user.
func (r reader) GetUser(ctx context.Context, participant, id string) (storage.User, error) {
	u, found, err := r.findUser(ctx, participant, "u.id = ? and u.deleted is null", id)
	if err != nil {
		return storage.User{}, fmt.Errorf("user %s: %w", id, err)
	}
	if !found {
		return storage.User{}, fmt.Errorf("user %s: %w", id, storage.ErrNotFound)
	}
	return u, nil
}

// GetTrace answers how an undeleted user's stored decision came about.
func (r reader) GetTrace(ctx context.Context, participant, id string) ([]policy.Step, error) {
	narrow, args := here(participant, "participant")
	var text string
	found, err := r.get(ctx, &text, "select trace from users where id = ? and deleted is null"+narrow, append([]any{id}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("trace of user %s: %w", id, err)
	}
	if found == 0 {
		return nil, fmt.Errorf("trace of user %s: %w", id, storage.ErrNotFound)
	}
	var trace []policy.Step
	if err := json.Unmarshal([]byte(text), &trace); err != nil {
		return nil, fmt.Errorf("read the trace of user %s: %w", id, err)
	}
	return trace, nil
}

// FindUserName looks a user up by the prepared userName.
func (r reader) FindUserName(ctx context.Context, participant, userNameKey string) (storage.User, bool, error) {
	u, found, err := r.findUser(ctx, participant, "u.user_name_key = ? and u.deleted is null", userNameKey)
	if err != nil {
		return u, false, fmt.Errorf("user by userName: %w", err)
	}
	return u, found, nil
}

// FindExternalID looks a user up by externalId; the oldest, where several
// share one.
func (r reader) FindExternalID(ctx context.Context, participant, externalID string) (storage.User, bool, error) {
	u, found, err := r.findUser(ctx, participant, "u.external_id = ? and u.external_id <> '' and u.deleted is null", externalID)
	if err != nil {
		return u, false, fmt.Errorf("user by externalId: %w", err)
	}
	return u, found, nil
}

// FindHealthixUsername looks a user up by the username that Healthix gave.
func (r reader) FindHealthixUsername(ctx context.Context, username string) (storage.User, bool, error) {
	u, found, err := r.findUser(ctx, "", "u.healthix_username = ? and u.healthix_username <> '' and u.deleted is null", username)
	if err != nil {
		return u, false, fmt.Errorf("user by username: %w", err)
	}
	return u, found, nil
}

// ListEmailHolders answers active users with this gate address, oldest first.
func (r reader) ListEmailHolders(ctx context.Context, emailKey string) ([]storage.User, error) {
	found, err := r.users(ctx, "where u.email_key = ? and u.email_key <> '' and u.active and u.deleted is null order by u.created, u.id", emailKey)
	if err != nil {
		return nil, fmt.Errorf("users with an address: %w", err)
	}
	return found, nil
}

// ListExpired answers users whose access ran out and whom no deed looked at
// since, oldest first.
func (r reader) ListExpired(ctx context.Context, now time.Time, limit int) ([]storage.User, error) {
	found, err := r.users(ctx, `where u.deleted is null and u.status = 'released' and u.valid_until is not null
	  and u.valid_until <= ? and u.decided_at < u.valid_until order by u.valid_until, u.id limit ?`, instant(now), limit)
	if err != nil {
		return nil, fmt.Errorf("users whose access ran out: %w", err)
	}
	return found, nil
}

// LockUser answers a user, deleted ones too, and keeps others from changing it.
func (t *tx) LockUser(ctx context.Context, participant, id string) (storage.User, error) {
	narrow, args := here(participant, "u.participant")
	found, err := t.users(ctx, "where u.id = ?"+narrow+t.lock("u"), append([]any{id}, args...)...)
	if err != nil {
		return storage.User{}, fmt.Errorf("lock user %s: %w", id, err)
	}
	if len(found) == 0 {
		return storage.User{}, fmt.Errorf("user %s: %w", id, storage.ErrNotFound)
	}
	return found[0], nil
}

// lock is the end of a query whose rows nobody else may change. SQLite has one
// writer at a time.
func (t *tx) lock(table string) string {
	if t.engine == postgresEngine {
		return " for update of " + table
	}
	return ""
}

// PutUser keeps a user and its history row.
func (t *tx) PutUser(ctx context.Context, u storage.User) (audit.Digest, error) {
	digest, err := t.putUser(ctx, u)
	if err != nil {
		return audit.Digest{}, fmt.Errorf("keep user %s version %d: %w", u.ID, u.Version, err)
	}
	return digest, nil
}

func (t *tx) putUser(ctx context.Context, u storage.User) (audit.Digest, error) {
	row, err := userRowOf(u)
	if err != nil {
		return audit.Digest{}, err
	}
	validFrom, err := t.validFrom(ctx, userHistory, "user_id", u.ID, u.Version)
	if err != nil {
		return audit.Digest{}, err
	}
	personal, err := recordText(personalRecordOf(u))
	if err != nil {
		return audit.Digest{}, err
	}
	salt := make([]byte, 16)
	rand.Read(salt) //nolint:errcheck // it never fails
	body, err := recordText(userRecordOf(u, validFrom, personalHalf(salt, personal).Digest()))
	if err != nil {
		return audit.Digest{}, err
	}
	if err := t.put(ctx, &row, "version", row.Version); err != nil {
		return audit.Digest{}, err
	}
	if t.engine == sqliteEngine {
		if err := t.putEmails(ctx, u); err != nil {
			return audit.Digest{}, err
		}
	}
	digest := digestOf(userHistory, body)
	t.add(userHistory, "user_id, version, participant, valid_from, body, digest",
		u.ID, u.Version, u.Participant, instant(validFrom), body, digest.String())
	if u.Erased == nil {
		t.add("user_personal", "user_id, version, salt, body", u.ID, u.Version, salt, personal)
	}
	return digest, nil
}

// put inserts version 1 of a row, or updates the row of the version before.
func (t *tx) put(ctx context.Context, row any, column string, version int64) error {
	db := t.db.WithContext(ctx)
	if version == 1 {
		return fault(db.Create(row).Error)
	}
	done := db.Model(row).Select("*").Where(column+" = ?", version-1).Updates(row)
	if done.Error != nil {
		return fault(done.Error)
	}
	if done.RowsAffected == 0 {
		return storage.ErrStale
	}
	return nil
}

// putEmails keeps a user's e-mail values where SQLite can look them up; the
// folded document has them as filters compare them.
func (t *tx) putEmails(ctx context.Context, u storage.User) error {
	if u.Version > 1 {
		if _, err := t.do(ctx, "delete from user_email where user_id = ?", u.ID); err != nil {
			return err
		}
	}
	var fold struct {
		Emails []struct {
			Value string `json:"value"`
		} `json:"emails"`
	}
	if len(u.Fold) == 0 || u.Deleted != nil {
		return nil
	}
	if err := json.Unmarshal(u.Fold, &fold); err != nil {
		return fmt.Errorf("read e-mail values of the folded document: %w", err)
	}
	for _, e := range fold.Emails {
		if e.Value == "" {
			continue
		}
		if _, err := t.do(ctx, "insert into user_email (participant, email_key, user_id) values (?, ?, ?) on conflict do nothing",
			u.Participant, e.Value, u.ID); err != nil {
			return err
		}
	}
	return nil
}

// ClaimEmail takes an address unless an other holds it, and answers who does.
// The update that changes nothing makes it wait for, lock and answer the row
// that is there already.
func (t *tx) ClaimEmail(ctx context.Context, emailKey, user string) (string, error) {
	var holder string
	if _, err := t.get(ctx, &holder, `insert into email_owner (email_key, user_id) values (?, ?)
	  on conflict (email_key) do update set user_id = email_owner.user_id returning user_id`, emailKey, user); err != nil {
		return "", fmt.Errorf("claim an address for %s: %w", user, err)
	}
	return holder, nil
}

// ReleaseEmail gives an address up if the user holds it.
func (t *tx) ReleaseEmail(ctx context.Context, emailKey, user string) error {
	if _, err := t.do(ctx, "delete from email_owner where email_key = ? and user_id = ?", emailKey, user); err != nil {
		return fmt.Errorf("give up the address of %s: %w", user, err)
	}
	return nil
}
