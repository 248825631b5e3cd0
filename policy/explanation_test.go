package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Explanations are read by people: each kind of answer is kept as it is said.
// -update writes them anew.
func TestExplanations(t *testing.T) {
	p := wardPolicy(t)
	here := withOverlay(t, p, "synonyms: {Bedside Navigator: Ward Nurse}\nroles: {Front Clerk: no-access, Trauma Doctor: staff}\nguards: {Data Analyst: {userType: {in: [Employee]}}}\n")
	const clinician = "clinician: {permissions: [search, chart, sensitive], modules: [privacy, clinical]}"
	more := replaced(t, clinician, "clinician: {permissions: [search, chart, sensitive], modules: [privacy, clinical, emergency]}")
	none := replaced(t, clinician, "clinician: {permissions: [search, chart, sensitive], modules: [privacy, clinical, emergency]}", "graceDays: 30", "graceDays: 0")
	approving := replaced(t, clinician, "clinician: {permissions: [search, chart, sensitive], modules: [privacy, clinical], gates: [approval]}")

	// before is what was decided when the person was a ward nurse with everything.
	before := func(change func(*Facts)) Decision {
		f := wardFacts("Ward Nurse")
		if change != nil {
			change(&f)
		}
		return p.Decide(f, day(-10))
	}
	short := func(f *Facts) { f.Evidence = trainedIn(day(100), "privacy", "clinical") }

	for name, tc := range map[string]struct {
		policy *Policy
		title  string
		change func(*Facts)
		at     time.Time // zero: noon; else the decision of noon as it is seen then
	}{
		"mapped":                {p, "Ward Nurse", nil, time.Time{}},
		"alias":                 {p, "unit nurse", nil, time.Time{}},
		"synonym":               {p, "Ward R.N.", nil, time.Time{}},
		"taken off":             {p, "Sr. Ward Nurse II - ICU", nil, time.Time{}},
		"bracket":               {p, "Ward Nurse (WN)", nil, time.Time{}},
		"ban":                   {p, "Senior Nurse", nil, time.Time{}},
		"missing":               {p, "", nil, time.Time{}},
		"too long":              {p, "Ward Nurse" + strings.Repeat(" and so on", 110), nil, time.Time{}},
		"unmapped":              {p, "Wrad Nurse", nil, time.Time{}},
		"no access":             {p, "Driver", nil, time.Time{}},
		"gap":                   {p, "Scribe", func(f *Facts) { f.Department = "Radiology" }, time.Time{}},
		"gap of one row":        {p, "Coder", func(f *Facts) { f.UserType = "Vendor" }, time.Time{}},
		"another row":           {p, "Scribe", func(f *Facts) { f.Department = "icu" }, time.Time{}},
		"ambiguous":             {p, "Float", func(f *Facts) { f.Department, f.NPI = "Ward 3", "1234567893" }, time.Time{}},
		"participant type":      {p, "Epidemiologist", nil, time.Time{}},
		"job code agrees":       {p, "Unit Nurse", func(f *Facts) { f.JobCode = "29-1141" }, time.Time{}},
		"job code unknown":      {p, "Ward Nurse", func(f *Facts) { f.JobCode = "00-0" }, time.Time{}},
		"job code alone":        {p, "Wizard", func(f *Facts) { f.JobCode = "29-1141" }, time.Time{}},
		"job code narrows":      {p, "Ward Nurse", func(f *Facts) { f.JobCode = "43-1" }, time.Time{}},
		"job code in part":      {p, "Ward Nurse", func(f *Facts) { f.JobCode, f.NPI = "15-2", "1234567893" }, time.Time{}},
		"job code disagrees":    {p, "Ward Nurse", func(f *Facts) { f.JobCode = "11-9" }, time.Time{}},
		"job code in a gap":     {p, "Ward Nurse", func(f *Facts) { f.JobCode, f.Department = "31-9094", "Radiology" }, time.Time{}},
		"overlay synonym":       {here, "Bedside Navigator", nil, time.Time{}},
		"overlay narrows":       {here, "Trauma Doctor", nil, time.Time{}},
		"overlay gives nothing": {here, "Front Clerk", nil, time.Time{}},
		"overlay guard":         {here, "Data Analyst", nil, time.Time{}},
		"until approved":        {p, "Trauma Doctor", nil, time.Time{}},
		"approved": {p, "Trauma Doctor", func(f *Facts) {
			f.Approvals = []Approval{approval("emergency", "trauma doctor", true, day(-1))}
		}, time.Time{}},
		"rejected": {p, "Trauma Doctor", func(f *Facts) {
			f.Approvals = []Approval{approval("emergency", "trauma doctor", false, day(-1))}
		}, time.Time{}},
		"untrained": {p, "Ward Nurse", func(f *Facts) { f.Evidence = trainedIn(day(-1), "privacy") }, time.Time{}},
		"hold":      {p, "Ward Nurse", func(f *Facts) { f.Holds = []Hold{{ID: "h", Reason: "under investigation"}} }, time.Time{}},
		"address":   {p, "Ward Nurse", func(f *Facts) { f.EmailTaken = true }, time.Time{}},
		"address proved": {p, "Ward Nurse", func(f *Facts) {
			f.EmailTaken = true
			f.Evidence = append(f.Evidence, Evidence{ID: "e-call", Gate: GateEmail, CompletedAt: day(-1), ValidUntil: day(5)})
		}, time.Time{}},
		"transition":           {p, "Data Analyst", func(f *Facts) { short(f); f.Prior = before(short) }, time.Time{}},
		"transition to a part": {p, "Ward Nurse", func(f *Facts) { short(f); f.Prior = before(short); f.JobCode = "15-2" }, time.Time{}},
		"grace":                {more, "Ward Nurse", func(f *Facts) { short(f); f.Prior = before(short) }, time.Time{}},
		"grace is over":        {more, "Ward Nurse", func(f *Facts) { short(f); f.Prior = before(short) }, day(30)},
		"no grace":             {none, "Ward Nurse", func(f *Facts) { short(f); f.Prior = before(short) }, time.Time{}},
		"new approval":         {approving, "Ward Nurse", func(f *Facts) { short(f); f.Prior = before(short) }, time.Time{}},
		"expiry":               {p, "Ward Nurse", short, day(100)},
		"decided after": {p, "Ward Nurse", func(f *Facts) {
			f.Prior = before(func(f *Facts) { f.Evidence = trainedIn(day(-1), "privacy", "clinical") })
			f.Evidence = trainedIn(day(-1), "privacy", "clinical")
		}, time.Time{}},
		"suspended": {p, "Ward Nurse", nil, day(1)},
		"deleted":   {p, "Ward Nurse", func(f *Facts) { f.Deleted = true }, time.Time{}},
	} {
		f := wardFacts(tc.title)
		if tc.change != nil {
			tc.change(&f)
		}
		d := tc.policy.Decide(f, noon)
		if name == "suspended" {
			f.Participant.Status = "suspended"
		}
		if !tc.at.IsZero() {
			d = d.At(tc.at, f.Participant)
		}
		got := said(f, d, tc.policy.Explain(f, noon))
		file := filepath.Join("testdata", "explanations", strings.ReplaceAll(name, " ", "-")+".txt")
		if *update {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s says\n%s\nwant\n%s", name, got, want)
		}
	}
}

// said is a decision and an explanation as people read them.
func said(f Facts, d Decision, e Explanation) string {
	var b strings.Builder
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(&b, "%-12s %s\n", name, value)
		}
	}
	lines := func(name string, values []string) {
		for _, v := range values {
			line(name, v)
		}
	}
	until := func(t *time.Time) string {
		if t == nil {
			return ""
		}
		return t.Format(time.RFC3339)
	}
	fmt.Fprintf(&b, "%-12s %q\n", "title", clip(f.Title))
	line("department", f.Department)
	line("user type", f.UserType)
	line("npi", f.NPI)
	line("job code", f.JobCode)
	b.WriteString("\nDecision\n")
	line("status", string(d.Status))
	line("role", d.Role)
	line("permissions", list(d.Permissions))
	line("requested", d.RequestedRole)
	line("rule", d.Rule)
	line("disagrees", d.JobCodeTitle)
	line("closed", list(d.ClosedGates()))
	line("valid until", until(d.ValidUntil))
	line("reason", clipLine(d.Reason))
	line("staff", d.Staff)
	for _, s := range d.Trace {
		fmt.Fprintf(&b, "  %-10s %s\n", s.Step, clipLine(s.Detail))
	}
	b.WriteString("\nExplanation\n")
	if e.Role != nil {
		line("role", *e.Role)
	}
	line("permissions", list(e.Permissions))
	line("rule", e.Rule)
	line("disagrees", e.JobCodeTitle)
	line("reason", clipLine(e.Reason))
	for _, c := range e.Counterfactuals {
		line("otherwise", c.Sentence)
		for _, g := range c.If {
			line("  if", strings.TrimSpace(string(g.Attribute)+" "+string(g.Test)+" "+strings.Join(g.Values, ", ")))
		}
	}
	suggestions := make([]string, len(e.Suggestions))
	for i, s := range e.Suggestions {
		suggestions[i] = fmt.Sprintf("%s (%s, %.3f)", s.Title, s.Role, s.Score)
	}
	lines("suggestion", suggestions)
	// What explains the decision explains the question: the same steps first.
	if !slices.Equal(e.Trace, d.Trace[:len(e.Trace)]) {
		b.WriteString("the traces differ\n")
	}
	return b.String()
}

func clipLine(s string) string {
	if len(s) > 400 {
		return s[:200] + " … " + s[len(s)-100:]
	}
	return s
}
