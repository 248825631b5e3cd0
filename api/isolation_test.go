package api

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// TestOthersDoNotExist asks every route with tokens bound to one participant
// for what belongs to another: nothing answers, nothing is named, and nothing
// is done.
func TestOthersDoNotExist(t *testing.T) {
	h := newHouse(t, nil)
	h.train(h.general)
	foreignToken, err := h.service.IssueToken(t.Context(), operator, spec(auth.ScopeSCIM, "general"))
	if err != nil {
		t.Fatal(err)
	}
	foreignClient, _, err := h.service.IssueClient(t.Context(), operator, lifecycle.ClientSpec{Participant: "general"})
	if err != nil {
		t.Fatal(err)
	}
	ownManager, err := h.service.IssueToken(t.Context(), operator, spec(auth.ScopeAUM, "mercy"))
	if err != nil {
		t.Fatal(err)
	}
	hold, err := h.service.Hold(t.Context(), operator, h.general.ID, "general: under review")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := h.service.PlanPolicy(t.Context(), operator, lifecycle.PlanSpec{Participant: "general", Document: []byte("roles: {Registered Nurse: clinical-staff}\n")})
	if err == nil {
		_, err = h.service.ComputePlan(t.Context(), overlay.ID, nil)
	}
	if err == nil {
		overlay, err = h.store.GetPlan(t.Context(), overlay.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	before, err := h.store.GetUser(t.Context(), "general", h.general.ID)
	if err != nil {
		t.Fatal(err)
	}
	review, err := h.service.StartReview(t.Context(), operator, lifecycle.ReviewSpec{Participant: "general", Due: h.now().Add(time.Hour)})
	if err == nil {
		err = h.service.Do(t.Context(), storage.Job{Kind: lifecycle.JobReview, Subject: review.ID})
	}
	if err == nil {
		_, err = h.store.GetReviewItem(t.Context(), review.ID, h.general.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	bodies := map[string]string{
		"POST /reviews":                   `{"participant":"general","due":"2100-01-01T00:00:00Z"}`,
		"POST /reviews/{id}/items/{user}": `{"decision":"revoke","ifVersion":1}`,
		"POST /users/{id}/deactivate":     `{"givenName":"Generosa","familyName":"Okafor","email":"generosa.okafor@general.example"}`,
		"PUT /users/{id}/clinical-alerts": `{"value":"alerts"}`,
		"POST /users/{id}/evidence":       `{"module":"m","completedAt":"2026-03-02T12:00:00Z"}`,
		"POST /users/{id}/approvals":      `{"decision":"approve","ifVersion":1}`,
		"POST /users/{id}/holds":          `{"reason":"x"}`,
		"POST /participants":              `{"id":"third","name":"Third"}`,
		"PATCH /participants/{id}":        `{"name":"x"}`,
		"POST /participants/{id}/suspend": `{"reason":"x"}`,
		"POST /participants/{id}/restore": `{"dryRun":true}`,
		"POST /tokens":                    `{"scope":"scim","participant":"general"}`,
		"POST /clients":                   `{"participant":"general"}`,
		"POST /policy/explain":            `{"title":"Registered Nurse","participant":"general"}`,
		"POST /policy/plan":               `{"synonyms":{}}`,
		"POST /policy/apply":              `{"plan":"` + overlay.ID + `"}`,
		"POST /policy/rollback":           `{"version":1}`,
		"POST /activations/redeem":        `{"code":"x"}`,

		"POST /titles/unmapped/{key}/draft": `{"title":"Registered Nurse","participant":"general"}`,
	}
	if _, err := h.service.Place(t.Context()); err != nil {
		t.Fatal(err)
	}
	theirs, err := h.store.ListEvents(t.Context(), storage.EventQuery{Participant: "general", Limit: 1})
	if err != nil || len(theirs) == 0 {
		t.Fatalf("nothing of general is on record, %v", err)
	}
	queries := map[string]string{
		"GET /audit/proof/inclusion": "?event=" + theirs[0].ID, "GET /audit/proof/consistency": "?from=1", // hashes, of everybody
	}
	s := everyRoute()
	for _, rt := range s.routes {
		name := rt.method + " " + strings.TrimPrefix(rt.path, root)
		if reads := rt.do.in != nil && rt.do.in != reflect.TypeFor[none](); reads != (bodies[name] != "") {
			t.Fatalf("%s: takes a body: %v; this test has %q", name, reads, bodies[name])
		}
	}
	tokens := map[string]string{
		"aum": h.token(auth.ScopeAUM, "mercy"), "auditor": h.token(auth.ScopeAuditor, "mercy"), "scim": h.token(auth.ScopeSCIM, "mercy"),
	}
	ids := func(path string) []string {
		switch {
		case strings.HasPrefix(path, root+"/participants"):
			return []string{"general"}
		case strings.HasPrefix(path, root+"/tokens"):
			return []string{foreignToken.ID, ownManager.ID}
		case strings.HasPrefix(path, root+"/clients"):
			return []string{foreignClient.ID}
		case strings.HasPrefix(path, root+"/reviews"):
			return []string{review.ID}
		case strings.HasPrefix(path, plansPath):
			return []string{overlay.ID}
		default:
			return []string{h.general.ID}
		}
	}
	for _, rt := range s.routes {
		if rt.public || isSCIM(rt.path) {
			continue
		}
		name := rt.method + " " + strings.TrimPrefix(rt.path, root)
		for scope, token := range tokens {
			t.Run(scope+" "+name, func(t *testing.T) {
				h := &house{t: t, url: h.url}
				for _, id := range ids(rt.path) {
					path := strings.NewReplacer("{id}", id, "{hold}", hold.ID, "{evidence}", hold.ID, "{username}", "general1", "{key}", "ward", "{user}", h.general.ID).Replace(rt.path)
					got := h.ask(rt.method, path+queries[name], token, bodies[name])
					list := rt.method == http.MethodGet && path == rt.path && got.status == http.StatusOK
					if !list && got.status != http.StatusForbidden && got.status != http.StatusNotFound {
						t.Errorf("%s: %d\n%s", path, got.status, got.body)
					}
					if strings.Contains(strings.ReplaceAll(got.body, path, ""), "general") || strings.Contains(got.body, "Okafor") {
						t.Errorf("%s names another participant: %s", path, got.body)
					}
					if list && strings.Contains(strings.Join(rt.query, " "), "participant") {
						if got := h.ask(rt.method, path+"?participant=general", token, ""); got.status != http.StatusNotFound {
							t.Errorf("%s?participant=general: %d\n%s", path, got.status, got.body)
						}
					}
				}
			})
		}
	}
	if plans, err := h.store.ListPlans(t.Context(), 10); err != nil || len(plans) != 1 || plans[0].Row != overlay.Row {
		t.Errorf("%d plans, or one that moved: %v", len(plans), err)
	}
	if item, err := h.store.GetReviewItem(t.Context(), review.ID, h.general.ID); err != nil || item.Decision != "" || item.Comment != "" {
		t.Errorf("the other participant's review moved: %+v, %v", item, err)
	}
	after, err := h.store.GetUser(t.Context(), "general", h.general.ID)
	if err != nil || after.Version != before.Version {
		t.Errorf("the other participant's user moved from version %d to %d, %v", before.Version, after.Version, err)
	}
	if left, err := h.store.GetToken(t.Context(), foreignToken.ID); err != nil || left.Revoked != nil {
		t.Errorf("the other participant's token is revoked: %+v, %v", left, err)
	}
	if left, err := h.store.GetClient(t.Context(), foreignClient.ID); err != nil || left.Revoked != nil {
		t.Errorf("the other participant's client is revoked: %+v, %v", left, err)
	}
}

func TestOwnListsAreNotEmpty(t *testing.T) { // else the test above proves little
	h := newHouse(t, nil)
	aum := h.token(auth.ScopeAUM, "mercy")
	h.token(auth.ScopeSCIM, "mercy")
	h.person("mercy", "Bo", "Reyes", "Chief Vibes Officer")
	h.must(201, "POST", root+"/clients", aum, `{}`)
	for _, path := range []string{"/participants", "/users", "/tokens", "/clients", "/titles/unmapped"} {
		if got := h.must(200, "GET", root+path, aum, ""); len(got.json["items"].([]any)) == 0 {
			t.Errorf("%s is empty: %s", path, got.body)
		}
	}
}
