// Package storage is the promise that a store keeps, in our words only. It
// knows no SQL, opens no connection and decides nothing.
package storage

import (
	"context"
	"errors"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/policy"
)

// What a store may answer instead of a value.
var (
	// ErrNotFound: a Get missed.
	ErrNotFound = errors.New("not found")
	// ErrStale: the row moved since it was read. Write runs the function again
	// a few times before it answers this.
	ErrStale = errors.New("changed meanwhile")
	// ErrUnavailable: the database cannot be reached, or is too busy.
	ErrUnavailable = errors.New("database unavailable")
)

// ConflictError says that a value is taken. Attribute is in SCIM's words
// (userName, externalId, displayName) or "id", "username", "email".
type ConflictError struct{ Attribute string }

func (e *ConflictError) Error() string { return e.Attribute + " is already in use" }

// Store keeps everything. Its own Reader methods see committed state; one that
// takes several statements (a list and its total, nested memberships) may see a
// commit between them.
type Store interface {
	Reader

	// Write runs f in one transaction and commits when f returns nil. f may run
	// more than once, so it touches only its Tx and locals; it reads first
	// (locking what will change), then writes; a conflict may show only at the
	// end, as the error of Write. A panic in f rolls back and goes on.
	Write(ctx context.Context, f func(ctx context.Context, tx Tx) error) error

	// Work runs promised jobs until ctx ends, several at once, and returns when
	// the running ones have ended. do must be idempotent; an error is retried
	// with back-off, an ErrGiveUp never.
	Work(ctx context.Context, do func(ctx context.Context, job Job) error) error

	// TouchTokens records last uses, by jti; best effort, outside any deed.
	TouchTokens(ctx context.Context, used map[string]time.Time) error

	// AppendRequests keeps rows of the request log, outside any deed. Rows that
	// are kept already stay, so that a batch may be sent again.
	AppendRequests(ctx context.Context, rows []RequestRow) error
	// DeleteRequests forgets at most limit rows from before an instant and
	// answers how many.
	DeleteRequests(ctx context.Context, before time.Time, limit int) (int, error)

	// Beat is a server's sign of life. It answers how many servers gave one in
	// the last 15 seconds, this one included.
	Beat(ctx context.Context, node string) (alive int, err error)

	// RetryJob makes a job available now.
	RetryJob(ctx context.Context, id int64) error

	// Instance is the id fixed at the first migration: the tokens' issuer.
	Instance(ctx context.Context) (string, error)

	// Ready says whether database and schema answer.
	Ready(ctx context.Context) error
	Close() error
}

// ErrGiveUp wraps a job's error that no retry can mend.
var ErrGiveUp = errors.New("give up")

// Reader looks things up. Get must hit (ErrNotFound), Find may miss, List may
// be empty. A participant of "" means all. Deleted users and groups are not
// found unless said otherwise.
type Reader interface {
	GetParticipant(ctx context.Context, id string) (Participant, error)
	ListParticipants(ctx context.Context) ([]Participant, error)

	GetUser(ctx context.Context, participant, id string) (User, error)
	// GetTrace answers how a user's stored decision came about: it is the half
	// of a decision that few ask for, and no other method reads it.
	GetTrace(ctx context.Context, participant, id string) ([]policy.Step, error)
	FindUserName(ctx context.Context, participant, userNameKey string) (User, bool, error)
	FindExternalID(ctx context.Context, participant, externalID string) (User, bool, error)
	FindHealthixUsername(ctx context.Context, username string) (User, bool, error)
	// ListUsers answers rows and, when asked, the total.
	ListUsers(ctx context.Context, q Query) ([]User, int, error)
	// ListEmailHolders answers active, undeleted users with this gate address,
	// of all participants, oldest first.
	ListEmailHolders(ctx context.Context, emailKey string) ([]User, error)

	GetGroup(ctx context.Context, participant, id string) (Group, error)
	ListGroups(ctx context.Context, q Query) ([]Group, int, error)
	ListMembers(ctx context.Context, group string) ([]Member, error)
	CountMembers(ctx context.Context, group string) (int, error)
	// ListMemberships answers the groups that hold each of the users, direct
	// and indirect (cycle-safe).
	ListMemberships(ctx context.Context, participant string, users []string) (map[string][]Membership, error)
	// FindMembers says which of the ids are live users or groups of the
	// participant, and which of the two.
	FindMembers(ctx context.Context, participant string, ids []string) (map[string]string, error)

	GetToken(ctx context.Context, id string) (Token, error)
	ListTokens(ctx context.Context, participant string) ([]Token, error)

	ListEvidence(ctx context.Context, user string) ([]Evidence, error) // revoked ones too
	ListApprovals(ctx context.Context, user string) ([]Approval, error)
	ListHolds(ctx context.Context, user string) ([]Hold, error)
	ListActivations(ctx context.Context, user string) ([]Activation, error) // newest first
	GetActivation(ctx context.Context, id string) (Activation, error)
	FindActivation(ctx context.Context, codeHash []byte) (Activation, bool, error)

	// CurrentPolicy answers the version in force; ErrNotFound before the first.
	CurrentPolicy(ctx context.Context) (PolicyVersion, error)
	// CurrentPolicyVersion answers its number alone, 0 before the first.
	CurrentPolicyVersion(ctx context.Context) (int64, error)
	GetPolicy(ctx context.Context, version int64) (PolicyVersion, error)
	ListPolicies(ctx context.Context) ([]PolicyVersion, error) // without documents
	ListWaitingTitles(ctx context.Context, participant string) ([]WaitingTitle, error)

	// ListExpired answers released users whose validUntil has passed and who
	// were not decided again since, oldest first.
	ListExpired(ctx context.Context, now time.Time, limit int) ([]User, error)

	ListHistory(ctx context.Context, user string) ([]HistoryRow, error)   // oldest first
	ListEntries(ctx context.Context, user string) ([]EntryRow, error)     // "" for all; oldest first
	ListJobs(ctx context.Context, state string, limit int) ([]Job, error) // "" for all; newest first

	// ListRequests answers a page of the request log, newest first.
	ListRequests(ctx context.Context, q RequestQuery) ([]RequestRow, error)
}

// Tx is one transaction. Rows carry every value themselves.
type Tx interface {
	Reader

	// Now is the transaction's one clock reading, UTC, whole microseconds, taken
	// when it is first asked for: lock first, then ask, and instants follow the
	// order of the deeds on a row.
	Now() time.Time

	// LockUser is GetUser that keeps others from changing the row. Deleted
	// users are found too.
	LockUser(ctx context.Context, participant, id string) (User, error)
	LockGroup(ctx context.Context, participant, id string) (Group, error)
	LockParticipant(ctx context.Context, id string) (Participant, error)
	LockActivation(ctx context.Context, id string) (Activation, error)

	// ClaimEmail takes the address for the user unless an other holds it, and
	// answers who holds it now. ReleaseEmail gives it up if the user holds it.
	ClaimEmail(ctx context.Context, emailKey, user string) (holder string, err error)
	ReleaseEmail(ctx context.Context, emailKey, user string) error

	// PutUser keeps a user and its history row. Version 1 inserts; a higher one
	// updates the row of version-1, else ErrStale. It answers the digest of the
	// history row, which the deed's entry commits to.
	PutUser(ctx context.Context, u User) (audit.Digest, error)
	// PutGroup is the same for a group; a delta of members goes with it.
	PutGroup(ctx context.Context, g Group, change MemberChange) (audit.Digest, error)
	// RemoveMember takes a deleted user or group out of every group.
	RemoveMember(ctx context.Context, participant, member string) error

	// PutParticipant inserts version 1 or updates version-1.
	PutParticipant(ctx context.Context, p Participant) (audit.Digest, error)

	PutToken(ctx context.Context, t Token) error // insert or update by id
	PutEvidence(ctx context.Context, e Evidence) error
	PutApproval(ctx context.Context, a Approval) error
	PutHold(ctx context.Context, h Hold) error
	PutActivation(ctx context.Context, a Activation) error
	PutPolicy(ctx context.Context, p PolicyVersion) error

	// Append keeps an entry; no lock, no chain head to wait for.
	Append(ctx context.Context, e audit.Entry) error

	// Enqueue promises a job in this transaction. key makes it unique among
	// live jobs of its kind; at may lie in the future, zero means now.
	Enqueue(ctx context.Context, kind, key, subject string, at time.Time) error
}
