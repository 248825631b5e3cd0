package api

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/storage"
)

// changesIn are the changes of a timeline's newest entry of an action.
func changesIn(t *testing.T, timeline answer, action string) map[string]map[string]any {
	t.Helper()
	var found map[string]map[string]any
	for _, item := range timeline.json["items"].([]any) {
		entry := item.(map[string]any)
		if entry["action"] != action {
			continue
		}
		found = map[string]map[string]any{}
		for _, change := range entry["changes"].([]any) {
			c := change.(map[string]any)
			found[c["field"].(string)] = c
		}
	}
	if found == nil {
		t.Fatalf("no %s in %s", action, timeline.body)
	}
	return found
}

func TestTimeline(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		operator, aum := h.token(auth.ScopeOperator, ""), h.token(auth.ScopeAUM, "mercy")
		h.tell(operator)
		h.train(h.general)
		path := root + "/users/" + h.mercy.ID + "/timeline"
		line := h.must(200, "GET", path, operator, "")
		expect := func(line answer, action, field string, before, after any) {
			t.Helper()
			if c := changesIn(t, line, action)[field]; c == nil || c["before"] != before || c["after"] != after {
				t.Errorf("%s, %s: %v; want %v → %v", action, field, c, before, after)
			}
		}
		expect(line, "user.created", "title", nil, "Registered Nurse")
		expect(line, "user.created", "email", nil, "ana.lima@mercy.example")
		expect(line, "user.changed", "title", "Registered Nurse", "Chief Vibes Officer")
		expect(line, "participant.suspended", "status", "released", "suspended")
		expect(line, "participant.resumed", "status", "suspended", "released")
		expect(line, "access.revoked", "status", "suspended", "revoked")
		if c := changesIn(t, line, "user.deleted")["deleted"]; c == nil || c["before"] != nil || c["after"] == nil {
			t.Errorf("a deletion: %v", c)
		}
		if c := changesIn(t, line, "user.changed"); c["status"] != nil || c["email"] != nil || len(c) != 1 {
			t.Errorf("what a title's change changed: %v", c)
		}
		if c := changesIn(t, line, "access.suspended"); c["status"] == nil || c["title"] != nil {
			t.Errorf("what it did to access: %v", c)
		}
		var changed map[string]any
		for _, item := range line.json["items"].([]any) {
			if entry := item.(map[string]any); entry["action"] == "user.changed" {
				changed = entry
			}
		}
		if at(t, changed, "actor", "token") != "mercy's" || at(t, changed, "actor", "label") != "entra" || changed["source"] != "192.0.2.7" ||
			changed["request"] != "req-1" || changed["version"] == nil || changed["policyVersion"] != 1.0 || changed["sentence"] == "" {
			t.Errorf("the entry: %v", changed)
		}
		if !strings.Contains(line.body, "under review by compliance") || !strings.Contains(line.body, `"module"`) {
			t.Errorf("fields of holds and evidence are not shown: %s", line.body)
		}

		// The outward half only, and of who is still there.
		h.must(404, "GET", path, aum, "")
		own := h.person("mercy", "Bo", "Reyes", "Registered Nurse")
		if _, err := h.service.Hold(t.Context(), testOperator, own.ID, "under review by compliance"); err != nil {
			t.Fatal(err)
		}
		outward := h.must(200, "GET", root+"/users/"+own.ID+"/timeline", aum, "")
		if strings.Contains(outward.body, "compliance") || strings.Contains(outward.body, "dana@") || strings.Contains(outward.body, `"fields"`) {
			t.Errorf("a manager reads %s", outward.body)
		}
		expect(outward, "user.created", "title", nil, "Registered Nurse")

		// What was erased is said to be.
		if err := h.store.Write(t.Context(), func(ctx context.Context, tx storage.Tx) error { return tx.EraseUser(ctx, h.mercy.ID) }); err != nil {
			t.Fatal(err)
		}
		line = h.must(200, "GET", path, operator, "")
		if strings.Contains(line.body, "ana.lima") || strings.Contains(line.body, "compliance") || strings.Contains(line.body, "Lima") {
			t.Errorf("erased, and shown: %s", line.body)
		}
		if c := changesIn(t, line, "user.created"); c["email"] == nil || c["email"]["erased"] != true || c["email"]["after"] != nil {
			t.Errorf("an erased value is shown as %v", c["email"])
		}
		expect(line, "user.changed", "title", "Registered Nurse", "Chief Vibes Officer")
		if got := h.must(200, "GET", root+"/users/"+h.mercy.ID+"?"+asOf(h.mercy.Created), operator, ""); got.json["erased"] != true || got.json["title"] != "Registered Nurse" {
			t.Errorf("as they were, erased: %s", got.body)
		}
	})
}

func TestEvents(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		operator, auditor := h.token(auth.ScopeOperator, ""), h.token(auth.ScopeAuditor, "mercy")
		start := h.instant()
		h.tell(operator)
		events := func(token, query string) []map[string]any {
			t.Helper()
			found, cursor := []map[string]any{}, ""
			for {
				page := h.must(200, "GET", root+"/audit/events?limit=3&"+query+"&cursor="+cursor, token, "")
				for _, item := range page.json["items"].([]any) {
					found = append(found, item.(map[string]any))
				}
				if page.json["nextCursor"] == nil {
					return found
				}
				cursor = page.json["nextCursor"].(string)
			}
		}
		all := events(operator, "action=user.changed")
		if len(all) != 1 || all[0]["participant"] != "mercy" || all[0]["user"] != h.mercy.ID || at(t, all[0], "actor", "label") != "entra" || all[0]["request"] != "req-1" ||
			all[0]["source"] != "192.0.2.7" || all[0]["position"] != nil || len(all[0]["history"].([]any)) != 1 || len(all[0]["hash"].(string)) != 64 {
			t.Errorf("events: %v", all)
		}
		created := events(operator, "action=user.created&user="+h.mercy.ID)
		if len(created) != 1 {
			t.Fatalf("%d events of a creation", len(created))
		}
		values := map[string]map[string]any{}
		for _, f := range created[0]["fields"].([]any) {
			values[f.(map[string]any)["name"].(string)] = f.(map[string]any)
		}
		if values["email"]["value"] != "ana.lima@mercy.example" || values["email"]["digest"] == nil || values["title"]["value"] != "Registered Nurse" || values["title"]["digest"] != nil {
			t.Errorf("fields: %v", values)
		}
		// To a bound auditor there is one participant.
		for _, e := range events(auditor, "") {
			if e["participant"] != "mercy" {
				t.Errorf("an auditor of mercy sees %v", e)
			}
		}
		if n := len(events(auditor, "user="+h.general.ID)); n != 0 {
			t.Errorf("%d events of another participant's user", n)
		}
		h.must(404, "GET", root+"/audit/events?participant=general", auditor, "")
		h.must(403, "GET", root+"/audit/events", h.token(auth.ScopeAUM, "mercy"), "")
		// From is included, to is not.
		var first time.Time
		for _, e := range events(operator, "action=hold.placed") {
			var err error
			if first, err = time.Parse(time.RFC3339Nano, e["at"].(string)); err != nil {
				t.Fatal(err)
			}
		}
		stamp := func(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }
		for query, want := range map[string]int{
			"from=" + stamp(first): 1, "from=" + stamp(first.Add(time.Microsecond)): 0, "to=" + stamp(first): 0, "to=" + stamp(first.Add(time.Microsecond)): 1,
			"from=" + stamp(start) + "&actor=dana@healthix.example": 1, "actor=nobody": 0, "participant=general": 0, "participant=mercy": 1,
		} {
			if got := events(operator, "action=hold.placed&"+query); len(got) != want {
				t.Errorf("%s: %d events, want %d", query, len(got), want)
			}
		}
		// Erased values are said to be; what stands in the log has its place.
		if err := h.store.Write(t.Context(), func(ctx context.Context, tx storage.Tx) error {
			if err := tx.PutPositions(ctx, []storage.LogPosition{{Position: 41, Entry: created[0]["id"].(string), Participant: "mercy", Number: 7}}); err != nil {
				return err
			}
			return tx.EraseUser(ctx, h.mercy.ID)
		}); err != nil {
			t.Fatal(err)
		}
		erased := events(operator, "action=user.created&user="+h.mercy.ID)[0]
		if strings.Contains(fmt.Sprint(erased), "ana.lima") || erased["position"] != 41.0 || erased["number"] != 7.0 {
			t.Errorf("erased: %v", erased)
		}
		for _, f := range erased["fields"].([]any) {
			if f := f.(map[string]any); f["name"] == "email" && (f["erased"] != true || f["value"] != nil || f["digest"] != values["email"]["digest"]) {
				t.Errorf("the erased address is shown as %v", f)
			}
		}
	})
}

// TestAuditorsTokensEnd: an audit has an end.
func TestAuditorsTokensEnd(t *testing.T) {
	h := newHouse(t, nil)
	operator := h.token(auth.ScopeOperator, "")
	body := func(ttl string) string {
		return `{"scope":"auditor","subject":"ann@audit.example","ttl":"` + ttl + `"}`
	}
	h.must(201, "POST", root+"/tokens", operator, body("2160h"))
	if got := h.must(400, "POST", root+"/tokens", operator, body("2161h")); got.json["attribute"] != "ttl" || !strings.Contains(got.body, "2160h") {
		t.Error(got.body)
	}
}

// A restore of the database closes access for everybody, and it opens again: both
// stand in everybody's timeline, with what they did to access.
func TestTimelineHasTheRestoreOfTheDatabase(t *testing.T) {
	h := newHouse(t, nil)
	h.released()
	staff := h.token(auth.ScopeAuditor, "")
	h.pass(time.Second)
	if _, err := h.service.Recover(t.Context(), operator, "the disk died", true); err != nil {
		t.Fatal(err)
	}
	h.pass(time.Second)
	if _, err := h.service.ResumeParticipant(t.Context(), operator, "mercy"); err != nil {
		t.Fatal(err)
	}
	h.pass(time.Second)
	timeline := h.must(200, "GET", root+"/users/"+h.mercy.ID+"/timeline", staff, "")
	for action, moved := range map[string][2]string{
		"participant.recovering": {"released", "suspended"}, "participant.recovered": {"suspended", "released"},
	} {
		if status := changesIn(t, timeline, action)["status"]; status["before"] != moved[0] || status["after"] != moved[1] {
			t.Errorf("%s: %v", action, status)
		}
	}
}
