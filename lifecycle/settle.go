package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// change says what a deed did to a user before access is decided again.
type change struct {
	fresh    bool   // create, reactivation, rehire: earlier access does not count
	document bool   // the SCIM document moved, and so does lastModified
	action   string // of the entry; "" for a pure re-decision
	sentence string
	fields   []audit.Field
	restores *storage.Preimage // who the user was: a restore gives back and mails no credential
	counts   bool              // what it takes counts in the breaker although the house does it: nobody looked at this user
}

// settle decides again and keeps the user's next version: it is the one place
// that changes access. Release, suspension and revocation, the username, the
// link, the promised mails, the history row and the entries all happen here, in
// the caller's transaction. old is the locked row, nil on create; on is what is on
// record about them. A pure re-decision that changes nothing writes nothing.
func (s *Service) settle(ctx context.Context, tx storage.Tx, a Actor, participant storage.Participant, on *dossier, old *storage.User, u storage.User, c change) (storage.User, error) {
	now := tx.Now()
	rules, pending, err := s.rulesIn(ctx, tx)
	if err != nil {
		return u, err
	}
	p := rules.of(u.Participant)
	u.ParticipantState = participant.State()
	// An externalId that was given while several might share it stays shared: its
	// two holders could not be written any more, and not leave.
	u.ExternalShared = participant.Settings.SharedExternalID || old != nil && old.ExternalShared && old.ExternalID == u.ExternalID
	if c.fresh {
		u.ReleasedAt, u.InvitedAt = nil, nil
	}

	f := facts(u, u.ParticipantState, p)
	if old != nil && !c.fresh {
		if err := seeNarrowing(ctx, tx, rules, old); err != nil {
			return u, err
		}
		f.Prior = old.Decision.Within(old.Narrowing) // what a newer version took is gone
	}
	if c.restores != nil {
		f.Prior = c.restores.Decision
	}
	// What is given back clashes with nobody: gate email closes instead.
	if f.EmailTaken, err = s.holdAddress(ctx, tx, on, old, u); err != nil && (c.restores == nil || !f.EmailTaken) {
		return u, err
	}
	if old != nil && old.EmailKey != u.EmailKey && c.restores == nil { // a restore has seen to it
		if err := on.endAddressEvidence(ctx, tx); err != nil {
			return u, err
		}
	}
	survives := !c.fresh && u.Active && u.Deleted == nil // product rule 8: approvals do not, else
	if !survives {
		if err := on.endApprovals(ctx, tx, func(storage.Approval) bool { return false }); err != nil {
			return u, err
		}
	}
	on.facts(&f)

	u.Decision = p.Decide(f, instantFor(old, now))
	u.TitleKey = u.Decision.NormalTitle
	if c.action == "" && old != nil && same(old.Decision, u.Decision) && !invites(u) {
		return *old, nil
	}
	if err := on.endApprovals(ctx, tx, func(ap storage.Approval) bool {
		// An approval of what a job code had narrowed says nothing about the whole.
		sameCode := old == nil || old.Decision.JobCodeTitle == u.Decision.JobCodeTitle
		return sameCode && ap.Role == u.Decision.TitleRole && ap.Title == u.Decision.NormalTitle
	}); err != nil {
		return u, err
	}
	if u.Decision.Status == policy.StatusRevoked {
		u.ClinicalAlerts = "none"
	}
	u.Version = 1
	if old != nil {
		u.Version = old.Version + 1
	}
	if c.document {
		u.LastModified = now
	}
	if err := s.moveAccess(ctx, tx, participant, on, old, &u, c); err != nil {
		return u, err
	}

	digest, err := tx.PutUser(ctx, u)
	if err != nil {
		return u, fmt.Errorf("keep user %s: %w", u.ID, err)
	}
	u.Narrowing = nil // decided under the version in force
	if pending != nil {
		if err := foresee(ctx, tx, pending, u, f); err != nil {
			return u, err
		}
	}
	if err := s.recordUser(ctx, tx, a, on, old, u, c, digest); err != nil {
		return u, err
	}
	if err := noteAccess(ctx, tx, old, u, pending != nil); err != nil {
		return u, fmt.Errorf("change of access of %s: %w", u.ID, err)
	}
	if err := noteLearner(ctx, tx, old, u); err != nil {
		return u, fmt.Errorf("learner %s: %w", u.ID, err)
	}
	if err := followReviews(ctx, tx, old, u); err != nil {
		return u, fmt.Errorf("reviews of %s: %w", u.ID, err)
	}
	if !c.counts && a.Kind != "provider" && a.Kind != "aum" {
		return u, nil
	}
	return u, s.countLoss(ctx, tx, a, participant, on, old, u)
}

// holdAddress takes the user's address, or gives it up to the oldest user who
// waits for it (product rule 10), and says whether somebody else holds it. An
// address that another active user of the same participant has is refused.
func (s *Service) holdAddress(ctx context.Context, tx storage.Tx, on *dossier, old *storage.User, u storage.User) (taken bool, err error) {
	wants := u.EmailKey
	if !u.Active || u.Deleted != nil {
		wants = ""
	}
	had := ""
	if old != nil && old.Active && old.Deleted == nil {
		had = old.EmailKey
	}
	if wants == had && (wants == "" || old.Decision.Gate(policy.GateEmail).Open && !on.everConfirmed()) {
		return false, nil // nobody else can have taken it: only its holder gives it up
	}
	if had != "" && had != wants {
		if err := s.freeAddress(ctx, tx, had, u.ID); err != nil {
			return false, err
		}
	}
	if wants == "" {
		return false, nil
	}
	holder, err := claimAddress(ctx, tx, wants, u.ID)
	if err != nil {
		return false, err
	}
	if holder == u.ID || had == wants {
		return holder != u.ID, nil
	}
	// Across participants it is the gate that closes, and nothing is said about
	// whom.
	active, err := tx.ListEmailHolders(ctx, wants)
	if err != nil {
		return false, fmt.Errorf("who has the address of %s: %w", u.ID, err)
	}
	if slices.ContainsFunc(active, func(o storage.User) bool { return o.Participant == u.Participant && o.ID != u.ID }) {
		return true, takenAddress()
	}
	return true, nil
}

// claimAddress takes an address unless somebody has it who may: a row that names
// somebody who left, or who has another address now, holds nothing.
func claimAddress(ctx context.Context, tx storage.Tx, key, user string) (holder string, err error) {
	if holder, err = tx.ClaimEmail(ctx, key, user); err != nil || holder == user {
		return holder, err
	}
	who, err := tx.GetUser(ctx, "", holder)
	switch {
	case errors.Is(err, storage.ErrNotFound):
	case err != nil:
		return "", fmt.Errorf("who holds the address of %s: %w", user, err)
	case who.Active && who.EmailKey == key:
		return holder, nil
	}
	if err := tx.ReleaseEmail(ctx, key, holder); err != nil {
		return "", fmt.Errorf("free address for %s: %w", user, err)
	}
	return tx.ClaimEmail(ctx, key, user)
}

// freeAddress gives up an address and hands it to the oldest active user who
// waits. That one may be leaving too, in this moment, and hand it back: what the
// claim answers is looked at, not assumed.
func (s *Service) freeAddress(ctx context.Context, tx storage.Tx, key, user string) error {
	for {
		if err := tx.ReleaseEmail(ctx, key, user); err != nil {
			return fmt.Errorf("free address of %s: %w", user, err)
		}
		waiting, err := tx.ListEmailHolders(ctx, key)
		if err != nil {
			return fmt.Errorf("who waits for the address of %s: %w", user, err)
		}
		i := slices.IndexFunc(waiting, func(w storage.User) bool { return w.ID != user })
		if i < 0 {
			// Who left since the release may have handed it here.
			if err := tx.ReleaseEmail(ctx, key, user); err != nil {
				return fmt.Errorf("free address of %s: %w", user, err)
			}
			return nil
		}
		holder, err := tx.ClaimEmail(ctx, key, waiting[i].ID)
		if err != nil {
			return fmt.Errorf("hand address on to %s: %w", waiting[i].ID, err)
		}
		if holder != user {
			return tx.Enqueue(ctx, JobDecide, holder, holder, time.Time{})
		}
	}
}

// moveAccess does what follows when access begins, ends or returns.
func (s *Service) moveAccess(ctx context.Context, tx storage.Tx, participant storage.Participant, on *dossier, old *storage.User, u *storage.User, c change) error {
	now := tx.Now()
	var before policy.Decision
	if old != nil {
		before = old.Decision
	}
	if before.Status == policy.StatusReleased {
		switch {
		case before.ValidUntil != nil && !now.Before(*before.ValidUntil):
			u.ClosedAt = before.ValidUntil
		case u.Decision.Status != policy.StatusReleased, before.Within(old.Narrowing).Status != policy.StatusReleased:
			u.ClosedAt = &now
		}
	}
	if u.Decision.Status == policy.StatusRevoked && before.Status != policy.StatusRevoked {
		u.ClosedAt = &now
	}
	if old != nil && !sameTime(old.ClosedAt, u.ClosedAt) {
		if err := on.voidLinks(ctx, tx, u.ID); err != nil {
			return err
		}
	}
	if old != nil && !c.fresh && old.ReleasedAt != nil {
		if err := s.moveAddress(ctx, tx, on, *old, *u); err != nil {
			return err
		}
	}

	wasSeen := policy.StatusPending
	if old != nil && !c.fresh {
		wasSeen = before.Within(old.Narrowing).At(now, u.ParticipantState).Status
	}
	switch isSeen := u.Access(now).Status; {
	case isSeen == policy.StatusReleased && wasSeen != policy.StatusReleased && c.restores != nil && u.ReleasedAt != nil:
		u.ReleasedAt = &now
		if before.Status == policy.StatusSuspended { // of which they were told
			if err := tx.Enqueue(ctx, JobReturned, jobKey(*u), u.ID, time.Time{}); err != nil {
				return err
			}
		}
	case isSeen == policy.StatusReleased && wasSeen != policy.StatusReleased:
		if err := s.release(ctx, tx, participant, on, u); err != nil {
			return err
		}
	case u.Decision.Status == policy.StatusSuspended && before.Status == policy.StatusReleased:
		if err := tx.Enqueue(ctx, JobSuspended, jobKey(*u), u.ID, time.Time{}); err != nil {
			return err
		}
	}
	if !invites(*u) {
		return nil
	}
	u.InvitedAt = &now
	return tx.Enqueue(ctx, JobInvitation, jobKey(*u), u.ID, time.Time{})
}

// release gives the username and promises the message (product rule 3).
func (s *Service) release(ctx context.Context, tx storage.Tx, participant storage.Participant, on *dossier, u *storage.User) error {
	now := tx.Now()
	if u.HealthixUsername == "" {
		username, err := s.newUsername(ctx, tx)
		if err != nil {
			return err
		}
		u.HealthixUsername = username
	}
	first := u.ReleasedAt == nil
	u.ReleasedAt = &now
	if participant.Settings.SSO {
		return tx.Enqueue(ctx, JobConfirmed, jobKey(*u), u.ID, time.Time{})
	}
	if !first {
		links, err := tx.ListActivations(ctx, u.ID)
		if err != nil {
			return fmt.Errorf("links of %s: %w", u.ID, err)
		}
		if slices.ContainsFunc(links, func(l storage.Activation) bool { return l.Redeemed != nil }) {
			return tx.Enqueue(ctx, JobReturned, jobKey(*u), u.ID, time.Time{})
		}
	}
	link, err := s.newActivation(ctx, tx, on, *u)
	if err != nil {
		return err
	}
	return tx.Enqueue(ctx, JobCredentials, link.ID, link.ID, time.Time{})
}

// moveAddress voids unused links when e-mail or mobile of a released user
// moved, and promises the old address a notice.
func (s *Service) moveAddress(ctx context.Context, tx storage.Tx, on *dossier, old, u storage.User) error {
	if old.Email == u.Email && old.Mobile == u.Mobile {
		return nil
	}
	if err := on.voidLinks(ctx, tx, u.ID); err != nil {
		return err
	}
	// An address whose gate was closed may be somebody else's, or anybody's.
	if old.Email == "" || old.Email == u.Email || !old.Decision.Gate(policy.GateEmail).Open {
		return nil
	}
	subject := fmt.Sprintf("%s/%d", u.ID, old.Version)
	return tx.Enqueue(ctx, JobAddressChanged, subject, subject, time.Time{})
}

// usernameLetters has no vowels and nothing that is read for something else.
const usernameLetters = "bcdfghjkmnpqrstvwxz23456789"

// newUsername draws a name that nobody ever had; the database's unique index
// settles the race, and the deed then runs again.
func (s *Service) newUsername(ctx context.Context, tx storage.Tx) (string, error) {
	for {
		name, err := s.drawUsername()
		if err != nil {
			return "", err
		}
		_, taken, err := tx.FindHealthixUsername(ctx, name)
		if err != nil {
			return "", fmt.Errorf("look for username: %w", err)
		}
		if !taken {
			return name, nil
		}
	}
}

func (s *Service) drawUsername() (string, error) {
	name := make([]byte, 0, 8)
	var b [1]byte
	for len(name) < cap(name) {
		if _, err := s.random.Read(b[:]); err != nil {
			return "", fmt.Errorf("draw username: %w", err)
		}
		// 243 is the largest multiple of 27 in a byte: no letter is likelier.
		if int(b[0]) < 243 {
			name = append(name, usernameLetters[int(b[0])%len(usernameLetters)])
		}
	}
	return string(name), nil
}

// invites says whether the training invitation is due (product rule 2).
func invites(u storage.User) bool { return u.InvitedAt == nil && trainingDue(u, u.Decision) }

// trainingDue: the gates that come before training are open, and a module is
// missing.
func trainingDue(u storage.User, d policy.Decision) bool {
	if !u.Active || u.Deleted != nil || !u.ParticipantState.Open() {
		return false
	}
	before := []policy.Gate{policy.GateParticipant, policy.GateTitle, policy.GateEmail, policy.GateHold}
	return !slices.ContainsFunc(before, func(g policy.Gate) bool { return !d.Gate(g).Open }) && len(d.Gate(policy.GateTraining).Missing) > 0
}

// jobKey names one message about one version of a user.
func jobKey(u storage.User) string { return fmt.Sprintf("%s/%d", u.ID, u.Version) }

// recordUser writes the deed's entries; each commits to the history row. What
// the deed did along the way stands in the first.
func (s *Service) recordUser(ctx context.Context, tx storage.Tx, a Actor, on *dossier, old *storage.User, u storage.User, c change, digest audit.Digest) error {
	draft := audit.Draft{
		Participant: u.Participant, User: u.ID, PolicyVersion: u.Decision.PolicyVersion,
		Rule: u.Decision.Rule, History: []audit.Digest{digest},
	}
	if c.action != "" {
		d := draft
		d.Action, d.Sentence = c.action, c.sentence
		d.Fields = slices.Concat(documentFields(old, u), c.fields, on.along.fields())
		if err := s.entry(ctx, tx, a, d); err != nil {
			return err
		}
	}
	if c.action != "" && old != nil && same(old.Decision, u.Decision) {
		return nil
	}
	draft.Action = "access." + string(u.Decision.Status)
	draft.Sentence = u.Decision.Reason
	draft.Fields = accessFields(u.Decision, u.HealthixUsername)
	if c.action == "" {
		draft.Fields = append(draft.Fields, on.along.fields()...)
	}
	return s.entry(ctx, tx, a, draft)
}

// same says whether two decisions come to the same for everybody who looks.
func same(a, b policy.Decision) bool {
	return a.Status == b.Status && a.Role == b.Role && a.TitleRole == b.TitleRole && a.RequestedRole == b.RequestedRole &&
		a.NormalTitle == b.NormalTitle && a.Transition == b.Transition && a.WasReleased == b.WasReleased &&
		a.PolicyVersion == b.PolicyVersion && a.Reason == b.Reason && a.Staff == b.Staff &&
		slices.Equal(a.Permissions, b.Permissions) && sameTime(a.ValidUntil, b.ValidUntil) &&
		sameTime(a.TrainingExpiresAt, b.TrainingExpiresAt) &&
		slices.EqualFunc(a.Gates, b.Gates, func(x, y policy.GateState) bool {
			return x.Gate == y.Gate && x.Open == y.Open && slices.Equal(x.Missing, y.Missing)
		})
}

func sameTime(a, b *time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(*b)
}
