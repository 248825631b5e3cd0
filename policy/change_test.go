package policy

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// replaced is the ward's policy with texts replaced in pairs, as version 2.
func replaced(t testing.TB, pairs ...string) *Policy {
	t.Helper()
	document := ward
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(document, pairs[i]) {
			t.Fatalf("the ward's policy has no %q", pairs[i])
		}
		document = strings.ReplaceAll(document, pairs[i], pairs[i+1])
	}
	return parsed(t, document).WithVersion(2, noon)
}

func TestCompare(t *testing.T) {
	p := wardPolicy(t)
	const clinician = "clinician: {permissions: [search, chart, sensitive], modules: [privacy, clinical]}"
	for name, tc := range map[string]struct {
		title string
		facts func(*Facts)
		next  *Policy
		class ChangeClass
		want  Change
		alike bool
	}{
		"nothing":          {"Ward Nurse", nil, replaced(t, "Ward Nurse,clinician,WN|Unit Nurse,", "Ward Nurse,clinician,WN,"), ChangeNone, Change{From: "clinician", To: "clinician", StatusFrom: StatusReleased, StatusTo: StatusReleased}, true},
		"another title's":  {"Ward Nurse", nil, replaced(t, "Driver,no-access", "Driver,desk"), ChangeNone, Change{From: "clinician", To: "clinician", StatusFrom: StatusReleased, StatusTo: StatusReleased}, true},
		"less":             {"Ward Nurse", nil, replaced(t, "Ward Nurse,clinician", "Ward Nurse,staff"), ChangeLose, Change{From: "clinician", To: "staff", Loses: []string{"sensitive"}, Ends: []string{"sensitive"}, StatusFrom: StatusReleased, StatusTo: StatusReleased}, false},
		"less of the role": {"Ward Nurse", nil, replaced(t, clinician, "clinician: {permissions: [search, chart], modules: [privacy, clinical]}", "untilApproved: clinician", "untilApproved: staff"), ChangeLose, Change{From: "clinician", To: "clinician", Loses: []string{"sensitive"}, Ends: []string{"sensitive"}, StatusFrom: StatusReleased, StatusTo: StatusReleased}, false},
		"more, not approved": {"Ward Nurse", nil, replaced(t, "Ward Nurse,clinician", "Ward Nurse,emergency"), ChangeGain, Change{From: "clinician", To: "emergency", Gains: []string{"override"}, Gates: []Gate{GateTraining, GateApproval}, StatusFrom: StatusReleased,
			StatusTo: StatusReleased}, false},
		"more at once":       {"Front Clerk", nil, replaced(t, "Front Clerk,desk", "Front Clerk,staff"), ChangeGain, Change{From: "desk", To: "staff", Gains: []string{"chart"}, Starts: []string{"chart"}, Gates: []Gate{GateTraining}, StatusFrom: StatusReleased, StatusTo: StatusReleased}, false},
		"newly mapped":       {"Wizard", nil, replaced(t, "Front Clerk,desk,Desk Clerk,", "Front Clerk,desk,Desk Clerk|Wizard,"), ChangeGain, Change{To: "desk", Gains: []string{"search"}, Starts: []string{"search"}, StatusFrom: StatusPending, StatusTo: StatusReleased}, false},
		"newly no access":    {"Wizard", nil, replaced(t, "Driver,no-access,,", "Driver,no-access,Wizard,"), ChangeRole, Change{To: "no-access", StatusFrom: StatusPending, StatusTo: StatusIneligible}, false},
		"disagrees in name":  {"Front Clerk", func(f *Facts) { f.JobCode = "29-1141" }, replaced(t, `"29-1141": Ward Nurse`, `"29-1141": Scribe`), ChangeUnmapped, Change{From: "desk", Loses: []string{"search"}, Ends: []string{"search"}, StatusFrom: StatusReleased, StatusTo: StatusSuspended}, false},
		"disagrees no more":  {"Front Clerk", func(f *Facts) { f.JobCode = "29-1141" }, replaced(t, `"29-1141"`, `"29-1142"`), ChangeNone, Change{From: "desk", To: "desk", StatusFrom: StatusReleased, StatusTo: StatusReleased}, false},
		"another row":        {"Scribe", func(f *Facts) { f.Department = "Registration" }, replaced(t, "scribe-desk", "scribe-front"), ChangeNone, Change{From: "desk", To: "desk", StatusFrom: StatusReleased, StatusTo: StatusReleased}, false},
		"unmapped":           {"Unit Nurse", nil, replaced(t, "WN|Unit Nurse", "WN"), ChangeUnmapped, Change{From: "clinician", Loses: []string{"search", "chart", "sensitive"}, Ends: []string{"search", "chart", "sensitive"}, StatusFrom: StatusReleased, StatusTo: StatusSuspended}, false},
		"into a gap":         {"Ward Nurse", nil, replaced(t, "guards:\n", "guards:\n  Ward Nurse: {npi: present}\n"), ChangeUnmapped, Change{From: "clinician", Loses: []string{"search", "chart", "sensitive"}, Ends: []string{"search", "chart", "sensitive"}, StatusFrom: StatusReleased, StatusTo: StatusSuspended}, false},
		"no access unmapped": {"Driver", nil, replaced(t, "Driver,", "Rider,"), ChangeUnmapped, Change{From: "no-access", StatusFrom: StatusIneligible, StatusTo: StatusPending}, false},
		"another role": {"Ward Nurse", func(f *Facts) { f.NPI = "1234567893" }, replaced(t, "Ward Nurse,clinician", "Ward Nurse,analyst"), ChangeRole, Change{From: "clinician", To: "analyst", Gains: []string{"reports"}, Loses: []string{"chart", "sensitive"},
			Starts: []string{"reports"}, Ends: []string{"chart", "sensitive"}, Gates: []Gate{GateTraining, GateNPI}, StatusFrom: StatusReleased, StatusTo: StatusReleased}, false},
		"another name": {"Front Clerk", nil, replaced(t, "  staff: {", "  counter: {permissions: [search], modules: [privacy]}\n  staff: {", "Front Clerk,desk", "Front Clerk,counter"), ChangeRole, Change{From: "desk", To: "counter", StatusFrom: StatusReleased, StatusTo: StatusReleased}, false},
		"a new gate":   {"Ward Nurse", nil, replaced(t, clinician, "clinician: {permissions: [search, chart, sensitive], modules: [privacy, clinical], gates: [npi]}"), ChangeGates, Change{From: "clinician", To: "clinician", Gates: []Gate{GateNPI}, StatusFrom: StatusReleased, StatusTo: StatusReleased}, false},
		"a module with grace": {"Ward Nurse", func(f *Facts) { f.Evidence = f.Evidence[:2] }, replaced(t, clinician, "clinician: {permissions: [search, chart, sensitive], modules: [privacy, clinical, emergency]}"), ChangeGates,
			Change{From: "clinician", To: "clinician", Gates: []Gate{GateTraining}, StatusFrom: StatusReleased, StatusTo: StatusReleased}, false},
		"a module without": {"Ward Nurse", func(f *Facts) { f.Evidence = f.Evidence[:2] }, replaced(t, clinician, "clinician: {permissions: [search, chart, sensitive], modules: [privacy, clinical, emergency]}", "graceDays: 30", "graceDays: 0"), ChangeLose,
			Change{From: "clinician", To: "clinician", Ends: []string{"search", "chart", "sensitive"}, Gates: []Gate{GateTraining}, StatusFrom: StatusReleased, StatusTo: StatusSuspended}, false},
		"until approved": {"Trauma Doctor", nil, replaced(t, "untilApproved: clinician", "untilApproved: staff"), ChangeGates, Change{From: "emergency", To: "emergency", Gates: []Gate{GateApproval}, StatusFrom: StatusReleased, StatusTo: StatusReleased}, false},
		"its role asks": {"Trauma Doctor", nil, replaced(t, clinician, "clinician: {permissions: [search, chart, sensitive], modules: [privacy, clinical], gates: [npi]}"), ChangeLose,
			Change{From: "emergency", To: "emergency", Ends: []string{"search", "chart", "sensitive"}, Gates: []Gate{GateApproval}, StatusFrom: StatusReleased, StatusTo: StatusSuspended}, false},
		"job codes": {"Ward Nurse", func(f *Facts) { f.JobCode = "43-1" }, replaced(t, `"43-1": Front Clerk`, `"43-2": Front Clerk`), ChangeGain, Change{From: "desk", To: "clinician", Gains: []string{"chart", "sensitive"}, Starts: []string{"chart", "sensitive"},
			Gates: []Gate{GateTraining}, StatusFrom: StatusReleased, StatusTo: StatusReleased}, false},
		"suspended": {"Ward Nurse", func(f *Facts) { f.Participant.Status = "suspended" }, replaced(t, "Ward Nurse,clinician", "Ward Nurse,staff"), ChangeLose, Change{From: "clinician", To: "staff", Loses: []string{"sensitive"}, Ends: []string{"sensitive"},
			StatusFrom: StatusReleased, StatusTo: StatusReleased}, false},
		"never released": {"Ward Nurse", func(f *Facts) { f.Mobile = "" }, replaced(t, "Ward Nurse,clinician", "Ward Nurse,staff"), ChangeLose, Change{From: "clinician", To: "staff", Loses: []string{"sensitive"}, StatusFrom: StatusPending, StatusTo: StatusPending}, false},
	} {
		f := wardFacts(tc.title)
		if tc.facts != nil {
			tc.facts(&f)
		}
		released := f
		released.Participant = live
		f.Prior = p.Decide(released, day(-1))
		after, class, c := p.Compare(tc.next, f, noon)
		if class != tc.class {
			t.Errorf("%s: %q, want %q", name, class, tc.class)
		}
		for _, list := range []*[]string{&c.Gains, &c.Loses, &c.Starts, &c.Ends} {
			if len(*list) == 0 {
				*list = nil
			}
		}
		if !reflect.DeepEqual(c, tc.want) {
			t.Errorf("%s:\n%+v, want\n%+v", name, c, tc.want)
		}
		if !reflect.DeepEqual(after, tc.next.Decide(f, noon)) {
			t.Errorf("%s: not what is decided: %+v", name, after)
		}
		without := f
		without.Prior = Decision{}
		if got := p.LeadsAlike(tc.next, without); got != tc.alike {
			t.Errorf("%s: leads alike %t", name, got)
		}
		if tc.alike && p.LeadsAlike(tc.next, Facts{Title: tc.title, Prior: Decision{Transition: true}}) {
			t.Errorf("%s: alike in transition", name)
		}
	}
}

// What expired by the clock is not lost by the policy, and what a person's own
// deeds changed since is not either.
func TestCompareLooksAtTheClock(t *testing.T) {
	p := wardPolicy(t)
	f := wardFacts("Ward Nurse")
	f.Evidence = trainedIn(day(10), "privacy", "clinical")
	f.Prior = p.Decide(f, noon)
	_, class, c := p.Compare(replaced(t, "Driver,no-access", "Driver,desk"), f, day(11))
	if class != ChangeNone || len(c.Ends) > 0 || c.StatusFrom != StatusSuspended || c.StatusTo != StatusSuspended {
		t.Errorf("%q %+v", class, c)
	}
}

// Where the code is read from another attribute, the code that was sent there
// says nothing about the policy before.
func TestJobCodesOfAnotherAttribute(t *testing.T) {
	p, next := wardPolicy(t), replaced(t, "attribute: costCenter", "attribute: division")
	before, codes, _ := strings.Cut(ward, "jobCodes:")
	_, after, _ := strings.Cut(codes, "guards:")
	none := parsed(t, before+"guards:"+after).WithVersion(3, time.Time{})
	f := wardFacts("Ward Nurse")
	if p.LeadsAlike(next, f) || p.LeadsAlike(none, f) {
		t.Error("alike, though nobody knows the code that was read until now")
	}
	if !none.LeadsAlike(p, f) {
		t.Error("no code before, and none of this person's now")
	}
	f.JobCode = "43-1"
	if none.LeadsAlike(p, f) {
		t.Error("a code that narrows from now on")
	}
	f.Prior = none.Decide(f, day(-1))
	if _, class, c := none.Compare(p, f, noon); class != ChangeLose || c.From != "clinician" || c.To != "desk" || !slices.Equal(c.Ends, []string{"chart", "sensitive"}) {
		t.Errorf("%q %+v", class, c)
	}
	if _, _, c := p.Compare(next, f, noon); c.From != "clinician" || c.To != "desk" {
		t.Errorf("%+v", c)
	}
}
