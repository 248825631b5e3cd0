package policy

import (
	"slices"
	"time"
)

// Decide says who may do what, and why. The same facts at the same instant
// always come to the same decision.
func (p *Policy) Decide(f Facts, now time.Time) Decision {
	a := p.verdict(&f)
	t := newTrace()
	t.answer(p, &f, &a)
	g := p.gates(&f, &a, now, t)
	role := a.role

	d := Decision{
		NormalTitle:   a.Normal,
		Gates:         g.states,
		PolicyVersion: p.version,
		DecidedAt:     now,
		ClosedSeen:    f.Participant.ClosedAt,
		WasReleased:   f.Prior.WasReleased,
	}
	if a.row != nil {
		d.Rule = ruleOf(a.row)
	}
	if role != nil {
		d.TitleRole = role.Name
		d.TrainingExpiresAt = instant(g.training)
	}
	if a.disagree {
		d.JobCodeTitle = a.code.title
	}
	if f.Active && !f.Deleted && role != nil && len(role.Permissions) > 0 {
		p.grant(&d, &f, role, &g, now, t)
	}
	d.Role = p.wholeRole(d.Permissions, role, f.Prior.Role)
	if role != nil && len(role.Permissions) > 0 && d.Role != role.Name {
		d.RequestedRole = role.Name
	}
	d.Status = status(&f, &d)
	if d.Status == StatusReleased {
		d.WasReleased = true
	}
	t.step("status", string(d.Status))
	d.Trace = t.done()
	d.Reason, d.Staff = p.sentence(&f, &d, &a)
	return d
}

// ruleOf names a row as decisions do.
func ruleOf(row *Row) string { return "title:" + row.ID }

// grant puts permissions in force: the whole role when its gates are open, its
// untilApproved role meanwhile, or what was in force and the role also has
// (product rules 6 and 7). Nothing outside the role's own set is ever granted.
func (p *Policy) grant(d *Decision, f *Facts, role *Role, g *gates, now time.Time, t *trace) {
	// Access of people already released is decided as if the participant were
	// open: Decision.At closes it for every reader, and resuming the
	// participant gives it back without touching a user row.
	if !f.Participant.Open() && !f.Prior.WasReleased {
		return
	}
	closed := closedBut(g.states, GateParticipant)
	if len(closed) == 0 {
		d.Permissions = slices.Clone(role.Permissions)
		d.ValidUntil = instant(earlier(earlier(g.training, g.approval), g.email))
		d.StandsOn = p.training(role)
		return
	}
	if !within(closed, GateTraining, GateApproval, GateNPI) {
		return
	}
	ends := p.meanwhile(d, f, role, g, now, t)
	ends = p.carry(d, f, role, g, closed, ends, now, t)
	if len(d.Permissions) > 0 {
		d.ValidUntil = instant(ends)
	}
}

// training lists the modules that a role's gate asks for.
func (p *Policy) training(r *Role) []string {
	if !p.asks(r, GateTraining) {
		return nil
	}
	return r.Modules
}

func forParticipant(r *Role, participant ParticipantState) bool {
	return len(r.ParticipantTypes) == 0 || slices.Contains(r.ParticipantTypes, participant.Type)
}

// status is the first of the five rules that holds.
func status(f *Facts, d *Decision) Status {
	switch {
	case f.Deleted || !f.Active:
		return StatusRevoked
	case d.TitleRole != "" && d.RequestedRole == "" && d.Role == "" && len(d.Permissions) == 0:
		return StatusIneligible
	case len(d.Permissions) > 0:
		return StatusReleased
	case d.WasReleased:
		return StatusSuspended
	default:
		return StatusPending
	}
}

// wholeRole names the role whose whole set is in force, "" when there is none.
func (p *Policy) wholeRole(permissions []string, role *Role, prior string) string {
	if len(permissions) == 0 {
		return ""
	}
	whole := func(name string) bool {
		r := p.role(name)
		return r != nil && sameSet(r.Permissions, permissions)
	}
	switch {
	case role != nil && whole(role.Name):
		return role.Name
	case role != nil && whole(role.UntilApproved):
		return role.UntilApproved
	case whole(prior):
		return prior
	}
	if i := slices.IndexFunc(p.names, whole); i >= 0 {
		return p.names[i]
	}
	return ""
}

func openOrClosed(open bool) string {
	if open {
		return "open"
	}
	return "closed"
}

func closedBut(states []GateState, but Gate) []Gate {
	var closed []Gate
	for _, s := range states {
		if !s.Open && s.Gate != but {
			closed = append(closed, s.Gate)
		}
	}
	return closed
}

func within[T comparable](set []T, allowed ...T) bool {
	for _, member := range set {
		if !slices.Contains(allowed, member) {
			return false
		}
	}
	return true
}

func names(gates []Gate) []string {
	out := make([]string, len(gates))
	for i, g := range gates {
		out[i] = string(g)
	}
	return out
}

// lacking answers what b holds and a lacks.
func lacking[T comparable](a, b []T) []T {
	var out []T
	for _, member := range b {
		if !slices.Contains(a, member) {
			out = append(out, member)
		}
	}
	return out
}

// intersect keeps b's order.
func intersect(a, b []string) []string {
	var out []string
	for _, s := range b {
		if slices.Contains(a, s) {
			out = append(out, s)
		}
	}
	return out
}

// union answers the members of a or b in the order of set.
func union(set, a, b []string) []string {
	var out []string
	for _, s := range set {
		if slices.Contains(a, s) || slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}

func sameSet(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for _, s := range a {
		if !slices.Contains(b, s) {
			return false
		}
	}
	return true
}
