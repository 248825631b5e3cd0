package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// The kinds of job. A job carries ids only, may run more than once, and looks
// at the state again before it acts.
const (
	JobDecide         = "decide"          // a user is decided again; subject: user
	JobOpened         = "opened"          // a participant opened; subject: participant
	JobInvitation     = "invitation"      // training is due; subject: user
	JobCredentials    = "credentials"     // the activation link; subject: activation
	JobConfirmed      = "confirmed"       // access by single sign-on; subject: user
	JobReturned       = "returned"        // access is back; subject: user
	JobSuspended      = "suspended"       // access was closed; subject: user
	JobAddressChanged = "address-changed" // notice to the old address; subject: user/version that had it
	JobExpiry         = "expiry"          // a token or client ends soon; subject: token|client/id/days/contact
	JobPlan           = "policy-plan"     // what a policy change would do; subject: plan
	JobApply          = "policy-apply"    // a plan comes into force; subject: plan
	JobCarry          = "policy-carry"    // everybody concerned is decided again; subject: plan
	JobBreaker        = "breaker"         // a breaker tripped; subject: case
	JobBreakerMail    = "breaker-mail"    // a contact is told; subject: case/place of the contact
	JobRestore        = "breaker-restore" // goes on with a restore; subject: case
	JobReminder       = "reminder"        // training ends soon; subject: user/end in microseconds/days
	JobDigest         = "digest"          // a contact is told what waits; subject: participant/Monday/place of the contact
	JobReview         = "review-work"     // whatever an access review needs now; subject: review
	JobReviewMail     = "review"          // a reviewer is told of a review; subject: review/days/place of the contact or token
)

// Do does one job. Its error asks for another try; storage.ErrGiveUp for none.
func (s *Service) Do(ctx context.Context, job storage.Job) error {
	var err error
	switch job.Kind {
	case JobDecide:
		err = s.decideAgain(ctx, job.Subject)
	case JobOpened:
		err = s.decideWaiting(ctx, job.Subject)
	case JobInvitation, JobConfirmed, JobReturned, JobSuspended:
		err = s.tellUser(ctx, job)
	case JobCredentials:
		err = s.sendCredentials(ctx, job)
	case JobAddressChanged:
		err = s.tellOldAddress(ctx, job)
	case JobExpiry:
		err = s.tellExpiry(ctx, job)
	case JobPlan:
		_, err = s.ComputePlan(ctx, job.Subject, nil)
	case JobApply:
		_, err = s.PutInForce(ctx, job.Subject, nil)
	case JobCarry:
		_, err = s.CarryOut(ctx, job.Subject, nil)
	case JobBreaker:
		err = s.tellOfCase(ctx, job.Subject)
	case JobBreakerMail:
		err = s.mailOfCase(ctx, job)
	case JobRestore:
		err = s.goOnRestoring(ctx, job.Subject)
	case JobReminder:
		err = s.remind(ctx, job)
	case JobDigest:
		err = s.sendDigest(ctx, job)
	case JobReview:
		err = s.workOnReview(ctx, job.Subject)
	case JobReviewMail:
		err = s.tellReviewer(ctx, job)
	default:
		err = fmt.Errorf("unknown kind of job: %w", storage.ErrGiveUp)
	}
	if err != nil {
		return fmt.Errorf("job %s %s: %w", job.Kind, job.Key, err)
	}
	return nil
}

// decideAgain decides one user anew. What changes nothing writes nothing, but
// whose access came back while their only link is void gets another one.
func (s *Service) decideAgain(ctx context.Context, user string) error {
	_, err := s.onUser(ctx, System, "", user, func(ctx context.Context, d *deed) (change, error) {
		now := d.tx.Now()
		if d.at.Settings.SSO || d.u.Access(now).Status != policy.StatusReleased {
			return change{}, nil
		}
		links, err := d.tx.ListActivations(ctx, user)
		if err != nil {
			return change{}, fmt.Errorf("links of %s: %w", user, err)
		}
		if slices.ContainsFunc(links, func(l storage.Activation) bool { return l.Redeemed != nil || LinkLives(l, d.u, now) }) {
			return change{}, nil
		}
		return s.newLink(ctx, d, "activation.renewed", "Access is back and the earlier activation link is void; a new one is sent.")
	})
	if errors.Is(err, storage.ErrNotFound) {
		return nil // deleted meanwhile
	}
	return err
}

// walk is how many users one batch of a walk over a participant holds.
const walk = 500

// decideWaiting promises a decision for everybody who waits at a participant
// that opened, or whose access came back there. Batches keep memory flat and
// other deeds moving; a second walk promises nothing twice, for the jobs are
// keyed.
func (s *Service) decideWaiting(ctx context.Context, participant string) error {
	q := storage.Query{
		Participant: participant, Limit: walk, Now: s.Now(),
		Filter: storage.In{Field: storage.FieldStoredStatus, Values: []string{string(policy.StatusPending), string(policy.StatusReleased), string(policy.StatusSuspended)}},
	}
	for {
		users, _, err := s.store.ListUsers(ctx, q)
		if err != nil {
			return fmt.Errorf("who waits at %s: %w", participant, err)
		}
		if len(users) == 0 {
			return nil
		}
		err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
			for _, u := range users {
				if err := tx.Enqueue(ctx, JobDecide, u.ID, u.ID, time.Time{}); err != nil {
					return fmt.Errorf("promise decision on %s: %w", u.ID, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		q.After = users[len(users)-1].Position(q)
	}
}

// Sweep records what expired since it last looked and tells those concerned.
// Expiry itself holds at its instant without it (product rule 5). What breakers
// staged ends here too, reminders are promised, the week's digests, and what access
// reviews need. It answers how many users it decided again; one who cannot be
// decided stops nobody else.
func (s *Service) Sweep(ctx context.Context) (int, error) {
	seen := map[string]bool{}
	decided, failures := 0, s.sweepBreakers(ctx)
	if s.lms == nil {
		failures = errors.Join(failures, s.freeInvitations(ctx))
	}
	failures = errors.Join(failures, s.sweepReminders(ctx), s.sweepDigest(ctx), s.sweepReviews(ctx))
	for {
		users, err := s.store.ListExpired(ctx, s.Now(), walk)
		if err != nil {
			return decided, errors.Join(failures, fmt.Errorf("who expired: %w", err))
		}
		moved := false
		for _, u := range users {
			if seen[u.ID] {
				continue
			}
			seen[u.ID], moved = true, true
			if err := s.decideAgain(ctx, u.ID); err != nil {
				failures = errors.Join(failures, fmt.Errorf("sweep %s: %w", u.ID, err))
				continue
			}
			decided++
		}
		if !moved || ctx.Err() != nil {
			return decided, failures
		}
	}
}

// tellUser sends a message about the user as they are now, if it still fits.
func (s *Service) tellUser(ctx context.Context, job storage.Job) error {
	u, err := s.store.GetUser(ctx, "", job.Subject)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("user %s: %w", job.Subject, err)
	}
	p, err := s.store.GetParticipant(ctx, u.Participant)
	if err != nil {
		return fmt.Errorf("participant %s: %w", u.Participant, err)
	}
	now := s.Now()
	d := u.Access(now)
	released := d.Status == policy.StatusReleased
	fits := false
	switch job.Kind {
	case JobInvitation:
		fits = trainingDue(u, d)
	case JobConfirmed:
		fits = released && p.Settings.SSO
	case JobReturned:
		fits = released
	case JobSuspended: // an address whose gate closed may be somebody else's, or anybody's
		fits = d.Status == policy.StatusSuspended && p.State().Open() && d.Gate(policy.GateEmail).Open
	}
	if !fits && job.Kind == JobInvitation && len(d.Gate(policy.GateTraining).Missing) > 0 {
		return s.takeBackInvitation(ctx, job) // another gate closed, and will open again
	}
	if !fits {
		return s.withheld(ctx, job, u)
	}
	in, err := s.PolicyAt(ctx, u.Participant)
	if err != nil {
		return err
	}
	if job.Kind == JobInvitation {
		waits, err := s.handOver(ctx, job, u, coursesOf(in, d.Gate(policy.GateTraining).Missing))
		if err != nil || waits {
			return err // promised again once they are enrolled
		}
	}
	d.Reason = unlinked(d.Reason)
	return s.send(ctx, job, u, u.Email, letter{User: u, Participant: p, Decision: d, Portal: s.portalURL, Modules: moduleNames(in, d)})
}

// sendCredentials sends the link, looked at again: a release that was undone
// meanwhile sends nothing.
func (s *Service) sendCredentials(ctx context.Context, job storage.Job) error {
	link, err := s.store.GetActivation(ctx, job.Subject)
	if err != nil {
		return fmt.Errorf("activation %s: %w", job.Subject, err)
	}
	u, err := s.store.GetUser(ctx, link.Participant, link.User)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("user %s: %w", link.User, err)
	}
	p, err := s.store.GetParticipant(ctx, u.Participant)
	if err != nil {
		return fmt.Errorf("participant %s: %w", u.Participant, err)
	}
	now := s.Now()
	if link.Redeemed != nil || !LinkLives(link, u, now) {
		return s.withheld(ctx, job, u)
	}
	if p.Settings.SSO { // chosen since the release: access is confirmed, and no credential goes out
		if err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
			return tx.Enqueue(ctx, JobConfirmed, jobKey(u), u.ID, time.Time{})
		}); err != nil {
			return fmt.Errorf("promise the confirmation to %s: %w", u.ID, err)
		}
		return s.withheld(ctx, job, u)
	}
	return s.send(ctx, job, u, u.Email, letter{
		User: u, Participant: p, Decision: u.Access(now), Portal: s.portalURL, Expires: link.Expires,
		Link: s.portalURL + "/activate?code=" + s.ActivationCode(link.ID),
	})
}

// tellOldAddress tells the address that a user had at an earlier version.
func (s *Service) tellOldAddress(ctx context.Context, job storage.Job) error {
	id, text, _ := strings.Cut(job.Subject, "/")
	version, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fmt.Errorf("subject %q names no version: %w", job.Subject, storage.ErrGiveUp)
	}
	u, err := s.store.GetUser(ctx, "", id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("user %s: %w", id, err)
	}
	p, err := s.store.GetParticipant(ctx, u.Participant)
	if err != nil {
		return fmt.Errorf("participant %s: %w", u.Participant, err)
	}
	rows, err := s.store.ListHistory(ctx, id)
	if err != nil {
		return fmt.Errorf("history of %s: %w", id, err)
	}
	for _, row := range rows {
		if row.Version != version {
			continue
		}
		was := row.Kept // without an address when it was erased
		if was.Email == "" {
			return s.withheld(ctx, job, u)
		}
		return s.send(ctx, job, u, was.Email, letter{User: u, Participant: p, Decision: u.Access(s.Now()), Portal: s.portalURL})
	}
	return fmt.Errorf("history of %s has no version %d: %w", id, version, storage.ErrGiveUp)
}

// send hands the message over and records that it went. The Message-ID is the
// same at every try, so that a crash between the two shows as one message.
func (s *Service) send(ctx context.Context, job storage.Job, u storage.User, to string, says any) error {
	subject, body, html, err := s.letters.render(job.Kind, says)
	if err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	err = s.mailer.Send(ctx, Mail{ID: messageID(job), To: to, Subject: subject, Text: body, HTML: html})
	if errors.Is(err, storage.ErrGiveUp) {
		// Nobody sends it again, so that the refusal is what there is to record; if
		// that cannot be, the job has another try.
		if wrong := s.recordMessage(ctx, job, u, "mail.refused", "The mail server refused a message to the user for good: "+job.Kind+"."); wrong != nil {
			return wrong
		}
	}
	if err != nil {
		return fmt.Errorf("send message: %w", err)
	}
	return s.recordMessage(ctx, job, u, "mail.sent", "A message was sent to the user: "+job.Kind+".")
}

// withheld records that a promised message was not sent, because things moved.
func (s *Service) withheld(ctx context.Context, job storage.Job, u storage.User) error {
	return s.recordMessage(ctx, job, u, "mail.withheld", withheldSentence(job))
}

// withheldSentence claims no more than is known: a worker may have died, or a
// connection broken, when the mail server had the message already.
func withheldSentence(job storage.Job) string {
	if job.Attempt > 1 || len(job.Errors) > 0 {
		return "A promised message was not sent again, because it no longer held; an earlier try may have reached the mail server: " + job.Kind + "."
	}
	return "A promised message was not sent, because it no longer held: " + job.Kind + "."
}

// takeBackInvitation records that an invitation was not sent, and that the user
// was not invited: it is due again when the gates before training open.
func (s *Service) takeBackInvitation(ctx context.Context, job storage.Job) error {
	_, err := s.onUser(ctx, System, "", job.Subject, func(_ context.Context, d *deed) (change, error) {
		d.u.InvitedAt = nil
		return change{
			action: "mail.withheld", sentence: withheldSentence(job),
			fields: []audit.Field{public("message", messageID(job)), public("kind", job.Kind)},
		}, nil
	})
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	return err
}

func (s *Service) recordMessage(ctx context.Context, job storage.Job, u storage.User, action, sentence string) error {
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		return s.entry(ctx, tx, System, audit.Draft{
			Participant: u.Participant, User: u.ID, Action: action, Sentence: sentence,
			Fields: []audit.Field{public("message", messageID(job)), public("kind", job.Kind)},
		})
	})
	if err != nil {
		return fmt.Errorf("record message: %w", err)
	}
	return nil
}

func messageID(job storage.Job) string {
	return job.Kind + "." + strings.ReplaceAll(job.Key, "/", ".")
}
