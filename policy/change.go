package policy

import (
	"slices"
	"time"
)

// ChangeClass is what a policy change comes to for one person.
type ChangeClass string

// The classes; the first that holds.
const (
	ChangeUnmapped ChangeClass = "unmapped" // the title led to a role and leads to none
	ChangeRole     ChangeClass = "change"   // gain and loss, or another role that holds as much
	ChangeLose     ChangeClass = "lose"     // the role holds less, or something in force ends at once
	ChangeGain     ChangeClass = "gain"     // the role holds more, or the title leads to one now
	ChangeGates    ChangeClass = "gates"    // the role holds as much and asks for something else
	ChangeNone     ChangeClass = ""
)

// Change is what a new policy does to one person, in the policy's own words.
type Change struct {
	From       string   `json:"from,omitempty"`   // role that the title leads to now, "" none
	To         string   `json:"to,omitempty"`     // and then
	Gains      []string `json:"gains,omitempty"`  // permissions of To that From has not
	Loses      []string `json:"loses,omitempty"`  // and the other way round
	Starts     []string `json:"starts,omitempty"` // permissions that come into force at once: every gate is open
	Ends       []string `json:"ends,omitempty"`   // permissions in force that end at once
	Gates      []Gate   `json:"gates,omitempty"`  // gates that are asked for, or no longer, or differ in modules
	StatusFrom Status   `json:"statusFrom"`       // as if the participant were open
	StatusTo   Status   `json:"statusTo"`
}

// Compare says what next does to somebody: the decision that it comes to, and
// how that differs from f.Prior, the decision in force under p. The participant
// counts as open, because what is released comes back with it. The job code of
// f is the one that next reads.
func (p *Policy) Compare(next *Policy, f Facts, now time.Time) (after Decision, class ChangeClass, c Change) {
	after = next.Decide(f, now)
	was, will := p.verdict(p.known(next, &f)), next.verdict(&f)
	open := f.Participant
	open.Status, open.Mode = "active", "live"
	before, then := f.Prior.At(now, open), after.At(now, open)

	c = Change{StatusFrom: before.Status, StatusTo: then.Status}
	from, to := held(was.role, &c.From), held(will.role, &c.To)
	c.Gains, c.Loses = lacking(from, to), lacking(to, from)
	c.Starts, c.Ends = lacking(before.Permissions, then.Permissions), lacking(then.Permissions, before.Permissions)
	if was.role != nil && will.role != nil {
		c.Gates = p.otherGates(next, was.role, will.role)
	}
	gains, loses := len(c.Gains) > 0, len(c.Loses)+len(c.Ends) > 0
	switch {
	case was.role != nil && will.role == nil:
		class = ChangeUnmapped
	case gains && loses:
		class = ChangeRole
	case loses:
		class = ChangeLose
	case gains:
		class = ChangeGain
	case c.From != c.To:
		class = ChangeRole
	case len(c.Gates) > 0:
		class = ChangeGates
	}
	return after, class, c
}

// known are facts without the job code when p reads it from another attribute
// than next, whose code f has.
func (p *Policy) known(next *Policy, f *Facts) *Facts {
	if p.jobCodes.attribute == next.jobCodes.attribute {
		return f
	}
	without := *f
	without.JobCode = ""
	return &without
}

func held(r *Role, name *string) []string {
	if r == nil {
		return nil
	}
	*name = r.Name
	return r.Permissions
}

// otherGates lists the gates in whose demands two roles differ.
func (p *Policy) otherGates(next *Policy, was, will *Role) []Gate {
	var out []Gate
	if !sameSet(p.demands(was), next.demands(will)) {
		out = append(out, GateTraining)
	}
	if p.needs(was, GateApproval) != next.needs(will, GateApproval) || !p.sameFallback(next, was, will) {
		out = append(out, GateApproval)
	}
	if p.needs(was, GateNPI) != next.needs(will, GateNPI) {
		out = append(out, GateNPI)
	}
	return out
}

// needs says whether a gate stands before a role's permissions.
func (p *Policy) needs(r *Role, gate Gate) bool { return len(r.Permissions) > 0 && p.asks(r, gate) }

// demands are the modules that stand before a role's permissions.
func (p *Policy) demands(r *Role) []string {
	if len(r.Permissions) == 0 {
		return nil
	}
	return p.training(r)
}

// sameFallback says whether the same holds until approval.
func (p *Policy) sameFallback(next *Policy, was, will *Role) bool {
	a, b := p.role(was.UntilApproved), next.role(will.UntilApproved)
	if a == nil || b == nil {
		return a == b
	}
	return p.sameDemands(next, a, b)
}

// sameDemands says whether two roles hold and ask for the same, but for what
// holds until approval.
func (p *Policy) sameDemands(next *Policy, a, b *Role) bool {
	return a.Name == b.Name && slices.Equal(a.Permissions, b.Permissions) && slices.Equal(p.demands(a), next.demands(b)) &&
		p.needs(a, GateApproval) == next.needs(b, GateApproval) && p.needs(a, GateNPI) == next.needs(b, GateNPI) &&
		sameSet(a.ParticipantTypes, b.ParticipantTypes)
}

// LeadsAlike says whether p and next lead somebody to the same row and the same
// role by title and job code, so that deciding again under next changes nothing
// but the version. Gates and evidence are not looked at, and no trace is written:
// it is for walks over everybody. What is carried through a change of role hangs
// on more, so such a prior decision is never alike; of f.Prior nothing else is
// read. The job code of f is the one that next reads.
func (p *Policy) LeadsAlike(next *Policy, f Facts) bool {
	if f.Prior.Transition || p.jobCodes.attribute != "" && p.jobCodes.attribute != next.jobCodes.attribute {
		return false
	}
	normal, ws, whole := readTitle(f.Title)
	a, b := p.lead(p.matchWords(normal, ws, whole), &f), next.lead(next.matchWords(normal, ws, whole), &f)
	switch {
	case a.Of == nil || b.Of == nil:
		return a.Of == nil && b.Of == nil && a.Why == b.Why
	case a.Of.title != b.Of.title || a.miss != b.miss || a.disagree != b.disagree || a.disagree && a.code.title != b.code.title:
		return false
	case (a.row == nil) != (b.row == nil) || a.row != nil && a.row.ID != b.row.ID:
		return false
	case a.role == nil:
		return p.titleReason(&f, &a) == next.titleReason(&f, &b)
	case p.partly(a.role) != next.partly(b.role) || p.partly(a.role) && p.wholeRole(a.role.Permissions, a.role, "") != next.wholeRole(b.role.Permissions, b.role, ""):
		return false
	}
	return p.sameDemands(next, a.role, b.role) && p.sameFallback(next, a.role, b.role)
}

// BreakGlass says whether a permission is among those whose gain by a policy
// change takes two people.
func (p *Policy) BreakGlass(gains []string) bool {
	return slices.ContainsFunc(gains, func(g string) bool { return slices.Contains(p.breakGlass, g) })
}

// Unguards lists the permissions that next no longer treats as privileged, or as
// emergency access. Such a change takes two people even while it touches nobody:
// the next one would not be asked about.
func (p *Policy) Unguards(next *Policy) []string {
	gone := lacking(next.breakGlass, p.breakGlass)
	for _, permission := range lacking(next.privileged, p.privileged) {
		gone = once(gone, permission)
	}
	return gone
}
