package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/policy"
)

const (
	trainingKey  = "5f1c0d5e-key-of-the-account-owner"
	trainingHook = "hunter2-hunter2-hunter2"
)

// fakeLitmos is the stand-in's own program.
type fakeLitmos struct {
	t    *testing.T
	base string
}

// buildFakeLitmos puts it into a folder.
func buildFakeLitmos(t *testing.T, folder string) string {
	t.Helper()
	path := filepath.Join(folder, "healthix-litmos-fake")
	if out, err := exec.Command("go", "build", "-o", path, "../healthix-litmos-fake").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

func startFakeLitmos(t *testing.T, hook string) *fakeLitmos {
	t.Helper()
	cmd := exec.Command(buildFakeLitmos(t, t.TempDir()), "-addr", "127.0.0.1:0", "-key", trainingKey, "-hook", hook, "-per-minute", "100")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait() //nolint:errcheck // killed
	})
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if _, address, found := strings.Cut(lines.Text(), "HEALTHIX_LITMOS_URL="); found {
			address, _, _ = strings.Cut(address, "/v1.svc")
			go func() {
				for lines.Scan() { // it must not block on a full pipe
				}
			}()
			return &fakeLitmos{t: t, base: address}
		}
	}
	t.Fatal("the fake does not listen")
	return nil
}

func (f *fakeLitmos) order(method, path string, body any) {
	f.t.Helper()
	status, answer, err := ask(f.t.Context(), method, f.base+path, "", body)
	if err != nil || status >= 300 {
		f.t.Fatalf("%s %s: %d %v %v", method, path, status, answer, err)
	}
}

func (f *fakeLitmos) complete(user string) {
	f.t.Helper()
	for _, course := range []string{"C-POLICY", "C-CLINICAL"} {
		f.order("POST", "/_fake/complete", object{"user": user, "module": course})
	}
}

// learner is a user's record as the fake has it, nil for none.
func (f *fakeLitmos) learner(user string) object {
	f.t.Helper()
	_, state, err := ask(f.t.Context(), "GET", f.base+"/_fake/state", "", nil)
	if err != nil {
		f.t.Fatal(err)
	}
	people, _ := state["users"].(array)
	for _, p := range people {
		if p, _ := p.(object); p["userName"] == user {
			return p
		}
	}
	return nil
}

// withCourses puts a policy in force whose modules are the fake's courses.
func (s *site) withCourses() {
	s.t.Helper()
	document := strings.NewReplacer(
		"nys-policy:          New York State policy, privacy and consent", "nys-policy: {name: State policy, litmos: C-POLICY}",
		"clinical-access:     Clinical portal", "clinical-access: {name: Clinical portal, litmos: C-CLINICAL}",
	).Replace(string(policy.Default()))
	if err := os.WriteFile(filepath.Join(s.folder, "policy.yaml"), []byte(document), 0o600); err != nil {
		s.t.Fatal(err)
	}
	var plan struct{ Plan string }
	if err := json.Unmarshal([]byte(s.run("policy", "plan", "policy.yaml", "--json")), &plan); err != nil || plan.Plan == "" {
		s.t.Fatal("no plan: ", err)
	}
	s.run("policy", "apply", "--plan", plan.Plan)
}

// freePort is an address that a server can have in a moment.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// From push to credentials with an LMS, all programs being the real ones: people
// are enrolled before they are invited, completions come by webhook and without,
// the server is killed in between, and leavers lose their record.
func TestTrainingEndToEnd(t *testing.T) {
	onBothEngines(t, func(t *testing.T, s *site) {
		address := freePort(t)
		fake := startFakeLitmos(t, "http://"+address+"/api/v1/hooks/litmos/"+trainingHook)
		hook := filepath.Join(s.folder, "hook-secret")
		if err := os.WriteFile(hook, []byte(trainingHook+",another-secret-for-later\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.env = append(s.env, "HEALTHIX_ADDR="+address, "HEALTHIX_LITMOS_URL="+fake.base,
			"HEALTHIX_LITMOS_API_KEY="+trainingKey, "HEALTHIX_LITMOS_HOOK_SECRET_FILE="+hook)
		s.run("participant", "add", "mercy", "--name", "Mercy General")
		s.withCourses()
		provider := s.run("token", "issue", "--scope", "scim", "--participant", "mercy")
		operator := s.run("token", "issue", "--scope", "operator", "--subject", "dana@healthix.example")
		n := s.start()
		if !strings.Contains(n.logged(), "break-the-glass") {
			t.Error("the log does not say which modules name no course")
		}
		push := func(given string) string {
			t.Helper()
			id, _ := n.must(201, "POST", "/scim/v2/Users", provider, nurse(given, "Lima"))["id"].(string)
			s.waitForLetter(strings.ToLower(given)+".lima@mercy.example", "please complete this")
			return id
		}

		// By webhook.
		ana := push("Ana")
		if l := fake.learner(ana); l == nil || fmt.Sprint(l["assigned"]) != "map[C-CLINICAL:false C-POLICY:false]" {
			t.Fatalf("she was invited, and Litmos has %v", l)
		}
		fake.complete(ana)
		s.waitForLetter("ana.lima@mercy.example", "activate?code=")
		if got := access(n.must(200, "GET", "/scim/v2/Users/"+ana, provider, nil)); got["accessStatus"] != "released" {
			t.Errorf("Ana: %v", got)
		}
		evidence := fmt.Sprint(n.must(200, "GET", "/api/v1/users/"+ana+"/evidence", operator, nil)["items"])
		if strings.Count(evidence, "source:lms") != 2 {
			t.Errorf("the evidence is %s", evidence)
		}

		// Without a webhook, and with the server killed.
		bo := push("Bo")
		fake.order("PUT", "/_fake/knobs", object{"hookLose": true})
		n.kill()
		fake.complete(bo)
		n = s.start()
		eventually(t, 90*time.Second, func() error { // the dead one's lease ends first
			if got := access(n.must(200, "GET", "/scim/v2/Users/"+bo, provider, nil)); got["accessStatus"] != "released" {
				return fmt.Errorf("Bo: %v", got)
			}
			return nil
		})
		s.waitForLetter("bo.lima@mercy.example", "activate?code=")

		// A refusal is staff's to see, and theirs to have tried again.
		if status, answer, err := ask(t.Context(), "POST", fake.base+"/_fake/users", "", object{"userName": "cy", "firstName": "Cy", "lastName": "Other", "email": "cy.lima@mercy.example"}); err != nil || status != 200 {
			t.Fatal(status, answer, err)
		} else {
			other := answer["id"]
			cy, _ := n.must(201, "POST", "/scim/v2/Users", provider, nurse("Cy", "Lima"))["id"].(string)
			eventually(t, 30*time.Second, func() error {
				if shown := fmt.Sprint(n.must(200, "GET", "/api/v1/users/"+cy, operator, nil)["access"]); !strings.Contains(shown, "an operator must look") {
					return fmt.Errorf("staff see %s", shown)
				}
				return nil
			})
			if list := fmt.Sprint(n.must(200, "GET", "/api/v1/learners?state=refused", operator, nil)["items"]); !strings.Contains(list, cy) {
				t.Errorf("refused are %s", list)
			}
			fake.order("POST", "/_fake/remove", object{"id": other})
			n.must(204, "POST", "/api/v1/users/"+cy+"/enrolment", operator, nil)
			s.waitForLetter("cy.lima@mercy.example", "please complete this")
		}

		// A leaver.
		n.must(200, "PATCH", "/scim/v2/Users/"+ana, provider, patchOp(object{"op": "replace", "value": object{"active": false}}))
		eventually(t, 30*time.Second, func() error {
			if l := fake.learner(ana); l["active"] != false {
				return fmt.Errorf("Ana's record is %v", l)
			}
			return nil
		})
		eventually(t, 30*time.Second, func() error {
			metrics := fmt.Sprint(n.must(200, "GET", "/metrics", "", nil)["text"])
			for _, line := range []string{`healthix_lms_learners{state="enrolled"} 2`, `healthix_lms_learners{state="off"} 1`, "healthix_lms_key_refused 0", "healthix_lms_polled_timestamp_seconds 1"} {
				if !strings.Contains(metrics, line) {
					return fmt.Errorf("no metric %s", line)
				}
			}
			return nil
		})
		log := n.logged()
		n.stop()
		texts := map[string]string{"log": log}
		for _, l := range s.letters() {
			texts["mail"] += l.text
		}
		for _, file := range []string{"healthix.db", "healthix.db-wal"} {
			text, _ := os.ReadFile(filepath.Join(s.folder, file)) // on SQLite
			texts["database"] += string(text)
		}
		for where, text := range texts {
			for _, secret := range []string{trainingKey, trainingHook, "another-secret", "loginkey"} {
				if strings.Contains(strings.ToLower(text), secret) {
					t.Errorf("the %s holds %q", where, secret)
				}
			}
		}
		invited := map[string]int{}
		for _, l := range s.letters() {
			if strings.Contains(l.text, "please complete this") {
				invited[l.to]++
			}
		}
		if fmt.Sprint(invited) != "map[ana.lima@mercy.example:1 bo.lima@mercy.example:1 cy.lima@mercy.example:1]" {
			t.Errorf("invited were %v", invited)
		}
	})
}

// The trial of docs/litmos.md works when pasted, but for the builds (the programs
// are there) and the ports (others may be in use).
func TestTourOfLitmos(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/litmos.md")
	if err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for _, block := range tourBlock.FindAllStringSubmatch(string(text), -1) {
		lines.WriteString(block[1])
	}
	const build = "go build -o healthix-scim ./cmd/healthix-scim\ngo build -o healthix-litmos-fake ./cmd/healthix-litmos-fake\n"
	script, found := strings.CutPrefix(lines.String(), build)
	if !found || strings.Count(script, "\n") < 30 {
		t.Fatalf("the trial is not found:\n%s", &lines)
	}
	address, fake := freePort(t), freePort(t)
	script = strings.NewReplacer("127.0.0.1:8080", address, "127.0.0.1:9090", fake, "./healthix-litmos-fake ", "./healthix-litmos-fake -addr "+fake+" ").Replace(script)
	folder := t.TempDir()
	buildFakeLitmos(t, folder)
	if err := os.Symlink(binary(t), filepath.Join(folder, "healthix-scim")); err != nil {
		t.Fatal(err)
	}
	const tidy = "trap 'kill %1 %2 2>/dev/null || true' EXIT\n" // a trial that fails leaves nothing running
	cmd := exec.CommandContext(t.Context(), "bash", "-e", "-c", tidy+script)
	cmd.Dir = folder
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + folder, "HEALTHIX_ADDR=" + address}
	out, err := cmd.CombinedOutput()
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(folder, "serve.log"))
		t.Fatalf("%v\n%s\n%s", err, out, log)
	}
	for _, step := range []string{
		`modules\.break-the-glass: names no course`, `state +applied`, `"state":"enrolled".*"courses":\["C-POLICY","C-CLINICAL"\]`,
		`"assigned":{"C-CLINICAL":false,"C-POLICY":false}`, `status +released`, `"source":"lms"`, `"active":false,"assigned":{"C-CLINICAL":true`,
	} {
		if !regexp.MustCompile(step).Match(out) {
			t.Errorf("the trial does not show %s:\n%s", step, out)
		}
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 2 {
		t.Errorf("the trial leaves %v, %v", left, err)
	}
}
