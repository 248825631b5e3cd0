package scim_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write "+conformanceFile)

const conformanceFile = "../docs/conformance.md"

// proven keeps which test showed which line of the checklist, by profile. Only
// what ran and passed gets here.
var proven struct {
	sync.Mutex
	by map[proof]bool
}

type proof struct {
	line          int
	profile, test string
}

func record(profile, test string, lines ...int) {
	proven.Lock()
	defer proven.Unlock()
	if proven.by == nil {
		proven.by = map[proof]bool{}
	}
	for _, line := range lines {
		proven.by[proof{line, profile, test}] = true
	}
}

// proves says which lines of the checklist a test shows, in both profiles.
func proves(t testing.TB, lines ...int) {
	t.Helper()
	provesIn(t, "auto", lines...)
	provesIn(t, "strict", lines...)
}

// provesIn is proves for one profile, auto or strict.
func provesIn(t testing.TB, profile string, lines ...int) {
	t.Helper()
	name := t.Name()
	for _, engine := range engines {
		name = strings.Replace(name, "/"+engine.name, "", 1)
	}
	t.Cleanup(func() {
		if !t.Failed() && !t.Skipped() {
			record(profile, name, lines...)
		}
	})
}

// inBothProfiles runs a test on both engines, read leniently and strictly.
func inBothProfiles(t *testing.T, test func(t *testing.T, s *server), lines ...int) {
	t.Helper()
	for _, engine := range engines {
		for _, profile := range []string{"auto", "strict"} {
			t.Run(engine.name+"/"+profile, func(t *testing.T) {
				provesIn(t, profile, lines...)
				s := newServer(t, engine)
				s.strict = profile == "strict"
				test(t, s)
			})
		}
	}
}

// TestMain compares docs/conformance.md with what the tests just showed. It can
// only tell after all of them have run, so a run of some of them does not ask.
func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	whole := func(name string) bool { return flag.Lookup(name).Value.String() == "" }
	if code == 0 && whole("test.run") && whole("test.skip") && whole("test.fuzz") && whole("test.list") {
		if err := checkConformance(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// checklistLine is one requirement, in our own short words.
type checklistLine struct {
	Line     int    `json:"line"`
	Strength string `json:"strength"` // M must, S should, O optional, D choice where the RFCs are silent
	Text     string `json:"text"`
	// Elsewhere names a test of another package, "dir TestName": it runs with
	// that package, and here only its being there is checked.
	Elsewhere string `json:"elsewhere"`
	// NotOffered is why nothing shows the line, in place of tests.
	NotOffered string `json:"notOffered"`
}

type checklistSection struct {
	Title string          `json:"title"`
	Lines []checklistLine `json:"lines"`
}

func checkConformance() error {
	text, err := os.ReadFile("testdata/checklist.json")
	if err != nil {
		return err
	}
	var sections []checklistSection
	if err := json.Unmarshal(text, &sections); err != nil {
		return fmt.Errorf("testdata/checklist.json: %w", err)
	}
	document, err := conformance(sections)
	if err != nil {
		return err
	}
	if *update {
		return os.WriteFile(conformanceFile, []byte(document), 0o600)
	}
	kept, err := os.ReadFile(conformanceFile)
	if err != nil {
		return err
	}
	if string(kept) != document {
		return errors.New("docs/conformance.md says something else than the tests showed; run: go test ./scim -update")
	}
	return nil
}

// elsewhere checks that a test of another package is there.
func elsewhere(test string) (string, error) {
	dir, name, _ := strings.Cut(test, " ")
	files, err := filepath.Glob(filepath.Join("..", dir, "*_test.go"))
	if err != nil {
		return "", err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		if strings.Contains(string(text), "\nfunc "+name+"(") {
			return name + " of " + dir, nil
		}
	}
	return "", fmt.Errorf("testdata/checklist.json: there is no %s in %s", name, dir)
}

// maxNamed is how many tests a cell names; the rest is counted.
const maxNamed = 4

func conformance(sections []checklistSection) (string, error) {
	known := map[int]bool{}
	var body strings.Builder
	var shown, open, off int
	for _, s := range sections {
		fmt.Fprintf(&body, "\n## %s\n| Line | | What | `auto` | `strict` |\n|---|---|---|---|---|\n", s.Title)
		for _, l := range s.Lines {
			known[l.Line] = true
			auto, strict := testsOf(l.Line, "auto"), testsOf(l.Line, "strict")
			if l.Elsewhere != "" {
				there, err := elsewhere(l.Elsewhere)
				if err != nil {
					return "", err
				}
				auto, strict = append(auto, there), append(strict, there)
			}
			if l.NotOffered != "" {
				if len(auto)+len(strict) > 0 {
					return "", fmt.Errorf("testdata/checklist.json: line %d is called not offered, but %s shows it", l.Line, slices.Concat(auto, strict)[0])
				}
				off++
				fmt.Fprintf(&body, "| %d | %s | %s | not offered: %s | not offered |\n", l.Line, l.Strength, l.Text, l.NotOffered)
				continue
			}
			if len(auto) > 0 && len(strict) > 0 {
				shown++
			} else {
				open++
			}
			fmt.Fprintf(&body, "| %d | %s | %s | %s | %s |\n", l.Line, l.Strength, l.Text, cell(auto), cell(strict))
		}
	}
	for p := range proven.by {
		if !known[p.line] {
			return "", fmt.Errorf("%s proves line %d, which testdata/checklist.json does not have", p.test, p.line)
		}
	}
	head := fmt.Sprintf(`# Conformance

Generated by the tests: `+"`go test ./scim -update`"+`. Every name here is a test that ran and passed; a run that finds other names
fails. Tests of other packages are named with their package and run with it. `+"`folder/file: step`"+` is a golden exchange under `+"`scim/testdata`"+`, played on SQLite and
PostgreSQL. M: the RFCs demand it; S: they recommend it; O: optional, binding once
offered; D: they are silent or contradict themselves, and this is our choice. Profile `+"`strict`"+` is the letter of the RFCs, `+"`auto`"+` also reads what
identity providers really send (docs/scim.md).

%d lines are shown in both profiles, %d are not offered, %d lack a test in at least one.
`, shown, off, open)
	return head + body.String(), nil
}

func testsOf(line int, profile string) []string {
	names := map[string]bool{}
	for p := range proven.by {
		if p.line == line && p.profile == profile {
			names[p.test] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func cell(tests []string) string {
	if len(tests) == 0 {
		return "**no test**"
	}
	more := ""
	if len(tests) > maxNamed {
		more = fmt.Sprintf("<br>and %d more", len(tests)-maxNamed)
		tests = tests[:maxNamed]
	}
	return strings.ReplaceAll(strings.Join(tests, "<br>"), "|", "\\|") + more
}
