package sqlstore

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/healthix/healthix-scim/storage"
)

// ListTitled answers a page of active users by id. Everybody passes here when a
// policy is planned: rows are scanned by hand, and documents are not decoded.
func (r reader) ListTitled(ctx context.Context, q storage.TitledQuery) ([]storage.Titled, error) {
	found, err := r.titled(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("titles of users: %w", fault(err))
	}
	return found, nil
}

func (r reader) titled(ctx context.Context, q storage.TitledQuery) ([]storage.Titled, error) {
	query, args, err := listTitled(q)
	if err != nil {
		return nil, err
	}
	rows, err := r.db.WithContext(ctx).Raw("?", statement{query, args}).Rows()
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // rows.Err says how they ended
	found := make([]storage.Titled, 0, q.Limit)
	for rows.Next() {
		var t storage.Titled
		if err := rows.Scan(&t.ID, &t.Participant, &t.Type, &t.Title, &t.Department, &t.UserType, &t.NPI, &t.JobCode,
			&t.Active, &t.Status, &t.Rule, &t.TitleRole, &t.Transition, &t.PolicyVersion); err != nil {
			return nil, err
		}
		found = append(found, t)
	}
	return found, rows.Err()
}

var (
	userTypePath = []string{"userType"}
	npiPath      = []string{"urn:ietf:params:scim:schemas:extension:healthix:2.0:User", "npi"}
)

func listTitled(q storage.TitledQuery) (query string, args []any, err error) {
	for _, name := range q.JobCode {
		if !isName(strings.ToLower(name)) {
			return "", nil, fmt.Errorf("a path holds %q, which is no attribute name", name)
		}
	}
	jobCode := "''"
	if len(q.JobCode) > 0 {
		jobCode = inDocument("null", q.JobCode)
	}
	narrow, args := here(q.Participant, "u.participant")
	query = `select u.id, u.participant, p.type, u.title, u.department, ` + inDocument("u.user_type", userTypePath) + `, ` +
		inDocument("u.npi", npiPath) + `, ` + jobCode + `, u.active, u.status, ` + ruleOfUser + `, u.title_role, u.transition, u.policy_version
	  from users u join participant p on p.id = u.participant
	  where u.deleted is null and u.active and u.id > ?` + narrow + " order by u.id limit " + strconv.Itoa(q.Limit)
	return query, append([]any{q.After}, args...), nil
}

// ruleOfUser is the rule of the decision; of rows from before it had a column,
// the one in the decision.
const ruleOfUser = "coalesce(u.rule, u.decision ->> 'rule', '')"

// inDocument is a column, or where that is null, the text at a path of the
// document as it was sent; ” when there is none. Names are the schema's.
func inDocument(column string, path []string) string {
	last := len(path) - 1
	value := "u.document"
	for _, name := range path[:last] {
		value += " -> '" + name + "'"
	}
	return "coalesce(" + column + ", " + value + " ->> '" + path[last] + "', '')"
}

func countUsers(participant string) (query string, args []any) {
	narrow, args := here(participant, "participant")
	return "select count(*) as active, count(case when status = 'released' then 1 end) as released from users where deleted is null and active" + narrow, args
}

// CountUsers answers how many active users there are, and how many of them are
// released as decided.
func (r reader) CountUsers(ctx context.Context, participant string) (active, released int, err error) {
	query, args := countUsers(participant)
	var row struct{ Active, Released int }
	if _, err := r.get(ctx, &row, query, args...); err != nil {
		return 0, 0, fmt.Errorf("count users: %w", err)
	}
	return row.Active, row.Released, nil
}
