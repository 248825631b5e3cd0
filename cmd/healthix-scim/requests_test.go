package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// goldenStep is as much of the SCIM engine's recorded exchanges as it takes to
// play them.
type goldenStep struct {
	Method, Path, As string
	Body             json.RawMessage
	Save             map[string]string
}

// The real program is sent what identity providers send. What it answered is in
// the request log, and nothing of anybody is.
func TestRequestLog(t *testing.T) {
	onBothEngines(t, func(t *testing.T, s *site) {
		operator := s.run("token", "issue", "--scope", "operator", "--subject", "dana@healthix.example")
		n := s.start()
		files, err := filepath.Glob("../../scim/testdata/*/*.json")
		if err != nil || len(files) < 10 {
			t.Fatalf("%d golden files, %v", len(files), err)
		}
		personal, sent, last := map[string]bool{}, map[string]int{}, ""
		for i, file := range files {
			last = fmt.Sprintf("p%d", i)
			n.must(201, "POST", "/api/v1/participants", operator, object{"id": last, "name": "Hospital"})
			provider, _ := n.must(201, "POST", "/api/v1/tokens", operator, object{"participant": last, "scope": "scim", "label": "idp"})["token"].(string)
			sent[last] = n.play(t, file, provider, personal)
		}
		if len(personal) < 100 {
			t.Fatalf("only %d values to look for", len(personal))
		}
		details := 0
		for participant, requests := range sent {
			var rows array
			eventually(t, 20*time.Second, func() error {
				if rows = n.requests(participant, operator); len(rows) != requests {
					return fmt.Errorf("%s sent %d requests, %d are in the log", participant, requests, len(rows))
				}
				return nil
			})
			for _, row := range rows {
				row := row.(object)
				if answer, ok := row["answer"].(object); ok && answer["detail"] != nil {
					details++
				}
				delete(row, "at") // digits may be anybody's
				text, err := json.Marshal(row)
				if err != nil {
					t.Fatal(err)
				}
				for value := range personal {
					if strings.Contains(string(text), value) {
						t.Errorf("%q is in %s", value, text)
					}
				}
			}
		}
		if details < 50 {
			t.Errorf("%d answers with a detail", details)
		}

		// Whom a request was about is found, and by whom it was made; nobody
		// else's user manager finds it.
		provider := s.run("token", "issue", "--scope", "scim", "--participant", last, "--label", "hr")
		aum := s.run("token", "issue", "--scope", "aum", "--participant", last, "--subject", "kim@mercy.example")
		ana := n.must(201, "POST", "/scim/v2/Users", provider, nurse("Ana", "Lima"))
		id, _ := ana["id"].(string)
		n.must(200, "PATCH", "/scim/v2/Users/"+id, provider, patchOp(object{"op": "Replace", "path": "active", "value": "False"}))
		n.stop() // what waits is written

		n = s.start("--retention-requests", "1d")
		list := "/api/v1/participants/" + last + "/requests?user=" + id
		about := n.must(200, "GET", list, aum, nil)["items"].(array)
		if len(about) != 2 {
			t.Fatalf("%d requests about %s", len(about), id)
		}
		patched, made := about[0].(object), about[1].(object)
		if patched["status"] != 200.0 || patched["tokenLabel"] != "hr" || fmt.Sprint(patched["leniencies"]) != "[op-case string-boolean]" || made["status"] != 201.0 {
			t.Errorf("patched %v\nmade %v", patched, made)
		}
		answered := patched["answer"].(object)
		if access(answered)["accessStatus"] != "revoked" || answered["active"] != false || answered["title"] != "Registered Nurse" || answered["userName"] != "‹string 8›" {
			t.Errorf("answered %v", answered)
		}
		n.must(404, "GET", "/api/v1/participants/p0/requests", aum, nil)
		n.stop()
	})
}

// requests reads a participant's log whole, page by page.
func (n *node) requests(participant, token string) array {
	n.t.Helper()
	path := "/api/v1/participants/" + participant + "/requests?limit=25"
	var rows array
	for next := path; next != ""; {
		answer := n.must(200, "GET", next, token, nil)
		rows = append(rows, answer["items"].(array)...)
		next = ""
		if cursor, more := answer["nextCursor"].(string); more {
			next = path + "&cursor=" + cursor
		}
	}
	return rows
}

// play sends the steps of one file, whatever is answered, and says how many.
func (n *node) play(t *testing.T, file, token string, personal map[string]bool) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var golden struct{ Steps []goldenStep }
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	inPath, inBody := []string{" ", "%20", `"`, "%22"}, []string{}
	played := 0
	for _, step := range golden.Steps {
		if step.As != "" || step.Method == http.MethodHead { // of another's token, or without an answer to read
			continue
		}
		var body any
		if step.Body != nil {
			decode(t, strings.NewReplacer(inBody...).Replace(string(step.Body)), &body)
			confide(personal, "", body)
		}
		path := strings.NewReplacer(append(slices.Clone(inPath), "{", "%7B", "}", "%7D")...).Replace(step.Path)
		status, answer, err := ask(t.Context(), step.Method, n.base+"/scim/v2"+path, token, body)
		if err != nil || status == http.StatusInternalServerError {
			t.Fatalf("%s %s: %d %v %v", step.Method, path, status, answer, err)
		}
		played++
		for name, at := range step.Save {
			if value := lookup(answer, at); value != "" {
				inPath = append(inPath, "{{"+name+"}}", url.QueryEscape(value))
				inBody = append(inBody, `"{{`+name+`}}"`, strconv.Quote(value), "{{"+name+"}}", value)
			}
		}
	}
	return played
}

func lookup(v any, path string) string {
	for _, name := range strings.Split(path, "/") {
		switch inside := v.(type) {
		case object:
			v = inside[name]
		case array:
			i, err := strconv.Atoi(name)
			if err != nil || i >= len(inside) {
				return ""
			}
			v = inside[i]
		}
	}
	text, _ := v.(string)
	return text
}

// persons are attributes whose values say who somebody is, or are secret.
var persons = []string{
	"username", "externalid", "givenname", "familyname", "middlename", "formatted", "displayname", "nickname", "display", "password",
	"streetaddress", "locality", "postalcode", "region", "profileurl", "employeenumber", "costcenter", "department", "npi",
}

// confide collects what a body says of people.
func confide(personal map[string]bool, name string, v any) {
	switch v := v.(type) {
	case object:
		for member, value := range v {
			confide(personal, strings.ToLower(member), value)
		}
	case array:
		for _, value := range v {
			confide(personal, name, value)
		}
	case string:
		if len(v) > 5 && (slices.Contains(persons, name) || strings.Contains(v, "@") && !strings.ContainsAny(v, `[ "`) || strings.HasPrefix(v, "+1")) {
			personal[v] = true
		}
	}
}
