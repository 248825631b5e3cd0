package storage

import (
	"context"
	"time"
)

// The states of a review.
const (
	ReviewPreparing = "preparing" // its items are being made
	ReviewOpen      = "open"
	ReviewEscalated = "escalated" // the deadline passed with somebody undecided
	ReviewClosed    = "closed"
)

// The states of an item: what the review comes to for one person.
const (
	ItemOpen      = "open" // somebody has to decide
	ItemKept      = "kept"
	ItemRevoked   = "revoked"
	ItemEnded     = "ended"     // access ended without the review
	ItemSuspended = "suspended" // nobody decided by the deadline, and access is held
)

// Review asks a participant's user managers about everybody there who had access
// at an instant. At most one of a participant is not closed.
type Review struct {
	ID          string
	Participant string
	State       string
	AsOf        time.Time // when it was started; it is about who had access then
	Due         time.Time
	OnSilence   string // what becomes of the undecided: escalate, suspend
	Note        string // what the operator tells the reviewers
	StartedBy   string
	Prepared    string     // id of the last user who was looked at for an item
	Opened      *time.Time // when all items were made
	Reminded    int        // days of the last reminder that was promised, 0 for none
	Escalated   *time.Time
	Undecided   int // items that were open when it was escalated
	Closed      *time.Time
	ClosedBy    string
	Entry       string // the entry of its closing
	Digest      string // of its report, which the entry holds
	Row         int64  // version of this row, from 1
}

// Looked is what a review goes by of a user at one version. Role is the one that
// the title leads to, and Title its normal form.
type Looked struct {
	Version int64  `json:"version"`
	Role    string `json:"role"`
	Title   string `json:"title"`
	Rule    string `json:"rule"` // that decided
}

// ReviewItem is one person in a review. It holds ids and words of the policy;
// names are looked up when it is shown.
type ReviewItem struct {
	Review      string
	User        string
	Participant string
	State       string
	Made        Looked     // the user at the review's instant
	Changed     *time.Time // when title, role or access last moved in a way that opens or ends the item

	// The last decision, also when it counts no more: see State.
	Decision string // keep, revoke; "" for none
	At       *time.Time
	By       string // subject of who decided
	Decided  Looked // the user who was decided on

	Hold    string // that was placed at the deadline
	Comment string // erasable
}

// ReviewQuery asks for reviews, newest first.
type ReviewQuery struct {
	Participant string   // "" for all
	States      []string // none for all
	Before      *Review  // the last of the page before: its AsOf and ID
	Limit       int
}

// ReviewItemQuery asks for items of a review, by user id.
type ReviewItemQuery struct {
	Review string
	State  string // "" for all
	After  string // user id
	Limit  int
}

// ReviewTally is how many items of a review there are in each state.
type ReviewTally map[string]int

// Total is how many items there are.
func (t ReviewTally) Total() int {
	n := 0
	for _, of := range t {
		n += of
	}
	return n
}

// reviewReader looks at reviews.
type reviewReader interface {
	GetReview(ctx context.Context, participant, id string) (Review, error)
	ListReviews(ctx context.Context, q ReviewQuery) ([]Review, error)
	TallyReviews(ctx context.Context, ids []string) (map[string]ReviewTally, error)
	GetReviewItem(ctx context.Context, review, user string) (ReviewItem, error)
	ListReviewItems(ctx context.Context, q ReviewItemQuery) ([]ReviewItem, error)
}

// reviewWriter changes reviews. Users are locked before reviews, and an item
// changes only under the lock of its user.
type reviewWriter interface {
	// LockReview is GetReview that keeps others from changing the row, ShareReview
	// one that keeps it from closing: several may share it.
	LockReview(ctx context.Context, id string) (Review, error)
	ShareReview(ctx context.Context, id string) (Review, error)
	// PutReview inserts row version 1 or updates Row-1, else ErrStale. A second
	// one of a participant that is not closed is a conflict about "participant".
	PutReview(ctx context.Context, r Review) error
	// LockUsers answers users, deleted ones too, and keeps others from changing
	// them; ids that are nobody's are left out.
	LockUsers(ctx context.Context, ids []string) (map[string]User, error)
	// AddReviewItems adds items; one that is there already stays.
	AddReviewItems(ctx context.Context, items []ReviewItem) error
	// PutReviewItem changes an item that is there.
	PutReviewItem(ctx context.Context, i ReviewItem) error
	// ShareReviewsOf answers a user's items in reviews that are not closed, and
	// shares these reviews.
	ShareReviewsOf(ctx context.Context, user string) ([]ReviewItem, error)
}
