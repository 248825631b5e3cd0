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
		ClosedSeen:    f.Participant.ClosedAt,
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
		d.step("gate", string(s.Gate)+" "+openOrClosed(s.Open)+": "+s.Reason)
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
	d.step("status", string(d.Status))
	d.Reason, d.Staff = sentence(f, d, m)
	return d
}

// titleRole applies a row's guards and the role's participant types to a match.
// A row whose guard does not hold answers nothing (product rule 1).
func (p *Policy) titleRole(f Facts, m match) (*Role, match, []Step) {
	steps := m.Steps
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
	if !forParticipant(role, f.Participant) {
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
		d.ValidUntil = earlier(earlier(g.training, g.approval), g.email)
		d.StandsOn = p.training(role)
		return
	}
	if !within(closed, GateTraining, GateApproval, GateNPI) {
		return
	}
	p.meanwhile(d, f, role, g, now)

	prior := f.Prior
	moved := prior.TitleRole != role.Name || prior.Transition || (prior.PolicyVersion != p.version && !lost(prior, closed))
	if !participantOpen || !moved || !stands(prior, f, now) {
		return
	}
	carry := intersect(prior.Permissions, role.Permissions)
	beyond := slices.ContainsFunc(carry, func(permission string) bool { return !slices.Contains(d.Permissions, permission) })
	if !beyond {
		return
	}
	if len(d.Permissions) == 0 {
		d.ValidUntil = g.email
	}
	d.ValidUntil = earlier(d.ValidUntil, prior.ValidUntil)
	for _, module := range prior.StandsOn {
		if !slices.Contains(d.StandsOn, module) {
			d.StandsOn = append(slices.Clip(d.StandsOn), module)
		}
	}
	d.Permissions = union(role.Permissions, carry, d.Permissions)
	d.Transition = true
	d.step("transition", list(carry)+" kept from what was in force while "+role.Name+" waits for "+list(names(closed)))
}

// meanwhile puts the untilApproved role in force when its own gates are open
// (product rule 7): before approval, after a rejection, and until the role is
// open for good, so that an approval never takes anything away.
func (p *Policy) meanwhile(d *Decision, f Facts, role *Role, g gates, now time.Time) {
	fallback := p.role(role.UntilApproved)
	if fallback == nil || !forParticipant(fallback, f.Participant) {
		return
	}
	ends := g.email
	if modules := p.training(fallback); len(modules) > 0 {
		missing, end := trained(modules, f.Evidence, now)
		if len(missing) > 0 {
			return
		}
		ends = earlier(ends, end)
	}
	if p.asks(fallback, GateApproval) {
		open, _, end := approved(f.Approvals, fallback.Name, d.NormalTitle, now)
		if !open {
			return
		}
		ends = earlier(ends, end)
	}
	if p.asks(fallback, GateNPI) && !ValidNPI(f.NPI) {
		return
	}
	d.Permissions = slices.Clone(fallback.Permissions)
	d.ValidUntil = ends
	d.StandsOn = p.training(fallback)
	d.step("transition", fallback.Name+" applies until "+role.Name+" is fully open")
}

// lost says whether a gate closed that was open before: a new policy version
// does not soften a rejection.
func lost(prior Decision, closed []Gate) bool {
	return slices.ContainsFunc(closed, func(g Gate) bool { return g != GateTraining && prior.Gate(g).Open })
}

// stands says whether what was in force may be carried on: it has not expired,
// the training it stood on is still valid (evidence may have been revoked), and
// the participant was not closed in between.
func stands(prior Decision, f Facts, now time.Time) bool {
	if prior.ValidUntil != nil && !now.Before(*prior.ValidUntil) {
		return false
	}
	missing, _ := trained(prior.StandsOn, f.Evidence, now)
	return len(missing) == 0 && !endedMeanwhile(prior, f.Participant)
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

// endedMeanwhile: a participant closed after the decision ended what was carried
// in transition, even when it is open again now. Whether it closed since is told
// by the closing that the decision knew of, never by comparing clocks: a deed may
// run while another one closes the participant.
func endedMeanwhile(d Decision, p ParticipantState) bool {
	return d.Transition && !ClosedAsSeen(d.ClosedSeen, p)
}

// ClosedAsSeen says whether a participant has not closed since somebody saw it.
func ClosedAsSeen(seen *time.Time, p ParticipantState) bool {
	if seen == nil || p.ClosedAt == nil {
		return seen == p.ClosedAt
	}
	return seen.Equal(*p.ClosedAt)
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

func (d *Decision) step(step, detail string) {
	d.Trace = append(d.Trace, Step{Step: step, Detail: detail})
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
		// What is released is decided as if the participant were open; At says
		// otherwise, and the sentence must not outlive a suspension.
		if g.Open || (d.Status == StatusReleased && g.Gate == GateParticipant) {
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
