package litmos

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/healthix/healthix-scim/connector/litmos/litmosfake"
)

func TestEnrolMakesOneRecord(t *testing.T) {
	s := newStage(t, nil)
	id := s.enrol(june)
	made := s.sent.requests()
	if len(made) != 2 || !strings.HasPrefix(made[0], "GET /v1.svc/users/"+juneID+"?") || !strings.HasPrefix(made[1], "POST /v1.svc/users?") {
		t.Fatalf("sent %q", made)
	}
	if !strings.Contains(made[1], "sendmessage=true") || !strings.Contains(made[1], "source=healthix-test") || !strings.Contains(made[1], "format=json") {
		t.Errorf("query of %q", made[1])
	}
	p, _ := s.fake.Profile(id)
	for field, want := range map[string]any{
		"UserName": juneID, "FirstName": "June", "LastName": june.FamilyName, "Email": june.Email,
		"AccessLevel": "Learner", "Active": true, "IsCustomUsername": true, "DisableMessages": false,
	} {
		if p[field] != want {
			t.Errorf("%s is %v, want %v", field, p[field], want)
		}
	}
	if again := s.enrol(june); again != id {
		t.Errorf("a second enrolment answers %q, want %q", again, id)
	}
	if again := s.sent.requests(); len(again) != 1 {
		t.Errorf("a second enrolment sends %q, want one look", again)
	}
}

// The key goes in its header, and nowhere else.
func TestKeyStaysInItsHeader(t *testing.T) {
	s := newStage(t, nil)
	s.enrol(june)
	s.sent.mu.Lock()
	defer s.sent.mu.Unlock()
	for i, r := range s.sent.reqs {
		if r.Header.Get("apikey") != apiKey {
			t.Errorf("%s %s has no key", r.Method, r.URL)
		}
		if strings.Contains(r.URL.String(), apiKey) || strings.Contains(s.sent.body[i], apiKey) {
			t.Errorf("%s %s carries the key outside its header", r.Method, r.URL)
		}
	}
}

func TestQuietAccountsMailNothing(t *testing.T) {
	s := newStage(t, func(o *Options, _ *litmosfake.Options) { o.Quiet = true })
	s.enrol(june)
	if made := s.sent.requests(); !strings.Contains(made[1], "sendmessage=false") {
		t.Errorf("sent %q", made[1])
	}
}

// A record made by an attempt whose answer was lost is found, by either look-up.
func TestEnrolAfterALostAnswer(t *testing.T) {
	for _, byName := range []bool{true, false} {
		t.Run(fmt.Sprintf("by name %v", byName), func(t *testing.T) {
			s := newStage(t, nil)
			s.fake.Set(litmosfake.Knobs{Next: []string{"ok", "lost"}, NoByName: !byName})
			if _, err := s.client.Enrol(t.Context(), june); !errors.Is(s.say(err), ErrBusy) {
				t.Fatalf("Enrol = %v, want ErrBusy", err)
			}
			id := s.enrol(june)
			if again := s.enrol(june); again != id || id == "" {
				t.Errorf("enrolments answer %q and %q", id, again)
			}
		})
	}
}

// Litmos may answer 201 with nothing in it.
func TestEnrolAfterASilentAnswer(t *testing.T) {
	s := newStage(t, nil)
	s.fake.Set(litmosfake.Knobs{Next: []string{"ok", "garbage"}})
	_, err := s.client.Enrol(t.Context(), june)
	if err := s.say(err); err == nil || errors.Is(err, ErrOthers) || errors.Is(err, ErrRefused) {
		t.Errorf("Enrol = %v, want an error that another try may mend", err)
	}
	s.enrol(june)
}

func TestFindKnowsOurs(t *testing.T) {
	for _, byName := range []bool{true, false} {
		s := newStage(t, nil)
		s.fake.Set(litmosfake.Knobs{NoByName: !byName})
		other := s.fake.AddUser("jpark", "June", "Park", "june@other.example")
		if _, err := s.client.Find(t.Context(), juneID); !errors.Is(s.say(err), ErrNotFound) {
			t.Errorf("by name %v, before: %v, want ErrNotFound", byName, err)
		}
		id := s.enrol(june)
		if got, err := s.client.Find(t.Context(), strings.ToUpper(juneID)); got != id || s.say(err) != nil {
			t.Errorf("by name %v: %q, %v; want %q", byName, got, err, id)
		}
		if got, err := s.client.Find(t.Context(), other); !errors.Is(s.say(err), ErrNotFound) {
			t.Errorf("by name %v, another's record: %q, %v; want ErrNotFound", byName, got, err)
		}
	}
}

func TestEnrolNeverAdopts(t *testing.T) {
	s := newStage(t, nil)
	other := s.fake.AddUser("jpark", "June", june.FamilyName, strings.ToUpper(june.Email))
	before, _ := s.fake.Profile(other)
	id, err := s.client.Enrol(t.Context(), june)
	if !errors.Is(s.say(err), ErrOthers) || errors.Is(err, ErrRefused) || id != "" {
		t.Fatalf("Enrol = %q, %v, want ErrOthers", id, err)
	}
	if after, _ := s.fake.Profile(other); !reflect.DeepEqual(before, after) {
		t.Errorf("the other's record became %v", after)
	}
	// Somebody's address that moves to another's record is told too.
	own := s.enrol(omar)
	moved := omar
	moved.Email = june.Email
	if _, err := s.client.Enrol(t.Context(), moved); !errors.Is(s.say(err), ErrOthers) {
		t.Errorf("Enrol = %v, want ErrOthers", err)
	}
	if p, _ := s.fake.Profile(own); p["Email"] != omar.Email {
		t.Errorf("Email is %v", p["Email"])
	}
}

// A user name can be taken in an account that we do not see.
func TestEnrolWhoseNameIsTakenElsewhere(t *testing.T) {
	for name, tc := range map[string]struct {
		detail, status string
		want           error
	}{
		"taken":              {detail: `{"Detail":"UserName already exists"}`, want: ErrOthers},
		"taken, no body":     {want: ErrOthers},
		"other words":        {detail: `{"Detail":"Cet identifiant est pris"}`, want: ErrOthers},
		"invalid":            {detail: `{"Detail":"Invalid email address."}`, want: ErrRefused},
		"short":              {detail: `{"Detail":"Username must be greater than 3 characters."}`, want: ErrRefused},
		"invalid special":    {detail: `{"Detail":"Invalid special character&#39;s in the username."}`, want: ErrRefused},
		"culture is invalid": {detail: `{"Detail":"Culture is invalid"}`, want: ErrRefused},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.Method == http.MethodPost:
					w.WriteHeader(http.StatusConflict)
					io.WriteString(w, tc.detail)
				case strings.HasSuffix(r.URL.Path, "/users"):
					io.WriteString(w, `[{"Id":"abc1","UserName":"`+omarID+`"}]`)
				default:
					http.NotFound(w, r)
				}
			})
			_, err := c.Enrol(t.Context(), june)
			if !errors.Is(err, tc.want) || errors.Is(err, ErrOthers) && errors.Is(err, ErrRefused) {
				t.Errorf("Enrol = %v, want %v", err, tc.want)
			}
		})
	}
}

// serve is a client of a handler of the test's own.
func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := New(Options{URL: server.URL, APIKey: apiKey, Source: "healthix", Now: time.Now, PerMinute: 100_000})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEnrolRefusesWhatLitmosCannotHold(t *testing.T) {
	s := newStage(t, nil)
	for name, change := range map[string]func(*Learner){
		"no uuid":        func(l *Learner) { l.UserID = "june.park" },
		"uuid in braces": func(l *Learner) { l.UserID = "{" + juneID + "}" },
		"no family name": func(l *Learner) { l.FamilyName = " " },
		"no address":     func(l *Learner) { l.Email = "" },
		"long address":   func(l *Learner) { l.Email = strings.Repeat("a", 250) + "@b.example" },
	} {
		l := june
		change(&l)
		if _, err := s.client.Enrol(t.Context(), l); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: Enrol = %v, want ErrRefused", name, err)
		}
	}
	l := june
	l.Email = "no address at all"
	if _, err := s.client.Enrol(t.Context(), l); !errors.Is(s.say(err), ErrRefused) || errors.Is(err, ErrOthers) {
		t.Errorf("Enrol = %v, want ErrRefused", err)
	}
	if sent := s.sent.requests(); len(sent) != 2 {
		t.Errorf("sent %q, want the last one's two requests only", sent)
	}
}

func TestLongNamesAreCut(t *testing.T) {
	s := newStage(t, nil)
	l := june
	l.FamilyName = strings.Repeat("é", 49) + "😀"
	id := s.enrol(l)
	if p, _ := s.fake.Profile(id); p["LastName"] != strings.Repeat("é", 49) {
		t.Errorf("LastName is %q", p["LastName"])
	}
	s.sent.requests()
	s.enrol(l)
	if sent := s.sent.requests(); len(sent) != 1 {
		t.Errorf("a cut name is written again: %q", sent)
	}
}

// Enrolment follows the person: name, address, and back from being inactive.
func TestEnrolAmends(t *testing.T) {
	s := newStage(t, nil)
	id := s.enrol(june)
	if err := s.say(s.client.Deactivate(t.Context(), id)); err != nil {
		t.Fatal(err)
	}
	if s.enrol(june); s.active(id) != true {
		t.Error("an inactive record stays so")
	}
	if err := s.say(s.client.Deactivate(t.Context(), id)); err != nil {
		t.Fatal(err)
	}
	married := june
	married.FamilyName, married.Email = "Lee <wed>", "june.lee@general.example"
	if again := s.enrol(married); again != id {
		t.Fatalf("Enrol = %q, want %q", again, id)
	}
	p, _ := s.fake.Profile(id)
	if p["LastName"] != "Lee <wed>" || p["FullName"] != "June Lee <wed>" || p["Email"] != married.Email || p["Active"] != true {
		t.Errorf("the record is %v", p)
	}
}

func TestLeaversAreDeactivated(t *testing.T) {
	s := newStage(t, nil)
	id := s.enrol(june)
	s.assign(id, privacy)
	for _, step := range []struct {
		name     string
		do       func() error
		active   bool
		requests int
	}{
		{"deactivate", func() error { return s.client.Deactivate(t.Context(), id) }, false, 2},
		{"deactivate again", func() error { return s.client.Deactivate(t.Context(), id) }, false, 1},
		{"reactivate", func() error { return s.client.Reactivate(t.Context(), id) }, true, 2},
		{"reactivate again", func() error { return s.client.Reactivate(t.Context(), id) }, true, 1},
	} {
		s.sent.requests()
		if err := s.say(step.do()); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if p, _ := s.fake.Profile(id); p["Active"] != step.active {
			t.Errorf("%s: Active is %v", step.name, p["Active"])
		}
		if sent := s.sent.requests(); len(sent) != step.requests {
			t.Errorf("%s sends %q", step.name, sent)
		}
	}
	if assigned := s.fake.Assigned(id); len(assigned) != 1 {
		t.Errorf("assigned: %v", assigned)
	}
	s.fake.Remove(id)
	if err := s.say(s.client.Deactivate(t.Context(), id)); err != nil {
		t.Errorf("deactivate a record that is gone: %v", err)
	}
	if err := s.client.Reactivate(t.Context(), id); !errors.Is(s.say(err), ErrNotFound) {
		t.Errorf("reactivate a record that is gone: %v, want ErrNotFound", err)
	}
}

// A stored id that is somebody's user name changes nobody.
func TestUserNamesAreNoIDs(t *testing.T) {
	s := newStage(t, nil)
	id := s.enrol(june)
	if err := s.client.Deactivate(t.Context(), juneID); s.say(err) == nil {
		t.Error("a user name was taken for an id")
	}
	if p, _ := s.fake.Profile(id); p["Active"] != true {
		t.Error("the record was changed")
	}
	for _, odd := range []string{"", "..", "a/b", "a?b", "a b", strings.Repeat("a", 51), "ü"} {
		if err := s.client.Reactivate(t.Context(), odd); !errors.Is(err, ErrNotFound) {
			t.Errorf("Reactivate(%q) = %v, want ErrNotFound", odd, err)
		}
	}
}

// A write keeps all there is in a record, however odd; what comes escaped goes
// back plain, and a sign-in key never leaves the house again.
func TestWritesKeepTheWholeRecord(t *testing.T) {
	s := newStage(t, nil)
	id := s.enrol(june)
	before, _ := s.fake.Profile(id)
	odd := rapid.OneOf(rapid.SampledFrom([]string{"", "&", "&amp;", "<b>", `"'`, "&#39;", "a&lt;b", "Zoë", "\\\"", "\u2028"}), rapid.String())
	rapid.Check(t, func(rt *rapid.T) {
		given := maps.Clone(before)
		for field, value := range before {
			switch value.(type) {
			case nil:
				if rapid.Bool().Draw(rt, field+"?") {
					given[field] = odd.Draw(rt, field)
				}
			case string:
				switch field {
				case "Id", "UserName", "LastName", "Email", "AccessLevel", "TimeZone", "Culture", "LoginKey", "Password", "CreatedDate", "LastLogin":
				default:
					given[field] = odd.Draw(rt, field)
				}
			case bool:
				if field != "Active" {
					given[field] = rapid.Bool().Draw(rt, field)
				}
			}
		}
		s.put(given)
		stored, _ := s.fake.Profile(id)
		for range 2 {
			if err := s.say(s.client.Deactivate(t.Context(), id)); err != nil {
				rt.Fatal(err)
			}
			if err := s.say(s.client.Reactivate(t.Context(), id)); err != nil {
				rt.Fatal(err)
			}
		}
		if after, _ := s.fake.Profile(id); !reflect.DeepEqual(stored, after) {
			rt.Fatalf("the record was\n%v\nand is\n%v", stored, after)
		}
	})
	for _, sent := range s.sent.requests() {
		if strings.Contains(sent, "loginkey=") {
			t.Fatalf("a sign-in key is sent: %s", sent)
		}
	}
}

func (s *stage) active(id string) any {
	p, _ := s.fake.Profile(id)
	return p["Active"]
}

// put writes a record to the fake by hand.
func (s *stage) put(p map[string]any) {
	s.t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p); err != nil {
		s.t.Fatal(err)
	}
	req := httptest.NewRequest(http.MethodPut, fmt.Sprintf("/v1.svc/users/%s?source=test&format=json", p["Id"]), &b)
	req.Header.Set("apikey", apiKey)
	w := httptest.NewRecorder()
	s.fake.ServeHTTP(w, req)
	if w.Code != http.StatusOK {
		s.t.Fatalf("PUT by hand: %d %s", w.Code, w.Body)
	}
}
