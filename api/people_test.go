package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
)

// at walks into an answer.
func at(t *testing.T, v any, path ...string) any {
	t.Helper()
	for _, name := range path {
		object, ok := v.(map[string]any)
		if !ok {
			t.Fatalf("no %s in %v", name, v)
		}
		v = object[name]
	}
	return v
}

// released is Ana with every gate open, and her activation code.
func (h *house) released() (code string) {
	h.t.Helper()
	h.train(h.mercy)
	links, err := h.store.ListActivations(h.t.Context(), h.mercy.ID)
	if err != nil || len(links) == 0 {
		h.t.Fatalf("no activation link: %v %v", links, err)
	}
	return h.service.ActivationCode(links[0].ID)
}

func TestFromTrainingToAccessToDeactivation(t *testing.T) {
	h := newHouse(t, nil)
	operator, aum, portal := h.token(auth.ScopeOperator, ""), h.token(auth.ScopeAUM, "mercy"), h.token(auth.ScopePortal, "")
	user := root + "/users/" + h.mercy.ID

	waiting := h.must(200, "GET", root+"/users?status=pending&gate=training&q=LIMA", aum, "")
	if len(waiting.json["items"].([]any)) != 1 || waiting.json["total"] != 1.0 || waiting.json["nextCursor"] != nil {
		t.Fatal(waiting.body)
	}
	var module string
	for _, gate := range at(t, h.must(200, "GET", user, aum, "").json, "access", "gates").([]any) {
		if missing, ok := at(t, gate, "missing").([]any); ok {
			module = missing[0].(string)
			for _, m := range missing {
				body := fmt.Sprintf(`{"gate":"training","module":%q,"completedAt":"%s","source":"webinar","note":"seen"}`, m, h.service.Now().Format("2006-01-02T15:04:05Z07:00"))
				made := h.must(201, "POST", user+"/evidence", operator, body)
				if made.json["id"] == "" || made.json["note"] != "seen" {
					t.Error(made.body)
				}
			}
		}
	}
	seen := h.must(200, "GET", user, aum, "")
	if at(t, seen.json, "access", "status") != "released" || at(t, seen.json, "access", "activation") != "sent" {
		t.Fatal(seen.body)
	}
	username := at(t, seen.json, "access", "username").(string)
	if evidence := h.must(200, "GET", user+"/evidence", aum, ""); !strings.Contains(evidence.body, module) || strings.Contains(evidence.body, "note") {
		t.Errorf("a manager's evidence: %s", evidence.body)
	}

	links, err := h.store.ListActivations(t.Context(), h.mercy.ID)
	if err != nil {
		t.Fatal(err)
	}
	body := fmt.Sprintf(`{"code":%q}`, h.service.ActivationCode(links[0].ID))
	redeemed := h.must(200, "POST", root+"/activations/redeem", portal, body, "Idempotency-Key", "k1")
	if redeemed.json["username"] != username || redeemed.json["id"] != h.mercy.ID || redeemed.json["email"] != "ana.lima@mercy.example" {
		t.Error(redeemed.body)
	}
	if again := h.must(200, "POST", root+"/activations/redeem", portal, body, "Idempotency-Key", "k1"); again.body != redeemed.body {
		t.Error(again.body)
	}
	if other := h.ask("POST", root+"/activations/redeem", portal, body, "Idempotency-Key", "k2"); other.status < 400 || other.status >= 500 {
		t.Errorf("a used code: %d %s", other.status, other.body)
	}
	byName := h.must(200, "GET", root+"/access/"+username, portal, "")
	if byName.json["status"] != "released" || len(byName.json["permissions"].([]any)) == 0 {
		t.Error(byName.body)
	}
	for _, query := range []string{"userName=Ana.LIMA", "externalId=mercy-ana.lima"} {
		if got := h.must(200, "GET", root+"/access?participant=mercy&"+query, portal, ""); got.body != byName.body {
			t.Errorf("%s: %s", query, got.body)
		}
	}
	h.must(200, "PUT", user+"/clinical-alerts", aum, `{"value":"alerts"}`)

	identity := `{"givenName":"Ana","familyName":"Lima","email":"ana.lima@mercy.example","username":%q}`
	h.must(422, "POST", user+"/deactivate", aum, fmt.Sprintf(identity, "wrong123"))
	if gone := h.must(200, "POST", user+"/deactivate", aum, fmt.Sprintf(identity, username)); at(t, gone.json, "access", "status") != "revoked" {
		t.Error(gone.body)
	}
	if got := h.must(200, "GET", root+"/access/"+username, portal, ""); got.json["status"] != "revoked" || len(got.json["permissions"].([]any)) != 0 {
		t.Error(got.body)
	}
	timeline := h.must(200, "GET", user+"/timeline", aum, "")
	if first := timeline.json["items"].([]any)[0]; at(t, first, "action") == "" || at(t, first, "actor", "kind") != "provider" || at(t, first, "sentence") == "" {
		t.Error(timeline.body)
	}
}

func TestStaffTextsStayWithStaff(t *testing.T) {
	h := newHouse(t, nil)
	h.released()
	operator, auditor, aum := h.token(auth.ScopeOperator, ""), h.token(auth.ScopeAuditor, ""), h.token(auth.ScopeAUM, "mercy")
	user := root + "/users/" + h.mercy.ID
	const secret = "suspected of snooping"
	hold := h.must(201, "POST", user+"/holds", operator, `{"reason":"`+secret+`"}`)
	h.must(200, "POST", root+"/participants/mercy/suspend", operator, `{"reason":"`+secret+`"}`)

	for _, path := range []string{user, root + "/users", user + "/holds", root + "/participants/mercy"} {
		for _, token := range []string{operator, auditor} {
			if got := h.must(200, "GET", path, token, ""); !strings.Contains(got.body, secret) {
				t.Errorf("staff do not see the reason at %s: %s", path, got.body)
			}
		}
	}
	for _, path := range []string{"/users", "/users/{id}", "/users/{id}/decision", "/users/{id}/timeline", "/users/{id}/evidence", "/participants", "/participants/mercy"} {
		if got := h.must(200, "GET", root+strings.ReplaceAll(path, "{id}", h.mercy.ID), aum, ""); strings.Contains(got.body, secret) {
			t.Errorf("a manager sees the staff's reason at %s: %s", path, got.body)
		}
	}
	h.must(403, "GET", user+"/holds", aum, "")
	h.must(204, "DELETE", user+"/holds/"+hold.json["id"].(string), operator, "")
	h.must(200, "POST", root+"/participants/mercy/resume", operator, "")
	if got := h.must(200, "GET", user, aum, ""); at(t, got.json, "access", "status") != "released" {
		t.Error(got.body)
	}
}

func TestApprovalCarriesTheVersion(t *testing.T) {
	h := newHouse(t, nil)
	operator := h.token(auth.ScopeOperator, "")
	physician := h.person("mercy", "Edda", "Roth", "Emergency Physician")
	user := root + "/users/" + physician.ID
	version := h.must(200, "GET", user, operator, "").json["version"].(float64)
	h.must(412, "POST", user+"/approvals", operator, fmt.Sprintf(`{"decision":"approve","reason":"ED","ifVersion":%v}`, version+1))
	got := h.must(200, "POST", user+"/approvals", operator, fmt.Sprintf(`{"decision":"approve","reason":"ED","ifVersion":%v}`, version))
	for _, gate := range at(t, got.json, "access", "gates").([]any) {
		if at(t, gate, "gate") == "approval" && at(t, gate, "open") != true {
			t.Error(got.body)
		}
	}
}

func TestPages(t *testing.T) {
	h := newHouse(t, nil)
	aum := h.token(auth.ScopeAUM, "mercy")
	for i := range 6 {
		h.person("mercy", "Bo", fmt.Sprintf("Reyes%d", i), "Registered Nurse")
	}
	seen := map[string]bool{}
	path, pages := root+"/users?limit=3", 0
	for next := path; next != ""; pages++ {
		got := h.must(200, "GET", next, aum, "")
		if got.json["total"] != 7.0 {
			t.Errorf("total %v", got.json["total"])
		}
		for _, item := range got.json["items"].([]any) {
			seen[at(t, item, "id").(string)] = true
		}
		cursor, more := got.json["nextCursor"].(string)
		next = ""
		if more {
			next = path + "&cursor=" + url.QueryEscape(cursor)
			h.must(400, "GET", next+"&status=pending", aum, "")
			h.must(400, "GET", root+"/users?cursor="+url.QueryEscape(cursor), h.token(auth.ScopeAUM, "general"), "")
		}
	}
	if len(seen) != 7 || pages != 3 {
		t.Errorf("%d users on %d pages, want 7 on 3", len(seen), pages)
	}
}

func TestStaffReadsAreRecorded(t *testing.T) {
	h := newHouse(t, nil)
	aum, operator := h.token(auth.ScopeAUM, "mercy"), h.token(auth.ScopeOperator, "")
	user := root + "/users/" + h.mercy.ID
	for i, path := range []string{root + "/users?q=lima", user, user + "/decision", user + "/timeline", user + "/evidence"} {
		h.must(200, "GET", path, aum, "")
		reads := h.reads()
		if len(reads) != i+1 {
			t.Fatalf("%s: %d reads on record, want %d", path, len(reads), i+1)
		}
		entry := string(reads[i].Canonical)
		if !strings.Contains(entry, `"aum@healthix.example"`) || strings.Contains(entry, "lima") {
			t.Errorf("entry of %s: %s", path, entry)
		}
	}
	h.must(404, "GET", root+"/users/"+h.general.ID, aum, "")
	if len(h.reads()) != 6 {
		t.Error("a read that finds nothing is a read")
	}
	h.must(400, "GET", root+"/users?limit=x", aum, "")
	h.must(200, "GET", root+"/participants", operator, "")
	if len(h.reads()) != 6 {
		t.Error("reads of nobody are on record")
	}
}

func TestPolicyAndTitles(t *testing.T) {
	h := newHouse(t, nil)
	operator, aum := h.token(auth.ScopeOperator, ""), h.token(auth.ScopeAUM, "mercy")
	h.person("mercy", "Cy", "Voss", "Regstered Nurse")
	waiting := h.must(200, "GET", root+"/titles/unmapped", operator, "")
	items := waiting.json["items"].([]any)
	if len(items) != 1 || at(t, items[0], "title") != "Regstered Nurse" || at(t, items[0], "people") != 1.0 || len(at(t, items[0], "suggestions").([]any)) == 0 {
		t.Error(waiting.body)
	}
	for title, role := range map[string]bool{"Registered Nurse": true, "Chief Vibes Officer": false} {
		got := h.must(200, "POST", root+"/policy/explain", aum, fmt.Sprintf(`{"title":%q}`, title))
		if (got.json["role"] != nil) != role || got.json["policyVersion"] != 1.0 || got.json["reason"] == "" || at(t, got.json, "title", "raw") != title {
			t.Error(got.body)
		}
	}
	short := h.must(200, "GET", root+"/policy", aum, "")
	if short.json["version"] != 1.0 || len(short.json["roles"].([]any)) < 3 {
		t.Error(short.body)
	}
	document := h.must(200, "GET", root+"/policy", aum, "", "Accept", "application/yaml")
	if document.header.Get("Content-Type") != "application/yaml" || !strings.Contains(document.body, "titles: |") {
		t.Errorf("%v %.200s", document.header, document.body)
	}
	if kept := h.must(200, "GET", root+"/policy/versions", operator, ""); len(kept.json["items"].([]any)) != 1 {
		t.Error(kept.body)
	}
	jobs := h.must(200, "GET", root+"/jobs", operator, "")
	if items := jobs.json["items"].([]any); len(items) > 0 {
		h.must(204, "POST", root+fmt.Sprintf("/jobs/%v/retry", at(t, items[0], "id")), operator, "")
	}
}

func TestParticipants(t *testing.T) {
	h := newHouse(t, nil)
	operator := h.token(auth.ScopeOperator, "")
	made := h.must(201, "POST", root+"/participants", operator, `{"id":"lakeside","name":"Lakeside","type":"cbo","mode":"observe","settings":{"sso":true,"contacts":["it@lakeside.example"]}}`)
	if made.header.Get("Location") != "http://house.example/api/v1/participants/lakeside" || made.json["mode"] != "observe" || at(t, made.json, "settings", "sso") != true {
		t.Error(made.header, made.body)
	}
	path := root + "/participants/lakeside"
	changed := h.must(200, "PATCH", path, operator, `{"name":"Lakeside Care","settings":{"profile":"strict"}}`)
	if changed.json["name"] != "Lakeside Care" || at(t, changed.json, "settings", "profile") != "strict" || at(t, changed.json, "settings", "sso") != true {
		t.Error(changed.body)
	}
	h.must(400, "PATCH", path, operator, `{"mode":"live"}`)
	if live := h.must(200, "POST", path+"/live", operator, ""); live.json["mode"] != "live" {
		t.Error(live.body)
	}
	if closed := h.must(200, "POST", path+"/suspend", operator, `{"reason":"audit"}`); closed.json["status"] != "suspended" || closed.json["reason"] != "audit" {
		t.Error(closed.body)
	}
	if open := h.must(200, "POST", path+"/resume", operator, ""); open.json["status"] != "active" {
		t.Error(open.body)
	}
}

func TestStandInPage(t *testing.T) {
	h := newHouse(t, nil)
	code := h.released()
	page := h.must(200, "GET", standInPath+"?code="+url.QueryEscape(code), "", "")
	if !strings.Contains(page.body, "Stand-in page.") || !strings.Contains(page.body, code) || !strings.Contains(page.body, "<button") {
		t.Fatal(page.body)
	}
	if csp := page.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'; form-action 'self'") || page.header.Get("Cache-Control") != "no-store" {
		t.Error(page.header)
	}
	if got := h.must(200, "GET", standInPath+"?code="+url.QueryEscape(`"><script>`), "", ""); strings.Contains(got.body, "<script>") {
		t.Error(got.body)
	}
	_, rest, _ := strings.Cut(page.body, `name="key" value="`)
	key, _, _ := strings.Cut(rest, `"`)
	form := url.Values{"code": {code}, "key": {key}}.Encode()
	post := func(form string) answer {
		return h.ask("POST", standInPath, "", form, "Content-Type", "application/x-www-form-urlencoded")
	}
	user, err := h.store.GetUser(t.Context(), "mercy", h.mercy.ID)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // pressed twice
		if got := post(form); got.status != http.StatusOK || !strings.Contains(got.body, user.HealthixUsername) {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	for name, form := range map[string]string{"used": url.Values{"code": {code}, "key": {"another"}}.Encode(), "unknown": "code=abc", "none": ""} {
		if got := post(form); got.status < 400 || got.status >= 500 || strings.Contains(got.body, user.HealthixUsername) || !strings.Contains(got.body, `role="alert"`) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	limited := false
	for range personRedeemRate.Burst + 1 {
		limited = limited || post("code=abc").status == http.StatusTooManyRequests
	}
	if !limited {
		t.Error("nobody stops who tries codes")
	}
}

// TestWhoLeftIsStillAskedAbout: staff read deleted people and what their
// participant's closing did to them; their own manager does not.
func TestWhoLeftIsStillAskedAbout(t *testing.T) {
	h := newHouse(t, nil)
	operator, aum := h.token(auth.ScopeOperator, ""), h.token(auth.ScopeAUM, "mercy")
	user := root + "/users/" + h.mercy.ID
	h.must(200, "POST", root+"/participants/mercy/suspend", operator, `{"reason":"audit"}`)
	h.must(200, "POST", root+"/participants/mercy/resume", operator, "")
	if err := h.service.DeleteUser(t.Context(), lifecycle.Actor{Kind: "provider", Participant: "mercy"}, h.mercy.ID, nil); err != nil {
		t.Fatal(err)
	}
	if got := h.must(200, "GET", user, operator, ""); got.json["deleted"] == nil || at(t, got.json, "access", "status") != "revoked" {
		t.Error(got.body)
	}
	actions := []string{}
	for _, item := range h.must(200, "GET", user+"/timeline", operator, "").json["items"].([]any) {
		actions = append(actions, at(t, item, "action").(string))
	}
	for _, want := range []string{"user.created", "participant.suspended", "participant.resumed", "user.deleted", "access.revoked"} {
		if !slices.Contains(actions, want) {
			t.Errorf("%s is not in the timeline %v", want, actions)
		}
	}
	h.must(404, "GET", user, aum, "")
	h.must(404, "GET", user+"/timeline", aum, "")
	h.must(404, "GET", user, h.token(auth.ScopeAuditor, "general"), "")
	h.must(404, "POST", user+"/holds", operator, `{"reason":"late"}`)
}
