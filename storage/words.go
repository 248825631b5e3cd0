package storage

import (
	"encoding/json"
	"time"

	"github.com/healthix/healthix-scim/policy"
)

// Document is a SCIM resource as it was sent: canonical attribute names,
// numbers as json.Number, extensions under their URN; without id, meta,
// groups, password and the read-only attributes.
type Document map[string]any

// Participant is an organization whose staff are provisioned.
type Participant struct {
	ID       string // slug
	Name     string
	Type     string // standard, health-plan, cbo, government
	Status   string // active, suspended
	Mode     string // observe, live
	Settings Settings
	Reason   string     // staff text of the last suspension
	ClosedAt *time.Time // when it last stopped being active and live
	Version  int64
	Created  time.Time
	Changed  time.Time
}

// State is what decisions need of the participant.
func (p Participant) State() policy.ParticipantState {
	return policy.ParticipantState{Type: p.Type, Status: p.Status, Mode: p.Mode, Version: p.Version, ClosedAt: p.ClosedAt}
}

// Settings are a participant's own choices. The zero value is the default.
type Settings struct {
	SSO              bool     `json:"sso,omitempty"`              // release confirms access and sends no credential
	Profile          string   `json:"profile,omitempty"`          // auto (default), strict
	RateLimit        string   `json:"rateLimit,omitempty"`        // "200/1000"; "" means the server's
	SharedExternalID bool     `json:"sharedExternalId,omitempty"` // externalId need not be unique
	Contacts         []string `json:"contacts,omitempty"`         // e-mail addresses
}

// Strict says whether the participant asked for the letter of the RFCs.
func (s Settings) Strict() bool { return s.Profile == "strict" }

// User is one SCIM User at one participant.
type User struct {
	ID          string
	Participant string
	Version     int64

	UserName    string
	UserNameKey string // prepared for comparison (PRECIS, case-mapped)
	ExternalID  string
	// ExternalShared: externalId need not be unique (a participant's setting).
	ExternalShared bool
	DisplayName    string
	GivenName      string
	FamilyName     string
	Email          string // gate address as sent
	EmailKey       string // case-folded
	Mobile         string // E.164, "" when missing or not valid
	Title          string // as sent
	TitleKey       string // normal form, "" when missing
	Department     string
	Active         bool

	Document Document
	// Fold is the document prepared for comparison: attribute names
	// lower-cased, caseExact=false strings folded, instants canonical. The SCIM
	// engine makes it; filters on attributes without a column read it.
	Fold json.RawMessage

	Decision         policy.Decision // as decided, read without its trace; readers want Access
	HealthixUsername string
	ClinicalAlerts   string     // none, alerts, alerts-plus: as requested
	ReleasedAt       *time.Time // since the last create, reactivation or rehire
	ClosedAt         *time.Time // last time access was suspended or revoked
	InvitedAt        *time.Time

	Created      time.Time
	LastModified time.Time // moves only when the document changes
	Deleted      *time.Time

	// ParticipantState is joined at every read and never written with the user.
	ParticipantState policy.ParticipantState
}

// Access is the decision as it holds at an instant, with the participant's
// state laid over it. Every reader shows this, never Decision itself.
func (u User) Access(now time.Time) policy.Decision { return u.Decision.At(now, u.ParticipantState) }

// Group is a SCIM Group. Groups grant nothing.
type Group struct {
	ID             string
	Participant    string
	Version        int64
	DisplayName    string
	DisplayNameKey string
	ExternalID     string
	Document       Document // without members
	Fold           json.RawMessage
	Created        time.Time
	LastModified   time.Time
	Deleted        *time.Time
}

// Member is one membership row.
type Member struct {
	ID   string // of a user or a group of the same participant
	Type string // User, Group
	// Display is joined at read: the member's displayName or userName.
	Display string
}

// Membership is a group seen from a member.
type Membership struct {
	GroupID  string
	Display  string
	Indirect bool
}

// MemberChange is a set-based delta; its cost is its own size, not the group's.
type MemberChange struct {
	Clear  bool // first remove all
	Add    []Member
	Remove []string
}

// Empty says whether the delta asks for nothing.
func (c MemberChange) Empty() bool { return !c.Clear && len(c.Add) == 0 && len(c.Remove) == 0 }

// Token is a token on record. The secret part exists only in the token itself.
type Token struct {
	ID          string // jti
	Participant string // "" for all
	Scope       string // scim, aum, operator, auditor, portal
	Subject     string
	Label       string
	Issued      time.Time
	IssuedBy    string
	Expires     time.Time
	Revoked     *time.Time
	LastUsed    *time.Time
}

// Evidence is a dated fact about a user, with its source.
type Evidence struct {
	policy.Evidence
	User        string
	Participant string
	Source      string // webinar, lms, import, operator
	Note        string
	Actor       string // subject of who recorded it
	Recorded    time.Time
	Revoked     *time.Time
	RevokedWhy  string
}

// Approval is a second person's decision about a user.
type Approval struct {
	policy.Approval
	User        string
	Participant string
	Actor       string
	Reason      string
	Ended       *time.Time
}

// Hold keeps a user closed.
type Hold struct {
	policy.Hold
	User        string
	Participant string
	Actor       string
	Lifted      *time.Time
}

// Activation is a one-time link on record; the code itself is never stored.
type Activation struct {
	ID          string
	User        string
	Participant string
	CodeHash    []byte // SHA-256 of the code; unique
	Issued      time.Time
	Expires     time.Time
	Voided      *time.Time // replaced by a newer link, or the address changed
	ClosedSeen  *time.Time // the participant's last closing when it was issued
	Redeemed    *time.Time
	RedeemKey   string // SHA-256 hex of the Idempotency-Key it was redeemed with
}

// PolicyVersion is a policy document on record.
type PolicyVersion struct {
	Version  int64 // from 1, gapless
	Digest   string
	Document []byte
	Applied  time.Time
	Actor    string
}

// WaitingTitle is a title that no row of the policy answers.
type WaitingTitle struct {
	Key          string // normal form, "" when the title is missing
	Title        string // an example as sent
	People       int
	Participants int
	Since        time.Time
}

// Job is a piece of work promised by a deed.
type Job struct {
	ID       int64
	Kind     string
	Key      string // one live job per kind and key
	Subject  string // id the job is about; never personal data
	State    string // available, running, retryable, completed, discarded, cancelled, scheduled
	Attempt  int
	Errors   []string
	Created  time.Time
	Schedule time.Time
}

// HistoryRow is one version of a user as it was kept.
type HistoryRow struct {
	User      string
	Version   int64
	ValidFrom time.Time
	Body      []byte // JSON of the user row
	Digest    string
}

// EntryRow is one audit entry as it was kept.
type EntryRow struct {
	ID          string
	At          time.Time
	Participant string
	User        string
	Action      string
	Canonical   []byte
	Hash        string
}
