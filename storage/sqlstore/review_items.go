package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/healthix/healthix-scim/storage"
)

// reviewItemRow is one person in a review as a table keeps it.
type reviewItemRow struct {
	Review         string
	UserID         string
	Participant    string
	State          string
	MadeVersion    int64
	MadeRole       string
	MadeTitle      string
	MadeRule       string
	Changed        *instant
	Decision       string
	At             *instant
	BySubject      string
	DecidedVersion int64
	DecidedRole    string
	DecidedTitle   string
	DecidedRule    string
	Hold           string
	Comment        string
}

func (row reviewItemRow) item() storage.ReviewItem {
	return storage.ReviewItem{
		Review: row.Review, User: row.UserID, Participant: row.Participant, State: row.State,
		Made:    storage.Looked{Version: row.MadeVersion, Role: row.MadeRole, Title: row.MadeTitle, Rule: row.MadeRule},
		Changed: row.Changed.time(), Decision: row.Decision, At: row.At.time(), By: row.BySubject,
		Decided: storage.Looked{Version: row.DecidedVersion, Role: row.DecidedRole, Title: row.DecidedTitle, Rule: row.DecidedRule},
		Hold:    row.Hold, Comment: row.Comment,
	}
}

const reviewItemColumns = `review, user_id, participant, state, made_version, made_role, made_title, made_rule, changed, decision, at,
  by_subject, decided_version, decided_role, decided_title, decided_rule, hold, comment`

func reviewItemValues(i storage.ReviewItem) []any {
	return []any{
		i.Review, i.User, i.Participant, i.State, i.Made.Version, i.Made.Role, i.Made.Title, i.Made.Rule, instantOf(i.Changed), i.Decision, instantOf(i.At),
		i.By, i.Decided.Version, i.Decided.Role, i.Decided.Title, i.Decided.Rule, i.Hold, i.Comment,
	}
}

func (r reader) reviewItems(ctx context.Context, tail string, args ...any) ([]storage.ReviewItem, error) {
	var rows []reviewItemRow
	if _, err := r.get(ctx, &rows, "select i.* from review_item i "+tail, args...); err != nil {
		return nil, err
	}
	found := make([]storage.ReviewItem, len(rows))
	for n, row := range rows {
		found[n] = row.item()
	}
	return found, nil
}

// GetReviewItem answers one person in a review.
func (r reader) GetReviewItem(ctx context.Context, review, user string) (storage.ReviewItem, error) {
	found, err := r.reviewItems(ctx, "where i.review = ? and i.user_id = ?", review, user)
	if err == nil && len(found) == 0 {
		err = storage.ErrNotFound
	}
	if err != nil {
		return storage.ReviewItem{}, fmt.Errorf("user %s in review %s: %w", user, review, err)
	}
	return found[0], nil
}

// ListReviewItems answers a page of a review's items, by user id.
func (r reader) ListReviewItems(ctx context.Context, q storage.ReviewItemQuery) ([]storage.ReviewItem, error) {
	narrow, args := here(q.State, "i.state")
	found, err := r.reviewItems(ctx, "where i.review = ? and i.user_id > ?"+narrow+" order by i.user_id limit "+strconv.Itoa(q.Limit),
		append([]any{q.Review, q.After}, args...)...)
	return found, wrapped(err, "items of review %s", q.Review)
}

// AddReviewItems adds items; one that is there already stays.
func (t *tx) AddReviewItems(ctx context.Context, items []storage.ReviewItem) error {
	for some := range slices.Chunk(items, maxBound/len(reviewItemValues(storage.ReviewItem{}))) {
		a := addition{table: "review_item", columns: reviewItemColumns}
		for _, i := range some {
			a.rows = append(a.rows, reviewItemValues(i))
		}
		s := a.insert(a.rows)
		if _, err := t.do(ctx, s.sql+" on conflict (review, user_id) do nothing", s.args...); err != nil {
			return fmt.Errorf("keep %d items of a review: %w", len(items), err)
		}
	}
	return nil
}

// PutReviewItem changes an item that is there.
func (t *tx) PutReviewItem(ctx context.Context, i storage.ReviewItem) error {
	n, err := t.do(ctx, `update review_item set state = ?, changed = ?, decision = ?, at = ?, by_subject = ?, decided_version = ?,
	  decided_role = ?, decided_title = ?, decided_rule = ?, hold = ?, comment = ? where review = ? and user_id = ?`,
		i.State, instantOf(i.Changed), i.Decision, instantOf(i.At), i.By, i.Decided.Version,
		i.Decided.Role, i.Decided.Title, i.Decided.Rule, i.Hold, i.Comment, i.Review, i.User)
	if err == nil && n == 0 {
		err = storage.ErrNotFound
	}
	return wrapped(err, "keep user %s in review %s", i.User, i.Review)
}

// ShareReviewsOf answers a user's items in reviews that are not closed, and keeps
// these reviews from closing.
func (t *tx) ShareReviewsOf(ctx context.Context, user string) ([]storage.ReviewItem, error) {
	found, err := t.reviewItems(ctx, "join review r on r.id = i.review where i.user_id = ? and r.state <> 'closed' order by r.id"+t.share("r"), user)
	return found, wrapped(err, "user %s in reviews", user)
}
