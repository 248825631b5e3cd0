package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// logged is a house with a request log. What stands at /scim/v2 says back what
// it was sent, which is the most that an answer can give away.
type logged struct {
	*house
	requests *RequestLog
	stop     func() // ends the writer, as a shutdown does
}

func newLogged(t *testing.T, store RequestStore) *logged {
	t.Helper()
	l := &logged{}
	l.house = newHouse(t, func(o *Options) {
		if store == nil {
			store = o.Store.(RequestStore)
		}
		o.Metrics, o.RateLimit, o.SCIM = NewMetrics(), Rate{Off: true}, http.HandlerFunc(sayBack)
		o.SCIMError = func(w http.ResponseWriter, _ *http.Request, status int, scimType, detail string) {
			w.WriteHeader(status)
			fmt.Fprintf(w, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"%d","scimType":%q,"detail":%q}`, status, scimType, detail) //nolint:errcheck // test
		}
		o.Requests = NewRequestLog(store, o.Metrics, o.Log, o.Service.Now)
		l.requests = o.Requests
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.requests.Run(ctx) }()
	l.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(l.stop)
	return l
}

func sayBack(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	Note(r.Context(), slog.Any("leniencies", []leniency{"op-case"}), slog.Any("dropped", []string{"shoeSize", "ana@x.example"}))
	if found := r.URL.Query().Get("found"); found != "" {
		Note(r.Context(), slog.String("found", found))
	}
	w.Header().Set("Content-Type", "text/plain") // not always an object
	if r.Method == http.MethodPost {
		w.Header().Set("Location", "http://house.example/scim/v2/Users/"+anaID)
		w.WriteHeader(http.StatusCreated)
	}
	w.Write(body) //nolint:errcheck // test
}

type leniency string

// rows ends the writer and reads the log of a participant, oldest first.
func (l *logged) rows(participant string) []storage.RequestRow {
	l.t.Helper()
	l.stop()
	rows, err := l.store.ListRequests(l.t.Context(), storage.RequestQuery{Participant: participant, Limit: 10_000})
	if err != nil {
		l.t.Fatal(err)
	}
	for i, j := 0, len(rows)-1; i < j; i, j = i+1, j-1 {
		rows[i], rows[j] = rows[j], rows[i]
	}
	return rows
}

// lost is what the metrics say.
func (l *logged) lost(reason string) int {
	l.t.Helper()
	_, text, found := strings.Cut(l.must(200, "GET", "/metrics", "", "").body, `healthix_request_log_lost_total{reason="`+reason+`"} `)
	var n int
	if _, err := fmt.Sscan(text, &n); err != nil || !found {
		l.t.Fatalf("no metric for %q: %v", reason, err)
	}
	return n
}

func TestRequestsAreLogged(t *testing.T) {
	l := newLogged(t, nil)
	scim := l.token(auth.ScopeSCIM, "mercy")
	before := l.service.Now()
	l.must(201, "POST", "/scim/v2/Users?attributes=userName", scim, `{"userName":"ana","title":"RN"}`,
		"X-Request-Id", "req-7", "User-Agent", "Okta SCIM Client 1.0\t"+strings.Repeat("x", 300))
	l.must(200, "PATCH", "/scim/v2/Users/"+anaID, scim, `{"active":false}`)
	l.must(200, "GET", "/scim/v2/Users/ana@x.example", scim, "")
	l.must(413, "POST", "/scim/v2/Users", scim, `"`+strings.Repeat("x", maxResource)+`"`)
	l.must(200, "GET", root+"/users", l.token(auth.ScopeOperator, ""), "") // no business of this log
	rows := l.rows("mercy")
	if len(rows) != 4 {
		t.Fatalf("%d rows: %+v", len(rows), rows)
	}
	made := rows[0]
	if made.At.Before(before.Add(-time.Second)) || made.Took <= 0 || made.Took > time.Minute || made.Token == "" || made.Address != "127.0.0.1" || len(made.UserAgent) > maxValue+3 {
		t.Errorf("%+v", made)
	}
	made.At, made.Took, made.ID, made.Token, made.UserAgent = time.Time{}, 0, "", "", made.UserAgent[:20]
	want := storage.RequestRow{
		Participant: "mercy", RequestID: "req-7", Address: "127.0.0.1", Method: "POST", Route: "/scim/v2/Users", Resource: anaID, Query: "attributes=userName",
		Status: 201, BytesIn: 31, BytesOut: 31, Leniencies: []string{"op-case"}, Dropped: []string{"shoeSize", "‹name 13›"}, UserAgent: "Okta SCIM Client 1.0",
		Request: `{"userName":"‹string 3›","title":"RN"}`, Answer: `{"userName":"‹string 3›","title":"RN"}`,
	}
	if fmt.Sprintf("%+v", made) != fmt.Sprintf("%+v", want) {
		t.Errorf("\n got %+v\nwant %+v", made, want)
	}
	if r := rows[1]; r.Route != "/scim/v2/Users/{id}" || r.Resource != anaID || r.Status != 200 || r.Request != `{"active":false}` {
		t.Errorf("%+v", r)
	}
	if r := rows[2]; r.Resource != "" || r.Request != "" || strings.Contains(fmt.Sprint(r), "ana@") {
		t.Errorf("a path that names a person: %+v", r)
	}
	if r := rows[3]; r.Status != 413 || r.BytesIn != maxResource+2 || r.Request != "" || !strings.Contains(r.Answer, "larger than") {
		t.Errorf("too large: %+v", r)
	}
}

func TestRefusedTokensAreTheirParticipants(t *testing.T) {
	l := newLogged(t, nil)
	keep := func(change func(*storage.Token)) string {
		t.Helper()
		record, err := l.service.IssueToken(t.Context(), operator, lifecycle.TokenSpec{Scope: auth.ScopeSCIM, Participant: "mercy", Label: "entra"})
		if err != nil {
			t.Fatal(err)
		}
		change(&record)
		if err := l.store.Write(t.Context(), func(ctx context.Context, tx storage.Tx) error { return tx.PutToken(ctx, record) }); err != nil {
			t.Fatal(err)
		}
		text, err := l.signer.Mint(record)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	yesterday := l.service.Now().Add(-24 * time.Hour)
	expired := keep(func(k *storage.Token) { k.Expires = yesterday })
	revoked := keep(func(k *storage.Token) { k.Revoked = &yesterday })
	lookalike, err := l.signer.Mint(storage.Token{ID: "never-issued", Participant: "mercy", Scope: auth.ScopeSCIM, Expires: yesterday.Add(48 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	// A forger may name whomever they like.
	parts := strings.Split(expired, ".")
	forged := parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2]))
	secret := `{"userName":"ana"}`
	for token, status := range map[string]int{
		expired: 401, revoked: 401, l.token(auth.ScopeAUM, "mercy"): 403, l.token(auth.ScopeOperator, ""): 403,
		lookalike: 401, forged: 401, "": 401, "s3cret": 401,
	} {
		l.must(status, "POST", "/scim/v2/Users", token, secret)
	}
	mercys := l.rows("mercy")
	if len(mercys) != 3 {
		t.Fatalf("mercy has %d rows: %+v", len(mercys), mercys)
	}
	said := fmt.Sprintf("%+v", mercys)
	for _, want := range []string{"expired on " + yesterday.Format("2006-01-02"), "revoked on " + yesterday.Format("2006-01-02"), "a token of scope aum may not", "TokenLabel:entra"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is missing in %s", want, said)
		}
	}
	nobodys := l.rows("")
	if len(nobodys) != 5 {
		t.Fatalf("%d rows of nobody: %+v", len(nobodys), nobodys)
	}
	for _, r := range nobodys {
		if (r.Token != "") != (r.Status == 403) { // the operator's own
			t.Errorf("%+v", r)
		}
	}
	for _, r := range append(mercys, nobodys...) {
		if text := fmt.Sprintf("%+v", r); r.Request != "" || strings.Contains(text, "ana") || strings.Contains(text, parts[1]) || strings.Contains(text, parts[2]) || strings.Contains(text, "s3cret") {
			t.Errorf("a body that was never let in, or a token: %s", text)
		}
	}
}

func TestStrangersAreBounded(t *testing.T) {
	l := newLogged(t, nil)
	begin := time.Now()
	for range 300 {
		l.must(401, "GET", "/scim/v2/Users", "not-a-token", "")
	}
	l.must(200, "GET", "/scim/v2/Users", l.token(auth.ScopeSCIM, "mercy"), "")
	most := strangerRate.Burst + int(strangerRate.PerSecond*(time.Since(begin).Seconds()+1))
	n := len(l.rows(""))
	if n < strangerRate.Burst || n > most {
		t.Errorf("%d rows of strangers, at most %d expected", n, most)
	}
	if lost := l.lost(lostToStrangers); lost != 300-n {
		t.Errorf("%d lost, %d of 300 kept", lost, n)
	}
	if got := len(l.rows("mercy")); got != 1 {
		t.Errorf("a token's own request left %d rows during the flood", got)
	}
}

// hanging is a store that does not answer until it is let go.
type hanging struct {
	storage.Store
	free chan struct{}
	rows []storage.RequestRow
}

func (h *hanging) AppendRequests(ctx context.Context, rows []storage.RequestRow) error {
	select {
	case <-h.free:
		h.rows = append(h.rows, rows...)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("append: %w", ctx.Err())
	}
}

func TestAHangingStoreHoldsNobodyUp(t *testing.T) {
	store := &hanging{free: make(chan struct{})}
	l := newLogged(t, store)
	scim := l.token(auth.ScopeSCIM, "mercy")
	const n = queueLength + batchRows + 100
	var wg sync.WaitGroup
	slow := make(chan time.Duration, n)
	for worker := range 8 {
		wg.Go(func() {
			h := &house{t: t, url: l.url}
			for i := worker; i < n; i += 8 {
				begin := time.Now()
				h.must(200, "GET", "/scim/v2/Users", scim, "")
				slow <- time.Since(begin)
			}
		})
	}
	wg.Wait()
	close(slow)
	for took := range slow {
		if took > keepTime/2 {
			t.Fatalf("a request took %s", took)
		}
	}
	lost := l.lost(lostToQueue)
	if lost < 100 || lost > n-queueLength {
		t.Errorf("%d of %d requests were lost to a queue of %d", lost, n, queueLength)
	}
	close(store.free)
	l.stop()
	if len(store.rows) != n-lost {
		t.Errorf("%d rows kept, %d lost, of %d", len(store.rows), lost, n)
	}
}

// flaky is a store that is away for a while, and then refuses one batch.
type flaky struct {
	mu       sync.Mutex
	failures []error
	rows     int
}

func (f *flaky) AppendRequests(_ context.Context, rows []storage.RequestRow) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.failures) > 0 {
		err := f.failures[0]
		f.failures = f.failures[1:]
		return err
	}
	f.rows += len(rows)
	return nil
}

func TestAStoreThatIsAwayIsWaitedFor(t *testing.T) {
	store := &flaky{failures: []error{fmt.Errorf("append: %w", storage.ErrUnavailable), storage.ErrUnavailable}}
	l := newLogged(t, store)
	scim := l.token(auth.ScopeSCIM, "mercy")
	l.must(200, "GET", "/scim/v2/Users", scim, "")
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		store.mu.Lock()
		rows := store.rows
		store.mu.Unlock()
		if rows == 1 {
			break
		}
		if time.Since(begin) > 20*time.Second {
			t.Fatal("the row never came")
		}
	}
	store.mu.Lock()
	store.failures = []error{errors.New("no such column")} // trying again would not help
	store.mu.Unlock()
	l.must(200, "GET", "/scim/v2/Users", scim, "")
	l.stop()
	if l.lost(lostToStore) != 1 || strings.Count(l.log.String(), "not in the request log") != 2 {
		t.Errorf("%d lost\n%s", l.lost(lostToStore), l.log)
	}
}

func TestRequestsAPI(t *testing.T) {
	l := newLogged(t, nil)
	at := time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	var rows []storage.RequestRow
	for i := range 25 {
		rows = append(rows, storage.RequestRow{
			Participant: []string{"mercy", "general", "mercy", "mercy", ""}[i%5], At: at.Add(time.Duration(i/2) * time.Second), ID: fmt.Sprintf("%02d", i), Method: "GET",
			Status: []int{200, 404, 429}[i%3], Resource: map[bool]string{true: anaID}[i%4 == 0], Took: 1234 * time.Microsecond, Request: `{"active":true}`,
		})
	}
	if err := l.store.AppendRequests(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	ids := func(a answer) (ids []string) {
		for _, item := range a.json["items"].([]any) {
			ids = append(ids, item.(map[string]any)["id"].(string))
		}
		return ids
	}
	want := func(keep func(storage.RequestRow) bool) (ids []string) {
		for i := len(rows) - 1; i >= 0; i-- {
			if r := rows[i]; keep(r) {
				ids = append(ids, r.ID)
			}
		}
		return ids
	}
	mercy := func(r storage.RequestRow) bool { return r.Participant == "mercy" }
	tokens := map[string]string{"operator": l.token(auth.ScopeOperator, ""), "auditor": l.token(auth.ScopeAuditor, ""), "own auditor": l.token(auth.ScopeAuditor, "mercy"), "aum": l.token(auth.ScopeAUM, "mercy")}
	path := root + "/participants/mercy/requests"
	for name, token := range tokens {
		var got []string
		for next := path + "?limit=4"; next != ""; { // page after page
			a := l.must(200, "GET", next, token, "")
			got = append(got, ids(a)...)
			next = ""
			if cursor, more := a.json["nextCursor"].(string); more {
				next = path + "?limit=4&cursor=" + cursor
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want(mercy)) {
			t.Errorf("%s: %v, want %v", name, got, want(mercy))
		}
	}
	if n := len(l.reads()); n != 16 { // four pages each
		t.Errorf("%d reads are on record, want 16", n)
	}
	for query, keep := range map[string]func(storage.RequestRow) bool{
		"status=404":                   func(r storage.RequestRow) bool { return r.Status == 404 },
		"status=4xx":                   func(r storage.RequestRow) bool { return r.Status >= 400 },
		"status=5xx":                   func(storage.RequestRow) bool { return false },
		"user=" + anaID:                func(r storage.RequestRow) bool { return r.Resource == anaID },
		"user=nobody":                  func(storage.RequestRow) bool { return false },
		"from=2026-03-02T12:00:05Z":    func(r storage.RequestRow) bool { return !r.At.Before(at.Add(5 * time.Second)) },
		"to=2026-03-02T07:00:05-05:00": func(r storage.RequestRow) bool { return r.At.Before(at.Add(5 * time.Second)) },
		"from=2026-03-02T12:00:02Z&to=2026-03-02T12:00:09Z&status=2xx": func(r storage.RequestRow) bool {
			return r.Status == 200 && !r.At.Before(at.Add(2*time.Second)) && r.At.Before(at.Add(9*time.Second))
		},
	} {
		got := ids(l.must(200, "GET", path+"?"+query, tokens["aum"], ""))
		if all := want(func(r storage.RequestRow) bool { return mercy(r) && keep(r) }); fmt.Sprint(got) != fmt.Sprint(all) {
			t.Errorf("%s: %v, want %v", query, got, all)
		}
	}
	first := l.must(200, "GET", path+"?limit=1", tokens["aum"], "")
	if item := first.json["items"].([]any)[0].(map[string]any); item["durationMs"] != 1.234 || item["token"] != nil || fmt.Sprint(item["request"]) != "map[active:true]" || item["answer"] != nil {
		t.Errorf("an item: %v", item)
	}
	cursor := first.json["nextCursor"].(string)
	for query, attribute := range map[string]string{
		"status=40": "status", "status=4XX": "status", "status=all": "status", "from=yesterday": "from", "to=2026-03-02T12:00:00": "to",
		"limit=501": "limit", "participant=mercy": "participant", "status=404&limit=1&cursor=" + cursor: "cursor", "cursor=x": "cursor",
	} {
		if got := l.must(400, "GET", path+"?"+query, tokens["aum"], ""); got.json["attribute"] != attribute {
			t.Errorf("%s: %s", query, got.body)
		}
	}
	// Others do not exist, and neither do strangers, to a bound token.
	for _, name := range []string{"aum", "own auditor"} {
		for _, other := range []string{"general", "nowhere", nobody} {
			l.must(404, "GET", root+"/participants/"+other+"/requests", tokens[name], "")
		}
	}
	l.must(400, "GET", root+"/participants/general/requests?limit=1&cursor="+cursor, tokens["operator"], "")
	l.must(404, "GET", root+"/participants/nowhere/requests", tokens["operator"], "")
	l.must(403, "GET", path, l.token(auth.ScopeSCIM, "mercy"), "")
	l.must(403, "GET", path, l.token(auth.ScopePortal, ""), "")
	if got := ids(l.must(200, "GET", root+"/participants/"+nobody+"/requests", tokens["auditor"], "")); fmt.Sprint(got) != fmt.Sprint(want(func(r storage.RequestRow) bool { return r.Participant == "" })) {
		t.Errorf("strangers: %v", got)
	}
}

// TestNothingPersonalIsLogged plays what identity providers send, as recorded
// for the SCIM engine, and looks for every value of it in the rows.
func TestNothingPersonalIsLogged(t *testing.T) {
	l := newLogged(t, nil)
	scim := l.token(auth.ScopeSCIM, "mercy")
	files, err := filepath.Glob("../scim/testdata/*/*.json")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	hush := values{personal: map[string]string{}, open: map[string]bool{"": true}}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var golden struct {
			Steps []struct {
				Method, Path string
				Body         json.RawMessage
				Raw          *string
			}
		}
		if err := json.Unmarshal(text, &golden); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, step := range golden.Steps {
			body := string(step.Body)
			if step.Raw != nil {
				body = *step.Raw
			}
			var v any
			if json.Unmarshal([]byte(body), &v) == nil {
				hush.collect(file, "", v)
			}
			_, query, _ := strings.Cut(step.Path, "?")
			hush.literals(file, query)
			path := strings.NewReplacer(" ", "%20", `"`, "%22", "{", "%7B", "}", "%7D").Replace(step.Path)
			if got := l.ask(step.Method, "/scim/v2"+path, scim, body); got.status >= 500 {
				t.Errorf("%s %s: %d", step.Method, step.Path, got.status)
			}
		}
	}
	for value := range hush.personal { // filters hold titles, in any letter case
		if hush.open[strings.ToLower(value)] {
			delete(hush.personal, value)
		}
	}
	if len(hush.personal) < 100 {
		t.Fatalf("only %d values to look for: %v", len(hush.personal), hush.personal)
	}
	rows := l.rows("mercy")
	if len(rows) < 200 {
		t.Fatalf("only %d rows", len(rows))
	}
	for _, r := range rows {
		shown := leaves(t, r.Request, leaves(t, r.Answer, []string{r.Query, r.Resource, r.UserAgent, fmt.Sprint(r.Dropped), r.Route}))
		for value, file := range hush.personal {
			for _, text := range shown {
				if strings.Contains(text, value) {
					t.Errorf("%q of %s is shown in %q:\n%s %s?%s\n%s\n%s", value, file, text, r.Method, r.Route, r.Query, r.Request, r.Answer)
				}
			}
		}
	}
}

// values sorts what is sent into what may be shown and what may not.
type values struct {
	personal map[string]string // value → the file it is from
	open     map[string]bool
}

func (v *values) collect(file, name string, sent any) {
	switch sent := sent.(type) {
	case map[string]any:
		for member, value := range sent {
			inside := strings.ToLower(member)
			if target, ok := sent["path"].(string); ok && inside == "value" {
				inside = strings.ToLower(target[strings.LastIndexAny(target, ".:")+1:])
			}
			v.collect(file, inside, value)
		}
	case []any:
		for _, value := range sent {
			v.collect(file, name, value)
		}
	case string:
		switch name {
		case "schemas", "op", "title", "usertype", "active", "primary", "type", "resourcetype", "sortorder", "method",
			"role", "accessstatus", "closedgates", "permissions": // said back, they count as ours
			v.open[strings.ToLower(sent)] = true
		case "id", "value", "members", "manager":
			if !uuids.MatchString(sent) {
				v.add(file, sent)
			}
		case "attributes", "excludedattributes", "sortby":
		case "filter", "path":
			v.literals(file, sent)
		default:
			v.add(file, sent)
		}
	}
}

// literals are what stands between quotes in a filter.
func (v *values) literals(file, text string) {
	for i, part := range strings.Split(text, `"`) {
		if i%2 == 1 && !uuids.MatchString(part) {
			v.add(file, part)
		}
	}
}

func (v *values) add(file, value string) {
	// Very short ones are parts of any word; the tables of masking have them.
	if len(value) > 3 && !strings.HasPrefix(value, "{{") && !kindWords[strings.ToLower(value)] {
		v.personal[value] = file
	}
}

// kindWords are the values of type, which filters hold too.
var kindWords = map[string]bool{"work": true, "home": true, "other": true, "mobile": true, "pager": true, "user": true, "group": true, "true": true, "false": true}

// leaves are the values in a masked body.
func leaves(t *testing.T, text string, into []string) []string {
	t.Helper()
	if text == "" {
		return into
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for _, value := range v {
				walk(value)
			}
		case []any:
			for _, value := range v {
				walk(value)
			}
		case string:
			into = append(into, v)
		}
	}
	walk(v)
	return into
}
