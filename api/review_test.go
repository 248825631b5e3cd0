package api

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// tend does what the workers would: everything that a review needs now.
func (h *house) tend(review string) {
	h.t.Helper()
	if err := h.service.Do(h.t.Context(), storage.Job{Kind: lifecycle.JobReview, Subject: review}); err != nil {
		h.t.Fatal(err)
	}
}

// named issues a token to a person.
func (h *house) tokenOf(scope, participant, subject string) string {
	h.t.Helper()
	record, err := h.service.IssueToken(h.t.Context(), operator, lifecycle.TokenSpec{Scope: scope, Participant: participant, Subject: subject})
	if err != nil {
		h.t.Fatal(err)
	}
	text, err := h.signer.Mint(record)
	if err != nil {
		h.t.Fatal(err)
	}
	return text
}

func TestReviewFromEndToEnd(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		op, auditor := h.token("operator", ""), h.token("auditor", "")
		gail, ida := h.tokenOf("aum", "mercy", "gail@mercy.example"), h.tokenOf("aum", "general", "ida@general.example")
		people := map[string]storage.User{"ana": h.mercy}
		for name, title := range map[string]string{"bo": "Registered Nurse", "gail": "Registered Nurse", "waits": "Chief Vibes Officer"} {
			people[name] = h.person("mercy", name, "Reyes", title)
		}
		for _, u := range people {
			h.train(u)
		}
		// Gail is on the list herself, by the address that her token names.
		self, err := h.service.ChangeUser(t.Context(), lifecycle.Actor{Kind: "provider", Participant: "mercy"}, people["gail"].ID, func(old storage.User) (lifecycle.UserDraft, bool, error) {
			d := storage.Document{}
			for k, v := range old.Document {
				d[k] = v
			}
			d["emails"] = []any{map[string]any{"value": "Gail@mercy.example", "type": "work", "primary": true}}
			return lifecycle.UserDraft{Document: d, Fold: json.RawMessage(`{}`)}, true, nil
		})
		if err != nil {
			t.Fatal(err)
		}

		due := h.now().Add(48 * time.Hour).UTC().Format(time.RFC3339)
		for body, attribute := range map[string]string{
			`{"participant":"mercy","due":"2020-01-01T00:00:00Z"}`:           "due",
			`{"participant":"mercy"}`:                                        "due",
			`{"participant":"mercy","due":"` + due + `","onSilence":"hope"}`: "onSilence",
			`{"participant":"mercy","due":"` + due + `","reviewers":["x"]}`:  "reviewers",
		} {
			if got := h.must(400, "POST", root+"/reviews", op, body); got.json["attribute"] != attribute {
				t.Errorf("%s: %s", body, got.body)
			}
		}
		h.must(404, "POST", root+"/reviews", op, `{"participant":"nowhere","due":"`+due+`"}`)
		for _, token := range []string{auditor, gail} {
			h.must(403, "POST", root+"/reviews", token, `{"participant":"mercy","due":"`+due+`"}`)
		}
		started := h.must(201, "POST", root+"/reviews", op, `{"participant":"mercy","due":"`+due+`","note":"Year's end."}`)
		id, _ := started.json["id"].(string)
		path := root + "/reviews/" + id
		if started.json["state"] != "preparing" || started.header.Get("Location") != "http://house.example"+path || started.json["startedBy"] != "operator@healthix.example" {
			t.Errorf("started: %s", started.body)
		}
		h.must(409, "POST", root+"/reviews", op, `{"participant":"mercy","due":"`+due+`"}`)
		h.tend(id)
		seen := h.must(200, "GET", path, gail, "")
		if seen.json["state"] != "open" || fmt.Sprint(seen.json["totals"]) != "map[ended:0 kept:0 people:3 revoked:0 suspended:0 undecided:3]" || seen.json["startedBy"] != nil || seen.json["report"] != nil {
			t.Errorf("open: %s", seen.body)
		}

		// Page by page, and each read is on record for the participant.
		reads := len(h.reads())
		items, cursor := map[string]map[string]any{}, ""
		for range 3 {
			got := h.must(200, "GET", path+"/items?limit=1&state=open"+cursor, gail, "")
			one := got.json["items"].([]any)[0].(map[string]any)
			items[one["user"].(string)] = one
			if next, more := got.json["nextCursor"].(string); more {
				cursor = "&cursor=" + next
			}
		}
		if len(items) != 3 || len(h.reads()) != reads+3 || h.reads()[reads].Participant != "mercy" {
			t.Errorf("%d items in three pages, %d reads", len(items), len(h.reads())-reads)
		}
		ana := items[h.mercy.ID]
		if ana["userName"] != "ana.lima" || ana["title"] != "Registered Nurse" || ana["role"] != "practitioner" || ana["since"] == nil || ana["status"] != "released" ||
			ana["rule"] == nil || ana["reason"] == "" || len(ana["permissions"].([]any)) == 0 || ana["decision"] != nil {
			t.Errorf("an item: %v", ana)
		}
		if got := h.must(400, "GET", path+"/items?state=lost", gail, ""); got.json["attribute"] != "state" {
			t.Errorf("an unknown state: %s", got.body)
		}
		h.must(400, "GET", path+"/items?state=kept"+cursor, gail, "")

		word := func(status int, token string, user, body string) answer {
			t.Helper()
			return h.must(status, "POST", path+"/items/"+user, token, body)
		}
		version := func(user string) string { return fmt.Sprint(items[user]["version"]) }
		for _, token := range []string{op, auditor} {
			word(403, token, h.mercy.ID, `{"decision":"keep","ifVersion":`+version(h.mercy.ID)+`}`)
		}
		word(404, ida, h.mercy.ID, `{"decision":"revoke","ifVersion":`+version(h.mercy.ID)+`}`)
		h.must(404, "GET", path, ida, "")
		h.must(404, "GET", path+"/items", ida, "")
		h.must(404, "GET", path+"/report", ida, "")
		if got := h.must(200, "GET", root+"/reviews", ida, ""); len(got.json["items"].([]any)) != 0 {
			t.Errorf("another participant's reviewer lists %s", got.body)
		}
		word(404, gail, people["waits"].ID, `{"decision":"keep","ifVersion":1}`)
		word(400, gail, h.mercy.ID, `{"decision":"keep"}`)
		word(400, gail, h.mercy.ID, `{"decision":"maybe","ifVersion":1}`)
		word(412, gail, h.mercy.ID, `{"decision":"keep","ifVersion":1}`)
		if got := word(422, gail, self.ID, `{"decision":"keep","ifVersion":`+version(self.ID)+`}`); !strings.Contains(got.body, "nobody decides about themselves") {
			t.Errorf("about oneself: %s", got.body)
		}
		kept := word(200, gail, h.mercy.ID, `{"decision":"keep","comment":"with us since 2019","ifVersion":`+version(h.mercy.ID)+`}`)
		if kept.json["state"] != "kept" || kept.json["comment"] != "with us since 2019" || kept.json["decision"].(map[string]any)["by"] != "gail@mercy.example" {
			t.Errorf("kept: %s", kept.body)
		}
		revoked := word(200, gail, people["bo"].ID, `{"decision":"revoke","ifVersion":`+version(people["bo"].ID)+`}`)
		if revoked.json["state"] != "revoked" || revoked.json["status"] != "revoked" {
			t.Errorf("revoked: %s", revoked.body)
		}
		if got := h.must(200, "GET", root+"/users/"+people["bo"].ID+"/timeline", auditor, ""); !strings.Contains(got.body, `"review.decided"`) || !strings.Contains(got.body, "by decision of an access review") {
			t.Errorf("bo's timeline: %s", got.body)
		}
		if got := h.must(422, "POST", path+"/close", op, ""); !strings.Contains(got.body, "1 people are undecided") {
			t.Errorf("closed early: %s", got.body)
		}
		h.must(422, "GET", path+"/report", op, "")

		h.pass(72 * time.Hour)
		h.tend(id)
		if got := h.must(200, "GET", root+"/reviews?state=escalated&participant=mercy", op, ""); len(got.json["items"].([]any)) != 1 || !strings.Contains(got.body, `"undecidedAtDeadline":1`) {
			t.Errorf("escalated: %s", got.body)
		}
		h.gauged(t, `label:{name:"participant" value:"mercy"} gauge:{value:1}`)
		closed := h.must(200, "POST", path+"/close", op, "")
		report := h.must(200, "GET", path+"/report", auditor, "")
		sum := sha256.Sum256([]byte(report.body))
		said := closed.json["report"].(map[string]any)
		if said["digest"] != hex.EncodeToString(sum[:]) || report.header.Get("Repr-Digest") != "sha-256=:"+base64.StdEncoding.EncodeToString(sum[:])+":" || report.json["entry"] != said["entry"] {
			t.Errorf("the report's digest: %v, %v", said, report.header)
		}
		if strings.Contains(report.body, "since 2019") || strings.Contains(report.body, "ana.lima") {
			t.Errorf("the report says what an erasure takes: %s", report.body)
		}
		h.gauged(t, "")
		if got := h.must(200, "GET", root+"/reviews?limit=1", gail, ""); len(got.json["items"].([]any)) != 1 {
			t.Errorf("own reviews: %s", got.body)
		}
	})
}

// gauged wants one series of healthix_review_undecided, or none.
func (h *house) gauged(t *testing.T, want string) {
	t.Helper()
	metrics := NewMetrics()
	late, err := h.store.ListReviews(t.Context(), storage.ReviewQuery{States: []string{storage.ReviewEscalated}, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{}
	for _, r := range late {
		ids = append(ids, r.ID)
	}
	tallies, err := h.store.TallyReviews(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	metrics.Reviews([]storage.Review{{ID: "old", Participant: "general"}}, nil)
	metrics.Reviews(late, tallies)
	families, err := metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, f := range families {
		if f.GetName() == "healthix_review_undecided" {
			for _, m := range f.GetMetric() {
				got += strings.Join(strings.Fields(m.String()), " ")
			}
		}
	}
	if got != want {
		t.Errorf("metric %q, want %q", got, want)
	}
}
