package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/healthix/healthix-scim/lifecycle"
)

// What a check finds is an exit code, a line and a report; and nothing else is.
func TestAuditCheck(t *testing.T) {
	path := filepath.Join(t.TempDir(), "house.db")
	cli := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		var out, say bytes.Buffer
		if code := run(args, []string{"HEALTHIX_DATABASE_URL=sqlite://" + path, "HEALTHIX_ACTOR=tester"}, &out, &say); code != want {
			t.Fatalf("%v ends with %d, want %d: %s", args, code, want, say.String())
		}
		return out.String(), say.String()
	}
	cli(0, "participant", "add", "mercy", "--name", "Mercy Hospital")
	cli(0, "audit", "checkpoint")
	out, _ := cli(0, "audit", "check")
	if !strings.Contains(out, "\nparticipants  1\n") || !strings.Contains(out, "\nsound ") {
		t.Error(out)
	}
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "update participant set mode = 'observe'"); err != nil {
		t.Fatal(err)
	}
	const says = "participant mercy: column mode is not what version 1 has"
	out, say := cli(1, "audit", "check")
	if !strings.Contains(out, "wrong         "+says+"\n") || strings.Contains(out, "\nsound ") ||
		say != "healthix-scim: the record is not sound, 1 finding; the first: "+says+"\n" {
		t.Errorf("%s%s", out, say)
	}
	out, _ = cli(1, "audit", "check", "--json")
	var r lifecycle.CheckReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || r.Participants != 1 || len(r.Wrongs) != 1 || r.Wrongs[0].ID != "mercy" {
		t.Errorf("%s: %v", out, err)
	}
}
