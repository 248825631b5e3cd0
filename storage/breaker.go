package storage

import (
	"encoding/json"
	"time"

	"github.com/healthix/healthix-scim/policy"
)

// Loss is that a participant's own write took access or active from a user, or
// that a review there ended without anybody's word on them. Its
// row is forgotten a day later, unless a case holds it.
type Loss struct {
	User        string
	Participant string
	Version     int64     // of the user before the write
	At          time.Time // of the write; the user's LastModified after it
	Prior       time.Time // the user's LastModified before it
	Kind        string    // access, active, deleted
	Case        string    // that stages it, "" for none
	Outcome     string    // "" while it is staged
	Why         string    // it was not restored
	Before      *Preimage // nil once it came to an outcome
}

// What becomes of a user whom a case stages.
const (
	OutcomeRestored = "restored"
	OutcomeListed   = "listed" // not restored, and the case says why
	OutcomeExcepted = "excepted"
)

// Preimage is what a restore needs of a user as they were before a loss; what a
// deed never takes (id, username, evidence, others' holds) stays with the user.
type Preimage struct {
	Document       Document        `json:"document"`
	Fold           json.RawMessage `json:"fold"`
	Decision       policy.Decision `json:"decision"` // without its trace: role and permissions in force
	ClinicalAlerts string          `json:"clinicalAlerts"`
	Approvals      []string        `json:"approvals,omitempty"` // ids of those that the write ended
	Evidence       []string        `json:"evidence,omitempty"`  // ids of what the write ended with the address it was given for
	Groups         []string        `json:"groups,omitempty"`    // ids of those that a deletion left
	Holds          []string        `json:"holds,omitempty"`     // ids of those that the deed placed
}

// BreakerCase is that a participant's breaker tripped. At most one of a
// participant is open.
type BreakerCase struct {
	ID          string
	Participant string
	Opened      time.Time
	Since       time.Time // losses after this instant are staged
	Threshold   string    // which one was crossed, as a sentence's part
	People      int       // distinct users who lost when it tripped
	Base        int       // distinct users active at any time in the window
	RestoreAt   *time.Time
	RestoreBy   string
	Except      []string // ids that the restore leaves out
	Closed      *time.Time
	ClosedBy    string
	Outcome     string // "" while it is open; restored, accepted, expired
	Restored    int
	Listed      []Listed // who was not restored, and why
	Row         int64    // version of this row, from 1
}

// Listed is a user whom a restore did not bring back.
type Listed struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// Tally is how many users a case stages, and what became of how many.
type Tally struct {
	Staged   int
	Restored int
	Listed   int
	Excepted int
}
