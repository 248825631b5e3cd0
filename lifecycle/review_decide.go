package lifecycle

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// What a reviewer may say about a person.
const (
	DecisionKeep    = "keep"
	DecisionRevoke  = "revoke"
	DecisionComment = "comment" // decides nothing
)

// ReviewDecision is a reviewer's word on one person.
type ReviewDecision struct {
	Decision  string
	Comment   string // for the other reviewers and for Healthix; needed by DecisionComment
	IfVersion int64  // the user's version that was looked at
}

// DecideReview keeps a reviewer's word on a person. A keep holds for the title
// and role that were looked at; a revoke deactivates the user in this very
// transaction. Nobody decides about themselves.
func (s *Service) DecideReview(ctx context.Context, by Actor, review, user string, d ReviewDecision) (storage.ReviewItem, storage.User, error) {
	d.Comment = strings.TrimSpace(d.Comment)
	if err := checkReviewDecision(by, d); err != nil {
		return storage.ReviewItem{}, storage.User{}, err
	}
	var item storage.ReviewItem
	var kept storage.User
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		r, err := tx.GetReview(ctx, by.Participant, review)
		if err != nil {
			return err
		}
		if _, err = tx.GetReviewItem(ctx, r.ID, user); err != nil {
			return err
		}
		// Users are locked before reviews.
		old, err := tx.LockUser(ctx, r.Participant, user)
		if err != nil {
			return fmt.Errorf("lock user %s: %w", user, err)
		}
		if r, err = tx.ShareReview(ctx, r.ID); err != nil {
			return err
		}
		if item, err = tx.GetReviewItem(ctx, r.ID, user); err != nil {
			return err
		}
		if err := mayReview(by, r, item, old, d); err != nil {
			return err
		}
		participant, err := participantOf(ctx, tx, old)
		if err != nil {
			return err
		}
		on, err := readDossier(ctx, tx, user)
		if err != nil {
			return err
		}
		if item, err = s.keepWord(ctx, tx, by, r, item, old, d); err != nil {
			return err
		}
		kept = old
		if d.Decision != DecisionRevoke {
			return nil
		}
		u := old
		deactivate(&u)
		kept, err = s.settle(ctx, tx, by, participant, on, &old, u, change{
			document: true, action: "user.deactivated", sentence: "The user was deactivated by decision of an access review; access has ended.",
			fields: []audit.Field{public("review", r.ID)},
		})
		return err
	})
	if err != nil {
		return storage.ReviewItem{}, storage.User{}, fmt.Errorf("decide about %s in review %s: %w", user, review, err)
	}
	return item, kept, nil
}

func checkReviewDecision(by Actor, d ReviewDecision) error {
	switch d.Decision {
	case DecisionKeep, DecisionRevoke:
	case DecisionComment:
		if d.Comment == "" {
			return Faultf(KindInvalid, "comment", "comment is missing; a decision of %s is nothing else", DecisionComment)
		}
	default:
		return Faultf(KindInvalid, "decision", "decision is %q; expected %s, %s or %s", d.Decision, DecisionKeep, DecisionRevoke, DecisionComment)
	}
	if by.Subject == "" {
		return Faultf(KindRefused, "", "a decision names the person who takes it; this token has no subject")
	}
	return checkText("comment", d.Comment)
}

func mayReview(by Actor, r storage.Review, i storage.ReviewItem, u storage.User, d ReviewDecision) error {
	switch {
	case r.State == storage.ReviewPreparing:
		return Faultf(KindRefused, "", "the review's items are being made; try again when it is open")
	case r.State == storage.ReviewClosed:
		return Faultf(KindRefused, "", "the review is closed; deactivate the user by hand, or wait for the next review")
	case isThemselves(by, u):
		return Faultf(KindRefused, "", "nobody decides about themselves; ask another reviewer")
	case i.State == storage.ItemEnded, i.State == storage.ItemRevoked:
		return Faultf(KindRefused, "", "the person's access has ended; there is nothing left to decide")
	case u.Version != d.IfVersion:
		return Faultf(KindStale, "ifVersion", "the user is at version %d, not %d; look again before you decide", u.Version, d.IfVersion)
	case i.State == storage.ItemSuspended && d.Decision == DecisionKeep:
		return Faultf(KindRefused, "", "the person's access is held since the deadline passed; ask Healthix to lift the hold")
	}
	return nil
}

// isThemselves says whether a user is who asks, by any of their addresses and names.
func isThemselves(by Actor, u storage.User) bool {
	names := []string{u.Email, u.UserName, u.HealthixUsername}
	addresses, _ := u.Document["emails"].([]any)
	for _, a := range addresses {
		if m, is := a.(map[string]any); is {
			value, _ := m["value"].(string)
			names = append(names, value)
		}
	}
	for _, name := range names {
		if samePersonnel(name, by.Subject) {
			return true
		}
	}
	return false
}

// lookedAt is what a review goes by of a user.
func lookedAt(u storage.User) storage.Looked {
	return storage.Looked{Version: u.Version, Role: u.Decision.TitleRole, Title: u.Decision.NormalTitle, Rule: u.Decision.Rule}
}

// keepWord puts a reviewer's word on the item and on record. Who speaks last in a
// review has it looked at for closing.
func (s *Service) keepWord(ctx context.Context, tx storage.Tx, by Actor, r storage.Review, i storage.ReviewItem, u storage.User, d ReviewDecision) (storage.ReviewItem, error) {
	now := tx.Now()
	action, sentence := "review.decided", "A reviewer decided that the person keeps their access."
	switch d.Decision {
	case DecisionComment:
		action, sentence = "review.commented", "A reviewer left a comment and decided nothing."
	case DecisionRevoke:
		i.State, sentence = storage.ItemRevoked, "A reviewer decided that the person's access ends."
	default:
		i.State = storage.ItemKept
	}
	looked := lookedAt(u)
	if d.Decision != DecisionComment {
		i.Decision, i.At, i.By, i.Decided = d.Decision, &now, by.Subject, looked
	}
	if d.Comment != "" {
		i.Comment = d.Comment
	}
	if err := tx.PutReviewItem(ctx, i); err != nil {
		return i, err
	}
	fields := []audit.Field{
		public("decision", d.Decision), public("version", fmt.Sprint(looked.Version)), public("role", looked.Role), public("title", looked.Title),
	}
	if d.Comment != "" {
		fields = append(fields, personal("comment", d.Comment))
	}
	draft := reviewDraft(r, u.ID, action, sentence, fields...)
	draft.Rule, draft.PolicyVersion = looked.Rule, u.Decision.PolicyVersion
	if err := s.entry(ctx, tx, by, draft); err != nil {
		return i, err
	}
	left, err := tx.ListReviewItems(ctx, storage.ReviewItemQuery{Review: r.ID, State: storage.ItemOpen, Limit: 1})
	if err != nil || len(left) > 0 {
		return i, err
	}
	return i, promiseReview(ctx, tx, r.ID)
}

// holdsAccess says whether a user has access, or had it and would have it again
// when a gate opens.
func holdsAccess(u storage.User) bool {
	return u.Active && u.Deleted == nil && (u.Decision.Status == policy.StatusReleased || u.Decision.Status == policy.StatusSuspended)
}

// followReviews keeps the items of a user in step with what a deed did to them:
// who lost access is ended, who has it again is open again, and a keep does not
// count for another title or role.
func followReviews(ctx context.Context, tx storage.Tx, old *storage.User, u storage.User) error {
	if old == nil || holdsAccess(*old) == holdsAccess(u) &&
		old.Decision.TitleRole == u.Decision.TitleRole && old.Decision.NormalTitle == u.Decision.NormalTitle {
		return nil
	}
	items, err := tx.ShareReviewsOf(ctx, u.ID)
	if err != nil {
		return err
	}
	for _, i := range items {
		if !follow(&i, u, tx.Now()) {
			continue
		}
		if err := tx.PutReviewItem(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// follow moves an item to where its user is, and says whether that is elsewhere.
func follow(i *storage.ReviewItem, u storage.User, now time.Time) bool {
	looked := lookedAt(u)
	differs := func(from storage.Looked) bool { return looked.Role != from.Role || looked.Title != from.Title }
	state := i.State
	switch has := holdsAccess(u); {
	case !has && i.State != storage.ItemRevoked:
		state = storage.ItemEnded
	case has && (i.State == storage.ItemEnded || i.State == storage.ItemRevoked), has && i.State == storage.ItemKept && differs(i.Decided):
		state = storage.ItemOpen
	case has && i.State == storage.ItemOpen && differs(i.Made): // shown, so that nobody decides on what was
	default:
		return false
	}
	if state == storage.ItemEnded && i.State == state {
		return false
	}
	i.State, i.Changed = state, &now
	return true
}
