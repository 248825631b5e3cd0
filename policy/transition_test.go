package policy

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// asking is the default policy as version 2, in force since noon, whose
// registrars need more training, with days of grace.
func asking(t testing.TB, grace map[string]int, more ...string) *Policy {
	t.Helper()
	document := strings.Replace(string(Default()), registrarsModules, "modules: [nys-policy, hosted-registration, "+strings.Join(more, ", ")+"]}", 1)
	for module, days := range grace {
		i := strings.Index(document, "\n  "+module+":")
		if i < 0 {
			t.Fatalf("no module %s", module)
		}
		line := document[i+1 : i+1+strings.Index(document[i+1:], "\n")]
		document = strings.Replace(document, line, "  "+module+": {name: Training, graceDays: "+strconv.Itoa(days)+"}", 1)
	}
	return parsed(t, document).WithVersion(2, noon)
}

func TestGrace(t *testing.T) {
	old := defaultPolicy(t)
	f := readyFacts("Registrar")
	f.Evidence = trainedIn(day(100), "nys-policy", "hosted-registration")
	released := old.Decide(f, day(-1))
	if released.Status != StatusReleased {
		t.Fatal(released.Reason)
	}
	for name, tc := range map[string]struct {
		p      *Policy
		at     time.Time
		change func(*Facts)
		until  time.Time // zero: nothing is kept
	}{
		"30 days":                     {asking(t, map[string]int{"clinical-access": 30}, "clinical-access"), day(1), nil, day(30)},
		"the last moment":             {asking(t, map[string]int{"clinical-access": 30}, "clinical-access"), day(30).Add(-time.Microsecond), nil, day(30)},
		"over":                        {asking(t, map[string]int{"clinical-access": 30}, "clinical-access"), day(30), nil, time.Time{}},
		"none":                        {asking(t, nil, "clinical-access"), noon, nil, time.Time{}},
		"the least patient of two":    {asking(t, map[string]int{"clinical-access": 30, "break-the-glass": 7}, "clinical-access", "break-the-glass"), day(1), nil, day(7)},
		"one of two has none":         {asking(t, map[string]int{"clinical-access": 30}, "clinical-access", "break-the-glass"), day(1), nil, time.Time{}},
		"the impatient one is there":  {asking(t, map[string]int{"clinical-access": 30}, "clinical-access", "break-the-glass"), day(1), func(f *Facts) { f.Evidence = append(f.Evidence, trainedIn(day(90), "break-the-glass")...) }, day(30)},
		"other training ends before":  {asking(t, map[string]int{"clinical-access": 200}, "clinical-access"), day(1), nil, day(100)},
		"other training is revoked":   {asking(t, map[string]int{"clinical-access": 30}, "clinical-access"), day(1), func(f *Facts) { f.Evidence = f.Evidence[:1] }, time.Time{}},
		"another gate closes besides": {asking(t, map[string]int{"clinical-access": 30}, "clinical-access"), day(1), func(f *Facts) { f.Mobile = "" }, time.Time{}},
		"not released yet":            {asking(t, map[string]int{"clinical-access": 30}, "clinical-access"), day(1), func(f *Facts) { f.Prior = Decision{} }, time.Time{}},
		"not in force yet":            {asking(t, map[string]int{"clinical-access": 30}, "clinical-access").WithVersion(2, time.Time{}), day(5), nil, day(35)},
	} {
		g := f
		g.Evidence = slices.Clone(f.Evidence)
		g.Prior = released
		if tc.change != nil {
			tc.change(&g)
		}
		d := tc.p.Decide(g, tc.at)
		if tc.until.IsZero() {
			if len(d.Permissions) > 0 || d.Transition || d.ValidUntil != nil {
				t.Errorf("%s: %v kept until %v", name, d.Permissions, d.ValidUntil)
			}
			continue
		}
		if d.Status != StatusReleased || !d.Transition || !slices.Equal(d.Permissions, released.Permissions) || d.ValidUntil == nil || !d.ValidUntil.Equal(tc.until) {
			t.Errorf("%s: %s %v until %v", name, d.Status, d.Permissions, d.ValidUntil)
		}
		if gone := d.At(tc.until, live); gone.Status != StatusSuspended || len(gone.Permissions) > 0 || !strings.Contains(gone.Reason, "days of grace") {
			t.Errorf("%s, afterwards: %+v", name, gone)
		}
	}
}

// Days of grace are given once: neither deciding again nor another version that
// asks for the same prolongs them.
func TestGraceIsGivenOnce(t *testing.T) {
	old := defaultPolicy(t)
	p := asking(t, map[string]int{"clinical-access": 30}, "clinical-access")
	f := readyFacts("Registrar")
	f.Evidence = trainedIn(day(100), "nys-policy", "hosted-registration")
	f.Prior = old.Decide(f, day(-1))
	f.Prior = p.Decide(f, day(1))
	for name, q := range map[string]*Policy{
		"again":          p,
		"next version":   p.WithVersion(3, day(20)),
		"more patience":  asking(t, map[string]int{"clinical-access": 90}, "clinical-access").WithVersion(3, day(20)),
		"asked no more?": old.WithVersion(3, day(20)),
	} {
		d := q.Decide(f, day(25))
		if name == "asked no more?" {
			if d.Transition || !d.ValidUntil.Equal(day(100)) {
				t.Errorf("%s: %+v", name, d)
			}
			continue
		}
		if !d.Transition || !d.ValidUntil.Equal(day(30)) {
			t.Errorf("%s: until %v", name, d.ValidUntil)
		}
		if d := q.Decide(f, day(31)); len(d.Permissions) > 0 {
			t.Errorf("%s: %v after the days of grace", name, d.Permissions)
		}
	}
	// One more module without grace ends it.
	if d := asking(t, map[string]int{"clinical-access": 30}, "clinical-access", "break-the-glass").WithVersion(3, day(20)).Decide(f, day(25)); len(d.Permissions) > 0 {
		t.Errorf("a module without grace: %v", d.Permissions)
	}
	// Trained in time: the role is whole.
	f.Evidence = append(f.Evidence, trainedIn(day(90), "clinical-access")...)
	if d := p.Decide(f, day(25)); d.Transition || d.Role != "registration-consent" || !d.ValidUntil.Equal(day(90)) {
		t.Errorf("trained: %+v", d)
	}
}

// A change of title is no policy change: rule 6 carries, as long as the old
// training holds.
func TestGraceIsNotForAChangeOfRole(t *testing.T) {
	old := defaultPolicy(t)
	f := readyFacts("Registered Nurse")
	f.Evidence = trainedIn(day(200), "nys-policy", "clinical-access")
	f.Prior = old.Decide(f, noon)
	f.Title = "Registrar"
	d := asking(t, nil, "account-management").Decide(f, day(1))
	if !d.Transition || !d.ValidUntil.Equal(day(200)) {
		t.Errorf("%+v", d)
	}
}

// What a change of role waits for is not asked for anew by the next version.
func TestVersionsGoOnWithAChangeOfRole(t *testing.T) {
	p := wardPolicy(t)
	f := wardFacts("Front Clerk")
	f.Evidence = trainedIn(day(100), "privacy")
	f.Prior = p.Decide(f, day(-1))
	f.Title = "Ward Nurse"
	f.Prior = p.Decide(f, noon)
	if !f.Prior.Transition || !slices.Equal(f.Prior.Permissions, []string{"search"}) {
		t.Fatal(f.Prior.Reason)
	}
	d := p.WithVersion(2, day(1)).Decide(f, day(2))
	if !d.Transition || !slices.Equal(d.Permissions, []string{"search"}) || !d.ValidUntil.Equal(day(100)) {
		t.Errorf("%+v", d)
	}
}

// Two roles that hold the same are named in one order.
func TestRoleInForceIsNamedInOneOrder(t *testing.T) {
	document := "modules: {m: M}\nroles:\n  first: {permissions: [a, b, c]}\n  last: {permissions: [b, c, d], modules: [m]}\n"
	for _, name := range []string{"k", "e", "z", "g", "f", "h"} {
		document += "  " + name + ": {permissions: [b, c]}\n"
	}
	p := parsed(t, document+"titles: |\n  title,role\n  Beginner,first\n  Ender,last\n")
	f := readyFacts("Beginner")
	f.Prior = p.Decide(f, noon)
	f.Title = "Ender"
	for range 20 {
		if d := p.Decide(f, day(1)); d.Role != "e" {
			t.Fatalf("%q in force", d.Role)
		}
	}
}

// What applies until approval has modules too, and those that are new count.
func TestGraceOfWhatAppliesUntilApproved(t *testing.T) {
	old := wardPolicy(t)
	f := wardFacts("Trauma Doctor")
	f.Evidence = trainedIn(day(100), "privacy", "clinical", "emergency")
	f.Prior = old.Decide(f, day(-1))
	if f.Prior.Role != "clinician" {
		t.Fatal(f.Prior.Reason)
	}
	const modules = "sensitive], modules: [privacy, clinical]}"
	for days, until := range map[string]time.Time{"14": day(14), "0": {}} {
		p := parsed(t, strings.Replace(strings.Replace(ward, modules, "sensitive], modules: [privacy, clinical, refresher]}", 1), "  clinical: Clinical portal", "  clinical: Clinical portal\n  refresher: {name: Refresher, graceDays: "+days+"}", 1)).WithVersion(2, noon)
		d := p.Decide(f, day(1))
		if until.IsZero() != (len(d.Permissions) == 0) || d.ValidUntil != nil && !d.ValidUntil.Equal(until) {
			t.Errorf("%s days: %v until %v: %s", days, d.Permissions, d.ValidUntil, d.Reason)
		}
	}
}

// A version that moved on does not keep what applied until approval once its own
// gates close: no decision lists them, so they are looked at again.
func TestVersionsDoNotKeepALostFallback(t *testing.T) {
	document := `roles:
  low: {permissions: [a], gates: [approval, npi]}
  high: {permissions: [a, b], gates: [approval], untilApproved: low}
titles: |
  title,role
  Boss,high
`
	p := parsed(t, document).WithVersion(1, noon)
	f := readyFacts("Boss")
	f.NPI = "1234567893"
	f.Approvals = []Approval{approval("low", "boss", true, day(-1))}
	f.Prior = p.Decide(f, noon)
	if f.Prior.Role != "low" {
		t.Fatal(f.Prior.Reason)
	}
	for name, change := range map[string]func(*Facts){
		"rejected": func(f *Facts) {
			f.Approvals = append(slices.Clone(f.Approvals), approval("low", "boss", false, day(1)))
		},
		"npi": func(f *Facts) { f.NPI = "" },
	} {
		g := f
		change(&g)
		if d := p.WithVersion(2, day(1)).Decide(g, day(1)); len(d.Permissions) > 0 {
			t.Errorf("%s: %v", name, d.Permissions)
		}
	}
}

func TestNarrowing(t *testing.T) {
	p := wardPolicy(t)
	f := wardFacts("Ward Nurse")
	d := p.Decide(f, noon)
	next := func(role string) Decision {
		q := parsed(t, strings.Replace(ward, "Ward Nurse,clinician,", "Ward Nurse,"+role+",", 1)).WithVersion(2, noon)
		g := f
		g.Prior = d
		g.NPI = "1234567893"
		return q.Decide(g, noon)
	}
	for name, tc := range map[string]struct {
		after Decision
		want  *Narrowing
	}{
		"nothing changes":   {d, nil},
		"a narrower role":   {next("staff"), &Narrowing{Version: 2, Permissions: []string{"search", "chart"}, Role: "staff", Gate: GateTitle}},
		"another role":      {next("analyst"), &Narrowing{Version: 2, Permissions: []string{"search"}, Gate: GateTitle}},
		"nothing in common": {next("quality"), &Narrowing{Version: 2, Gate: GateTitle}},
		"ineligible":        {next("no-access"), &Narrowing{Version: 2, Gate: GateTitle}},
		"more":              {next("emergency"), nil},
		"a gate closes":     {Decision{Gates: []GateState{{Gate: GateParticipant}, {Gate: GateTitle, Open: true}, {Gate: GateNPI}}}, &Narrowing{Version: 2, Gate: GateNPI}},
		"a part of a whole": {Decision{Role: "x", Permissions: []string{"search", "other"}}, &Narrowing{Version: 2, Permissions: []string{"search"}, Gate: GateTitle}},
	} {
		n := d.Narrowing(tc.after, 2)
		if (n == nil) != (tc.want == nil) || n != nil && (n.Version != tc.want.Version || n.Role != tc.want.Role || n.Gate != tc.want.Gate || !slices.Equal(n.Permissions, tc.want.Permissions)) {
			t.Errorf("%s: %+v, want %+v", name, n, tc.want)
		}
	}
	if n := p.Decide(readyFacts("Wizard"), noon).Narrowing(Decision{}, 2); n != nil {
		t.Errorf("nothing in force: %+v", n)
	}
}

func TestWithin(t *testing.T) {
	p := wardPolicy(t)
	f := wardFacts("Ward Nurse")
	f.Evidence = trainedIn(day(30), "privacy", "clinical")
	d := p.Decide(f, noon)
	part := &Narrowing{Version: 2, Permissions: []string{"search", "chart"}, Role: "staff", Gate: GateTitle}
	suspended := ParticipantState{Status: "suspended", Mode: "live"}

	if x := d.Within(nil); x.Role != "clinician" || len(x.Permissions) != 3 {
		t.Errorf("nil: %+v", x)
	}
	x := d.Within(part)
	if x.Status != StatusReleased || x.Role != "staff" || x.RequestedRole != "clinician" || !slices.Equal(x.Permissions, part.Permissions) || !strings.Contains(x.Reason, "newer policy version") {
		t.Errorf("a part: %+v", x)
	}
	if y := x.At(day(30), live); y.Status != StatusSuspended || len(y.Permissions) > 0 {
		t.Errorf("expired: %+v", y)
	}
	if y := x.At(noon, suspended); y.Status != StatusSuspended || len(y.Permissions) > 0 || !slices.Equal(y.ClosedGates(), []string{"participant"}) {
		t.Errorf("suspended: %+v", y)
	}
	if y := x.At(noon, live); y.Role != "staff" || len(y.ClosedGates()) > 0 {
		t.Errorf("resumed: %+v", y)
	}

	for _, gate := range []Gate{GateTitle, GateNPI} {
		x = d.Within(&Narrowing{Version: 2, Gate: gate})
		if x.Status != StatusSuspended || x.Role != "" || x.RequestedRole != "clinician" || len(x.Permissions) > 0 || !slices.Equal(x.ClosedGates(), []string{string(gate)}) {
			t.Errorf("nothing left by %s: %+v", gate, x)
		}
		if y := x.At(noon, suspended); !slices.Equal(y.ClosedGates(), []string{"participant", string(gate)}) || y.Status != StatusSuspended {
			t.Errorf("nothing left, suspended: %v", y.ClosedGates())
		}
	}
	if len(d.ClosedGates()) > 0 || len(d.Permissions) != 3 {
		t.Errorf("the decision itself changed: %+v", d)
	}

	// The decision was made again since, or had less by then.
	newer := d
	newer.PolicyVersion = 2
	if y := newer.Within(part); y.Role != "clinician" {
		t.Errorf("decided under the version: %+v", y)
	}
	less := d
	less.Permissions, less.Role = []string{"search"}, "desk"
	if y := less.Within(part); y.Role != "desk" || !slices.Equal(y.Permissions, []string{"search"}) {
		t.Errorf("had less: %+v", y)
	}
	other := d
	other.Permissions = []string{"search", "sensitive"}
	if y := other.Within(part); y.Role != "" || !slices.Equal(y.Permissions, []string{"search"}) {
		t.Errorf("had something else: %+v", y)
	}
	if y := (Decision{}).Within(part); len(y.Permissions) > 0 || y.Status == StatusReleased {
		t.Errorf("the zero decision: %+v", y)
	}
}
