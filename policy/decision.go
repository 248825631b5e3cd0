package policy

import "time"

// Status is what a user's access comes to. The zero value grants nothing.
type Status string

// The five access statuses, in the order in which the rules ask for them
// (the first that holds wins).
const (
	StatusRevoked    Status = "revoked"
	StatusIneligible Status = "ineligible"
	StatusReleased   Status = "released"
	StatusSuspended  Status = "suspended"
	StatusPending    Status = "pending"
)

// Gate names a condition that must hold before access is released.
type Gate string

// The gates. Participant, title, email, mobile and hold are evaluated for
// everybody; training, approval and npi only when the title's role is known.
const (
	GateParticipant Gate = "participant"
	GateTitle       Gate = "title"
	GateEmail       Gate = "email"
	GateMobile      Gate = "mobile"
	GateTraining    Gate = "training"
	GateApproval    Gate = "approval"
	GateNPI         Gate = "npi"
	GateHold        Gate = "hold"
)

// NoAccess is the role that a title may map to and that holds no permission.
const NoAccess = "no-access"

// ParticipantState is what a decision needs to know of the participant now.
// It is joined to a user at every read, so that suspending a participant
// changes no user row.
type ParticipantState struct {
	Type     string     `json:"type"`
	Status   string     `json:"status"` // active, suspended
	Mode     string     `json:"mode"`   // observe, live
	Version  int64      `json:"version"`
	ClosedAt *time.Time `json:"closedAt,omitempty"` // when it last stopped being open

	// Recovering: the database was restored from a backup, and the identity
	// provider has not told of everybody since.
	Recovering bool `json:"recovering,omitempty"`
}

// Open says whether gate participant is open: active, live, and not recovering.
func (p ParticipantState) Open() bool {
	return p.Status == "active" && p.Mode == "live" && !p.Recovering
}

// Facts is everything a decision rests on; Decide reads nothing else.
type Facts struct {
	Participant ParticipantState

	Active  bool // the identity provider's word
	Deleted bool

	Title      string // as sent
	Department string
	UserType   string
	NPI        string
	JobCode    string // of the attribute that the policy names, "" when none was sent

	Email      string // gate address, "" when none was sent
	EmailTaken bool   // an older active user elsewhere holds the address
	Mobile     string // gate number as sent, "" when none was sent
	Region     string // default region for Mobile, "" means US

	Holds     []Hold
	Evidence  []Evidence // revoked evidence is left out by the caller
	Approvals []Approval // ended approvals are left out by the caller

	// Prior is the decision in force until now; the zero value for a new user
	// and after a reactivation or a rehire.
	Prior Decision
}

// Hold keeps access closed until it is lifted. Its text is for staff only.
type Hold struct {
	ID     string    `json:"id"`
	Reason string    `json:"reason"`
	Since  time.Time `json:"since"`
}

// Evidence is a dated fact for one training module, or for one gate.
type Evidence struct {
	ID          string    `json:"id"`
	Gate        Gate      `json:"gate"`             // training, or email (opened by an operator)
	Module      string    `json:"module,omitempty"` // with gate training
	CompletedAt time.Time `json:"completedAt"`
	ValidUntil  time.Time `json:"validUntil"` // zero: no end
}

// Approval is a decision of a second person for one role and one normal title.
type Approval struct {
	ID         string    `json:"id"`
	Approved   bool      `json:"approved"` // false: rejected
	Role       string    `json:"role"`
	Title      string    `json:"title"` // normal form
	At         time.Time `json:"at"`
	ValidUntil time.Time `json:"validUntil"`
}

// GateState is one gate as it was found.
type GateState struct {
	Gate    Gate       `json:"gate"`
	Open    bool       `json:"open"`
	Reason  string     `json:"reason"`            // outward sentence; safe for the participant
	Staff   string     `json:"staff,omitempty"`   // sentence for Healthix staff, when it differs
	Since   *time.Time `json:"since,omitempty"`   // closed since
	Missing []string   `json:"missing,omitempty"` // module ids, gate training only
}

// Step is one line of a decision's trace.
type Step struct {
	Step   string `json:"step"`   // normalize, synonym, guard, row, overlay, jobCode, gate, transition, status
	Detail string `json:"detail"` // what was seen and what followed
}

// Decision is who may do what, and the trace that led there. The zero value is
// closed. It is stored with every version of a user and computed as if the
// participant were open for people already released; At lays the participant's
// state and the clock over it for every reader.
type Decision struct {
	Status            Status      `json:"status"`
	Role              string      `json:"role,omitempty"`          // role whose whole set is in force
	Permissions       []string    `json:"permissions"`             // in force
	TitleRole         string      `json:"titleRole,omitempty"`     // that title and job code lead to; of several in part, the title's
	RequestedRole     string      `json:"requestedRole,omitempty"` // TitleRole while it is not wholly in force
	NormalTitle       string      `json:"normalTitle,omitempty"`
	Rule              string      `json:"rule,omitempty"`         // deciding row, e.g. title:registered-nurse
	JobCodeTitle      string      `json:"jobCodeTitle,omitempty"` // what the job code stands for, when it disagrees with the title
	Gates             []GateState `json:"gates"`
	Transition        bool        `json:"transition,omitempty"` // Permissions are carried from an earlier role
	StandsOn          []string    `json:"standsOn,omitempty"`   // modules whose evidence keeps Permissions in force
	ValidUntil        *time.Time  `json:"validUntil,omitempty"` // access ends at this instant
	TrainingExpiresAt *time.Time  `json:"trainingExpiresAt,omitempty"`
	WasReleased       bool        `json:"wasReleased,omitempty"` // since the last create, reactivation or rehire
	PolicyVersion     int64       `json:"policyVersion"`
	DecidedAt         time.Time   `json:"decidedAt"`
	ClosedSeen        *time.Time  `json:"closedSeen,omitempty"` // the participant's last closing that it knew of
	Reason            string      `json:"reason"`               // one outward English sentence
	Staff             string      `json:"staff,omitempty"`      // the sentence for staff, when it differs
	Trace             []Step      `json:"trace,omitempty"`
}

// ClosedGates lists the names of the closed gates in evaluation order.
func (d Decision) ClosedGates() []string {
	closed := []string{}
	for _, g := range d.Gates {
		if !g.Open {
			closed = append(closed, string(g.Gate))
		}
	}
	return closed
}

// Gate finds one gate's state; the zero state is closed.
func (d Decision) Gate(name Gate) GateState {
	for _, g := range d.Gates {
		if g.Gate == name {
			return g
		}
	}
	return GateState{Gate: name}
}
