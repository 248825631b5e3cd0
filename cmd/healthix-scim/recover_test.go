package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// streamed reads the positions in a stream's file.
func streamed(t *testing.T, path string) (positions []int64, text string) {
	t.Helper()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(strings.NewReader(string(whole))); lines.Scan(); {
		var line struct{ Position int64 }
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		positions = append(positions, line.Position)
	}
	return positions, string(whole)
}

// leftSize waits until a checkpoint has left that covers more than size entries.
func leftSize(t *testing.T, folder string, size int) int {
	t.Helper()
	got := 0
	eventually(t, 30*time.Second, func() error {
		note, err := os.ReadFile(filepath.Join(folder, "latest"))
		if err != nil {
			return err
		}
		if _, err := fmt.Sscan(strings.Split(string(note), "\n")[1], &got); err != nil || got <= size {
			return fmt.Errorf("the last that left covers %d, %w", got, err)
		}
		return nil
	})
	return got
}

// An old copy of the database is put in the place of the new one. The server
// finds it by the checkpoint that left, refuses to write, and goes on after an
// operator recovered: a leaver whom the copy does not know as one, and a link of
// before, open nothing.
func TestRestoreFromBackupIsFound(t *testing.T) {
	elsewhere := t.TempDir()
	log := filepath.Join(elsewhere, "stream.jsonl")
	s := newSite(t, "sqlite://healthix.db", "HEALTHIX_CHECKPOINT_URL=file://"+elsewhere, "HEALTHIX_CHECKPOINT_EVERY=1s", "HEALTHIX_STREAM_URL=file://"+log)
	s.run("participant", "add", "mercy", "--name", "Mercy General")
	provider := s.run("token", "issue", "--scope", "scim", "--participant", "mercy")
	operator := s.run("token", "issue", "--scope", "operator", "--subject", "dana@healthix.example")
	portal := s.run("token", "issue", "--scope", "portal", "--subject", "portal")
	n := s.start()
	ana := n.trained(provider, operator, "Ana")
	ben := n.trained(provider, operator, "Ben")
	link := activation.FindString(s.waitForLetter("ana.lima@mercy.example", "code=").text)
	first := leftSize(t, elsewhere, 10)
	username, _ := access(n.must(200, "GET", "/scim/v2/Users/"+ben, provider, nil))["healthixUsername"].(string)
	n.stop()
	copied, err := os.ReadFile(filepath.Join(s.folder, "healthix.db"))
	if err != nil {
		t.Fatal(err)
	}

	n = s.start()
	n.must(200, "GET", "/readyz", "", nil)
	n.must(200, "PATCH", "/scim/v2/Users/"+ben, provider, patchOp(object{"op": "replace", "path": "active", "value": false}))
	n.must(201, "POST", "/scim/v2/Users", provider, nurse("Cleo", "Lima"))
	before := leftSize(t, elsewhere, first+1)
	n.kill()
	for _, name := range []string{"healthix.db-wal", "healthix.db-shm"} {
		if err := os.Remove(filepath.Join(s.folder, name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(s.folder, "healthix.db"), copied, 0o600); err != nil {
		t.Fatal(err)
	}

	n = s.start()
	if got := n.must(503, "GET", "/readyz", "", nil); !strings.Contains(fmt.Sprint(got["detail"]), "audit recover") {
		t.Errorf("readyz: %v", got)
	}
	for _, refused := range []struct {
		method, path, token string
		body                any
	}{
		{"POST", "/scim/v2/Users", provider, nurse("Dora", "Lima")},
		{"PATCH", "/scim/v2/Users/" + ana, provider, patchOp(object{"op": "replace", "path": "title", "value": "Physician"})},
		{"POST", "/scim/v2/Bulk", provider, object{"schemas": array{"urn:ietf:params:scim:api:messages:2.0:BulkRequest"}, "Operations": array{}}},
		{"POST", "/api/v1/users/" + ana + "/holds", operator, object{"reason": "x"}},
		{"GET", "/api/v1/access/" + username, portal, nil},
	} {
		if got := n.must(503, refused.method, refused.path, refused.token, refused.body); !strings.Contains(fmt.Sprint(got["detail"]), "audit recover") {
			t.Errorf("%s %s: %v", refused.method, refused.path, got)
		}
	}
	n.must(200, "GET", "/scim/v2/Users/"+ana, provider, nil)
	n.must(200, "GET", "/api/v1/users/"+ana, operator, nil)
	at, err := url.Parse(link) // of the server before, which had another port
	if err != nil {
		t.Fatal(err)
	}
	if status, _ := visit(t, "POST", n.base+at.Path, url.Values{"code": {at.Query().Get("code")}, "key": {"one"}}); status != 503 {
		t.Errorf("a link was answered %d", status)
	}
	time.Sleep(2 * time.Second) // longer than a period
	if size := leftSize(t, elsewhere, 0); size != before {
		t.Errorf("a checkpoint of %d entries left over the gap", size)
	}

	s.run("audit", "recover", "--reason", "the disk died; copy of the night")
	eventually(t, 20*time.Second, func() error {
		if status, got, err := ask(t.Context(), "GET", n.base+"/readyz", "", nil); status != 200 {
			return fmt.Errorf("readyz: %d %v %w", status, got, err)
		}
		return nil
	})
	if status, page := visit(t, "POST", n.base+at.Path, url.Values{"code": {at.Query().Get("code")}, "key": {"one"}}); status < 400 || status >= 500 {
		t.Errorf("a void link was answered %d\n%s", status, page)
	}
	gates := func(id string) string {
		return fmt.Sprint(access(n.must(200, "GET", "/scim/v2/Users/"+id, provider, nil))["closedGates"])
	}
	if got := n.must(200, "GET", "/api/v1/access/"+username, portal, nil); got["status"] != "suspended" {
		t.Errorf("a leaver whom the copy does not know: %v", got)
	}
	if got := n.must(200, "GET", "/api/v1/participants/mercy", operator, nil); got["recovering"] == nil {
		t.Errorf("participant: %v", got)
	}

	// The provider's full sync: Ben by a filter, as a leaver; Cleo is new to us.
	if g := gates(ana); g != "[participant]" {
		t.Errorf("ana's gates: %s", g)
	}
	time.Sleep(recoverEvery + time.Second)
	if g := gates(ana); g != "[participant]" {
		t.Errorf("ana's gates before everybody was told of: %s", g)
	}
	found := n.must(200, "GET", "/scim/v2/Users?filter="+url.QueryEscape(`userName eq "ben.lima"`), provider, nil)
	if found["totalResults"] != 1.0 {
		t.Fatalf("%v", found)
	}
	n.must(201, "POST", "/scim/v2/Users", provider, nurse("Cleo", "Lima"))
	eventually(t, 30*time.Second, func() error {
		if g := gates(ana); g != "<nil>" && g != "[]" {
			return fmt.Errorf("ana's gates: %s", g)
		}
		return nil
	})
	n.must(200, "PATCH", "/scim/v2/Users/"+ben, provider, patchOp(object{"op": "replace", "path": "active", "value": false}))

	// The place away from here has the new epoch, and the files of the old one.
	eventually(t, 20*time.Second, func() error {
		if size := leftSize(t, elsewhere, 0); size == before {
			return fmt.Errorf("latest still covers %d", size)
		}
		return nil
	})
	old, err := filepath.Glob(filepath.Join(elsewhere, fmt.Sprintf("checkpoint-%020d-*", before)))
	if err != nil || len(old) == 0 {
		t.Errorf("the checkpoint of %d entries is gone, %v", before, err)
	}
	if text := fmt.Sprint(n.must(200, "GET", "/metrics", "", nil)["text"]); !strings.Contains(text, "healthix_log_gap 0") && !strings.Contains(text, "healthix_log_gap 1") ||
		!strings.Contains(text, "healthix_checkpoint_pending") || !strings.Contains(text, "healthix_stream_lag_entries") {
		t.Error("metrics of the record are missing")
	}
	n.stop()

	// What a copy of the database forgot stands in the stream; positions go on.
	positions, text := streamed(t, log)
	for i := 1; i < len(positions); i++ {
		if positions[i] > positions[i-1]+1 {
			t.Errorf("position %d after %d", positions[i], positions[i-1])
		}
	}
	if !strings.Contains(text, `"log.recovered"`) || strings.Contains(text, "disk died") || strings.Contains(text, "mercy.example") {
		t.Error("the stream holds too little or too much")
	}
	again := s.command("audit", "recover", "--reason", "once more")
	if out, err := again.CombinedOutput(); err == nil || !strings.Contains(string(out), "nothing to recover") {
		t.Errorf("recovered twice: %s %v", out, err)
	}
}
