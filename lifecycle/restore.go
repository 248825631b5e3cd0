package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// RestoreSpec asks for a restore of what a participant's open case stages.
type RestoreSpec struct {
	Participant string
	Except      []string // ids of users who are left as they are
	DryRun      bool     // say what would come of it, and change nothing
}

// Restored is what a restore came to.
type Restored struct {
	Restored int
	Listed   []storage.Listed // who did not come back, and why
	Excepted int
}

// restoreLater is when a job goes on with a restore whose caller died.
const restoreLater = 30 * time.Second

// Restore gives those whom the open case stages their facts and active back,
// each in a transaction of their own, and closes the case. Who the provider
// wrote since their own loss, and who cannot come back, is listed. It may be
// asked for again: a restore that was broken off goes on, and one that is done
// answers what it came to. Product rule 13.
func (s *Service) Restore(ctx context.Context, by Actor, spec RestoreSpec, progress Progress) (Restored, error) {
	if spec.DryRun {
		return s.tryRestore(ctx, by, spec, progress)
	}
	c, err := s.beginRestore(ctx, by, spec)
	if err != nil {
		return Restored{}, fmt.Errorf("restore at %s: %w", spec.Participant, err)
	}
	if c.Closed != nil {
		return outcomeOf(c)
	}
	return s.carryRestore(ctx, by, c, progress)
}

// goOnRestoring is Restore for the job that a caller left behind.
func (s *Service) goOnRestoring(ctx context.Context, id string) error {
	c, err := s.store.GetBreakerCase(ctx, id)
	if err != nil || c.Closed != nil {
		return err
	}
	_, err = s.carryRestore(ctx, Actor{Kind: "operator", Subject: c.RestoreBy}, c, nil)
	if AsFault(err).Kind == KindRefused { // accepted meanwhile
		return nil
	}
	return err
}

// beginRestore puts on the case that it is being restored, or finds the one that
// was restored last.
func (s *Service) beginRestore(ctx context.Context, by Actor, spec RestoreSpec) (storage.BreakerCase, error) {
	var kept storage.BreakerCase
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		if _, err := tx.GetParticipant(ctx, spec.Participant); err != nil {
			return fmt.Errorf("participant %s: %w", spec.Participant, err)
		}
		c, err := lockCase(ctx, tx, spec.Participant)
		if AsFault(err).Kind == KindRefused {
			last, found, lookup := tx.FindBreakerCase(ctx, spec.Participant, false)
			if lookup != nil {
				return lookup
			}
			if !found || last.Outcome != CaseRestored || !sameMembers(last.Except, spec.Except) {
				return err
			}
			kept = last
			return nil
		}
		if err != nil {
			return err
		}
		if c.RestoreAt != nil {
			if !sameMembers(c.Except, spec.Except) {
				return Faultf(KindRefused, "except", "a restore that leaves out %d people is under way at %s; ask for the same one, or wait until it is done", len(c.Except), spec.Participant)
			}
			kept = c
			return nil
		}
		now := tx.Now()
		if err := stagesStill(c, now); err != nil {
			return err
		}
		if err := checkExcept(ctx, tx, c, spec.Except); err != nil {
			return err
		}
		c.RestoreAt, c.RestoreBy, c.Except = &now, by.Subject, slices.Clone(spec.Except)
		c.Row++
		if err := tx.PutBreakerCase(ctx, c); err != nil {
			return err
		}
		kept = c
		if err := tx.Enqueue(ctx, JobRestore, c.ID, c.ID, now.Add(restoreLater)); err != nil {
			return fmt.Errorf("promise to go on with case %s: %w", c.ID, err)
		}
		return s.caseEntry(ctx, tx, by, c, "breaker.restoring", "A restore was begun.", public("excepted", strconv.Itoa(len(c.Except))))
	})
	return kept, err
}

// stagesStill refuses a case that is over by the clock, also while no sweep has
// closed it yet.
func stagesStill(c storage.BreakerCase, now time.Time) error {
	if now.Before(c.Opened.Add(BreakerStaged)) {
		return nil
	}
	return Faultf(KindRefused, "", "the case of %s was opened over 30 days ago; what it staged is not given back any more", c.Participant)
}

// checkExcept refuses ids of people whom the case does not stage: one that is
// mistyped would bring somebody back.
func checkExcept(ctx context.Context, r storage.Reader, c storage.BreakerCase, except []string) error {
	left := map[string]bool{}
	for _, id := range except {
		left[id] = true
	}
	for after := ""; len(left) > 0; {
		users, err := r.ListStaged(ctx, c.ID, after, walk)
		if err != nil {
			return err
		}
		if len(users) == 0 {
			return Faultf(KindInvalid, "except", "except names %s, whom this case does not stage; give ids of users who lost access or active in it", strings.Join(slices.Sorted(maps.Keys(left)), ", "))
		}
		for _, id := range users {
			delete(left, id)
		}
		after = users[len(users)-1]
	}
	return nil
}

// carryRestore brings people back one by one and closes the case.
func (s *Service) carryRestore(ctx context.Context, by Actor, c storage.BreakerCase, progress Progress) (Restored, error) {
	if err := s.eachStaged(ctx, c, progress, func(user string) error {
		_, err := s.restoreUser(ctx, by, c, user, false)
		return err
	}); err != nil {
		return s.closedMeanwhile(ctx, c, err)
	}
	listed, err := s.store.ListNotRestored(ctx, c.ID)
	if err != nil {
		return Restored{}, err
	}
	tally, err := s.store.TallyCase(ctx, c.ID)
	if err != nil {
		return Restored{}, err
	}
	kept, err := s.closeCase(ctx, by, c.Participant, func(open *storage.BreakerCase) (string, string, error) {
		if open.ID != c.ID {
			return "", "", noCase(c.Participant)
		}
		open.Outcome, open.Restored, open.Listed = CaseRestored, tally.Restored, listed
		return "breaker.restored", "What the breaker staged was given back.", nil
	})
	if err != nil {
		return s.closedMeanwhile(ctx, c, err)
	}
	return outcomeOf(kept)
}

// closedMeanwhile answers for a case that somebody else closed: a job that went
// on beside this, or who accepted. Any other error goes on.
func (s *Service) closedMeanwhile(ctx context.Context, c storage.BreakerCase, err error) (Restored, error) {
	if AsFault(err).Kind == KindRefused {
		now, lookup := s.store.GetBreakerCase(ctx, c.ID)
		if lookup == nil && now.Closed != nil {
			return outcomeOf(now)
		}
	}
	return Restored{}, fmt.Errorf("restore at %s: %w", c.Participant, err)
}

// outcomeOf is what a restore came to that is done.
func outcomeOf(c storage.BreakerCase) (Restored, error) {
	if c.Outcome != CaseRestored {
		return Restored{}, Faultf(KindRefused, "", "the case was closed as %s while it was being restored; who came back until then stays", c.Outcome)
	}
	return Restored{Restored: c.Restored, Listed: c.Listed, Excepted: len(c.Except)}, nil
}

// eachStaged calls f for everybody whom a case stages still.
func (s *Service) eachStaged(ctx context.Context, c storage.BreakerCase, progress Progress, f func(user string) error) error {
	tally, err := s.store.TallyCase(ctx, c.ID)
	if err != nil {
		return err
	}
	done := 0
	for after := ""; ; {
		users, err := s.store.ListStaged(ctx, c.ID, after, walk)
		if err != nil || len(users) == 0 {
			return err
		}
		for _, user := range users {
			if err := f(user); err != nil {
				return err
			}
			if done++; progress != nil {
				progress(done, tally.Staged)
			}
		}
		after = users[len(users)-1]
	}
}

// errDryRun ends a transaction that only tried.
var errDryRun = errors.New("nothing is kept of a dry run")

// tryRestore does a restore person by person and keeps nothing of it.
func (s *Service) tryRestore(ctx context.Context, by Actor, spec RestoreSpec, progress Progress) (Restored, error) {
	p, err := s.store.GetParticipant(ctx, spec.Participant)
	if err != nil {
		return Restored{}, fmt.Errorf("participant %s: %w", spec.Participant, err)
	}
	c, open, err := s.store.FindBreakerCase(ctx, spec.Participant, true)
	switch {
	case err != nil:
		return Restored{}, err
	case !open:
		return Restored{}, noCase(spec.Participant)
	}
	if err := errors.Join(stagesStill(c, s.Now()), checkExcept(ctx, s.store, c, spec.Except)); err != nil {
		return Restored{}, err
	}
	c.Except = spec.Except
	sum := Restored{Listed: []storage.Listed{}}
	names, externals := map[string]string{}, map[string]string{} // of those who came back before, and are not there
	err = s.eachStaged(ctx, c, progress, func(user string) error {
		what, err := s.restoreUser(ctx, by, c, user, true)
		switch {
		case err != nil:
			return err
		case what.outcome == storage.OutcomeRestored:
			u := what.user
			switch {
			case names[u.UserNameKey] != "":
				sum.Listed = append(sum.Listed, storage.Listed{ID: user, Reason: nameInUse(names[u.UserNameKey])})
				return nil
			case externals[u.ExternalID] != "":
				sum.Listed = append(sum.Listed, storage.Listed{ID: user, Reason: externalInUse(externals[u.ExternalID])})
				return nil
			}
			if names[u.UserNameKey] = user; u.ExternalID != "" && !p.Settings.SharedExternalID {
				externals[u.ExternalID] = user
			}
			sum.Restored++
		case what.outcome == storage.OutcomeExcepted:
			sum.Excepted++
		case what.outcome == storage.OutcomeListed:
			sum.Listed = append(sum.Listed, storage.Listed{ID: user, Reason: what.why})
		}
		return nil
	})
	if err != nil {
		return Restored{}, fmt.Errorf("try a restore at %s: %w", spec.Participant, err)
	}
	return sum, nil
}

// fate is what becomes of one user.
type fate struct {
	outcome string // "" when somebody else saw to them
	why     string
	user    storage.User // as they came back
}

// restoreUser sees to one user in a transaction of their own.
func (s *Service) restoreUser(ctx context.Context, by Actor, c storage.BreakerCase, user string, dry bool) (fate, error) {
	var what fate
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		var err error
		if what, err = s.restoreLocked(ctx, tx, by, c, user); err != nil || what.outcome == "" {
			return err
		}
		if err := tx.ResolveLosses(ctx, c.ID, user, what.outcome, what.why); err != nil {
			return err
		}
		if dry {
			return errDryRun
		}
		// The last lock, see countLoss: who accepted meanwhile has the last word.
		open, err := lockCase(ctx, tx, c.Participant)
		if err == nil && open.ID != c.ID {
			err = noCase(c.Participant)
		}
		return err
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	if err != nil {
		return fate{}, fmt.Errorf("restore user %s: %w", user, err)
	}
	return what, nil
}

func (s *Service) restoreLocked(ctx context.Context, tx storage.Tx, by Actor, c storage.BreakerCase, user string) (fate, error) {
	old, err := tx.LockUser(ctx, c.Participant, user)
	if err != nil {
		return fate{}, fmt.Errorf("lock user %s: %w", user, err)
	}
	losses, err := tx.ListLosses(ctx, c.ID, user)
	if err != nil || len(losses) == 0 || losses[0].Outcome != "" {
		return fate{}, err
	}
	if slices.Contains(c.Except, user) {
		return fate{outcome: storage.OutcomeExcepted}, s.stays(ctx, tx, by, c, user, "An operator left the user out of the restore.")
	}
	participant, err := participantOf(ctx, tx, old)
	if err != nil {
		return fate{}, err
	}
	why := writtenSince(old, losses[0])
	before, approvals := chain(losses)
	u := old
	if why == "" {
		u.Deleted = nil
		if old.Decision.Status == policy.StatusRevoked { // which ended them
			u.ClinicalAlerts = before.ClinicalAlerts
		}
		document := maps.Clone(before.Document)
		if document == nil {
			document = storage.Document{}
		}
		document["active"] = true // deeds of other faces change it too
		if err := fill(&u, UserDraft{Document: document, Fold: before.Fold}); err != nil {
			return fate{}, err
		}
		if why, err = nameTaken(ctx, tx, participant, u); err != nil {
			return fate{}, err
		}
	}
	if why != "" {
		return fate{outcome: storage.OutcomeListed, why: why}, s.stays(ctx, tx, by, c, user, "The user was not restored: "+why+".")
	}
	on, err := readDossier(ctx, tx, user)
	if err != nil {
		return fate{}, err
	}
	if old.EmailKey != u.EmailKey {
		if err := on.endAddressEvidence(ctx, tx); err != nil {
			return fate{}, err
		}
	}
	confirmed, err := on.giveBackEvidence(ctx, tx, before.Evidence)
	if err != nil {
		return fate{}, err
	}
	given, err := on.giveBack(ctx, tx, approvals)
	if err != nil {
		return fate{}, err
	}
	if err := on.takeBack(ctx, tx, before.Holds); err != nil {
		return fate{}, err
	}
	restored, err := s.settle(ctx, tx, by, participant, on, &old, u, change{
		document: true, restores: &before, action: "user.restored", sentence: "What the provider's mass change took was given back.",
		fields: []audit.Field{public("case", c.ID), public("approvals", strings.Join(given, " ")), public("evidence", strings.Join(confirmed, " "))},
	})
	if err != nil {
		return fate{}, err
	}
	return fate{outcome: storage.OutcomeRestored, user: restored}, s.rejoin(ctx, tx, by, restored, before.Groups)
}

// stays records that somebody was not restored (product rule 15).
func (s *Service) stays(ctx context.Context, tx storage.Tx, by Actor, c storage.BreakerCase, user, sentence string) error {
	return s.entry(ctx, tx, by, audit.Draft{
		Participant: c.Participant, User: user, Action: "user.not-restored", Sentence: sentence, Fields: []audit.Field{public("case", c.ID)},
	})
}

// writtenSince says whether a user was written after the loss: lastModified moves
// with every write to the document, and with nothing else.
func writtenSince(u storage.User, l storage.Loss) string {
	switch {
	case u.LastModified.Equal(l.At), len(l.Before.Holds) > 0 && u.LastModified.Equal(l.Prior): // a hold writes no document
		return ""
	case u.Deleted != nil:
		return "the user was deleted after the loss"
	case u.Active:
		return "the user was changed after the loss and is active"
	default:
		return "the user was changed after the loss and is not active"
	}
}

// chain is how a user was before the first of the losses that followed one upon
// the other, without a write between them that took nothing; and what they ended:
// approvals, evidence of the address that comes back, alerts that were asked for
// until access was revoked.
func chain(losses []storage.Loss) (before storage.Preimage, approvals []string) {
	var ended []storage.Preimage
	for i, l := range losses {
		if i > 0 && !losses[i-1].Prior.Equal(l.At) {
			break
		}
		ended = append(ended, *l.Before)
		groups, holds := before.Groups, before.Holds
		before = *l.Before
		before.Groups = append(before.Groups, groups...)
		before.Holds = append(before.Holds, holds...)
		approvals = append(approvals, l.Before.Approvals...)
	}
	before.ClinicalAlerts, before.Evidence = losses[0].Before.ClinicalAlerts, nil
	for _, was := range ended {
		if addressKey(was.Document) == addressKey(before.Document) {
			before.Evidence = append(before.Evidence, was.Evidence...)
		}
	}
	return before, approvals
}

// addressKey is the gate address of a document, folded; "" when it is none.
func addressKey(document storage.Document) string {
	key, fault := policy.ParseEmail(gateAddress(document))
	if fault != "" {
		return ""
	}
	return key
}

// nameTaken says whether somebody else has a unique value of a user who is to
// come back.
func nameTaken(ctx context.Context, r storage.Reader, participant storage.Participant, u storage.User) (string, error) {
	other, taken, err := r.FindUserName(ctx, u.Participant, u.UserNameKey)
	if err != nil {
		return "", fmt.Errorf("look for userName: %w", err)
	}
	if taken && other.ID != u.ID {
		return nameInUse(other.ID), nil
	}
	if u.ExternalID == "" || participant.Settings.SharedExternalID {
		return "", nil
	}
	other, taken, err = r.FindExternalID(ctx, u.Participant, u.ExternalID)
	if err != nil {
		return "", fmt.Errorf("look for externalId: %w", err)
	}
	if taken && other.ID != u.ID {
		return externalInUse(other.ID), nil
	}
	return "", nil
}

func nameInUse(by string) string { return "userName is in use by user " + by }

func externalInUse(by string) string { return "externalId is in use by user " + by }

// giveBackEvidence lets evidence of an address count again that a loss ended, for
// the address is there again; not that of somebody who approved the user since.
func (d *dossier) giveBackEvidence(ctx context.Context, tx storage.Tx, ids []string) ([]string, error) {
	var given []string
	for _, e := range slices.Clone(d.evidence) {
		if !slices.Contains(ids, e.ID) || slices.ContainsFunc(d.approvals, func(a storage.Approval) bool {
			return a.Ended == nil && a.Approved && samePersonnel(a.Actor, e.Actor)
		}) {
			continue
		}
		e.Revoked, e.RevokedWhy = nil, ""
		if err := d.keepEvidence(ctx, tx, e); err != nil {
			return nil, err
		}
		given = append(given, e.ID)
	}
	return given, nil
}

// giveBack lets approvals count again that a loss ended, and answers which. One
// that was given since has the last word, and who recorded evidence since is not
// the second person any more (product rule 7).
func (d *dossier) giveBack(ctx context.Context, tx storage.Tx, ids []string) ([]string, error) {
	if slices.ContainsFunc(d.approvals, func(a storage.Approval) bool { return a.Ended == nil }) {
		return nil, nil
	}
	var given []string
	for _, a := range slices.Clone(d.approvals) {
		if !slices.Contains(ids, a.ID) || a.Approved && slices.ContainsFunc(d.evidence, func(e storage.Evidence) bool {
			return e.Revoked == nil && samePersonnel(e.Actor, a.Actor)
		}) {
			continue
		}
		a.Ended = nil
		if err := d.keepApproval(ctx, tx, a); err != nil {
			return nil, err
		}
		given = append(given, a.ID)
	}
	return given, nil
}

// takeBack lifts holds that a loss placed.
func (d *dossier) takeBack(ctx context.Context, tx storage.Tx, ids []string) error {
	now := tx.Now()
	for _, h := range slices.Clone(d.holds) {
		if h.Lifted != nil || !slices.Contains(ids, h.ID) {
			continue
		}
		h.Lifted = &now
		if err := d.keepHold(ctx, tx, h); err != nil {
			return err
		}
		d.along.liftedHolds = append(d.along.liftedHolds, h.ID)
	}
	return nil
}

// rejoin makes a user who was deleted a member again of the groups that are
// still there.
func (s *Service) rejoin(ctx context.Context, tx storage.Tx, by Actor, u storage.User, groups []string) error {
	for _, id := range slices.Sorted(slices.Values(groups)) {
		g, err := tx.LockGroup(ctx, u.Participant, id)
		if errors.Is(err, storage.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("group %s: %w", id, err)
		}
		again := storage.MemberChange{Add: []storage.Member{{ID: u.ID, Type: "User"}}}
		if err := s.keepGroup(ctx, tx, by, &g, GroupDraft{Document: g.Document, Fold: g.Fold}, again, "group.changed", "A restored user is a member again."); err != nil {
			return err
		}
	}
	return nil
}
