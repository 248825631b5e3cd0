package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// acknowledged is what the server said was done before it was killed.
type acknowledged struct {
	sync.Mutex
	created map[string]string // id → userName
	titled  map[string]string // id → title
	ended   map[string]bool   // id: deactivated or deleted
	deleted map[string]bool
	asked   map[string]bool // id: an ending was sent, answered or not
}

// Nothing acknowledged is ever lost: the real program is killed with kill -9
// under load, started again, and every write it had answered is there; access
// that had ended stays ended; promised work goes on.
func TestKillUnderLoad(t *testing.T) {
	onBothEngines(t, func(t *testing.T, s *site) {
		s.run("participant", "add", "mercy", "--name", "Mercy General")
		provider := s.run("token", "issue", "--scope", "scim", "--participant", "mercy")
		operator := s.run("token", "issue", "--scope", "operator", "--subject", "dana@healthix.example")
		seen := &acknowledged{
			created: map[string]string{}, titled: map[string]string{}, ended: map[string]bool{}, deleted: map[string]bool{}, asked: map[string]bool{},
		}
		for round := range 2 {
			n := s.start()
			load(t, n, provider, round, seen)
			after := s.start()
			checkKept(t, after, provider, seen)
			if round == 1 {
				checkPromises(t, s, after, operator, seen)
			}
			after.stop()
		}
	})
}

// load writes with several clients until the server is killed in the midst.
func load(t *testing.T, n *node, token string, round int, seen *acknowledged) {
	t.Helper()
	const clients, enough = 6, 120
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reached := make(chan struct{})
	var once sync.Once
	before := len(seen.created)
	var work sync.WaitGroup
	for client := range clients {
		work.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				if !one(ctx, t, n, token, fmt.Sprintf("r%dc%di%d", round, client, i), i, seen) {
					return // the connection broke: this is the kill
				}
				seen.Lock()
				if len(seen.created)-before >= enough {
					once.Do(func() { close(reached) })
				}
				seen.Unlock()
			}
		})
	}
	select {
	case <-reached:
	case <-time.After(60 * time.Second):
		t.Errorf("the load wrote %d people in a minute", len(seen.created)-before)
	}
	n.kill()
	work.Wait()
}

// one writes one person, and every third one's end.
func one(ctx context.Context, t *testing.T, n *node, token, name string, i int, seen *acknowledged) bool {
	status, user, err := ask(ctx, "POST", n.base+"/scim/v2/Users", token, nurse("Given"+name, "Family"+name))
	if err != nil {
		return false
	}
	id, _ := user["id"].(string)
	if status != 201 || id == "" {
		t.Errorf("create under load: %d %v", status, user)
		return false
	}
	seen.Lock()
	seen.created[id] = fmt.Sprint(user["userName"])
	seen.Unlock()
	switch i % 4 {
	case 0:
		status, user, err = ask(ctx, "PATCH", n.base+"/scim/v2/Users/"+id, token, patchOp(object{"op": "replace", "path": "title", "value": "Pharmacist"}))
		if err == nil && status == 200 && user["title"] == "Pharmacist" {
			seen.Lock()
			seen.titled[id] = "Pharmacist"
			seen.Unlock()
		}
	case 1, 2:
		seen.Lock()
		seen.asked[id] = true
		seen.Unlock()
		method, body := "PATCH", any(patchOp(object{"op": "replace", "value": object{"active": false}}))
		if i%4 == 2 {
			method, body = "DELETE", nil
		}
		status, _, err = ask(ctx, method, n.base+"/scim/v2/Users/"+id, token, body)
		if err == nil && (status == 200 || status == 204) {
			seen.Lock()
			seen.ended[id], seen.deleted[id] = true, status == 204
			seen.Unlock()
		}
	}
	if err == nil && status >= 300 {
		t.Errorf("write under load: %d %v", status, user)
	}
	return err == nil
}

// checkKept finds every acknowledged write again.
func checkKept(t *testing.T, n *node, token string, seen *acknowledged) {
	t.Helper()
	if len(seen.created) == 0 || len(seen.ended) == 0 || len(seen.titled) == 0 {
		t.Fatalf("the load acknowledged too little to prove anything: %d created, %d ended, %d titled", len(seen.created), len(seen.ended), len(seen.titled))
	}
	for id, userName := range seen.created {
		status, user, err := ask(t.Context(), "GET", n.base+"/scim/v2/Users/"+id, token, nil)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case seen.deleted[id]:
			if status != 404 {
				t.Errorf("%s was deleted and is answered %d", id, status)
			}
			continue
		case status == 404 && seen.asked[id]:
			continue // the DELETE was done, its answer was cut off
		case status != 200 || user["userName"] != userName:
			t.Errorf("%s (%s) was acknowledged and is answered %d %v", id, userName, status, user)
			continue
		}
		if seen.ended[id] && (user["active"] != false || access(user)["accessStatus"] != "revoked") {
			t.Errorf("%s was deactivated and is %v, %v", id, user["active"], access(user)["accessStatus"])
		}
		if want := seen.titled[id]; want != "" && user["title"] != want {
			t.Errorf("%s was given the title %s and has %v", id, want, user["title"])
		}
	}
}

// checkPromises waits until the jobs promised before the kills are done: who is
// still there was invited.
func checkPromises(t *testing.T, s *site, n *node, operator string, seen *acknowledged) {
	t.Helper()
	eventually(t, 90*time.Second, func() error {
		invited := map[string]bool{}
		for _, l := range s.letters() {
			invited[l.to] = true
		}
		missing := 0
		for id, userName := range seen.created {
			if !seen.asked[id] && !invited[userName+"@mercy.example"] {
				missing++
			}
		}
		if missing > 0 {
			return fmt.Errorf("%d of %d people were not invited", missing, len(seen.created))
		}
		return nil
	})
	jobs := n.must(200, "GET", "/api/v1/jobs?state=discarded", operator, nil)
	if items, _ := jobs["items"].(array); len(items) > 0 {
		t.Errorf("jobs were given up: %v", items)
	}
	for id := range seen.ended {
		if seen.deleted[id] {
			continue
		}
		user := n.must(200, "GET", "/api/v1/users/"+id, operator, nil)
		if got := user["access"].(object); got["status"] != "revoked" || !strings.Contains(fmt.Sprint(got["reason"]), "not active") {
			t.Errorf("%s: %v", id, got)
		}
	}
}
