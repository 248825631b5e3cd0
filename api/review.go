package api

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

var reviewStates = []string{storage.ReviewPreparing, storage.ReviewOpen, storage.ReviewEscalated, storage.ReviewClosed}

// ReviewView is an access review: how many people came to what, and how it ended.
type ReviewView struct {
	ID          string                 `json:"id"`
	Participant string                 `json:"participant"`
	State       string                 `json:"state"` // preparing, open, escalated, closed
	AsOf        time.Time              `json:"asOf"`  // it is about who had access then
	Due         time.Time              `json:"due"`
	OnSilence   string                 `json:"onSilence"` // escalate, suspend
	Note        *string                `json:"note"`
	Totals      lifecycle.ReviewTotals `json:"totals"`
	Opened      *time.Time             `json:"opened"`
	Escalated   *time.Time             `json:"escalated"`           // when the deadline passed with people undecided
	Undecided   *int                   `json:"undecidedAtDeadline"` // null when nobody was, or it is not over
	Closed      *time.Time             `json:"closed"`
	StartedBy   string                 `json:"startedBy,omitempty"` // staff only, as the one below
	ClosedBy    string                 `json:"closedBy,omitempty"`  //
	Report      *reportView            `json:"report"`              // null until it is closed
}

// reportView says where the proof of a closing report is.
type reportView struct {
	Digest   string `json:"digest"`   // SHA-256 of the bytes that /report answers
	Entry    string `json:"entry"`    // of the closing, which holds the digest
	Position *int64 `json:"position"` // of the entry in the log; null until it has one
}

// ReviewItemView is one person in a review, as things stand now; made and decided
// are what the review went by.
type ReviewItemView struct {
	User        string         `json:"user"`
	State       string         `json:"state"` // open, kept, revoked, ended, suspended
	UserName    string         `json:"userName"`
	Name        nameView       `json:"name"`
	Title       *string        `json:"title"`
	Status      string         `json:"status"`
	Role        *string        `json:"role"`
	Requested   *string        `json:"requestedRole"`
	Permissions []string       `json:"permissions"`
	Reason      string         `json:"reason"`
	Rule        *string        `json:"rule"`
	Since       *time.Time     `json:"since"`   // of the present access
	Version     int64          `json:"version"` // for ifVersion
	Made        storage.Looked `json:"made"`    // the user at the review's instant: title in its normal form
	Changed     *time.Time     `json:"changed"` // when title, role or access last moved since
	Decision    *reviewedView  `json:"decision"`
	Comment     *string        `json:"comment"`
}

// reviewedView is the last decision; state says whether it counts still.
type reviewedView struct {
	Decision string         `json:"decision"` // keep, revoke
	By       string         `json:"by"`
	At       time.Time      `json:"at"`
	On       storage.Looked `json:"on"` // the user who was decided on
}

// ShowReview shows a review as staff see it.
func ShowReview(ctx context.Context, read storage.Reader, r storage.Review) (ReviewView, error) {
	views, err := showReviews(ctx, read, staffSight, []storage.Review{r})
	if err != nil {
		return ReviewView{}, err
	}
	return views[0], nil
}

func showReviews(ctx context.Context, read storage.Reader, c *call, reviews []storage.Review) ([]ReviewView, error) {
	ids := make([]string, len(reviews))
	for i, r := range reviews {
		ids[i] = r.ID
	}
	tallies, err := read.TallyReviews(ctx, ids)
	if err != nil {
		return nil, err
	}
	views := make([]ReviewView, len(reviews))
	for i, r := range reviews {
		v := ReviewView{
			ID: r.ID, Participant: r.Participant, State: r.State, AsOf: r.AsOf, Due: r.Due, OnSilence: r.OnSilence, Note: optional(r.Note),
			Totals: lifecycle.TotalsOf(tallies[r.ID]), Opened: r.Opened, Escalated: r.Escalated, Closed: r.Closed,
		}
		if r.Escalated != nil {
			v.Undecided = &r.Undecided
		}
		if c.staffTexts() {
			v.StartedBy, v.ClosedBy = r.StartedBy, r.ClosedBy
		}
		if r.State == storage.ReviewClosed {
			v.Report = &reportView{Digest: r.Digest, Entry: r.Entry}
			at, placed, err := read.FindPosition(ctx, r.Entry)
			if err != nil {
				return nil, err
			}
			if placed {
				v.Report.Position = &at.Position
			}
		}
		views[i] = v
	}
	return views, nil
}

func (s *server) oneReview(ctx context.Context, c *call, r storage.Review, err error) (ReviewView, error) {
	if err != nil {
		return ReviewView{}, err
	}
	views, err := showReviews(ctx, s.read, c, []storage.Review{r})
	if err != nil {
		return ReviewView{}, err
	}
	return views[0], nil
}

type newReview struct {
	Participant string    `json:"participant"`
	Due         time.Time `json:"due"`
	OnSilence   string    `json:"onSilence,omitempty"` // escalate when absent
	Note        string    `json:"note,omitempty"`
}

func (s *server) startReview(ctx context.Context, c *call, in newReview) (ReviewView, error) {
	r, err := s.Service.StartReview(ctx, c.who.Actor, lifecycle.ReviewSpec{Participant: in.Participant, Due: in.Due, OnSilence: in.OnSilence, Note: in.Note})
	if err == nil {
		c.location = root + "/reviews/" + r.ID
	}
	return s.oneReview(ctx, c, r, err)
}

// reviewOf answers the review in the path; another participant's is not found.
func (s *server) reviewOf(ctx context.Context, c *call) (storage.Review, error) {
	r, err := s.read.GetReview(ctx, c.who.Participant, c.id())
	c.of = r.Participant
	return r, err
}

func (s *server) getReview(ctx context.Context, c *call, _ none) (ReviewView, error) {
	r, err := s.reviewOf(ctx, c)
	return s.oneReview(ctx, c, r, err)
}

func (s *server) closeReview(ctx context.Context, c *call, _ none) (ReviewView, error) {
	r, err := s.Service.CloseReview(ctx, c.who.Actor, c.id())
	return s.oneReview(ctx, c, r, err)
}

func (s *server) listReviews(ctx context.Context, c *call, _ none) (page[ReviewView], error) {
	var empty page[ReviewView]
	var q storage.ReviewQuery
	var err error
	if q.Participant, err = c.within(c.query.Get("participant")); err != nil {
		return empty, err
	}
	state := c.query.Get("state")
	if err := oneOf("state", state, reviewStates); err != nil {
		return empty, err
	}
	if state != "" {
		q.States = []string{state}
	}
	limit, err := c.limit()
	if err != nil {
		return empty, err
	}
	bound, err := json.Marshal([]string{"reviews", q.Participant, state})
	if err != nil {
		return empty, fmt.Errorf("bind cursor: %w", err)
	}
	begin, err := after[place](s, bound, c.query.Get("cursor"))
	if err != nil {
		return empty, err
	}
	if begin != nil {
		q.Before = &storage.Review{AsOf: begin.Since, ID: begin.ID}
	}
	q.Limit = limit + 1
	found, err := s.read.ListReviews(ctx, q)
	if err != nil {
		return empty, err
	}
	var answer page[ReviewView]
	if len(found) > limit {
		found = found[:limit]
		last := found[limit-1]
		next, err := s.cursor(bound, place{Since: last.AsOf, ID: last.ID})
		if err != nil {
			return empty, err
		}
		answer.NextCursor = &next
	}
	answer.Items, err = showReviews(ctx, s.read, c, found)
	return answer, err
}

var itemStates = []string{storage.ItemOpen, storage.ItemKept, storage.ItemRevoked, storage.ItemEnded, storage.ItemSuspended}

func (s *server) listReviewItems(ctx context.Context, c *call, _ none) (page[ReviewItemView], error) {
	var empty page[ReviewItemView]
	r, err := s.reviewOf(ctx, c)
	if err != nil {
		return empty, err
	}
	q := storage.ReviewItemQuery{Review: r.ID, State: c.query.Get("state")}
	if err := oneOf("state", q.State, itemStates); err != nil {
		return empty, err
	}
	limit, err := c.limit()
	if err != nil {
		return empty, err
	}
	bound, err := json.Marshal([]string{"review items", r.ID, q.State})
	if err != nil {
		return empty, fmt.Errorf("bind cursor: %w", err)
	}
	begin, err := after[string](s, bound, c.query.Get("cursor"))
	if err != nil {
		return empty, err
	}
	if begin != nil {
		q.After = *begin
	}
	q.Limit = limit + 1
	items, err := s.read.ListReviewItems(ctx, q)
	if err != nil {
		return empty, err
	}
	var answer page[ReviewItemView]
	if len(items) > limit {
		items = items[:limit]
		next, err := s.cursor(bound, items[limit-1].User)
		if err != nil {
			return empty, err
		}
		answer.NextCursor = &next
	}
	ids := make([]string, len(items))
	for i, item := range items {
		ids[i] = item.User
	}
	users, err := s.read.ListUsersByID(ctx, ids)
	if err != nil {
		return empty, err
	}
	now := s.Service.Now()
	answer.Items = as(items, func(i storage.ReviewItem) ReviewItemView { return c.reviewItem(i, users[i.User], now) })
	return answer, nil
}

func (c *call) reviewItem(i storage.ReviewItem, u storage.User, now time.Time) ReviewItemView {
	d := u.Access(now)
	v := ReviewItemView{
		User: i.User, State: i.State, UserName: u.UserName, Name: nameView{GivenName: u.GivenName, FamilyName: u.FamilyName}, Title: optional(u.Title),
		Status: string(d.Status), Role: optional(d.Role), Requested: optional(d.RequestedRole), Permissions: append([]string{}, d.Permissions...),
		Reason: c.text(d.Reason, d.Staff), Rule: optional(d.Rule), Since: u.ReleasedAt, Version: u.Version, Made: i.Made, Changed: i.Changed, Comment: optional(i.Comment),
	}
	if i.Decision != "" && i.At != nil {
		v.Decision = &reviewedView{Decision: i.Decision, By: i.By, At: *i.At, On: i.Decided}
	}
	return v
}

type newReviewDecision struct {
	Decision  string `json:"decision"` // keep, revoke, comment
	Comment   string `json:"comment,omitempty"`
	IfVersion *int64 `json:"ifVersion"` // the user's version that was looked at
}

func (s *server) decideReview(ctx context.Context, c *call, in newReviewDecision) (ReviewItemView, error) {
	if in.IfVersion == nil {
		return ReviewItemView{}, lifecycle.Faultf(lifecycle.KindInvalid, "ifVersion", "ifVersion is missing; send the version of the user that was looked at")
	}
	item, u, err := s.Service.DecideReview(ctx, c.who.Actor, c.id(), c.r.PathValue("user"),
		lifecycle.ReviewDecision{Decision: in.Decision, Comment: in.Comment, IfVersion: *in.IfVersion})
	if u, err = c.looksAt(u, err); err != nil {
		return ReviewItemView{}, err
	}
	return c.reviewItem(item, u, s.Service.Now()), nil
}

// reportAnswer is a closing report, answered as the bytes that its digest is of.
type reportAnswer struct {
	lifecycle.ReviewReport

	people int
	write  func(ctx context.Context, w io.Writer) error
}

func (a reportAnswer) rows() int { return a.people }

func (a reportAnswer) stream() (contentType string, write func(context.Context, io.Writer) error) {
	return "application/json", a.write
}

func (s *server) getReviewReport(ctx context.Context, c *call, _ none) (reportAnswer, error) {
	if _, err := s.reviewOf(ctx, c); err != nil {
		return reportAnswer{}, err
	}
	r, totals, err := lifecycle.VerifyReport(ctx, s.read, c.who.Participant, c.id())
	if err != nil {
		return reportAnswer{}, err
	}
	sum, err := hex.DecodeString(r.Digest)
	if err != nil {
		return reportAnswer{}, fmt.Errorf("digest of review %s: %w", r.ID, err)
	}
	c.header.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(sum)+":") // RFC 9530
	return reportAnswer{people: totals.People, write: func(ctx context.Context, w io.Writer) error {
		return lifecycle.WriteReport(ctx, s.read, r, w)
	}}, nil
}
