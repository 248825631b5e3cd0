package policy

import (
	"slices"
	"strings"
	"testing"
)

func TestExactlyOneRowAnswers(t *testing.T) {
	p := wardPolicy(t)
	for name, tc := range map[string]struct {
		title, department, userType, npi, kind string
		role, rule                             string
		reason                                 string // contained, when there is no role
	}{
		"first row":           {"Scribe", "Emergency", "", "", "", "staff", "title:scribe-ed", ""},
		"its other value":     {"scribe", " icu", "", "", "", "staff", "title:scribe-ed", ""},
		"second row":          {"Scribe", "Registration", "", "", "", "desk", "title:scribe-desk", ""},
		"gap":                 {"Scribe", "Radiology", "", "", "", "", "", "no row of Scribe is for this one; would be staff if department = Emergency or ICU"},
		"gap, nothing given":  {"Scribe", "", "", "", "", "", "", "would be staff if department = Emergency or ICU"},
		"one row, guards":     {"Coder", "", "Employee", "1234567893", "", "staff", "title:coder", ""},
		"one row, first":      {"Coder", "", "Employee", "", "", "", "", "counts only where npi is given, and npi is not given; would be staff if npi is given"},
		"one row, second":     {"Coder", "", "vendor", "1234567893", "", "", "", `counts only where userType is not Contractor or Vendor, and userType is "vendor"; would be staff if userType is not Contractor or Vendor`},
		"one row, both":       {"Coder", "", "vendor", "", "", "", "", "would be staff if userType is not Contractor or Vendor and npi is given"},
		"overlap, one holds":  {"Float", "Ward 3", "", "", "", "staff", "title:float-any", ""},
		"overlap, both hold":  {"Float", "Ward 3", "", "1234567893", "", "", "", "several rows of Float that are for this person, so none answers; would be clinician if department is not given"},
		"overlap, none holds": {"Float", "", "", "", "", "", "", "would be staff if department is given"},
		"participant type":    {"Epidemiologist", "", "", "", "", "", "title:epidemiologist", "role registry is for participants of type government only; would be registry if participantType = government"},
		"its own type":        {"Epidemiologist", "", "", "", "government", "registry", "title:epidemiologist", ""},
		"no access":           {"Driver", "", "", "", "", "no-access", "title:driver", ""},
	} {
		f := wardFacts(tc.title)
		f.Department, f.UserType, f.NPI = tc.department, tc.userType, tc.npi
		if tc.kind != "" {
			f.Participant.Type = tc.kind
		}
		d, e := p.Decide(f, noon), p.Explain(f, noon)
		explained := ""
		if e.Role != nil {
			explained = *e.Role
		}
		if d.TitleRole != tc.role || explained != tc.role || d.Rule != tc.rule || e.Rule != tc.rule {
			t.Errorf("%s: decided %q by %q, explained %q by %q", name, d.TitleRole, d.Rule, explained, e.Rule)
		}
		if (tc.role == "") == d.Gate(GateTitle).Open || len(d.Permissions) > 0 && tc.role == "" {
			t.Errorf("%s: %+v", name, d)
		}
		for _, says := range []string{d.Gate(GateTitle).Reason, d.Reason, e.Reason} {
			if !strings.Contains(says, tc.reason) {
				t.Errorf("%s: %q, want %q in it", name, says, tc.reason)
			}
		}
	}
}

func TestJobCode(t *testing.T) {
	p := wardPolicy(t)
	const npi = "1234567893"
	for name, tc := range map[string]struct {
		title, code string
		titleRole   string
		permissions []string
		disagrees   string
		closed      []string
	}{
		"none sent":             {"Ward Nurse", "", "clinician", []string{"search", "chart", "sensitive"}, "", nil},
		"unknown":               {"Ward Nurse", "99", "clinician", []string{"search", "chart", "sensitive"}, "", nil},
		"the same":              {"Unit Nurse", "29–1141", "clinician", []string{"search", "chart", "sensitive"}, "", nil},
		"another title's role":  {"Front Clerk", "43-1", "desk", []string{"search"}, "", nil},
		"title unmapped":        {"Wizard", "29-1141", "", nil, "", []string{"title"}},
		"title missing":         {"", "29-1141", "", nil, "", []string{"title"}},
		"title in a gap":        {"Scribe", "29-1141", "", nil, "", []string{"title"}},
		"code is narrower":      {"Ward Nurse", "43-1", "desk", []string{"search"}, "Front Clerk", nil},
		"title is narrower":     {"Front Clerk", "29-1141", "desk", []string{"search"}, "Ward Nurse", nil},
		"title gives nothing":   {"Driver", "29-1141", "no-access", nil, "Ward Nurse", nil},
		"code gives nothing":    {"Ward Nurse", "53-3", "", nil, "Driver", []string{"title"}},
		"a part in common":      {"Ward Nurse", "15-2", "clinician", []string{"search"}, "Data Analyst", nil},
		"the other way round":   {"Data Analyst", "29-1141", "analyst", []string{"search"}, "Ward Nurse", nil},
		"nothing in common":     {"Ward Nurse", "11-9", "", nil, "Quality Reviewer", []string{"title"}},
		"code in a gap":         {"Ward Nurse", "31-9094", "", nil, "Scribe", []string{"title"}},
		"code for other types":  {"Ward Nurse", "19-1", "", nil, "Epidemiologist", []string{"title"}},
		"narrower than btg":     {"Trauma Doctor", "29-1141", "clinician", []string{"search", "chart", "sensitive"}, "Ward Nurse", nil},
		"btg's code, title's r": {"Ward Nurse", "29-12", "clinician", []string{"search", "chart", "sensitive"}, "Trauma Doctor", nil},
	} {
		f := wardFacts(tc.title)
		f.JobCode, f.NPI = tc.code, npi
		d := p.Decide(f, noon)
		if d.TitleRole != tc.titleRole || !slices.Equal(d.Permissions, tc.permissions) || d.JobCodeTitle != tc.disagrees || !slices.Equal(d.ClosedGates(), append([]string{}, tc.closed...)) {
			t.Errorf("%s: %q %v, disagrees with %q, closed %v", name, d.TitleRole, d.Permissions, d.JobCodeTitle, d.ClosedGates())
		}
		if e := p.Explain(f, noon); e.JobCodeTitle != tc.disagrees || (e.Role != nil) != (tc.titleRole != "") || !slices.Equal(e.Permissions, append([]string{}, p.verdictPermissions(&f)...)) {
			t.Errorf("%s: %+v", name, e)
		}
	}
	// The code's occupation is guarded by the same facts.
	f := wardFacts("Ward Nurse")
	f.JobCode, f.Department = "31-9094", "ICU"
	if d := p.Decide(f, noon); d.TitleRole != "staff" || d.JobCodeTitle != "Scribe" || d.Rule != "title:ward-nurse" {
		t.Errorf("code's guards hold: %+v", d)
	}
}

func (p *Policy) verdictPermissions(f *Facts) []string {
	if v := p.verdict(f); v.role != nil {
		return v.role.Permissions
	}
	return nil
}

// Where title and job code have only a part in common, it stands behind what
// both ask for, and is no whole role.
func TestJobCodePartAsksForBoth(t *testing.T) {
	p := wardPolicy(t)
	f := wardFacts("Ward Nurse") // clinician: privacy, clinical
	f.JobCode = "15-2"           // analyst: privacy, npi
	if d := p.Decide(f, noon); !slices.Equal(d.ClosedGates(), []string{"npi"}) || len(d.Permissions) > 0 || d.RequestedRole != "clinician" {
		t.Errorf("without the code's NPI: %+v", d)
	}
	f.NPI = "1234567893"
	f.Evidence = trainedIn(day(100), "privacy")
	if d := p.Decide(f, noon); !slices.Equal(d.Gate(GateTraining).Missing, []string{"clinical"}) || len(d.Permissions) > 0 {
		t.Errorf("without the title's training: %+v", d)
	}
	f.Evidence = trainedIn(day(100), "privacy", "clinical")
	d := p.Decide(f, noon)
	if d.Status != StatusReleased || d.RequestedRole != "clinician" || d.Role == "clinician" || !slices.Equal(d.StandsOn, []string{"privacy", "clinical"}) || !d.ValidUntil.Equal(day(100)) {
		t.Errorf("%+v", d)
	}
	if !strings.Contains(d.Reason, "with the job code of Data Analyst is clinician in part: search is in force") {
		t.Error(d.Reason)
	}
	// A code that comes to disagree is a change of role: what is carried is in both.
	g := wardFacts("Ward Nurse")
	whole := p.Decide(g, noon)
	_, x := then(p, g, day(1), whole, func(f *Facts) { f.JobCode = "15-2" })
	if x.Status != StatusReleased || !x.Transition || !slices.Equal(x.Permissions, []string{"search"}) || !slices.Equal(x.ClosedGates(), []string{"npi"}) {
		t.Errorf("carried: %+v", x)
	}
	// … but not when a gate closes besides.
	h := wardFacts("Data Analyst")
	h.NPI = "1234567893"
	whole = p.Decide(h, noon)
	if _, x := then(p, h, day(1), whole, func(f *Facts) { f.JobCode, f.NPI = "29-1141", "" }); len(x.Permissions) > 0 {
		t.Errorf("carried without its NPI: %+v", x)
	}
}

// Two roles that hold the same and ask for different things ask for both.
func TestEqualSetsAskForBoth(t *testing.T) {
	p := parsed(t, `modules: {m: M, n: N}
roles:
  one: {permissions: [a, b], modules: [m]}
  two: {permissions: [b, a], modules: [n], gates: [approval]}
jobCodes: {attribute: division, codes: {"2": Second}}
titles: |
  title,role
  First,one
  Second,two
`)
	f := readyFacts("First")
	f.JobCode = "2"
	d := p.Decide(f, noon)
	if !slices.Equal(d.ClosedGates(), []string{"training", "approval"}) || !slices.Equal(d.Gate(GateTraining).Missing, []string{"m", "n"}) {
		t.Errorf("%v %+v", d.ClosedGates(), d.Gate(GateTraining))
	}
}

func TestJobCodePath(t *testing.T) {
	for attribute, want := range map[string][]string{
		"costCenter": {"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", "costCenter"},
		"userType":   {"userType"},
	} {
		p := parsed(t, strings.Replace(ward, "attribute: costCenter", "attribute: "+attribute, 1))
		if got := p.JobCodePath(); !slices.Equal(got, want) {
			t.Errorf("%s: %v", attribute, got)
		}
	}
	if got := defaultPolicy(t).JobCodePath(); got != nil {
		t.Errorf("no job codes: %v", got)
	}
}

func TestOverlay(t *testing.T) {
	base := wardPolicy(t)
	p := withOverlay(t, base, `synonyms: {"Bedside Navigator, II": Ward Nurse}
roles: {Ward Nurse: staff, scribe-ed: no-access, Trauma Doctor: clinician}
guards: {Front Clerk: {userType: {in: [Employee]}}, float-npi: {department: {in: [ED]}}}
`)
	for name, tc := range map[string]struct {
		policy     *Policy
		title      string
		department string
		userType   string
		npi        string
		role       string
	}{
		"synonym":               {p, "bedside navigator; II", "", "", "", "staff"},
		"of the whole title":    {p, "Bedside Navigator", "", "", "", ""},
		"nowhere else":          {base, "Bedside Navigator, II", "", "", "", ""},
		"narrower role":         {p, "Unit Nurse", "", "", "", "staff"},
		"no access":             {p, "Scribe", "Emergency", "", "", "no-access"},
		"the other row":         {p, "Scribe", "Registration", "", "", "desk"},
		"further guard closed":  {p, "Front Clerk", "", "Vendor", "", ""},
		"further guard open":    {p, "Desk Clerk", "", "employee", "", "desk"},
		"no guard decides rows": {p, "Float", "Ward 3", "", "1234567893", ""},
		"guard of that row":     {p, "Float", "", "", "1234567893", ""},
	} {
		f := wardFacts(tc.title)
		f.Department, f.UserType, f.NPI = tc.department, tc.userType, tc.npi
		if d := tc.policy.Decide(f, noon); d.TitleRole != tc.role {
			t.Errorf("%s: %q, want %q: %s", name, d.TitleRole, tc.role, d.Reason)
		}
	}
	// A narrower role brings its own gates.
	if d := p.Decide(wardFacts("Trauma Doctor"), noon); d.Role != "clinician" || d.RequestedRole != "" || len(d.ClosedGates()) > 0 {
		t.Errorf("%+v", d)
	}
	if none := p.With(nil); none.verdictPermissions(&Facts{Title: "Ward Nurse"}) == nil || none.Reads("Bedside Navigator, II") != "" {
		t.Error("With(nil) leaves the overlay")
	}
}

// The base may have moved since an overlay was read: it narrows all the same.
func TestStaleOverlayNeverWidens(t *testing.T) {
	o, err := ParseOverlay([]byte(`{"synonyms": {"Navigator": "Ward Nurse", "Rover": "Float"}, "roles": {"Ward Nurse": "staff", "Front Clerk": "no-access"}}`), wardPolicy(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		old, new    string
		title       string
		permissions []string
		closed      bool
	}{
		"row's role is less now":        {"Ward Nurse,clinician,", "Ward Nurse,desk,", "Navigator", []string{"search"}, false},
		"row's role is another now":     {"Ward Nurse,clinician,", "Ward Nurse,analyst,", "Navigator", []string{"search"}, false},
		"row's role shares nothing now": {"Ward Nurse,clinician,", "Ward Nurse,quality,", "Navigator", nil, true},
		"overlay's role is more now":    {"staff: {permissions: [search, chart]", "staff: {permissions: [search, chart, sensitive, override], gates: [approval]", "Ward Nurse", []string{"search", "chart", "sensitive"}, false},
		"overlay's role is gone":        {"staff: {", "crew: {", "Ward Nurse", nil, true},
		"title is gone":                 {"Float,", "Drifter,", "Rover", nil, true},
		"base maps the synonym":         {"Front Clerk,desk,Desk Clerk,", "Front Clerk,desk,Desk Clerk|Rover,", "Rover", nil, false},
		"base bans the synonym":         {"bans: [", "bans: [Navigator, ", "Navigator", nil, true},
	} {
		document := strings.ReplaceAll(strings.ReplaceAll(ward, tc.old, tc.new), ",staff,", map[bool]string{true: ",crew,", false: ",staff,"}[name == "overlay's role is gone"])
		if document == ward {
			t.Fatalf("%s: nothing changed", name)
		}
		p := parsed(t, document).With(o)
		f := wardFacts(tc.title)
		f.NPI = "1234567893"
		if d := p.Decide(f, noon); !slices.Equal(p.verdictPermissions(&f), tc.permissions) || d.Gate(GateTitle).Open == tc.closed {
			t.Errorf("%s: %v, %s", name, p.verdictPermissions(&f), d.Reason)
		}
	}
}

func TestPolicyIsRead(t *testing.T) {
	p := wardPolicy(t)
	if r, ok := p.Role("staff"); !ok || !slices.Equal(r.Permissions, []string{"search", "chart"}) {
		t.Errorf("%v %v", r, ok)
	}
	if _, ok := p.Role("nobody"); ok {
		t.Error("a role that is not there")
	}
	rows := p.Titles()
	if len(rows) != 12 || rows[1].ID != "scribe-ed" || rows[2].Role != "desk" {
		t.Errorf("%+v", rows)
	}
	if !p.BreakGlass([]string{"search", "override"}) || p.BreakGlass([]string{"search"}) || p.BreakGlass(nil) {
		t.Error("break glass")
	}
}
