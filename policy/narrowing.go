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

// Within is the decision with a narrowing laid over it; nil changes nothing. It
// never adds a permission.
func (d Decision) Within(n *Narrowing) Decision {
	if n == nil || d.Status != StatusReleased || d.PolicyVersion >= n.Version {
		return d
	}
	d.Permissions = intersect(n.Permissions, d.Permissions)
	d.Role = n.Role
	d.RequestedRole = d.TitleRole
	if d.Role == d.TitleRole {
		d.RequestedRole = ""
	}
	d.Reason, d.Staff = "A "+narrowedReason+".", ""
	if len(d.Permissions) > 0 {
		return d
	}
	d.Permissions, d.Role, d.RequestedRole = nil, "", d.TitleRole
	d.Status = StatusSuspended
	d.Gates = slices.Clone(d.Gates)
	setGate(d.Gates, n.Gate, false, "a "+narrowedReason, nil)
	d.Reason = "Suspended: a " + narrowedReason + "."
	return d
}

const narrowedReason = "newer policy version gives this title less; the details are being worked out"
