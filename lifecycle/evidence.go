package lifecycle

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // the dates of training are New York's, on any machine

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// renewEarly is how many days before its last one training may be renewed
// without shortening it.
const renewEarly = 30

var sources = []string{"webinar", "lms", "import", "operator"}

// newYork is where the dates of training are counted.
var newYork = func() *time.Location {
	loc, err := time.LoadLocation("America/New_York")
	if err != nil {
		panic(err) // the zone is compiled in
	}
	return loc
}()

// RecordEvidence keeps a dated fact about a user: a completed training module,
// or an operator's word that a clashing address is this person's too. When it
// opens the last gate, access is released in this transaction.
func (s *Service) RecordEvidence(ctx context.Context, by Actor, user string, spec EvidenceSpec) (storage.Evidence, error) {
	if spec.Gate == "" {
		spec.Gate = policy.GateTraining
	}
	if spec.Source == "" {
		spec.Source = "operator"
	}
	var kept storage.Evidence
	_, err := s.onUser(ctx, by, by.Participant, user, func(ctx context.Context, d *deed) (change, error) {
		rules, _, err := s.rulesIn(ctx, d.tx)
		if err != nil {
			return change{}, err
		}
		now := d.tx.Now()
		if spec.CompletedAt.IsZero() && spec.Gate == policy.GateEmail {
			spec.CompletedAt = now
		}
		if err := checkEvidence(rules.all, spec, now); err != nil {
			return change{}, err
		}
		if slices.ContainsFunc(d.on.approvals, func(ap storage.Approval) bool {
			return ap.Ended == nil && ap.Approved && samePersonnel(ap.Actor, by.Subject)
		}) {
			return change{}, Faultf(KindRefused, "", "who approved a user may not record evidence on them; ask another operator")
		}
		id, err := uuid.NewRandom()
		if err != nil {
			return change{}, fmt.Errorf("evidence id: %w", err)
		}
		kept = storage.Evidence{
			Evidence: policy.Evidence{ID: id.String(), Gate: spec.Gate, Module: spec.Module, CompletedAt: spec.CompletedAt.UTC().Truncate(time.Microsecond)},
			User:     d.u.ID, Participant: d.u.Participant, Source: spec.Source, Note: spec.Note, Actor: by.Subject, Recorded: now,
		}
		if spec.Gate == policy.GateTraining {
			kept.ValidUntil = validUntil(kept.CompletedAt, spec.Module, d.on.evidence)
		}
		if err := d.on.keepEvidence(ctx, d.tx, kept); err != nil {
			return change{}, err
		}
		return change{action: "evidence.recorded", sentence: "Evidence was recorded.", fields: evidenceFields(kept)}, nil
	})
	if err != nil {
		return storage.Evidence{}, fmt.Errorf("record evidence on %s: %w", user, err)
	}
	return kept, nil
}

func checkEvidence(p *policy.Policy, spec EvidenceSpec, now time.Time) error {
	switch {
	case spec.Gate != policy.GateTraining && spec.Gate != policy.GateEmail:
		return Faultf(KindInvalid, "gate", "gate is %q; evidence opens training or email", spec.Gate)
	case !slices.Contains(sources, spec.Source):
		return Faultf(KindInvalid, "source", "source is %q; expected one of %s", spec.Source, strings.Join(sources, ", "))
	case spec.Gate == policy.GateEmail && spec.Module != "":
		return Faultf(KindInvalid, "module", "evidence on the address names no module; leave module out")
	case spec.Gate == policy.GateTraining && !slices.Contains(modules(p), spec.Module):
		return Faultf(KindInvalid, "module", "module is %q; expected one of the policy's: %s", spec.Module, strings.Join(modules(p), ", "))
	case spec.CompletedAt.IsZero():
		return Faultf(KindInvalid, "completedAt", "completedAt is missing; send when it was completed, such as 2026-03-02T15:00:00Z")
	case spec.CompletedAt.After(now):
		return Faultf(KindRefused, "completedAt", "completedAt lies in the future; send when it was completed")
	case !now.Before(yearLater(spec.CompletedAt.In(newYork))):
		return Faultf(KindRefused, "completedAt", "completedAt is over a year ago; the training must be taken again")
	case len(spec.Note) > 2000:
		return Faultf(KindInvalid, "note", "note is longer than 2000 bytes; send a shorter one")
	}
	return nil
}

// modules lists the training modules that the policy's roles ask for.
func modules(p *policy.Policy) []string {
	var ids []string
	for _, r := range p.Roles() {
		for _, id := range r.Modules {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// validUntil is the end of training: the same date a year later, end of day in
// New York; a completion up to 30 days before the last day of the earlier one
// counts from that day. Days are those of the calendar there.
func validUntil(completed time.Time, module string, earlier []storage.Evidence) time.Time {
	from := completed.In(newYork)
	for _, e := range earlier {
		if e.Revoked != nil || e.Gate != policy.GateTraining || e.Module != module || e.ValidUntil.IsZero() {
			continue
		}
		last := e.ValidUntil.In(newYork).Add(-time.Microsecond) // of the last day
		year, month, date := last.Date()
		first := time.Date(year, month, date-renewEarly, 0, 0, 0, 0, newYork)
		if !completed.Before(first) && completed.Before(e.ValidUntil) && last.After(from) {
			from = last
		}
	}
	return yearLater(from)
}

// yearLater is the first instant after the same date a year later. 29 February
// becomes 28 February.
func yearLater(from time.Time) time.Time {
	year, month, day := from.Date()
	if month == time.February && day == 29 {
		day = 28
	}
	return time.Date(year+1, month, day+1, 0, 0, 0, 0, from.Location()).UTC()
}

// RevokeEvidence takes evidence back; what rested on it is decided again.
func (s *Service) RevokeEvidence(ctx context.Context, by Actor, user, evidence, reason string) error {
	if strings.TrimSpace(reason) == "" {
		return Faultf(KindInvalid, "reason", "reason is missing; say for the record why the evidence is taken back")
	}
	if len(reason) > 2000 {
		return Faultf(KindInvalid, "reason", "reason is longer than 2000 bytes; send a shorter one")
	}
	_, err := s.onUser(ctx, by, by.Participant, user, func(ctx context.Context, d *deed) (change, error) {
		i := slices.IndexFunc(d.on.evidence, func(e storage.Evidence) bool { return e.ID == evidence })
		switch {
		case i < 0:
			return change{}, fmt.Errorf("evidence %s: %w", evidence, storage.ErrNotFound)
		case d.on.evidence[i].Revoked != nil:
			return change{}, nil
		}
		e := d.on.evidence[i]
		now := d.tx.Now()
		e.Revoked, e.RevokedWhy = &now, reason
		if err := d.on.keepEvidence(ctx, d.tx, e); err != nil {
			return change{}, err
		}
		return change{action: "evidence.revoked", sentence: "Evidence was taken back.", fields: append(evidenceFields(e), personal("reason", reason))}, nil
	})
	if err != nil {
		return fmt.Errorf("revoke evidence on %s: %w", user, err)
	}
	return nil
}

func evidenceFields(e storage.Evidence) []audit.Field {
	fields := []audit.Field{
		public("evidence", e.ID), public("gate", string(e.Gate)), public("module", e.Module), public("source", e.Source),
		public("completedAt", audit.Stamp(e.CompletedAt)),
	}
	if !e.ValidUntil.IsZero() {
		fields = append(fields, public("validUntil", audit.Stamp(e.ValidUntil)))
	}
	if e.Note != "" {
		fields = append(fields, personal("note", e.Note))
	}
	return fields
}

// samePersonnel compares the subjects of two actors.
func samePersonnel(a, b string) bool { return a != "" && storage.FoldKey(a) == storage.FoldKey(b) }
