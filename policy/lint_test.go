package policy

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A document without findings but the warning that there are no tests.
const tidy = `modules:
  basics: {name: Basics, litmos: LP-1}
roles:
  no-access: {permissions: []}
  reader: {permissions: [read], modules: [basics]}
  writer: {permissions: [read, write], modules: [basics], gates: [approval]}
  official: {permissions: [report], participantTypes: [government]}
privileged: [write]
breakGlass: [write]
synonyms:
  scrvnr: scrivener
  asst: assistant
guards:
  writer-desk: {department: {in: [Letters, Desk]}}
  writer-other: {department: {notIn: [Letters, Desk]}}
titles: |
  title,category,role,aliases,basis,row
  Reader,a,reader,RD|R.D.,ours,
  Writer,a,writer,Author,ours,writer-desk
  Writer,a,reader,Scrivener,ours,writer-other
  Inspector,b,official,,ours,
`

func says(findings []Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "\t%s %s %s:%d %s: %s\n", f.Severity, f.Code, f.File, f.Line, f.Key, f.Message)
	}
	return b.String()
}

// Each defect, put into a tidy document, is found once, at its line, and nothing
// else with it.
func TestLintFindsEachDefect(t *testing.T) {
	type want struct {
		severity Severity
		code     string
		line     int
		key      string
		says     []string
	}
	overlap := func(says ...string) want { return want{SeverityError, CodeOverlap, 20, "titles.writer-other", says} }
	gap := func(says ...string) want { return want{SeverityWarning, CodeGap, 19, "titles.writer-desk", says} }
	unreachable := func(line int, says ...string) want {
		return want{SeverityError, CodeUnreachable, line, "guards.writer-desk", says}
	}
	for name, tc := range map[string]struct {
		old, new string
		want     []want
	}{
		"overlap": {"notIn: [Letters, Desk]", "notIn: [Desk]", []want{overlap("writer-desk (line 19) and writer-other", "department = Letters")}},
		"overlap of an unguarded row": {"  writer-other: {department: {notIn: [Letters, Desk]}}\n", "",
			[]want{{SeverityError, CodeOverlap, 19, "titles.writer-other", []string{"writer-desk (line 18)", "department = Letters"}}}},
		"overlap in two attributes": {"{in: [Letters, Desk]}", "{in: [Letters, Desk, Legal]}, npi: present", []want{
			overlap("department = Legal, npi given"), gap("department = Letters, npi not given")}},
		"overlap by spelling": {"{notIn: [Letters, Desk]}", "{notIn: [letters]}", []want{overlap("department = Desk")}},
		"gap":                 {"in: [Letters, Desk]", "in: [Letters]", []want{gap("department = Desk", "title queue")}},
		"gap elsewhere":       {"{notIn: [Letters, Desk]}", "{in: [Legal]}", []want{gap("department something else")}},
		"gap without":         {"{notIn: [Letters, Desk]}", "{notIn: [Letters, Desk]}, userType: present", []want{gap("department something else, userType not given")}},
		"gap of one row":      {"guards:\n", "guards:\n  Reader: {npi: present}\n", []want{{SeverityWarning, CodeGap, 19, "titles.reader", []string{"Reader", "npi not given"}}}},
		"gap by participant": {"guards:\n", "guards:\n  Reader: {participantType: {notIn: [cbo]}}\n",
			[]want{{SeverityWarning, CodeGap, 19, "titles.reader", []string{"participantType = cbo"}}}},
		"contradiction": {"{in: [Letters, Desk]}", "{in: [Letters], notIn: [letters, Legal]}", []want{
			unreachable(14, "department is Letters", "department is not letters or Legal", "nobody"), gap("department = Letters")}},
		"contradiction of participants": {"guards:\n", "guards:\n  Inspector: {participantType: {notIn: [standard, health-plan, cbo, government]}}\n", []want{
			{SeverityError, CodeUnreachable, 14, "guards.inspector", []string{"can never hold"}},
			{SeverityWarning, CodeGap, 22, "titles.inspector", []string{"whatever"}}}},
		"participants without the role": {"guards:\n", "guards:\n  Inspector: {participantType: {in: [cbo, standard]}}\n", []want{
			{SeverityError, CodeUnreachable, 14, "guards.inspector", []string{"participantType is cbo or standard", "role official is for participants of type government"}},
			{SeverityWarning, CodeGap, 22, "titles.inspector", []string{"participantType = health-plan"}}}},
		"no approval": {"modules: [basics], gates: [approval]}", "modules: [basics]}",
			[]want{{SeverityError, CodeUnapproved, 6, "roles.writer", []string{"holds write", "gate approval"}}}},
		"privileged later": {"privileged: [write]", "privileged: [write, read]",
			[]want{{SeverityError, CodeUnapproved, 5, "roles.reader", []string{"holds read"}}}},
		"cycle": {"  asst: assistant\n", "  asst: assistant\n  assistant: asst\n",
			[]want{{SeverityError, CodeSynonymCycle, 12, "synonyms.asst", []string{"asst → assistant → asst"}}}},
		"cycle of one": {"  asst: assistant\n", "  asst: senior asst\n",
			[]want{{SeverityError, CodeSynonymCycle, 12, "synonyms.asst", []string{"asst → asst"}}}},
		"cycle of words": {"  asst: assistant\n", "  cath laboratory: cath lab\n  lab: laboratory\n",
			[]want{{SeverityError, CodeSynonymCycle, 12, "synonyms.cath laboratory", []string{"cath laboratory → cath lab → cath laboratory"}}}},
		"cycle of three": {"  asst: assistant\n", "  asst: assistant\n  assistant: chief assisting\n  assisting: asst\n",
			[]want{{SeverityError, CodeSynonymCycle, 12, "synonyms.asst", []string{"asst → assistant → assisting → asst"}}}},
		"chain": {"  asst: assistant\n", "  asst: assistant\n  assistant: scribe assistant i\n  ast: asst\n", []want{
			{SeverityError, CodeSynonymCycle, 13, "synonyms.assistant", []string{"assistant → assistant"}},
			{SeverityWarning, CodeSynonymCycle, 12, "synonyms.asst", []string{`read as "assistant"`}},
			{SeverityWarning, CodeSynonymCycle, 14, "synonyms.ast", []string{`read as "asst"`}}}},
		"chain alone": {"  asst: assistant\n", "  asst: desk assistant\n  desk: office\n",
			[]want{{SeverityWarning, CodeSynonymCycle, 12, "synonyms.asst", []string{`read as "desk assistant"`, "desk is itself a synonym", `write "office assistant"`}}}},
		"several at once": {"notIn: [Letters, Desk]", "notIn: [Desk]}}\n  Inspector: {participantType: {in: [government]", []want{
			{SeverityError, CodeOverlap, 21, "titles.writer-other", nil}, {SeverityWarning, CodeGap, 22, "titles.inspector", []string{"participantType = standard"}}}},
	} {
		document := strings.Replace(tidy, tc.old, tc.new, 1)
		if document == tidy {
			t.Errorf("%s: the document is as before", name)
			continue
		}
		p, found := LintSource(Source{Name: "p.yaml", Text: []byte(document)}, LintOptions{})
		if p == nil || len(found) != len(tc.want)+1 || found[0].Code != CodeUntested || found[0].Severity != SeverityWarning || found[0].Line != 0 {
			t.Errorf("%s:\n%s", name, says(found))
			continue
		}
		for _, w := range tc.want {
			if !slices.ContainsFunc(found, func(f Finding) bool {
				ok := f.Severity == w.severity && f.Code == w.code && f.Line == w.line && f.Key == w.key && f.File == "p.yaml"
				for _, s := range w.says {
					ok = ok && strings.Contains(f.Message, s)
				}
				return ok
			}) {
				t.Errorf("%s: want %+v in\n%s", name, w, says(found))
			}
		}
	}
	if p, found := LintSource(Source{Text: []byte(tidy)}, LintOptions{}); p == nil || len(found) != 1 {
		t.Errorf("the tidy document:\n%s", says(found))
	}
}

// What cannot be read is listed with what else is wrong, and what depends on it
// is left alone.
func TestLintShowsAllAtOnce(t *testing.T) {
	document := strings.NewReplacer(
		"modules: [basics], gates: [approval]}", "modules: [basics]}", // write without approval
		"  asst: assistant\n", "  asst: assistant\n  assistant: asst\n",
		"Reader,a,reader", "Reader,a,raeder", // the row is not read
		"guards:\n", "guards:\n  Reader: {npi: present}\n  Inspector: {npi: presnt}\n",
		"notIn: [Letters, Desk]", "notIn: [Desk]",
		"{permissions: [report], p", "{permissions: [report, write], gates: [approvals], p",
	).Replace(tidy)
	p, found := LintSource(Source{Text: []byte(document)}, LintOptions{Fixtures: []Fixture{}})
	var got []string
	for _, f := range found {
		got = append(got, fmt.Sprintf("%s %d %s", f.Code, f.Line, f.Key))
	}
	want := []string{
		"privileged-without-approval 6 roles.writer", "document 7 roles.official.gates", "synonym-cycle 12 synonyms.asst", "document 16 guards.Inspector.npi",
		"document 21 titles", "overlap 23 titles.writer-other",
	}
	if p != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, want %q\n%s", got, want, says(found))
	}
	// Of a title whose guards were not all read, nothing is said.
	for name, edit := range map[string][2]string{
		"a guard that cannot be read": {"{department: {in: [Letters, Desk]}}", "{department: {in: [Letters, Desk]}, npi: presnt}"},
		"a guard of nobody":           {"  writer-desk: {dep", "  writer-dask: {dep"},
		"a row that cannot be read":   {"Writer,a,writer,", "Writer,a,wrter,"},
	} {
		document := strings.Replace(strings.Replace(tidy, "notIn: [Letters, Desk]", "notIn: [Desk]", 1), edit[0], edit[1], 1)
		if _, found := LintSource(Source{Text: []byte(document)}, LintOptions{}); slices.ContainsFunc(found, func(f Finding) bool { return f.Code != CodeDocument }) {
			t.Errorf("%s:\n%s", name, says(found))
		}
	}
	for _, text := range []string{"", "[]", "roles: {}", "titles: |\n  title,role\n  A,b\n"} {
		if p, found := LintSource(Source{Text: []byte(text)}, LintOptions{}); p != nil || len(found) == 0 {
			t.Errorf("%q: %v", text, found)
		}
	}
}

// Titles that do not find their row cannot be written today; lint asks the
// matcher all the same.
func TestLintLooksTitlesUp(t *testing.T) {
	p, err := Parse([]byte(tidy))
	if err != nil {
		t.Fatal(err)
	}
	delete(p.byKey, "rd")
	delete(p.bySynonym, "rd")
	found := p.Lint(LintOptions{})
	if len(found) != 3 || found[1].Code != CodeUnreachable || found[1].Line != 18 || !strings.Contains(found[1].Message, `alias "RD"`) || !strings.Contains(found[2].Message, `alias "R.D."`) {
		t.Errorf("%s", says(found))
	}
}

func TestLintOfTheLMS(t *testing.T) {
	p, err := Parse([]byte(strings.Replace(tidy, "{name: Basics, litmos: LP-1}", "Basics", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if found := p.Lint(LintOptions{}); len(found) != 1 {
		t.Errorf("%s", says(found))
	}
	found := p.Lint(LintOptions{LMS: true})
	if len(found) != 2 || found[1].Code != CodeMissingLitmos || found[1].Severity != SeverityWarning || found[1].Line != 2 || found[1].Key != "modules.basics" {
		t.Errorf("%s", says(found))
	}
}

func TestLintOfTheDefault(t *testing.T) {
	p := defaultPolicy(t)
	fixtures, err := ParseFixtures("tests.csv", DefaultTests())
	if err != nil {
		t.Fatal(err)
	}
	if found := p.Lint(LintOptions{Fixtures: fixtures}); len(found) != 0 {
		t.Errorf("%s", says(found))
	}
	// One defect each, in a document of real size.
	for name, tc := range map[string]struct {
		old, new string
		code     string
		key      string
	}{
		"no approval":  {", gates: [approval], untilApproved: practitioner}", "}", CodeUnapproved, "roles.practitioner-btg"},
		"cycle":        {"  tech: technologist\n", "  tech: technologist\n  technologist: tech\n", CodeSynonymCycle, "synonyms.tech"},
		"gap":          {"titles: |", "guards: {Medical Scribe: {department: {in: [Emergency]}}}\ntitles: |", CodeGap, "titles.medical-scribe"},
		"unreachable":  {"titles: |", "guards: {Epidemiologist: {participantType: {in: [standard]}}}\ntitles: |", CodeUnreachable, "guards.epidemiologist"},
		"untested row": {"Driver,support/none", "Sewer Inspector,support/none,no-access,,assumption\n  Driver,support/none", CodeUntested, "titles.sewer-inspector"},
	} {
		document := strings.Replace(string(Default()), tc.old, tc.new, 1)
		line := 0
		for i, l := range strings.Split(document, "\n") {
			if _, id, _ := strings.Cut(tc.key, "."); strings.Contains(l, id+":") || slug(strings.SplitN(strings.TrimSpace(l), ",", 2)[0]) == id || strings.Contains(l, "guards: {Epi") && tc.code == CodeUnreachable {
				line = i + 1
				break
			}
		}
		_, found := LintSource(Source{Text: []byte(document)}, LintOptions{Fixtures: fixtures})
		i := slices.IndexFunc(found, func(f Finding) bool { return f.Code == tc.code && f.Key == tc.key })
		if i < 0 || found[i].Line != line {
			t.Errorf("%s: want line %d in\n%s", name, line, says(found))
		}
		for _, f := range found {
			if f.Code != tc.code && f.Code != CodeUntested && (tc.code != CodeUnreachable || f.Code != CodeGap) {
				t.Errorf("%s: besides %+v", name, f)
			}
		}
	}
}

// Against brute force: every combination of what an attribute can be, each asked
// of the guards themselves.
func TestOverlapsAndGapsAreExact(t *testing.T) {
	values := map[Attribute][]string{
		AttributeDepartment: {"Emergency", "ICU", "Billing", "Somewhere", ""}, AttributeUserType: {"Employee", "Contractor", "Somebody", ""},
		AttributeParticipantType: participantKind, AttributeNPI: {"1234567893", "1", ""},
	}
	listed := map[Attribute]int{AttributeDepartment: 3, AttributeUserType: 2, AttributeParticipantType: 4, AttributeNPI: 1}
	rapid.Check(t, func(t *rapid.T) {
		rows := make([]*Row, rapid.IntRange(1, 5).Draw(t, "rows"))
		for i := range rows {
			rows[i] = &Row{ID: fmt.Sprintf("r%d", i)}
			for _, name := range attributes {
				a := Attribute(name)
				for _, test := range rapid.SliceOfNDistinct(rapid.SampledFrom([]Test{TestIn, TestNotIn, TestPresent, TestAbsent}), 0, 2, rapid.ID).Draw(t, name) {
					if rapid.IntRange(0, 2).Draw(t, "skip") == 0 || (a == AttributeParticipantType && (test == TestPresent || test == TestAbsent)) {
						continue
					}
					g := Guard{Attribute: a, Test: test}
					if test == TestIn || test == TestNotIn {
						for _, v := range rapid.SliceOfNDistinct(rapid.SampledFrom(values[a][:listed[a]]), 1, listed[a], rapid.ID).Draw(t, "values") {
							g.Values, g.normal = append(g.Values, v), append(g.normal, NormalTitle(v))
						}
					}
					rows[i].Guards = append(rows[i].Guards, g)
				}
			}
		}
		s := newSpace(rows)
		boxes := make([]box, len(rows))
		for i, row := range rows {
			boxes[i] = s.box(row.Guards)
		}
		overlap := map[[2]int]bool{}
		gap, reached := false, make([]bool, len(rows))
		var f Facts
		for _, f.Department = range values[AttributeDepartment] {
			for _, f.UserType = range values[AttributeUserType] {
				for _, f.Participant.Type = range values[AttributeParticipantType] {
					for _, f.NPI = range values[AttributeNPI] {
						var who []int
						for i, row := range rows {
							if !slices.ContainsFunc(row.Guards, func(g Guard) bool { return !g.holds(f) }) {
								who = append(who, i)
								reached[i] = true
							}
						}
						gap = gap || len(who) == 0
						for i, a := range who {
							for _, b := range who[i+1:] {
								overlap[[2]int{a, b}] = true
							}
						}
					}
				}
			}
		}
		for i := range boxes {
			if boxes[i].empty() == reached[i] {
				t.Fatalf("row %d: empty %t, reached %t: %v", i, boxes[i].empty(), reached[i], rows[i].Guards)
			}
			for j := range i {
				if both := boxes[i].and(boxes[j]); both.empty() == overlap[[2]int{j, i}] {
					t.Fatalf("rows %d and %d: %t", j, i, both.empty())
				}
			}
		}
		rest, ok := s.uncovered(s.everybody(), boxes)
		if ok != gap {
			t.Fatalf("gap %t, computed %t", gap, ok)
		}
		if ok && slices.ContainsFunc(boxes, func(b box) bool { return !b.and(rest).empty() }) {
			t.Fatalf("the witness %s is answered for", s.witness(rest))
		}
	})
}

// Rows made to cost much: lint gives up on the gap, says so, and is quick.
func TestLintIsBounded(t *testing.T) {
	var guards, rows strings.Builder
	random := rand.New(rand.NewPCG(1, 2))
	for i := range maxRows - 1 {
		fmt.Fprintf(&guards, "  r%d:\n", i)
		for _, a := range []string{"department", "userType", "npi"} {
			values := []string{"v"}
			for j := range 120 {
				if random.IntN(5) < 2 {
					values = append(values, fmt.Sprintf("v%d", j))
				}
			}
			fmt.Fprintf(&guards, "    %s: {in: [%s]}\n", a, strings.Join(values, ", "))
		}
		fmt.Fprintf(&rows, "  Writer,r,r%d\n", i)
	}
	document := "roles: {r: {permissions: [x]}}\nguards:\n" + guards.String() + "titles: |\n  title,role,row\n" + rows.String() + "  Writer,r,last\n"
	began := time.Now()
	_, found := LintSource(Source{Text: []byte(document)}, LintOptions{Fixtures: []Fixture{}})
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
	if !slices.ContainsFunc(found, func(f Finding) bool { return f.Code == CodeGap && strings.Contains(f.Message, "too finely") }) {
		t.Errorf("%.2000s", says(found))
	}
	more := strings.Replace(document, "  Writer,r,last\n", "  Writer,r,last\n  Writer,r,one-more\n", 1)
	if _, err := Parse([]byte(more)); err == nil || !strings.Contains(err.Error(), "more than 100 rows") {
		t.Errorf("%v", err)
	}
}
