package scim_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
)

// Whatever verb or attribute takes access or active, the mass-change breaker
// counts it once, and the answers show exactly what was written.
func TestBreakerCountsEveryVerb(t *testing.T) {
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			s := newServer(t, e)
			ctx := context.Background()
			const users = "/Users"
			ids := make([]string, 9)
			for i := range ids {
				ids[i] = s.must(t, http.StatusCreated, http.MethodPost, users, newcomer(i)).id()
			}
			titled := ids[7]
			for _, module := range []string{"nys-policy", "clinical-access"} {
				if _, err := s.deeds.RecordEvidence(ctx, lifecycle.System, titled, lifecycle.EvidenceSpec{
					Module: module, CompletedAt: time.Now().Add(-time.Hour), Source: "webinar",
				}); err != nil {
					t.Fatal(err)
				}
			}
			if u, err := s.store.GetUser(ctx, "mercy", titled); err != nil || u.Access(time.Now()).Status != policy.StatusReleased {
				t.Fatalf("%v %v", u.Decision.Status, err)
			}
			open := func(want bool, what string) {
				t.Helper()
				c, is, err := s.store.FindBreakerCase(ctx, "mercy", true)
				if err != nil || is != want {
					t.Fatalf("%s: a case is open: %v, want %v (%+v, %v)", what, is, want, c, err)
				}
			}
			set := func(path, value string) string {
				return patchOf(fmt.Sprintf(`{"op":"replace","path":%q,"value":%s}`, path, value))
			}

			s.must(t, http.StatusOK, http.MethodPatch, users+"/"+ids[0], set("active", "false"))
			s.must(t, http.StatusOK, http.MethodPatch, users+"/"+ids[0], set("active", "true"))
			s.must(t, http.StatusOK, http.MethodPatch, users+"/"+ids[0], set("active", `"False"`)) // the same one again
			s.must(t, http.StatusNoContent, http.MethodDelete, users+"/"+ids[0], "")               // inactive
			s.must(t, http.StatusOK, http.MethodPut, users+"/"+ids[1], `{"userName":"bulk-1@mercy.example","active":false}`)
			s.must(t, http.StatusOK, http.MethodPut, users+"/"+ids[2], `{"userName":"bulk-2@mercy.example","active":true}`) // no access to lose
			s.must(t, http.StatusOK, http.MethodPatch, users+"/"+titled, set("title", `"Chief Vibes Officer"`))
			s.must(t, http.StatusNoContent, http.MethodDelete, users+"/"+ids[3], "")
			open(false, "four of nine")
			status, _ := s.bulk(t, ctx, bulkText(
				`{"method":"PATCH","path":"/Users/`+ids[2]+`","data":`+set("displayName", `"B."`)+`}`,
				`{"method":"PATCH","path":"/Users/`+ids[4]+`","data":`+set("active", "false")+`}`,
				`{"method":"DELETE","path":"/Users/`+ids[5]+`"}`))
			if status != http.StatusOK {
				t.Fatalf("bulk: %d", status)
			}
			open(true, "six of nine")
			c, _, err := s.store.FindBreakerCase(ctx, "mercy", true)
			if err != nil || c.People != 5 || c.Base != 9 {
				t.Errorf("%+v, %v", c, err)
			}
			if n, err := s.store.TallyCase(ctx, c.ID); err != nil || n.Staged != 6 {
				t.Errorf("%+v, %v", n, err)
			}
			// SCIM shows what was written.
			s.must(t, http.StatusNotFound, http.MethodGet, users+"/"+ids[5], "")
			if got := s.must(t, http.StatusOK, http.MethodGet, users+"/"+ids[4], ""); got.body["active"] != false {
				t.Errorf("%v", got.body)
			}

			r, err := s.deeds.Restore(ctx, lifecycle.Actor{Kind: "operator", Subject: "dana@healthix.example"}, lifecycle.RestoreSpec{Participant: "mercy"}, nil)
			if err != nil || r.Restored != 5 || len(r.Listed) != 1 || r.Listed[0].ID != ids[0] {
				t.Fatalf("%+v, %v", r, err)
			}
			// Filters find again what came back.
			for id, filter := range map[string]string{
				ids[5]: `emails.value eq "BULK-5@mercy.example" and active eq true`, ids[1]: `name.familyName eq "number 1" and title eq "Registered Nurse"`,
			} {
				got := s.must(t, http.StatusOK, http.MethodPost, users+"/.search", fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],"filter":%q}`, filter))
				list, _ := got.body["Resources"].([]any)
				if len(list) != 1 || list[0].(map[string]any)["id"] != id {
					t.Errorf("%s: %v", filter, got.body)
				}
			}
			if u, err := s.store.GetUser(ctx, "mercy", titled); err != nil || u.Access(time.Now()).Status != policy.StatusReleased {
				t.Errorf("%v %v", u.Decision.Status, err)
			}
			// And the provider goes on as before.
			s.must(t, http.StatusOK, http.MethodPatch, users+"/"+ids[5], set("active", "false"))
			open(false, "one more")
		})
	}
}
