package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// The mass-change breaker (product rule 13). It stops nothing: access ends as
// the participant's writes say, and how things were is staged beside it.
const (
	breakerSoon  = 10 * time.Minute
	breakerDay   = 24 * time.Hour
	breakerLeast = 5 // people below whom no share is worth a look
	// BreakerStaged is how long a case stages pre-images at most.
	BreakerStaged = 30 * 24 * time.Hour
)

// BreakerOff is the setting that switches a participant's breaker off.
const BreakerOff = "off"

// breakerLimits are one participant's; shares are whole percents.
type breakerLimits struct {
	off      bool
	people   int // more than so many, and more than share of them, soon
	share    int
	small    int // breakerLeast or more, and more than this share, soon
	dayShare int // breakerLeast or more, and more than this share, in a day
}

var usualLimits = breakerLimits{people: 25, share: 10, small: 50, dayShare: 30}

// parseBreaker reads the setting: "" for the usual limits, off, or
// PEOPLE/SHARE/SMALL/DAY such as 25/10/50/30.
func parseBreaker(text string) (breakerLimits, error) {
	switch text {
	case "":
		return usualLimits, nil
	case BreakerOff:
		return breakerLimits{off: true}, nil
	}
	const mostPeople, all = 1_000_000, 100
	parts := strings.Split(text, "/")
	numbers := make([]int, len(parts))
	for i, part := range parts {
		n, err := strconv.Atoi(part)
		most := all
		if i == 0 {
			most = mostPeople
		}
		if err != nil || n < 1 || n > most {
			parts = nil
			break
		}
		numbers[i] = n
	}
	if len(parts) != 4 {
		return usualLimits, Faultf(KindInvalid, "settings.breaker",
			"breaker is %q; expected off, default, or PEOPLE/SHARE/SMALL/DAY with shares in percent, such as the usual 25/10/50/30: more than 25 people and more than 10 %% in 10 minutes, 5 or more and more than 50 %% in 10 minutes, 5 or more and more than 30 %% in 24 hours", text)
	}
	return breakerLimits{people: numbers[0], share: numbers[1], small: numbers[2], dayShare: numbers[3]}, nil
}

// lost says what a deed took from a user: active by leaving or deletion, or
// access that was released; "" for nothing. The participant's own state takes
// nothing and hides nothing: both are looked at as if it were open.
func lost(old *storage.User, u storage.User, now time.Time) string {
	if old == nil || !old.Active || old.Deleted != nil {
		return ""
	}
	was := *old
	u.ParticipantState.Status, u.ParticipantState.Mode, u.ParticipantState.Recovering = "active", "live", false
	was.ParticipantState = u.ParticipantState
	switch {
	case u.Deleted != nil:
		return "deleted"
	case !u.Active:
		return "active"
	case was.Access(now).Status == policy.StatusReleased && u.Access(now).Status != policy.StatusReleased:
		return "access"
	}
	return ""
}

// countLoss counts what the participant's own write took from a user, or the end
// of a review that nobody there had decided in, and trips the breaker when it was
// one too many. It is the last thing a deed does that waits for others: deeds that
// take something pass one by one here, so that each counts all before it, and none
// of two at once sees too little.
func (s *Service) countLoss(ctx context.Context, tx storage.Tx, a Actor, participant storage.Participant, on *dossier, old *storage.User, u storage.User) error {
	kind := lost(old, u, tx.Now())
	if kind == "" {
		return nil
	}
	limits, err := parseBreaker(participant.Settings.Breaker)
	if limits.off {
		return nil
	}
	if err != nil { // settings are checked when written; an older one must not switch it off
		limits = usualLimits
	}
	l, err := lossOf(ctx, tx, kind, on, *old)
	if err != nil {
		return err
	}
	if err := tx.LockBreaker(ctx, participant.ID); err != nil {
		return err
	}
	open, is, err := tx.FindBreakerCase(ctx, participant.ID, true)
	if err != nil {
		return err
	}
	// Once a restore has begun, what the provider writes is obeyed and counted
	// anew; the case takes in nothing more.
	if is && open.RestoreAt == nil {
		l.Case = open.ID
	}
	if err := tx.PutLoss(ctx, l); err != nil {
		return err
	}
	if is {
		return nil
	}
	return s.weigh(ctx, tx, a, participant, limits)
}

// lossOf is a loss with the user as they were.
func lossOf(ctx context.Context, tx storage.Tx, kind string, on *dossier, old storage.User) (storage.Loss, error) {
	before := storage.Preimage{Document: old.Document, Fold: old.Fold, Decision: old.Decision, ClinicalAlerts: old.ClinicalAlerts}
	before.Decision.Trace = nil
	for _, e := range on.evidence {
		if e.Gate == policy.GateEmail && e.Revoked != nil && e.Revoked.Equal(tx.Now()) {
			before.Evidence = append(before.Evidence, e.ID)
		}
	}
	for _, ap := range on.approvals {
		if ap.Ended != nil && ap.Ended.Equal(tx.Now()) {
			before.Approvals = append(before.Approvals, ap.ID)
		}
	}
	for _, h := range on.holds { // a review's, for nobody else's hold is counted
		if h.Lifted == nil && h.Since.Equal(tx.Now()) {
			before.Holds = append(before.Holds, h.ID)
		}
	}
	if kind == "deleted" {
		held, err := tx.ListMemberships(ctx, old.Participant, []string{old.ID})
		if err != nil {
			return storage.Loss{}, fmt.Errorf("groups of %s: %w", old.ID, err)
		}
		for _, m := range held[old.ID] {
			if !m.Indirect {
				before.Groups = append(before.Groups, m.GroupID)
			}
		}
	}
	return storage.Loss{
		User: old.ID, Participant: old.Participant, Version: old.Version, At: tx.Now(), Prior: old.LastModified, Kind: kind, Before: &before,
	}, nil
}

// weigh counts what no case holds, and opens one when a limit is crossed. The
// caller holds the breaker's lock.
func (s *Service) weigh(ctx context.Context, tx storage.Tx, a Actor, participant storage.Participant, limits breakerLimits) error {
	now := tx.Now()
	soon, day, err := tx.CountLosses(ctx, participant.ID, now.Add(-breakerSoon), now.Add(-breakerDay))
	if err != nil {
		return err
	}
	for _, rule := range []struct {
		people, least, share int
		window               time.Duration
		threshold            string
	}{
		{soon, limits.people + 1, limits.share, breakerSoon, fmt.Sprintf("more than %d people and more than %d %% within 10 minutes", limits.people, limits.share)},
		{soon, breakerLeast, limits.small, breakerSoon, fmt.Sprintf("%d people or more and more than %d %% within 10 minutes", breakerLeast, limits.small)},
		{day, breakerLeast, limits.dayShare, breakerDay, fmt.Sprintf("%d people or more and more than %d %% within 24 hours", breakerLeast, limits.dayShare)},
	} {
		if rule.people < rule.least {
			continue
		}
		// Counting ends where the share is small enough, so that it costs what was
		// lost and not what the participant is large.
		enough := rule.people*100/rule.share + 1
		base, err := tx.CountActiveSince(ctx, participant.ID, now.Add(-rule.window), enough)
		if err != nil {
			return err
		}
		if rule.people*100 > rule.share*base {
			return s.openCase(ctx, tx, a, participant, storage.BreakerCase{
				Since: now.Add(-rule.window), Threshold: rule.threshold, People: rule.people, Base: base,
			})
		}
	}
	return nil
}

// openCase stages what was lost since the window began and promises to tell.
func (s *Service) openCase(ctx context.Context, tx storage.Tx, a Actor, participant storage.Participant, c storage.BreakerCase) error {
	id, err := uuid.NewRandom()
	if err != nil {
		return fmt.Errorf("case id: %w", err)
	}
	c.ID, c.Participant, c.Opened, c.Row = id.String(), participant.ID, tx.Now(), 1
	if err := tx.PutBreakerCase(ctx, c); err != nil {
		return err
	}
	if err := tx.StageLosses(ctx, c); err != nil {
		return err
	}
	if err := tx.Enqueue(ctx, JobBreaker, c.ID, c.ID, time.Time{}); err != nil {
		return fmt.Errorf("promise to tell of case %s: %w", c.ID, err)
	}
	return s.caseEntry(ctx, tx, a, c, "breaker.opened", "Many people lost access or were deactivated at once; access has ended, and how it was is staged.",
		public("threshold", c.Threshold), public("people", strconv.Itoa(c.People)), public("base", strconv.Itoa(c.Base)))
}

func (s *Service) caseEntry(ctx context.Context, tx storage.Tx, by Actor, c storage.BreakerCase, action, sentence string, fields ...audit.Field) error {
	return s.entry(ctx, tx, by, audit.Draft{
		Participant: c.Participant, User: c.Participant, Action: action, Sentence: sentence,
		Fields: append([]audit.Field{public("case", c.ID)}, fields...),
	})
}

// tellOfCase tells operators by the log, beside the metric, and promises a mail
// to each of the participant's contacts.
func (s *Service) tellOfCase(ctx context.Context, id string) error {
	c, err := s.store.GetBreakerCase(ctx, id)
	if err != nil {
		return err
	}
	s.log.WarnContext(ctx, "the breaker tripped: many people were deactivated or lost access at once; see healthix-scim participant show",
		"participant", c.Participant, "case", c.ID, "people", c.People, "base", c.Base, "threshold", c.Threshold)
	p, err := s.store.GetParticipant(ctx, c.Participant)
	if err != nil {
		return fmt.Errorf("participant %s: %w", c.Participant, err)
	}
	return s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		for i := range p.Settings.Contacts {
			subject := fmt.Sprintf("%s/%d", c.ID, i)
			if err := tx.Enqueue(ctx, JobBreakerMail, subject, subject, time.Time{}); err != nil {
				return fmt.Errorf("promise a message about case %s: %w", c.ID, err)
			}
		}
		return nil
	})
}

// mailOfCase tells one contact of a participant, who is known by their place:
// jobs carry no addresses.
func (s *Service) mailOfCase(ctx context.Context, job storage.Job) error {
	id, place, _ := strings.Cut(job.Subject, "/")
	i, err := strconv.Atoi(place)
	if err != nil {
		return fmt.Errorf("subject %q names no contact: %w", job.Subject, storage.ErrGiveUp)
	}
	c, err := s.store.GetBreakerCase(ctx, id)
	if err != nil {
		return err
	}
	p, err := s.store.GetParticipant(ctx, c.Participant)
	if err != nil {
		return fmt.Errorf("participant %s: %w", c.Participant, err)
	}
	// In mode observe nothing is sent (product rule 14), and nothing has ended.
	if c.Closed != nil || i >= len(p.Settings.Contacts) || p.Mode == "observe" {
		return s.withheldFromContact(ctx, job, p, public("case", c.ID))
	}
	return s.tellContact(ctx, job, p, i, caseLetter{Participant: p.Name, Case: c}, public("case", c.ID))
}

// sweepBreakers closes cases that were open for too long, on record, and
// forgets losses that count no more.
func (s *Service) sweepBreakers(ctx context.Context) error {
	open, err := s.store.ListOpenCases(ctx)
	if err != nil {
		return err
	}
	var failures error
	for _, c := range open {
		if s.Now().Before(c.Opened.Add(BreakerStaged)) {
			continue
		}
		_, err := s.closeCase(ctx, System, c.Participant, func(open *storage.BreakerCase) (string, string, error) {
			if open.ID != c.ID {
				return "", "", noCase(c.Participant)
			}
			open.Outcome = CaseExpired
			return "breaker.expired", "Nobody decided within 30 days; what was staged is forgotten.", nil
		})
		if err != nil && AsFault(err).Kind != KindRefused { // somebody else did
			failures = errors.Join(failures, err)
		}
	}
	return errors.Join(failures, s.forgetLosses(ctx))
}

func (s *Service) forgetLosses(ctx context.Context) error {
	return forget(func() (n int, err error) {
		err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
			n, err = tx.DeleteLosses(ctx, tx.Now().Add(-breakerDay), forgetPage)
			return err
		})
		return n, err
	})
}

// What a case came to.
const (
	CaseRestored = "restored"
	CaseAccepted = "accepted"
	CaseExpired  = "expired"
)

// AcceptLosses closes a participant's open case: what was lost was meant to be,
// and what was staged is forgotten.
func (s *Service) AcceptLosses(ctx context.Context, by Actor, participant string) (storage.BreakerCase, error) {
	kept, err := s.closeCase(ctx, by, participant, func(c *storage.BreakerCase) (string, string, error) {
		c.Outcome = CaseAccepted
		return "breaker.accepted", "An operator accepted the losses.", nil
	})
	if err != nil {
		return storage.BreakerCase{}, fmt.Errorf("accept losses at %s: %w", participant, err)
	}
	if err := s.forgetLosses(ctx); err != nil { // the sweep does it, then
		s.log.WarnContext(ctx, "what an accepted case staged is not forgotten yet", "case", kept.ID, "error", err)
	}
	return kept, nil
}

// closeCase closes the open case as f says. Losses that came after a restore had
// begun belong to no case; they are weighed now.
func (s *Service) closeCase(ctx context.Context, by Actor, participant string, f func(c *storage.BreakerCase) (action, sentence string, err error)) (storage.BreakerCase, error) {
	var kept storage.BreakerCase
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		p, err := tx.GetParticipant(ctx, participant)
		if err != nil {
			return fmt.Errorf("participant %s: %w", participant, err)
		}
		c, err := lockCase(ctx, tx, participant)
		if err != nil {
			return err
		}
		action, sentence, err := f(&c)
		if err != nil {
			return err
		}
		now := tx.Now()
		c.Closed, c.ClosedBy = &now, by.Subject
		c.Row++
		if err := tx.PutBreakerCase(ctx, c); err != nil {
			return err
		}
		kept = c
		if err := s.caseEntry(ctx, tx, by, c, action, sentence, public("people", strconv.Itoa(c.People)), public("restored", strconv.Itoa(c.Restored)),
			public("listed", strconv.Itoa(len(c.Listed)))); err != nil {
			return err
		}
		limits, err := parseBreaker(p.Settings.Breaker)
		if err != nil || limits.off || c.RestoreAt == nil {
			return nil //nolint:nilerr // settings are checked when written
		}
		return s.weigh(ctx, tx, by, p, limits)
	})
	return kept, err
}

// lockCase answers the open case and keeps others from moving it.
func lockCase(ctx context.Context, tx storage.Tx, participant string) (storage.BreakerCase, error) {
	if err := tx.LockBreaker(ctx, participant); err != nil {
		return storage.BreakerCase{}, err
	}
	c, open, err := tx.FindBreakerCase(ctx, participant, true)
	switch {
	case err != nil:
		return storage.BreakerCase{}, err
	case !open:
		return storage.BreakerCase{}, noCase(participant)
	}
	return c, nil
}

func noCase(participant string) error {
	return Faultf(KindRefused, "", "no case is open at %s; its breaker has not tripped, or somebody closed the case", participant)
}

// sameMembers compares two lists as sets.
func sameMembers(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// caseLetter is what the message about a case may say: counts and names of
// organizations, of people nothing.
type caseLetter struct {
	Participant string
	Case        storage.BreakerCase
}

// Until is the last day on which access can be given back, as people in New York
// read it.
func (l caseLetter) Until() string {
	return l.Case.Opened.Add(BreakerStaged).In(newYork).Format("Monday, January 2, 2006")
}
