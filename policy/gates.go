package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The sentences that leave the house and give nothing away (product rule 11).
const (
	outwardHold       = "Held by Healthix; call support"
	outwardEmailTaken = "This address cannot be used; give another or call Healthix"
)

// gates evaluates every gate that applies, in the fixed order, and says until
// when training and approval keep their gates open.
type gates struct {
	states   []GateState
	training *time.Time // earliest end of the role's valid modules; nil when none ends
	approval *time.Time // end of the approval, when one is asked for and given
	email    *time.Time // end of the evidence that opens gate email, when it takes one
}

func (p *Policy) gates(f Facts, m match, role *Role, now time.Time) gates {
	var g gates
	add := func(name Gate, open bool, reason string) *GateState {
		s := GateState{Gate: name, Open: open, Reason: reason}
		if !open {
			since := now
			if prior := f.Prior.Gate(name); !prior.Open && prior.Since != nil {
				since = *prior.Since
			}
			s.Since = &since
		}
		g.states = append(g.states, s)
		return &g.states[len(g.states)-1]
	}

	add(GateParticipant, f.Participant.Open(), participantReason(f.Participant))
	add(GateTitle, role != nil, titleReason(f, m, role))

	emailOpen, emailReason, emailStaff, emailEnds := emailGate(f, now)
	add(GateEmail, emailOpen, emailReason).Staff = emailStaff
	g.email = emailEnds

	mobileReason := "mobile number can receive text messages"
	_, fault := ParseMobile(f.Mobile, f.Region)
	if fault != "" {
		mobileReason = fault
	}
	add(GateMobile, fault == "", mobileReason)

	if role != nil && len(role.Permissions) > 0 {
		if p.asks(role, GateTraining) && len(role.Modules) > 0 {
			missing, ends := trained(role.Modules, f.Evidence, now)
			reason := "all required training is valid"
			if len(missing) > 0 {
				reason = "training missing: " + list(missing)
			}
			add(GateTraining, len(missing) == 0, reason).Missing = missing
			g.training = ends
		}
		if p.asks(role, GateApproval) {
			open, reason, ends := approved(f.Approvals, role.Name, m.Normal, now)
			add(GateApproval, open, reason)
			g.approval = ends
		}
		if p.asks(role, GateNPI) {
			open := ValidNPI(f.NPI)
			reason := "National Provider Identifier has a valid check digit"
			if !open {
				reason = "National Provider Identifier is missing or its check digit is wrong"
			}
			add(GateNPI, open, reason)
		}
	}

	hold := add(GateHold, len(f.Holds) == 0, "no hold")
	if len(f.Holds) > 0 {
		hold.Reason = outwardHold
		reasons := make([]string, len(f.Holds))
		for i, h := range f.Holds {
			reasons[i] = h.Reason
		}
		hold.Staff = "Held: " + strings.Join(reasons, "; ")
	}
	return g
}

// asks says whether a role has a gate, of its own or from the gates of every
// role with permissions.
func (p *Policy) asks(r *Role, gate Gate) bool {
	return slices.Contains(r.Gates, gate) || slices.Contains(p.common, gate)
}

func participantReason(s ParticipantState) string {
	switch {
	case s.Status != "active":
		return "the participant is suspended"
	case s.Mode != "live":
		return "the participant is not live yet"
	default:
		return "the participant is active and live"
	}
}

func titleReason(f Facts, m match, role *Role) string {
	switch {
	case role != nil:
		return fmt.Sprintf("title %q is %s", f.Title, m.Row.Title)
	case m.Row != nil:
		return m.Why
	case m.Normal == "":
		return "title is missing"
	default:
		return fmt.Sprintf("title %q %s", f.Title, m.Why)
	}
}

func emailGate(f Facts, now time.Time) (open bool, reason, staff string, ends *time.Time) {
	if f.Email == "" {
		return false, "e-mail address is missing", "", nil
	}
	if _, fault := ParseEmail(f.Email); fault != "" {
		return false, fault, "", nil
	}
	if !f.EmailTaken {
		return true, "e-mail address is this person's alone", "", nil
	}
	if best := longest(f.Evidence, GateEmail, "", now); best != nil {
		return true, "e-mail address was confirmed by Healthix", "", end(best)
	}
	return false, outwardEmailTaken, "the address is held by an older active user, perhaps at another participant", nil
}

func valid(e Evidence, now time.Time) bool {
	return !e.CompletedAt.After(now) && (e.ValidUntil.IsZero() || now.Before(e.ValidUntil))
}

// trained lists the modules without valid evidence, and the earliest end of the
// others.
func trained(modules []string, evidence []Evidence, now time.Time) (missing []string, ends *time.Time) {
	for _, module := range modules {
		best := longest(evidence, GateTraining, module, now)
		if best == nil {
			missing = append(missing, module)
			continue
		}
		ends = earlier(ends, end(best))
	}
	return missing, ends
}

// longest is the valid evidence that holds the longest, nil when there is none.
func longest(evidence []Evidence, gate Gate, module string, now time.Time) *Evidence {
	var best *Evidence
	for i := range evidence {
		e := &evidence[i]
		if e.Gate != gate || (gate == GateTraining && e.Module != module) || !valid(*e, now) {
			continue
		}
		if best == nil || e.ValidUntil.IsZero() || (!best.ValidUntil.IsZero() && e.ValidUntil.After(best.ValidUntil)) {
			best = e
		}
	}
	return best
}

func end(e *Evidence) *time.Time {
	if e.ValidUntil.IsZero() {
		return nil
	}
	until := e.ValidUntil
	return &until
}

// approved looks for the newest word on this role and normal title.
func approved(approvals []Approval, role, title string, now time.Time) (open bool, reason string, ends *time.Time) {
	var newest *Approval
	for i := range approvals {
		a := &approvals[i]
		if a.Role == role && a.Title == title && (newest == nil || a.At.After(newest.At) || (a.At.Equal(newest.At) && !a.Approved)) {
			newest = a
		}
	}
	switch {
	case newest == nil:
		return false, "approval by Healthix is missing", nil
	case !newest.Approved:
		return false, "approval was rejected by Healthix", nil
	case !newest.ValidUntil.IsZero() && !now.Before(newest.ValidUntil):
		return false, "approval has ended after a year and must be given again", nil
	case newest.ValidUntil.IsZero():
		return true, "approved by Healthix", nil
	default:
		until := newest.ValidUntil
		return true, "approved by Healthix", &until
	}
}

// earlier answers the earlier of two ends; nil is no end.
func earlier(a, b *time.Time) *time.Time {
	switch {
	case a == nil:
		return b
	case b == nil || a.Before(*b):
		return a
	default:
		return b
	}
}

// list writes "a", "a and b", "a, b and c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
