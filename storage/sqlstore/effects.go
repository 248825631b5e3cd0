package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// userTables are users with the two things that every reader lays over their
// decision: the participant's state (p), and what the newest policy version
// leaves to those who lose by it and were not decided under it yet (n).
//
// What version that is, PostgreSQL and SQLite ask once for a statement. While
// nothing is carried out the table of effects is empty, and where a statement
// shows nothing of n, neither engine looks there.
const (
	plainUserTables = "users u join participant p on p.id = u.participant"
	userTables      = plainUserTables + " left join policy_effect n on n.plan = " + planInForce +
		" and n.user_id = u.id and n.loses and u.status = 'released' and u.policy_version < " + versionInForce
	planInForce    = "(select v.plan from policy_version v where v.version = " + versionInForce + ")"
	versionInForce = "(select max(w.version) from policy_version w)"
)

// narrowing is what is left, from its columns.
func narrowing(version int64, permissions, role, gate string) (*policy.Narrowing, error) {
	n := &policy.Narrowing{Version: version, Role: role, Gate: policy.Gate(gate)}
	if err := json.Unmarshal([]byte(permissions), &n.Permissions); err != nil {
		return nil, fmt.Errorf("permissions: %w", err)
	}
	return n, nil
}

// PutEffects keeps what a pending plan does to users; the newest word counts.
func (t *tx) PutEffects(ctx context.Context, plan string, effects []storage.Effect) error {
	return t.putEffects(ctx, plan, effects, `do update set loses = excluded.loses, permissions = excluded.permissions,
	  role = excluded.role, gate = excluded.gate`)
}

// AddEffects keeps what a pending plan does to users; a word that is there
// already stays.
func (t *tx) AddEffects(ctx context.Context, plan string, effects []storage.Effect) error {
	return t.putEffects(ctx, plan, effects, stays)
}

func (t *tx) putEffects(ctx context.Context, plan string, effects []storage.Effect, met string) error {
	rows, at := make([][]string, 0, len(effects)), make(map[string]int, len(effects))
	for _, e := range effects {
		row := []string{e.User, "0", "[]", "", ""}
		if n := e.Narrowing; n != nil {
			row = []string{e.User, "1", jsonArray(append([]string{}, n.Permissions...)), n.Role, string(n.Gate)}
		}
		if i, twice := at[e.User]; !twice {
			at[e.User] = len(rows)
			rows = append(rows, row)
		} else if met != stays { // one statement may not meet a row twice
			rows[i] = row
		}
	}
	if err := t.fill(ctx, plan, planEffects, rows, met); err != nil {
		return fmt.Errorf("keep %d effects of plan %s: %w", len(effects), plan, err)
	}
	return nil
}

// ListEffects answers those of a plan in force who were not decided under its
// version yet: who loses first, then by user id.
func (r reader) ListEffects(ctx context.Context, plan string, after storage.Effect, limit int) ([]storage.Effect, error) {
	fail := func(err error) ([]storage.Effect, error) {
		return nil, fmt.Errorf("effects of plan %s: %w", plan, err)
	}
	var version int64
	if _, err := r.get(ctx, &version, "select coalesce(max(version), 0) from policy_version where plan = ? and plan <> ''", plan); err != nil {
		return fail(err)
	}
	var found []storage.Effect
	if version == 0 {
		return found, nil
	}
	losing := after.User == "" || after.Narrowing != nil
	if losing {
		var err error
		if found, err = r.effects(ctx, plan, version, true, after.User, limit); err != nil {
			return fail(err)
		}
		after.User = ""
	}
	if len(found) < limit {
		rest, err := r.effects(ctx, plan, version, false, after.User, limit-len(found))
		if err != nil {
			return fail(err)
		}
		found = append(found, rest...)
	}
	return found, nil
}

// listEffects takes those who lose, or those who do not: a range of one index,
// in which a page begins where the one before ended.
func listEffects(loses bool, limit int) string {
	return `select e.user_id, e.permissions, e.role, e.gate from policy_effect e join users u on u.id = e.user_id
	  where e.plan = ? and e.loses = ` + strconv.FormatBool(loses) + ` and e.user_id > ? and u.deleted is null and u.policy_version < ?
	  order by e.user_id limit ` + strconv.Itoa(limit)
}

func (r reader) effects(ctx context.Context, plan string, version int64, loses bool, after string, limit int) ([]storage.Effect, error) {
	var rows []struct {
		UserID      string
		Permissions string
		Role        string
		Gate        string
	}
	if _, err := r.get(ctx, &rows, listEffects(loses, limit), plan, after, version); err != nil {
		return nil, err
	}
	found := make([]storage.Effect, len(rows))
	for i, row := range rows {
		found[i].User = row.UserID
		if !loses {
			continue
		}
		var err error
		if found[i].Narrowing, err = narrowing(version, row.Permissions, row.Role, row.Gate); err != nil {
			return nil, fmt.Errorf("read the one on %s: %w", row.UserID, err)
		}
	}
	return found, nil
}

// DeleteEffects forgets at most limit effects of a plan, of one user when named.
func (t *tx) DeleteEffects(ctx context.Context, plan, user string, limit int) (int, error) {
	narrow, args := here(user, "user_id")
	n, err := t.do(ctx, `delete from policy_effect where plan = ? and user_id in (
	  select user_id from policy_effect where plan = ?`+narrow+` order by user_id limit ?)`, append(append([]any{plan, plan}, args...), limit)...)
	if err != nil {
		return 0, fmt.Errorf("forget effects of plan %s: %w", plan, err)
	}
	return n, nil
}
