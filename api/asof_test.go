package api

import (
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// provider is mercy's identity provider.
var provider = lifecycle.Actor{Kind: "provider", Participant: "mercy", Token: "mercy's", Label: "entra", Source: "192.0.2.7", RequestID: "req-1"}

// retitle changes a title as the identity provider would.
func (h *house) retitle(u storage.User, title string) {
	h.t.Helper()
	_, err := h.service.ChangeUser(h.t.Context(), provider, u.ID, func(old storage.User) (lifecycle.UserDraft, bool, error) {
		document := storage.Document{}
		for name, value := range old.Document {
			document[name] = value
		}
		document["title"], document["active"] = title, old.Active
		return lifecycle.UserDraft{Document: document, Fold: json.RawMessage(`{}`)}, true, nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) instant() time.Time {
	time.Sleep(2 * time.Microsecond) // no deed shares it
	at := h.service.Now()
	time.Sleep(2 * time.Microsecond)
	return at
}

func asOf(at time.Time) string {
	return "asOf=" + url.QueryEscape(at.UTC().Format(time.RFC3339Nano))
}

// story is what a user's access was after each of some deeds.
type story struct {
	born  time.Time
	steps []chapter
}

type chapter struct {
	name   string
	at     time.Time
	access any // as the API showed it then; nil when it showed nobody
}

// tell does deeds on mercy's user and notes what everybody saw after each.
func (h *house) tell(operator string) story {
	h.t.Helper()
	ctx := h.t.Context()
	s := story{born: h.mercy.Created}
	note := func(name string) {
		at := h.instant()
		var access any
		if got := h.ask("GET", root+"/users/"+h.mercy.ID, operator, ""); got.status == 200 {
			a := got.json["access"].(map[string]any)
			delete(a, "activation") // of the present only
			access = a
		}
		s.steps = append(s.steps, chapter{name, at, access})
	}
	fine := func(err error) {
		h.t.Helper()
		if err != nil {
			h.t.Fatal(err)
		}
	}
	note("created")
	h.train(h.mercy)
	note("trained")
	_, err := h.service.SuspendParticipant(ctx, testOperator, "mercy", "audit")
	fine(err)
	note("participant suspended")
	_, err = h.service.ResumeParticipant(ctx, testOperator, "mercy")
	fine(err)
	note("participant resumed")
	hold, err := h.service.Hold(ctx, testOperator, h.mercy.ID, "under review by compliance")
	fine(err)
	note("held")
	fine(h.service.LiftHold(ctx, testOperator, h.mercy.ID, hold.ID))
	note("lifted")
	h.retitle(h.mercy, "Chief Vibes Officer")
	note("unmapped")
	fine(h.service.DeleteUser(ctx, provider, h.mercy.ID, nil))
	note("deleted")
	return s
}

// testOperator is operator where a token has that name.
var testOperator = operator

func TestAsOf(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		operator, auditor, aum := h.token(auth.ScopeOperator, ""), h.token(auth.ScopeAuditor, "mercy"), h.token(auth.ScopeAUM, "mercy")
		user := root + "/users/" + h.mercy.ID
		s := h.tell(operator)
		statuses := []string{}
		for _, step := range s.steps {
			for who, token := range map[string]string{"operator": operator, "auditor": auditor} {
				got := h.must(200, "GET", user+"?"+asOf(step.at), token, "")
				if !reflect.DeepEqual(got.json["access"], step.access) {
					t.Errorf("%s, asked by %s:\n%v\nit was\n%v", step.name, who, got.json["access"], step.access)
				}
				if at(t, got.json, "decision", "status") != at(t, got.json, "access", "status") || len(at(t, got.json, "decision", "trace").([]any)) == 0 {
					t.Errorf("%s: decision %v", step.name, got.json["decision"])
				}
			}
			got := h.must(200, "GET", user+"/decision?"+asOf(step.at), auditor, "")
			statuses = append(statuses, got.json["status"].(string))
			// The population: one of the participant's, found by what held and by nothing else.
			for filter, want := range map[string]bool{"": true, "&status=" + statuses[len(statuses)-1]: true, "&status=ineligible": false, "&q=LIMA": true, "&q=okafor": false} {
				got := h.must(200, "GET", root+"/users?"+asOf(step.at)+filter, auditor, "")
				if items := got.json["items"].([]any); (len(items) == 1) != want || want && !reflect.DeepEqual(at(t, items[0], "access"), step.access) {
					t.Errorf("%s%s: %s", step.name, filter, got.body)
				}
			}
		}
		if want := "[pending released suspended released suspended released suspended revoked]"; fmt.Sprint(statuses) != want {
			t.Errorf("statuses %v, want %v", statuses, want)
		}
		h.must(404, "GET", user+"?"+asOf(s.born.Add(-time.Microsecond)), operator, "")
		h.must(200, "GET", user+"?"+asOf(s.born), operator, "")
		h.must(404, "GET", user+"?"+asOf(s.steps[1].at), h.token(auth.ScopeAuditor, "general"), "")

		// What was on record then, in the words for who asks.
		held, trained, created := s.steps[4], s.steps[1], s.steps[0]
		if got := h.must(200, "GET", user+"?"+asOf(held.at), operator, ""); len(got.json["holds"].([]any)) != 1 || !strings.Contains(got.body, "compliance") {
			t.Error(got.body)
		}
		if got := h.must(200, "GET", user+"?"+asOf(held.at), aum, ""); got.json["holds"] != nil || strings.Contains(got.body, "compliance") {
			t.Error(got.body)
		}
		if got := h.must(200, "GET", user+"?"+asOf(s.steps[5].at), operator, ""); got.json["holds"] != nil {
			t.Errorf("a hold that was lifted holds: %s", got.body)
		}
		for _, c := range []struct {
			chapter
			evidence int
		}{{created, 0}, {trained, 2}} {
			got := h.must(200, "GET", user+"?"+asOf(c.at), operator, "")
			if evidence, _ := got.json["evidence"].([]any); len(evidence) != c.evidence {
				t.Errorf("%s: %d pieces of evidence, want %d", c.name, len(evidence), c.evidence)
			}
		}
		h.must(404, "GET", user+"?"+asOf(s.steps[7].at), aum, "") // who left is not shown to them
		h.must(200, "GET", user+"?"+asOf(s.steps[6].at), aum, "")
		if got := h.must(200, "GET", root+"/users?"+asOf(s.steps[7].at), aum, ""); len(got.json["items"].([]any)) != 0 {
			t.Error(got.body)
		}
		if got := h.must(200, "GET", root+"/users?"+asOf(held.at)+"&gate=hold&participant=mercy", operator, ""); len(got.json["items"].([]any)) != 1 {
			t.Error(got.body)
		}
		if got := h.must(200, "GET", root+"/users?"+asOf(trained.at)+"&role=practitioner", operator, ""); len(got.json["items"].([]any)) != 1 {
			t.Error(got.body)
		}
	})
}

// TestAsOfPages: every page looks at a bounded number of users, and together
// they hold everybody once.
func TestAsOfPages(t *testing.T) {
	h := newHouse(t, nil)
	operator := h.token(auth.ScopeOperator, "")
	want := []string{h.mercy.ID, h.general.ID}
	for i := range 7 {
		want = append(want, h.person("mercy", fmt.Sprint("Given", i), "Page", "Registered Nurse").ID)
	}
	at := h.instant()
	h.person("mercy", "Later", "Page", "Registered Nurse")
	slices.Sort(want)
	got, cursor := []string{}, ""
	for range want {
		page := h.must(200, "GET", root+"/users?limit=2&"+asOf(at)+"&cursor="+cursor, operator, "")
		for _, item := range page.json["items"].([]any) {
			got = append(got, item.(map[string]any)["id"].(string))
		}
		if page.json["nextCursor"] == nil {
			break
		}
		cursor = page.json["nextCursor"].(string)
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages hold\n%v, want\n%v", got, want)
	}
	h.must(400, "GET", root+"/users?limit=2&"+asOf(at.Add(-time.Second))+"&cursor="+cursor, operator, "")
}

// TestUnsettledInstants: while a deed is under way that may be recorded at or
// before an instant, nobody is told what was then.
func TestUnsettledInstants(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		auditor := h.token(auth.ScopeAuditor, "mercy")
		long := h.instant()
		began, end, ended := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() {
			ended <- h.store.Write(context.Background(), func(ctx context.Context, tx storage.Tx) error {
				_, err := tx.LockUser(ctx, "mercy", h.mercy.ID)
				close(began)
				<-end
				return err
			})
		}()
		<-began
		start := time.Now()
		for _, path := range []string{"/users?", "/users/" + h.mercy.ID + "?", "/users/" + h.mercy.ID + "/decision?", "/reports/access?"} {
			got := h.must(409, "GET", root+path+asOf(long), auditor, "")
			if got.json["type"] != "urn:healthix:problem:unsettled" || got.header.Get("Retry-After") == "" {
				t.Errorf("%s: %v %s", path, got.header, got.body)
			}
			if path == "/users?" && (time.Since(start) < 1900*time.Millisecond || time.Since(start) > 20*time.Second) {
				t.Errorf("it waited %s", time.Since(start))
			}
		}
		close(end)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		h.must(200, "GET", root+"/users?"+asOf(long), auditor, "")
	})
}

func TestAccessReport(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		operator, auditor := h.token(auth.ScopeOperator, ""), h.token(auth.ScopeAuditor, "mercy")
		s := h.tell(operator)
		h.person("mercy", "=SUM(A1)", "-2", "@Registered Nurse")
		for _, step := range s.steps {
			got := h.must(200, "GET", root+"/reports/access?format=csv&"+asOf(step.at), auditor, "")
			if !strings.HasPrefix(got.body, "participant,id,userName,email,title,status,role,permissions") || !strings.HasPrefix(got.header.Get("Content-Type"), "text/csv") {
				t.Fatalf("%v %s", got.header, got.body)
			}
			lines, err := csv.NewReader(strings.NewReader(got.body)).ReadAll()
			if err != nil || len(lines) != 2 {
				t.Fatalf("%s: %d lines, %v", step.name, len(lines), err)
			}
			access := step.access.(map[string]any)
			gates := []string{}
			for _, g := range access["gates"].([]any) {
				if g := g.(map[string]any); g["open"] == false {
					gates = append(gates, g["gate"].(string))
				}
			}
			role, _ := access["role"].(string)
			if lines[1][5] != access["status"] || lines[1][6] != role || lines[1][8] != strings.Join(gates, " ") {
				t.Errorf("%s: %v; it was %v", step.name, lines[1], access)
			}
		}
		// Both forms say the same, of all participants or one, now or then.
		for filter, want := range map[string]int{"": 3, "&participant=mercy": 2, "&participant=general": 1, "&" + asOf(s.born.Add(-time.Microsecond)): 0} {
			asCSV := h.must(200, "GET", root+"/reports/access?format=csv"+filter, operator, "")
			lines, err := csv.NewReader(strings.NewReader(asCSV.body)).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			asJSON := h.must(200, "GET", root+"/reports/access?format=json"+filter, operator, "")
			items := asJSON.json["items"].([]any)
			if len(lines) != want+1 || len(items) != want || asJSON.json["asOf"] == nil {
				t.Errorf("%q: %d lines and %d items, want %d", filter, len(lines)-1, len(items), want)
			}
			reads := h.reads()
			if newest := string(reads[len(reads)-1].Canonical); !strings.Contains(newest, fmt.Sprintf(`{"name":"rows","value":"%d"}`, want)) || !strings.Contains(newest, "/reports/access") {
				t.Errorf("%q: the read on record is %s, want %d rows", filter, newest, want)
			}
			for _, line := range lines[1:] {
				for i, cell := range line {
					if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
						t.Errorf("column %s holds a formula: %q", lines[0][i], cell)
					}
				}
			}
		}
		h.must(404, "GET", root+"/reports/access?participant=general", auditor, "")
		h.must(404, "GET", root+"/reports/access?participant=nowhere", operator, "")
		h.must(403, "GET", root+"/reports/access", h.token(auth.ScopeAUM, "mercy"), "")
		h.must(400, "GET", root+"/reports/access?format=pdf", operator, "")
	})
}

// TestReadsAreOnRecord: who looked at whom, how much, and for what, in a way that
// tells nobody what they typed.
func TestReadsAreOnRecord(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		operator, auditor := h.token(auth.ScopeOperator, ""), h.token(auth.ScopeAuditor, "mercy")
		for range 2 {
			h.must(200, "GET", root+"/users?q=lima&participant=mercy", operator, "")
		}
		h.must(200, "GET", root+"/users?participant=mercy&q=lima", operator, "") // the same question
		h.must(200, "GET", root+"/users?q=limb&participant=mercy", operator, "")
		h.must(200, "GET", root+"/users/"+h.mercy.ID, operator, "")
		h.must(404, "GET", root+"/users/"+h.general.ID, auditor, "")
		h.must(200, "GET", "/scim/v2/Users/"+h.mercy.ID, auditor, "")
		h.must(200, "GET", root+"/users?participant=nowhere", operator, "")
		type read struct {
			participant, user, route, rows, filter string
		}
		reads := []read{}
		for _, row := range h.reads() {
			b, err := readEntry(row)
			if err != nil {
				t.Fatal(err)
			}
			of := map[string]string{}
			for _, f := range b.Fields {
				if f.Value == nil {
					t.Fatalf("%s of %s", f.Name, row.Canonical)
				}
				of[f.Name] = *f.Value
			}
			reads = append(reads, read{row.Participant, row.User, of["route"], of["rows"], of["filter"]})
		}
		user := root + "/users/{id}"
		want := []read{
			{"mercy", "", "GET " + root + "/users", "1", reads[0].filter}, {"mercy", "", "GET " + root + "/users", "1", reads[0].filter},
			{"mercy", "", "GET " + root + "/users", "1", reads[0].filter}, {"mercy", "", "GET " + root + "/users", "0", reads[3].filter},
			{"mercy", h.mercy.ID, "GET " + user, "1", reads[4].filter}, {"mercy", "", "GET " + user, "0", reads[5].filter},
			{"mercy", h.mercy.ID, "GET /scim/v2/Users/{id}", "2", reads[6].filter}, {"", "", "GET " + root + "/users", "0", reads[7].filter},
		}
		if !slices.Equal(reads, want) {
			t.Errorf("reads on record:\n%v\nwant\n%v", reads, want)
		}
		plain := sha256.Sum256([]byte(root + "/users?participant=mercy&q=lima\n"))
		if reads[0].filter == reads[3].filter || reads[0].filter == hex.EncodeToString(plain[:]) || len(reads[0].filter) != 64 {
			t.Errorf("filter digests %v", reads)
		}
		// They are found, and do not stand between what happened.
		got := h.must(200, "GET", root+"/audit/events?action=read&user="+h.mercy.ID, auditor, "")
		if items := got.json["items"].([]any); len(items) != 2 || at(t, items[1], "actor", "subject") != "operator@healthix.example" {
			t.Error(got.body)
		}
		if got := h.must(200, "GET", root+"/users/"+h.mercy.ID+"/timeline", auditor, ""); strings.Contains(got.body, `"action":"read"`) || len(got.json["items"].([]any)) == 0 {
			t.Error(got.body)
		}
	})
}

func TestUnrecordedReportIsNotWritten(t *testing.T) {
	h := newHouse(t, func(o *Options) {
		o.Service = broken{o.Service.(*lifecycle.Service), fmt.Errorf("append: %w", storage.ErrUnavailable)}
	})
	auditor := h.token(auth.ScopeAuditor, "mercy")
	for _, path := range []string{"/reports/access?format=csv", "/reports/access", "/audit/events", "/users/" + h.mercy.ID + "/timeline"} {
		if got := h.must(503, "GET", root+path, auditor, ""); strings.Contains(got.body, h.mercy.ID+",") || strings.Contains(got.body, "ana.lima") {
			t.Errorf("%s: %s", path, got.body)
		}
	}
}
