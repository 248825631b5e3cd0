package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
)

// keepPlanned keeps n users, of whom one in a hundred waits for their title, and
// a plan in force that concerns them all.
func keepPlanned(t testing.TB, s *Store, n int) {
	t.Helper()
	keepMany(t, s, n)
	var people []storage.PlanPerson
	for i := range n {
		id := fmt.Sprintf("p%d-%d", i%2, 100000+i)
		people = append(people, storage.PlanPerson{User: id, Participant: fmt.Sprint("h", i%40), Class: []string{"gain", "lose"}[i%7/6]})
	}
	err := s.write(t.Context(), func(ctx context.Context, tx *tx) error {
		for _, statement := range []string{
			"update users set department_fold = 'ward ' || (substr(id, 4, 6)::integer % 50), title_role = 'clinical', title_key = 'nurse'",
			"update users set title_role = '', title_key = 'wizard' where id like '%17'",
			"update users set title_role = '', title_key = 'elf' where id like '%0017'",
			"update users set job_code_title = 'Clerk' where id like '%23'",
		} {
			if s.engine == sqliteEngine {
				statement = strings.ReplaceAll(statement, "::integer", "")
			}
			if err := exec(ctx, tx, statement); err != nil {
				return err
			}
		}
		if err := tx.PutPolicy(ctx, storage.PolicyVersion{Version: 1, Document: []byte("p"), Applied: tx.Now(), Plan: "p1"}); err != nil {
			return err
		}
		return tx.PutPlanPeople(ctx, "p1", people)
	})
	if err != nil {
		t.Fatal(err)
	}
	keepEffects(t, s, n)
	analyze := "analyze"
	if s.engine == postgresEngine {
		analyze = "vacuum analyze"
	}
	if err := s.writes.Exec(analyze).Error; err != nil {
		t.Fatal(err)
	}
}

// keepEffects lets half of n users lose by plan p1.
func keepEffects(t testing.TB, s *Store, n int) {
	t.Helper()
	var effects []storage.Effect
	for i := range n {
		e := storage.Effect{User: fmt.Sprintf("p%d-%d", i%2, 100000+i)}
		if i%4 < 2 {
			e.Narrowing = &policy.Narrowing{Permissions: []string{"view"}}
		}
		effects = append(effects, e)
	}
	err := s.Write(t.Context(), func(ctx context.Context, tx storage.Tx) error { return tx.AddEffects(ctx, "p1", effects) })
	if err != nil {
		t.Fatal(err)
	}
}

// TestWalks: what walks over everybody ask for page by page is a range of an
// index, on both engines.
func TestWalks(t *testing.T) {
	const many = 20_000
	postgres := openForQueries(t, pgtest.URL(t))
	sqlite := openForQueries(t, "sqlite://"+filepath.Join(t.TempDir(), "healthix.db"))
	keepPlanned(t, postgres, many)
	keepPlanned(t, sqlite, many)
	for name, tc := range map[string]struct {
		query            func(r reader) (string, []any)
		postgres, sqlite string // an index that serves, "" for none asked
		sorts            bool
	}{
		"titled": {func(reader) (string, []any) {
			query, args, _ := listTitled(storage.TitledQuery{After: "p0-105000", Limit: 1000})
			return query, args
		}, "users_pkey", "sqlite_autoindex_users_1", false},
		"titled of one": {func(reader) (string, []any) {
			query, args, _ := listTitled(storage.TitledQuery{Participant: "p1", After: "p1-105000", Limit: 1000})
			return query, args
		}, "users_active", "users_active", false},
		"those who lose": {func(reader) (string, []any) { return listEffects(true, 500), []any{"p1", "p0-105000", 1} },
			"policy_effect_order", "policy_effect_order", false},
		"those who do not": {func(reader) (string, []any) { return listEffects(false, 500), []any{"p1", "p0-105000", 1} },
			"policy_effect_order", "policy_effect_order", false},
		"people": {func(reader) (string, []any) {
			return listPlanPeople(storage.PlanQuery{Plan: "p1", After: "p0-105000", Limit: 100})
		}, "policy_plan_person_pkey", "PRIMARY KEY", false},
		"people of a class": {func(reader) (string, []any) {
			return listPlanPeople(storage.PlanQuery{Plan: "p1", Class: "lose", After: "p0-105000", Limit: 100})
		}, "policy_plan_person_class", "policy_plan_person_class", false},
		"people of one": {func(reader) (string, []any) {
			return listPlanPeople(storage.PlanQuery{Plan: "p1", Participant: "h7", After: "p1-105000", Limit: 100})
		}, "policy_plan_person_participant", "policy_plan_person_participant", false},
		"count":        {func(reader) (string, []any) { return countUsers("") }, "users_active", "", true},
		"count of one": {func(reader) (string, []any) { return countUsers("p1") }, "users_active", "users_active", true},
		"waiting":      {func(r reader) (string, []any) { return r.listWaitingTitles("") }, "users_title_key", "users_title_key", true},
		"disagreeing":  {func(r reader) (string, []any) { return r.listWaitingTitles("p1") }, "users_job_code", "users_job_code", true},
		"peers": {func(r reader) (string, []any) { return r.listTitlePeers("", []string{"elf", "troll"}) },
			"users_department", "users_department", true},
	} {
		t.Run("PostgreSQL/"+name, func(t *testing.T) {
			query, args := tc.query(postgres.reader)
			plan := steps(t, postgres, "explain "+query, args)
			if strings.Contains(plan, "Seq Scan on users") || strings.Contains(plan, "Seq Scan on policy_") ||
				!strings.Contains(plan, tc.postgres) || !tc.sorts && strings.Contains(plan, "Sort") {
				t.Errorf("plan\n%s", plan)
			}
		})
		t.Run("SQLite/"+name, func(t *testing.T) {
			query, args := tc.query(sqlite.reader)
			plan := steps(t, sqlite, "explain query plan "+query, args)
			if !strings.Contains(plan, tc.sqlite) || !tc.sorts && strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("plan\n%s", plan)
			}
		})
	}
}

// TestTitledOfOlderRows: what a row from before the columns says in its documents
// is found there.
func TestTitledOfOlderRows(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		s := opened(t, address, Options{})
		u := settle(t, s)
		u.Document = storage.Document{
			"userType": "staff", "urn:ietf:params:scim:schemas:extension:healthix:2.0:User": map[string]any{"npi": "1234567893"},
		}
		u.Department, u.Decision.TitleRole, u.Decision.Rule = "Ward", "clinical", "title:nurse"
		waiting := u
		waiting.ID, waiting.UserName, waiting.UserNameKey, waiting.TitleKey, waiting.Decision.TitleRole = "waiting", "w", "w", "wizard", ""
		if err := errors.Join(s.putUser(u), s.putUser(waiting)); err != nil {
			t.Fatal(err)
		}
		read := func() string {
			t.Helper()
			titled, err := s.ListTitled(t.Context(), storage.TitledQuery{Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			peers, err := s.ListTitlePeers(t.Context(), "", []string{"wizard"})
			if err != nil {
				t.Fatal(err)
			}
			return fmt.Sprint(titled, peers)
		}
		kept := read()
		if _, err := s.sql.ExecContext(t.Context(), "update users set user_type = null, npi = null, rule = null"); err != nil {
			t.Fatal(err)
		}
		if older := read(); older != kept || !strings.Contains(kept, "staff") || !strings.Contains(kept, "1234567893") || strings.Count(kept, "title:nurse") != 2 {
			t.Errorf("older rows: %s, want %s", older, kept)
		}
	})
}

// TestEffectsAreReckonedWith: a look-up that was prepared while there were no
// effects does not read all of them once there are many.
func TestEffectsAreReckonedWith(t *testing.T) {
	address := pgtest.URL(t)
	s := openForQueries(t, address)
	keepMany(t, s, 4000) // and vacuums: the table of effects is known to be empty
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, statement := range []string{
		"set plan_cache_mode = force_generic_plan",
		"prepare one as select " + userColumns + " from " + userTables + " where u.id = $1",
	} {
		if _, err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	plan := func() string {
		t.Helper()
		rows, err := conn.Query(t.Context(), "explain execute one('p0-100060')")
		if err != nil {
			t.Fatal(err)
		}
		steps, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(steps, "\n")
	}
	if before := plan(); !strings.Contains(before, "Seq Scan on policy_effect") {
		t.Fatalf("of an empty table PostgreSQL expects\n%s", before)
	}
	keepEffects(t, s, 4000)
	if after := plan(); !strings.Contains(after, "Index Scan using policy_effect_pkey") {
		t.Errorf("plan\n%s", after)
	}
}
