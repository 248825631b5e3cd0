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
	ClosedAt *time.Time // when it last stopped being open
	Version  int64
	Created  time.Time
	Changed  time.Time

	// Recovering is when the database was restored; nil once the identity
	// provider has told of everybody since, or an operator opened it.
	Recovering *time.Time
}

// State is what decisions need of the participant.
func (p Participant) State() policy.ParticipantState {
	return policy.ParticipantState{Type: p.Type, Status: p.Status, Mode: p.Mode, Version: p.Version, ClosedAt: p.ClosedAt, Recovering: p.Recovering != nil}
}

// Settings are a participant's own choices. The zero value is the default.
type Settings struct {
	SSO              bool     `json:"sso,omitempty"`              // release confirms access and sends no credential
	Profile          string   `json:"profile,omitempty"`          // auto (default), strict
	RateLimit        string   `json:"rateLimit,omitempty"`        // "200/1000"; "" means the server's
	SharedExternalID bool     `json:"sharedExternalId,omitempty"` // externalId need not be unique
	Contacts         []string `json:"contacts,omitempty"`         // e-mail addresses
	Breaker          string   `json:"breaker,omitempty"`          // "" for the usual limits, off, or limits: 25/10/50/30
	Digest           string   `json:"digest,omitempty"`           // "" for weekly, off
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
	Erased       *time.Time // everything personal is gone; deleted too

	// ParticipantState and Narrowing are joined at every read and never written
	// with the user.
	ParticipantState policy.ParticipantState
	Narrowing        *policy.Narrowing // what a newer policy version leaves; nil when it takes nothing
}

// Access is the decision as it holds at an instant, with the participant's
// state and a policy change under way laid over it. Every reader shows this,
// never Decision itself.
func (u User) Access(now time.Time) policy.Decision {
	return u.Decision.Within(u.Narrowing).At(now, u.ParticipantState)
}

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
	Revoked     *time.Time // by itself, or with its client
	LastUsed    *time.Time
	Client      string // the OAuth client that fetched it, "" when it was issued by hand
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

// PolicyVersion is a policy document on record: the policy of all, or a
// participant's overlay. A number names everything that was in force with it:
// the newest document of all and the newest overlay of each, up to that number.
type PolicyVersion struct {
	Version     int64  // from 1, gapless
	Participant string // whose overlay it is, "" for the policy of all
	Digest      string
	Document    []byte
	Applied     time.Time
	Actor       string
	Plan        string // that was applied, "" for the first
}

// PolicyState is which policy is in force, and which one is about to be.
type PolicyState struct {
	Version int64  // 0 before the first
	Pending string // the plan that is being applied, "" when none is
}

// Plan is a policy change: what it would do, and how far it has come.
type Plan struct {
	ID          string
	Participant string // whose overlay changes, "" for the policy of all
	Base        int64  // the version it was compared with
	Document    []byte
	Digest      string
	State       string // computing, ready, scheduled, applying, applied, refused
	Summary     []byte // JSON: counts, classes of change, by participant
	Origin      string // how the document came about: "", rollback of version 3, draft …
	Note        string // why it was refused
	Actor       string
	Token       string // jti by which the actor proved who they are, "" for a command
	Created     time.Time
	Confirmed   *time.Time
	ConfirmedBy string
	At          *time.Time // when it is to come into force
	AppliedBy   string
	Version     int64      // under which it came into force, 0 when it did not
	Carried     *time.Time // when everybody concerned was decided again; its effects narrow nobody any more
	Changed     time.Time
	Holder      string     // process that works on it, "" for none
	HeldUntil   *time.Time // when its lease ends
	Row         int64      // version of this row, from 1
}

// PlanPerson is somebody whom a plan would touch. It holds ids and words of the
// policy only; names are looked up when it is shown.
type PlanPerson struct {
	User        string
	Participant string
	Class       string // gain, lose, change, unmapped, gates
	Change      policy.Change
}

// PlanQuery asks for the people of a plan, by user id.
type PlanQuery struct {
	Plan        string
	Class       string // "" for all
	Participant string // "" for all
	After       string // user id
	Limit       int
}

// Effect is what a plan that is being applied, or was, does to somebody.
type Effect struct {
	User      string
	Narrowing *policy.Narrowing // nil when nothing that is in force is lost
}

// Titled is what a policy reads of a user, without the document: for walks over
// everybody.
type Titled struct {
	ID            string
	Participant   string
	Type          string // of the participant
	Title         string
	Department    string
	UserType      string
	NPI           string
	JobCode       string
	Active        bool
	Status        policy.Status // as decided
	Rule          string        // of the decision
	TitleRole     string        // of the decision
	Transition    bool
	PolicyVersion int64
}

// TitledQuery asks for a page of undeleted, active users by id.
type TitledQuery struct {
	Participant string   // "" for all
	JobCode     []string // path in the document, nil for none
	After       string   // id
	Limit       int
}

// Case is a user with everything that a decision rests on.
type Case struct {
	User       User
	EmailTaken bool // somebody else holds the address
	Evidence   []Evidence
	Approvals  []Approval
	Holds      []Hold
}

// WaitingTitle is a title that no row of the policy answers, or that disagrees
// with its people's job code.
type WaitingTitle struct {
	Key          string // normal form, "" when the title is missing
	Title        string // an example as sent
	Department   string // the one that most of its people have, "" when none has
	People       int
	Participants int
	Since        time.Time
	Disagrees    string // what the job code of some stands for; "" when the title is unmapped
}

// TitlePeers counts, for one waiting title, the rules by which people of the
// same participant and department were decided.
type TitlePeers map[string]int

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
	Body      []byte // what Digest covers: JSON of what is not personal, and the digest of what is; empty where it was one whole and is erased
	Digest    string
	Erased    bool // what was personal is gone
	Kept      User // both halves, read; without what readers join
}

// EntryRow is one audit entry as it was kept.
type EntryRow struct {
	ID          string
	At          time.Time
	Participant string
	User        string
	Actor       string // subject, or jti where there is none
	Action      string
	Canonical   []byte
	Hash        string
}
