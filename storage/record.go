package storage

import (
	"context"
	"errors"
	"time"

	"github.com/healthix/healthix-scim/audit"
)

// ErrUnsettled: a deed is under way that may still come to be recorded at or
// before the instant that was asked about.
var ErrUnsettled = errors.New("not settled yet")

// ErrAltered: a row of the record is not what was recorded.
var ErrAltered = errors.New("not what was recorded; run healthix-scim audit check")

// AsOfQuery asks for a page of users as they were at an instant, by id.
type AsOfQuery struct {
	Participant string // "" for all
	At          time.Time
	After       string // id; "" begins
	Limit       int
}

// EventQuery asks for entries, newest first. Empty members narrow nothing.
type EventQuery struct {
	Participant string
	User        string
	Actor       string // subject, or jti where there is none
	Action      string
	Without     string    // an action that is left out
	From, To    time.Time // [From, To); zero for open
	Before      string    // id of the last entry of the page before; "" begins
	Limit       int
}

// LogHead is how far the log has come.
type LogHead struct {
	Size   int64
	Edge   []byte       // the tree's right edge, as audit.Tree keeps it
	Root   audit.Digest // of Size leaves
	Note   string       // the newest signed checkpoint; "" before the first
	Signed time.Time    // when it was signed
	NoteOf int64        // how many leaves it covers; at most Size
}

// LogPosition is where an entry stands: leaf Position of the log, and Number of
// its participant, from 1 and without gaps.
type LogPosition struct {
	Position    int64
	Entry       string
	Participant string
	Number      int64
	Leaf        audit.Digest
}

// LogNode is an inner node of the log's tree that will never change: the root of
// 2^Level leaves, from Index*2^Level on. Level is a multiple of 8.
type LogNode struct {
	Level int
	Index int64
	Hash  audit.Digest
}

// LogQuery asks for entries that have a position, in its order.
type LogQuery struct {
	Participant string // "" for all
	After       int64  // with Participant: number of the last entry of the page before; 0 begins
	From        int64  // without Participant: first position
	To          int64  // position behind the last
	Limit       int
}

// LogRow is an entry and where it stands.
type LogRow struct {
	EntryRow
	LogPosition
}

// PersonalValue is a value of an entry that an erasure takes.
type PersonalValue struct {
	N int // which of the entry's personal fields, from 0
	audit.Personal
}

// KeptCheckpoint is a checkpoint that is kept for later.
type KeptCheckpoint struct {
	Size int64
	At   time.Time
	Note string
}

// recordReader looks into the record.
type recordReader interface {
	ListHistory(ctx context.Context, user string) ([]HistoryRow, error) // oldest first
	ListEntries(ctx context.Context, user string) ([]EntryRow, error)   // "" for all; oldest first

	// GetUserAt answers a user as they were at an instant, deleted ones too;
	// ErrNotFound before there was one. Participant state and narrowing are
	// those of the instant, so that Access of it is what every reader saw then.
	GetUserAt(ctx context.Context, participant, id string, at time.Time) (User, error)
	ListUsersAt(ctx context.Context, q AsOfQuery) ([]User, error)
	// CountUsersAt answers how many ListUsersAt lists, deleted ones too.
	CountUsersAt(ctx context.Context, participant string, at time.Time) (int, error)

	ListEvents(ctx context.Context, q EventQuery) ([]EntryRow, error)
	GetEntry(ctx context.Context, id string) (EntryRow, error)
	// FindPosition answers where an entry stands; false while it waits for it.
	FindPosition(ctx context.Context, entry string) (LogPosition, bool, error)
	// ListPositions is FindPosition of many, by entry.
	ListPositions(ctx context.Context, entries []string) (map[string]LogPosition, error)
	// ListPersonal answers what was not erased of entries' personal values.
	ListPersonal(ctx context.Context, entries []string) (map[string][]PersonalValue, error)

	GetLogHead(ctx context.Context) (LogHead, error)
	CountUnplaced(ctx context.Context) (int, error) // entries that have no position yet
	ListLog(ctx context.Context, q LogQuery) ([]LogRow, error)
	// ListLogHashes answers n hashes of one level of the tree, from the first on:
	// leaves at level 0, and inner nodes at multiples of 8. It may answer less
	// when there are no more.
	ListLogHashes(ctx context.Context, level int, first int64, n int) ([]audit.Digest, error)
	ListCheckpoints(ctx context.Context, limit int) ([]KeptCheckpoint, error) // newest first
}

// recordWriter adds to the record.
type recordWriter interface {
	// Append keeps an entry; no lock, no chain head to wait for.
	Append(ctx context.Context, e audit.Entry) error

	// LockLog is GetLogHead for the one process that gives positions; false when
	// another one does at the moment.
	LockLog(ctx context.Context) (LogHead, bool, error)
	// TakePending takes entries out of those that wait for a position, by instant
	// and id. Whatever committed late is found later: nothing is skipped.
	TakePending(ctx context.Context, limit int) ([]EntryRow, error)
	// LastNumbers answers the last number of each participant, 0 for none.
	LastNumbers(ctx context.Context, participants []string) (map[string]int64, error)
	PutPositions(ctx context.Context, positions []LogPosition) error
	PutNodes(ctx context.Context, nodes []LogNode) error
	PutLogHead(ctx context.Context, h LogHead) error
	PutCheckpoint(ctx context.Context, c KeptCheckpoint) error

	// EraseUser empties what is personal of a user everywhere but in their row,
	// which the deed keeps itself: history, entries, pre-images, notes.
	EraseUser(ctx context.Context, user string) error
}
