package api

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// A title in the queue is answered by a draft, whatever it is spelt with; who
// waited is mapped when the draft's plan is applied.
func TestTitlesFromQueueToAnswer(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		h.working()
		operator := h.token(auth.ScopeOperator, "")
		for i, title := range []string{"Ward Hero, Days / Nights 100%", "Ward Heroine (C) ? & more", "Registered Nurze", "Süd.Wing Hero+", "100%25 Hero"} {
			u := h.person("mercy", fmt.Sprintf("Bo%d", i), "Reyes", title)
			queue := h.must(200, "GET", root+"/titles/unmapped", operator, "")
			items := queue.json["items"].([]any)
			if len(items) != 1 || at(t, items[0], "title") != title || at(t, items[0], "people") != 1.0 {
				t.Fatal(queue.body)
			}
			if title == "Registered Nurze" {
				suggestions := at(t, items[0], "suggestions").([]any)
				if len(suggestions) == 0 || len(suggestions) > 3 || at(t, suggestions[0], "title") != "Registered Nurse" || at(t, suggestions[0], "role") != "practitioner" ||
					at(t, suggestions[0], "people") != 1.0 || at(t, suggestions[0], "score").(float64) <= 0 {
					t.Error(queue.body)
				}
			}
			key := at(t, items[0], "key").(string)
			draft := root + "/titles/unmapped/" + url.PathEscape(key) + "/draft"
			h.must(422, "POST", draft, operator, `{"title":"No Such Title"}`)
			plan := h.must(200, "POST", draft, operator, `{"title":"Medical Assistant"}`)
			if plan.json["state"] != lifecycle.PlanReady || at(t, plan.json, "summary", "gain") != 1.0 || !strings.Contains(plan.json["origin"].(string), title) {
				t.Fatal(plan.body)
			}
			h.apply(operator, plan)
			h.carried(operator, plan)
			if got := h.must(200, "GET", root+"/users/"+u.ID, operator, ""); at(t, got.json, "access", "requestedRole") != "clinical-staff" {
				t.Errorf("%s: %s", title, got.body)
			}
			h.must(404, "POST", draft, operator, `{"title":"Medical Assistant"}`) // it waits no more
		}
		if left := h.must(200, "GET", root+"/titles/unmapped", operator, ""); len(left.json["items"].([]any)) != 0 {
			t.Error(left.body)
		}
		h.must(404, "POST", root+"/titles/unmapped//draft", operator, `{"title":"Medical Assistant"}`)
		h.must(403, "POST", root+"/titles/unmapped/x/draft", h.token(auth.ScopeAUM, "mercy"), `{"title":"Medical Assistant"}`)
	})
}

// A draft for one participant goes into its overlay.
func TestTitlesAnsweredForOneParticipant(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		h.working()
		operator := h.token(auth.ScopeOperator, "")
		own, other := h.person("mercy", "Bo", "Reyes", "Ward Hero"), h.person("general", "Cy", "Voss", "Ward Hero")
		plan := h.must(200, "POST", root+"/titles/unmapped/ward%20hero/draft", operator, `{"title":"Medical Assistant","participant":"mercy"}`)
		if plan.json["participant"] != "mercy" || at(t, plan.json, "summary", "gain") != 1.0 {
			t.Fatal(plan.body)
		}
		h.apply(operator, plan)
		h.carried(operator, plan)
		for user, role := range map[string]any{own.ID: "clinical-staff", other.ID: nil} {
			if got := h.must(200, "GET", root+"/users/"+user, operator, ""); at(t, got.json, "access", "requestedRole") != role {
				t.Errorf("%v: %s", role, got.body)
			}
		}
		left := h.must(200, "GET", root+"/titles/unmapped", operator, "")
		if items := left.json["items"].([]any); len(items) != 1 || at(t, items[0], "people") != 1.0 || at(t, items[0], "participants") != 1.0 {
			t.Error(left.body)
		}
	})
}

// The queue has those with most people first, and goes page by page.
func TestTitleQueuePages(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		operator, aum := h.token(auth.ScopeOperator, ""), h.token(auth.ScopeAUM, "mercy")
		const titles = 53
		for i := range titles {
			h.person("mercy", fmt.Sprintf("Bo%d", i), "Reyes", fmt.Sprintf("Hero of Ward %c%c", 'a'+i/26, 'a'+i%26))
		}
		h.person("mercy", "Cy", "Voss", "Hero of Ward bz")
		h.person("mercy", "Di", "Voss", "Hero of Ward ba")
		h.person("general", "Ed", "Voss", "Hero of Ward ba")
		h.person("mercy", "Fe", "Voss", "") // no title at all
		for token, first := range map[string]string{operator: "Hero of Ward ba", aum: "Hero of Ward ba"} {
			var seen []string
			path, pages := root+"/titles/unmapped", 0
			for next := path; next != ""; pages++ {
				got := h.must(200, "GET", next, token, "")
				for _, item := range got.json["items"].([]any) {
					seen = append(seen, at(t, item, "title").(string))
				}
				cursor, more := got.json["nextCursor"].(string)
				if next = ""; more {
					next = path + "?cursor=" + url.QueryEscape(cursor)
				}
			}
			if len(seen) != titles+1 || pages != 2 || seen[0] != first {
				t.Errorf("%d titles on %d pages, the first is %q", len(seen), pages, seen[0])
			}
		}
	})
}

// Suggestions say how many people an answer would map: those whose titles read
// alike then, too.
func TestSuggestionsCountPeople(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		operator := h.token(auth.ScopeOperator, "")
		h.person("mercy", "Bo", "Reyes", "Regstered Nurse")
		h.person("mercy", "Cy", "Voss", "Regstered Nurse - Nights")
		h.person("general", "Di", "Voss", "Regstered Nurse")
		for _, item := range h.must(200, "GET", root+"/titles/unmapped", operator, "").json["items"].([]any) {
			suggestions := at(t, item, "suggestions").([]any)
			if len(suggestions) == 0 {
				t.Fatalf("%v", item)
			}
			want := map[string]float64{"Regstered Nurse": 3, "Regstered Nurse - Nights": 1}[at(t, item, "title").(string)]
			if at(t, suggestions[0], "people") != want {
				t.Errorf("%v, want %v people", item, want)
			}
		}
	})
}

// A title that disagrees with its people's job code stands in the queue too, and
// what both give is what holds.
func TestTitlesThatDisagreeWithJobCodes(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		h.working()
		operator := h.token(auth.ScopeOperator, "")
		document := storage.Document{
			"userName": "bo.reyes", "active": true, "title": "Registered Nurse",
			"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": map[string]any{"costCenter": "MA-7"},
		}
		bo, err := h.service.CreateUser(t.Context(), lifecycle.Actor{Kind: "provider", Participant: "mercy"}, lifecycle.UserDraft{Document: document, Fold: json.RawMessage(`{}`)})
		if err != nil {
			t.Fatal(err)
		}
		plan := h.plan(operator, "", string(policy.Default())+"jobCodes: {attribute: costCenter, codes: {MA-7: Medical Assistant}}\n")
		if people := plan.json["people"].([]any); len(people) != 1 || at(t, people[0], "id") != bo.ID || at(t, people[0], "to") != "clinical-staff" {
			t.Fatal(plan.body)
		}
		h.apply(operator, plan)
		h.carried(operator, plan)
		if got := h.must(200, "GET", root+"/users/"+bo.ID+"/decision", operator, ""); got.json["jobCodeTitle"] != "Medical Assistant" || got.json["titleRole"] != "clinical-staff" || len(got.json["trace"].([]any)) == 0 {
			t.Error(got.body)
		}
		if got := h.must(200, "POST", root+"/policy/explain", operator, `{"title":"Registered Nurse","jobCode":"MA-7"}`); got.json["role"] != "clinical-staff" || got.json["jobCodeTitle"] != "Medical Assistant" {
			t.Error(got.body)
		}
		queue := h.must(200, "GET", root+"/titles/unmapped", operator, "")
		items := queue.json["items"].([]any)
		if len(items) != 1 || at(t, items[0], "title") != "Registered Nurse" || at(t, items[0], "disagrees") != "Medical Assistant" || at(t, items[0], "people") != 1.0 || len(at(t, items[0], "suggestions").([]any)) != 0 {
			t.Error(queue.body)
		}
		h.must(404, "POST", root+"/titles/unmapped/registered%20nurse/draft", operator, `{"title":"Medical Assistant"}`) // it is mapped
	})
}
