package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// yaml sends a request about a policy document and must get an answer of a
// status.
func (n *node) yaml(want int, method, path, token, body string) string {
	n.t.Helper()
	req, err := http.NewRequestWithContext(n.t.Context(), method, n.base+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/yaml")
	if body != "" {
		req.Header.Set("Content-Type", "application/yaml")
	}
	got, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer got.Body.Close()
	said, err := io.ReadAll(got.Body)
	if err != nil || got.StatusCode != want {
		n.t.Fatalf("%s %s: status %d, want %d; %v %s", method, path, got.StatusCode, want, err, said)
	}
	return string(said)
}

// trained pushes a nurse and records what she learnt; she has access then.
func (n *node) trained(provider, operator, name string) (id string) {
	n.t.Helper()
	id, _ = n.must(201, "POST", "/scim/v2/Users", provider, nurse(name, "Lima"))["id"].(string)
	for _, module := range []string{"nys-policy", "clinical-access"} {
		n.must(201, "POST", "/api/v1/users/"+id+"/evidence", operator, object{
			"module": module, "completedAt": time.Now().UTC().Add(-time.Hour).Format(time.RFC3339), "source": "webinar",
		})
	}
	return id
}

// A policy change that takes something from everybody survives kill -9 of the
// server at any step: whoever starts next goes on, nobody keeps what was taken
// once the version is in force, and everybody is decided again.
func TestPolicyChangeIsKilled(t *testing.T) {
	onBothEngines(t, func(t *testing.T, s *site) {
		s.run("participant", "add", "mercy", "--name", "Mercy General")
		provider := s.run("token", "issue", "--scope", "scim", "--participant", "mercy")
		dana := s.run("token", "issue", "--scope", "operator", "--subject", "dana@healthix.example")
		erin := s.run("token", "issue", "--scope", "operator", "--subject", "erin@healthix.example")
		n := s.start()
		const people = 60
		ids := make([]string, people)
		var work sync.WaitGroup
		for part := range 4 {
			work.Go(func() {
				for i := part; i < people; i += 4 {
					ids[i] = n.trained(provider, dana, fmt.Sprintf("Ana%d", i))
				}
			})
		}
		work.Wait()
		if t.Failed() {
			return
		}
		document := n.yaml(200, "GET", "/api/v1/policy", dana, "")
		less := strings.Replace(document, "\n  Registered Nurse,clinical practitioner,practitioner,", "\n  Registered Nurse,clinical practitioner,clinical-staff,", 1)
		var plan struct {
			Plan, State, Confirm string
			Summary              struct{ Lose, Ends, Released int }
		}
		if err := json.Unmarshal([]byte(n.yaml(200, "POST", "/api/v1/policy/plan", dana, less)), &plan); err != nil {
			t.Fatal(err)
		}
		if plan.State != "ready" || plan.Summary.Lose != people || plan.Summary.Ends != people || plan.Summary.Released != people || plan.Confirm == "" {
			t.Fatalf("the plan: %+v", plan)
		}
		n.must(200, "POST", "/api/v1/policy/plans/"+plan.Plan+"/confirm", erin, nil)

		// Killed while everybody is looked at; and again when the version has just
		// come into force.
		state := func() any {
			return n.must(200, "GET", "/api/v1/policy/plans/"+plan.Plan+"?limit=1", dana, nil)["state"]
		}
		asked := make(chan struct{})
		go func(base string) {
			defer close(asked)
			_, _, _ = ask(t.Context(), "POST", base+"/api/v1/policy/apply", dana, object{"plan": plan.Plan})
		}(n.base)
		deadline := time.Now().Add(10 * time.Second)
		for state() == "ready" && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		n.kill()
		<-asked
		n = s.start()
		t.Logf("killed while the plan was %v", state())
		for deadline = time.Now().Add(60 * time.Second); state() == "applying" && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		n.kill()
		n = s.start()
		got := n.must(200, "GET", "/api/v1/policy/plans/"+plan.Plan+"?limit=1", dana, nil)
		if got["state"] != "applied" {
			t.Fatalf("the plan is %v: %v", got["state"], got["note"])
		}
		t.Logf("killed while it was carried out: %v", got["carried"] == nil)

		taken := func() error {
			inForce := n.must(200, "GET", "/api/v1/policy", dana, nil)["version"]
			for _, u := range n.must(200, "GET", "/api/v1/users?limit=500", dana, nil)["items"].(array) {
				access := u.(object)["access"].(object)
				if has := strings.Contains(fmt.Sprint(access["permissions"]), "clinical.sensitive"); has && inForce == 2.0 {
					return fmt.Errorf("version 2 is in force and %v has %v", u.(object)["userName"], access["permissions"])
				}
			}
			return nil
		}
		eventually(t, 120*time.Second, func() error {
			if err := taken(); err != nil {
				t.Fatal(err)
			}
			got := n.must(200, "GET", "/api/v1/policy/plans/"+plan.Plan+"?limit=1", dana, nil)
			if got["carried"] == nil {
				return fmt.Errorf("the plan is %v, not carried out", got["state"])
			}
			return nil
		})
		for _, id := range ids {
			a := access(n.must(200, "GET", "/scim/v2/Users/"+id, provider, nil))
			if a["accessStatus"] != "released" || a["role"] != "clinical-staff" || a["policyVersion"] != 2.0 || len(a["permissions"].(array)) != 4 {
				t.Fatalf("%s: %v", id, a)
			}
		}
		if jobs := n.must(200, "GET", "/api/v1/jobs?state=discarded", dana, nil)["items"].(array); len(jobs) > 0 {
			t.Errorf("jobs were given up: %v", jobs)
		}
		n.stop()
	})
}
