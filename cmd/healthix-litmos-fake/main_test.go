package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/connector/litmos"
	"github.com/healthix/healthix-scim/connector/litmos/litmosfake"
)

// output is a writer that a test reads while the program writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start runs the program until the test's end, and answers its address.
func start(t *testing.T, args ...string) (address string, said *output) {
	t.Helper()
	said = &output{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, append([]string{"-addr", "127.0.0.1:0"}, args...), said) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the program ends with %v", err)
		}
	})
	listening := regexp.MustCompile(`HEALTHIX_LITMOS_URL=(http://\S+)/v1\.svc`)
	for range 500 {
		if m := listening.FindStringSubmatch(said.String()); m != nil {
			return m[1], said
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("it does not listen: %s", said)
	return "", nil
}

func call(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

const userID = "0190b2a4-7c1e-7d3a-9f52-3c1e5a7b9d01"

// A demonstration from the command line: somebody is enrolled, completes, and
// the webhook arrives.
func TestDemonstration(t *testing.T) {
	hooks := make(chan string, 10)
	house := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		id, _ := litmos.ParseHook(body)
		hooks <- r.URL.Path + " " + id
		w.WriteHeader(http.StatusAccepted)
	}))
	defer house.Close()
	address, said := start(t, "-hook", house.URL+"/hooks/litmos/hunter2", "-hook-repeat", "1", "-key", "key-of-the-demo")
	client, err := litmos.New(litmos.Options{URL: address, APIKey: "key-of-the-demo", Source: "healthix", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	id, err := client.Enrol(t.Context(), litmos.Learner{UserID: userID, GivenName: "June", FamilyName: "Park", Email: "june.park@general.example"})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Assign(t.Context(), id, "C-POLICY", "LP-CLINICAL"); err != nil {
		t.Fatal(err)
	}
	if code, text := call(t, "POST", address+"/_fake/complete", `{"user":"`+userID+`","module":"C-POLICY"}`); code != http.StatusNoContent {
		t.Fatalf("complete: %d %s", code, text)
	}
	for range 2 {
		select {
		case hook := <-hooks:
			if hook != "/hooks/litmos/hunter2 "+id {
				t.Errorf("webhook %q", hook)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("no webhook")
		}
	}
	if got, err := client.Completed(t.Context(), id); err != nil || len(got) != 1 || got[0].Module != "C-POLICY" {
		t.Errorf("completed %v, %v", got, err)
	}
	code, state := call(t, "GET", address+"/_fake/state", "")
	if code != http.StatusOK || !strings.Contains(state, `"C-POLICY":true`) || !strings.Contains(state, `"C-CLINICAL":false`) {
		t.Errorf("state: %d %s", code, state)
	}
	for _, text := range []string{state, said.String()} {
		if strings.Contains(text, "loginkey") || strings.Contains(text, "hunter2") {
			t.Errorf("a secret shows: %s", text)
		}
	}
}

// A webhook that nobody takes is tried again, and the log keeps its address to
// itself: it holds a secret.
func TestUntakenWebhooks(t *testing.T) {
	tried := make(chan struct{}, 10)
	house := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		tried <- struct{}{}
		w.WriteHeader(http.StatusNoContent) // no receipt, says Litmos
	}))
	address, said := start(t, "-hook", house.URL+"/hooks/litmos/hunter2")
	client, err := litmos.New(litmos.Options{URL: address, APIKey: "fake-key", Source: "healthix", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	id, err := client.Enrol(t.Context(), litmos.Learner{UserID: userID, GivenName: "June", FamilyName: "Park", Email: "june.park@general.example"})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Assign(t.Context(), id, "C-POLICY"); err != nil {
		t.Fatal(err)
	}
	if code, text := call(t, "POST", address+"/_fake/complete", `{"user":"`+id+`","module":"C-POLICY"}`); code != http.StatusNoContent {
		t.Fatalf("complete: %d %s", code, text)
	}
	<-tried
	house.Close() // the next try finds nobody
	for range 500 {
		if text := said.String(); strings.Contains(text, "status=204") && strings.Contains(text, "not delivered") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	text := said.String()
	if !strings.Contains(text, "status=204") || !strings.Contains(text, "not delivered") || strings.Contains(text, "hunter2") {
		t.Errorf("the log is %s", text)
	}
}

func TestCommands(t *testing.T) {
	address, _ := start(t, "-per-minute", "100", "-delay", "1ms", "-next", "ok,503")
	for _, tc := range []struct {
		method, path, body string
		code               int
		says               string
	}{
		{"GET", "/", "", 200, "POST /_fake/complete"},
		{"GET", "/_fake/knobs", "", 200, `"perMinute":100,"retryAfter":0,"trouble":0,"next":["ok","503"],"delay":"1ms"`},
		{"PUT", "/_fake/knobs", `{"shuffle":true,"late":"2m"}`, 204, ""},
		{"GET", "/_fake/knobs", "", 200, `"next":["ok","503"]`},
		{"GET", "/_fake/knobs", "", 200, `"late":"2m0s"`},
		{"PUT", "/_fake/knobs", `{"shufle":true}`, 400, "shufle"},
		{"PUT", "/_fake/knobs", `{"next":["explode"]}`, 422, "explode"},
		{"PUT", "/_fake/knobs", `{"trouble":2}`, 422, "0 to 1"},
		{"PUT", "/_fake/knobs", `{"late":"-1s"}`, 400, "duration"},
		{"POST", "/_fake/courses", `{"id":"C-NEW","name":"New"}`, 204, ""},
		{"POST", "/_fake/paths", `{"id":"LP-NEW","name":"New","courses":["C-NEW"]}`, 204, ""},
		{"POST", "/_fake/paths", `{"id":"LP-BAD","courses":["C-NONE"]}`, 422, "C-NONE"},
		{"POST", "/_fake/retire", `{"id":"C-NEW"}`, 204, ""},
		{"POST", "/_fake/users", `{"userName":"other","firstName":"O","lastName":"T","email":"o@t.example"}`, 200, `"id":`},
		{"POST", "/_fake/complete", `{"user":"other","module":"C-POLICY"}`, 422, "not assigned"},
		{"POST", "/_fake/complete", `{"user":"nobody","module":"C-POLICY"}`, 422, "no such user"},
		{"POST", "/_fake/complete", `{`, 400, ""},
		{"POST", "/_fake/remove", `{"id":"none"}`, 204, ""},
		{"POST", "/_fake/hooks", "", 200, `"sent":0`},
		{"GET", "/_fake/nothing", "", 404, ""},
	} {
		code, text := call(t, tc.method, address+tc.path, tc.body)
		if code != tc.code || !strings.Contains(text, tc.says) {
			t.Errorf("%s %s %s: %d %s, want %d %q", tc.method, tc.path, tc.body, code, text, tc.code, tc.says)
		}
	}
}

// Like the real one, it answers only those who have the key and say who they
// are.
func TestTheAPIWantsKeyAndSource(t *testing.T) {
	address, _ := start(t)
	for query, want := range map[string]int{"?source=a&format=json": 401, "": 401} {
		if code, _ := call(t, "GET", address+"/v1.svc/users"+query, ""); code != want {
			t.Errorf("%q without a key: %d, want %d", query, code, want)
		}
	}
	for query, want := range map[string]int{"?source=a&format=json": 200, "?format=json": 400, "?source=a": 406} {
		req, err := http.NewRequest(http.MethodGet, address+"/v1.svc/users"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("apikey", "fake-key")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%q: %d, want %d", query, res.StatusCode, want)
		}
	}
}

// Webhooks that are held back leave when they are told to.
func TestHeldWebhooks(t *testing.T) {
	hooks := make(chan struct{}, 10)
	house := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hooks <- struct{}{} }))
	defer house.Close()
	fake := litmosfake.New(litmosfake.Options{Key: "k", Hook: house.URL, Now: time.Now, Knobs: litmosfake.Knobs{HookHold: true}})
	defer fake.Close()
	fake.AddCourse("C1", "One")
	server := httptest.NewServer(fake)
	defer server.Close()
	client, err := litmos.New(litmos.Options{URL: server.URL, APIKey: "k", Source: "healthix", Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	id, err := client.Enrol(t.Context(), litmos.Learner{UserID: userID, GivenName: "June", FamilyName: "Park", Email: "june.park@general.example"})
	if err == nil {
		err = client.Assign(t.Context(), id, "C1")
	}
	if err == nil {
		err = fake.Complete(id, "C1", time.Time{})
	}
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-hooks:
		t.Error("the webhook was not held back")
	case <-time.After(100 * time.Millisecond):
	}
	if _, text := call(t, "POST", server.URL+"/_fake/hooks", ""); !strings.Contains(text, `"sent":1`) {
		t.Errorf("sent %s", text)
	}
	select {
	case <-hooks:
	case <-time.After(10 * time.Second):
		t.Error("the webhook never came")
	}
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{"-no-such-flag"}, {"stray"}, {"-delay", "soon"}, {"-trouble", "2"}, {"-next", "explode"}, {"-dates", "roman"},
		{"-hook", "ftp://u:hunter2@host"}, {"-hook", "http://"}, {"-per-minute", "-1"},
	} {
		var said bytes.Buffer
		if err := run(t.Context(), args, &said); !errors.Is(err, errUsage) || said.Len() == 0 || strings.Contains(said.String(), "hunter2") {
			t.Errorf("%v: %v, says %q", args, err, &said)
		}
	}
	for _, args := range [][]string{{"-course", "nameless"}, {"-course", "=x"}, {"-path", "LP=x"}, {"-path", "LP=x:C-NONE"}, {"-addr", "127.0.0.1:http:x"}} {
		if err := run(t.Context(), args, io.Discard); err == nil || errors.Is(err, errUsage) {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// docs/litmos.md lists the knobs and flags there are, and its commands work on
// what the program offers by itself.
func TestDocumentListsTheKnobs(t *testing.T) {
	text, err := os.ReadFile("../../docs/litmos.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| Knob | Flag |\n|---|---|\n")
	if !found {
		t.Fatal("docs/litmos.md has no table of knobs")
	}
	var documented, real []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| `(-[a-z-]+)` \\|$").FindAllStringSubmatch(table, -1) {
		documented = append(documented, m[1]+" "+m[2])
	}
	kind := reflect.TypeFor[litmosfake.Knobs]()
	for i := range kind.NumField() {
		name := kind.Field(i).Tag.Get("json")
		real = append(real, name+" -"+kebab(name))
		if kind.Field(i).Tag.Get("help") == "" {
			t.Errorf("%s has no help", name)
		}
	}
	if !reflect.DeepEqual(documented, real) {
		t.Errorf("docs/litmos.md lists\n%v\nthere are\n%v", documented, real)
	}
	var usage bytes.Buffer
	if _, err := parse([]string{"-h"}, &usage); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	for _, line := range real {
		name, flagName, _ := strings.Cut(line, " ")
		if !strings.Contains(usage.String(), "\n  "+flagName) || !strings.Contains(litmosfake.Usage(), "\n  "+name+" ") {
			t.Errorf("%s or %s is missing in the usage", name, flagName)
		}
	}
	fake := litmosfake.New(litmosfake.Options{Key: "fake-key", Now: time.Now})
	defer fake.Close()
	if err := offer(fake, settings{}); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/courses/C-POLICY", "/courses/C-CLINICAL", "/learningpaths/LP-CLINICAL"} {
		req := httptest.NewRequest(http.MethodGet, "/v1.svc"+path+"?source=a&format=json", nil)
		req.Header.Set("apikey", "fake-key")
		w := httptest.NewRecorder()
		fake.ServeHTTP(w, req)
		if id := path[strings.LastIndex(path, "/")+1:]; w.Code != http.StatusOK || !strings.Contains(string(text), "`"+id+"`") {
			t.Errorf("%s: %d, or docs/litmos.md does not name it", path, w.Code)
		}
	}
	_, orders, _ := strings.Cut(string(text), "\n## The fake\n") // the trial before it is run, by the server's tests
	commands := regexp.MustCompile(`/_fake/(\w+) -d '([^']*)'`).FindAllStringSubmatch(orders, -1)
	if len(commands) != 2 {
		t.Errorf("docs/litmos.md has %d commands with a body", len(commands))
	}
	for _, m := range commands {
		if !json.Valid([]byte(m[2])) {
			t.Errorf("the command for %s sends %s", m[1], m[2])
		}
	}
}
