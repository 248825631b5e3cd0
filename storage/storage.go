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

	// Look runs f on one state of the store: whatever it reads was committed
	// together. It must not take long.
	Look(ctx context.Context, f func(ctx context.Context, read Reader) error) error

	// Work runs promised jobs until ctx ends, several at once, and returns when
	// the running ones have ended. do must be idempotent; an error is retried
	// with back-off, an ErrGiveUp never.
	Work(ctx context.Context, do func(ctx context.Context, job Job) error) error

	// TouchTokens records last uses, by jti; best effort, outside any deed.
	TouchTokens(ctx context.Context, used map[string]time.Time) error

	// DeleteSpent forgets tokens of clients and ids of assertions that ended
	// before an instant, at most limit of each, and answers how many.
	DeleteSpent(ctx context.Context, before time.Time, limit int) (int, error)

	// AppendRequests keeps rows of the request log, outside any deed. Rows that
	// are kept already stay, so that a batch may be sent again.
	AppendRequests(ctx context.Context, rows []RequestRow) error
	// DeleteRequests forgets at most limit rows from before an instant and
	// answers how many.
	DeleteRequests(ctx context.Context, before time.Time, limit int) (int, error)

	// DeleteAccessChanges forgets at most limit changes from before an instant and
	// answers how many.
	DeleteAccessChanges(ctx context.Context, before time.Time, limit int) (int, error)

	// Beat is a server's sign of life. It answers how many servers gave one in
	// the last 15 seconds, this one included.
	Beat(ctx context.Context, node string) (alive int, err error)

	// RetryJob makes a job available now.
	RetryJob(ctx context.Context, id int64) error

	// Instance is the id fixed at the first migration: the tokens' issuer.
	Instance(ctx context.Context) (string, error)

	// Barrier waits until every deed that asked for the PolicyState before it was
	// called has ended: what they saw is old, and what they kept can be read. Who
	// asks later is not waited for. It must not be called inside of a Write.
	Barrier(ctx context.Context) error

	// Settle waits until no deed is under way that may still be recorded at or
	// before an instant; ErrUnsettled when ctx ends first.
	Settle(ctx context.Context, at time.Time) error

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
	checkReader
	recordReader
	recoveryReader
	reviewReader

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

	// GetToken answers a token's record; one that a client fetched is revoked
	// with its client.
	GetToken(ctx context.Context, id string) (Token, error)
	ListTokens(ctx context.Context, participant string) ([]Token, error) // those issued by hand

	GetClient(ctx context.Context, id string) (Client, error)
	ListClients(ctx context.Context, participant string) ([]Client, error)
	// ListCredentials answers those that are not revoked and end after an
	// instant, by participant, the first to end first.
	ListCredentials(ctx context.Context, after time.Time) ([]Credential, error)

	ListEvidence(ctx context.Context, user string) ([]Evidence, error) // revoked ones too
	ListApprovals(ctx context.Context, user string) ([]Approval, error)
	ListHolds(ctx context.Context, user string) ([]Hold, error)
	ListActivations(ctx context.Context, user string) ([]Activation, error) // newest first
	GetActivation(ctx context.Context, id string) (Activation, error)
	FindActivation(ctx context.Context, codeHash []byte) (Activation, bool, error)

	// CurrentPolicy answers the newest document of the policy of all;
	// ErrNotFound before the first.
	CurrentPolicy(ctx context.Context) (PolicyVersion, error)
	// PolicyState answers the number in force and the plan that is pending, in
	// one statement: every deed asks.
	PolicyState(ctx context.Context) (PolicyState, error)
	GetPolicy(ctx context.Context, version int64) (PolicyVersion, error)
	// ListPoliciesInForce answers what a number names: the policy of all, then
	// the overlays by participant.
	ListPoliciesInForce(ctx context.Context, version int64) ([]PolicyVersion, error)
	ListPolicies(ctx context.Context) ([]PolicyVersion, error) // without documents, oldest first

	GetPlan(ctx context.Context, id string) (Plan, error)
	// ListPlans answers plans without documents, newest first.
	ListPlans(ctx context.Context, limit int) ([]Plan, error)
	ListPlanPeople(ctx context.Context, q PlanQuery) ([]PlanPerson, error)
	// ListEffects answers those of a plan in force who were not decided under
	// its version yet: who loses first, then by user id. The zero Effect begins.
	ListEffects(ctx context.Context, plan string, after Effect, limit int) ([]Effect, error)
	ListTitled(ctx context.Context, q TitledQuery) ([]Titled, error)
	// ListCases answers undeleted users with their dossiers, in order of id.
	ListCases(ctx context.Context, users []string) ([]Case, error)
	// CountUsers answers how many undeleted, active users there are, and how
	// many of them are released as decided.
	CountUsers(ctx context.Context, participant string) (active, released int, err error)

	// ListWaitingTitles answers the titles of active users that wait for a
	// person, those with most people first.
	ListWaitingTitles(ctx context.Context, participant string) ([]WaitingTitle, error)
	// ListTitlePeers answers the peers of waiting titles, by key.
	ListTitlePeers(ctx context.Context, participant string, keys []string) (map[string]TitlePeers, error)

	// CountLosses answers how many users have losses that no case stages: after
	// an instant, and after an earlier one.
	CountLosses(ctx context.Context, participant string, late, early time.Time) (recent, all int, err error)
	// CountActiveSince answers how many users of a participant were active at
	// any time after an instant. It stops counting at most.
	CountActiveSince(ctx context.Context, participant string, since time.Time, most int) (int, error)
	GetBreakerCase(ctx context.Context, id string) (BreakerCase, error)
	// FindBreakerCase answers a participant's open case, or the one that was
	// closed last.
	FindBreakerCase(ctx context.Context, participant string, open bool) (BreakerCase, bool, error)
	ListOpenCases(ctx context.Context) ([]BreakerCase, error) // oldest first
	TallyCase(ctx context.Context, id string) (Tally, error)
	// ListStaged answers the ids of users whom a case stages still, in order,
	// after one ("" begins).
	ListStaged(ctx context.Context, id, after string, limit int) ([]string, error)
	// ListNotRestored answers whom a case lists, in order of id.
	ListNotRestored(ctx context.Context, id string) ([]Listed, error)
	// ListLosses answers a user's losses in a case, newest first.
	ListLosses(ctx context.Context, id, user string) ([]Loss, error)

	// FindLearner finds a user's, FindLMSLearner whose record of the LMS it is.
	FindLearner(ctx context.Context, user string) (Learner, bool, error)
	FindLMSLearner(ctx context.Context, lmsID string) (Learner, bool, error)
	ListLearners(ctx context.Context, q LearnerQuery) ([]Learner, error)
	// ListDueLearners answers those of whom the LMS is to be told by now, and
	// ListAskedLearners those of whom it is to be asked, the longest due first.
	ListDueLearners(ctx context.Context, now time.Time, limit int) ([]Learner, error)
	ListAskedLearners(ctx context.Context, now time.Time, limit int) ([]Learner, error)
	CountLearners(ctx context.Context) (byState map[string]int, err error)
	// FindBookmark answers how far a walk came.
	FindBookmark(ctx context.Context, name string) (time.Time, bool, error)

	// ListUnreminded answers active users of open participants whose training
	// ends soon and who were not promised the reminder that is due, the first to
	// end first. Whether another gate is closed, the caller looks.
	ListUnreminded(ctx context.Context, q ReminderQuery) ([]User, error)

	// ListExpired answers released users whose validUntil has passed and who
	// were not decided again since, oldest first.
	ListExpired(ctx context.Context, now time.Time, limit int) ([]User, error)

	// ListAccessChanges answers changes after a place in the order of their commits,
	// and the place of a reader who has seen them. Whoever commits later comes after
	// that place, however long ago the deed began. ErrAhead when there is no such
	// place here.
	ListAccessChanges(ctx context.Context, after ChangePlace, limit int) ([]AccessChange, ChangePlace, error)
	// LastAccessChange answers the place of the last that can be read, zero for
	// none, and the place of a reader who has seen them all.
	LastAccessChange(ctx context.Context) (last, end ChangePlace, err error)
	// ListUsersByID answers users, deleted ones too; ids that are nobody's are left out.
	ListUsersByID(ctx context.Context, ids []string) (map[string]User, error)

	ListJobs(ctx context.Context, state string, limit int) ([]Job, error) // "" for all; newest first

	// ListRequests answers a page of the request log, newest first.
	ListRequests(ctx context.Context, q RequestQuery) ([]RequestRow, error)
}

// Tx is one transaction. Rows carry every value themselves.
type Tx interface {
	Reader
	recordWriter
	recoveryWriter
	reviewWriter

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
	// PutClient inserts a client, or keeps of one on record that it is revoked;
	// what was revoked stays so.
	PutClient(ctx context.Context, c Client) error
	// TouchClient records that a client fetched a token; a later one stays.
	TouchClient(ctx context.Context, id string, at time.Time) error
	// SpendAssertion keeps that a client used an assertion, by the assertion's
	// own id, until it would have ended anyway. fresh is false for one that was
	// used before, on any node.
	SpendAssertion(ctx context.Context, client, id string, expires time.Time) (fresh bool, err error)
	// MarkWarned keeps that a warning is promised so many days before a
	// credential ends. due is false when that one, or a later one, was before.
	MarkWarned(ctx context.Context, c Credential, days int) (due bool, err error)
	PutEvidence(ctx context.Context, e Evidence) error
	PutApproval(ctx context.Context, a Approval) error
	PutHold(ctx context.Context, h Hold) error
	PutActivation(ctx context.Context, a Activation) error
	PutPolicy(ctx context.Context, p PolicyVersion) error

	// LockPlan is GetPlan that keeps others from changing the row.
	LockPlan(ctx context.Context, id string) (Plan, error)
	// PutPlan inserts row version 1 or updates Row-1, else ErrStale.
	PutPlan(ctx context.Context, p Plan) error
	// PutPlanPeople adds people to a plan; who is there already stays.
	PutPlanPeople(ctx context.Context, plan string, people []PlanPerson) error
	// DeletePlanPeople forgets at most limit people of a plan and answers how many.
	DeletePlanPeople(ctx context.Context, plan string, limit int) (int, error)
	// PendPolicy says that a plan is being applied; "" that none is. ErrStale
	// when another one is.
	PendPolicy(ctx context.Context, plan string) error
	// PutEffects keeps what a pending plan does to users, the newest word counts.
	PutEffects(ctx context.Context, plan string, effects []Effect) error
	// AddEffects is the same for a walk over people, which may have looked at them
	// before a deed did: a word that is there already stays.
	AddEffects(ctx context.Context, plan string, effects []Effect) error
	// DeleteEffects forgets at most limit effects of a plan and answers how many;
	// harmless asks for those alone that take nothing from anybody.
	DeleteEffects(ctx context.Context, plan string, harmless bool, limit int) (int, error)

	// LockBreaker keeps others from counting or staging a participant's losses
	// until this transaction ends. Whoever holds it waits for nobody else, so it
	// is the last lock that is taken.
	LockBreaker(ctx context.Context, participant string) error
	PutLoss(ctx context.Context, l Loss) error
	// StageLosses lets a case hold those of its participant's losses after
	// Since that no other case holds.
	StageLosses(ctx context.Context, c BreakerCase) error
	// ResolveLosses says what became of a user whom a case staged; the
	// pre-images go.
	ResolveLosses(ctx context.Context, id, user, outcome, why string) error
	// DeleteLosses forgets at most limit losses that nobody needs any more, and
	// answers how many: those from before an instant that no case holds, and
	// those of closed cases.
	DeleteLosses(ctx context.Context, before time.Time, limit int) (int, error)
	// PutBreakerCase inserts row version 1 or updates Row-1, else ErrStale.
	PutBreakerCase(ctx context.Context, c BreakerCase) error

	// LockLearner is FindLearner that keeps others from changing the row. Who
	// locks the user too does that first.
	LockLearner(ctx context.Context, user string) (Learner, bool, error)
	// PutLearner inserts row version 1 or updates Row-1, else ErrStale.
	PutLearner(ctx context.Context, l Learner) error
	// AskLearner keeps that the LMS is to be asked about a record of its own, by
	// then at the latest; about one that is nobody's here it keeps nothing.
	// AnsweredLearner keeps that it was asked as it was to be, unless it is to be
	// asked again since; again is when it is to be, nil for not.
	AskLearner(ctx context.Context, lmsID string, at time.Time) error
	AnsweredLearner(ctx context.Context, user string, asked time.Time, again *time.Time) error
	// TouchLearners makes those due who did not leave and were brought in line
	// with an older policy version, at most limit, RetryLearners those who were
	// refused; they answer how many.
	TouchLearners(ctx context.Context, policy int64, at time.Time, limit int) (int, error)
	RetryLearners(ctx context.Context, at time.Time) (int, error)
	PutBookmark(ctx context.Context, name string, at time.Time) error
	// MoveBookmark moves a bookmark on; false when somebody else came as far
	// before, so that of several who try one goes on. One that is over a week
	// beyond was left by a clock that was wrong, and is moved back.
	MoveBookmark(ctx context.Context, name string, at time.Time) (moved bool, err error)
	// MarkReminded keeps that a reminder is promised. due is false when that one,
	// or one nearer to the same end, was before.
	MarkReminded(ctx context.Context, m Reminder) (due bool, err error)
	// DeleteReminders forgets at most limit reminders of training that ended
	// before an instant, and answers how many.
	DeleteReminders(ctx context.Context, before time.Time, limit int) (int, error)
	// TakeLease takes a lease or prolongs it; false while another holder has it.
	TakeLease(ctx context.Context, name, holder string, until time.Time) (bool, error)
	DropLease(ctx context.Context, name, holder string) error

	// PutAccessChange keeps that the portal should ask again; the store gives the
	// place.
	PutAccessChange(ctx context.Context, c AccessChange) error

	// Enqueue promises a job in this transaction. key makes it unique among
	// live jobs of its kind; at may lie in the future, zero means now.
	Enqueue(ctx context.Context, kind, key, subject string, at time.Time) error
	// RetryJob makes a job available now, and answers what it was. again is false
	// when it waits or runs already, or another in its name does.
	RetryJob(ctx context.Context, id int64) (was Job, again bool, err error)
}
