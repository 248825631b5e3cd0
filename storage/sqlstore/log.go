package sqlstore

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// The log gives entries their positions. Deeds only say that an entry waits for
// one; whoever gives positions takes what it sees, and what commits late it sees
// later. A cursor over ids would have gone past it.

// logLock is "scim" and a number of our own.
const logLock = "1935894893, 2"

// headRow is how far the log has come, as a table keeps it.
type headRow struct {
	Size   int64
	Edge   []byte
	Root   []byte
	Note   string
	Signed *instant
	NoteOf int64
}

// GetLogHead answers how far the log has come.
func (r reader) GetLogHead(ctx context.Context) (storage.LogHead, error) {
	var row headRow
	n, err := r.get(ctx, &row, "select size, edge, root, note, signed, note_of from audit_head")
	if err == nil && n == 0 {
		err = storage.ErrNotFound
	}
	if err != nil {
		return storage.LogHead{}, fmt.Errorf("head of the log: %w", err)
	}
	head := storage.LogHead{Size: row.Size, Edge: row.Edge, Note: row.Note, NoteOf: row.NoteOf}
	copy(head.Root[:], row.Root)
	if row.Signed != nil {
		head.Signed = time.Time(*row.Signed)
	}
	return head, nil
}

// LockLog is GetLogHead for the one process that gives positions. SQLite has one
// writer at a time.
func (t *tx) LockLog(ctx context.Context) (storage.LogHead, bool, error) {
	if t.engine == postgresEngine {
		var taken bool
		if _, err := t.get(ctx, &taken, "select pg_try_advisory_xact_lock("+logLock+")"); err != nil {
			return storage.LogHead{}, false, fmt.Errorf("lock the log: %w", err)
		}
		if !taken {
			return storage.LogHead{}, false, nil
		}
	}
	head, err := t.GetLogHead(ctx)
	return head, err == nil, err
}

// CountUnplaced answers how many entries have no position yet; it stops counting
// at 100,000.
func (r reader) CountUnplaced(ctx context.Context) (int, error) {
	var n int
	if _, err := r.get(ctx, &n, "select count(*) from (select 1 from audit_pending limit 100000) p"); err != nil {
		return 0, fmt.Errorf("count entries without a position: %w", err)
	}
	return n, nil
}

// firstPending are some of the entries that wait for a position, from the left of
// their index. Many may wait: after an update, or when nobody gave positions.
func firstPending(limit int) string {
	return "select entry_id from audit_pending order by entry_id limit " + strconv.Itoa(limit)
}

// takePending finds them by an array (PostgreSQL): joined to them, it would be
// led to read all that wait.
func takePending(limit int) string {
	return "with p as (delete from audit_pending where entry_id = any(array(" + firstPending(limit) + ")) returning entry_id) select " +
		entryColumns + " from p join audit_entry e on e.id = p.entry_id order by e.at, e.id"
}

// TakePending takes entries out of those that wait for a position.
func (t *tx) TakePending(ctx context.Context, limit int) ([]storage.EntryRow, error) {
	// The deed's own additions wait for its end; what it takes are others'.
	some := firstPending(limit)
	if t.engine != postgresEngine {
		found, err := t.entries(ctx, "where e.id in ("+some+") order by e.at, e.id")
		if err == nil && len(found) > 0 {
			_, err = t.do(ctx, "delete from audit_pending where entry_id in ("+some+")")
		}
		if err != nil {
			return nil, fmt.Errorf("take entries without a position: %w", err)
		}
		return found, nil
	}
	var rows []entryRow
	if _, err := t.get(ctx, &rows, takePending(limit)); err != nil {
		return nil, fmt.Errorf("take entries without a position: %w", err)
	}
	found := make([]storage.EntryRow, len(rows))
	for i, row := range rows {
		found[i] = row.entry()
	}
	return found, nil
}

// LastNumbers answers the last number of each participant.
func (t *tx) LastNumbers(ctx context.Context, participants []string) (map[string]int64, error) {
	each, arg, name := "json_each(?) as w", any(jsonArray(participants)), "w.value"
	if t.engine == postgresEngine {
		each, arg, name = "unnest(?::text[]) as w(p)", textArray(participants), "w.p"
	}
	var rows []struct {
		Participant string
		Number      int64
	}
	// One look at the end of an index for each.
	if _, err := t.get(ctx, &rows, "select "+name+" as participant, coalesce((select a.number from audit_position a where a.participant = "+name+
		" order by a.number desc limit 1), 0) as number from "+each, arg); err != nil {
		return nil, fmt.Errorf("last numbers: %w", err)
	}
	last := make(map[string]int64, len(rows))
	for _, row := range rows {
		last[row.Participant] = row.Number
	}
	return last, nil
}

// PutPositions keeps where entries stand.
func (t *tx) PutPositions(_ context.Context, positions []storage.LogPosition) error {
	for _, p := range positions {
		t.add("audit_position", "position, entry_id, participant, number, leaf", p.Position, p.Entry, p.Participant, p.Number, p.Leaf[:])
	}
	return nil
}

// PutNodes keeps complete inner nodes.
func (t *tx) PutNodes(_ context.Context, nodes []storage.LogNode) error {
	for _, n := range nodes {
		t.add("audit_node", "level, n, hash", n.Level, n.Index, n.Hash[:])
	}
	return nil
}

// PutLogHead keeps how far the log has come.
func (t *tx) PutLogHead(ctx context.Context, h storage.LogHead) error {
	var signed *instant
	if !h.Signed.IsZero() {
		signed = instantOf(&h.Signed)
	}
	if h.Edge == nil {
		h.Edge = []byte{}
	}
	if _, err := t.do(ctx, "update audit_head set size = ?, edge = ?, root = ?, note = ?, signed = ?, note_of = ? where one = 1",
		h.Size, h.Edge, h.Root[:], h.Note, signed, h.NoteOf); err != nil {
		return fmt.Errorf("keep the head of the log: %w", err)
	}
	return nil
}

// PutCheckpoint keeps a checkpoint for later; one that is there stays.
func (t *tx) PutCheckpoint(ctx context.Context, c storage.KeptCheckpoint) error {
	if _, err := t.do(ctx, "insert into audit_checkpoint (size, at, note) values (?, ?, ?) on conflict do nothing", c.Size, instant(c.At), c.Note); err != nil {
		return fmt.Errorf("keep the checkpoint of %d entries: %w", c.Size, err)
	}
	return nil
}

// ListCheckpoints answers those that are kept, newest first.
func (r reader) ListCheckpoints(ctx context.Context, limit int) ([]storage.KeptCheckpoint, error) {
	var rows []struct {
		Size int64
		At   instant
		Note string
	}
	if _, err := r.get(ctx, &rows, "select size, at, note from audit_checkpoint order by size desc, at desc limit "+strconv.Itoa(limit)); err != nil {
		return nil, fmt.Errorf("checkpoints: %w", err)
	}
	kept := make([]storage.KeptCheckpoint, len(rows))
	for i, row := range rows {
		kept[i] = storage.KeptCheckpoint{Size: row.Size, At: time.Time(row.At), Note: row.Note}
	}
	return kept, nil
}

// positionRow is where an entry stands, as a table keeps it.
type positionRow struct {
	Position int64
	EntryID  string
	Holder   string
	Number   int64
	Leaf     []byte
}

const positionColumns = "a.position, a.entry_id, a.participant as holder, a.number, a.leaf"

func (row positionRow) position() storage.LogPosition {
	p := storage.LogPosition{Position: row.Position, Entry: row.EntryID, Participant: row.Holder, Number: row.Number}
	copy(p.Leaf[:], row.Leaf)
	return p
}

// FindPosition answers where an entry stands.
func (r reader) FindPosition(ctx context.Context, entry string) (storage.LogPosition, bool, error) {
	var row positionRow
	n, err := r.get(ctx, &row, "select "+positionColumns+" from audit_position a where a.entry_id = ?", entry)
	if err != nil {
		return storage.LogPosition{}, false, fmt.Errorf("position of entry %s: %w", entry, err)
	}
	return row.position(), n > 0, nil
}

// listLog reads a page off an index: positions, or a participant's numbers, which
// rise with positions. A participant's page is cut before positions are looked at:
// they would lead the database to go through everybody's.
func listLog(q storage.LogQuery) (query string, args []any) {
	limit := " limit " + strconv.Itoa(q.Limit)
	query = "select " + entryColumns + ", " + positionColumns + " from "
	if q.Participant != "" {
		return query + "(select * from audit_position where participant = ? and number > ? order by number" + limit +
			") a join audit_entry e on e.id = a.entry_id where a.position < ? order by a.number", []any{q.Participant, q.After, q.To}
	}
	return query + "audit_position a join audit_entry e on e.id = a.entry_id where a.position >= ? and a.position < ? order by a.position" + limit, []any{q.From, q.To}
}

// ListLog answers entries that have a position, in its order.
func (r reader) ListLog(ctx context.Context, q storage.LogQuery) ([]storage.LogRow, error) {
	query, args := listLog(q)
	var rows []struct {
		Entry    entryRow    `gorm:"embedded"`
		Standing positionRow `gorm:"embedded"`
	}
	if _, err := r.get(ctx, &rows, query, args...); err != nil {
		return nil, fmt.Errorf("log from %d: %w", q.From, err)
	}
	found := make([]storage.LogRow, len(rows))
	for i, row := range rows {
		found[i] = storage.LogRow{EntryRow: row.Entry.entry(), LogPosition: row.Standing.position()}
	}
	return found, nil
}

// ListLogHashes answers hashes of one level of the tree.
func (r reader) ListLogHashes(ctx context.Context, level int, first int64, n int) ([]audit.Digest, error) {
	query, args := "select leaf as hash from audit_position where position >= ? and position < ? order by position", []any{first, first + int64(n)}
	if level > 0 {
		query, args = "select hash from audit_node where level = ? and n >= ? and n < ? order by n", append([]any{level}, args...)
	}
	var rows []struct{ Hash []byte }
	if _, err := r.get(ctx, &rows, query, args...); err != nil {
		return nil, fmt.Errorf("hashes of level %d from %d: %w", level, first, err)
	}
	hashes := make([]audit.Digest, len(rows))
	for i, row := range rows {
		copy(hashes[i][:], row.Hash)
	}
	return hashes, nil
}
