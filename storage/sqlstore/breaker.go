package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// breakerCaseRow is a case as a table keeps it.
type breakerCaseRow struct {
	ID          string `gorm:"primaryKey"`
	Participant string
	Opened      instant
	Since       instant
	Threshold   string
	People      int
	Base        int
	RestoreAt   *instant
	RestoreBy   string
	Excepted    string
	Closed      *instant
	ClosedBy    string
	Outcome     string
	Restored    int
	Listed      string
	RowVersion  int64
}

// TableName names the table for gorm.
func (breakerCaseRow) TableName() string { return "breaker_case" }

func (row breakerCaseRow) breakerCase() (storage.BreakerCase, error) {
	c := storage.BreakerCase{
		ID: row.ID, Participant: row.Participant, Opened: time.Time(row.Opened), Since: time.Time(row.Since),
		Threshold: row.Threshold, People: row.People, Base: row.Base,
		RestoreAt: row.RestoreAt.time(), RestoreBy: row.RestoreBy,
		Closed: row.Closed.time(), ClosedBy: row.ClosedBy, Outcome: row.Outcome, Restored: row.Restored, Row: row.RowVersion,
	}
	if err := json.Unmarshal([]byte(row.Excepted), &c.Except); err != nil {
		return c, fmt.Errorf("read whom the restore of case %s leaves out: %w", row.ID, err)
	}
	if err := json.Unmarshal([]byte(row.Listed), &c.Listed); err != nil {
		return c, fmt.Errorf("read whom case %s lists: %w", row.ID, err)
	}
	return c, nil
}

// PutBreakerCase inserts row version 1 of a case, or updates the row of the
// version before.
func (t *tx) PutBreakerCase(ctx context.Context, c storage.BreakerCase) error {
	listed := c.Listed
	if listed == nil {
		listed = []storage.Listed{}
	}
	text, err := jsonText(listed)
	if err != nil {
		return fmt.Errorf("encode whom case %s lists: %w", c.ID, err)
	}
	row := breakerCaseRow{
		ID: c.ID, Participant: c.Participant, Opened: instant(c.Opened), Since: instant(c.Since),
		Threshold: c.Threshold, People: c.People, Base: c.Base,
		RestoreAt: instantOf(c.RestoreAt), RestoreBy: c.RestoreBy, Excepted: jsonArray(append([]string{}, c.Except...)),
		Closed: instantOf(c.Closed), ClosedBy: c.ClosedBy, Outcome: c.Outcome, Restored: c.Restored, Listed: text, RowVersion: c.Row,
	}
	if err := t.put(ctx, &row, "row_version", row.RowVersion); err != nil {
		return fmt.Errorf("keep case %s: %w", c.ID, err)
	}
	return nil
}

func (r reader) breakerCases(ctx context.Context, tail string, args ...any) ([]storage.BreakerCase, error) {
	var rows []breakerCaseRow
	if _, err := r.get(ctx, &rows, "select * from breaker_case "+tail, args...); err != nil {
		return nil, err
	}
	found := make([]storage.BreakerCase, len(rows))
	for i, row := range rows {
		var err error
		if found[i], err = row.breakerCase(); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// GetBreakerCase answers one case.
func (r reader) GetBreakerCase(ctx context.Context, id string) (storage.BreakerCase, error) {
	found, err := r.breakerCases(ctx, "where id = ?", id)
	if err != nil {
		return storage.BreakerCase{}, fmt.Errorf("case %s: %w", id, err)
	}
	if len(found) == 0 {
		return storage.BreakerCase{}, fmt.Errorf("case %s: %w", id, storage.ErrNotFound)
	}
	return found[0], nil
}

// FindBreakerCase answers a participant's open case, or the one closed last.
func (r reader) FindBreakerCase(ctx context.Context, participant string, open bool) (storage.BreakerCase, bool, error) {
	tail := "where participant = ? and closed is not null order by closed desc, id limit 1"
	if open {
		tail = "where participant = ? and closed is null"
	}
	found, err := r.breakerCases(ctx, tail, participant)
	if err != nil || len(found) == 0 {
		return storage.BreakerCase{}, false, wrapped(err, "case of participant %s", participant)
	}
	return found[0], true, nil
}

// wrapped says what was being done, when it failed.
func wrapped(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf(format+": %w", append(args, err)...)
}

// ListOpenCases answers the open cases of all participants, oldest first.
func (r reader) ListOpenCases(ctx context.Context) ([]storage.BreakerCase, error) {
	found, err := r.breakerCases(ctx, "where closed is null order by opened, id")
	return found, wrapped(err, "open cases")
}

// TallyCase counts the users of a case by what became of them.
func (r reader) TallyCase(ctx context.Context, id string) (storage.Tally, error) {
	var rows []struct {
		Outcome string
		People  int
	}
	if _, err := r.get(ctx, &rows, `select outcome, count(distinct user_id) as people from breaker_loss
	  where case_id <> '' and case_id = ? group by outcome`, id); err != nil {
		return storage.Tally{}, fmt.Errorf("count the people of case %s: %w", id, err)
	}
	var n storage.Tally
	for _, row := range rows {
		switch row.Outcome {
		case "":
			n.Staged = row.People
		case storage.OutcomeRestored:
			n.Restored = row.People
		case storage.OutcomeListed:
			n.Listed = row.People
		case storage.OutcomeExcepted:
			n.Excepted = row.People
		}
	}
	return n, nil
}

// ListStaged answers the ids of users whom a case stages still, in order.
func (r reader) ListStaged(ctx context.Context, id, after string, limit int) ([]string, error) {
	var ids []string
	if _, err := r.get(ctx, &ids, `select distinct user_id from breaker_loss
	  where case_id <> '' and case_id = ? and outcome = '' and user_id > ? order by user_id limit ?`, id, after, limit); err != nil {
		return nil, fmt.Errorf("people of case %s: %w", id, err)
	}
	return ids, nil
}

// ListNotRestored answers whom a case lists, in order of id.
func (r reader) ListNotRestored(ctx context.Context, id string) ([]storage.Listed, error) {
	listed := []storage.Listed{}
	if _, err := r.get(ctx, &listed, `select user_id as id, max(why) as reason from breaker_loss
	  where case_id <> '' and case_id = ? and outcome = ? group by user_id order by user_id`, id, storage.OutcomeListed); err != nil {
		return nil, fmt.Errorf("whom case %s lists: %w", id, err)
	}
	return listed, nil
}

// lossRow is a loss as a table keeps it.
type lossRow struct {
	UserID      string
	Version     int64
	Participant string
	At          instant
	Prior       instant
	Kind        string
	CaseID      string
	Outcome     string
	Why         string
	Preimage    string
}

// ListLosses answers a user's losses in a case, newest first.
func (r reader) ListLosses(ctx context.Context, id, user string) ([]storage.Loss, error) {
	var rows []lossRow
	if _, err := r.get(ctx, &rows, `select * from breaker_loss
	  where case_id <> '' and case_id = ? and user_id = ? order by at desc, version desc`, id, user); err != nil {
		return nil, fmt.Errorf("losses of user %s in case %s: %w", user, id, err)
	}
	found := make([]storage.Loss, len(rows))
	for i, row := range rows {
		found[i] = storage.Loss{
			User: row.UserID, Participant: row.Participant, Version: row.Version, At: time.Time(row.At), Prior: time.Time(row.Prior),
			Kind: row.Kind, Case: row.CaseID, Outcome: row.Outcome, Why: row.Why,
		}
		if row.Preimage == "" {
			continue
		}
		dec := json.NewDecoder(strings.NewReader(row.Preimage))
		dec.UseNumber() // a number of the document stays as it was sent
		if err := dec.Decode(&found[i].Before); err != nil {
			return nil, fmt.Errorf("read how user %s was before version %d: %w", user, row.Version+1, err)
		}
	}
	return found, nil
}

// PutLoss keeps a loss.
func (t *tx) PutLoss(ctx context.Context, l storage.Loss) error {
	preimage := ""
	if l.Before != nil {
		var err error
		if preimage, err = jsonText(l.Before); err != nil {
			return fmt.Errorf("encode how user %s was: %w", l.User, err)
		}
		if err := holdsNUL("pre-image", preimage); err != nil {
			return fmt.Errorf("keep how user %s was: %w", l.User, err)
		}
	}
	if _, err := t.do(ctx, `insert into breaker_loss (user_id, version, participant, at, prior, kind, case_id, outcome, why, preimage)
	  values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, l.User, l.Version, l.Participant, instant(l.At), instant(l.Prior), l.Kind, l.Case, l.Outcome, l.Why, preimage); err != nil {
		return fmt.Errorf("keep loss of user %s: %w", l.User, err)
	}
	return nil
}

// LockBreaker locks a participant's row, which is made when it is missing.
func (t *tx) LockBreaker(ctx context.Context, participant string) error {
	_, err := t.do(ctx, "insert into breaker (participant) values (?) on conflict (participant) do update set participant = excluded.participant", participant)
	return wrapped(err, "lock the breaker of %s", participant)
}

// StageLosses lets a case hold losses that no other holds.
func (t *tx) StageLosses(ctx context.Context, c storage.BreakerCase) error {
	_, err := t.do(ctx, "update breaker_loss set case_id = ? where participant = ? and case_id = '' and at > ?", c.ID, c.Participant, instant(c.Since))
	return wrapped(err, "stage losses at %s", c.Participant)
}

// ResolveLosses says what became of a user whom a case staged.
func (t *tx) ResolveLosses(ctx context.Context, id, user, outcome, why string) error {
	_, err := t.do(ctx, "update breaker_loss set outcome = ?, why = ?, preimage = '' where case_id <> '' and case_id = ? and user_id = ?", outcome, why, id, user)
	return wrapped(err, "resolve losses of user %s", user)
}

// DeleteLosses forgets losses that nobody needs any more.
func (t *tx) DeleteLosses(ctx context.Context, before time.Time, limit int) (int, error) {
	old, err := t.do(ctx, `delete from breaker_loss where (user_id, version) in (
	  select user_id, version from breaker_loss where case_id = '' and at < ? limit ?)`, instant(before), limit)
	if err != nil {
		return 0, fmt.Errorf("forget losses: %w", err)
	}
	of, err := t.do(ctx, `delete from breaker_loss where (user_id, version) in (
	  select l.user_id, l.version from breaker_loss l join breaker_case c on c.id = l.case_id
	  where l.case_id <> '' and c.closed is not null limit ?)`, limit-old)
	if err != nil {
		return 0, fmt.Errorf("forget losses of closed cases: %w", err)
	}
	return old + of, nil
}

// CountLosses counts users with losses that no case holds.
func (r reader) CountLosses(ctx context.Context, participant string, late, early time.Time) (recent, all int, err error) {
	var n struct{ Recent, Total int }
	if _, err := r.get(ctx, &n, `select count(distinct case when at > ? then user_id end) as recent, count(distinct user_id) as total
	  from breaker_loss where participant = ? and case_id = '' and at > ?`, instant(late), participant, instant(early)); err != nil {
		return 0, 0, fmt.Errorf("count losses at %s: %w", participant, err)
	}
	return n.Recent, n.Total, nil
}

// CountActiveSince counts users who were active at any time after an instant: who
// is, and who stopped since. Who was taken in inactive has been closed since then
// and was never active.
func (r reader) CountActiveSince(ctx context.Context, participant string, since time.Time, most int) (int, error) {
	var is, was int
	if _, err := r.get(ctx, &is, `select count(*) from (select 1 from users where participant = ? and deleted is null and active limit ?) counted`, participant, most); err != nil {
		return 0, fmt.Errorf("count who is active at %s: %w", participant, err)
	}
	if is >= most {
		return most, nil
	}
	if _, err := r.get(ctx, &was, `select count(*) from (select 1 from users where participant = ? and (not active or deleted is not null)
	  and closed_at > ? and closed_at > created limit ?) counted`, participant, instant(since), most-is); err != nil {
		return 0, fmt.Errorf("count who was active at %s: %w", participant, err)
	}
	return is + was, nil
}
