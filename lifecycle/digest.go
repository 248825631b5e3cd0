package lifecycle

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// The weekly digest: what waits at a participant, told to its contacts in
// numbers, without names of people.
const (
	// DigestOff is the setting that switches a participant's digest off.
	DigestOff    = "off"
	digestWeekly = "weekly"
	digestHour   = 8                  // on Monday, in New York
	digestLate   = 2 * 24 * time.Hour // a server that was away for longer skips a week
	bookDigest   = "digest"           // Monday for which the last one was promised
)

// digestMonday answers the newest time that a digest was due.
func digestMonday(now time.Time) time.Time {
	there := now.In(newYork)
	since := (int(there.Weekday()) + 6) % 7 // days since Monday
	monday := time.Date(there.Year(), there.Month(), there.Day()-since, digestHour, 0, 0, 0, newYork)
	if monday.After(now) {
		monday = time.Date(there.Year(), there.Month(), there.Day()-since-7, digestHour, 0, 0, 0, newYork)
	}
	return monday.UTC()
}

// sweepDigest promises the week's digests, all of them in one transaction, so
// that of several nodes one does and none is promised twice.
func (s *Service) sweepDigest(ctx context.Context) error {
	now := s.Now()
	monday := digestMonday(now)
	if now.Sub(monday) > digestLate {
		return nil
	}
	if last, found, err := s.store.FindBookmark(ctx, bookDigest); err != nil || found && !last.Before(monday) {
		return err
	}
	all, err := s.store.ListParticipants(ctx)
	if err != nil {
		return fmt.Errorf("participants: %w", err)
	}
	return s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		if moved, err := tx.MoveBookmark(ctx, bookDigest, monday); err != nil || !moved {
			return err
		}
		for _, p := range all {
			if !p.State().Open() || p.Settings.Digest == DigestOff {
				continue
			}
			for n := range p.Settings.Contacts {
				subject := fmt.Sprintf("%s/%s/%d", p.ID, monday.In(newYork).Format(time.DateOnly), n)
				if err := tx.Enqueue(ctx, JobDigest, subject, subject, time.Time{}); err != nil {
					return fmt.Errorf("promise a digest to %s: %w", p.ID, err)
				}
			}
		}
		return nil
	})
}

// digest is what the mail may say: numbers.
type digest struct {
	Participant storage.Participant
	Waiting     []waitingFor
	Ending      int // people whose training ends within a month
	Titles      int // titles that wait for Healthix
	Titled      int // people who have them
}

// waitingFor is how many people one thing keeps from their access.
type waitingFor struct {
	What   string
	People int
}

func (d digest) empty() bool { return len(d.Waiting) == 0 && d.Ending == 0 && d.Titles == 0 }

// gateWords are what people wait for, in a contact's words.
func gateWords(g policy.Gate) string {
	switch g {
	case policy.GateTitle:
		return "a job title that Healthix knows"
	case policy.GateEmail:
		return "an e-mail address of their own"
	case policy.GateMobile:
		return "a mobile number"
	case policy.GateTraining:
		return "training"
	case policy.GateApproval:
		return "approval by Healthix"
	case policy.GateNPI:
		return "a National Provider Identifier"
	case policy.GateHold:
		return "Healthix, who holds their access"
	case policy.GateParticipant: // nothing is sent while it is closed
	}
	return string(g)
}

// digestOf counts what a participant's digest tells.
func (s *Service) digestOf(ctx context.Context, p storage.Participant) (digest, error) {
	d := digest{Participant: p}
	now := s.Now()
	count := func(f storage.Filter) (int, error) {
		_, n, err := s.store.ListUsers(ctx, storage.Query{Participant: p.ID, Filter: f, Total: true, Now: now})
		if err != nil {
			return 0, fmt.Errorf("count people at %s: %w", p.ID, err)
		}
		return n, nil
	}
	waits := storage.In{Field: storage.FieldStatus, Values: []string{string(policy.StatusPending), string(policy.StatusSuspended)}}
	for _, g := range []policy.Gate{
		policy.GateTraining, policy.GateEmail, policy.GateMobile, policy.GateTitle, policy.GateNPI, policy.GateApproval, policy.GateHold,
	} {
		n, err := count(storage.And{waits, storage.Cmp{Field: storage.FieldGate, Op: storage.OpEq, Value: string(g)}})
		if err != nil {
			return d, err
		}
		if n > 0 {
			d.Waiting = append(d.Waiting, waitingFor{What: gateWords(g), People: n})
		}
	}
	var err error
	if d.Ending, err = count(storage.And{
		storage.Cmp{Field: storage.FieldActive, Op: storage.OpEq, Value: true},
		storage.Cmp{Field: storage.FieldTrainingExpires, Op: storage.OpGt, Value: now},
		storage.Cmp{Field: storage.FieldTrainingExpires, Op: storage.OpLe, Value: now.Add(30 * day)},
	}); err != nil {
		return d, err
	}
	titles, err := s.store.ListWaitingTitles(ctx, p.ID)
	if err != nil {
		return d, fmt.Errorf("titles that wait at %s: %w", p.ID, err)
	}
	d.Titles = len(titles)
	for _, t := range titles {
		d.Titled += t.People
	}
	return d, nil
}

// sendDigest tells one contact, known by their place, what waits now. When
// nothing does, nothing is sent and nothing recorded.
func (s *Service) sendDigest(ctx context.Context, job storage.Job) error {
	part := strings.Split(job.Subject, "/")
	if len(part) != 3 {
		return fmt.Errorf("subject %q names no digest: %w", job.Subject, storage.ErrGiveUp)
	}
	n, err := strconv.Atoi(part[2])
	if err != nil {
		return fmt.Errorf("subject %q names no contact: %w", job.Subject, storage.ErrGiveUp)
	}
	p, err := s.store.GetParticipant(ctx, part[0])
	if err != nil {
		return fmt.Errorf("participant %s: %w", part[0], err)
	}
	if !p.State().Open() || p.Settings.Digest == DigestOff || n >= len(p.Settings.Contacts) {
		return s.withheldFromContact(ctx, job, p)
	}
	says, err := s.digestOf(ctx, p)
	if err != nil || says.empty() {
		return err
	}
	return s.tellContact(ctx, job, p, n, says)
}

// checkDigest reads the setting; weekly is the default.
func checkDigest(p *storage.Participant) error {
	switch p.Settings.Digest {
	case "", digestWeekly:
		p.Settings.Digest = ""
	case DigestOff:
	default:
		return Faultf(KindInvalid, "settings.digest", "digest is %q; expected weekly or off", p.Settings.Digest)
	}
	return nil
}
