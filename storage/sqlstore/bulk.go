package sqlstore

import (
	"context"
	"strings"
)

// bulk is a table of working rows of plans, which come by the thousand.
type bulk struct {
	table   string
	columns [][2]string // behind the plan, each with what makes it of text on PostgreSQL
}

var (
	planPeople = bulk{"policy_plan_person", [][2]string{
		{"user_id", ""}, {"participant", ""}, {"class", ""}, {"change", "::jsonb"},
	}}
	planEffects = bulk{"policy_effect", [][2]string{
		{"user_id", ""}, {"loses", "::integer::boolean"}, {"narrowing", "::jsonb"},
	}}
)

// stays: a row that is there already stays as it is.
const stays = "do nothing"

// fill inserts rows of a plan. met says what becomes of one that is there
// already.
func (t *tx) fill(ctx context.Context, plan string, into bulk, rows [][]string, met string) error {
	const most, many = 5000, 200 // in one statement
	for len(rows) > 0 {
		n := min(len(rows), most)
		s := into.insert(t.engine, plan, rows[:n], met)
		if _, err := t.do(ctx, s.sql, s.args...); err != nil {
			return err
		}
		rows = rows[n:]
		if n >= many {
			if err := t.reckon(ctx, into.table); err != nil {
				return err
			}
		}
	}
	return nil
}

// reckon makes PostgreSQL look at a table again that has grown tenfold. Who
// prepared a look-up when it was empty would go on reading all of it, and every
// reader of users prepared one.
func (t *tx) reckon(ctx context.Context, table string) error {
	if t.engine != postgresEngine {
		return nil
	}
	var grown bool
	if _, err := t.get(ctx, &grown, `select pg_relation_size(oid) > 10 * greatest(relpages, 1) * current_setting('block_size')::bigint
	  from pg_class where oid = ?::regclass`, table); err != nil || !grown {
		return err
	}
	_, err := t.do(ctx, "analyze "+table)
	return err
}

// insert binds an array for each column, or one JSON text: the same statement
// for any number of rows.
func (b bulk) insert(e engine, plan string, rows [][]string, met string) statement {
	names, picked := make([]string, len(b.columns)), make([]string, len(b.columns))
	for i, c := range b.columns {
		names[i] = c[0]
		picked[i] = "r." + c[0] + c[1]
	}
	columns := strings.Join(names, ", ")
	s := statement{args: []any{plan}}
	if e == postgresEngine {
		arrays := make([]string, len(b.columns))
		for i := range b.columns {
			values := make(textArray, len(rows))
			for n, row := range rows {
				values[n] = row[i]
			}
			arrays[i] = "?::text[]"
			s.args = append(s.args, values)
		}
		s.sql = "select ?, " + strings.Join(picked, ", ") + " from unnest(" + strings.Join(arrays, ", ") + ") as r(" + columns + ")"
	} else {
		for i := range picked {
			picked[i] = "value ->> " + string(rune('0'+i))
		}
		text, err := jsonText(rows)
		if err != nil {
			panic(err) // texts always encode
		}
		s.args = append(s.args, text)
		// "where true" keeps SQLite from reading "on" as a join's.
		s.sql = "select ?, " + strings.Join(picked, ", ") + " from json_each(?) where true"
	}
	s.sql = "insert into " + b.table + " (plan, " + columns + ") " + s.sql + " on conflict (plan, user_id) " + met
	return s
}
