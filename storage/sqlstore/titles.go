package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// waiting selects columns of the people whose title waits for a person: no row
// of the policy answers it, or it disagrees with their job code. Each half has a
// partial index that holds nobody else.
func waiting(columns, narrow string) string {
	const people = " from users where deleted is null and active and "
	return "select '' as disagrees, coalesce(title_since, created) as since, " + columns + people + "title_role = '' and job_code_title = ''" + narrow +
		" union all select job_code_title, coalesce(title_since, modified), " + columns + people + "job_code_title <> ''" + narrow
}

func (r reader) listWaitingTitles(participant string) (query string, args []any) {
	narrow, args := here(participant, "participant")
	return `with waiting as (` + waiting("title_key, title, participant, department, department_fold", narrow) + `),
	  titles as (select title_key, disagrees, min(title` + r.bytewise() + `) as title, count(*) as people,
	    count(distinct participant) as participants, min(since) as since from waiting group by title_key, disagrees),
	  departments as (select title_key, disagrees, min(department` + r.bytewise() + `) as department,
	    row_number() over (partition by title_key, disagrees order by count(*) desc, department_fold) as place
	    from waiting where department_fold <> '' group by title_key, disagrees, department_fold)
	  select t.*, coalesce(d.department, '') as department
	  from titles t left join departments d on d.title_key = t.title_key and d.disagrees = t.disagrees and d.place = 1
	  order by t.people desc, t.title_key, t.disagrees`, append(args, args...)
}

// ListWaitingTitles answers the titles of active users that no row of the policy
// answers, and those that disagree with a job code, those with most people first.
func (r reader) ListWaitingTitles(ctx context.Context, participant string) ([]storage.WaitingTitle, error) {
	query, args := r.listWaitingTitles(participant)
	var rows []struct {
		TitleKey     string
		Title        string
		Department   string
		People       int
		Participants int
		Since        instant
		Disagrees    string
	}
	if _, err := r.get(ctx, &rows, query, args...); err != nil {
		return nil, fmt.Errorf("waiting titles: %w", err)
	}
	found := make([]storage.WaitingTitle, len(rows))
	for i, row := range rows {
		found[i] = storage.WaitingTitle{
			Key: row.TitleKey, Title: row.Title, Department: row.Department, People: row.People, Participants: row.Participants,
			Since: time.Time(row.Since), Disagrees: row.Disagrees,
		}
	}
	return found, nil
}

func (r reader) listTitlePeers(participant string, keys []string) (query string, args []any) {
	among, wanted := r.anyOf("title_key", keys)
	narrow, args := here(participant, "participant")
	args = append([]any{wanted}, args...)
	return `select w.title_key, ` + ruleOfUser + ` as rule, count(*) as people
	  from (select distinct title_key, participant, department_fold from (` +
		waiting("title_key, participant, department_fold", " and department_fold <> '' and "+among+narrow) + `) each) w
	  join users u on u.participant = w.participant and u.department_fold = w.department_fold and u.title_key <> w.title_key
	  where u.deleted is null and u.active and u.title_role <> '' and u.department_fold <> '' and ` + ruleOfUser + ` <> ''
	  group by 1, 2`, append(args, args...)
}

// ListTitlePeers counts, for each waiting title, the rules by which other titles
// were decided at the same participant and in the same department as the people
// who wait with it. Who has no department has no peers.
func (r reader) ListTitlePeers(ctx context.Context, participant string, keys []string) (map[string]storage.TitlePeers, error) {
	query, args := r.listTitlePeers(participant, keys)
	var rows []struct {
		TitleKey string
		Rule     string
		People   int
	}
	if _, err := r.get(ctx, &rows, query, args...); err != nil {
		return nil, fmt.Errorf("peers of waiting titles: %w", err)
	}
	found := map[string]storage.TitlePeers{}
	for _, row := range rows {
		if found[row.TitleKey] == nil {
			found[row.TitleKey] = storage.TitlePeers{}
		}
		found[row.TitleKey][row.Rule] = row.People
	}
	return found, nil
}
