package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"

	"gorm.io/gorm"

	"github.com/healthix/healthix-scim/storage"
)

// Look runs f on one state of the database.
func (s *Store) Look(ctx context.Context, f func(ctx context.Context, read storage.Reader) error) error {
	var snapshot *sql.TxOptions
	if s.engine == postgresEngine {
		snapshot = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	}
	in, err := s.reads.BeginTx(ctx, snapshot)
	if err != nil {
		return fmt.Errorf("begin to look: %w", fault(err))
	}
	defer in.Rollback() //nolint:errcheck // nothing was written
	db := s.writes.Session(&gorm.Session{NewDB: true, Context: ctx})
	db.Statement.ConnPool = in
	return f(ctx, reader{db: db, engine: s.engine, inside: true})
}

// ListEntriesAbout answers entries by whom they are about.
func (r reader) ListEntriesAbout(ctx context.Context, ids []string, after storage.EntryRow, limit int) ([]storage.EntryRow, error) {
	among, arg := r.anyOf("e.user_id", ids)
	tail, args := "where "+among+" and e.user_id <> ''", []any{arg}
	if after.ID != "" {
		tail += " and (e.user_id, e.at, e.id) > (?, ?, ?)"
		args = append(args, after.User, instant(after.At), after.ID)
	}
	return r.entries(ctx, tail+" order by e.user_id, e.at, e.id limit "+strconv.Itoa(limit), args...)
}

// ListDossiers answers what is on record about users.
func (r reader) ListDossiers(ctx context.Context, users []string) (map[string]storage.Dossier, error) {
	found := make(map[string]storage.Dossier, len(users))
	fail := func(err error) (map[string]storage.Dossier, error) { return nil, fmt.Errorf("dossiers: %w", err) }
	among, ids := r.anyOf("user_id", users)
	evidence, err := r.evidence(ctx, among, ids)
	if err != nil {
		return fail(err)
	}
	for _, e := range evidence {
		d := found[e.User]
		d.Evidence = append(d.Evidence, e)
		found[e.User] = d
	}
	approvals, err := r.approvals(ctx, among, ids)
	if err != nil {
		return fail(err)
	}
	for _, a := range approvals {
		d := found[a.User]
		d.Approvals = append(d.Approvals, a)
		found[a.User] = d
	}
	holds, err := r.holds(ctx, among, ids)
	if err != nil {
		return fail(err)
	}
	for _, h := range holds {
		d := found[h.User]
		d.Holds = append(d.Holds, h)
		found[h.User] = d
	}
	links, err := r.activations(ctx, "where "+among+" order by issued, id", ids)
	if err != nil {
		return fail(err)
	}
	for _, l := range links {
		d := found[l.User]
		d.Activations = append(d.Activations, l)
		found[l.User] = d
	}
	return found, nil
}

// ListErased says who was erased, by the word of entries.
func (r reader) ListErased(ctx context.Context, users []string) (map[string]bool, error) {
	among, arg := r.anyOf("user_id", users)
	var ids []string
	if _, err := r.get(ctx, &ids, "select distinct user_id from audit_entry where action = 'user.erased' and user_id <> '' and "+among, arg); err != nil {
		return nil, fmt.Errorf("erased users: %w", err)
	}
	erased := make(map[string]bool, len(ids))
	for _, id := range ids {
		erased[id] = true
	}
	return erased, nil
}

// ListLogLines answers positions with what they point at.
func (r reader) ListLogLines(ctx context.Context, from int64, limit int) ([]storage.LogLine, error) {
	var rows []struct {
		Standing    positionRow `gorm:"embedded"`
		ID          *string
		At          *instant
		Participant *string
		UserID      *string
		Actor       *string
		Action      *string
		Canonical   []byte
		Hash        *string
	}
	if _, err := r.get(ctx, &rows, "select "+positionColumns+", "+entryColumns+" from audit_position a left join audit_entry e on e.id = a.entry_id"+
		" where a.position >= ? order by a.position limit "+strconv.Itoa(limit), from); err != nil {
		return nil, fmt.Errorf("log from %d: %w", from, err)
	}
	lines := make([]storage.LogLine, len(rows))
	for i, row := range rows {
		lines[i].LogPosition = row.Standing.position()
		if len(row.Standing.Leaf) != len(lines[i].Leaf) {
			clear(lines[i].Leaf[:])
		}
		if row.ID == nil {
			continue
		}
		lines[i].Entry = storage.EntryRow{
			ID: *row.ID, At: time.Time(*row.At), Participant: *row.Participant, User: *row.UserID, Actor: *row.Actor, Action: *row.Action,
			Canonical: row.Canonical, Hash: *row.Hash,
		}
	}
	return lines, nil
}

// ListLogNodes answers kept nodes of one level.
func (r reader) ListLogNodes(ctx context.Context, level int, first, behind int64) ([]storage.LogNode, error) {
	var rows []struct {
		N    int64
		Hash []byte
	}
	if _, err := r.get(ctx, &rows, "select n, hash from audit_node where level = ? and n >= ? and n < ? order by n", level, first, behind); err != nil {
		return nil, fmt.Errorf("nodes of level %d: %w", level, err)
	}
	nodes := make([]storage.LogNode, len(rows))
	for i, row := range rows {
		nodes[i] = storage.LogNode{Level: level, Index: row.N}
		if len(row.Hash) == len(nodes[i].Hash) {
			copy(nodes[i].Hash[:], row.Hash)
		}
	}
	return nodes, nil
}

// ListCheckpointsOf answers kept checkpoints by size.
func (r reader) ListCheckpointsOf(ctx context.Context, after, upTo int64) ([]storage.KeptCheckpoint, error) {
	var rows []struct {
		Size int64
		At   instant
		Note string
	}
	if _, err := r.get(ctx, &rows, "select size, at, note from audit_checkpoint where size > ? and size <= ? order by size, at", after, upTo); err != nil {
		return nil, fmt.Errorf("checkpoints: %w", err)
	}
	kept := make([]storage.KeptCheckpoint, len(rows))
	for i, row := range rows {
		kept[i] = storage.KeptCheckpoint{Size: row.Size, At: time.Time(row.At), Note: row.Note}
	}
	return kept, nil
}

// ListEntryPlaces answers where entries are to be found, in one statement: an
// entry gets its position in the moment in which it stops waiting.
func (r reader) ListEntryPlaces(ctx context.Context, after string, limit int) ([]storage.EntryPlace, error) {
	var rows []struct {
		ID, Participant, UserID, Action string
		Placed, Pending, Known          bool
	}
	if _, err := r.get(ctx, &rows, `select e.id, e.participant, e.user_id, e.action,
	  exists (select 1 from audit_position a where a.entry_id = e.id) as placed,
	  exists (select 1 from audit_pending w where w.entry_id = e.id) as pending,
	  e.user_id = '' or e.action = 'read' or exists (select 1 from users u where u.id = e.user_id) or exists (select 1 from groups g where g.id = e.user_id)
	    or exists (select 1 from participant p where p.id = e.user_id) as known
	  from audit_entry e where e.id > ? order by e.id limit `+strconv.Itoa(limit), after); err != nil {
		return nil, fmt.Errorf("where entries stand: %w", err)
	}
	places := make([]storage.EntryPlace, len(rows))
	for i, row := range rows {
		places[i] = storage.EntryPlace{
			EntryRow: storage.EntryRow{ID: row.ID, Participant: row.Participant, User: row.UserID, Action: row.Action},
			Placed:   row.Placed, Pending: row.Pending, Known: row.Known,
		}
	}
	return places, nil
}

// ListWaiting answers entries that wait for a position.
func (r reader) ListWaiting(ctx context.Context, after string, limit int) ([]storage.EntryRow, error) {
	return r.entries(ctx, "join audit_pending w on w.entry_id = e.id where e.id > ? order by e.id limit "+strconv.Itoa(limit), after)
}

// ListBeyond answers what lies outside of the log, the first few of each kind.
func (r reader) ListBeyond(ctx context.Context) ([]storage.Wrong, error) {
	var found []storage.Wrong
	for _, query := range []string{
		`select 'audit_position' as "table", cast(a.position as text) as id, 'the log ends before this position' as detail
		  from audit_position a join audit_head h on a.position >= h.size order by a.position limit 100`,
		`select 'audit_position' as "table", cast(a.position as text) as id, 'positions begin with 0' as detail from audit_position a where a.position < 0 limit 100`,
		`select 'audit_node' as "table", cast(n.level as text) || '/' || cast(n.n as text) as id, 'the log''s tree has no such node' as detail
		  from audit_node n join audit_head h on n.level < 8 or n.level > 56 or n.level % 8 <> 0 or n.n < 0 or n.n >= (h.size >> n.level) limit 100`,
		`select 'audit_head' as "table", '1' as id, 'the root is no hash' as detail from audit_head where length(root) <> 32`,
		`select 'audit_checkpoint' as "table", cast(c.size as text) as id, 'the log never had so many entries' as detail
		  from audit_checkpoint c join audit_head h on c.size < 1 or c.size > h.size limit 100`,
	} {
		var some []storage.Wrong
		if _, err := r.get(ctx, &some, query); err != nil {
			return nil, fmt.Errorf("what lies outside of the log: %w", err)
		}
		found = append(found, some...)
	}
	return found, nil
}

// ListKeptClients answers clients by id.
func (r reader) ListKeptClients(ctx context.Context, after string, limit int) ([]storage.Client, error) {
	found, err := r.clients(ctx, "where id > ? order by id limit "+strconv.Itoa(limit), after)
	return found, wrapped(err, "clients by id")
}

// ListKeptTokens answers tokens by id, as the table has them.
func (r reader) ListKeptTokens(ctx context.Context, after string, limit int) ([]storage.Token, error) {
	found, err := r.tokensFrom(ctx, "token where id > ? order by id limit "+strconv.Itoa(limit), after)
	return found, wrapped(err, "tokens by id")
}

// CountKept answers how many users there are.
func (r reader) CountKept(ctx context.Context) (int, error) {
	var n int
	if _, err := r.get(ctx, &n, "select count(*) from users"); err != nil {
		return 0, fmt.Errorf("count users: %w", err)
	}
	return n, nil
}

// belonging is a table whose rows belong to rows of another.
type belonging struct {
	table  string
	first  string // of the key
	second string // "" for none
	text   bool   // the second is text
	stray  string // condition on t under which a row belongs to nothing
	detail string
}

var belongings = []belonging{
	{"user_history", "user_id", "version", false, "not exists (select 1 from users o where o.id = t.user_id)", "there is no such user"},
	{"user_personal", "user_id", "version", false, "not exists (select 1 from user_history o where o.user_id = t.user_id and o.version = t.version)", "there is no such version of the user"},
	{"group_history", "group_id", "version", false, "not exists (select 1 from groups o where o.id = t.group_id)", "there is no such group"},
	{"group_member", "group_id", "member_id", true, "not exists (select 1 from groups o where o.id = t.group_id)", "there is no such group"},
	{"participant_history", "participant", "version", false, "not exists (select 1 from participant o where o.id = t.participant)", "there is no such participant"},
	{"evidence", "id", "", false, "not exists (select 1 from users o where o.id = t.user_id)", "there is no such user"},
	{"approval", "id", "", false, "not exists (select 1 from users o where o.id = t.user_id)", "there is no such user"},
	{"hold", "id", "", false, "not exists (select 1 from users o where o.id = t.user_id)", "there is no such user"},
	{"activation", "id", "", false, "not exists (select 1 from users o where o.id = t.user_id)", "there is no such user"},
	{"audit_personal", "entry_id", "n", false, "not exists (select 1 from audit_entry o where o.id = t.entry_id)", "there is no such entry"},
	{"audit_pending", "entry_id", "", false, "not exists (select 1 from audit_entry o where o.id = t.entry_id)", "there is no such entry"},
}

const straysAtOnce = 2000

// EachStray walks through the tables by their keys, a statement a page: one over
// all rows would outlive what a statement may take.
func (r reader) EachStray(ctx context.Context, do func(storage.Wrong) error) error {
	for _, b := range belongings {
		if err := r.strays(ctx, b, do); err != nil {
			return fmt.Errorf("rows of %s that belong to nothing: %w", b.table, err)
		}
	}
	return nil
}

func (r reader) strays(ctx context.Context, b belonging, do func(storage.Wrong) error) error {
	second, order, beyond := "0", "t."+b.first, "t."+b.first+" > ?"
	if b.second != "" {
		second, order, beyond = "t."+b.second, order+", t."+b.second, "(t."+b.first+", t."+b.second+") > (?, ?)"
	}
	columns := "t." + b.first + " as first, " + second + " as number, '' as second"
	if b.text {
		columns = "t." + b.first + " as first, 0 as number, " + second + " as second"
	}
	query := "select " + columns + ", " + b.stray + " as stray from " + b.table + " t "
	var last struct {
		First  string
		Number int64
		Second string
		Stray  bool
	}
	for begun := false; ; begun = true {
		rows := make([]struct {
			First  string
			Number int64
			Second string
			Stray  bool
		}, 0, straysAtOnce)
		page, args := query, []any(nil)
		if begun {
			page, args = query+"where "+beyond+" ", []any{last.First}
			switch {
			case b.text:
				args = append(args, last.Second)
			case b.second != "":
				args = append(args, last.Number)
			}
		}
		if _, err := r.get(ctx, &rows, page+"order by "+order+" limit "+strconv.Itoa(straysAtOnce), args...); err != nil {
			return err
		}
		for _, row := range rows {
			if !row.Stray {
				continue
			}
			id := row.First
			if b.text {
				id += "/" + row.Second
			} else if b.second != "" {
				id += "/" + strconv.FormatInt(row.Number, 10)
			}
			if err := do(storage.Wrong{Table: b.table, ID: id, Detail: b.detail}); err != nil {
				return err
			}
		}
		if len(rows) < straysAtOnce {
			return nil
		}
		last = rows[len(rows)-1]
	}
}
