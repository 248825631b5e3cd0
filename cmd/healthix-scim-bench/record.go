package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage/sqlstore"
)

// recordTables is what a deed writes for the record alone.
var recordTables = []string{"user_history", "user_personal", "audit_entry", "audit_personal", "audit_pending"}

// records measures what the record costs a deed, round by round with and
// without: without, a trigger lets PostgreSQL keep no row of it. What the server
// does to make the rows is on both sides.
func (s *stage) records(ctx context.Context, out io.Writer) error {
	sql := func(each string) error {
		text := "create or replace function keep_nothing() returns trigger language plpgsql as 'begin return null; end';"
		for _, table := range recordTables {
			text += fmt.Sprintf(each, table)
		}
		_, err := s.tool(ctx, "psql", "-q", "-v", "ON_ERROR_STOP=1", "-c", text, s.filled)
		return err
	}
	var with, without []result
	create := s.load(s.create)
	for range s.o.rounds {
		got, err := create(ctx)
		if err == nil {
			with = append(with, got)
			err = s.drain(ctx)
		}
		if err == nil {
			err = sql("create trigger a_keep_nothing before insert on %s for each row execute function keep_nothing();")
		}
		if err != nil {
			return fmt.Errorf("create with the record: %w", err)
		}
		got, err = create(ctx)
		if err == nil {
			without = append(without, got)
			err = s.drain(ctx)
		}
		if err == nil {
			err = sql("drop trigger a_keep_nothing on %s;")
		}
		if err != nil {
			return fmt.Errorf("create without the record: %w", err)
		}
	}
	rate := func(r, _ result) float64 { return r.rate }
	_, err := fmt.Fprintf(out, "create a user: %.0f a second with the record, %.0f without; %.2f times the time\n\n",
		median(with, with, rate), median(without, without, rate), median(without, with, func(a, b result) float64 { return a.rate / b.rate }))
	return err
}

// logs measures the log over a database of its own: entries get positions, the
// record is exported, and the export verified, by the program as it is shipped.
func (s *stage) logs(ctx context.Context, out io.Writer) error {
	address, err := s.database(ctx)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp(s.folder, "log")
	if err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	keyFile := filepath.Join(folder, "log.key")
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "the log, %d entries\tseconds\tentries per second\tmemory at most\t\n", s.o.entries) //nolint:errcheck // Flush answers
	line := func(what string, took time.Duration, memory int64) {
		most := "–"
		if memory > 0 {
			most = strconv.FormatInt(memory>>20, 10) + " MB"
		}
		fmt.Fprintf(w, "%s\t%.1f\t%.0f\t%s\t\n", what, took.Seconds(), float64(s.o.entries)/took.Seconds(), most) //nolint:errcheck // Flush answers
	}
	placed, err := s.place(ctx, address, key)
	if err != nil {
		return err
	}
	line("given their positions", placed, 0)

	program := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(ctx, s.o.server, args...) //nolint:gosec // the server that was asked for
		cmd.Dir, cmd.Stderr = folder, os.Stderr
		cmd.Env = append(os.Environ(), "HEALTHIX_DATABASE_URL="+address, "HEALTHIX_DEV=true", "HEALTHIX_LOG=warn", "HEALTHIX_ACTOR=bench", "HEALTHIX_LOG_KEY_FILE="+keyFile)
		return cmd
	}
	public, err := program("audit", "key").Output()
	if err != nil {
		return fmt.Errorf("public key: %w", err)
	}
	file, err := os.Create(filepath.Join(folder, "export.jsonl"))
	if err != nil {
		return fmt.Errorf("make the export's file: %w", err)
	}
	defer file.Close() //nolint:errcheck // it goes with the folder
	run := func(what string, cmd *exec.Cmd) error {
		begin := time.Now()
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		usage, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		line(what, time.Since(begin), usage.Maxrss<<10)
		return nil
	}
	export := program("audit", "export")
	export.Stdout = file
	if err := run("exported", export); err != nil {
		return err
	}
	if err := run("verified", program("audit", "verify", "export.jsonl", "--key", strings.TrimSpace(string(public)))); err != nil {
		return err
	}
	if err := run("checked against the tables", program("audit", "check")); err != nil {
		return err
	}
	return w.Flush()
}

// entriesByHand are entries behind the door, as deeds seal them: through it a
// million would take an hour.
const entriesByHand = `begin;
create temporary table made as
  select '0198c0de-' || lpad(to_hex(n / 65536), 4, '0') || '-7' || lpad(to_hex(n %% 65536), 4, '0') || '-8000-000000000000' as id,
    timestamptz '2026-01-01T00:00:00Z' + n * interval '1 ms' as at, 'p' || n %% 40 as p, decode(md5(n::text), 'hex') as salt from generate_series(1, %d) n;
create temporary table sealed as
  select id, at, p, salt, convert_to('{"v":1,"id":"' || id || '","at":"' || to_char(at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') || '","participant":"' || p ||
    '","actor":{"kind":"provider","token":"t-1","label":"entra"},"action":"user.changed","request":"req-1","source":"192.0.2.7","rule":"title:registered-nurse","policy":3,' ||
    '"sentence":"The identity provider changed the user.","fields":[{"name":"title","value":"Registered Nurse"},{"name":"status","value":"released"},{"name":"email","digest":"' ||
    encode(sha256(salt || 'email'::bytea || '\x00'::bytea || 'ana.lima@mercy.example'::bytea), 'hex') || '"}]}', 'UTF8') as canonical from made;
insert into audit_entry (id, at, participant, user_id, actor, action, canonical, hash)
  select id, at, p, '', 't-1', 'user.changed', canonical, encode(sha256(canonical), 'hex') from sealed;
insert into audit_personal (entry_id, n, name, salt, value) select id, 0, 'email', salt, 'ana.lima@mercy.example' from sealed;
insert into audit_pending (entry_id) select id from sealed;
commit;`

// place makes entries and gives them their positions.
func (s *stage) place(ctx context.Context, address string, key ed25519.PrivateKey) (time.Duration, error) {
	fail := func(err error) (time.Duration, error) { return 0, fmt.Errorf("fill the log: %w", err) }
	store, err := sqlstore.Open(ctx, address, sqlstore.Options{Migrate: true})
	if err != nil {
		return fail(err)
	}
	defer store.Close() //nolint:errcheck // the database goes with it
	if _, err := s.tool(ctx, "psql", "-q", "-v", "ON_ERROR_STOP=1", "-c", fmt.Sprintf(entriesByHand, s.o.entries), address); err != nil {
		return fail(err)
	}
	if _, err := s.tool(ctx, "psql", "-q", "-c", "vacuum analyze", address); err != nil {
		return fail(err)
	}
	deeds, err := lifecycle.New(lifecycle.Options{Store: store, Mailer: nobody{}, Key: bytes.Repeat([]byte("k"), 32), LogKeys: []ed25519.PrivateKey{key}})
	if err != nil {
		return fail(err)
	}
	begin := time.Now()
	if _, err := deeds.Place(ctx); err != nil {
		return fail(err)
	}
	return time.Since(begin), nil
}

// nobody gets no mail.
type nobody struct{}

func (nobody) Send(context.Context, lifecycle.Mail) error { return nil }
