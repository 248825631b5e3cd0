package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// page collects what a program prints while it runs.
type page struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *page) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// The demo as a newcomer meets it: read the table, paste the lines, open the
// link, press Ctrl-C.
func TestDemo(t *testing.T) {
	t.Parallel()
	s := &site{t: t, folder: t.TempDir()}
	s.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.folder, "TMPDIR=" + s.folder}
	cmd := s.command("serve", "--demo", "--addr", "127.0.0.1:0")
	var said, complained page
	cmd.Stdout, cmd.Stderr = &said, &complained
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	eventually(t, 60*time.Second, func() error {
		if !strings.Contains(said.String(), "Ctrl-C") {
			return fmt.Errorf("the story does not end:\n%s%s", &said, &complained)
		}
		return nil
	})
	out := said.String()
	checkTable(t, out)

	lines := regexp.MustCompile(`(?m)^curl .*$`).FindAllString(out, -1)
	if len(lines) != 3 {
		t.Fatalf("%d curl lines, want 3:\n%s", len(lines), out)
	}
	if got := paste(t, lines[0]); !strings.Contains(got, `"totalResults":4`) || !strings.Contains(got, "ana.lima@mercy.example") {
		t.Errorf("%s\n%s", lines[0], got)
	}
	if got := paste(t, lines[1]); !strings.Contains(got, `"active":false`) || !strings.Contains(got, `"accessStatus":"revoked"`) {
		t.Errorf("%s\n%s", lines[1], got)
	}
	if got := paste(t, lines[2]); !strings.Contains(got, `"role":"practitioner"`) {
		t.Errorf("%s\n%s", lines[2], got)
	}

	link := activation.FindString(out)
	if status, text := visit(t, http.MethodGet, link, nil); status != 200 || !strings.Contains(text, "Stand-in page") {
		t.Fatalf("GET %s: %d\n%s", link, status, text)
	}
	at, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	code := at.Query().Get("code")
	at.RawQuery = ""
	if status, text := visit(t, http.MethodPost, at.String(), url.Values{"code": {code}}); status != 200 || !regexp.MustCompile(`username is <strong>[a-z0-9]{8}<`).MatchString(text) {
		t.Fatalf("POST %s: %d\n%s", at, status, text)
	}

	folders, err := filepath.Glob(filepath.Join(s.folder, "healthix-demo-*"))
	if err != nil || len(folders) != 1 {
		t.Fatalf("the demo's folder: %v %v", folders, err)
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("exit after SIGTERM: %v\n%s", err, &complained)
	}
	if left, err := filepath.Glob(filepath.Join(s.folder, "*")); err != nil || len(left) != 0 {
		t.Errorf("the demo left %v behind (%v)", left, err)
	}
	if complained.String() != "" {
		t.Errorf("the demo complained:\n%s", &complained)
	}
}

// checkTable: who, title → role, status, closed gates, in columns, each with
// its reason below.
func checkTable(t *testing.T, out string) {
	t.Helper()
	lines := strings.Split(out, "\n")
	header := -1
	for i, line := range lines {
		if strings.HasPrefix(line, "WHO ") {
			header = i
		}
	}
	if header < 0 {
		t.Fatalf("no table:\n%s", out)
	}
	column := func(line, heading string) string {
		before, _, _ := strings.Cut(lines[header], heading)
		at := len([]rune(before))
		runes := []rune(line)
		if at >= len(runes) || at > 0 && runes[at-1] != ' ' {
			t.Fatalf("column %s is not aligned in %q", heading, line)
		}
		cell, _, _ := strings.Cut(string(runes[at:]), "  ")
		return cell
	}
	rows := map[string][4]string{}
	for i := header + 1; lines[i] != ""; i += 2 {
		rows[column(lines[i], "WHO")] = [4]string{
			column(lines[i], "TITLE"), column(lines[i], "STATUS"), column(lines[i], "CLOSED"), strings.TrimSpace(lines[i+1]),
		}
	}
	want := map[string][4]string{
		"Ana Lima":     {"Registered Nurse → practitioner", "released", "-", "all gates are open"},
		"Ben Okafor":   {"RN II → waits for practitioner", "pending", "training", "training missing"},
		"Carla Reyes":  {"ED Physician → practitioner-btg", "released", "-", "all gates are open"},
		"Dora Petrov":  {"ED Registrar → registration-consent", "released", "-", "all gates are open"},
		"Emil Novak":   {"Trauma Surgeon → practitioner, waits for practitioner-btg", "released", "approval", "meanwhile practitioner is in force"},
		"Felix Moreau": {"Housekeeper → no role", "ineligible", "-", "no access"},
		"Gina Rossi":   {"Staff Nurse → waits for practitioner", "revoked", "-", "not active"},
		"Hugo Brandt":  {"Registered Nurse → registration-consent, waits for practitioner", "released", "training", "meanwhile registration-consent is in force"},
		"Iris Tanaka":  {"Wellness Ambassador → no role", "pending", "title", "not in the title table"},
		"Jonas Weber":  {"Nurse → no role", "pending", "title", "several occupations"},
		"Front Desk":   {"Front Desk Receptionist → waits for registration-consent", "pending", "email training", "several people"},
		"Kofi Mensah":  {"PharmD → waits for practitioner", "pending", "mobile", "mobile number is missing"},
		"Lena Fischer": {"PA-C → practitioner", "released", "-", "all gates are open"},
		"Mateo Silva":  {"(no title) → no role", "pending", "title", "title is missing"},
		"Nora Haddad":  {"Care Coordinator → waits for care-management", "pending", "training", "training missing: clinical-access"},
		"Petra Vogel":  {"LPN → waits for practitioner", "suspended", "hold", "license under review"},
	}
	for who, cells := range want {
		got, ok := rows[who]
		if !ok || got[0] != cells[0] || got[1] != cells[1] || got[2] != cells[2] || !strings.Contains(got[3], cells[3]) {
			t.Errorf("%s: %q, want %q", who, got, cells)
		}
	}
	if len(rows) != len(want) {
		t.Errorf("%d rows, want %d", len(rows), len(want))
	}
}

// paste runs a line in a shell, as somebody who pastes it does; without curl on
// the machine, it does what the line says.
func paste(t *testing.T, line string) string {
	t.Helper()
	if _, err := exec.LookPath("curl"); err == nil {
		out, err := exec.Command("sh", "-c", line).Output()
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		return string(out)
	}
	var words []string
	for _, m := range regexp.MustCompile(`'([^']*)'|(\S+)`).FindAllStringSubmatch(line, -1) {
		words = append(words, m[1]+m[2])
	}
	method, body, header := http.MethodGet, "", http.Header{}
	for i, w := range words {
		switch w {
		case "-X":
			method = words[i+1]
		case "-d":
			body = words[i+1]
			if method == http.MethodGet {
				method = http.MethodPost
			}
		case "-H":
			name, value, _ := strings.Cut(words[i+1], ": ")
			header.Set(name, value)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, words[len(words)-1], strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	got, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(got.Body); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// The demo takes nothing that is somebody's own.
func TestDemoRefusesADatabase(t *testing.T) {
	t.Parallel()
	s := newSite(t, "sqlite://mine.db")
	var stderr bytes.Buffer
	cmd := s.command("serve", "--demo")
	cmd.Stderr = &stderr
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 2 || !strings.Contains(stderr.String(), "HEALTHIX_DATABASE_URL") {
		t.Errorf("%v\n%s", err, &stderr)
	}
	if _, err := os.Stat(filepath.Join(s.folder, "mine.db")); !os.IsNotExist(err) {
		t.Errorf("the demo touched a database that is not its own: %v", err)
	}
}
