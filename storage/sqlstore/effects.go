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
// Which plan that is, PostgreSQL and SQLite ask once for a statement. What was
// taken from people stays on record, by plan; when everybody was decided again
// there is no plan to join. Where a statement shows nothing of n, neither engine
// looks there.
const (
	plainUserTables = "users u join participant p on p.id = u.participant"
	userTables      = plainUserTables + " left join policy_effect n on n.plan = (select c.plan from policy_carrying c)" +
		" and n.user_id = u.id and n.loses and u.status = 'released' and u.policy_version < " + carriedVersion
	carriedVersion = "(select c.version from policy_carrying c)"
)

// narrowing is what a version leaves, as a row keeps it: without the version,
// which is known when it comes into force.
func narrowing(version int64, text string) (*policy.Narrowing, error) {
	n := &policy.Narrowing{}
	if err := json.Unmarshal([]byte(text), n); err != nil {
		return nil, err
	}
	n.Version = version
	return n, nil
}

// narrowingText has all members: SQL looks at them.
func narrowingText(n policy.Narrowing) (string, error) {
	return jsonText(struct {
		Permissions []string    `json:"permissions"`
		Role        string      `json:"role"`
		Gate        policy.Gate `json:"gate"`
	}{append([]string{}, n.Permissions...), n.Role, n.Gate})
}

// PutEffects keeps what a pending plan does to users; the newest word counts.
func (t *tx) PutEffects(ctx context.Context, plan string, effects []storage.Effect) error {
	return t.putEffects(ctx, plan, effects, "do update set loses = excluded.loses, narrowing = excluded.narrowing")
}

// AddEffects keeps what a pending plan does to users; a word that is there
// already stays.
func (t *tx) AddEffects(ctx context.Context, plan string, effects []storage.Effect) error {
	return t.putEffects(ctx, plan, effects, stays)
}

func (t *tx) putEffects(ctx context.Context, plan string, effects []storage.Effect, met string) error {
	rows, at := make([][]string, 0, len(effects)), make(map[string]int, len(effects))
	for _, e := range effects {
		row := []string{e.User, "0", "{}"}
		if n := e.Narrowing; n != nil {
			text, err := narrowingText(*n)
			if err != nil {
				return fmt.Errorf("encode what plan %s leaves to %s: %w", plan, e.User, err)
			}
			row[1], row[2] = "1", text
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
	return `select e.user_id, e.narrowing from policy_effect e join users u on u.id = e.user_id
	  where e.plan = ? and e.loses = ` + strconv.FormatBool(loses) + ` and e.user_id > ? and u.deleted is null and u.policy_version < ?
	  order by e.user_id limit ` + strconv.Itoa(limit)
}

func (r reader) effects(ctx context.Context, plan string, version int64, loses bool, after string, limit int) ([]storage.Effect, error) {
	var rows []struct {
		UserID    string
		Narrowing string
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
		if found[i].Narrowing, err = narrowing(version, row.Narrowing); err != nil {
			return nil, fmt.Errorf("read the one on %s: %w", row.UserID, err)
		}
	}
	return found, nil
}

// DeleteEffects forgets at most limit effects of a plan, or of those that take
// nothing.
func (t *tx) DeleteEffects(ctx context.Context, plan string, harmless bool, limit int) (int, error) {
	narrow := ""
	if harmless {
		narrow = " and not loses"
	}
	n, err := t.do(ctx, `delete from policy_effect where plan = ? and user_id in (
	  select user_id from policy_effect where plan = ?`+narrow+` order by user_id limit ?)`, plan, plan, limit)
	if err != nil {
		return 0, fmt.Errorf("forget effects of plan %s: %w", plan, err)
	}
	return n, nil
}
