package policy

import (
	"slices"
	"strings"
	"time"
)

// The sentences that leave the house and give nothing away (product rule 11).
const (
	outwardHold       = "Held by Healthix; call support"
	outwardEmailTaken = "This address cannot be used; give another or call Healthix"
)

// gates are every gate that applies, in the fixed order, and until when training,
// approval and evidence for the address keep them open; zero is no end.
type gates struct {
	states   []GateState
	training time.Time // earliest end of the role's valid modules
	approval time.Time
	email    time.Time
}

// gates evaluates the gates and writes each into the trace, with the evidence
// that it stands on.
func (p *Policy) gates(f *Facts, a *verdict, now time.Time, t *trace) gates {
	g := gates{states: make([]GateState, 0, len(allGates))}
	role := a.role
	g.add(f, now, t, GateState{Gate: GateParticipant, Open: f.Participant.Open(), Reason: participantReason(f.Participant)})
	t.end("gate")
	g.add(f, now, t, GateState{Gate: GateTitle, Open: role != nil, Reason: p.titleReason(f, a)})
	t.end("gate")

	email, confirmed := emailGate(f, now)
	g.add(f, now, t, email)
	if confirmed != nil {
		t.say("; evidence ", confirmed.ID)
		t.until(confirmed.ValidUntil)
		g.email = confirmed.ValidUntil
	}
	t.end("gate")

	mobile := GateState{Gate: GateMobile, Reason: "mobile number can receive text messages"}
	if _, fault := ParseMobile(f.Mobile, f.Region); fault == "" {
		mobile.Open = true
	} else {
		mobile.Reason = fault
	}
	g.add(f, now, t, mobile)
	t.end("gate")

	if role != nil && len(role.Permissions) > 0 {
		if modules := p.training(role); len(modules) > 0 {
			training := GateState{Gate: GateTraining, Reason: "all required training is valid"}
			training.Missing, g.training = trained(modules, f.Evidence, now)
			training.Open = len(training.Missing) == 0
			if !training.Open {
				training.Reason = "training missing: " + list(training.Missing)
			}
			g.add(f, now, t, training)
			t.training(modules, f.Evidence, now)
			t.end("gate")
		}
		if p.asks(role, GateApproval) {
			newest, open, reason := approved(f.Approvals, role.Name, a.Normal, now)
			g.add(f, now, t, GateState{Gate: GateApproval, Open: open, Reason: reason})
			if open {
				t.say("; approval ", newest.ID)
				t.until(newest.ValidUntil)
				g.approval = newest.ValidUntil
			}
			t.end("gate")
		}
		if p.asks(role, GateNPI) {
			npi := GateState{Gate: GateNPI, Open: ValidNPI(f.NPI), Reason: "National Provider Identifier has a valid check digit"}
			if !npi.Open {
				npi.Reason = "National Provider Identifier is missing or its check digit is wrong"
			}
			g.add(f, now, t, npi)
			t.end("gate")
		}
	}

	hold := GateState{Gate: GateHold, Open: len(f.Holds) == 0, Reason: "no hold"}
	if !hold.Open {
		hold.Reason = outwardHold
		reasons := make([]string, len(f.Holds))
		for i, h := range f.Holds {
			reasons[i] = h.Reason
		}
		hold.Staff = "Held: " + strings.Join(reasons, "; ")
	}
	g.add(f, now, t, hold)
	t.end("gate")
	return g
}

// add keeps a gate as it was found, closed since it was first found closed, and
// begins its step.
func (g *gates) add(f *Facts, now time.Time, t *trace, s GateState) {
	if !s.Open {
		since := now
		if prior := f.Prior.Gate(s.Gate); !prior.Open && prior.Since != nil {
			since = *prior.Since
		}
		s.Since = &since
	}
	g.states = append(g.states, s)
	t.say(string(s.Gate), " ", openOrClosed(s.Open), ": ", s.Reason)
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
	case s.Recovering:
		return "the database was restored, and the participant's identity provider has not told of everybody since"
	default:
		return "the participant is active and live"
	}
}

// emailGate answers the evidence too, when that is what opens the gate.
func emailGate(f *Facts, now time.Time) (GateState, *Evidence) {
	s := GateState{Gate: GateEmail}
	if f.Email == "" {
		s.Reason = "e-mail address is missing"
		return s, nil
	}
	if _, fault := ParseEmail(f.Email); fault != "" {
		s.Reason = fault
		return s, nil
	}
	if !f.EmailTaken {
		s.Open, s.Reason = true, "e-mail address is this person's alone"
		return s, nil
	}
	if best := longest(f.Evidence, GateEmail, "", now); best != nil {
		s.Open, s.Reason = true, "e-mail address was confirmed by Healthix"
		return s, best
	}
	s.Reason, s.Staff = outwardEmailTaken, "the address is held by an older active user, perhaps at another participant"
	return s, nil
}

func valid(e Evidence, now time.Time) bool {
	return !e.CompletedAt.After(now) && (e.ValidUntil.IsZero() || now.Before(e.ValidUntil))
}

// trained lists the modules without valid evidence, and the earliest end of the
// others.
func trained(modules []string, evidence []Evidence, now time.Time) (missing []string, ends time.Time) {
	for _, module := range modules {
		best := longest(evidence, GateTraining, module, now)
		if best == nil {
			missing = append(missing, module)
			continue
		}
		ends = earlier(ends, best.ValidUntil)
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

// approved answers the newest word on this role and normal title, and whether it
// opens the gate.
func approved(approvals []Approval, role, title string, now time.Time) (newest *Approval, open bool, reason string) {
	for i := range approvals {
		a := &approvals[i]
		if a.Role == role && a.Title == title && (newest == nil || a.At.After(newest.At) || (a.At.Equal(newest.At) && !a.Approved)) {
			newest = a
		}
	}
	switch {
	case newest == nil:
		return nil, false, "approval by Healthix is missing"
	case !newest.Approved:
		return newest, false, "approval was rejected by Healthix"
	case !newest.ValidUntil.IsZero() && !now.Before(newest.ValidUntil):
		return newest, false, "approval has ended after a year and must be given again"
	default:
		return newest, true, "approved by Healthix"
	}
}

// earlier answers the earlier of two ends; zero is no end.
func earlier(a, b time.Time) time.Time {
	switch {
	case a.IsZero():
		return b
	case b.IsZero() || a.Before(b):
		return a
	default:
		return b
	}
}

// instant is an end as decisions keep it: nil for none.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	end := t // t itself stays off the heap when there is no end
	return &end
}

// list writes "a", "a and b", "a, b and c".
func list(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
