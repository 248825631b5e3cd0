package lifecycle_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"database/sql"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/sqlstore"
)

// raw writes to a database behind the server's back.
func raw(t *testing.T, address string, statements ...string) {
	t.Helper()
	driver, source := "pgx", address
	if path, lite := strings.CutPrefix(address, "sqlite://"); lite {
		driver, source = "sqlite", path
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close() //nolint:errcheck // what was written is written
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// wrote keeps n entries of a participant.
func wrote(t *testing.T, store storage.Store, participant string, n int, fields ...audit.Field) {
	t.Helper()
	err := store.Write(t.Context(), func(ctx context.Context, tx storage.Tx) error {
		for range n {
			e, err := audit.Seal(audit.Draft{
				ID: uuid.Must(uuid.NewV7()).String(), At: tx.Now(), Participant: participant, Action: "test.wrote", Fields: fields,
			}, strings.NewReader(strings.Repeat("s", 16*len(fields))))
			if err == nil {
				err = tx.Append(ctx, e)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// One participant's part of the log, of several pages, is complete, and shows
// nothing of anybody else; but for the policies of all.
func TestExportOfOneParticipant(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, address string) {
		s, store := logNode(t, address, logKey(1))
		if err := errors.Join(s.EnsurePolicy(t.Context()), s.EnsureLogKey(t.Context())); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"mercy", "zephyr"} {
			if _, err := s.AddParticipant(t.Context(), dana, storage.Participant{ID: id, Name: id}); err != nil {
				t.Fatal(err)
			}
		}
		for range 5 {
			wrote(t, store, "mercy", 431, audit.Field{Name: "email", Class: audit.ClassPersonal, Value: "ana@mail.example"})
			wrote(t, store, "zephyr", 100, audit.Field{Name: "email", Class: audit.ClassPersonal, Value: "nora@mail.example"})
			wrote(t, store, "", 20, audit.Field{Name: "reason", Class: audit.ClassPublic, Value: "of nobody"})
		}
		export := func(participant string) (string, audit.Report) {
			t.Helper()
			var file bytes.Buffer
			if err := s.ExportLog(t.Context(), &file, dana, participant, nil, nil); err != nil {
				t.Fatal(err)
			}
			keys, err := s.LogKeys(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			report, err := audit.Verify(bytes.NewReader(file.Bytes()), keys, audit.VerifyOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return file.String(), report
		}
		file, report := export("mercy")
		if want := uint64(5*431 + 2); report.Number != want || report.Entries != want+1 || report.Policies != 1 || report.Personal < 5*431 {
			t.Errorf("%+v", report)
		}
		for _, others := range []string{"zephyr", "nora@", "of nobody"} {
			if strings.Contains(file, others) {
				t.Errorf("the file shows %q", others)
			}
		}
		if _, whole := export(""); whole.Entries != 5*551+1+1+2+2 {
			t.Errorf("the whole log: %+v", whole)
		}
	})
}

// An entry whose hash was altered before it had a position does not stop
// everybody else's: its bytes come into the log.
func TestADamagedHashStopsNobody(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, address string) {
		s, store := logNode(t, address, logKey(1))
		wrote(t, store, "mercy", 1)
		at := "'2026-03-02 08:00:00+00'"
		if strings.HasPrefix(address, "sqlite") {
			at = "1772438400000000"
		}
		raw(t, address, "insert into audit_entry (id, at, participant, user_id, actor, action, canonical, hash) values ('x', "+at+", 'mercy', '', '', 'test.wrote', '{}', 'none')",
			"insert into audit_pending (entry_id) values ('x')")
		wrote(t, store, "mercy", 1)
		if n, err := s.Place(t.Context()); err != nil || n != 3 {
			t.Fatalf("placed %d, %v", n, err)
		}
		soundLog(t, s, store)
	})
}

// Whoever records a key waits for who has the log just then.
func TestTheLogsKeyWaitsItsTurn(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, address string) {
		s, store := logNode(t, address, logKey(1))
		held, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			ended <- store.Write(context.Background(), func(ctx context.Context, tx storage.Tx) error {
				_, _, err := tx.LockLog(ctx)
				close(held)
				time.Sleep(2 * time.Second)
				return err
			})
		}()
		<-held
		if err := errors.Join(s.EnsureLogKey(t.Context()), <-ended); err != nil {
			t.Error(err)
		}
		if rows, err := store.ListEvents(t.Context(), storage.EventQuery{Action: lifecycle.LogKeySet, Limit: 9}); err != nil || len(rows) != 1 {
			t.Errorf("%d on record, %v", len(rows), err)
		}
	})
}

// A checkpoint of more entries is not dated before one of fewer, when the clock
// is set back; after more than a day what it showed is taken for the fault.
func TestCheckpointsDoNotGoBack(t *testing.T) {
	now := time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	store, err := sqlstore.Open(t.Context(), "sqlite://"+t.TempDir()+"/house.db", sqlstore.Options{Migrate: true, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() }) //nolint:errcheck // the folder goes with it
	s, err := lifecycle.New(lifecycle.Options{Store: store, Mailer: &postbox{}, Key: bytes.Repeat([]byte("k"), 32), LogKeys: []ed25519.PrivateKey{logKey(1)}, Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		pass time.Duration
		want string
	}{{0, "15:00"}, {-time.Hour, "15:00"}, {30 * time.Minute, "15:00"}, {31 * time.Minute, "15:01"}, {-30 * time.Hour, "09:01"}} {
		now = now.Add(tc.pass)
		wrote(t, store, "mercy", 1)
		note, err := s.SignedNow(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c, err := audit.ParseCheckpoint(note); err != nil || c.At.Format("15:04") != tc.want {
			t.Errorf("after %s: %s, want %s, %v", tc.pass, c.At, tc.want, err)
		}
	}
}
