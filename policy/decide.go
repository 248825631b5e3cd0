package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Decide says who may do what, and why. The same facts at the same instant
// always come to the same decision.
func (p *Policy) Decide(f Facts, now time.Time) Decision {
	m := p.match(f.Title)
	role, m, steps := p.titleRole(f, m)
	g := p.gates(f, m, role, now)

	d := Decision{
		NormalTitle:   m.Normal,
		Gates:         g.states,
		PolicyVersion: p.version,
		DecidedAt:     now,
		WasReleased:   f.Prior.WasReleased,
		Trace:         steps,
	}
	if m.Row != nil {
		d.Rule = "title:" + m.Row.ID
	}
	if role != nil {
		d.TitleRole = role.Name
		d.TrainingExpiresAt = g.training
	}
	for _, s := range g.states {
		d.step("gate", "%s %s: %s", s.Gate, openOrClosed(s.Open), s.Reason)
	}

	if f.Active && !f.Deleted && role != nil && len(role.Permissions) > 0 {
		p.grant(&d, f, role, g, now)
	}
	d.Role = p.wholeRole(d.Permissions, role, f.Prior.Role)
	if role != nil && len(role.Permissions) > 0 && d.Role != role.Name {
		d.RequestedRole = role.Name
	}
	d.Status = status(f, d)
	if d.Status == StatusReleased {
		d.WasReleased = true
	}
	d.step("status", "%s", d.Status)
	d.Reason, d.Staff = sentence(f, d, m)
	return d
}

// titleRole applies a row's guards and the role's participant types to a match.
// A row whose guard does not hold answers nothing (product rule 1).
func (p *Policy) titleRole(f Facts, m match) (*Role, match, []Step) {
	steps := slices.Clone(m.Steps)
	if m.Row == nil {
		return nil, m, steps
	}
	for _, guard := range m.Row.Guards {
		held := guard.holds(f)
		steps = append(steps, Step{Step: "guard", Detail: fmt.Sprintf("%s: %t", guard, held)})
		if !held {
			m.Why = fmt.Sprintf("title %q counts only where %s", f.Title, guard)
			return nil, m, steps
		}
	}
	role := p.role(m.Row.Role)
	if role == nil {
		return nil, m, steps
	}
	if len(role.ParticipantTypes) > 0 && !slices.Contains(role.ParticipantTypes, f.Participant.Type) {
		m.Why = fmt.Sprintf("role %s is for participants of type %s only", role.Name, list(role.ParticipantTypes))
		steps = append(steps, Step{Step: "guard", Detail: m.Why})
		return nil, m, steps
	}
	return role, m, steps
}

// grant puts permissions in force: the whole role when its gates are open, its
// untilApproved role meanwhile, or what old and new role share in transition
// (product rules 6 and 7). Nothing outside the role's own set is ever granted.
func (p *Policy) grant(d *Decision, f Facts, role *Role, g gates, now time.Time) {
	// Access of people already released is decided as if the participant were
	// open: Decision.At closes it for every reader, and resuming the
	// participant gives it back without touching a user row.
	participantOpen := f.Participant.Open()
	if !participantOpen && !f.Prior.WasReleased {
		return
	}
	closed := closedBut(g.states, GateParticipant)
	if len(closed) == 0 {
		d.Permissions = slices.Clone(role.Permissions)
		d.ValidUntil = earlier(g.training, g.approval)
		return
	}
	if !within(closed, GateTraining, GateApproval, GateNPI) {
		return
	}

	if fallback := p.role(role.UntilApproved); fallback != nil && within(closed, GateTraining, GateApproval) {
		missing, ends := trained(fallback.Modules, f.Evidence, now)
		if len(missing) == 0 {
			d.Permissions = slices.Clone(fallback.Permissions)
			d.ValidUntil = ends
			d.step("transition", "%s applies until %s is fully open", fallback.Name, role.Name)
		}
	}

	prior := f.Prior
	moved := prior.TitleRole != role.Name || prior.PolicyVersion != p.version || prior.Transition
	expired := prior.ValidUntil != nil && !now.Before(*prior.ValidUntil)
	if !participantOpen || !moved || expired || endedMeanwhile(prior, f.Participant) {
		return
	}
	carry := intersect(prior.Permissions, role.Permissions)
	beyond := slices.ContainsFunc(carry, func(permission string) bool { return !slices.Contains(d.Permissions, permission) })
	if !beyond {
		return
	}
	if len(d.Permissions) > 0 {
		d.ValidUntil = earlier(d.ValidUntil, prior.ValidUntil)
	} else {
		d.ValidUntil = prior.ValidUntil
	}
	d.Permissions = union(role.Permissions, carry, d.Permissions)
	d.Transition = true
	d.step("transition", "%s kept from what was in force while %s waits for %s", list(carry), role.Name, list(names(closed)))
}

// endedMeanwhile: a participant closed after the decision ended what was
// carried in transition, even when it is open again now.
func endedMeanwhile(d Decision, p ParticipantState) bool {
	return d.Transition && p.ClosedAt != nil && p.ClosedAt.After(d.DecidedAt)
}

// status is the first of the five rules that holds.
func status(f Facts, d Decision) Status {
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
	names := make([]string, 0, len(p.roles)+3)
	if role != nil {
		names = append(names, role.Name, role.UntilApproved)
	}
	names = append(names, prior)
	for i := range p.roles {
		names = append(names, p.roles[i].Name)
	}
	for _, name := range names {
		if r := p.role(name); r != nil && sameSet(r.Permissions, permissions) {
			return name
		}
	}
	return ""
}

func (d *Decision) step(step, format string, args ...any) {
	d.Trace = append(d.Trace, Step{Step: step, Detail: fmt.Sprintf(format, args...)})
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

func within(gates []Gate, allowed ...Gate) bool {
	for _, g := range gates {
		if !slices.Contains(allowed, g) {
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

// sentence puts a decision into one English sentence, outward and for staff.
func sentence(f Facts, d Decision, m match) (outward, staff string) {
	subject := fmt.Sprintf("Title %q", f.Title)
	if m.Normal == "" {
		subject = "The missing title"
	} else if m.Row != nil && !strings.EqualFold(m.Row.Title, f.Title) {
		subject = fmt.Sprintf("Title %q (%s)", f.Title, m.Row.Title)
	}
	var closed, closedStaff []string
	for _, g := range d.Gates {
		if g.Open {
			continue
		}
		closed = append(closed, g.Reason)
		if g.Staff != "" {
			closedStaff = append(closedStaff, g.Staff)
		} else {
			closedStaff = append(closedStaff, g.Reason)
		}
	}
	because := func(words []string) string { return strings.Join(words, "; ") + "." }

	var head string
	switch d.Status {
	case StatusRevoked:
		if f.Deleted {
			return "Access ended: the user was deleted.", ""
		}
		return "Access ended: the user is not active.", ""
	case StatusIneligible:
		return subject + " gives no access to patients' records.", ""
	case StatusReleased:
		switch {
		case d.Role == d.TitleRole && len(closed) == 0:
			return fmt.Sprintf("%s is %s; released, all gates are open.", subject, d.Role), ""
		case d.Role == d.TitleRole:
			head = fmt.Sprintf("%s is %s; access is kept although: ", subject, d.Role)
		case d.Role != "":
			head = fmt.Sprintf("%s is %s; meanwhile %s is in force: ", subject, d.TitleRole, d.Role)
		default:
			head = fmt.Sprintf("%s is %s; meanwhile only %s in force: ", subject, d.TitleRole, isAre(d.Permissions))
		}
	case StatusSuspended, StatusPending:
		verb := "Not released: "
		if d.Status == StatusSuspended {
			verb = "Suspended: "
		}
		switch {
		case d.TitleRole == "" && m.Row == nil && m.Normal != "":
			head = verb
			closed[slices.IndexFunc(closed, func(s string) bool { return strings.HasPrefix(s, "title ") })] += ", a person at Healthix will look at it"
		case d.TitleRole == "":
			head = verb
		default:
			head = fmt.Sprintf("%s is %s. %s", subject, d.TitleRole, verb)
		}
	}
	outward = head + because(closed)
	if full := head + because(closedStaff); full != outward && !slices.Equal(closed, closedStaff) {
		staff = full
	}
	return outward, staff
}

func isAre(permissions []string) string {
	if len(permissions) == 1 {
		return permissions[0] + " is"
	}
	return list(permissions) + " are"
}
