package api

import (
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// working starts the job workers, as a server has them.
func (h *house) working() *house {
	h.t.Helper()
	ctx, stop := context.WithCancel(h.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- h.store.Work(ctx, h.service.Do) }()
	h.t.Cleanup(func() {
		stop()
		<-ended
	})
	return h
}

// named issues an operator's token for a person.
func (h *house) named(subject string) string {
	h.t.Helper()
	record, err := h.service.IssueToken(h.t.Context(), operator, lifecycle.TokenSpec{Scope: auth.ScopeOperator, Subject: subject})
	if err != nil {
		h.t.Fatal(err)
	}
	text, err := h.signer.Mint(record)
	if err != nil {
		h.t.Fatal(err)
	}
	return text
}

// defaultWith is the default policy with some text replaced.
func defaultWith(t *testing.T, old, new string) string {
	t.Helper()
	text := string(policy.Default())
	if !strings.Contains(text, old) {
		t.Fatalf("the default policy does not hold %q", old)
	}
	return strings.Replace(text, old, new, 1)
}

// Nurses lose clinical.sensitive; nurses gain emergency access.
func nursesAsStaff(t *testing.T) string {
	return defaultWith(t, "Registered Nurse,clinical practitioner,practitioner,\"RN", "Registered Nurse,clinical practitioner,clinical-staff,\"RN")
}

func nursesWithGlass(t *testing.T) string {
	return defaultWith(t, "Registered Nurse,clinical practitioner,practitioner,\"RN", "Registered Nurse,clinical practitioner,practitioner-btg,\"RN")
}

const plansPath = root + "/policy/plans"

// plan plans a document and must get it ready.
func (h *house) plan(token, query, document string) answer {
	h.t.Helper()
	got := h.must(200, "POST", root+"/policy/plan"+query, token, document, "Content-Type", "application/yaml")
	if got.json["state"] != lifecycle.PlanReady {
		h.t.Fatal(got.body)
	}
	return got
}

func (h *house) apply(token string, plan answer) answer {
	h.t.Helper()
	return h.must(200, "POST", root+"/policy/apply", token, fmt.Sprintf(`{"plan":%q}`, plan.json["plan"]))
}

// carried waits until everybody concerned by a plan was decided again.
func (h *house) carried(token string, plan answer) {
	h.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		got := h.must(200, "GET", plansPath+"/"+plan.json["plan"].(string), token, "")
		if got.json["carried"] != nil {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("not carried out: %s", got.body)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestPlanAndApply(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		h.working()
		h.train(h.mercy)
		operator, auditor := h.token(auth.ScopeOperator, ""), h.token(auth.ScopeAuditor, "")
		plan := h.plan(operator, "", nursesAsStaff(t))
		if plan.json["base"] != 1.0 || plan.json["participant"] != nil || plan.json["confirm"] == nil || plan.json["version"] != nil ||
			at(t, plan.json, "summary", "checked") != 2.0 || at(t, plan.json, "summary", "released") != 1.0 || at(t, plan.json, "summary", "ends") != 1.0 {
			t.Fatal(plan.body)
		}
		people := plan.json["people"].([]any)
		i := slices.IndexFunc(people, func(p any) bool { return at(t, p, "id") == h.mercy.ID })
		if len(people) != 2 || i < 0 {
			t.Fatal(plan.body)
		}
		ana := people[i]
		if at(t, ana, "userName") != "ana.lima" || at(t, ana, "title") != "Registered Nurse" || at(t, ana, "class") != "lose" ||
			at(t, ana, "from") != "practitioner" || at(t, ana, "to") != "clinical-staff" || fmt.Sprint(at(t, ana, "ends")) != "[clinical.sensitive]" ||
			at(t, ana, "statusFrom") != "released" || at(t, ana, "statusTo") != "released" {
			t.Errorf("%v", ana)
		}
		reads := len(h.reads())
		id := plansPath + "/" + plan.json["plan"].(string)
		if got := h.must(200, "GET", id, auditor, ""); got.body != plan.body {
			t.Errorf("looked at again:\n%s\n%s", got.body, plan.body)
		}
		if now := h.reads(); len(now) != reads+1 || !strings.Contains(string(now[reads].Canonical), "plans/{id}") {
			t.Errorf("%d reads on record, want %d", len(now), reads+1)
		}
		if got := h.must(200, "GET", id, auditor, "", "Accept", "application/yaml"); got.body != nursesAsStaff(t) || got.header.Get("Content-Type") != "application/yaml" {
			t.Errorf("%v %.100s", got.header, got.body)
		}
		if got := h.must(200, "GET", id+"?class=gain", auditor, ""); len(got.json["people"].([]any)) != 0 {
			t.Error(got.body)
		}
		if got := h.must(200, "GET", id+"?participant=mercy&class=lose", auditor, ""); len(got.json["people"].([]any)) != 1 {
			t.Error(got.body)
		}
		list := h.must(200, "GET", plansPath, auditor, "")
		if items := list.json["items"].([]any); len(items) != 1 || at(t, items[0], "plan") != plan.json["plan"] || strings.Contains(list.body, "people\":[") {
			t.Error(list.body)
		}

		// The plan changed nothing; one of two people with access loses some of it, so a second
		// operator confirms.
		if got := h.must(422, "POST", root+"/policy/apply", operator, fmt.Sprintf(`{"plan":%q}`, plan.json["plan"])); !strings.Contains(got.body, "second operator") {
			t.Error(got.body)
		}
		h.must(200, "POST", id+"/confirm", h.named("erin@healthix.example"), "")
		if got := h.must(200, "GET", root+"/users/"+h.mercy.ID, operator, ""); at(t, got.json, "access", "role") != "practitioner" {
			t.Error(got.body)
		}
		applied := h.apply(operator, plan)
		if applied.json["state"] != lifecycle.PlanApplied || applied.json["version"] != 2.0 || applied.json["confirmedBy"] != "erin@healthix.example" {
			t.Error(applied.body)
		}
		got := h.must(200, "GET", root+"/users/"+h.mercy.ID, operator, "") // at once, whoever was decided again
		if permissions := fmt.Sprint(at(t, got.json, "access", "permissions")); strings.Contains(permissions, "clinical.sensitive") || !strings.Contains(permissions, "clinical.full") {
			t.Error(got.body)
		}
		h.carried(operator, plan)
		if got := h.must(200, "GET", root+"/users/"+h.mercy.ID, operator, ""); at(t, got.json, "access", "role") != "clinical-staff" || at(t, got.json, "access", "policyVersion") != 2.0 {
			t.Error(got.body)
		}
		versions := h.must(200, "GET", root+"/policy/versions", auditor, "")
		if items := versions.json["items"].([]any); len(items) != 2 || at(t, items[0], "plan") != nil || at(t, items[1], "plan") != plan.json["plan"] || at(t, items[1], "participant") != nil {
			t.Error(versions.body)
		}
		h.must(422, "POST", root+"/policy/apply", operator, fmt.Sprintf(`{"plan":%q}`, plan.json["plan"]))

		// Back: a plan like any other. Who gains back what they had passes its gates.
		back := h.must(200, "POST", root+"/policy/rollback", operator, `{"version":1}`)
		if back.json["state"] != lifecycle.PlanReady || back.json["origin"] != "rollback to version 1" || at(t, back.json, "summary", "gain") != 2.0 {
			t.Fatal(back.body)
		}
		h.apply(operator, back)
		h.carried(operator, back)
		if got := h.must(200, "GET", root+"/users/"+h.mercy.ID, operator, ""); at(t, got.json, "access", "role") != "practitioner" || at(t, got.json, "access", "policyVersion") != 3.0 {
			t.Error(got.body)
		}
		h.must(404, "POST", root+"/policy/rollback", operator, `{"version":17}`)
	})
}

// Emergency access, and losses of many, take two people.
func TestPlansThatTwoMustWant(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		h.working()
		dana, erin := h.named("dana@healthix.example"), h.named("erin@healthix.example")
		plan := h.plan(dana, "", nursesWithGlass(t))
		if confirm, _ := plan.json["confirm"].(string); !strings.Contains(confirm, "emergency access") || at(t, plan.json, "summary", "breakGlass") != 2.0 {
			t.Fatal(plan.body)
		}
		id, apply := plansPath+"/"+plan.json["plan"].(string), fmt.Sprintf(`{"plan":%q}`, plan.json["plan"])
		h.must(422, "POST", root+"/policy/apply", dana, apply)
		if got := h.must(422, "POST", id+"/confirm", dana, ""); !strings.Contains(got.body, "may not confirm") {
			t.Error(got.body)
		}
		h.must(403, "POST", id+"/confirm", h.token(auth.ScopeAuditor, ""), "")
		h.must(404, "POST", plansPath+"/b7c1/confirm", erin, "")
		if got := h.must(200, "POST", id+"/confirm", erin, ""); got.json["confirmedBy"] != "erin@healthix.example" {
			t.Error(got.body)
		}
		if got := h.must(200, "POST", root+"/policy/apply", dana, apply); got.json["state"] != lifecycle.PlanApplied {
			t.Error(got.body)
		}
	})
}

// What is not in force yet can be withdrawn, by an operator only.
func TestPlansAreWithdrawn(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		h.working()
		dana := h.named("dana@healthix.example")
		plan := h.plan(dana, "", nursesAsStaff(t))
		id := plansPath + "/" + plan.json["plan"].(string)
		h.must(403, "DELETE", id, h.token(auth.ScopeAuditor, ""), "")
		h.must(404, "DELETE", plansPath+"/b7c1", dana, "")
		h.must(204, "DELETE", id, dana, "")
		if got := h.must(200, "GET", id, dana, ""); got.json["state"] != lifecycle.PlanRefused || !strings.Contains(got.body, "withdrawn by dana@healthix.example") {
			t.Error(got.body)
		}
		h.must(422, "POST", root+"/policy/apply", dana, fmt.Sprintf(`{"plan":%q}`, plan.json["plan"]))
		applied := h.plan(dana, "", nursesAsStaff(t))
		h.apply(dana, applied)
		h.must(422, "DELETE", plansPath+"/"+applied.json["plan"].(string), dana, "")
	})
}

func TestPlansAreBoundToTheirBase(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		h.working()
		operator := h.token(auth.ScopeOperator, "")
		// Nobody has access yet: nothing ends, and one operator is enough.
		first := h.plan(operator, "", nursesAsStaff(t))
		second := h.plan(operator, "", defaultWith(t, "Medical Assistant,", "Medical Aide,"))
		h.apply(operator, first)
		got := h.must(412, "POST", root+"/policy/apply", operator, fmt.Sprintf(`{"plan":%q}`, second.json["plan"]))
		if !strings.Contains(got.body, "moved from version 1 to 2") {
			t.Error(got.body)
		}
	})
}

func TestPlansOfWrongDocuments(t *testing.T) {
	h := newHouse(t, nil)
	operator := h.token(auth.ScopeOperator, "")
	plan := root + "/policy/plan"
	for name, document := range map[string]string{
		"unknown role": defaultWith(t, "Registered Nurse,clinical practitioner,practitioner,", "Registered Nurse,clinical practitioner,practitionist,"),
		"unknown key":  string(policy.Default()) + "rolls: {}\n",
		"JSON":         `{"rolls":{}}`,
	} {
		media := "application/yaml"
		if name == "JSON" {
			media = "application/json"
		}
		got := h.must(400, "POST", plan, operator, document, "Content-Type", media)
		problems, _ := got.json["problems"].([]any)
		if len(problems) == 0 || at(t, problems[0], "line").(float64) < 1 || at(t, problems[0], "message") == "" || name == "unknown role" && at(t, problems[0], "key") != "titles" {
			t.Errorf("%s: %s", name, got.body)
		}
		if hint := map[string]string{"unknown role": "practitioner", "unknown key": "roles", "JSON": "roles"}[name]; !strings.Contains(got.body, hint) {
			t.Errorf("%s: no suggestion in %s", name, got.body)
		}
	}
	h.must(400, "POST", plan, operator, "")
	h.must(415, "POST", plan, operator, "a,b", "Content-Type", "text/csv")
	h.must(413, "POST", plan, operator, strings.Repeat("# padding\n", maxDocument/10+1), "Content-Type", "application/yaml")
	h.must(404, "POST", plan+"?participant=nobody", operator, "synonyms: {}\n", "Content-Type", "application/yaml")
	h.must(400, "POST", plan+"?participant=mercy", operator, "synonyms: {Ward Hero: Registered Nuse}\n", "Content-Type", "application/yaml")
	if left := h.must(200, "GET", plansPath, operator, ""); len(left.json["items"].([]any)) != 0 {
		t.Error(left.body)
	}
	h.must(400, "POST", root+"/policy/apply", operator, `{}`)
	h.must(404, "POST", root+"/policy/apply", operator, `{"plan":"none"}`)
	h.must(400, "POST", root+"/policy/apply", operator, `{"plan":"none","at":"tomorrow"}`)
}

// A plan that takes long is answered as it stands, and says where to look.
func TestPlansThatTakeLong(t *testing.T) {
	h := newHouse(t, func(o *Options) { o.PlanPatience = 50 * time.Millisecond }) // nobody works
	operator := h.token(auth.ScopeOperator, "")
	plan := h.must(202, "POST", root+"/policy/plan", operator, nursesAsStaff(t), "Content-Type", "text/yaml; charset=utf-8")
	id := plan.json["plan"].(string)
	if plan.header.Get("Location") != "http://house.example"+plansPath+"/"+id || plan.json["state"] != lifecycle.PlanComputing || plan.json["summary"] != nil {
		t.Error(plan.header, plan.body)
	}
	h.must(503, "GET", plansPath+"/"+id+"?format=csv", operator, "")
	h.must(422, "POST", plansPath+"/"+id+"/confirm", operator, "")
	h.must(422, "POST", root+"/policy/apply", operator, fmt.Sprintf(`{"plan":%q}`, id))
	if _, err := h.service.ComputePlan(t.Context(), id, nil); err != nil {
		t.Fatal(err)
	}
	if got := h.must(200, "GET", plansPath+"/"+id, operator, ""); got.json["state"] != lifecycle.PlanReady || at(t, got.json, "summary", "lose") != 2.0 {
		t.Error(got.body)
	}
	apply := h.must(202, "POST", root+"/policy/apply", operator, fmt.Sprintf(`{"plan":%q}`, id))
	if apply.header.Get("Location") != "http://house.example"+plansPath+"/"+id || apply.json["state"] != lifecycle.PlanApplying {
		t.Error(apply.header, apply.body)
	}
	if _, err := h.service.PutInForce(t.Context(), id, nil); err != nil {
		t.Fatal(err)
	}
	if got := h.must(200, "GET", plansPath+"/"+id, operator, ""); got.json["state"] != lifecycle.PlanApplied {
		t.Error(got.body)
	}
}

func TestScheduledPlans(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		h.working()
		operator := h.token(auth.ScopeOperator, "")
		plan := h.plan(operator, "", nursesAsStaff(t))
		id := plan.json["plan"].(string)
		body := func(at time.Time) string {
			return fmt.Sprintf(`{"plan":%q,"at":%q}`, id, at.UTC().Format(time.RFC3339Nano))
		}
		h.must(400, "POST", root+"/policy/apply", operator, body(h.service.Now().Add(-time.Hour)))
		h.must(400, "POST", root+"/policy/apply", operator, body(h.service.Now().AddDate(2, 0, 0)))
		later := h.must(202, "POST", root+"/policy/apply", operator, body(h.service.Now().Add(time.Hour)))
		if later.json["state"] != lifecycle.PlanScheduled || later.json["at"] == nil || !strings.HasSuffix(later.header.Get("Location"), id) {
			t.Error(later.header, later.body)
		}
		h.must(202, "POST", root+"/policy/apply", operator, body(h.service.Now().Add(time.Second))) // moved forward
		h.carried(operator, plan)
		if got := h.must(200, "GET", root+"/policy", operator, ""); got.json["version"] != 2.0 {
			t.Error(got.body)
		}
	})
}

// An overlay is planned and applied like everything else, and holds at its
// participant only.
func TestOverlays(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		h.working()
		operator := h.token(auth.ScopeOperator, "")
		mercy, general := h.token(auth.ScopeAUM, "mercy"), h.token(auth.ScopeAUM, "general")
		hero, other := h.person("mercy", "Bo", "Reyes", "Ward Hero"), h.person("general", "Cy", "Voss", "Ward Hero")
		h.must(404, "GET", root+"/policy?participant=mercy", mercy, "")
		const overlay = "synonyms:\n  Ward Hero: Medical Assistant\nroles:\n  Registered Nurse: clinical-staff\n"
		plan := h.plan(operator, "?participant=mercy", overlay)
		if plan.json["participant"] != "mercy" || at(t, plan.json, "summary", "gain") != 1.0 || at(t, plan.json, "summary", "lose") != 1.0 || strings.Contains(plan.body, "general") {
			t.Fatal(plan.body)
		}
		h.apply(operator, plan)
		h.carried(operator, plan)
		for user, role := range map[string]any{hero.ID: "clinical-staff", other.ID: nil, h.mercy.ID: "clinical-staff", h.general.ID: "practitioner"} {
			if got := h.must(200, "GET", root+"/users/"+user, operator, ""); at(t, got.json, "access", "requestedRole") != role {
				t.Errorf("%s: %s", role, got.body)
			}
		}
		if got := h.must(200, "GET", root+"/policy?participant=mercy", mercy, "", "Accept", "application/yaml"); got.body != overlay {
			t.Error(got.body)
		}
		if got := h.must(200, "GET", root+"/policy?participant=mercy", operator, ""); got.json["version"] != 2.0 || got.json["participant"] != "mercy" || got.json["policyVersion"] != 2.0 {
			t.Error(got.body)
		}
		if got := h.must(200, "GET", root+"/policy", general, ""); got.json["version"] != 1.0 || got.json["policyVersion"] != 2.0 {
			t.Error(got.body)
		}
		h.must(404, "GET", root+"/policy?participant=mercy", general, "")
		h.must(404, "GET", root+"/policy?participant=general", general, "")
		for token, role := range map[string]any{mercy: "clinical-staff", general: nil} {
			if got := h.must(200, "POST", root+"/policy/explain", token, `{"title":"Ward Hero"}`); got.json["role"] != role {
				t.Errorf("%v: %s", role, got.body)
			}
		}
		// Who is bound to a participant sees its own overlay's plans and versions only.
		bound, foreign := h.token(auth.ScopeAuditor, "mercy"), h.token(auth.ScopeAuditor, "general")
		id := plansPath + "/" + plan.json["plan"].(string)
		h.must(200, "GET", id, bound, "")
		h.must(404, "GET", id, foreign, "")
		for token, want := range map[string]int{bound: 2, foreign: 1} {
			if got := h.must(200, "GET", root+"/policy/versions", token, ""); len(got.json["items"].([]any)) != want {
				t.Errorf("%d: %s", want, got.body)
			}
			if got := h.must(200, "GET", plansPath, token, ""); len(got.json["items"].([]any)) != want-1 {
				t.Errorf("%d: %s", want-1, got.body)
			}
		}
	})
}

// Everybody whom a plan touches, page by page and as CSV.
func TestPeopleOfPlans(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		h.working()
		operator, auditor := h.token(auth.ScopeOperator, ""), h.token(auth.ScopeAuditor, "")
		const more = 150
		for i := range more {
			h.person("mercy", fmt.Sprintf("=Bo%d", i), "Reyes", "Registered Nurse") // a formula to a spreadsheet
		}
		plan := h.plan(operator, "", nursesAsStaff(t))
		if len(plan.json["people"].([]any)) != firstPage || plan.json["nextCursor"] == nil {
			t.Fatalf("%d people", len(plan.json["people"].([]any)))
		}
		gone := at(t, plan.json["people"].([]any)[0], "id").(string)
		if gone == h.mercy.ID || gone == h.general.ID {
			gone = at(t, plan.json["people"].([]any)[2], "id").(string)
		}
		if err := h.service.DeleteUser(t.Context(), lifecycle.Actor{Kind: "provider", Participant: "mercy"}, gone, nil); err != nil {
			t.Fatal(err)
		}
		id := plansPath + "/" + plan.json["plan"].(string)
		seen := map[string]bool{}
		for next := id + "?limit=60"; next != ""; {
			got := h.must(200, "GET", next, auditor, "")
			for _, p := range got.json["people"].([]any) {
				seen[at(t, p, "id").(string)] = true
				if nameless := at(t, p, "userName") == nil; nameless != (at(t, p, "id") == gone) {
					t.Errorf("%v", p)
				}
			}
			cursor, more := got.json["nextCursor"].(string)
			if next = ""; more {
				next = id + "?limit=60&cursor=" + url.QueryEscape(cursor)
				h.must(400, "GET", next+"&class=gain", auditor, "") // another query
			}
		}
		if len(seen) != more+2 {
			t.Errorf("%d people, want %d", len(seen), more+2)
		}
		for _, ask := range [][]string{{"?format=csv"}, {"", "Accept", "text/csv"}} {
			reads := len(h.reads())
			got := h.must(200, "GET", id+ask[0], auditor, "", ask[1:]...)
			lines, err := csv.NewReader(strings.NewReader(got.body)).ReadAll()
			if err != nil || got.header.Get("Content-Type") != csvType {
				t.Fatalf("%v %v", got.header, err)
			}
			if strings.Join(lines[0][:5], ",") != "participant,id,userName,title,class" || len(lines) != more+3 {
				t.Errorf("%d lines, the first is %v", len(lines), lines[0])
			}
			for _, line := range lines[1:] {
				if line[2] != "" && !strings.HasPrefix(line[2], "'=bo") && line[0] == "mercy" && line[1] != h.mercy.ID {
					t.Errorf("a formula came through: %v", line)
				}
			}
			now := h.reads()
			if len(now) != reads+1 || !strings.Contains(string(now[reads].Canonical), fmt.Sprint(more+2)) {
				t.Errorf("the read is on record as %s", now[len(now)-1].Canonical)
			}
		}
		if got := h.must(200, "GET", id+"?format=csv&participant=general", auditor, ""); strings.Count(got.body, "\n") != 2 {
			t.Error(got.body)
		}
		if got := h.must(http.StatusOK, "HEAD", id+"?format=csv", auditor, ""); got.body != "" {
			t.Error(got.body)
		}
		h.must(400, "GET", id+"?format=csv&limit=5", auditor, "")
		h.must(400, "GET", id+"?format=xlsx", auditor, "")
		h.must(400, "GET", id+"?class=lost", auditor, "")
		h.must(403, "GET", id, h.token(auth.ScopeAUM, "mercy"), "")
	})
}

func TestPlansAreCounted(t *testing.T) {
	now := time.Date(2026, 3, 2, 15, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	got := countPlans([]storage.Plan{
		{State: lifecycle.PlanReady, Changed: *ago(48 * time.Hour)},
		{State: lifecycle.PlanScheduled, Changed: *ago(48 * time.Hour), At: ago(-time.Hour)},
		{State: lifecycle.PlanScheduled, Changed: *ago(48 * time.Hour), At: ago(time.Hour)},
		{State: lifecycle.PlanApplying, Changed: *ago(time.Hour), HeldUntil: ago(-time.Second)},
		{State: lifecycle.PlanApplied, Changed: *ago(time.Hour), Carried: ago(time.Minute)},
		{State: lifecycle.PlanApplied, Changed: *ago(time.Hour)},
		{State: lifecycle.PlanRefused, Changed: *ago(time.Hour), AppliedBy: "dana"},
		{State: lifecycle.PlanRefused, Changed: *ago(8 * 24 * time.Hour), AppliedBy: "dana"},
		{State: lifecycle.PlanRefused, Changed: *ago(time.Hour)},
	}, now)
	for state, want := range map[string]int{"computing": 0, "ready": 1, "scheduled": 2, "applying": 1, "carrying": 1, "overdue": 2, "refused": 1} {
		if got[state] != want {
			t.Errorf("%s: %d, want %d", state, got[state], want)
		}
	}
	if len(got) != 7 {
		t.Errorf("%v", got)
	}
}
