package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"net/mail"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

var slug = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

var (
	participantTypes = []string{"standard", "health-plan", "cbo", "government"}
	profiles         = []string{"", "auto", "strict"}
	modes            = []string{"live", "observe"}
)

// AddParticipant takes an organization in. Type and mode default to standard
// and live.
func (s *Service) AddParticipant(ctx context.Context, by Actor, p storage.Participant) (storage.Participant, error) {
	if p.Type == "" {
		p.Type = "standard"
	}
	if p.Mode == "" {
		p.Mode = "live"
	}
	p.Status, p.Version, p.Reason, p.ClosedAt = "active", 1, "", nil
	if err := checkParticipant(&p); err != nil {
		return storage.Participant{}, err
	}
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		p.Created, p.Changed = tx.Now(), tx.Now()
		if p.Mode != "live" {
			closed := tx.Now()
			p.ClosedAt = &closed
		}
		return s.keepParticipant(ctx, tx, by, p, "participant.added", "The participant was added.")
	})
	var taken *storage.ConflictError
	if errors.As(err, &taken) {
		return storage.Participant{}, &Fault{Kind: KindTaken, Attribute: "id", Message: fmt.Sprintf("there is already a participant %s; change that one, or choose another id", p.ID)}
	}
	if err != nil {
		return storage.Participant{}, fmt.Errorf("add participant %s: %w", p.ID, err)
	}
	return p, nil
}

func checkParticipant(p *storage.Participant) error {
	p.Name = strings.TrimSpace(p.Name)
	switch {
	case !slug.MatchString(p.ID):
		return Faultf(KindInvalid, "id", "id is %q; expected a slug of at most 63 lower-case letters, digits and dashes, such as mercy-hospital", p.ID)
	case p.Name == "":
		return Faultf(KindInvalid, "name", "name is missing; send the organization's name")
	case strings.ContainsFunc(p.Name, unicode.IsControl): // it stands in subjects of mails
		return Faultf(KindInvalid, "name", "name holds a line break or another control character; send the organization's name on one line")
	case len(p.Name) > 200:
		return Faultf(KindInvalid, "name", "name is longer than 200 bytes; send a shorter one")
	case !slices.Contains(participantTypes, p.Type):
		return Faultf(KindInvalid, "type", "type is %q; expected one of %s", p.Type, strings.Join(participantTypes, ", "))
	case !slices.Contains(modes, p.Mode):
		return Faultf(KindInvalid, "mode", "mode is %q; expected one of %s", p.Mode, strings.Join(modes, ", "))
	case !slices.Contains(profiles, p.Settings.Profile):
		return Faultf(KindInvalid, "settings.profile", "profile is %q; expected auto or strict", p.Settings.Profile)
	}
	if len(p.Settings.Contacts) > 20 {
		return Faultf(KindInvalid, "settings.contacts", "there are %d contacts; expected 20 at most", len(p.Settings.Contacts))
	}
	var contacts []string // each hears once
	for _, c := range p.Settings.Contacts {
		if !isAddress(c) {
			return Faultf(KindInvalid, "settings.contacts", "contact %q is not an e-mail address", c)
		}
		if !slices.ContainsFunc(contacts, func(o string) bool { return samePersonnel(o, c) }) {
			contacts = append(contacts, c)
		}
	}
	p.Settings.Contacts = contacts
	if p.Settings.Profile == "auto" {
		p.Settings.Profile = ""
	}
	if p.Settings.Breaker == "default" {
		p.Settings.Breaker = ""
	}
	if _, err := parseBreaker(p.Settings.Breaker); err != nil {
		return err
	}
	return checkDigest(p)
}

// ChangeParticipant edits name and settings; nothing else of the edit is kept.
func (s *Service) ChangeParticipant(ctx context.Context, by Actor, id string, edit func(*storage.Participant) error) (storage.Participant, error) {
	return s.moveParticipant(ctx, by, id, func(p *storage.Participant, _ time.Time) (action, sentence string, err error) {
		wanted := *p
		wanted.Settings.Contacts = slices.Clone(p.Settings.Contacts)
		if err := edit(&wanted); err != nil {
			return "", "", err
		}
		p.Name, p.Settings = wanted.Name, wanted.Settings
		return "participant.changed", "Name or settings of the participant were changed.", checkParticipant(p)
	})
}

// SuspendParticipant closes gate participant for everybody there in this very
// transaction: one row, joined by every reader. A second call changes nothing.
func (s *Service) SuspendParticipant(ctx context.Context, by Actor, id, reason string) (storage.Participant, error) {
	if len(reason) > 2000 {
		return storage.Participant{}, Faultf(KindInvalid, "reason", "reason is longer than 2000 bytes; send a shorter one")
	}
	if strings.TrimSpace(reason) == "" {
		return storage.Participant{}, Faultf(KindInvalid, "reason", "reason is missing; say for the record why the participant is suspended")
	}
	return s.moveParticipant(ctx, by, id, func(p *storage.Participant, now time.Time) (action, sentence string, err error) {
		if p.Status == "suspended" {
			return "", "", nil
		}
		if p.State().Open() {
			p.ClosedAt = &now
		}
		p.Status, p.Reason = "suspended", reason
		return "participant.suspended", "The participant was suspended; access has ended for everybody there.", nil
	})
}

// ResumeParticipant ends a suspension; where there is none, it ends what a
// recovery of the database closed. Access released before returns at once;
// first releases follow by jobs, each in a transaction of its own (product
// rule 3).
func (s *Service) ResumeParticipant(ctx context.Context, by Actor, id string) (storage.Participant, error) {
	return s.moveParticipant(ctx, by, id, func(p *storage.Participant, _ time.Time) (action, sentence string, err error) {
		switch {
		case p.Status != "active":
			p.Status, p.Reason = "active", ""
			return "participant.resumed", "The participant was resumed.", nil
		case p.Recovering != nil:
			p.Recovering = nil
			return "participant.recovered", "The participant was opened after the restore of the database, before its identity provider had told of everybody.", nil
		default:
			return "", "", nil
		}
	})
}

// GoLive ends mode observe: from now on access is released.
func (s *Service) GoLive(ctx context.Context, by Actor, id string) (storage.Participant, error) {
	return s.moveParticipant(ctx, by, id, func(p *storage.Participant, _ time.Time) (action, sentence string, err error) {
		if p.Mode == "live" {
			return "", "", nil
		}
		p.Mode = "live"
		return "participant.live", "The participant went live.", nil
	})
}

// stragglers is how long after a participant opened the last deed that still
// saw it closed has surely ended: requests have a deadline well below.
const stragglers = time.Minute

// moveParticipant runs f on the locked row; an empty action keeps nothing.
func (s *Service) moveParticipant(ctx context.Context, by Actor, id string, f func(p *storage.Participant, now time.Time) (action, sentence string, err error)) (storage.Participant, error) {
	var kept storage.Participant
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		old, err := tx.LockParticipant(ctx, id)
		if err != nil {
			return fmt.Errorf("participant %s: %w", id, err)
		}
		p := old
		action, sentence, err := f(&p, tx.Now())
		if err != nil || action == "" {
			kept = old
			return err
		}
		p.Version, p.Changed = old.Version+1, tx.Now()
		if err := s.keepParticipant(ctx, tx, by, p, action, sentence); err != nil {
			return err
		}
		kept = p
		if old.Status != p.Status || old.Mode != p.Mode || old.State().Recovering != p.State().Recovering {
			if err := noteAccessOfAll(ctx, tx, p.ID); err != nil {
				return fmt.Errorf("change of access of everybody: %w", err)
			}
		}
		if old.State().Open() || !p.State().Open() {
			return nil
		}
		// Who was decided while the participant was closed waits for a job; a
		// deed under way may not have seen the opening yet, hence the second.
		key := fmt.Sprintf("%s/%d", p.ID, p.Version)
		if err := tx.Enqueue(ctx, JobOpened, key, p.ID, time.Time{}); err != nil {
			return fmt.Errorf("promise first releases: %w", err)
		}
		if err := tx.Enqueue(ctx, JobOpened, key+"/again", p.ID, tx.Now().Add(stragglers)); err != nil {
			return fmt.Errorf("promise first releases: %w", err)
		}
		return nil
	})
	if err != nil {
		return storage.Participant{}, fmt.Errorf("change participant %s: %w", id, err)
	}
	return kept, nil
}

func (s *Service) keepParticipant(ctx context.Context, tx storage.Tx, by Actor, p storage.Participant, action, sentence string) error {
	digest, err := tx.PutParticipant(ctx, p)
	if err != nil {
		return fmt.Errorf("keep participant %s: %w", p.ID, err)
	}
	fields := []audit.Field{
		public("name", p.Name), public("type", p.Type), public("status", p.Status), public("mode", p.Mode),
		public("profile", p.Settings.Profile), public("rateLimit", p.Settings.RateLimit),
		public("sso", fmt.Sprint(p.Settings.SSO)), public("sharedExternalId", fmt.Sprint(p.Settings.SharedExternalID)),
		public("breaker", p.Settings.Breaker), public("digest", p.Settings.Digest),
		personal("contacts", strings.Join(p.Settings.Contacts, " ")),
	}
	if p.Recovering != nil {
		fields = append(fields, public("recovering", audit.Stamp(*p.Recovering)))
	}
	if p.Reason != "" {
		fields = append(fields, personal("reason", p.Reason))
	}
	return s.entry(ctx, tx, by, audit.Draft{
		Participant: p.ID, User: p.ID, Action: action, Sentence: sentence, Fields: fields, History: []audit.Digest{digest},
	})
}

// isAddress says whether text is one bare e-mail address. Role mailboxes are
// fine here: a contact is nobody's login.
func isAddress(text string) bool {
	a, err := mail.ParseAddress(text)
	return err == nil && a.Address == text
}
