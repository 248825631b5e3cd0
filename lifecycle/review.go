package lifecycle

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// Access reviews: a participant's user managers look at everybody there who had
// access at an instant, and decide whether they keep it. Who had access is who
// was released, or had been and would be again when a gate opens: both could use
// it without anybody's new word.

// What becomes of those about whom nobody decides.
const (
	SilenceEscalates = "escalate" // operators are told
	SilenceSuspends  = "suspend"  // they are told, and access is held
)

// reviewLongest is how far ahead a review may be due: a year, and a day for who
// counts it otherwise.
const reviewLongest = 366 * day

var unclosedReviews = []string{storage.ReviewPreparing, storage.ReviewOpen, storage.ReviewEscalated}

// ReviewSpec asks for a review.
type ReviewSpec struct {
	Participant string
	Due         time.Time
	OnSilence   string // SilenceEscalates when empty
	Note        string // what reviewers are told; names nobody
}

// StartReview starts a review of everybody at a participant who has access in
// this moment. Its items are made by a job, which opens it.
func (s *Service) StartReview(ctx context.Context, by Actor, spec ReviewSpec) (storage.Review, error) {
	spec.Due, spec.Note = spec.Due.UTC().Truncate(time.Microsecond), strings.TrimSpace(spec.Note)
	switch spec.OnSilence {
	case "":
		spec.OnSilence = SilenceEscalates
	case SilenceEscalates, SilenceSuspends:
	default:
		return storage.Review{}, Faultf(KindInvalid, "onSilence", "onSilence is %q; expected %s or %s", spec.OnSilence, SilenceEscalates, SilenceSuspends)
	}
	if err := checkText("note", spec.Note); err != nil {
		return storage.Review{}, err
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return storage.Review{}, fmt.Errorf("review id: %w", err)
	}
	var kept storage.Review
	err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		if _, err := tx.GetParticipant(ctx, spec.Participant); err != nil {
			return fmt.Errorf("participant %s: %w", spec.Participant, err)
		}
		now := tx.Now()
		if !spec.Due.After(now) || spec.Due.Sub(now) > reviewLongest {
			return Faultf(KindInvalid, "due", "due is %s; expected an instant within the year to come", spec.Due.Format(time.RFC3339))
		}
		under, err := tx.ListReviews(ctx, storage.ReviewQuery{Participant: spec.Participant, States: unclosedReviews, Limit: 1})
		if err != nil {
			return err
		}
		if len(under) > 0 {
			return Faultf(KindTaken, "participant", "review %s of %s is not closed yet; one at a time", under[0].ID, spec.Participant)
		}
		kept = storage.Review{
			ID: id.String(), Participant: spec.Participant, State: storage.ReviewPreparing, AsOf: now, Due: spec.Due,
			OnSilence: spec.OnSilence, Note: spec.Note, StartedBy: by.Subject, Row: 1,
		}
		if err := tx.PutReview(ctx, kept); err != nil {
			return err
		}
		if err := promiseReview(ctx, tx, kept.ID); err != nil {
			return err
		}
		return s.reviewEntry(ctx, tx, by, kept, "review.started", "An access review was started: everybody with access is to be decided about.",
			public("due", audit.Stamp(kept.Due)), public("onSilence", kept.OnSilence), personal("note", kept.Note))
	})
	if err != nil {
		return storage.Review{}, fmt.Errorf("start a review of %s: %w", spec.Participant, err)
	}
	return kept, nil
}

// checkText bounds what people write.
func checkText(member, text string) error {
	const most = 2000
	if len(text) > most {
		return Faultf(KindInvalid, member, "%s is longer than %d bytes; send a shorter one", member, most)
	}
	return nil
}

// promiseReview promises a look at what a review needs now.
func promiseReview(ctx context.Context, tx storage.Tx, id string) error {
	if err := tx.Enqueue(ctx, JobReview, id, id, time.Time{}); err != nil {
		return fmt.Errorf("promise work on review %s: %w", id, err)
	}
	return nil
}

// reviewEntry records what happened to a review as a whole.
func (s *Service) reviewEntry(ctx context.Context, tx storage.Tx, by Actor, r storage.Review, action, sentence string, fields ...audit.Field) error {
	return s.entry(ctx, tx, by, reviewDraft(r, r.Participant, action, sentence, fields...))
}

func reviewDraft(r storage.Review, user, action, sentence string, fields ...audit.Field) audit.Draft {
	return audit.Draft{
		Participant: r.Participant, User: user, Action: action, Sentence: sentence, Fields: append([]audit.Field{public("review", r.ID)}, fields...),
	}
}

// CloseReview closes a review when everybody is decided about, or after its
// deadline. Closing it again changes nothing.
func (s *Service) CloseReview(ctx context.Context, by Actor, id string) (storage.Review, error) {
	var kept storage.Review
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		r, err := tx.LockReview(ctx, id)
		if err != nil {
			return err
		}
		kept = r
		open, err := undecided(ctx, tx, id)
		if err != nil {
			return err
		}
		switch {
		case r.State == storage.ReviewClosed:
			return nil
		case r.State == storage.ReviewPreparing:
			return Faultf(KindRefused, "", "the review's items are being made; try again when it is open")
		case open > 0 && tx.Now().Before(r.Due):
			return Faultf(KindRefused, "", "%d people are undecided, and the review is due %s; it can be closed then", open, r.Due.UTC().Format(time.RFC3339))
		case open > 0 && r.OnSilence == SilenceSuspends:
			return Faultf(KindRefused, "", "%d people who are undecided are being suspended; the review closes by itself when they are", open)
		case open > 0 && r.State == storage.ReviewOpen: // no worker came to it yet
			if err := s.escalate(ctx, tx, &r, open); err != nil {
				return err
			}
		}
		kept, err = s.closeReview(ctx, tx, by, r)
		return err
	})
	if err != nil {
		return storage.Review{}, fmt.Errorf("close review %s: %w", id, err)
	}
	return kept, nil
}

// undecided counts the open items of a review.
func undecided(ctx context.Context, r storage.Reader, id string) (int, error) {
	tally, err := r.TallyReviews(ctx, []string{id})
	return tally[id][storage.ItemOpen], err
}

// escalate puts on a locked review that its deadline passed with people undecided.
func (s *Service) escalate(ctx context.Context, tx storage.Tx, r *storage.Review, open int) error {
	now := tx.Now()
	r.State, r.Escalated, r.Undecided = storage.ReviewEscalated, &now, open
	r.Row++
	if err := tx.PutReview(ctx, *r); err != nil {
		return err
	}
	return s.reviewEntry(ctx, tx, System, *r, "review.escalated", "The deadline of an access review passed with people undecided; operators are told.",
		public("undecided", strconv.Itoa(open)), public("onSilence", r.OnSilence))
}

// closeReview closes a locked review: the entry of its closing holds the digest
// of its report, and the report names the entry.
func (s *Service) closeReview(ctx context.Context, tx storage.Tx, by Actor, r storage.Review) (storage.Review, error) {
	entry, err := uuid.NewV7()
	if err != nil {
		return r, fmt.Errorf("entry id: %w", err)
	}
	now := tx.Now()
	r.State, r.Closed, r.ClosedBy, r.Entry = storage.ReviewClosed, &now, by.Subject, entry.String()
	totals, digest, err := digestReport(ctx, tx, r)
	if err != nil {
		return r, err
	}
	r.Digest = digest
	r.Row++
	if err := tx.PutReview(ctx, r); err != nil {
		return r, err
	}
	draft := reviewDraft(r, r.Participant, "review.closed", "An access review was closed; its report has this digest.",
		public("report", "sha256:"+r.Digest), public("people", strconv.Itoa(totals.People)), public("kept", strconv.Itoa(totals.Kept)),
		public("revoked", strconv.Itoa(totals.Revoked)), public("ended", strconv.Itoa(totals.Ended)),
		public("suspended", strconv.Itoa(totals.Suspended)), public("undecided", strconv.Itoa(totals.Undecided)))
	draft.ID = r.Entry
	return r, s.entry(ctx, tx, by, draft)
}
