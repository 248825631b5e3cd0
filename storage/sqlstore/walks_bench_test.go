package sqlstore

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
)

// BenchmarkReads: what a policy change costs readers, while there is none and
// while half of everybody loses by one.
func BenchmarkReads(b *testing.B) {
	const people = 100_000
	for _, engine := range []struct {
		name    string
		address func() string
	}{
		{"PostgreSQL", func() string { return pgtest.URL(b) }},
		{"SQLite", func() string { return "sqlite://" + filepath.Join(b.TempDir(), "healthix.db") }},
	} {
		s := openForQueries(b, engine.address())
		keepMany(b, s, people)
		read := func(when string) {
			released := storage.Cmp{Field: storage.FieldStatus, Op: storage.OpEq, Value: "released"}
			for _, what := range []struct {
				name string
				do   func(ctx context.Context, n int) error
			}{
				{"get", func(ctx context.Context, n int) error {
					_, err := s.GetUser(ctx, "p0", fmt.Sprintf("p0-%d", 100_000+2*(n*7919%(people/2))))
					return err
				}},
				{"page", func(ctx context.Context, _ int) error { return listed(ctx, s, storage.Query{Limit: 101}, 101) }},
				{"page of released", func(ctx context.Context, _ int) error {
					return listed(ctx, s, storage.Query{Limit: 101, Filter: released}, 101)
				}},
				{"count", func(ctx context.Context, _ int) error { return listed(ctx, s, storage.Query{Total: true}, 0) }},
				{"count released", func(ctx context.Context, _ int) error {
					return listed(ctx, s, storage.Query{Total: true, Filter: released}, 0)
				}},
			} {
				b.Run(engine.name+"/"+when+"/"+what.name, func(b *testing.B) {
					for n := 0; b.Loop(); n++ {
						if err := what.do(b.Context(), n); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
		read("nothing pending")
		keepEffects(b, s, people)
		err := s.Write(b.Context(), func(ctx context.Context, tx storage.Tx) error {
			return tx.PutPolicy(ctx, storage.PolicyVersion{Version: 1, Document: []byte("p"), Applied: tx.Now(), Plan: "p1"})
		})
		if err != nil {
			b.Fatal(err)
		}
		read("half of everybody loses")
	}
}

// BenchmarkListTitled is a walk over everybody, as a plan makes it.
func BenchmarkListTitled(b *testing.B) {
	const people, page = 100_000, 2000
	for _, engine := range []struct {
		name    string
		address func() string
	}{
		{"PostgreSQL", func() string { return pgtest.URL(b) }},
		{"SQLite", func() string { return "sqlite://" + filepath.Join(b.TempDir(), "healthix.db") }},
	} {
		s := openForQueries(b, engine.address())
		keepMany(b, s, people)
		likeReal(b, s)
		for name, q := range map[string]storage.TitledQuery{
			"everybody":       {},
			"with job codes":  {JobCode: []string{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", "costCenter"}},
			"one participant": {Participant: "p0"},
		} {
			b.Run(engine.name+"/"+name, func(b *testing.B) {
				rows := 0
				for b.Loop() {
					q.Limit, q.After = page, ""
					for {
						found, err := s.ListTitled(b.Context(), q)
						if err != nil {
							b.Fatal(err)
						}
						rows += len(found)
						if len(found) < page {
							break
						}
						q.After = found[len(found)-1].ID
					}
				}
				b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
			})
		}
	}
}

// BenchmarkListCases is a batch of people with their dossiers.
func BenchmarkListCases(b *testing.B) {
	const people, batch = 20_000, 500
	for _, engine := range []struct {
		name    string
		address func() string
	}{
		{"PostgreSQL", func() string { return pgtest.URL(b) }},
		{"SQLite", func() string { return "sqlite://" + filepath.Join(b.TempDir(), "healthix.db") }},
	} {
		s := openForQueries(b, engine.address())
		keepMany(b, s, people)
		likeReal(b, s)
		ids := make([]string, batch)
		b.Run(engine.name, func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				for i := range ids {
					ids[i] = fmt.Sprintf("p0-%d", 100_000+2*((n*batch+i)%(people/2)))
				}
				if cases, err := s.ListCases(b.Context(), ids); err != nil || len(cases) != batch {
					b.Fatalf("%d cases: %v", len(cases), err)
				}
			}
			b.ReportMetric(float64(b.N*batch)/b.Elapsed().Seconds(), "cases/s")
		})
	}
}

// likeReal gives everybody a document and a decision of the size that real ones
// have.
func likeReal(b *testing.B, s *Store) {
	b.Helper()
	const document = `{"userName":"ana.lima@mercy.example","externalId":"hr-100017","active":true,"title":"Registered Nurse","userType":"Employee",
	  "displayName":"Ana Lima","name":{"givenName":"Ana","familyName":"Lima","formatted":"Ana Lima"},"preferredLanguage":"en-US",
	  "emails":[{"value":"ana.lima@mercy.example","type":"work","primary":true},{"value":"ana@home.example","type":"home"}],
	  "phoneNumbers":[{"value":"+1 212 555 0123","type":"mobile"}],
	  "addresses":[{"type":"work","streetAddress":"100 Main Street","locality":"New York","region":"NY","postalCode":"10001","country":"US"}],
	  "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"costCenter":"29-1141","department":"Ward 3","employeeNumber":"E100017",
	    "organization":"Mercy","manager":{"value":"0d7b9f1e-3b6f-4d4e-8a43-0a1d2c3b4a59","displayName":"Bea Ito"}},
	  "urn:ietf:params:scim:schemas:extension:healthix:2.0:User":{"npi":"1234567893"}}`
	p, err := policy.Parse(policy.Default())
	if err != nil {
		b.Fatal(err)
	}
	d := p.Decide(policy.Facts{
		Participant: policy.ParticipantState{Type: "standard", Status: "active", Mode: "live"}, Active: true, Title: "Registered Nurse",
		Email: "ana.lima@mercy.example", Mobile: "+12125550123",
	}, manyCreated)
	d.Trace = nil
	decision, err := jsonText(d)
	if err != nil {
		b.Fatal(err)
	}
	after := "analyze"
	if s.engine == postgresEngine {
		after = "vacuum full analyze users"
	}
	for _, do := range []statement{
		{"update users set document = ?, decision = ?, user_type = 'Employee', npi = '1234567893', rule = ?", []any{document, decision, d.Rule}}, {after, nil},
	} {
		if err := s.writes.Exec("?", do).Error; err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAddEffects is what a walk keeps of a batch of people, and how fast it
// is forgotten.
func BenchmarkAddEffects(b *testing.B) {
	const batch = 500
	for _, engine := range []struct {
		name    string
		address func() string
	}{
		{"PostgreSQL", func() string { return pgtest.URL(b) }},
		{"SQLite", func() string { return "sqlite://" + filepath.Join(b.TempDir(), "healthix.db") }},
	} {
		s := openForQueries(b, engine.address())
		effects := make([]storage.Effect, batch)
		b.Run(engine.name, func(b *testing.B) {
			n := 0
			for b.Loop() {
				for i := range effects {
					effects[i] = storage.Effect{User: fmt.Sprintf("user-%09d", n), Narrowing: &policy.Narrowing{Permissions: []string{"view", "alerts"}, Role: "clerk"}}
					n++
				}
				if err := s.Write(b.Context(), func(ctx context.Context, tx storage.Tx) error { return tx.AddEffects(ctx, "p1", effects) }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "effects/s")
		})
	}
}

func listed(ctx context.Context, s *Store, q storage.Query, want int) error {
	q.Participant, q.Now = "p0", manyCreated.Add(time.Hour)
	users, _, err := s.ListUsers(ctx, q)
	if err == nil && len(users) != want {
		err = fmt.Errorf("%d users, want %d", len(users), want)
	}
	return err
}
