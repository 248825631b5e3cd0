package api

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// An operator works through who waits for approval, whoever waits longest first:
// that is not who was taken in first.
func TestQueueByAge(t *testing.T) {
	h := newHouse(t, nil)
	operator := h.token("operator", "")
	var people []storage.User
	for i := range 5 {
		people = append(people, h.person("mercy", fmt.Sprintf("Given%d", i), "Waiter", "Registered Nurse"))
	}
	for _, i := range []int{3, 0, 4, 1} { // and 2 stays a nurse
		h.pass(time.Hour)
		u := people[i]
		if _, err := h.service.ChangeUser(t.Context(), lifecycle.Actor{Kind: "provider", Subject: "mercy", Participant: "mercy"}, u.ID, func(old storage.User) (lifecycle.UserDraft, bool, error) {
			doc := storage.Document{}
			for k, v := range old.Document {
				doc[k] = v
			}
			doc["title"] = "Emergency Medicine Physician"
			return lifecycle.UserDraft{Document: doc, Fold: old.Fold}, true, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	list := root + "/users?participant=mercy&gate=approval&sort=since&limit=3"
	var got []string
	last := ""
	for cursor := ""; ; {
		answer := h.must(200, "GET", list+cursor, operator, "")
		if answer.json["total"] != 4.0 {
			t.Errorf("total %v, want 4", answer.json["total"])
		}
		for _, item := range answer.json["items"].([]any) {
			u := item.(map[string]any)
			got = append(got, u["userName"].(string))
			for _, g := range u["access"].(map[string]any)["gates"].([]any) {
				if gate := g.(map[string]any); gate["gate"] == "approval" {
					since := fmt.Sprint(gate["since"])
					if since <= last {
						t.Errorf("%s waits since %s, behind who waits since %s", u["userName"], since, last)
					}
					last = since
				}
			}
		}
		next, more := answer.json["nextCursor"].(string)
		if !more {
			break
		}
		cursor = "&cursor=" + url.QueryEscape(next)
	}
	want := []string{people[3].UserName, people[0].UserName, people[4].UserName, people[1].UserName}
	if !slices.Equal(got, want) {
		t.Errorf("the queue is %v, want %v", got, want)
	}
	for query, says := range map[string]string{"sort=since": "gate is missing", "gate=approval&sort=name": "expected only since", "gate=approval&sort=since&asOf=2026-01-01T00:00:00Z": "leave sort or asOf out"} {
		if got := h.must(400, "GET", root+"/users?"+query, operator, ""); !strings.Contains(got.body, says) {
			t.Errorf("%s: %s", query, got.body)
		}
	}
}

// Settings are changed one by one, strictly: what is no value of theirs is
// refused and names itself.
func TestSettingsAreChecked(t *testing.T) {
	h := newHouse(t, nil)
	operator := h.token("operator", "")
	path := root + "/participants/mercy"
	before := h.must(200, "GET", path, operator, "").body
	for body, at := range map[string]string{
		`{"settings":{"contacts":null}}`:                      "settings.contacts",
		`{"name":null}`:                                       "name",
		`{"settings":null}`:                                   "settings",
		`{"name":""}`:                                         "name",
		`{"name":"Mercy\nBcc: x@mercy.example"}`:              "name",
		`{"settings":{"contacts":["it@mercy.example, x@y"]}}`: "settings.contacts",
		`{"settings":{"contacts":["It <it@mercy.example>"]}}`: "settings.contacts",
		`{"settings":{"contacts":[null]}}`:                    "settings.contacts",
		`{"settings":{"contacts":"it@mercy.example"}}`:        "settings.contacts",
		`{"settings":{"sso":"true"}}`:                         "settings.sso",
		`{"settings":{"sso":1}}`:                              "settings.sso",
		`{"settings":{"profile":"lax"}}`:                      "settings.profile",
		`{"settings":{"rateLimit":"-5/10"}}`:                  "settings.rateLimit",
		`{"settings":{"rateLimit":"0/0"}}`:                    "settings.rateLimit",
		`{"settings":{"rateLimit":"NaN/1"}}`:                  "settings.rateLimit",
		`{"settings":{"rateLimit":200}}`:                      "settings.rateLimit",
		`{"settings":{"breaker":"-1/10/50/30"}}`:              "settings.breaker",
		`{"settings":{"breaker":"25/0/50/30"}}`:               "settings.breaker",
		`{"settings":{"breaker":true}}`:                       "settings.breaker",
		`{"settings":{"digest":"daily"}}`:                     "settings.digest",
		`{"settings":{"mode":"live"}}`:                        "settings.mode",
		`{"settings":{"SSO":true}}`:                           "settings.SSO",
		`{"mode":"live"}`:                                     "mode",
		`{"status":"active"}`:                                 "status",
	} {
		if got := h.must(400, "PATCH", path, operator, body); got.json["attribute"] != at {
			t.Errorf("%s: %s, want it to name %s", body, got.body, at)
		}
	}
	if now := h.must(200, "GET", path, operator, "").body; now != before {
		t.Errorf("something was kept: %s", now)
	}
	got := h.must(200, "PATCH", path, operator, `{"settings":{"contacts":["it@mercy.example","it@mercy.example"],"sso":true,"profile":"strict","rateLimit":"50/200"}}`)
	if s := got.json["settings"].(map[string]any); fmt.Sprint(s["contacts"]) != "[it@mercy.example]" || s["sso"] != true || s["profile"] != "strict" {
		t.Errorf("%s", got.body)
	}
	got = h.must(200, "PATCH", path, operator, `{"settings":{"contacts":[],"rateLimit":""}}`)
	if s := got.json["settings"].(map[string]any); fmt.Sprint(s["contacts"]) != "[]" || s["rateLimit"] != "" || s["sso"] != true {
		t.Errorf("%s", got.body)
	}
}
