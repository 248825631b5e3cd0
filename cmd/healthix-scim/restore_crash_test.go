package main

import (
	"fmt"
	"maps"
	"testing"
	"time"
)

// bulk sends operations and answers the ids they are about, in order.
func (n *node) bulk(provider string, operations array) []string {
	n.t.Helper()
	answer := n.must(200, "POST", "/scim/v2/Bulk", provider, object{
		"schemas": array{"urn:ietf:params:scim:api:messages:2.0:BulkRequest"}, "Operations": operations,
	})
	done := answer["Operations"].(array)
	ids := make([]string, len(done))
	for i, o := range done {
		location, _ := o.(object)["location"].(string)
		if status := fmt.Sprint(o.(object)["status"]); status[0] != '2' || len(location) < 36 {
			n.t.Fatalf("operation %d: %v", i, o)
		}
		ids[i] = location[len(location)-36:]
	}
	return ids
}

// A server is killed with kill -9 in the midst of a restore of some hundred
// people: each of them is either back with all they had or not back at all, and
// whoever starts next brings the others back, once, and mails no credential.
func TestRestoreIsKilled(t *testing.T) {
	onBothEngines(t, func(t *testing.T, s *site) {
		s.run("participant", "add", "mercy", "--name", "Mercy General")
		provider := s.run("token", "issue", "--scope", "scim", "--participant", "mercy")
		operator := s.run("token", "issue", "--scope", "operator", "--subject", "dana@healthix.example")
		n := s.start()
		const people, released = 300, 20
		creates, members := array{}, array{}
		for i := range people - released {
			creates = append(creates, object{"method": "POST", "path": "/Users", "bulkId": fmt.Sprint(i), "data": nurse(fmt.Sprintf("Ben%d", i), "Lima")})
		}
		ids := n.bulk(provider, creates)
		for i := range released {
			ids = append(ids, n.trained(provider, operator, fmt.Sprintf("Ana%d", i)))
		}
		for _, id := range ids {
			members = append(members, object{"value": id})
		}
		n.must(201, "POST", "/scim/v2/Groups", provider, object{
			"schemas": array{"urn:ietf:params:scim:schemas:core:2.0:Group"}, "displayName": "Nurses", "members": members,
		})
		is := func(id string) (status int, what object) {
			n.t.Helper()
			status, u, err := ask(t.Context(), "GET", n.base+"/scim/v2/Users/"+id, provider, nil)
			if err != nil {
				t.Fatal(err)
			}
			groups, _ := u["groups"].(array)
			a := access(u)
			return status, object{"active": u["active"], "groups": len(groups), "status": a["accessStatus"], "username": a["healthixUsername"], "title": u["title"]}
		}
		was := map[string]object{}
		for _, id := range ids {
			_, was[id] = is(id)
		}
		if u := was[ids[people-1]]; u["status"] != "released" || u["groups"] != 1 {
			t.Fatalf("the last one is %v", u)
		}
		eventually(t, 60*time.Second, func() error { // every invitation and link is out
			for _, j := range n.must(200, "GET", "/api/v1/jobs", operator, nil)["items"].(array) {
				if j.(object)["state"] != "completed" {
					return fmt.Errorf("a job is %v", j)
				}
			}
			return nil
		})
		mails := len(s.letters())

		// The provider's job goes wrong: every other one is deleted, the others are
		// deactivated.
		ends := array{}
		for i, id := range ids {
			if i%2 == 0 {
				ends = append(ends, object{"method": "DELETE", "path": "/Users/" + id})
				continue
			}
			ends = append(ends, object{"method": "PATCH", "path": "/Users/" + id, "data": patchOp(object{"op": "replace", "path": "active", "value": false})})
		}
		n.bulk(provider, ends)
		breaker := func() (open object) {
			n.t.Helper()
			open, _ = n.must(200, "GET", "/api/v1/participants/mercy", operator, nil)["breaker"].(object)["case"].(object)
			return open
		}
		if c := breaker(); c == nil || c["staged"] != float64(people) {
			t.Fatalf("the case: %v", c)
		}

		asked := make(chan struct{})
		go func(base string) {
			defer close(asked)
			_, _, _ = ask(t.Context(), "POST", base+"/api/v1/participants/mercy/restore", operator, nil)
		}(n.base)
		eventually(t, 30*time.Second, func() error {
			if back, _ := breaker()["restored"].(float64); back < 30 {
				return fmt.Errorf("%v are back", back)
			}
			return nil
		})
		n.kill()
		<-asked

		n = s.start()
		c := breaker()
		if c == nil || c["staged"] == 0.0 || c["restoring"] == nil {
			t.Fatalf("nothing was left to do: %v", c)
		}
		t.Logf("killed with %v back and %v to come", c["restored"], c["staged"])
		gone, back := 0, 0
		for i, id := range ids {
			switch status, u := is(id); {
			case i%2 == 0 && status == 404, i%2 == 1 && status == 200 && u["active"] == false && u["status"] == "revoked":
				gone++
			case status == 200 && maps.Equal(u, was[id]):
				back++
			default:
				t.Errorf("person %d is half restored: %d %v, was %v", i, status, u, was[id])
			}
		}
		if back < 30 || gone == 0 {
			t.Errorf("%d were back and %d were not", back, gone)
		}

		answer := n.must(200, "POST", "/api/v1/participants/mercy/restore", operator, nil)
		if answer["restored"] != float64(people) || len(answer["listed"].(array)) != 0 {
			t.Errorf("asked again, the restore came to %v", answer)
		}
		if breaker() != nil {
			t.Error("the case is open still")
		}
		for i, id := range ids {
			if _, u := is(id); !maps.Equal(u, was[id]) {
				t.Errorf("person %d is %v, was %v", i, u, was[id])
			}
			if times := n.entries(operator, id, "user.restored"); times != 1 {
				t.Errorf("person %d was restored %d times", i, times)
			}
		}
		eventually(t, 60*time.Second, func() error {
			for _, j := range n.must(200, "GET", "/api/v1/jobs", operator, nil)["items"].(array) {
				if state := j.(object)["state"]; state != "completed" && j.(object)["kind"] != "breaker-restore" {
					return fmt.Errorf("a job is %v", j)
				}
			}
			return nil
		})
		if now := len(s.letters()); now != mails {
			t.Errorf("%d mails went out meanwhile", now-mails)
		}
		n.stop()
	})
}
