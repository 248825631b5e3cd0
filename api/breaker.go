package api

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// restoreWait is how long a request restores before it answers 202 and a job
// goes on; a request may work for 30 seconds.
const restoreWait = 25 * time.Second

// BreakerView is how a participant's mass-change breaker stands.
type BreakerView struct {
	State string           `json:"state"` // armed, open, off
	Case  *BreakerCaseView `json:"case"`  // the open one
	Last  *BreakerCaseView `json:"last"`  // the one that was closed last
}

// BreakerCaseView is that the breaker tripped. It counts people and names none.
type BreakerCaseView struct {
	ID         string     `json:"id"`
	Opened     time.Time  `json:"opened"`
	Since      time.Time  `json:"since"`     // losses after this instant are staged
	Threshold  string     `json:"threshold"` // which one was crossed
	Losses     int        `json:"losses"`    // people who lost when it tripped
	Base       int        `json:"base"`      // people active at any time in the window
	Staged     int        `json:"staged"`    // people who can be restored still
	Until      time.Time  `json:"until"`     // how long at most
	Restoring  *time.Time `json:"restoring"` // since when a restore is under way
	Restored   int        `json:"restored"`
	Listed     int        `json:"listed"` // people whom a restore did not bring back
	Closed     *time.Time `json:"closed"`
	Outcome    *string    `json:"outcome"` // restored, accepted, expired
	RestoredBy *string    `json:"restoredBy,omitempty"`
	ClosedBy   *string    `json:"closedBy,omitempty"` // staff only, as the one above
}

// ShowBreaker shows how a participant's breaker stands, as an operator's API
// does.
func ShowBreaker(ctx context.Context, r storage.Reader, p storage.Participant) (*BreakerView, error) {
	return staffSight.breaker(ctx, r, p)
}

func (c *call) breaker(ctx context.Context, r storage.Reader, p storage.Participant) (*BreakerView, error) {
	v := &BreakerView{State: "armed"}
	if p.Settings.Breaker == lifecycle.BreakerOff {
		v.State = "off"
	}
	open, is, err := r.FindBreakerCase(ctx, p.ID, true)
	if err != nil {
		return nil, err
	}
	if is {
		n, err := r.TallyCase(ctx, open.ID)
		if err != nil {
			return nil, err
		}
		v.State, v.Case = "open", c.breakerCase(open)
		v.Case.Staged, v.Case.Restored, v.Case.Listed = n.Staged, n.Restored, n.Listed
	}
	last, closed, err := r.FindBreakerCase(ctx, p.ID, false)
	if err == nil && closed {
		v.Last = c.breakerCase(last)
	}
	return v, err
}

func (c *call) breakerCase(b storage.BreakerCase) *BreakerCaseView {
	v := &BreakerCaseView{
		ID: b.ID, Opened: b.Opened, Since: b.Since, Threshold: b.Threshold, Losses: b.People, Base: b.Base,
		Until: b.Opened.Add(lifecycle.BreakerStaged), Restoring: b.RestoreAt, Restored: b.Restored, Listed: len(b.Listed), Closed: b.Closed,
	}
	if b.Closed != nil {
		v.Restoring, v.Outcome = nil, &b.Outcome
	}
	if !c.staffTexts() {
		return v
	}
	for _, by := range []struct {
		from string
		to   **string
	}{{b.RestoreBy, &v.RestoredBy}, {b.ClosedBy, &v.ClosedBy}} {
		if by.from != "" {
			*by.to = &by.from
		}
	}
	return v
}

// wholeParticipant shows a participant with its breaker, when err is nil.
func (s *server) wholeParticipant(ctx context.Context, c *call, p storage.Participant, err error) (ParticipantView, error) {
	if err != nil {
		return ParticipantView{}, err
	}
	v := c.participant(p)
	v.Breaker, err = c.breaker(ctx, s.read, p)
	return v, err
}

// restoreOrder is what a restore is asked for; all of it may be left out.
type restoreOrder struct {
	Except []string `json:"except,omitempty"` // ids of users who stay as they are
	DryRun bool     `json:"dryRun,omitempty"`
}

// restoreAnswer is what a restore came to, or would.
type restoreAnswer struct {
	Restored int          `json:"restored"`
	Listed   []listedView `json:"listed"` // who does not come back
}

// listedView is a user who does not come back, and why.
type listedView struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

func (a restoreAnswer) rows() int { return len(a.Listed) }

func showRestored(n int, listed []storage.Listed) restoreAnswer {
	return restoreAnswer{Restored: n, Listed: as(listed, func(l storage.Listed) listedView { return listedView(l) })}
}

// perhaps is typed for a body that may be absent.
func perhaps[In, Out any](run func(context.Context, *call, In) (Out, error)) operation {
	o := typed(run)
	read := o.run
	o.run = func(ctx context.Context, c *call, body []byte) (any, error) {
		if len(bytes.TrimSpace(body)) == 0 {
			body = []byte("{}")
		}
		return read(ctx, c, body)
	}
	return o
}

// restore gives back what the open case stages. When that takes longer than a
// request may, the answer is how far it has come, and a job goes on.
func (s *server) restore(ctx context.Context, c *call, in restoreOrder) (restoreAnswer, error) {
	spec := lifecycle.RestoreSpec{Participant: c.id(), Except: slices.Compact(slices.Sorted(slices.Values(in.Except))), DryRun: in.DryRun}
	patient, end := context.WithTimeout(ctx, s.RestoreWait)
	defer end()
	got, err := s.Service.Restore(patient, c.who.Actor, spec, nil)
	if err == nil {
		return showRestored(got.Restored, got.Listed), nil
	}
	if in.DryRun || patient.Err() == nil || !errors.Is(err, context.DeadlineExceeded) {
		return restoreAnswer{}, err
	}
	open, is, lookup := s.read.FindBreakerCase(ctx, c.id(), true)
	if lookup != nil || !is || open.RestoreAt == nil {
		return restoreAnswer{}, err
	}
	n, lookup := s.read.TallyCase(ctx, open.ID)
	if lookup != nil {
		return restoreAnswer{}, lookup
	}
	listed, lookup := s.read.ListNotRestored(ctx, open.ID)
	c.goesOn, c.location = true, root+"/participants/"+c.id()
	return showRestored(n.Restored, listed), lookup
}

// acceptLosses closes the open case.
func (s *server) acceptLosses(ctx context.Context, c *call, _ none) (ParticipantView, error) {
	if _, err := s.Service.AcceptLosses(ctx, c.who.Actor, c.id()); err != nil {
		return ParticipantView{}, err
	}
	p, err := s.read.GetParticipant(ctx, c.id())
	return s.wholeParticipant(ctx, c, p, err)
}
