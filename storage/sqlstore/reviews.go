package sqlstore

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// reviewRow is a review as a table keeps it.
type reviewRow struct {
	ID          string `gorm:"primaryKey"`
	Participant string
	State       string
	AsOf        instant
	Due         instant
	OnSilence   string
	Note        string
	StartedBy   string
	Prepared    string
	Opened      *instant
	Reminded    int
	Escalated   *instant
	Undecided   int
	Closed      *instant
	ClosedBy    string
	Entry       string
	Digest      string
	RowVersion  int64
}

// TableName names the table for gorm.
func (reviewRow) TableName() string { return "review" }

func (row reviewRow) review() storage.Review {
	return storage.Review{
		ID: row.ID, Participant: row.Participant, State: row.State, AsOf: time.Time(row.AsOf), Due: time.Time(row.Due),
		OnSilence: row.OnSilence, Note: row.Note, StartedBy: row.StartedBy, Prepared: row.Prepared, Opened: row.Opened.time(),
		Reminded: row.Reminded, Escalated: row.Escalated.time(), Undecided: row.Undecided, Closed: row.Closed.time(),
		ClosedBy: row.ClosedBy, Entry: row.Entry, Digest: row.Digest, Row: row.RowVersion,
	}
}

func (r reader) reviews(ctx context.Context, tail string, args ...any) ([]storage.Review, error) {
	var rows []reviewRow
	if _, err := r.get(ctx, &rows, "select * from review "+tail, args...); err != nil {
		return nil, err
	}
	found := make([]storage.Review, len(rows))
	for i, row := range rows {
		found[i] = row.review()
	}
	return found, nil
}

func (r reader) getReview(ctx context.Context, participant, id, lock string) (storage.Review, error) {
	narrow, args := here(participant, "participant")
	found, err := r.reviews(ctx, "where id = ?"+narrow+lock, append([]any{id}, args...)...)
	if err == nil && len(found) == 0 {
		err = storage.ErrNotFound
	}
	if err != nil {
		return storage.Review{}, fmt.Errorf("review %s: %w", id, err)
	}
	return found[0], nil
}

// GetReview answers one review.
func (r reader) GetReview(ctx context.Context, participant, id string) (storage.Review, error) {
	return r.getReview(ctx, participant, id, "")
}

// LockReview answers one review and keeps others from changing it.
func (t *tx) LockReview(ctx context.Context, id string) (storage.Review, error) {
	return t.getReview(ctx, "", id, t.lock("review"))
}

// share is lock for what several may hold at once.
func (t *tx) share(table string) string {
	if t.engine == postgresEngine {
		return " for share of " + table
	}
	return ""
}

// ShareReview answers one review and keeps it from closing.
func (t *tx) ShareReview(ctx context.Context, id string) (storage.Review, error) {
	return t.getReview(ctx, "", id, t.share("review"))
}

// ListReviews answers a page of reviews, newest first.
func (r reader) ListReviews(ctx context.Context, q storage.ReviewQuery) ([]storage.Review, error) {
	narrow, args := here(q.Participant, "participant")
	tail := "where true" + narrow
	if len(q.States) > 0 {
		tail, args = tail+" and state in ?", append(args, q.States)
	}
	if q.Before != nil {
		tail, args = tail+" and (as_of, id) < (?, ?)", append(args, instant(q.Before.AsOf), q.Before.ID)
	}
	found, err := r.reviews(ctx, tail+" order by as_of desc, id desc limit "+strconv.Itoa(q.Limit), args...)
	return found, wrapped(err, "reviews")
}

// TallyReviews counts the items of reviews by state.
func (r reader) TallyReviews(ctx context.Context, ids []string) (map[string]storage.ReviewTally, error) {
	among, arg := r.anyOf("review", ids)
	var rows []struct {
		Review, State string
		People        int
	}
	if _, err := r.get(ctx, &rows, "select review, state, count(*) as people from review_item where "+among+" group by review, state", arg); err != nil {
		return nil, fmt.Errorf("count the items of reviews: %w", err)
	}
	counted := make(map[string]storage.ReviewTally, len(ids))
	for _, id := range ids {
		counted[id] = storage.ReviewTally{}
	}
	for _, row := range rows {
		counted[row.Review][row.State] = row.People
	}
	return counted, nil
}

// PutReview inserts row version 1 of a review, or updates the row of the version
// before.
func (t *tx) PutReview(ctx context.Context, r storage.Review) error {
	row := reviewRow{
		ID: r.ID, Participant: r.Participant, State: r.State, AsOf: instant(r.AsOf), Due: instant(r.Due), OnSilence: r.OnSilence,
		Note: r.Note, StartedBy: r.StartedBy, Prepared: r.Prepared, Opened: instantOf(r.Opened), Reminded: r.Reminded,
		Escalated: instantOf(r.Escalated), Undecided: r.Undecided, Closed: instantOf(r.Closed), ClosedBy: r.ClosedBy,
		Entry: r.Entry, Digest: r.Digest, RowVersion: r.Row,
	}
	return wrapped(t.put(ctx, &row, "row_version", row.RowVersion), "keep review %s", r.ID)
}

// LockUsers answers users and keeps others from changing them. They are locked in
// order of id, so that two that lock several do not wait for each other in a
// circle.
func (t *tx) LockUsers(ctx context.Context, ids []string) (map[string]storage.User, error) {
	among, arg := t.anyOf("u.id", ids)
	found, err := t.users(ctx, "where "+among+" order by u.id"+t.lock("u"), arg)
	if err != nil {
		return nil, fmt.Errorf("lock %d users: %w", len(ids), err)
	}
	users := make(map[string]storage.User, len(found))
	for _, u := range found {
		users[u.ID] = u
	}
	return users, nil
}
