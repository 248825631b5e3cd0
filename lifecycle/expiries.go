package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/healthix/healthix-scim/storage"
)

// warnings are how many days before a credential ends its participant is told,
// the last one first.
var warnings = []int{1, 7, 14, 30, 60}

const day = 24 * time.Hour

// warningDue answers the warning that a credential is at: the nearest to its end
// whose time has come, 0 for none. One that was due before the credential was
// issued, or at that moment, told nobody anything new.
func warningDue(issued, expires, now time.Time) int {
	if !now.Before(expires) {
		return 0
	}
	for _, days := range warnings {
		if before := time.Duration(days) * day; expires.Sub(now) <= before {
			if expires.Sub(issued) <= before {
				return 0
			}
			return days
		}
	}
	return 0
}

// WarnExpiring promises the participants' contacts a mail about every token and
// client of theirs that ends soon: once for each warning, and after a pause only
// the one that is nearest. A participant without contacts hears as soon as there
// is one. It answers how many credentials it promised a mail about; one that
// cannot be promised stops none of the others. It tells of participants that
// are suspended or only watched, too: their providers keep pushing.
func (s *Service) WarnExpiring(ctx context.Context) (int, error) {
	now := s.Now()
	all, err := s.store.ListCredentials(ctx, now)
	if err != nil {
		return 0, err
	}
	due := slices.DeleteFunc(all, func(c storage.Credential) bool {
		days := warningDue(c.Issued, c.Expires, now)
		return days == 0 || c.Warned != 0 && c.Warned <= days
	})
	promised, failures := 0, error(nil)
	for _, c := range due {
		told, err := s.promiseWarning(ctx, c, warningDue(c.Issued, c.Expires, now))
		if err != nil {
			failures = errors.Join(failures, fmt.Errorf("warn of the end of %s %s: %w", c.Kind, c.ID, err))
		}
		if told {
			promised++
		}
	}
	return promised, failures
}

// promiseWarning promises one mail to each contact there is.
func (s *Service) promiseWarning(ctx context.Context, c storage.Credential, days int) (told bool, err error) {
	err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		told = false
		p, err := tx.GetParticipant(ctx, c.Participant)
		if err != nil || len(p.Settings.Contacts) == 0 {
			return err
		}
		if told, err = tx.MarkWarned(ctx, c, days); err != nil || !told {
			return err
		}
		for n := range p.Settings.Contacts {
			subject := fmt.Sprintf("%s/%s/%d/%d", c.Kind, c.ID, days, n)
			if err := tx.Enqueue(ctx, JobExpiry, subject, subject, time.Time{}); err != nil {
				return err
			}
		}
		return nil
	})
	return told && err == nil, err
}

// ending is what a mail says of a credential that ends.
type ending struct {
	Participant storage.Participant
	Client      bool // an OAuth client, else a token
	ID          string
	label       string
	expires     time.Time
}

// Label is the participant's own name for it, in letters that make no link and
// no line of ours.
func (e ending) Label() string {
	const longest = 60
	label := []rune(strings.Join(strings.FieldsFunc(e.label, func(r rune) bool {
		return !unicode.In(r, unicode.L, unicode.M, unicode.N) && !strings.ContainsRune("_-", r)
	}), " "))
	return string(label[:min(len(label), longest)])
}

// Until is when it ends, as people in New York read it.
func (e ending) Until() string {
	return e.expires.In(newYork).Format("Monday, January 2, 2006, 3:04 PM MST")
}

// tellExpiry sends one contact the warning, if it still is the one to send: what
// was revoked or has ended needs none, and a mail that waited too long leaves
// it to the next one.
func (s *Service) tellExpiry(ctx context.Context, job storage.Job) error {
	part := strings.Split(job.Subject, "/")
	if len(part) != 4 {
		return fmt.Errorf("subject %q names no credential: %w", job.Subject, storage.ErrGiveUp)
	}
	days, err := strconv.Atoi(part[2])
	n, wrong := strconv.Atoi(part[3])
	if err = errors.Join(err, wrong); err != nil {
		return fmt.Errorf("subject %q names no warning: %w", job.Subject, storage.ErrGiveUp)
	}
	e, issued, live, err := s.endingOf(ctx, part[0], part[1])
	if err != nil {
		return err
	}
	on := public(part[0], e.ID) // token or client
	if !live || n >= len(e.Participant.Settings.Contacts) || warningDue(issued, e.expires, s.Now()) != days {
		return s.withheldFromContact(ctx, job, e.Participant, on)
	}
	return s.tellContact(ctx, job, e.Participant, n, e, on)
}

// endingOf looks a credential up again.
func (s *Service) endingOf(ctx context.Context, kind, id string) (e ending, issued time.Time, live bool, err error) {
	participant := ""
	switch kind {
	case storage.CredentialToken:
		t, err := s.store.GetToken(ctx, id)
		if err != nil {
			return e, issued, false, err
		}
		e = ending{ID: t.ID, label: t.Label, expires: t.Expires}
		participant, issued, live = t.Participant, t.Issued, t.Revoked == nil
	case storage.CredentialClient:
		c, err := s.store.GetClient(ctx, id)
		if err != nil {
			return e, issued, false, err
		}
		e = ending{Client: true, ID: c.ID, label: c.Label, expires: c.Expires}
		participant, issued, live = c.Participant, c.Created, c.Revoked == nil
	default:
		return e, issued, false, fmt.Errorf("there is no kind of credential %q: %w", kind, storage.ErrGiveUp)
	}
	e.Participant, err = s.store.GetParticipant(ctx, participant)
	if err != nil {
		return e, issued, false, fmt.Errorf("participant %s: %w", participant, err)
	}
	return e, issued, live, nil
}
