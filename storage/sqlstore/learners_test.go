package sqlstore

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
)

// What is looked for again and again is read off an index, however many learners
// there are and however many of them are done with.
func TestLearnerPlans(t *testing.T) {
	for name, address := range map[string]string{"PostgreSQL": pgtest.URL(t), "SQLite": "sqlite://" + filepath.Join(t.TempDir(), "healthix.db")} {
		s := openForQueries(t, address)
		err := s.write(t.Context(), func(ctx context.Context, tx *tx) error {
			_, err := tx.do(ctx, `insert into learner with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
			  select 'u' || i, 'p' || (i % 2), 'L' || i, 'enrolled', '', '[]', '[]', '{}', '', 1 + i / 10000, null, null, 0, ?, 1 from n`, instant(manyCreated))
			if err != nil {
				return err
			}
			return exec(ctx, tx, "update learner set invite = 'x' where user_id like 'u%777'")
		})
		if err != nil {
			t.Fatal(err)
		}
		how, analyze := "explain query plan ", "analyze"
		if s.engine == postgresEngine {
			how, analyze = "explain ", "vacuum analyze"
		}
		if err := s.writes.Exec(analyze).Error; err != nil {
			t.Fatal(err)
		}
		invited, args := listLearners(storage.LearnerQuery{Invited: true, After: "u4", Limit: 500})
		for index, q := range map[string]statement{
			"learner_policy": {outdated, []any{2, 500}},
			"learner_invite": {"select * from learner " + invited, args},
			"learner_due":    {"select * from learner " + dueLearners, []any{instant(manyCreated), 20}},
			"learner_asked":  {"select * from learner " + askedLearners, []any{instant(manyCreated), 20}},
		} {
			t.Run(name+"/"+index, func(t *testing.T) {
				plan := steps(t, s, how+q.sql, q.args)
				if strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "Sort") || strings.Contains(plan, "TEMP B-TREE") || !strings.Contains(plan, index) {
					t.Errorf("plan\n%s", plan)
				}
			})
		}
	}
}
