package lifecycle_test

import (
	"database/sql"
	"slices"
	"strings"
	"testing"

	"github.com/healthix/healthix-scim/storage"
)

// meddler changes a database behind the house's back, as its owner can: the
// triggers and foreign keys that stand in the way are dropped.
type meddler struct {
	t    *testing.T
	db   *sql.DB
	lite bool
	h    *house
	who  string // the user whose rows are taken
}

// ofTheRecord are the tables that a check looks into, and which row of each is
// meddled with: columns of its key, and a condition. $1 is a user who has access.
var ofTheRecord = map[string]struct{ key, where string }{
	"users":               {"id", "id = $1"},
	"user_history":        {"user_id,version", "user_id = $1 and version = 2"},
	"user_personal":       {"user_id,version", "user_id = $1 and version = 2"},
	"groups":              {"id", "deleted is null and external_id = 'g-all nurses'"},
	"group_history":       {"group_id,version", "version = 2"},
	"group_member":        {"group_id,member_id", "type = 'User'"},
	"participant":         {"id", "id = 'mercy'"},
	"participant_history": {"participant,version", "participant = 'mercy' and version = 1"},
	"policy_version":      {"version", "version = 2"},
	"evidence":            {"id", "revoked is not null and note <> ''"},
	"approval":            {"id", "user_id = $1 and ended is null"},
	"hold":                {"id", "lifted is null"},
	"activation":          {"id", "user_id = $1"},
	"token":               {"id", "label = 'night shift'"},
	"client":              {"id", "label = 'okta'"},
	"audit_entry":         {"id", "user_id = $1 and action = 'user.created'"},
	"audit_personal":      {"entry_id,n", "entry_id = (select id from audit_entry where user_id = $1 and action = 'user.created') and n = 1"},
	"audit_pending":       {"entry_id", "true"},
	"audit_position":      {"position", "position = 7"},
	"audit_node":          {"level,n", "true"},
	"audit_head":          {"one", "true"},
	"audit_checkpoint":    {"size,at", "size > 100"},
}

// notOfTheRecord are the others, and why a check leaves them alone.
var notOfTheRecord = map[string]string{
	"instance": "names the instance; checkpoints of another name do not verify", "node": "signs of life",
	"email_owner": "a look-up: a deed asks whether who is named there has the address", "user_email": "a look-up for filters",
	"client_assertion": "forgotten by age",
	"request_log":      "for support, not evidence", "policy_plan": "what came of a plan stands in policy_version", "policy_pending": "work",
	"policy_carrying": "work", "policy_plan_person": "work", "policy_effect": "work: takes only, until people are decided again", "breaker": "a lock", "breaker_case": "work; what a restore gives back is decided anew and recorded",
	"breaker_loss": "work", "learner": "work", "bookmark": "work", "lease": "work", "access_change": "a stream to the portal, forgotten by age", "reminder": "promises of mail",
	"review": "its report is held to the entry of its closing", "review_item": "its report is held to the entry of its closing", "audit_stream": "how far the stream to the outside came",
	"job": "promises of mail; looked at again before they act",
}

// unchecked are columns that a check does not compare, and why.
var unchecked = map[string]string{
	"users.fold":            "made of document by the face toward providers, for filters; document is compared",
	"groups.fold":           "as of users",
	"audit_head.one":        "there is one row",
	"activation.redeem_key": "repeats an answer for 15 minutes after redeemed, which is compared",
	"token.last_used":       "for people: nothing is decided by it",
	"token.warned":          "a promise of mail",
	"client.last_used":      "as of token",
	"client.warned":         "as of token",
}

func newMeddler(t *testing.T, h *house, address, who string) *meddler {
	t.Helper()
	driver, source := "pgx", address
	path, lite := strings.CutPrefix(address, "sqlite://")
	if lite {
		driver, source = "sqlite", path
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() }) //nolint:errcheck // the database goes with it
	m := &meddler{t: t, db: db, lite: lite, h: h, who: who}
	drop := "select 'drop trigger ' || name from sqlite_master where type = 'trigger'"
	if !lite {
		drop = `select distinct 'drop trigger ' || trigger_name || ' on ' || event_object_table from information_schema.triggers where trigger_schema = 'public' and trigger_name like '%append_only'
		  union all select 'alter table ' || conrelid::regclass || ' drop constraint ' || conname from pg_constraint where contype = 'f' and connamespace = 'public'::regnamespace`
	}
	for _, statement := range m.texts(drop) {
		m.do(statement)
	}
	return m
}

func (m *meddler) do(statement string, args ...any) {
	m.t.Helper()
	if _, err := m.db.ExecContext(m.t.Context(), statement, args...); err != nil {
		m.t.Fatalf("%s: %v", statement, err)
	}
}

func (m *meddler) texts(query string, args ...any) (all []string) {
	m.t.Helper()
	rows, err := m.db.QueryContext(m.t.Context(), query, args...)
	if err != nil {
		m.t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close() //nolint:errcheck // its error is Err's
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			m.t.Fatal(err)
		}
		all = append(all, s)
	}
	if err := rows.Err(); err != nil {
		m.t.Fatal(err)
	}
	return all
}

// columns are name and type of a table's columns, of whatever the schema is.
func (m *meddler) columns(table string) (names, types []string) {
	query := "select name || ' ' || lower(type) from pragma_table_info($1) order by cid"
	if !m.lite {
		query = "select column_name || ' ' || udt_name from information_schema.columns where table_schema = 'public' and table_name = $1 order by ordinal_position"
	}
	for _, text := range m.texts(query, table) {
		name, kind, _ := strings.Cut(text, " ")
		names, types = append(names, name), append(types, kind)
	}
	return names, types
}

// other is an expression for another value of a column.
func (m *meddler) other(table, column, kind string) string {
	object := map[string]bool{"document": true, "fold": true, "decision": true, "settings": true}
	array := map[string]bool{"permissions": true, "closed_gates": true, "trace": true}
	blob := kind == "bytea" || kind == "blob"
	switch {
	case !blob && object[column] && !m.lite:
		return column + ` || '{"status": "tampered"}'::jsonb`
	case !blob && object[column]:
		return "json_set(" + column + ", '$.status', 'tampered')"
	case !blob && array[column] && !m.lite:
		return column + ` || '["tampered"]'::jsonb`
	case !blob && array[column]:
		return "json_insert(" + column + ", '$[#]', 'tampered')"
	case kind == "bool", kind == "integer" && (column == "active" || column == "approved" || column == "shared_external" || column == "transition"):
		if m.lite {
			return "1 - " + column
		}
		return "not " + column
	case kind == "bytea":
		return column + ` || '\x01'::bytea`
	case blob:
		return "cast(" + column + " || x'01' as blob)"
	case kind == "timestamptz":
		return "coalesce(" + column + ", now()) + interval '1 second'"
	case kind == "text":
		return "coalesce(" + column + ", '') || 'x'"
	}
	return "coalesce(" + column + ", 0) + 1000000"
}

// found says whether a check names one of the tables and one of the ids.
func (m *meddler) found(what string, tables, ids []string) {
	m.t.Helper()
	r, err := m.h.CheckRecord(m.t.Context(), nil)
	if err != nil {
		m.t.Errorf("%s: %v", what, err)
		return
	}
	for _, w := range r.Wrongs {
		for _, id := range ids {
			if slices.Contains(tables, w.Table) && id != "" && strings.Contains(w.ID, id) {
				return
			}
		}
	}
	m.t.Errorf("%s: not found at %v %v; %+v", what, tables, ids, r.Wrongs)
}

// taken copies a row aside, and gives its key.
func (m *meddler) taken(table string) (where string, key []string) {
	m.t.Helper()
	it := ofTheRecord[table]
	where = strings.ReplaceAll(it.where, "$1", "'"+m.who+"'")
	names := strings.Split(it.key, ",")
	var parts []string
	for _, name := range names {
		parts = append(parts, "cast("+name+" as text)")
	}
	keys := m.texts("select " + strings.Join(parts, " || '|' || ") + " from " + table + " where " + where + " order by 1 limit 1")
	if len(keys) == 0 {
		m.t.Fatalf("%s has no row where %s", table, where)
	}
	key = strings.Split(keys[0], "|")
	var conditions []string
	for i, name := range names {
		conditions = append(conditions, "cast("+name+" as text) = '"+key[i]+"'")
	}
	m.do("drop table if exists aside")
	where = strings.Join(conditions, " and ")
	m.do("create table aside as select * from " + table + " where " + where)
	return where, key
}

// back undoes what was done to the row that was taken.
func (m *meddler) back(table, changed string) {
	m.do("delete from " + table + " where " + changed)
	names, _ := m.columns(table)
	m.do("insert into " + table + " (" + strings.Join(names, ", ") + ") select " + strings.Join(names, ", ") + " from aside")
	m.do("drop table aside")
}

// place is what a finding names of a row: of the log's head there is one.
func place(table string, key []string) []string {
	if table == "audit_node" {
		return []string{key[0] + "/" + key[1]}
	}
	return key[:1]
}

// also are tables that a finding may name instead.
var also = map[string][]string{"audit_pending": {"audit_entry"}}

// Every column of every table of the record, one at a time. The columns come from
// the schema: one that is new must be compared, or listed with a reason.
func TestCheckFindsEveryColumn(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, address string) {
		h := newHouseAt(t, address).signing()
		m := newMeddler(t, h, address, eventful(h))
		for table := range ofTheRecord {
			names, types := m.columns(table)
			if len(names) == 0 {
				t.Errorf("there is no table %s", table)
			}
			keys := strings.Split(ofTheRecord[table].key, ",")
			for i, column := range names {
				if unchecked[table+"."+column] != "" {
					continue
				}
				where, key := m.taken(table)
				m.do("update " + table + " set " + column + " = " + m.other(table, column, types[i]) + " where " + where)
				changed, ids := where, place(table, key)
				if at := slices.Index(keys, column); at >= 0 { // another row now
					now := m.texts("select cast(" + strings.ReplaceAll(m.other(table, column, types[i]), column, "a."+column) + " as text) from aside a")[0]
					var conditions []string
					for j, name := range keys {
						value := key[j]
						if j == at {
							value = now
						}
						conditions = append(conditions, "cast("+name+" as text) = '"+value+"'")
					}
					changed, ids = strings.Join(conditions, " and "), []string{key[0], key[at], now}
				}
				m.found(table+"."+column, append(also[table], table), ids)
				m.back(table, changed)
			}
		}
		h.sound() // everything is back
		var known []string
		for table := range ofTheRecord {
			known = append(known, table)
		}
		for table := range everything(t, address) {
			work := strings.HasPrefix(table, "river_") || strings.HasPrefix(table, "goose_") || strings.HasPrefix(table, "sqlite_")
			if !work && !slices.Contains(known, table) && notOfTheRecord[table] == "" {
				t.Errorf("table %s is neither of the record nor said not to be", table)
			}
		}
	})
}

// Rows that go, come and change places.
func TestCheckFindsRows(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, address string) {
		h := newHouseAt(t, address).signing()
		m := newMeddler(t, h, address, eventful(h))
		for table, it := range ofTheRecord {
			where, key := m.taken(table)
			if table != "audit_checkpoint" { // whoever took it out of the house has it still
				m.do("delete from " + table + " where " + where)
				m.found("without a row of "+table, append(also[table], table), place(table, key))
				m.back(table, where)
			}
			if table == "audit_head" {
				continue // there is one
			}
			// One more, with a key of its own.
			m.taken(table)
			names, types := m.columns(table)
			values := slices.Clone(names)
			fresh := strings.Split(it.key, ",")[0]
			unique := map[string][]string{
				"users": {"user_name_key", "external_id", "healthix_username"}, "groups": {"external_id"},
				"activation": {"code_hash"}, "audit_position": {"entry_id", "number"},
			}[table]
			for i, name := range names {
				if name == fresh || slices.Contains(unique, name) {
					values[i] = m.other(table, name, types[i])
				}
			}
			now := m.texts("select cast(" + m.other(table, fresh, types[slices.Index(names, fresh)]) + " as text) from aside")[0]
			m.do("insert into " + table + " (" + strings.Join(names, ", ") + ") select " + strings.Join(values, ", ") + " from aside")
			m.found("one more row of "+table, []string{table}, []string{now})
			m.do("delete from " + table + " where cast(" + fresh + " as text) = '" + now + "'")
			m.do("drop table aside")
		}
		h.sound()
		for _, swap := range []struct{ table, columns, one, two string }{
			{"user_history", "body,digest", "user_id = $1 and version = 2", "user_id = $1 and version = 3"},
			{"user_personal", "salt,body", "user_id = $1 and version = 2", "user_id = $1 and version = 3"},
			{"audit_entry", "canonical,hash", "user_id = $1 and action = 'user.created'", "user_id = $1 and action = 'approval.given'"},
			{"audit_position", "leaf", "position = 11", "position = 12"},
			{"evidence", "valid_until,completed_at,module", "user_id = $1 and module = (select min(module) from evidence where user_id = $1)", "user_id = $1 and module = (select max(module) from evidence where user_id = $1)"},
		} {
			one, two := strings.ReplaceAll(swap.one, "$1", "'"+m.who+"'"), strings.ReplaceAll(swap.two, "$1", "'"+m.who+"'")
			exchange := func() {
				m.do("create table aside as select * from " + swap.table + " where " + one)
				m.do("create table beside as select * from " + swap.table + " where " + two)
				var first, second []string
				for _, c := range strings.Split(swap.columns, ",") {
					first = append(first, c+" = (select x."+c+" from beside x)")
					second = append(second, c+" = (select x."+c+" from aside x)")
				}
				if swap.table == "evidence" { // the condition moves with the module
					one, two = "id = '"+m.texts("select id from aside")[0]+"'", "id = '"+m.texts("select id from beside")[0]+"'"
				}
				m.do("update " + swap.table + " set " + strings.Join(first, ", ") + " where " + one)
				m.do("update " + swap.table + " set " + strings.Join(second, ", ") + " where " + two)
				m.do("drop table aside")
				m.do("drop table beside")
			}
			if swap.table == "audit_entry" {
				ids := m.texts("select id from audit_entry where " + one + " union all select id from audit_entry where " + two)
				one, two = "id = '"+ids[0]+"'", "id = '"+ids[1]+"'"
				exchange()
				m.found("two entries", []string{swap.table}, ids)
			} else {
				exchange()
				r, err := h.CheckRecord(t.Context(), nil)
				if err != nil || !slices.ContainsFunc(r.Wrongs, named(swap.table)) {
					t.Errorf("two rows of %s: %+v, %v", swap.table, r.Wrongs, err)
				}
			}
			exchange()
		}
		h.sound()
	})
}

func named(table string) func(storage.Wrong) bool {
	return func(w storage.Wrong) bool { return w.Table == table }
}
