package sqlstore

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
)

// TestLogPages: a page of the log, or of a participant's part of it, is a range of
// an index wherever it begins, and so is what is taken of many entries that wait.
func TestLogPages(t *testing.T) {
	const many = 20_000
	postgres := openForQueries(t, pgtest.URL(t))
	sqlite := openForQueries(t, "sqlite://"+filepath.Join(t.TempDir(), "healthix.db"))
	for _, s := range []*Store{postgres, sqlite} {
		err := s.Write(t.Context(), func(ctx context.Context, tx storage.Tx) error {
			numbers := map[string]int64{}
			for i := range int64(many) {
				id, p := fmt.Sprintf("e%06d", i), []string{"mercy", "north", "mercy"}[i%3]
				numbers[p]++
				if err := tx.Append(ctx, audit.Entry{ID: id, At: tx.Now(), Participant: p, Action: "test.wrote", Canonical: []byte("{}")}); err != nil {
					return err
				}
				place := storage.LogPosition{Position: i, Entry: id, Participant: p, Number: numbers[p]}
				if err := tx.PutPositions(ctx, []storage.LogPosition{place}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.writes.Exec("analyze").Error; err != nil {
			t.Fatal(err)
		}
		read, number := 0, int64(0)
		for {
			page, err := s.ListLog(t.Context(), storage.LogQuery{Participant: "mercy", After: number, To: many - 10, Limit: 999})
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range page {
				if read++; row.Number != int64(read) || row.LogPosition.Participant != "mercy" || row.Position >= many-10 {
					t.Fatalf("entry %d: %+v", read, row.LogPosition)
				}
				number = row.Number
			}
			if len(page) == 0 {
				break
			}
		}
		if want := (many-10)/3*2 + 1; read != want {
			t.Errorf("%d entries of one participant, want %d", read, want)
		}
	}
	for _, tc := range []struct {
		q                storage.LogQuery
		postgres, sqlite string // what the plan says
	}{
		{storage.LogQuery{From: 15_000, To: many, Limit: 1000}, "Index Scan using audit_position_pkey", "PRIMARY KEY (rowid>? AND rowid<?)"},
		{storage.LogQuery{Participant: "mercy", After: 10_000, To: many, Limit: 1000}, "Index Scan using audit_position_number", "audit_position_number (participant=? AND number>?)"},
	} {
		query, args := listLog(tc.q)
		if plan := steps(t, postgres, "explain "+query, args); strings.Contains(plan, "Sort Key: audit_position") || !strings.Contains(plan, tc.postgres) {
			t.Errorf("%+v\n%s", tc.q, plan)
		}
		if plan := steps(t, sqlite, "explain query plan "+query, args); !strings.Contains(plan, tc.sqlite) {
			t.Errorf("%+v\n%s", tc.q, plan)
		}
	}
	if plan := steps(t, postgres, "explain "+takePending(2000), nil); strings.Contains(plan, "Seq Scan on audit_pending") {
		t.Errorf("what waits\n%s", plan)
	}
}
