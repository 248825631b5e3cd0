package sqlstore

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
	"github.com/healthix/healthix-scim/storage/storagetest"
)

func TestQueriesOnSQLite(t *testing.T) {
	storagetest.RunQueries(t, func(t *testing.T) storage.Store {
		return openForQueries(t, "sqlite://"+filepath.Join(t.TempDir(), "healthix.db"))
	})
}

// The database sorts as English does, so that an order which is not asked for
// bytewise shows.
func TestQueriesOnPostgreSQL(t *testing.T) {
	storagetest.RunQueries(t, func(t *testing.T) storage.Store { return openForQueries(t, englishDatabase(t)) })
}

func englishDatabase(t *testing.T) string {
	t.Helper()
	address := pgtest.URL(t)
	c, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	name := c.Database + "_english"
	do := func(ctx context.Context, statement string) {
		t.Helper()
		conn, err := pgx.ConnectConfig(ctx, c)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	do(t.Context(), "create database "+name+" template template0 locale_provider icu icu_locale 'en-US'")
	t.Cleanup(func() { do(context.Background(), "drop database "+name+" with (force)") })
	return strings.Replace(address, c.Database, name, 1)
}

func openForQueries(t testing.TB, address string) *Store {
	t.Helper()
	s, err := Open(t.Context(), address, Options{Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestPlans: what identity providers and screens ask all day is answered by an
// index, on both engines.
func TestPlans(t *testing.T) {
	postgres := openForQueries(t, pgtest.URL(t))
	sqlite := openForQueries(t, "sqlite://"+filepath.Join(t.TempDir(), "healthix.db"))
	keepMany(t, postgres, 4000)
	keepMany(t, sqlite, 4000)
	middle := storage.User{ID: "p0-102000", UserNameKey: "p0-102000@x.example", Created: manyCreated.Add(2000 * time.Second)}
	byName := []storage.Order{{Field: storage.FieldUserName}}
	at := func(sort []storage.Order) *storage.Position { return middle.Position(storage.Query{Sort: sort}) }
	eq := func(path string, v any) storage.Filter {
		return storage.Attr{Path: strings.Split(path, " "), Op: storage.OpEq, Value: v}
	}
	field := func(f storage.Field, op storage.Op, v string) storage.Filter {
		return storage.Cmp{Field: f, Op: op, Value: v}
	}
	for name, tc := range map[string]struct {
		q                storage.Query
		postgres, sqlite string // an index that serves, "" for none asked
		sorts            bool
		from             string // the key whose range of the index begins the page
	}{
		"first page":     {q: storage.Query{}, postgres: "users_created", sqlite: "users_created"},
		"next page":      {q: storage.Query{After: at(nil)}, postgres: "users_created", sqlite: "users_created", from: "created"},
		"page before":    {q: storage.Query{After: at(nil)}.Reversed(), postgres: "users_created", sqlite: "users_created", from: "created"},
		"by userName":    {q: storage.Query{Sort: byName}, postgres: "users_user_name", sqlite: "users_user_name"},
		"next by name":   {q: storage.Query{Sort: byName, After: at(byName)}, postgres: "users_user_name", sqlite: "users_user_name", from: "user_name_key"},
		"before by name": {q: storage.Query{Sort: byName, After: at(byName)}.Reversed(), postgres: "users_user_name", sqlite: "users_user_name", from: "user_name_key"},
		"userName":       {q: storage.Query{Filter: field(storage.FieldUserName, storage.OpEq, "p0-100060@x.example")}, postgres: "users_user_name", sqlite: "users_user_name", sorts: true},
		"userName sw":    {q: storage.Query{Filter: field(storage.FieldUserName, storage.OpSw, "p0-100060")}, postgres: "users_user_name", sqlite: "users_user_name", sorts: true},
		"externalId":     {q: storage.Query{Filter: field(storage.FieldExternalID, storage.OpEq, "e60")}, postgres: "users_external_id", sorts: true},
		"ids":            {q: storage.Query{Filter: storage.In{Field: storage.FieldID, Values: []string{"p0-100060", "p0-100061"}}}, postgres: "users_pkey", sqlite: "sqlite_autoindex_users_1", sorts: true},
		"e-mail":         {q: storage.Query{Filter: field(storage.FieldEmail, storage.OpEq, "p0-100060@x.example")}, postgres: "users_fold", sqlite: "sqlite_autoindex_users_1", sorts: true},
		"attribute":      {q: storage.Query{Filter: eq("nickname", "nick60")}, postgres: "users_fold", sorts: true},
		"sub-attribute":  {q: storage.Query{Filter: eq("name formatted", "nick60")}, postgres: "users_fold", sorts: true},
		"extension":      {q: storage.Query{Filter: eq("urn:example:user employeenumber", "60")}, postgres: "users_fold", sorts: true},
		"one element":    {q: storage.Query{Filter: storage.Element{Path: []string{"emails"}, Filter: storage.And{eq("type", "work"), eq("value", "p0-100060@x.example")}}}, postgres: "users_fold", sqlite: "sqlite_autoindex_users_1", sorts: true},
		"members of one": {q: storage.Query{Filter: field(storage.FieldGroup, storage.OpEq, "nobody")}, sqlite: "sqlite_autoindex_users_1", sorts: true},
	} {
		tc.q.Participant, tc.q.Limit, tc.q.Now = "p0", 101, manyCreated
		t.Run("PostgreSQL/"+name, func(t *testing.T) {
			plan := explain(t, postgres, "explain ", tc.q)
			if strings.Contains(plan, "Seq Scan on users") || !strings.Contains(plan, tc.postgres) || !tc.sorts && strings.Contains(plan, "Sort") || !strings.Contains(plan, tc.from) {
				t.Errorf("plan\n%s", plan)
			}
		})
		t.Run("SQLite/"+name, func(t *testing.T) {
			plan := explain(t, sqlite, "explain query plan ", tc.q)
			if strings.Contains(plan, "SCAN u") || !strings.Contains(plan, tc.sqlite) || !tc.sorts && strings.Contains(plan, "TEMP B-TREE") {
				t.Errorf("plan\n%s", plan)
			}
		})
	}
}

// TestPlansWithoutValues: the index of the document also serves small pages
// once PostgreSQL plans without looking at the values.
func TestPlansWithoutValues(t *testing.T) {
	address := pgtest.URL(t)
	keepMany(t, openForQueries(t, address), 4000)
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "set plan_cache_mode = force_generic_plan"); err != nil {
		t.Fatal(err)
	}
	for n, sort := range [][]storage.Order{nil, {{Field: storage.FieldUserName}}, {{Field: storage.FieldID, Descending: true}}} {
		_, page, err := lowerQuery(postgresEngine, userResource, storage.Query{
			Participant: "p0", Filter: storage.Cmp{Field: storage.FieldEmail, Op: storage.OpEq, Value: "p0-100060@x.example"}, Sort: sort, Limit: 1,
		})
		if err != nil {
			t.Fatal(err)
		}
		query := "select u.id from " + userResource.from + " " + page.sql
		var values []string
		for i, arg := range page.args {
			query = strings.Replace(query, "?", fmt.Sprintf("$%d", i+1), 1)
			values = append(values, "'"+arg.(string)+"'")
		}
		if _, err := conn.Exec(t.Context(), fmt.Sprintf("prepare q%d as %s", n, query)); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		rows, err := conn.Query(t.Context(), fmt.Sprintf("explain execute q%d(%s)", n, strings.Join(values, ", ")))
		if err != nil {
			t.Fatal(err)
		}
		steps, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		if plan := strings.Join(steps, "\n"); !strings.Contains(plan, "users_fold") || !strings.Contains(plan, "$2") {
			t.Errorf("sort %+v: plan\n%s", sort, plan)
		}
	}
}

// BenchmarkPage: a page in the middle costs what the first one costs.
func BenchmarkPage(b *testing.B) {
	const people = 100_000 // half of them at p0
	middle := storage.User{ID: "p0-150000", UserNameKey: "p0-150000@x.example", Title: "Registered Nurse", Created: manyCreated.Add(50_000 * time.Second)}
	for name, address := range map[string]func() string{
		"PostgreSQL": func() string { return pgtest.URL(b) },
		"SQLite":     func() string { return "sqlite://" + filepath.Join(b.TempDir(), "healthix.db") },
	} {
		s := openForQueries(b, address())
		keepMany(b, s, people)
		for order, sort := range map[string][]storage.Order{
			"created": nil, "userName": {{Field: storage.FieldUserName}}, "userName down": {{Field: storage.FieldUserName, Descending: true}}, "title": {{Field: storage.FieldTitle}},
		} {
			first := storage.Query{Participant: "p0", Sort: sort, Limit: 101, Now: manyCreated}
			inside := first
			inside.After = middle.Position(first)
			for where, q := range map[string]storage.Query{"first": first, "middle": inside, "before": inside.Reversed()} {
				b.Run(name+"/"+order+"/"+where, func(b *testing.B) {
					for b.Loop() {
						if users, _, err := s.ListUsers(b.Context(), q); err != nil || len(users) != 101 {
							b.Fatalf("%d users: %v", len(users), err)
						}
					}
				})
			}
		}
	}
}

var manyCreated = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// keepMany keeps n users, half of them at each of two participants.
func keepMany(t testing.TB, s *Store, n int) {
	t.Helper()
	rows := make([]userRow, 0, n)
	for i := range n {
		participant := fmt.Sprintf("p%d", i%2)
		id := fmt.Sprintf("%s-%d", participant, 100000+i)
		name := id + "@x.example"
		row, err := userRowOf(storage.User{
			ID: id, Participant: participant, Version: 1, UserName: name, UserNameKey: name, ExternalID: fmt.Sprintf("e%d", i), DisplayName: "Nick " + id,
			Email: name, EmailKey: name, Title: "Registered Nurse", Active: true, Document: storage.Document{"userName": name},
			Fold: fmt.Appendf(nil, `{"username":%q,"displayname":"nick %s","nickname":"nick%d","name":{"formatted":"nick%d"},"active":true,"title":"registered nurse",
			  "emails":[{"type":"work","value":%q,"primary":true},{"type":"home","value":"home%d@x.example"}],
			  "urn:example:user":{"employeenumber":"%d","department":"ward %d"}}`, name, id, i, i, name, i, i, i%20),
			Created: manyCreated.Add(time.Duration(i) * time.Second), LastModified: manyCreated,
			Decision: policy.Decision{Status: policy.StatusReleased, DecidedAt: manyCreated},
		})
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, row)
	}
	for i := range 2 {
		err := s.Write(t.Context(), func(ctx context.Context, tx storage.Tx) error {
			_, err := tx.PutParticipant(ctx, storage.Participant{
				ID: fmt.Sprintf("p%d", i), Type: "standard", Status: "active", Mode: "live", Version: 1, Created: manyCreated, Changed: manyCreated,
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.writes.CreateInBatches(rows, 500).Error; err != nil {
		t.Fatal(err)
	}
	var after []string
	if s.engine == postgresEngine {
		after = []string{"vacuum analyze"} // what autovacuum does: else the index's pending list tells the planner to stay away
	} else {
		after = []string{"insert into user_email (participant, email_key, user_id) select participant, email_key, id from users", "analyze"}
	}
	for _, statement := range after {
		if err := s.writes.Exec(statement).Error; err != nil {
			t.Fatal(err)
		}
	}
}

// explain is how the engine goes about a page of users.
func explain(t testing.TB, s *Store, how string, q storage.Query) string {
	t.Helper()
	_, page, err := lowerQuery(s.engine, userResource, q)
	if err != nil {
		t.Fatal(err)
	}
	return steps(t, s, how+"select "+userColumns+" from "+userResource.from+" "+page.sql, page.args)
}
