package sqlstore

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
)

// onBoth runs a test on a fresh database of each engine.
func onBoth(t *testing.T, test func(t *testing.T, address string)) {
	t.Run("SQLite", func(t *testing.T) { test(t, "sqlite://"+filepath.Join(t.TempDir(), "healthix.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, pgtest.URL(t)) })
}

func opened(t testing.TB, address string, o Options) *Store {
	t.Helper()
	o.Migrate = true
	s, err := Open(context.Background(), address, o)
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

// settle keeps a participant and gives a user of it, not kept yet.
func settle(t testing.TB, s *Store) storage.User {
	t.Helper()
	now := s.now()
	err := s.Write(context.Background(), func(ctx context.Context, tx storage.Tx) error {
		_, err := tx.PutParticipant(ctx, storage.Participant{
			ID: "mercy", Name: "Mercy", Type: "standard", Status: "active", Mode: "live", Version: 1, Created: now, Changed: now,
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return storage.User{
		ID: "00000000-0000-4000-8000-000000000001", Participant: "mercy", Version: 1, UserName: "ana", UserNameKey: "ana", Active: true,
		Document: storage.Document{"userName": "ana"}, Fold: json.RawMessage(`{"username":"ana"}`),
		Decision: policy.Decision{Status: policy.StatusPending, DecidedAt: now}, ClinicalAlerts: "none", Created: now, LastModified: now,
	}
}

func (s *Store) putUser(u storage.User) error {
	return s.Write(context.Background(), func(ctx context.Context, tx storage.Tx) error {
		_, err := tx.PutUser(ctx, u)
		return err
	})
}

// What is on record cannot be changed, whoever asks.
func TestAppendOnly(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		s := opened(t, address, Options{})
		u := settle(t, s)
		err := s.write(t.Context(), func(ctx context.Context, tx *tx) error {
			_, err := tx.PutUser(ctx, u)
			_, grouped := tx.PutGroup(ctx, storage.Group{ID: "g", Participant: "mercy", Version: 1}, storage.MemberChange{})
			return errors.Join(err, grouped, tx.PutPolicy(ctx, storage.PolicyVersion{Version: 1, Document: []byte("p")}),
				exec(ctx, tx, "insert into audit_entry (id, at, participant, user_id, action, canonical, hash) values ('e', ?, '', '', '', ?, '')", instant(tx.now), []byte{}),
				tx.PutPositions(ctx, []storage.LogPosition{{Entry: "e", Number: 1}}), tx.PutNodes(ctx, []storage.LogNode{{Level: 8}}),
				tx.PutCheckpoint(ctx, storage.KeptCheckpoint{Size: 1, At: tx.now}))
		})
		if err != nil {
			t.Fatal(err)
		}
		for table, column := range map[string]string{
			"user_history": "digest", "group_history": "digest", "participant_history": "digest", "policy_version": "digest", "audit_entry": "hash",
			"audit_position": "participant", "audit_node": "level", "audit_checkpoint": "note",
		} {
			for _, statement := range []string{
				"update " + table + " set " + column + " = " + column, "delete from " + table,
				"insert or replace into " + table + " select * from " + table, "truncate " + table + " cascade",
			} {
				known := !strings.HasPrefix(statement, "truncate") && !strings.HasPrefix(statement, "insert or") || // each engine has one of its own
					strings.HasPrefix(statement, "truncate") == (s.engine == postgresEngine)
				err := s.write(t.Context(), func(ctx context.Context, tx *tx) error { return exec(ctx, tx, statement) })
				if known && (err == nil || !strings.Contains(err.Error(), "append-only")) {
					t.Errorf("%s: %v", statement, err)
				}
				var n int
				if _, err := s.get(t.Context(), &n, "select count(*) from "+table); err != nil || n != 1 {
					t.Errorf("after %s: %d rows, %v", statement, n, err)
				}
			}
		}
	})
}

func exec(ctx context.Context, t *tx, statement string, args ...any) error {
	_, err := t.do(ctx, statement, args...)
	return err
}

// The same tables, columns and indexes on both engines, but for what SQLite
// needs and PostgreSQL has.
func TestSchemasMatch(t *testing.T) {
	var schemas [2][]string
	read := func(s *Store, query string) []string {
		var found []string
		if _, err := s.get(t.Context(), &found, query); err != nil {
			t.Fatal(err)
		}
		return slices.DeleteFunc(found, func(name string) bool {
			for _, other := range []string{"goose_", "river_", "sqlite_", "job.", "job_", "user_email", "users_fold", "groups_fold"} {
				if strings.HasPrefix(name, other) {
					return true
				}
			}
			return strings.HasSuffix(name, "_pkey") || strings.HasSuffix(name, "_key")
		})
	}
	lite := opened(t, "sqlite://"+filepath.Join(t.TempDir(), "healthix.db"), Options{})
	schemas[0] = append(
		read(lite, `select m.name || '.' || c.name || case c."notnull" when 1 then ' not null' else '' end
			from sqlite_master m join pragma_table_info(m.name) c where m.type = 'table' and c.pk = 0`),
		read(lite, "select name from sqlite_master where type = 'index'")...)
	pg := opened(t, pgtest.URL(t), Options{})
	schemas[1] = append(
		read(pg, `select c.table_name || '.' || c.column_name || case c.is_nullable when 'NO' then ' not null' else '' end
			from information_schema.columns c where c.table_schema = 'public' and not exists (
				select from information_schema.key_column_usage k join information_schema.table_constraints t using (constraint_name)
				where t.constraint_type = 'PRIMARY KEY' and k.table_name = c.table_name and k.column_name = c.column_name)`),
		read(pg, "select indexname from pg_indexes where schemaname = 'public'")...)
	for i := range schemas {
		slices.Sort(schemas[i])
	}
	if a, b := strings.Join(schemas[0], "\n"), strings.Join(schemas[1], "\n"); a != b || len(schemas[0]) < 100 {
		t.Errorf("SQLite:\n%s\n\nPostgreSQL:\n%s", a, b)
	}
}

func TestMigrate(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		ctx := t.Context()
		if s, err := Open(ctx, address, Options{}); err == nil || !strings.Contains(err.Error(), "healthix-scim migrate") {
			t.Errorf("a database without schema: %v, %v", s, err)
		}
		if n, err := Pending(ctx, address); err != nil || n == 0 {
			t.Errorf("pending: %d, %v", n, err)
		}
		// Nodes that start at the same time find one instance.
		var wg sync.WaitGroup
		ids := make([]string, 4)
		for i := range ids {
			wg.Go(func() {
				s, err := Open(ctx, address, Options{Migrate: true})
				if err != nil {
					t.Error(err)
					return
				}
				if ids[i], err = s.Instance(ctx); err != nil {
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(slices.Compact(ids)) != 1 || ids[0] == "" {
			t.Errorf("instances %v", ids)
		}
		if n, err := Pending(ctx, address); err != nil || n != 0 {
			t.Errorf("pending: %d, %v", n, err)
		}
		if err := Migrate(ctx, address); err != nil {
			t.Error(err)
		}
		s, err := Open(ctx, address, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := s.Ready(ctx); err == nil {
			t.Error("ready after close")
		}
		if err := s.putUser(storage.User{}); err == nil {
			t.Error("wrote after close")
		}
	})
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	closed.Close()
	folder := t.TempDir()
	for _, tc := range []struct {
		address     string
		want        string
		unavailable bool
	}{
		{"mysql://ana:s3cret@db.example/x", `"mysql"`, false},
		{"healthix.db", "sqlite://", false},
		{"sqlite://", "names no file", false},
		{"sqlite://" + filepath.Join(folder, "none", "healthix.db"), "does not exist", false},
		{"sqlite://" + folder, "database file", false},
		{"postgres://ana:s3cret@" + nobody + "/x", nobody, true},
		{"postgres://ana:s3cret@" + nobody + "/x?sslmode=perhaps", "expected postgres://", false},
		{"postgres://ana:s3cret@[half/x", "expected postgres://", false},
		{"postgres://ana:s3%ret@" + nobody + "/x", "expected postgres://", false},
	} {
		s, err := Open(t.Context(), tc.address, Options{Migrate: true})
		if err == nil {
			t.Errorf("%s: opened %v", tc.address, s)
			continue
		}
		if !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "s3") || errors.Is(err, storage.ErrUnavailable) != tc.unavailable {
			t.Errorf("%s: %v", tc.address, err)
		}
	}
}

// A clock that stands still or goes back never makes two versions share an
// instant, nor a later one begin earlier.
func TestValidFromRises(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		at := time.Date(2026, 11, 1, 6, 0, 0, 123456789, time.UTC)
		s := opened(t, address, Options{Clock: func() time.Time { return at }})
		u := settle(t, s)
		for u.Version = 1; u.Version <= 4; u.Version++ {
			if u.Version == 3 {
				at = at.Add(-time.Hour)
			}
			if err := s.putUser(u); err != nil {
				t.Fatal(err)
			}
		}
		rows, err := s.ListHistory(t.Context(), u.ID)
		if err != nil || len(rows) != 4 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		first := time.Date(2026, 11, 1, 6, 0, 0, 123456000, time.UTC)
		for i, row := range rows {
			if want := first.Add(time.Duration(i) * time.Microsecond); !row.ValidFrom.Equal(want) {
				t.Errorf("version %d begins at %v, want %v", row.Version, row.ValidFrom, want)
			}
			var body struct{ ValidFrom time.Time }
			if err := json.Unmarshal(row.Body, &body); err != nil || !body.ValidFrom.Equal(row.ValidFrom) {
				t.Errorf("version %d says of itself %v, %v", row.Version, body.ValidFrom, err)
			}
		}
	})
}

// The files hold people's data: they are for their owner alone. A path without
// a leading slash is relative.
func TestFilesAreTheOwners(t *testing.T) {
	t.Chdir(t.TempDir())
	s := opened(t, "sqlite://a b%20?.db", Options{})
	settle(t, s)
	files, err := filepath.Glob("*")
	if err != nil || len(files) != 3 || files[0] != "a b%20" {
		t.Errorf("files %q, %v", files, err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f, info.Mode(), err)
		}
	}
}

func TestEmailValuesOnSQLite(t *testing.T) {
	s := opened(t, "sqlite://"+filepath.Join(t.TempDir(), "healthix.db"), Options{})
	u := settle(t, s)
	values := func() string {
		t.Helper()
		var found []string
		if _, err := s.get(t.Context(), &found, "select participant || ' ' || email_key || ' ' || user_id from user_email order by 1"); err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(strings.Join(found, ", "), u.ID, "ana")
	}
	deleted := s.now()
	for _, step := range []struct {
		fold    string
		deleted *time.Time
		want    string
	}{
		{`{"emails":[{"value":"b@mail.example"},{"value":"a@mail.example"},{"value":"a@mail.example"},{"type":"work"}]}`, nil, "mercy a@mail.example ana, mercy b@mail.example ana"},
		{`{"emails":[{"value":"c@mail.example"}]}`, nil, "mercy c@mail.example ana"},
		{`{}`, nil, ""},
		{`{"emails":[{"value":"c@mail.example"}]}`, &deleted, ""},
	} {
		u.Fold, u.Deleted = json.RawMessage(step.fold), step.deleted
		if err := s.putUser(u); err != nil {
			t.Fatal(err)
		}
		if got := values(); got != step.want {
			t.Errorf("%s: %s, want %s", step.fold, got, step.want)
		}
		u.Version++
	}
}

func TestStatements(t *testing.T) {
	onBoth(t, func(t *testing.T, address string) {
		s := opened(t, address, Options{})
		var got string
		if _, err := s.get(t.Context(), &got, "select 'a ? ''?'' ' || ? || '@x'", "b@c"); err != nil || got != "a ? '?' b@c@x" {
			t.Errorf("%q, %v", got, err)
		}
		if _, err := s.get(t.Context(), &got, "select ?"); err == nil {
			t.Error("a missing value")
		}
		if _, err := s.get(t.Context(), &got, "select ?", "a", "b"); err == nil {
			t.Error("a value too many")
		}
		var n int
		among, ids := s.anyOf("x", []string{"a", "b", "d"})
		if _, err := s.get(t.Context(), &n, "select count(*) from (select 'a' as x union select 'b' union select 'c') y where "+among, ids); err != nil || n != 2 {
			t.Errorf("%d, %v", n, err)
		}
		if _, err := s.get(t.Context(), &n, "select count(*) from (select 'a' as x union select 'b') y where x in ?", []string{"b", "c"}); err != nil || n != 1 {
			t.Errorf("%d, %v", n, err)
		}
		// Readers cannot write, by mistake or otherwise.
		if s.engine == sqliteEngine {
			if err := s.db.Exec("delete from users").Error; err == nil {
				t.Error("a reader wrote")
			}
		}
	})
}
