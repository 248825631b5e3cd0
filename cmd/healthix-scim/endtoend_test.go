package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// The whole mission once, with the real program: a person comes, trains, gets
// a link, uses it, and leaves.
func TestEndToEnd(t *testing.T) {
	onBothEngines(t, func(t *testing.T, s *site) {
		s.run("participant", "add", "mercy", "--name", "Mercy General")
		provider := s.run("token", "issue", "--scope", "scim", "--participant", "mercy", "--label", "entra")
		operator := s.run("token", "issue", "--scope", "operator", "--subject", "dana@healthix.example")
		portal := s.run("token", "issue", "--scope", "portal", "--subject", "portal")
		n := s.start()

		// Pushed: invited, and closed until training is on record.
		ana := n.must(201, "POST", "/scim/v2/Users", provider, nurse("Ana", "Lima"))
		id, _ := ana["id"].(string)
		if a := access(ana); a["accessStatus"] != "pending" || fmt.Sprint(a["closedGates"]) != "[training]" || a["role"] != nil {
			t.Fatalf("after create: %v", a)
		}
		s.waitForLetter("ana.lima@mercy.example", "training")
		for _, l := range s.letters() {
			if activation.MatchString(l.text) {
				t.Fatalf("a link was mailed before training: %s", l.subject)
			}
		}

		// Trained: released in that very transaction, link mailed.
		for i, module := range []string{"nys-policy", "clinical-access"} {
			status := n.must(200, "GET", "/api/v1/users/"+id, operator, nil)["access"].(object)["status"]
			if status != "pending" {
				t.Fatalf("status %v after %d of 2 modules", status, i)
			}
			n.must(201, "POST", "/api/v1/users/"+id+"/evidence", operator, object{
				"gate": "training", "module": module, "completedAt": time.Now().UTC().Add(-time.Hour).Format(time.RFC3339), "source": "webinar",
			})
		}
		ana = n.must(200, "GET", "/scim/v2/Users/"+id, provider, nil)
		username, _ := access(ana)["healthixUsername"].(string)
		if access(ana)["accessStatus"] != "released" || access(ana)["role"] != "practitioner" || len(username) != 8 {
			t.Fatalf("after training: %v", access(ana))
		}
		link := activation.FindString(s.waitForLetter("ana.lima@mercy.example", "code=").text)
		if !strings.HasPrefix(link, n.base+"/portal/activate?code=") {
			t.Fatalf("link %s does not point here (%s)", link, n.base)
		}
		redeem(t, link, username)

		// The portal acts on permissions; the command line says the same as the API.
		if got := n.must(200, "GET", "/api/v1/access/"+username, portal, nil); got["status"] != "released" || len(got["permissions"].(array)) != 5 {
			t.Fatalf("access: %v", got)
		}
		sameAsAPI(t, s, n, operator, id)

		// The participant is suspended by command while the server runs.
		s.run("participant", "suspend", "mercy", "--reason", "contract ended")
		if got := n.must(200, "GET", "/api/v1/access/"+username, portal, nil); got["status"] != "suspended" || len(got["permissions"].(array)) != 0 {
			t.Fatalf("access while suspended: %v", got)
		}
		s.run("participant", "resume", "mercy")
		if got := n.must(200, "GET", "/api/v1/access/"+username, portal, nil); got["status"] != "released" {
			t.Fatalf("access after resume: %v", got)
		}

		// The leaver: closed when the answer is there.
		ana = n.must(200, "PATCH", "/scim/v2/Users/"+id, provider, patchOp(object{"op": "Replace", "path": "active", "value": "False"}))
		if ana["active"] != false || access(ana)["accessStatus"] != "revoked" || access(ana)["permissions"] != nil {
			t.Fatalf("after deactivation: %v", ana)
		}
		if got := n.must(200, "GET", "/api/v1/access/"+username, portal, nil); got["status"] != "revoked" || len(got["permissions"].(array)) != 0 {
			t.Fatalf("access of a leaver: %v", got)
		}

		// A revoked token stops within five seconds, and says so.
		var tokens []struct{ ID, Label string }
		decode(t, s.run("token", "list", "--participant", "mercy", "--json"), &tokens)
		if len(tokens) != 1 || tokens[0].Label != "entra" {
			t.Fatalf("tokens: %v", tokens)
		}
		s.run("token", "revoke", tokens[0].ID)
		eventually(t, 7*time.Second, func() error {
			status, answer, err := ask(t.Context(), "GET", n.base+"/scim/v2/Users", provider, nil)
			if status != 401 || !strings.Contains(fmt.Sprint(answer["detail"]), "revoked") {
				return fmt.Errorf("a revoked token is answered %d %v %w", status, answer, err)
			}
			return nil
		})

		n.must(200, "GET", "/livez", "", nil)
		n.must(200, "GET", "/readyz", "", nil)
		if text := fmt.Sprint(n.must(200, "GET", "/metrics", "", nil)["text"]); !strings.Contains(text, `healthix_http_requests_total{method="POST",route="/scim/v2/Users",status="201"} 1`) ||
			!strings.Contains(text, `healthix_scim_leniencies_total{name="string-boolean"} 1`) {
			t.Errorf("metrics do not count what happened:\n%s", text)
		}
		n.stop()
		lower := strings.ToLower(n.logged())
		for _, personal := range []string{"lima", "mercy.example", "5550101", username, provider, operator, strings.TrimPrefix(link, n.base)} {
			if strings.Contains(lower, strings.ToLower(personal)) {
				t.Errorf("the log holds %q:\n%s", personal, n.logged())
			}
		}
	})
}

// redeem opens an activation link on the stand-in page as a person does, and as
// a mail scanner does before them.
func redeem(t *testing.T, link, username string) {
	t.Helper()
	for range 2 { // reading never uses a link up
		if status, page := visit(t, http.MethodGet, link, nil); status != 200 || !strings.Contains(page, "Stand-in page") || strings.Contains(page, username) {
			t.Fatalf("GET %s: %d\n%s", link, status, page)
		}
	}
	at, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"code": {at.Query().Get("code")}, "key": {"first"}}
	at.RawQuery = ""
	for range 2 { // the same key may ask again
		if status, page := visit(t, http.MethodPost, at.String(), form); status != 200 || !strings.Contains(page, username) {
			t.Fatalf("POST %s: %d, want the username %s\n%s", at, status, username, page)
		}
	}
	form.Set("key", "second")
	if status, page := visit(t, http.MethodPost, at.String(), form); status < 400 || status >= 500 || strings.Contains(page, username) {
		t.Fatalf("a used link was answered %d\n%s", status, page)
	}
}

func visit(t *testing.T, method, address string, form url.Values) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	got, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	page, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got.StatusCode, string(page)
}

// sameAsAPI: --json of the commands has the API's shape and content.
func sameAsAPI(t *testing.T, s *site, n *node, operator, id string) {
	t.Helper()
	for _, tc := range []struct {
		path string
		args []string
	}{
		{"/api/v1/users/" + id, []string{"user", "show", id}},
		{"/api/v1/participants/mercy", []string{"participant", "show", "mercy"}},
		{"/api/v1/participants", []string{"participant", "list"}},
		{"/api/v1/users?participant=mercy", []string{"user", "list", "--participant", "mercy"}},
		{"/api/v1/policy/versions", []string{"policy", "history"}},
		{"/api/v1/jobs?limit=100", []string{"jobs", "list"}},
	} {
		want := n.must(200, "GET", tc.path, operator, nil)
		var got any
		decode(t, s.run(append(tc.args, "--json")...), &got)
		wanted := any(want)
		if items, ok := want["items"]; ok {
			wanted = items
		}
		if a, ok := want["access"].(object); ok {
			delete(a, "activation") // how far the link has come is the API's own
		}
		if !reflect.DeepEqual(got, wanted) {
			t.Errorf("%v --json\n%v\n%s\n%v", tc.args, got, tc.path, wanted)
		}
	}
	samePlan(t, s, n, operator)
	var explained object
	decode(t, s.run("policy", "explain", "Registered Nurse", "--json"), &explained)
	if want := n.must(200, "POST", "/api/v1/policy/explain", operator, object{"title": "Registered Nurse"}); !reflect.DeepEqual(explained, want) {
		t.Errorf("policy explain --json\n%v\nthe API\n%v", explained, want)
	}
}

// samePlan: a plan that a command made reads as the API shows it.
func samePlan(t *testing.T, s *site, n *node, operator string) {
	t.Helper()
	file := filepath.Join(s.folder, "policy.yaml")
	document := strings.Replace(s.run("policy", "show"), "\n  Registered Nurse,clinical practitioner,practitioner,", "\n  Registered Nurse,clinical practitioner,clinical-staff,", 1)
	if err := os.WriteFile(file, []byte(document), 0o600); err != nil {
		t.Fatal(err)
	}
	var planned object
	decode(t, s.run("policy", "plan", file, "--json"), &planned)
	if want := n.must(200, "GET", fmt.Sprintf("/api/v1/policy/plans/%v", planned["plan"]), operator, nil); !reflect.DeepEqual(planned, want) || len(planned["people"].(array)) != 1 {
		t.Errorf("policy plan --json\n%v\nthe API\n%v", planned, want)
	}
}

func decode(t *testing.T, text string, to any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), to); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}
