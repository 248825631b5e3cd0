package main

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// The server is killed with kill -9 while it waits for the mail server's answer
// to DATA. Whoever starts next sends the same message, by the same Message-ID and
// with the same link: nobody is without it, and whoever has it twice has it once
// for a mail reader. What it tells of has happened once.
func TestKillInData(t *testing.T) {
	onBothEngines(t, func(t *testing.T, s *site) {
		office := newPostOffice(t)
		s.env = append(s.env, "HEALTHIX_MAIL_URL=smtp://"+office.address)
		s.run("participant", "add", "mercy", "--name", "Mercy General")
		provider := s.run("token", "issue", "--scope", "scim", "--participant", "mercy")
		operator := s.run("token", "issue", "--scope", "operator", "--subject", "dana@healthix.example")
		portal := s.run("token", "issue", "--scope", "portal", "--subject", "portal")
		n := s.start()
		addresses := map[string]string{"Kept": "kept.lima@mercy.example", "Lost": "lost.lima@mercy.example"}
		ids := map[string]string{}
		for name := range addresses {
			ids[name], _ = n.must(201, "POST", "/scim/v2/Users", provider, nurse(name, "Lima"))["id"].(string)
		}
		recorded := func(want int) error {
			for name, id := range ids {
				if got := n.entries(operator, id, "mail.sent"); got != want {
					return fmt.Errorf("%s: %d mails on record, want %d", name, got, want)
				}
			}
			return nil
		}
		eventually(t, 30*time.Second, func() error { return recorded(1) }) // the invitations
		office.hold()
		for _, id := range ids {
			for _, module := range []string{"nys-policy", "clinical-access"} {
				n.must(201, "POST", "/api/v1/users/"+id+"/evidence", operator, object{
					"module": module, "completedAt": time.Now().UTC().Add(-time.Hour).Format(time.RFC3339), "source": "webinar",
				})
			}
		}
		eventually(t, 30*time.Second, func() error {
			office.mu.Lock()
			defer office.mu.Unlock()
			if len(office.held) != 2 {
				return fmt.Errorf("in DATA are %v", office.held)
			}
			return nil
		})
		n.kill()
		office.release()

		n = s.start()
		eventually(t, 90*time.Second, func() error { return recorded(2) }) // and the links
		office.mu.Lock()
		defer office.mu.Unlock()
		for name, copies := range map[string]int{"Kept": 2, "Lost": 1} {
			got, first := office.received[addresses[name]], office.held[addresses[name]]
			if len(got) != copies || first.id == "" || first.code == "" || slices.ContainsFunc(got, func(p posted) bool { return p != first }) {
				t.Errorf("%s: in DATA was %v, arrived %v; want %d times the same", name, first, got, copies)
			}
			if a := access(n.must(200, "GET", "/scim/v2/Users/"+ids[name], provider, nil)); a["accessStatus"] != "released" || a["role"] != "practitioner" {
				t.Errorf("%s: %v", name, a)
			}
			if released := n.entries(operator, ids[name], "access.released"); released != 1 {
				t.Errorf("%s was released %d times", name, released)
			}
			n.must(200, "POST", "/api/v1/activations/redeem", portal, object{"code": first.code})
		}
		eventually(t, 30*time.Second, func() error { // a job ends a moment after its mail is on record
			for _, j := range n.must(200, "GET", "/api/v1/jobs", operator, nil)["items"].(array) {
				if j.(object)["state"] != "completed" {
					return fmt.Errorf("a job is %v", j)
				}
			}
			return nil
		})
		n.stop()
	})
}

// entries counts what is on record about a user under an action.
func (n *node) entries(operator, user, action string) (count int) {
	n.t.Helper()
	for _, e := range n.must(200, "GET", "/api/v1/users/"+user+"/timeline", operator, nil)["items"].(array) {
		if e.(object)["action"] == action {
			count++
		}
	}
	return count
}
