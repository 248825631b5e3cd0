package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// NoRole stands in a fixture for people whose title leads to no role.
const NoRole = "none"

// Fixture is one line of the tests beside a policy: a person, and what the
// policy must say.
type Fixture struct {
	File            string `json:"file,omitempty"`
	Line            int    `json:"line"`
	Title           string `json:"title"`
	Department      string `json:"department,omitempty"`
	UserType        string `json:"userType,omitempty"`
	ParticipantType string `json:"participantType"` // standard when left out
	NPI             string `json:"npi,omitempty"`
	JobCode         string `json:"jobCode,omitempty"`
	Role            string `json:"role"`          // expected; NoRole for none
	Row             string `json:"row,omitempty"` // expected row id; "" when any may answer
}

var fixtureColumns = []string{"title", "department", "userType", "participantType", "npi", "jobCode", "role", "row"}

// FixturesName is the name of the file with the tests of a document:
// policy.yaml is tested by policy.tests.csv.
func FixturesName(document string) string {
	for _, ending := range []string{".yaml", ".yml", ".json"} {
		if stem, ok := strings.CutSuffix(document, ending); ok {
			return stem + ".tests.csv"
		}
	}
	return document + ".tests.csv"
}

// ParseFixtures reads the tests of a policy, CSV with its header line first,
// strictly; name is the file's, for what is wrong with it. Whether roles and
// rows exist is for Test, which knows the policy.
func ParseFixtures(name string, csv []byte) ([]Fixture, error) {
	d := reader{file: name}
	if len(csv) > maxDocument {
		d.fault(0, "", "%d bytes came; at most %d are read", len(csv), maxDocument)
		return nil, d.err("policy tests")
	}
	out := []Fixture{}
	lines := map[Fixture]int{}
	self := func(line int) int { return line }
	d.sheet(strings.TrimPrefix(string(csv), byteOrderMark), "tests", fixtureColumns, []string{"title", "role"}, self, func(line int, get func(string) string) {
		f := Fixture{
			File: name, Line: line, Title: get("title"), Department: get("department"), UserType: get("userType"), ParticipantType: get("participantType"),
			NPI: get("npi"), JobCode: get("jobCode"), Role: get("role"), Row: get("row"),
		}
		if f.ParticipantType == "" {
			f.ParticipantType = participantKind[0]
		}
		switch {
		case f.Role == "":
			d.fault(line, "tests.role", "nothing came; a role was expected, or %s", NoRole)
		case f.Role == NoRole && f.Row != "":
			d.fault(line, "tests.row", "%q came with role %s; no row answers then", clip(f.Row), NoRole)
		}
		if !slices.Contains(participantKind, f.ParticipantType) {
			d.unknown(line, "tests.participantType", "participant type", f.ParticipantType, participantKind)
		}
		person := f
		person.Line, person.Role, person.Row = 0, "", ""
		if first, again := lines[person]; again {
			d.fault(line, "tests", "this person stands here again; the first time was on line %d", first)
			return
		}
		lines[person] = line
		out = append(out, f)
	})
	if err := d.err("policy tests"); err != nil {
		return nil, err
	}
	return out, nil
}

// String says who a fixture is about.
func (f Fixture) String() string {
	said := "no title"
	if f.Title != "" {
		said = f.Title
	}
	for _, with := range [][2]string{
		{"department", f.Department}, {"userType", f.UserType}, {"npi", f.NPI}, {"jobCode", f.JobCode},
	} {
		if with[1] != "" {
			said += ", " + with[0] + " " + with[1]
		}
	}
	if f.ParticipantType != participantKind[0] {
		said += ", participant " + f.ParticipantType
	}
	return said
}

// TestResult is what a policy said to one fixture.
type TestResult struct {
	Fixture Fixture `json:"fixture"`
	Passed  bool    `json:"passed"`
	Role    string  `json:"role"`            // NoRole for none
	Row     string  `json:"row,omitempty"`   // that answered
	Fault   string  `json:"fault,omitempty"` // what differs, when it did not pass
	Reason  string  `json:"reason"`          // the policy's sentence
}

// TestReport is what a policy said to its fixtures. A row is covered when a
// fixture that passed was answered by it.
type TestReport struct {
	Results   []TestResult `json:"results"` // in the order of the fixtures
	Covered   []string     `json:"covered"` // row ids in the order of the table
	Uncovered []string     `json:"uncovered"`
}

// Test asks the policy about every fixture. The same policy and fixtures always
// come to the same report.
func (p *Policy) Test(fixtures []Fixture) TestReport {
	r := TestReport{Results: make([]TestResult, 0, len(fixtures)), Covered: []string{}, Uncovered: []string{}}
	rows := p.register().rows
	covered := map[string]bool{}
	for _, f := range fixtures {
		e := p.Explain(Facts{
			Participant: ParticipantState{Type: f.ParticipantType, Status: "active", Mode: "live"}, Active: true,
			Title: f.Title, Department: f.Department, UserType: f.UserType, NPI: f.NPI, JobCode: f.JobCode,
		}, time.Time{})
		got := TestResult{Fixture: f, Role: NoRole, Reason: e.Reason}
		if e.Role != nil {
			got.Role, got.Row = *e.Role, strings.TrimPrefix(e.Rule, "title:")
		}
		got.Fault = p.differs(f, got, rows)
		got.Passed = got.Fault == ""
		if got.Passed && got.Row != "" {
			covered[got.Row] = true
		}
		r.Results = append(r.Results, got)
	}
	for i := range p.rows {
		if id := p.rows[i].ID; covered[id] {
			r.Covered = append(r.Covered, id)
		} else {
			r.Uncovered = append(r.Uncovered, id)
		}
	}
	return r
}

// differs says in what an answer is not the expected one, "" when it is.
func (p *Policy) differs(f Fixture, got TestResult, rows map[string]*Row) string {
	switch {
	case f.Role != NoRole && p.role(f.Role) == nil:
		return "the policy has no role " + f.Role + hint(f.Role, p.names)
	case f.Row != "" && rows[f.Row] == nil:
		ids := make([]string, len(p.rows))
		for i := range p.rows {
			ids[i] = p.rows[i].ID
		}
		return "the policy has no row " + f.Row + hint(f.Row, ids)
	case got.Role != f.Role:
		return fmt.Sprintf("role %s was expected, %s came", f.Role, got.Role)
	case f.Row != "" && got.Row != f.Row:
		return fmt.Sprintf("row %s was expected, %s answered", f.Row, got.Row)
	}
	return ""
}

// hint proposes a known name for one that is not.
func hint(name string, known []string) string {
	if near := nearest(name, known); near != "" {
		return "; did you mean " + near + "?"
	}
	return ""
}

// Failed are the results that are not as expected.
func (r TestReport) Failed() []TestResult {
	var out []TestResult
	for _, t := range r.Results {
		if !t.Passed {
			out = append(out, t)
		}
	}
	return out
}

// Coverage is the share of the rows that are covered, 0 to 1; 1 without rows.
func (r TestReport) Coverage() float64 {
	if len(r.Covered)+len(r.Uncovered) == 0 {
		return 1
	}
	return float64(len(r.Covered)) / float64(len(r.Covered)+len(r.Uncovered))
}

// Passed says whether every fixture came out as expected and every row is
// covered.
func (r TestReport) Passed() bool { return len(r.Failed()) == 0 && len(r.Uncovered) == 0 }
