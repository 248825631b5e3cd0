package policy

import (
	"slices"
	"time"
)

// At is the decision as every reader sees it at an instant: the participant's
// state and the clock are laid over what was decided. It never adds a
// permission. When nothing applies it answers d itself, without allocating.
func (d Decision) At(now time.Time, p ParticipantState) Decision {
	open := p.Open()
	if gate := d.Gate(GateParticipant); gate.Open != open {
		d.Gates = slices.Clone(d.Gates)
		setGate(d.Gates, GateParticipant, open, participantReason(p), p.ClosedAt)
	}
	if d.Status != StatusReleased {
		return d
	}
	switch {
	case !open:
		d.Reason = "Suspended: " + participantReason(p) + "."
	case d.ValidUntil != nil && !now.Before(*d.ValidUntil):
		// Training is what usually ends; what ended is named when the next
		// decision is made, moments later.
		ended := "training or approval has expired"
		if d.Transition {
			ended = "what was kept during a change has ended: training or approval has expired, or the days of grace are over"
		}
		d.Gates = slices.Clone(d.Gates)
		setGate(d.Gates, GateTraining, false, ended, d.ValidUntil)
		d.Reason = "Suspended: " + ended + "."
	case endedMeanwhile(&d, p):
		d.Reason = "Suspended: what was kept during the change of role ended when the participant was closed."
	default:
		return d
	}
	d.Staff = ""
	d.Status = StatusSuspended
	d.Permissions = nil
	d.Role = ""
	d.RequestedRole = d.TitleRole
	return d
}

func setGate(gates []GateState, name Gate, open bool, reason string, since *time.Time) {
	for i := range gates {
		if gates[i].Gate == name {
			gates[i] = GateState{Gate: name, Open: open, Reason: reason, Missing: gates[i].Missing}
			if !open {
				gates[i].Since = since
			}
		}
	}
}
