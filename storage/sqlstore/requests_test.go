package sqlstore

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
)

// A page of the log is read off an index, newest first, wherever it begins.
func TestRequestPlans(t *testing.T) {
	for name, address := range map[string]string{"PostgreSQL": pgtest.URL(t), "SQLite": "sqlite://" + filepath.Join(t.TempDir(), "healthix.db")} {
		s := openForQueries(t, address)
		keepRequests(t, s, 6000)
		how, primary := "explain query plan ", "sqlite_autoindex_request_log_1"
		if s.engine == postgresEngine {
			how, primary = "explain ", "request_log_pkey"
		}
		before := &storage.RequestPlace{At: manyCreated.Add(1000 * time.Second), ID: "x"}
		for what, tc := range map[string]struct {
			q     storage.RequestQuery
			index string
			sorts bool // the few rows there are
		}{
			"first page":   {q: storage.RequestQuery{}, index: primary},
			"later page":   {q: storage.RequestQuery{Before: before}, index: primary},
			"within times": {q: storage.RequestQuery{From: manyCreated.Add(time.Minute), To: manyCreated.Add(time.Hour), Before: before}, index: primary},
			"refused ones": {q: storage.RequestQuery{StatusFrom: 400, StatusTo: 499}, index: "request_log_refused"},
			"one user's":   {q: storage.RequestQuery{Resource: "u77"}, index: "request_log_resource", sorts: true},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				tc.q.Participant, tc.q.Limit = "p1", 21
				query, args := listRequests(tc.q)
				plan := steps(t, s, how+query, args)
				sorts := strings.Contains(plan, "Sort") || strings.Contains(plan, "TEMP B-TREE")
				if strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "SCAN") || !strings.Contains(plan, tc.index) || sorts && !tc.sorts {
					t.Errorf("not by %s:\n%s", tc.index, plan)
				}
			})
		}
	}
}

func keepRequests(t *testing.T, s *Store, n int) {
	t.Helper()
	rows := make([]storage.RequestRow, n)
	for i := range rows {
		rows[i] = storage.RequestRow{
			Participant: fmt.Sprintf("p%d", i%2), At: manyCreated.Add(time.Duration(i) * time.Second), ID: fmt.Sprint(i), Status: 200,
			Resource: fmt.Sprintf("u%d", i%500), Route: "/scim/v2/Users/{id}", Answer: `{"active":true}`,
		}
		if i%20 < 2 {
			rows[i].Status = 404
		}
	}
	if err := s.AppendRequests(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	statement := "analyze"
	if s.engine == postgresEngine {
		statement = "vacuum analyze request_log"
	}
	if err := s.writes.Exec(statement).Error; err != nil {
		t.Fatal(err)
	}
}

// steps is a plan, one step a line.
func steps(t testing.TB, s *Store, query string, args []any) string {
	t.Helper()
	rows, err := s.db.Raw("?", statement{query, args}).Rows()
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var plan strings.Builder
	for rows.Next() {
		row := make([]any, len(columns))
		for i := range row {
			row[i] = new(any)
		}
		if err := rows.Scan(row...); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&plan, *(row[len(row)-1].(*any))) // SQLite: the last column is the step
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

// What a batch costs the one writer of SQLite, which deeds wait for.
func BenchmarkAppendRequests(b *testing.B) {
	for name, address := range map[string]string{"PostgreSQL": pgtest.URL(b), "SQLite": "sqlite://" + filepath.Join(b.TempDir(), "healthix.db")} {
		b.Run(name, func(b *testing.B) {
			s := opened(b, address, Options{})
			body := `{"schemas":["x"],"text":"` + strings.Repeat("y", 1000) + `"}`
			at := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
			rows := make([]storage.RequestRow, 100)
			for b.Loop() {
				for i := range rows {
					at = at.Add(time.Millisecond)
					rows[i] = storage.RequestRow{
						Participant: fmt.Sprintf("p%d", i%4), At: at, ID: fmt.Sprint(at.UnixMicro()), Token: "0198f0aa-0000-7000-8000-000000000001",
						Method: "PATCH", Route: "/scim/v2/Users/{id}", Resource: fmt.Sprintf("0198f0aa-0000-7000-8000-%012d", at.UnixMicro()%5000),
						Status: 200, Request: body, Answer: body, UserAgent: "agent",
					}
				}
				if err := s.AppendRequests(b.Context(), rows); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
