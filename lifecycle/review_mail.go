package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// reviewReminders are how many days before a review is due its reviewers are
// reminded, the last reminder first.
var reviewReminders = []int{1, 7}

// reviewReminder answers the reminder that is due and was not promised, 0 for
// none. One that was due when the review was opened told nobody anything new.
func reviewReminder(r storage.Review, now time.Time) int {
	if r.Opened == nil || !now.Before(r.Due) {
		return 0
	}
	for _, days := range reviewReminders {
		before := time.Duration(days) * day
		if r.Due.Sub(now) > before {
			continue
		}
		if r.Due.Sub(*r.Opened) <= before || r.Reminded != 0 && r.Reminded <= days {
			return 0
		}
		return days
	}
	return 0
}

// remindReviewers promises the reminder that is due, each once.
func (s *Service) remindReviewers(ctx context.Context, r storage.Review) error {
	if reviewReminder(r, s.Now()) == 0 {
		return nil
	}
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		r, err := tx.LockReview(ctx, r.ID)
		if err != nil {
			return err
		}
		days := reviewReminder(r, tx.Now())
		if r.State != storage.ReviewOpen || days == 0 {
			return nil
		}
		r.Reminded = days
		r.Row++
		if err := tx.PutReview(ctx, r); err != nil {
			return err
		}
		return s.promiseReviewMails(ctx, tx, r, days)
	})
	if err != nil {
		return fmt.Errorf("remind the reviewers of %s: %w", r.ID, err)
	}
	return nil
}

// promiseReviewMails promises a mail to everybody who may decide and to the
// participant's contacts, each address once. Jobs carry no addresses: a contact is
// known by their place, a reviewer by their token.
func (s *Service) promiseReviewMails(ctx context.Context, tx storage.Tx, r storage.Review, days int) error {
	p, err := tx.GetParticipant(ctx, r.Participant)
	if err != nil {
		return fmt.Errorf("participant %s: %w", r.Participant, err)
	}
	tokens, err := tx.ListTokens(ctx, r.Participant)
	if err != nil {
		return fmt.Errorf("reviewers at %s: %w", r.Participant, err)
	}
	told := map[string]bool{}
	promise := func(address, who string) error {
		key := storage.FoldKey(address)
		if told[key] {
			return nil
		}
		told[key] = true
		subject := fmt.Sprintf("%s/%d/%s", r.ID, days, who)
		if err := tx.Enqueue(ctx, JobReviewMail, subject, subject, time.Time{}); err != nil {
			return fmt.Errorf("promise a message about review %s: %w", r.ID, err)
		}
		return nil
	}
	for n, address := range p.Settings.Contacts {
		if err := promise(address, strconv.Itoa(n)); err != nil {
			return err
		}
	}
	for _, t := range tokens {
		if !reviews(t, tx.Now()) {
			continue
		}
		if err := promise(t.Subject, t.ID); err != nil {
			return err
		}
	}
	return nil
}

// reviews says whether a token lets somebody decide whom a mail reaches.
func reviews(t storage.Token, now time.Time) bool {
	return t.Scope == "aum" && t.Revoked == nil && now.Before(t.Expires) && isAddress(t.Subject)
}

// reviewLetter is what the mail says: numbers, and no name of anybody.
type reviewLetter struct {
	Participant storage.Participant
	Review      storage.Review
	Open        int
	People      int
	Days        int // before the end; 0: it has begun
}

// Suspends says whether access is held when nobody decides.
func (l reviewLetter) Suspends() bool { return l.Review.OnSilence == SilenceSuspends }

// Until is when the review is due, as people in New York read it.
func (l reviewLetter) Until() string {
	return l.Review.Due.In(newYork).Format("Monday, January 2, 2006, 3:04 PM MST")
}

// tellReviewer sends one of the mails, if it still is the one to send.
func (s *Service) tellReviewer(ctx context.Context, job storage.Job) error {
	part := strings.Split(job.Subject, "/")
	if len(part) != 3 {
		return fmt.Errorf("subject %q names no review: %w", job.Subject, storage.ErrGiveUp)
	}
	days, err := strconv.Atoi(part[1])
	if err != nil {
		return fmt.Errorf("subject %q names no reminder: %w", job.Subject, storage.ErrGiveUp)
	}
	r, err := s.store.GetReview(ctx, "", part[0])
	if err != nil {
		return err
	}
	p, err := s.store.GetParticipant(ctx, r.Participant)
	if err != nil {
		return fmt.Errorf("participant %s: %w", r.Participant, err)
	}
	tally, err := s.store.TallyReviews(ctx, []string{r.ID})
	if err != nil {
		return err
	}
	to, err := s.reviewerOf(ctx, p, part[2])
	if err != nil {
		return err
	}
	now, open := s.Now(), tally[r.ID][storage.ItemOpen]
	late := !now.Before(r.Due) || slices.ContainsFunc(reviewReminders, func(sooner int) bool {
		return (days == 0 || sooner < days) && r.Reminded != 0 && r.Reminded <= sooner // another one is on its way
	})
	if r.State != storage.ReviewOpen || open == 0 || to == "" || late {
		return s.withheldFromContact(ctx, job, p, public("review", r.ID))
	}
	at := p // a contact is told by their place, and a reviewer is told as one
	at.Settings.Contacts = []string{to}
	return s.tellContact(ctx, job, at, 0, reviewLetter{Participant: p, Review: r, Open: open, People: tally[r.ID].Total(), Days: days}, public("review", r.ID))
}

// reviewerOf answers the address of a contact or of a token's subject, "" when
// they are none any more.
func (s *Service) reviewerOf(ctx context.Context, p storage.Participant, who string) (string, error) {
	if place, err := strconv.Atoi(who); err == nil {
		if place >= len(p.Settings.Contacts) {
			return "", nil
		}
		return p.Settings.Contacts[place], nil
	}
	t, err := s.store.GetToken(ctx, who)
	if errors.Is(err, storage.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("token %s: %w", who, err)
	}
	if !reviews(t, s.Now()) || t.Participant != p.ID {
		return "", nil
	}
	return t.Subject, nil
}
