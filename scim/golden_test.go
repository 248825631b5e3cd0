package scim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/scim"
	"github.com/healthix/healthix-scim/storage"
)

// exchange is one golden file: steps against a server of its own.
type exchange struct {
	About string `json:"about"`
	// In lists the profiles that the file is played in; auto when absent.
	In    []string `json:"in"`
	Steps []step   `json:"steps"`
}

// step is one request and what must come back. Strings of the form {{name}} are
// replaced by values saved before.
type step struct {
	Do      string            `json:"do"`
	Proves  []int             `json:"proves"` // lines of testdata/checklist.json
	In      string            `json:"in"`     // auto or strict: in this profile only
	As      string            `json:"as"`     // mercy (default), strict, north, auditor, nobody
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Headers map[string]string `json:"headers"`
	Body    json.RawMessage   `json:"body"`
	Raw     *string           `json:"raw"` // instead of body
	Status  int               `json:"status"`
	// WantHeaders and Want are patterns: objects are compared by the members
	// named, arrays element by element; <any>, <absent>, <uuid>, <time> and
	// <~substring> stand for what they say.
	WantHeaders map[string]string `json:"wantHeaders"`
	Want        any               `json:"want"`
	Exact       bool              `json:"exact"` // no other members
	Save        map[string]string `json:"save"`  // name → dotted path of the answer
}

const baseURL = "https://scim.example"

func TestGolden(t *testing.T) {
	for _, engine := range engines {
		t.Run(engine.name, func(t *testing.T) {
			files, err := filepath.Glob("testdata/*/*.json")
			if err != nil || len(files) == 0 {
				t.Fatalf("no golden files: %v", err)
			}
			for _, file := range files {
				name := strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".json")
				x := readExchange(t, file)
				for _, profile := range x.In {
					t.Run(name+"/"+profile, func(t *testing.T) {
						s := newServer(t, engine)
						s.strict = profile == "strict"
						play(t, s, name, profile, x)
					})
				}
			}
		})
	}
}

func readExchange(t *testing.T, file string) exchange {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var x exchange
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&x); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	if len(x.In) == 0 {
		x.In = []string{"auto"}
	}
	return x
}

func play(t *testing.T, s *server, name, profile string, x exchange) {
	t.Helper()
	saved := map[string]string{}
	for i, step := range x.Steps {
		if step.In != "" && step.In != profile {
			continue
		}
		if !s.step(t, fmt.Sprintf("step %d, %s", i+1, step.Do), step, saved) {
			return // what follows rests on it
		}
		proven := profile
		if step.As == "strict" {
			proven = "strict"
		}
		record(proven, name+": "+step.Do, step.Proves...)
	}
}

func substitute(text string, saved map[string]string) string {
	for name, value := range saved {
		text = strings.ReplaceAll(text, "{{"+name+"}}", value)
	}
	return text
}

func (s *server) step(t *testing.T, where string, step step, saved map[string]string) bool {
	t.Helper()
	quoted := map[string]string{} // as they stand inside a JSON string
	for name, value := range saved {
		text, _ := json.Marshal(value)
		quoted[name] = string(text[1 : len(text)-1])
	}
	body := substitute(string(step.Body), quoted)
	if step.Raw != nil {
		body = *step.Raw
	}
	req := httptest.NewRequest(step.Method, baseURL+scim.Prefix+substitute(strings.ReplaceAll(step.Path, " ", "%20"), saved), strings.NewReader(body))
	if body != "" {
		req.Header.Set("Content-Type", "application/scim+json")
	}
	for name, value := range step.Headers {
		req.Header.Set(name, substitute(value, saved))
		if value == "" {
			req.Header.Del(name)
		}
	}
	w := s.do(req, step.As)
	answer, _ := io.ReadAll(w.Body)
	bad := func(format string, args ...any) bool {
		t.Errorf("%s: %s\n%s %s\nanswer %d %s", where, fmt.Sprintf(format, args...), step.Method, step.Path, w.Code, answer)
		return false
	}
	if w.Code != step.Status {
		return bad("want status %d", step.Status)
	}
	for name, want := range step.WantHeaders {
		if why := compare(w.Header().Get(name), substitute(want, saved), false); why != "" {
			return bad("header %s: %s", name, why)
		}
	}
	if len(answer) > 0 && w.Header().Get("Content-Type") != "application/scim+json" {
		return bad("Content-Type %s", w.Header().Get("Content-Type"))
	}
	var got any
	if len(answer) > 0 {
		if err := json.Unmarshal(answer, &got); err != nil {
			return bad("no JSON: %v", err)
		}
	}
	if step.Want != nil {
		if why := compare(got, substituteAll(step.Want, saved), step.Exact); why != "" {
			return bad("%s", why)
		}
	}
	for name, path := range step.Save {
		v, ok := lookup(got, path).(string)
		if !ok {
			return bad("nothing at %s to save", path)
		}
		saved[name] = v
	}
	return true
}

func substituteAll(v any, saved map[string]string) any {
	switch v := v.(type) {
	case string:
		return substitute(v, saved)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = substituteAll(e, saved)
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for name, e := range v {
			out[name] = substituteAll(e, saved)
		}
		return out
	default:
		return v
	}
}

func lookup(v any, path string) any {
	for _, name := range strings.Split(path, "/") {
		switch c := v.(type) {
		case map[string]any:
			v = c[name]
		case []any:
			var i int
			if _, err := fmt.Sscan(name, &i); err != nil || i >= len(c) {
				return nil
			}
			v = c[i]
		default:
			return nil
		}
	}
	return v
}

var (
	uuidText = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	timeText = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$`)
)

// compare answers why a value does not fit a pattern, "" when it does.
func compare(got, want any, exact bool) string {
	switch want := want.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok {
			return fmt.Sprintf("got %v, want an object", got)
		}
		for name, w := range want {
			g, present := object[name]
			if w == "<absent>" {
				if present {
					return fmt.Sprintf("%s is there: %v", name, g)
				}
				continue
			}
			if why := compare(g, w, exact); why != "" {
				return name + ": " + why
			}
		}
		if exact {
			for name := range object {
				if _, ok := want[name]; !ok {
					return name + " is there: unexpected"
				}
			}
		}
		return ""
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return fmt.Sprintf("got %v, want %d elements %v", got, len(want), want)
		}
		for i := range want {
			if why := compare(list[i], want[i], exact); why != "" {
				return fmt.Sprintf("[%d] %s", i, why)
			}
		}
		return ""
	case string:
		s, _ := got.(string)
		switch {
		case want == "<any>" && got != nil, want == "<uuid>" && uuidText.MatchString(s), want == "<time>" && timeText.MatchString(s):
			return ""
		case strings.HasPrefix(want, "<~"):
			if strings.Contains(s, strings.TrimSuffix(want[2:], ">")) {
				return ""
			}
		}
	}
	if got != want {
		return fmt.Sprintf("got %v, want %v", got, want)
	}
	return ""
}

// server is the handler over real parts, with two participants.
type server struct {
	handler      http.Handler
	deeds        *lifecycle.Service
	store        storage.Store
	participants map[string]storage.Participant
	strict       bool // every caller is read strictly
	leniencies   []string
	log          *bytes.Buffer
}

func (s *server) do(req *http.Request, as string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	w.Header().Set("X-Request-Id", "req-1")
	if as == "" {
		as = "mercy"
	}
	if as == "nobody" {
		s.handler.ServeHTTP(w, req)
		return w
	}
	caller := scim.Caller{Actor: lifecycle.Actor{Kind: "provider", Subject: "entra", RequestID: "req-1"}, Participant: s.participants["mercy"], Strict: s.strict}
	switch as {
	case "strict":
		caller.Strict = true
	case "auditor":
		caller.ReadOnly = true
	case "north":
		caller.Participant = s.participants["north"]
	}
	s.handler.ServeHTTP(w, req.WithContext(scim.WithCaller(req.Context(), caller)))
	return w
}

func newHandler(s *server, deeds scim.Deeds) http.Handler {
	s.log = &bytes.Buffer{}
	return scim.New(deeds, scim.Options{
		BaseURL: baseURL,
		Log:     slog.New(slog.NewTextHandler(s.log, nil)),
		Lenient: func(name string) { s.leniencies = append(s.leniencies, name) },
	})
}
