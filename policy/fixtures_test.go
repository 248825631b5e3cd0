package policy

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const tidyTests = `title,department,userType,participantType,npi,jobCode,role,row
R.D.,,,,,,reader,reader
Author,Letters,,,,,writer,writer-desk
Author,,,,,,reader,writer-other
Inspector,,,government,,,official,inspector
Inspector,,,,,,none,
"Reader, Retired",,,,,,none,
`

func TestParseFixtures(t *testing.T) {
	got, err := ParseFixtures("p.tests.csv", []byte(tidyTests))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 6 || got[1] != (Fixture{File: "p.tests.csv", Line: 3, Title: "Author", Department: "Letters", ParticipantType: "standard", Role: "writer", Row: "writer-desk"}) ||
		got[3].ParticipantType != "government" || got[5].Title != "Reader, Retired" || got[5].Role != NoRole {
		t.Errorf("%+v", got)
	}
	for _, same := range []string{"\ufeff" + tidyTests, strings.ReplaceAll(tidyTests, "\n", "\r\n"), tidyTests + "\n"} {
		if again, err := ParseFixtures("p.tests.csv", []byte(same)); err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("%v: %+v", err, again)
		}
	}
	if none, err := ParseFixtures("x", []byte("role,title\n")); err != nil || none == nil || len(none) != 0 {
		t.Errorf("%v, %v", none, err)
	}
	for name, tc := range map[string]struct {
		old, new string
		line     int
		says     []string
	}{
		"unknown column":   {"department", "departement", 1, []string{`did you mean "department"`}},
		"a column twice":   {"userType", "title", 1, []string{"stands here twice"}},
		"no role column":   {",role,", ",rule,", 1, []string{`"role" is missing`}},
		"no role":          {"R.D.,,,,,,reader,reader", "R.D.,,,,,,,", 2, []string{"tests.role", "nothing came"}},
		"a row for nobody": {",,,,,,none,\n\"Reader", ",,,,,,none,inspector\n\"Reader", 6, []string{"inspector", "no row answers"}},
		"participant type": {"government", "govnment", 5, []string{`did you mean "government"`}},
		"fields":           {"R.D.,,,,,,reader,reader", "R.D.,,,,,reader,reader", 2, []string{"7 fields came", "8 were expected"}},
		"one person twice": {"Author,,,,,,reader", "Author,Letters,,,,,reader", 4, []string{"again", "line 3"}},
		"quotes":           {"R.D.", `R"D.`, 2, []string{"not readable as CSV"}},
		"not UTF-8":        {"R.D.", "R\xffD.", 1, []string{"not UTF-8"}},
		"semicolons":       {tidyTests, "title;role\nA;b\n", 1, []string{"separated by commas"}},
		"nothing":          {tidyTests, "", 1, []string{"no header line"}},
	} {
		text := strings.Replace(tidyTests, tc.old, tc.new, 1)
		fixtures, err := ParseFixtures("p.tests.csv", []byte(text))
		var bad *DocumentError
		if fixtures != nil || !errors.As(err, &bad) || !strings.HasPrefix(err.Error(), "policy tests: p.tests.csv:") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.ContainsFunc(bad.Problems, func(p Problem) bool {
			ok := p.Line == tc.line && p.File == "p.tests.csv"
			for _, s := range tc.says {
				ok = ok && strings.Contains(p.Key+": "+p.Message, s)
			}
			return ok
		}) {
			t.Errorf("%s: want line %d and %q in %v", name, tc.line, tc.says, err)
		}
	}
	if _, err := ParseFixtures("x", make([]byte, maxDocument+1)); err == nil {
		t.Error("any number of bytes is read")
	}
}

func TestFixturesName(t *testing.T) {
	for document, want := range map[string]string{
		"policy.yaml": "policy.tests.csv", "a/b.yml": "a/b.tests.csv", "p.json": "p.tests.csv", "policy": "policy.tests.csv", "x.yaml.bak": "x.yaml.bak.tests.csv",
	} {
		if got := FixturesName(document); got != want {
			t.Errorf("%s: %s", document, got)
		}
	}
}

func TestPolicyTest(t *testing.T) {
	p, err := Parse([]byte(tidy))
	if err != nil {
		t.Fatal(err)
	}
	test := func(csv string) TestReport {
		t.Helper()
		fixtures, err := ParseFixtures("p.tests.csv", []byte(csv))
		if err != nil {
			t.Fatal(err)
		}
		return p.Test(fixtures)
	}
	r := test(tidyTests)
	if !r.Passed() || r.Coverage() != 1 || len(r.Results) != 6 || len(r.Failed()) != 0 || !slices.Equal(r.Covered, []string{"reader", "writer-desk", "writer-other", "inspector"}) {
		t.Errorf("%+v", r)
	}
	if x := r.Results[1]; x.Role != "writer" || x.Row != "writer-desk" || !strings.Contains(x.Reason, "Writer is writer") {
		t.Errorf("%+v", x)
	}
	if x := r.Results[4]; x.Role != NoRole || x.Row != "" || !strings.Contains(x.Reason, "government") {
		t.Errorf("%+v", x)
	}
	for name, tc := range map[string]struct {
		old, new, says string
		uncovered      []string
	}{
		"another role":    {"R.D.,,,,,,reader,reader", "R.D.,,,,,,writer,", "role writer was expected, reader came", []string{"reader"}},
		"no role":         {"R.D.,,,,,,reader,reader", "R.D.,,,,,,none,", "role none was expected, reader came", []string{"reader"}},
		"a role for none": {"\"Reader, Retired\",,,,,,none,", "\"Reader, Retired\",,,,,,reader,", "role reader was expected, none came", nil},
		"another row":     {"Author,,,,,,reader,writer-other", "Author,,,,,,reader,reader", "row reader was expected, writer-other answered", []string{"writer-other"}},
		"unknown role":    {"R.D.,,,,,,reader,reader", "R.D.,,,,,,raeder,", "no role raeder; did you mean reader?", []string{"reader"}},
		"unknown row":     {"writer,writer-desk", "writer,writer-dask", "no row writer-dask; did you mean writer-desk?", []string{"writer-desk"}},
	} {
		r := test(strings.Replace(tidyTests, tc.old, tc.new, 1))
		failed := r.Failed()
		if r.Passed() || len(failed) != 1 || !strings.Contains(failed[0].Fault, tc.says) || !slices.Equal(r.Uncovered, append([]string{}, tc.uncovered...)) {
			t.Errorf("%s: %+v, uncovered %v", name, failed, r.Uncovered)
		}
	}
	less := test(strings.Replace(tidyTests, "Author,Letters,,,,,writer,writer-desk\n", "", 1))
	if less.Passed() || len(less.Failed()) != 0 || less.Coverage() != 0.75 || !slices.Equal(less.Uncovered, []string{"writer-desk"}) {
		t.Errorf("%+v", less)
	}
	found := p.Lint(LintOptions{Fixtures: []Fixture{{Title: "Reader", ParticipantType: "standard", Role: "reader"}}})
	if len(found) != 3 || found[0].Code != CodeUntested || found[0].Severity != SeverityError || found[0].Line != 19 || found[2].Key != "titles.inspector" {
		t.Errorf("%s", says(found))
	}
	none, err := Parse([]byte("roles: {}\ntitles: |\n  title,role\n"))
	if err != nil {
		t.Fatal(err)
	}
	if r := none.Test(nil); !r.Passed() || r.Coverage() != 1 {
		t.Errorf("%+v", r)
	}
}

func TestJUnit(t *testing.T) {
	p, err := Parse([]byte(tidy))
	if err != nil {
		t.Fatal(err)
	}
	fixtures := []Fixture{
		{File: "p.tests.csv", Line: 2, Title: "Reader", ParticipantType: "standard", Role: "reader"},
		{File: "p.tests.csv", Line: 3, Title: "<Wi\"zard & Söhne>\x00\x1b]]>", Department: "a'b", ParticipantType: "cbo", Role: "writer"},
		{File: "p.tests.csv", Line: 4, ParticipantType: "standard", Role: NoRole},
	}
	text, err := p.Test(fixtures).JUnit()
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := p.Test(fixtures).JUnit(); !bytes.Equal(text, again) {
		t.Error("not the same text twice")
	}
	d := xml.NewDecoder(bytes.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, text)
		}
	}
	var suites struct {
		Suites []struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Cases    []struct {
				Name    string `xml:"name,attr"`
				Line    int    `xml:"line,attr"`
				Failure *struct {
					Message string `xml:"message,attr"`
					Text    string `xml:",chardata"`
				} `xml:"failure"`
			} `xml:"testcase"`
		} `xml:"testsuite"`
	}
	if err := xml.Unmarshal(text, &suites); err != nil || len(suites.Suites) != 1 {
		t.Fatalf("%v\n%s", err, text)
	}
	s := suites.Suites[0]
	if s.Tests != 4 || s.Failures != 2 || len(s.Cases) != 4 {
		t.Fatalf("%s", text)
	}
	if c := s.Cases[0]; c.Name != "Reader" || c.Line != 2 || c.Failure != nil {
		t.Errorf("%+v", c)
	}
	if c := s.Cases[1]; c.Failure == nil || c.Failure.Message != "role writer was expected, none came" || !strings.HasSuffix(c.Name, ", department a'b, participant cbo") {
		t.Errorf("%+v", c)
	}
	if c := s.Cases[2]; c.Name != "no title" || c.Failure != nil {
		t.Errorf("%+v", c)
	}
	if c := s.Cases[3]; c.Failure == nil || !strings.Contains(c.Failure.Text, "writer-desk\nwriter-other\ninspector") {
		t.Errorf("%+v", c)
	}
}

// The tests of the default policy pass and cover every row.
func TestDefaultTests(t *testing.T) {
	fixtures, err := ParseFixtures("default/tests.csv", DefaultTests())
	if err != nil {
		t.Fatal(err)
	}
	r := defaultPolicy(t).Test(fixtures)
	for _, x := range r.Failed() {
		t.Errorf("line %d, %s: %s (%s)", x.Fixture.Line, x.Fixture, x.Fault, x.Reason)
	}
	if r.Coverage() != 1 {
		t.Errorf("not covered: %s", strings.Join(r.Uncovered, ", "))
	}
	none := 0
	for _, f := range fixtures {
		if f.Role == NoRole {
			none++
		}
	}
	if len(fixtures) < len(r.Covered)+40 || none < 40 {
		t.Errorf("%d tests, %d of them of titles that lead nowhere", len(fixtures), none)
	}
}
