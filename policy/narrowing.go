package policy

import "slices"

// Narrowing is what is left of a decision while a newer policy version is being
// carried out: everybody who loses by it has at most old ∩ new from the instant
// at which it came into force (product rule 12), and their own decision follows.
type Narrowing struct {
	Version     int64    `json:"version"`        // the policy version that narrows
	Permissions []string `json:"permissions"`    // at most these
	Role        string   `json:"role,omitempty"` // whose whole set they are, "" when none
	Gate        Gate     `json:"gate,omitempty"` // what closes, when nothing is left
}

// Narrowing is what is left of d once a policy version is in force under which
// after was decided; nil when that takes nothing away from what d has in force.
func (d Decision) Narrowing(after Decision, version int64) *Narrowing {
	if d.Status != StatusReleased || len(lacking(after.Permissions, d.Permissions)) == 0 {
		return nil
	}
	n := &Narrowing{Version: version, Permissions: intersect(after.Permissions, d.Permissions), Gate: GateTitle}
	if len(n.Permissions) == len(after.Permissions) {
		n.Role = after.Role
	}
	for _, g := range after.Gates {
		if !g.Open && g.Gate != GateParticipant { // that one is laid over every decision
			n.Gate = g.Gate
			break
		}
	}
	return n
}

// Within is the decision with a narrowing laid over it; nil changes nothing, and
// so does one that is older than the decision. It never adds a permission. At is
// laid over what it answers.
func (d Decision) Within(n *Narrowing) Decision {
	if n == nil || d.Status != StatusReleased || d.PolicyVersion >= n.Version {
		return d
	}
	left := intersect(n.Permissions, d.Permissions)
	if len(left) == len(d.Permissions) {
		return d
	}
	d.Permissions, d.Role = left, ""
	if len(left) == len(n.Permissions) && len(left) > 0 {
		d.Role = n.Role
	}
	d.RequestedRole = d.TitleRole
	if d.Role == d.TitleRole {
		d.RequestedRole = ""
	}
	d.Reason, d.Staff = "A "+narrowedReason+".", ""
	if len(left) > 0 {
		return d
	}
	d.Permissions, d.Status = nil, StatusSuspended
	d.Gates = slices.Clone(d.Gates)
	if !slices.ContainsFunc(d.Gates, func(g GateState) bool { return g.Gate == n.Gate }) {
		d.Gates = append(d.Gates, GateState{Gate: n.Gate}) // the newer version asks for it first
	}
	setGate(d.Gates, n.Gate, false, "a "+narrowedReason, nil)
	d.Reason = "Suspended: a " + narrowedReason + "."
	return d
}

const narrowedReason = "newer policy version gives this title less; the details are being worked out"
