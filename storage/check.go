package storage

import "context"

// What a check of the record reads: rows as they lie there, with what the store
// itself finds wrong with them. Nothing of it trusts a row.

// Wrong is a row that is not as the record has it. Detail is a sentence without
// a full stop and without anything personal.
type Wrong struct {
	Table  string `json:"table"`
	ID     string `json:"id"`
	Detail string `json:"detail"`
}

// KeptKind says of what versions are kept, and is the name of its table.
type KeptKind string

// The kinds of rows that have versions.
const (
	KeptUsers        KeptKind = "users"
	KeptGroups       KeptKind = "groups"
	KeptParticipants KeptKind = "participant"
)

// KeptVersion is a version as an entry must name it.
type KeptVersion struct {
	Version int64
	Digest  string
	Gone    bool // what was personal is not there
}

// KeptRow is a row with its versions, and what does not fit: versions and their
// digests, a version and its personal half, the last version and the row, the
// members of a group and what its versions say of them.
type KeptRow struct {
	ID       string
	Versions []KeptVersion
	Wrongs   []Wrong
}

// Dossier is what is on record about a user besides the document, whatever came
// of it.
type Dossier struct {
	Evidence    []Evidence
	Approvals   []Approval
	Holds       []Hold
	Activations []Activation
}

// LogLine is a position with what it points at.
type LogLine struct {
	LogPosition
	Entry EntryRow // its ID is "" when there is none
}

// EntryPlace says of an entry where it is to be found.
type EntryPlace struct {
	EntryRow      // without the entry itself
	Placed   bool // it has a position
	Pending  bool // it waits for one
	Known    bool // whom it is about is a user, group or participant, or nobody
}

// checkReader reads for a check.
type checkReader interface {
	// ListKept answers rows by id, after one ("" begins), deleted ones too.
	ListKept(ctx context.Context, kind KeptKind, after string, limit int) ([]KeptRow, error)
	// ListEntriesAbout answers entries by whom they are about, instant and id,
	// after one; the zero EntryRow begins.
	ListEntriesAbout(ctx context.Context, ids []string, after EntryRow, limit int) ([]EntryRow, error)
	// ListDossiers answers those of users, whoever they are.
	ListDossiers(ctx context.Context, users []string) (map[string]Dossier, error)
	// ListErased says which users an entry says of that they were erased.
	ListErased(ctx context.Context, users []string) (map[string]bool, error)

	ListLogLines(ctx context.Context, from int64, limit int) ([]LogLine, error)
	ListLogNodes(ctx context.Context, level int, first, behind int64) ([]LogNode, error)
	// ListCheckpointsOf answers those of sizes in (after, upTo], by size.
	ListCheckpointsOf(ctx context.Context, after, upTo int64) ([]KeptCheckpoint, error)
	ListEntryPlaces(ctx context.Context, after string, limit int) ([]EntryPlace, error)
	// ListWaiting answers entries that wait for a position, by id.
	ListWaiting(ctx context.Context, after string, limit int) ([]EntryRow, error)
	// ListBeyond answers what lies outside of a log of its head's size.
	ListBeyond(ctx context.Context) ([]Wrong, error)
	// ListKeptClients and ListKeptTokens answer rows by id, after one ("" begins):
	// a token as it lies there, without what was revoked with its client.
	ListKeptClients(ctx context.Context, after string, limit int) ([]Client, error)
	ListKeptTokens(ctx context.Context, after string, limit int) ([]Token, error)
	// EachStray hands over rows that belong to nothing: versions of nobody,
	// personal values without their entry, evidence of no user and the like.
	EachStray(ctx context.Context, do func(Wrong) error) error
	// CountKept answers how many users there are, deleted ones too.
	CountKept(ctx context.Context) (int, error)
}
