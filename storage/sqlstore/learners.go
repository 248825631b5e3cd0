package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// learnerRow is a learner as a table keeps it.
type learnerRow struct {
	UserID      string `gorm:"primaryKey"`
	Participant string
	LMSID       string `gorm:"column:lms_id"`
	State       string
	Why         string
	Modules     string
	Refresh     string
	Resets      string
	Invite      string
	Policy      int64
	Due         *instant
	Asked       *instant
	Tries       int
	Changed     instant
	RowVersion  int64
}

// TableName names the table for gorm.
func (learnerRow) TableName() string { return "learner" }

func (row learnerRow) learner() (storage.Learner, error) {
	l := storage.Learner{
		User: row.UserID, Participant: row.Participant, LMSID: row.LMSID, State: row.State, Why: row.Why,
		Invite: row.Invite, Policy: row.Policy, Due: row.Due.time(), Asked: row.Asked.time(), Tries: row.Tries,
		Changed: time.Time(row.Changed), Row: row.RowVersion,
	}
	for _, part := range []struct {
		text string
		into any
	}{{row.Modules, &l.Modules}, {row.Refresh, &l.Refresh}, {row.Resets, &l.Resets}} {
		if err := json.Unmarshal([]byte(part.text), part.into); err != nil {
			return l, fmt.Errorf("read learner %s: %w", row.UserID, err)
		}
	}
	return l, nil
}

// learners answers the learners that a tail selects.
func (r reader) learners(ctx context.Context, tail string, args ...any) ([]storage.Learner, error) {
	var rows []learnerRow
	if _, err := r.get(ctx, &rows, "select * from learner "+tail, args...); err != nil {
		return nil, fmt.Errorf("learners: %w", err)
	}
	found := make([]storage.Learner, len(rows))
	for i, row := range rows {
		var err error
		if found[i], err = row.learner(); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (r reader) findLearner(ctx context.Context, tail string, args ...any) (storage.Learner, bool, error) {
	found, err := r.learners(ctx, tail, args...)
	if err != nil || len(found) == 0 {
		return storage.Learner{}, false, err
	}
	return found[0], true, nil
}

// FindLearner finds a user's.
func (r reader) FindLearner(ctx context.Context, user string) (storage.Learner, bool, error) {
	return r.findLearner(ctx, "where user_id = ?", user)
}

// FindLMSLearner finds whose record it is.
func (r reader) FindLMSLearner(ctx context.Context, lmsID string) (storage.Learner, bool, error) {
	if lmsID == "" {
		return storage.Learner{}, false, nil
	}
	return r.findLearner(ctx, "where lms_id = ? and lms_id <> ''", lmsID)
}

// ListLearners answers a page by user id.
func (r reader) ListLearners(ctx context.Context, q storage.LearnerQuery) ([]storage.Learner, error) {
	tail, args := listLearners(q)
	return r.learners(ctx, tail, args...)
}

func listLearners(q storage.LearnerQuery) (tail string, args []any) {
	narrow, args := here(q.Participant, "participant")
	if q.State != "" {
		narrow, args = narrow+" and state = ?", append(args, q.State)
	}
	if q.Invited {
		narrow += " and invite <> ''"
	}
	return "where user_id > ?" + narrow + " order by user_id limit ?", append(append([]any{q.After}, args...), q.Limit)
}

// ListDueLearners answers those of whom the LMS is to be told by now.
func (r reader) ListDueLearners(ctx context.Context, now time.Time, limit int) ([]storage.Learner, error) {
	return r.learners(ctx, dueLearners, instant(now), limit)
}

// ListAskedLearners answers those of whom it is to be asked by now.
func (r reader) ListAskedLearners(ctx context.Context, now time.Time, limit int) ([]storage.Learner, error) {
	return r.learners(ctx, askedLearners, instant(now), limit)
}

const (
	dueLearners   = "where due is not null and due <= ? order by due, user_id limit ?"
	askedLearners = "where asked is not null and asked <= ? order by asked, user_id limit ?"
)

// CountLearners counts by state.
func (r reader) CountLearners(ctx context.Context) (map[string]int, error) {
	var rows []struct {
		State string
		N     int
	}
	if _, err := r.get(ctx, &rows, "select state, count(*) as n from learner group by state"); err != nil {
		return nil, fmt.Errorf("count learners: %w", err)
	}
	counts := map[string]int{}
	for _, row := range rows {
		counts[row.State] = row.N
	}
	return counts, nil
}

// FindBookmark answers how far a walk came.
func (r reader) FindBookmark(ctx context.Context, name string) (time.Time, bool, error) {
	var at instant
	n, err := r.get(ctx, &at, "select at from bookmark where name = ?", name)
	if err != nil || n == 0 {
		return time.Time{}, false, wrapped(err, "bookmark %s", name)
	}
	return time.Time(at), true, nil
}

// LockLearner is FindLearner that keeps others from changing the row.
func (t *tx) LockLearner(ctx context.Context, user string) (storage.Learner, bool, error) {
	return t.findLearner(ctx, "where user_id = ?"+t.lock("learner"), user)
}

// PutLearner inserts row version 1 or updates the row of the version before.
func (t *tx) PutLearner(ctx context.Context, l storage.Learner) error {
	resets := l.Resets
	if resets == nil {
		resets = map[string]time.Time{}
	}
	text, err := jsonText(resets)
	if err != nil {
		return fmt.Errorf("encode learner %s: %w", l.User, err)
	}
	row := learnerRow{
		UserID: l.User, Participant: l.Participant, LMSID: l.LMSID, State: l.State, Why: l.Why,
		Modules: jsonArray(append([]string{}, l.Modules...)), Refresh: jsonArray(append([]string{}, l.Refresh...)), Resets: text,
		Invite: l.Invite, Policy: l.Policy, Due: instantOf(l.Due), Asked: instantOf(l.Asked), Tries: l.Tries,
		Changed: instant(l.Changed), RowVersion: l.Row,
	}
	return wrapped(t.put(ctx, &row, "row_version", row.RowVersion), "keep learner %s", l.User)
}

// AskLearner keeps that the LMS is to be asked about a record; an earlier time
// that is kept already stays.
func (t *tx) AskLearner(ctx context.Context, lmsID string, at time.Time) error {
	_, err := t.do(ctx, "update learner set asked = ? where lms_id = ? and lms_id <> '' and (asked is null or asked > ?)", instant(at), lmsID, instant(at))
	return wrapped(err, "note that learner %s is to be asked about", lmsID)
}

// AnsweredLearner keeps that it was asked as it was to be at an instant, unless
// it is to be asked again since.
func (t *tx) AnsweredLearner(ctx context.Context, user string, asked time.Time, again *time.Time) error {
	_, err := t.do(ctx, "update learner set asked = ? where user_id = ? and asked = ?", instantOf(again), user, instant(asked))
	return wrapped(err, "note that learner %s was asked about", user)
}

// TouchLearners lets at most limit learners be looked at again who were brought
// in line with an older policy version, and answers how many.
func (t *tx) TouchLearners(ctx context.Context, policy int64, at time.Time, limit int) (int, error) {
	n, err := t.do(ctx, "update learner set due = ?, policy = ?, row_version = row_version + 1 where user_id in ("+outdated+")", instant(at), policy, policy, limit)
	return n, wrapped(err, "look at learners again")
}

// outdated takes them off an index in which those who were touched are behind.
const outdated = "select user_id from learner where policy < ? and state <> 'off' order by policy, user_id limit ?"

// RetryLearners does so for those who were refused, and answers how many.
func (t *tx) RetryLearners(ctx context.Context, at time.Time) (int, error) {
	n, err := t.do(ctx, "update learner set due = ?, tries = 0, row_version = row_version + 1 where state = 'refused'", instant(at))
	return n, wrapped(err, "try refused learners again")
}

// PutBookmark keeps how far a walk came.
func (t *tx) PutBookmark(ctx context.Context, name string, at time.Time) error {
	_, err := t.do(ctx, "insert into bookmark (name, at) values (?, ?) on conflict (name) do update set at = excluded.at", name, instant(at))
	return wrapped(err, "keep bookmark %s", name)
}

// TakeLease takes or prolongs a lease; false while somebody else has it.
func (t *tx) TakeLease(ctx context.Context, name, holder string, until time.Time) (bool, error) {
	n, err := t.do(ctx, `insert into lease (name, holder, until) values (?, ?, ?)
	  on conflict (name) do update set holder = excluded.holder, until = excluded.until
	  where lease.holder = excluded.holder or lease.until <= ?`, name, holder, instant(until), instant(t.Now()))
	return n == 1, wrapped(err, "take lease %s", name)
}

// DropLease gives a lease up, if it is still the holder's.
func (t *tx) DropLease(ctx context.Context, name, holder string) error {
	_, err := t.do(ctx, "delete from lease where name = ? and holder = ?", name, holder)
	return wrapped(err, "give lease %s up", name)
}
