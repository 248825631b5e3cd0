package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// Users as they were at an instant: the version that held, and laid over it what
// every reader laid over it then, the participant's state and what a policy
// version that was being carried out left to them.

// versionAt is which version of a user held. Versions are few and the newest
// ones are asked for most: they are looked through backwards.
const versionAt = "(select x.version from user_history x where x.user_id = u.id and x.valid_from <= ? order by x.version desc limit 1)"

// GetUserAt answers a user as they were at an instant.
func (r reader) GetUserAt(ctx context.Context, participant, id string, at time.Time) (storage.User, error) {
	query, args := "select u.id from users u where u.id = ?", []any{id}
	if participant != "" {
		query, args = query+" and u.participant = ?", append(args, participant)
	}
	found, err := r.usersAt(ctx, at, query, args...)
	if err == nil && len(found) == 0 {
		err = storage.ErrNotFound
	}
	if err != nil {
		return storage.User{}, fmt.Errorf("user %s at %s: %w", id, at.UTC().Format(time.RFC3339), err)
	}
	return found[0], nil
}

// ListUsersAt answers a page of users as they were, by id. A participant's are
// found in the index of their versions, deleted ones too.
func (r reader) ListUsersAt(ctx context.Context, q storage.AsOfQuery) ([]storage.User, error) {
	query, args := "select u.id from users u where u.id > ? and u.created <= ? order by u.id limit ", []any{q.After, instant(q.At)}
	if q.Participant != "" {
		query = "select distinct x.user_id as id from user_history x where x.participant = ? and x.user_id > ? and x.valid_from <= ? order by x.user_id limit "
		args = append([]any{q.Participant}, args...)
	}
	found, err := r.usersAt(ctx, q.At, query+strconv.Itoa(q.Limit), args...)
	if err != nil {
		return nil, fmt.Errorf("users at %s: %w", q.At.UTC().Format(time.RFC3339), err)
	}
	return found, nil
}

// CountUsersAt answers how many users there were, deleted ones too. A user is
// there from their first version on, which has the instant of their creation.
func (r reader) CountUsersAt(ctx context.Context, participant string, at time.Time) (int, error) {
	query, args := "select count(*) from users u where u.created <= ?", []any{instant(at)}
	if participant != "" {
		// count(distinct …) would sort all versions.
		query = "select count(*) from (select distinct x.user_id from user_history x where x.valid_from <= ? and x.participant = ?) d"
		args = append(args, participant)
	}
	var n int
	if _, err := r.get(ctx, &n, query, args...); err != nil {
		return 0, fmt.Errorf("count users at %s: %w", at.UTC().Format(time.RFC3339), err)
	}
	return n, nil
}

// usersAt answers as they were the users whose ids a query selects.
func (r reader) usersAt(ctx context.Context, at time.Time, ids string, args ...any) ([]storage.User, error) {
	query := "select " + historyColumns + " from (select u.id, " + versionAt + " as version from (" + ids + ") u" +
		") v join user_history h on h.user_id = v.id and h.version = v.version" + historyHalves + " order by v.id"
	var rows []historyRow
	if _, err := r.get(ctx, &rows, query, append([]any{instant(at)}, args...)...); err != nil {
		return nil, err
	}
	users := make([]storage.User, len(rows))
	for i, row := range rows {
		h, err := row.version()
		if err != nil {
			return nil, fmt.Errorf("user %s, version %d: %w", row.UserID, row.Version, err)
		}
		users[i] = h.Kept
	}
	if len(users) == 0 {
		return users, nil
	}
	if err := r.joinStates(ctx, users, at); err != nil {
		return nil, err
	}
	return users, r.joinNarrowings(ctx, users, at)
}

// joinStates lays participants' states of an instant over users.
func (r reader) joinStates(ctx context.Context, users []storage.User, at time.Time) error {
	var ids []string
	for _, u := range users {
		if !slices.Contains(ids, u.Participant) {
			ids = append(ids, u.Participant)
		}
	}
	among, arg := r.anyOf("p.id", ids)
	var rows []struct{ Body string }
	if _, err := r.get(ctx, &rows, `select h.body from participant p join participant_history h on h.participant = p.id
	  and h.version = (select x.version from participant_history x where x.participant = p.id and x.valid_from <= ? order by x.version desc limit 1)
	  where `+among, instant(at), arg); err != nil {
		return err
	}
	states := make(map[string]policy.ParticipantState, len(rows))
	for _, row := range rows {
		var p participantRecord
		if err := json.Unmarshal([]byte(row.Body), &p); err != nil {
			return fmt.Errorf("read a participant's version: %w", err)
		}
		state := policy.ParticipantState{Type: p.Type, Status: p.Status, Mode: p.Mode, Version: p.Version, Recovering: p.Recovering != ""}
		if p.ClosedAt != "" {
			closed, err := unstamp(p.ClosedAt)
			if err != nil {
				return err
			}
			state.ClosedAt = &closed
		}
		states[p.ID] = state
	}
	for i := range users {
		users[i].ParticipantState = states[users[i].Participant]
	}
	return nil
}

// joinNarrowings lays over users what the policy version of an instant left to
// those who were not decided under it yet.
func (r reader) joinNarrowings(ctx context.Context, users []storage.User, at time.Time) error {
	var newest struct {
		Version int64
		Plan    string
	}
	n, err := r.get(ctx, &newest, "select version, plan from policy_version where applied <= ? order by version desc limit 1", instant(at))
	if err != nil || n == 0 || newest.Plan == "" {
		return err
	}
	var behind []string
	for _, u := range users {
		if u.Decision.PolicyVersion < newest.Version && u.Decision.Status == policy.StatusReleased {
			behind = append(behind, u.ID)
		}
	}
	if len(behind) == 0 {
		return nil
	}
	among, arg := r.anyOf("n.user_id", behind)
	var rows []struct{ UserID, Narrowing string }
	if _, err := r.get(ctx, &rows, "select n.user_id, n.narrowing from policy_effect n where n.plan = ? and n.loses and "+among, newest.Plan, arg); err != nil {
		return err
	}
	left := make(map[string]*policy.Narrowing, len(rows))
	for _, row := range rows {
		if left[row.UserID], err = narrowing(newest.Version, row.Narrowing); err != nil {
			return fmt.Errorf("read what a policy version left to user %s: %w", row.UserID, err)
		}
	}
	for i := range users {
		users[i].Narrowing = left[users[i].ID]
	}
	return nil
}
