package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// The yardsticks: a transaction of two narrow inserts, as a user and an entry
// would be at the very least, and one look-up by key.
const (
	insertScript = `\set n random(1, 2000000000)
begin;
insert into bench_user(id, name) values (gen_random_uuid(), 'user ' || :n);
insert into bench_entry(id, what) values (gen_random_uuid(), 'created ' || :n);
commit;
`
	selectScript = `\set n random(1, 5000)
select name from bench_known where n = :n;
`
	prepareScript = `drop table if exists bench_user, bench_entry, bench_known;
create table bench_user(id uuid primary key, name text not null);
create table bench_entry(id uuid primary key, what text not null);
create table bench_known(n int primary key, name text not null);
insert into bench_known select n, 'user ' || n from generate_series(1, 5000) n;
analyze;
`
)

var (
	tps     = regexp.MustCompile(`(?m)^tps = ([0-9.]+)`)
	average = regexp.MustCompile(`(?m)^latency average = ([0-9.]+) ms`)
)

// tool runs one of PostgreSQL's programs in the stage's folder.
func (s *stage) tool(ctx context.Context, name string, args ...string) (string, error) {
	folder, err := programs()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(folder, name), args...) //nolint:gosec // PostgreSQL's own programs
	cmd.Dir = s.folder
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return string(out), nil
}

// settle is what autovacuum has done by the time a database of this size is in
// use: statistics are there, and the index of documents has no pending list.
func (s *stage) settle(ctx context.Context) error {
	_, err := s.tool(ctx, "psql", "-q", "-c", "vacuum analyze", s.filled)
	return err
}

// pgbench runs a script with as many clients as the load has. It knows no
// percentiles: its average stands as p50.
func (s *stage) pgbench(script string) func(ctx context.Context) (result, error) {
	return func(ctx context.Context) (result, error) {
		for name, text := range map[string]string{"prepare.sql": prepareScript, "script.sql": script} {
			if err := os.WriteFile(filepath.Join(s.folder, name), []byte(text), 0o600); err != nil {
				return result{}, fmt.Errorf("write script: %w", err)
			}
		}
		if _, err := s.tool(ctx, "psql", "-q", "-f", "prepare.sql", s.sticks); err != nil {
			return result{}, err
		}
		out, err := s.tool(ctx, "pgbench", "-n", "-M", "prepared", "-f", "script.sql", "-c", strconv.Itoa(s.o.clients), "-j", "2",
			"-T", strconv.Itoa(max(1, int(s.o.seconds.Seconds()))), s.sticks)
		if err != nil {
			return result{}, err
		}
		rate, latency := tps.FindStringSubmatch(out), average.FindStringSubmatch(out)
		if rate == nil || latency == nil {
			return result{}, fmt.Errorf("pgbench said nothing to read: %s", out)
		}
		perSecond, err1 := strconv.ParseFloat(rate[1], 64)
		ms, err2 := strconv.ParseFloat(latency[1], 64)
		return result{rate: perSecond, p50: time.Duration(ms * float64(time.Millisecond))}, errors.Join(err1, err2)
	}
}

// programs is the folder of PostgreSQL's newest programs.
func programs() (string, error) {
	if path, err := exec.LookPath("pgbench"); err == nil {
		return filepath.Dir(path), nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/pgbench")
	if err != nil || len(found) == 0 {
		return "", errors.New("pgbench is not on this machine; install PostgreSQL (make postgres)")
	}
	slices.Sort(found)
	return filepath.Dir(found[len(found)-1]), nil
}
