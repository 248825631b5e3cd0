package main

import (
	"fmt"
	"testing"
	"time"
)

// The server is killed with kill -9 when eight of its jobs, as many as it works
// at, wait for the mail server's answer to RCPT, and eight more were promised by
// deeds whose answer just arrived. Everybody is there after it, as they were
// answered; whose job had not begun gets the mail at once, whose job was under way
// when its lease has run out; each gets it once.
func TestKillBetweenCommitAndJob(t *testing.T) {
	onBothEngines(t, func(t *testing.T, s *site) {
		const workers = 8 // storage/sqlstore/jobs.go
		office := newPostOffice(t)
		s.env = append(s.env, "HEALTHIX_MAIL_URL=smtp://"+office.address)
		s.run("participant", "add", "mercy", "--name", "Mercy General")
		provider := s.run("token", "issue", "--scope", "scim", "--participant", "mercy")
		operator := s.run("token", "issue", "--scope", "operator", "--subject", "dana@healthix.example")
		n := s.start()
		office.hold()
		people := map[string]object{} // by address
		created := func(kind string) {
			for i := range workers {
				u := n.must(201, "POST", "/scim/v2/Users", provider, nurse(fmt.Sprintf("%s%d", kind, i), "Lima"))
				people[fmt.Sprintf("%s%d.lima@mercy.example", kind, i)] = u
			}
		}
		created("stuck")
		eventually(t, 30*time.Second, func() error {
			office.mu.Lock()
			defer office.mu.Unlock()
			if len(office.held) != workers {
				return fmt.Errorf("%d jobs wait for the mail server", len(office.held))
			}
			return nil
		})
		created("promised")
		n.kill()
		office.mu.Lock()
		if len(office.held) != workers || len(office.tries) != 0 {
			t.Errorf("before the kill the mail server saw %v and %v", office.held, office.tries)
		}
		office.mu.Unlock()
		office.release()

		restarted := time.Now()
		n = s.start()
		for address, u := range people {
			now := n.must(200, "GET", fmt.Sprintf("/scim/v2/Users/%v", u["id"]), provider, nil)
			if now["userName"] != u["userName"] || access(now)["accessStatus"] != "pending" || now["meta"].(object)["version"] != u["meta"].(object)["version"] {
				t.Errorf("%s was answered as %v and is %v", address, u, now)
			}
		}
		arrived := func(kind string) error {
			office.mu.Lock()
			defer office.mu.Unlock()
			for i := range workers {
				address := fmt.Sprintf("%s%d.lima@mercy.example", kind, i)
				if len(office.received[address]) == 0 {
					return fmt.Errorf("%s has no mail", address)
				}
			}
			return nil
		}
		eventually(t, 90*time.Second, func() error { return arrived("promised") })
		t.Logf("promised mail was there %s after the restart", time.Since(restarted).Round(time.Millisecond))
		eventually(t, 90*time.Second, func() error { return arrived("stuck") })
		t.Logf("the rest %s after it", time.Since(restarted).Round(time.Millisecond))
		eventually(t, 30*time.Second, func() error { // a job ends a moment after its mail is on record
			jobs := n.must(200, "GET", "/api/v1/jobs", operator, nil)["items"].(array)
			if len(jobs) != len(people) {
				return fmt.Errorf("%d jobs for %d people", len(jobs), len(people))
			}
			for _, j := range jobs {
				if j.(object)["state"] != "completed" {
					return fmt.Errorf("a job is %v", j)
				}
			}
			return nil
		})
		n.stop()

		office.mu.Lock()
		defer office.mu.Unlock()
		seen := map[string]bool{}
		for address := range people {
			got := office.received[address]
			if len(got) != 1 || len(office.tries[address]) != 1 || got[0].id == "" || seen[got[0].id] {
				t.Errorf("%s got %v after %v", address, got, office.tries[address])
				continue
			}
			seen[got[0].id] = true
		}
	})
}
