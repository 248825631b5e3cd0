package scim_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/scim"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/sqlstore"
)

// bulkText is a Bulk of these operations.
func bulkText(operations ...string) string {
	return `{"schemas":["` + protocol.MessageBulk + `"],"Operations":[` + strings.Join(operations, ",") + `]}`
}

// newcomers are POSTs of users bulk-0 and so on.
func newcomers(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(`{"method":"POST","path":"/Users","bulkId":"u%d","data":%s}`, i, newcomer(i))
	}
	return list
}

func newcomer(i int) string {
	return fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"bulk-%[1]d@mercy.example","name":{"givenName":"Bulk","familyName":"Number %[1]d"},`+
		`"title":"Registered Nurse","emails":[{"value":"bulk-%[1]d@mercy.example","type":"work","primary":true}],"phoneNumbers":[{"value":"+12125550123","type":"mobile"}],"active":true}`, i)
}

// bulkAnswer is what came back.
type bulkAnswer struct {
	Operations []struct {
		Method, BulkID, Location, Version, Status string
		Response                                  *struct{ Status, ScimType, Detail string }
	}
}

func (s *server) bulk(t testing.TB, ctx context.Context, body string) (int, bulkAnswer) { //nolint:revive // t first, as everywhere here
	t.Helper()
	req := httptest.NewRequestWithContext(ctx, http.MethodPost, baseURL+scim.Prefix+"/Bulk", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/scim+json")
	w := s.do(req, "mercy")
	var a bulkAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return w.Code, a
}

// opened is a house with its store at hand, at a database URL.
func opened(t testing.TB, url string, wrap func(scim.Deeds) scim.Deeds) (*server, storage.Store) {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), url, sqlstore.Options{Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() }) //nolint:errcheck // the database goes with the test
	deeds, err := lifecycle.New(lifecycle.Options{Store: store, Mailer: noMail{}, Key: bytes.Repeat([]byte("k"), 32), PortalURL: "https://portal.example"})
	if err != nil {
		t.Fatal(err)
	}
	if err := deeds.EnsurePolicy(t.Context()); err != nil {
		t.Fatal(err)
	}
	mercy, err := store.GetParticipant(t.Context(), "mercy")
	if errors.Is(err, storage.ErrNotFound) {
		mercy, err = deeds.AddParticipant(t.Context(), lifecycle.System, storage.Participant{ID: "mercy", Name: "Mercy"})
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &server{participants: map[string]storage.Participant{"mercy": mercy}}
	s.handler = newHandler(s, wrap(deeds))
	return s, store
}

func TestBulkLimits(t *testing.T) {
	s := &server{participants: map[string]storage.Participant{"mercy": {ID: "mercy"}}}
	s.handler = newHandler(s, failing{}) // whose creation of a user is a panic
	proves(t, 125)
	post := newcomers(1)[0]
	for name, tc := range map[string]struct {
		body, limit string
		operations  int
	}{
		"one operation too many":      {bulkText(slices.Repeat([]string{post}, 10_001)...), "10000", 0},
		"all operations there may be": {bulkText(slices.Repeat([]string{`{"method":"GET"}`}, 10_000)...), "", 10_000},
		"one byte too many":           {padded(post, 16<<20+1), "16777216", 0},
		"all bytes there may be":      {padded(`{"method":"GET"}`, 16<<20), "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			req := httptest.NewRequest(http.MethodPost, baseURL+scim.Prefix+"/Bulk", strings.NewReader(tc.body))
			req.Header.Set("Content-Type", "application/scim+json")
			w := s.do(req, "mercy")
			switch {
			case tc.limit != "" && (w.Code != http.StatusRequestEntityTooLarge || !strings.Contains(w.Body.String(), tc.limit)):
				t.Errorf("%d %.300s", w.Code, w.Body)
			case tc.limit == "" && (w.Code != http.StatusOK || strings.Count(w.Body.String(), `"method":"GET"`) != tc.operations):
				t.Errorf("%d %.300s", w.Code, w.Body)
			}
		})
	}
	if log := s.log.String(); strings.Contains(log, "panicked") {
		t.Errorf("an operation was begun: %.500s", log)
	}
	// Each operation has the limits of a single request.
	_, a := s.bulk(t, t.Context(), bulkText(strings.Replace(post, "Number 0", strings.Repeat("x", 1<<20), 1), `{"method":"PATCH","path":"/Groups/x","data":{"x":"`+strings.Repeat("y", 8<<20)+`"}}`))
	for i, limit := range []string{"1048576", "8388608"} {
		if op := a.Operations[i]; op.Status != "413" || !strings.Contains(op.Response.Detail, limit) {
			t.Errorf("operation %d: %+v", i, op)
		}
	}
}

// padded is a Bulk of one operation and of this many bytes.
func padded(operation string, size int) string {
	text := bulkText(operation)
	return text + strings.Repeat(" ", size-len(text))
}

// An operation that goes wrong on our side is one that failed, and its request
// id leads to the log.
func TestBulkOutlivesAPanic(t *testing.T) {
	s := &server{participants: map[string]storage.Participant{"mercy": {ID: "mercy"}}}
	s.handler = newHandler(s, failing{})
	status, a := s.bulk(t, t.Context(), bulkText(append(newcomers(2), `{"method":"DELETE","path":"/Widgets/1"}`)...))
	if status != http.StatusOK || len(a.Operations) != 3 || a.Operations[2].Status != "404" {
		t.Fatalf("%d %+v", status, a)
	}
	for i, op := range a.Operations[:2] {
		if op.Status != "500" || !strings.Contains(op.Response.Detail, fmt.Sprintf("request id req-1:%d)", i)) || strings.Contains(op.Response.Detail, "secret") {
			t.Errorf("%+v", op.Response)
		}
	}
	if !strings.Contains(s.log.String(), "req-1:1") {
		t.Errorf("the log does not name the operation: %.2000s", s.log)
	}
}

func TestBulkLeavesTheRecordOfSingleRequests(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			proves(t, 127)
			s, store := opened(t, engine.url(t), func(d scim.Deeds) scim.Deeds { return d })
			status, a := s.bulk(t, t.Context(), bulkText(append(newcomers(2),
				`{"method":"PATCH","path":"/Users/bulkId:u0","data":{"Operations":[{"op":"replace","path":"active","value":"False"}]}}`,
				`{"method":"PATCH","path":"/Users/bulkId:u1","data":{"schemas":["`+protocol.MessagePatch+`"],"Operations":[{"op":"replace","value":{"active":"False"}}]}}`,
				`{"method":"DELETE","path":"/Users/bulkId:u1"}`)...))
			if status != http.StatusOK || len(a.Operations) != 5 {
				t.Fatalf("%d %+v", status, a)
			}
			for i, want := range []string{"201", "201", "200", "200", "204"} {
				if a.Operations[i].Status != want {
					t.Fatalf("operation %d: %+v", i, a.Operations[i])
				}
			}
			entries, err := store.ListEntries(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, e := range entries {
				var c struct {
					Action, Request string
					Actor           struct{ Kind, Subject string }
				}
				if err := json.Unmarshal(e.Canonical, &c); err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(c.Action, "user.") {
					got[c.Request] = c.Action + " by " + c.Actor.Subject
				}
			}
			for i, action := range []string{"user.created", "user.created", "user.deactivated", "user.deactivated", "user.deleted"} {
				if request := fmt.Sprintf("req-1:%d", i); got[request] != action+" by entra" {
					t.Errorf("%s: %q, want %q", request, got[request], action)
				}
			}
			// Every operation counts its own leniencies; the log has one line.
			count := func(name string) (n int) {
				for _, l := range s.leniencies {
					if l == name {
						n++
					}
				}
				return n
			}
			if count("string-boolean") != 2 || count("schemas-missing") != 1 {
				t.Errorf("counted %v", s.leniencies)
			}
			if log := s.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "operations=5 attempted=5 errors=0") || !strings.Contains(log, "string-boolean") {
				t.Errorf("log: %s", log)
			}
		})
	}
}

// leaving ends a request's context inside its n-th creation, as a client that
// leaves does.
type leaving struct {
	scim.Deeds
	left *int
	end  func()
}

func (l leaving) CreateUser(ctx context.Context, a lifecycle.Actor, d lifecycle.UserDraft) (storage.User, error) {
	if *l.left--; *l.left == 0 {
		l.end()
	}
	return l.Deeds.CreateUser(ctx, a, d)
}

func TestBulkStopsBetweenOperations(t *testing.T) {
	stopping := lifecycle.Faultf(lifecycle.KindForbidden, "", "this was not carried out: the token was revoked")
	for _, engine := range engines {
		for name, tc := range map[string]struct {
			cause  error
			status string
		}{"the client left": {context.Canceled, "503"}, "the time is over": {context.DeadlineExceeded, "503"}, "the door says why": {stopping, "403"}} {
			t.Run(engine.name+"/"+name, func(t *testing.T) {
				ctx, end := context.WithCancelCause(t.Context())
				defer end(nil)
				left := 3
				s, store := opened(t, engine.url(t), func(d scim.Deeds) scim.Deeds { return leaving{d, &left, func() { end(tc.cause) }} })
				status, a := s.bulk(t, ctx, bulkText(newcomers(10)...))
				if status != http.StatusOK || len(a.Operations) != 10 {
					t.Fatalf("%d %+v", status, a)
				}
				for i, op := range a.Operations {
					want := "201"
					if i >= 3 {
						want = tc.status
					}
					if op.Status != want || i >= 3 && !strings.Contains(op.Response.Detail, "not ") {
						t.Errorf("operation %d: %+v", i, op)
					}
				}
				whole(t, store, 3, 3)
				if log := s.log.String(); !strings.Contains(log, "operations=10 attempted=3") {
					t.Errorf("log: %s", log)
				}
			})
		}
	}
}

// whole says that the newcomers are there from the first on, at least and at
// most so many, each with everything that belongs to a deed.
func whole(t *testing.T, store storage.Store, atLeast, atMost int) {
	t.Helper()
	users, n, err := store.ListUsers(t.Context(), storage.Query{Participant: "mercy", Limit: -1, Total: true})
	if err != nil {
		t.Fatal(err)
	}
	if n < atLeast || n > atMost {
		t.Errorf("%d users are kept, want %d to %d", n, atLeast, atMost)
	}
	names := map[string]bool{}
	for _, u := range users {
		names[u.UserName] = true
		rows, err := store.ListHistory(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := store.ListEntries(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) != int(u.Version) || len(entries) == 0 || u.Email == "" || u.Title == "" || u.Decision.Reason == "" {
			t.Errorf("%s is half done: %d versions, %d entries, %+v", u.UserName, len(rows), len(entries), u)
		}
		for _, row := range rows {
			if !slices.ContainsFunc(entries, func(e storage.EntryRow) bool { return bytes.Contains(e.Canonical, []byte(row.Digest)) }) {
				t.Errorf("version %d of %s stands in no entry", row.Version, u.UserName)
			}
		}
	}
	for i := range n {
		if name := fmt.Sprintf("bulk-%d@mercy.example", i); !names[name] {
			t.Errorf("%d users are kept, and %s is not one of them", n, name)
		}
	}
}

const bulkChild = "HEALTHIX_TEST_BULK"

// telling says which creations were committed.
type telling struct{ scim.Deeds }

func (d telling) CreateUser(ctx context.Context, a lifecycle.Actor, draft lifecycle.UserDraft) (storage.User, error) {
	u, err := d.Deeds.CreateUser(ctx, a, draft)
	if err == nil {
		fmt.Println("kept", u.UserName)
	}
	return u, err
}

// A process that is killed in the middle of a Bulk leaves what it had done and
// no half of anything.
func TestBulkKilled(t *testing.T) {
	const operations, seen = 2000, 25
	if url := os.Getenv(bulkChild); url != "" {
		s, _ := opened(t, url, func(d scim.Deeds) scim.Deeds { return telling{d} })
		s.bulk(t, t.Context(), bulkText(newcomers(operations)...))
		return
	}
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			proves(t, 124)
			url := engine.url(t)
			child := exec.Command(os.Args[0], "-test.run=^TestBulkKilled$", "-test.count=1") // this test, once more
			child.Env = append(os.Environ(), bulkChild+"="+url)
			out, err := child.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			kept := 0
			for kept < seen && lines.Scan() {
				if strings.HasPrefix(lines.Text(), "kept ") {
					kept++
				}
			}
			_ = child.Process.Kill() // SIGKILL
			for lines.Scan() {
				if strings.HasPrefix(lines.Text(), "kept ") {
					kept++
				}
			}
			_ = child.Wait() // it was killed, and says so
			if kept < seen || kept == operations {
				t.Fatalf("%d creations before the kill", kept)
			}
			_, store := opened(t, url, func(d scim.Deeds) scim.Deeds { return d })
			whole(t, store, kept, kept+1) // one may have been committed and not told
		})
	}
}

// Beside one another: the same people in one Bulk and in single requests, over
// one connection.
func BenchmarkThousandCreates(b *testing.B) {
	const n = 1000
	people := newcomers(n)
	for _, engine := range engines {
		for name, send := range map[string]func(b *testing.B, url string){
			"bulk": func(b *testing.B, url string) {
				if text := post(b, url+"/Bulk", bulkText(people...)); strings.Count(text, `"status":"201"`) != n {
					b.Fatalf("%.500s", text)
				}
			},
			"single": func(b *testing.B, url string) {
				for i := range n {
					if text := post(b, url+"/Users", newcomer(i)); !strings.Contains(text, `"id"`) {
						b.Fatal(text)
					}
				}
			},
		} {
			b.Run(engine.name+"/"+name, func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					s := newServer(b, engine)
					door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						caller := scim.Caller{Actor: lifecycle.Actor{Kind: "provider", Subject: "entra"}, Participant: s.participants["mercy"]}
						s.handler.ServeHTTP(w, r.WithContext(scim.WithCaller(r.Context(), caller)))
					}))
					b.StartTimer()
					send(b, door.URL+scim.Prefix)
					b.StopTimer()
					door.Close()
					b.StartTimer()
				}
				b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/user")
			})
		}
	}
}

func post(b *testing.B, url, body string) string {
	b.Helper()
	res, err := http.Post(url, "application/scim+json", strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read whole
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.Fatal(err)
	}
	return string(text)
}

// TestABulkAnswersNoMoreThanItMayHold: past the bound an operation's answer is
// its status, and it is carried out all the same.
func TestABulkAnswersNoMoreThanItMayHold(t *testing.T) {
	s := newServer(t, engines[0])
	code, made := s.bulk(t, t.Context(), bulkText(fmt.Sprintf(`{"method":"POST","path":"/Users","bulkId":"a","data":{"userName":"a","nickName":"%s"}}`, strings.Repeat("n", 400_000))))
	if code != http.StatusOK || made.Operations[0].Status != "201" {
		t.Fatalf("%d %+v", code, made)
	}
	id := made.Operations[0].Location[strings.LastIndex(made.Operations[0].Location, "/")+1:]
	operations := make([]string, 50) // 20 MB, were all of them shown
	for i := range operations {
		operations[i] = fmt.Sprintf(`{"method":"PATCH","path":"/Users/%s?attributes=nickName","data":{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"displayName","value":"d%d"}]}}`, id, i)
	}
	_, answer := s.bulk(t, t.Context(), bulkText(operations...))
	shown := 0
	for i, op := range answer.Operations {
		if op.Status != "200" || op.Version == "" {
			t.Errorf("operation %d: %+v", i, op)
		}
		if op.Response != nil {
			shown++
		}
	}
	if shown == 0 || shown == len(operations) {
		t.Errorf("%d of %d resources are in the answer", shown, len(operations))
	}
}
