package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// reminders are how many days before training ends people are told, the last one
// first. The first of them invites to the refresher: a month before (fact 9 of
// the product).
var reminders = []int{3, 14, 30}

// bookReminders is the hour for which the last look was taken on. Days are
// counted, so that an hour is soon enough, and one node's look is.
const bookReminders = "reminders"

// reminderDue answers the reminder that the end of training is at: the nearest
// whose time has come, 0 for none.
func reminderDue(ends, now time.Time) int {
	if !now.Before(ends) {
		return 0
	}
	for _, days := range reminders {
		if ends.Sub(now) <= time.Duration(days)*day {
			return days
		}
	}
	return 0
}

// remindable says whether somebody is told that training ends: whom nothing keeps
// out that training has no part in. Who lacks another module is told, too.
func remindable(u storage.User, d policy.Decision) bool {
	if !u.Active || u.Deleted != nil || !u.ParticipantState.Open() || d.TrainingExpiresAt == nil || d.Status == policy.StatusIneligible {
		return false
	}
	return d.Gate(policy.GateTitle).Open && d.Gate(policy.GateEmail).Open && d.Gate(policy.GateHold).Open
}

// sweepReminders promises reminders, once an hour on one of the nodes. What a
// node that died left out, the next hour's look finds.
func (s *Service) sweepReminders(ctx context.Context) error {
	mine := false
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		var err error
		mine, err = tx.MoveBookmark(ctx, bookReminders, s.Now().Truncate(time.Hour))
		return err
	})
	if err != nil || !mine {
		return err
	}
	_, err = s.Remind(ctx)
	return errors.Join(err, s.forgetReminders(ctx))
}

// Remind promises a message to everybody whose training ends soon: each reminder
// once for one end, and after a pause only the nearest. It answers how many.
func (s *Service) Remind(ctx context.Context) (int, error) {
	now := s.Now()
	q := storage.ReminderQuery{Now: now, Days: reminders, Limit: walk}
	promised := 0
	for {
		users, err := s.store.ListUnreminded(ctx, q)
		if err != nil {
			return promised, fmt.Errorf("whose training ends: %w", err)
		}
		if len(users) == 0 {
			return promised, nil
		}
		n := 0
		err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
			n = 0
			for _, u := range users {
				d := u.Access(now)
				if !remindable(u, d) {
					continue
				}
				m := storage.Reminder{User: u.ID, Expires: *d.TrainingExpiresAt, Days: reminderDue(*d.TrainingExpiresAt, now)}
				due, err := tx.MarkReminded(ctx, m)
				if err != nil {
					return err
				}
				if !due {
					continue
				}
				subject := fmt.Sprintf("%s/%d/%d", m.User, m.Expires.UnixMicro(), m.Days)
				if err := tx.Enqueue(ctx, JobReminder, subject, subject, time.Time{}); err != nil {
					return fmt.Errorf("promise a reminder to %s: %w", m.User, err)
				}
				n++
			}
			return nil
		})
		if err != nil {
			return promised, err
		}
		promised += n
		last := users[len(users)-1]
		q.After = storage.Reminder{User: last.ID, Expires: *last.Decision.TrainingExpiresAt}
	}
}

func (s *Service) forgetReminders(ctx context.Context) error {
	return forget(func() (n int, err error) {
		err = s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) (err error) {
			n, err = tx.DeleteReminders(ctx, tx.Now().Add(-day), forgetPage)
			return err
		})
		return n, err
	})
}

// refresher is what a reminder may say.
type refresher struct {
	letter
	Ending []endingModule // those that end within a month, the first to end first
}

// endingModule is training that ends.
type endingModule struct {
	id   string
	lms  bool
	Name string
	ends time.Time
}

// Until is the last day on which it is valid, in New York.
func (m endingModule) Until() string {
	return m.ends.Add(-time.Microsecond).In(newYork).Format("Monday, January 2, 2006")
}

// Until is the last day of the training that ends first.
func (r refresher) Until() string { return r.Ending[0].Until() }

// endingModules are the modules of a role whose evidence ends within a month.
func endingModules(modules []policy.Module, evidence []storage.Evidence, now time.Time) []endingModule {
	var ending []endingModule
	for _, m := range modules {
		var ends time.Time
		for _, e := range evidence {
			if e.Revoked != nil || e.Gate != policy.GateTraining || e.Module != m.ID {
				continue
			}
			if e.ValidUntil.IsZero() { // it never ends
				ends = time.Time{}
				break
			}
			if e.ValidUntil.After(ends) {
				ends = e.ValidUntil
			}
		}
		if !ends.IsZero() && reminderDue(ends, now) > 0 {
			ending = append(ending, endingModule{id: m.ID, lms: m.Litmos != "", Name: m.Name, ends: ends})
		}
	}
	slices.SortStableFunc(ending, func(a, b endingModule) int { return a.ends.Compare(b.ends) })
	return ending
}

// remind sends one reminder, if it still is the one to send: whose training was
// renewed, or whom something else keeps out by now, gets none, and a message that
// waited too long leaves it to the next one. The LMS lets them take the modules
// again from here on.
func (s *Service) remind(ctx context.Context, job storage.Job) error {
	user, ends, days, err := parseReminder(job.Subject)
	if err != nil {
		return err
	}
	u, err := s.store.GetUser(ctx, "", user)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("user %s: %w", user, err)
	}
	now := s.Now()
	d := u.Access(now)
	if !remindable(u, d) || !d.TrainingExpiresAt.Equal(ends) || reminderDue(ends, now) != days {
		return s.withheld(ctx, job, u)
	}
	p, err := s.store.GetParticipant(ctx, u.Participant)
	if err != nil {
		return fmt.Errorf("participant %s: %w", u.Participant, err)
	}
	in, err := s.PolicyAt(ctx, u.Participant)
	if err != nil {
		return err
	}
	evidence, err := s.store.ListEvidence(ctx, u.ID)
	if err != nil {
		return fmt.Errorf("evidence of %s: %w", u.ID, err)
	}
	ending := endingModules(in.Modules(d.TitleRole), evidence, now)
	if len(ending) == 0 { // another policy asks for other modules; a decision on the user follows it
		return s.withheld(ctx, job, u)
	}
	for _, m := range ending {
		if !m.lms {
			continue
		}
		if err := s.ResetTraining(ctx, u.ID, m.id); err != nil {
			return err
		}
	}
	return s.send(ctx, job, u, u.Email, refresher{letter: letter{User: u, Participant: p, Decision: d, Portal: s.portalURL}, Ending: ending})
}

func parseReminder(subject string) (user string, ends time.Time, days int, err error) {
	part := strings.Split(subject, "/")
	if len(part) != 3 {
		return "", ends, 0, fmt.Errorf("subject %q names no reminder: %w", subject, storage.ErrGiveUp)
	}
	micros, err := strconv.ParseInt(part[1], 10, 64)
	days, wrong := strconv.Atoi(part[2])
	if errors.Join(err, wrong) != nil {
		return "", ends, 0, fmt.Errorf("subject %q names no reminder: %w", subject, storage.ErrGiveUp)
	}
	return part[0], time.UnixMicro(micros).UTC(), days, nil
}
