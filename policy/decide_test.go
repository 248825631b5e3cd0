package policy

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func day(n int) time.Time { return noon.AddDate(0, 0, n) }

func approval(role, title string, approved bool, at time.Time) Approval {
	return Approval{ID: "a", Approved: approved, Role: role, Title: title, At: at, ValidUntil: at.AddDate(0, 0, 365)}
}

// then is the next decision about the same person.
func then(p *Policy, f Facts, at time.Time, prior Decision, change func(*Facts)) (Facts, Decision) {
	f.Prior = prior
	change(&f)
	return f, p.Decide(f, at)
}

func TestStatus(t *testing.T) {
	p := defaultPolicy(t)
	for name, tc := range map[string]struct {
		change func(*Facts)
		status Status
		closed []string
		role   string
	}{
		"released":            {func(*Facts) {}, StatusReleased, nil, "practitioner"},
		"inactive":            {func(f *Facts) { f.Active = false }, StatusRevoked, nil, ""},
		"deleted":             {func(f *Facts) { f.Deleted = true }, StatusRevoked, nil, ""},
		"inactive, no access": {func(f *Facts) { f.Active, f.Title = false, "Driver" }, StatusRevoked, nil, ""},
		"deleted, held":       {func(f *Facts) { f.Deleted, f.Holds = true, []Hold{{ID: "h"}} }, StatusRevoked, []string{"hold"}, ""},
		"no access":           {func(f *Facts) { f.Title = "Driver" }, StatusIneligible, nil, ""},
		"no access, was released": {func(f *Facts) {
			f.Title, f.Prior = "Driver", Decision{WasReleased: true, Status: StatusReleased, TitleRole: "practitioner", Permissions: []string{"patient.search"}, PolicyVersion: 1}
		}, StatusIneligible, nil, ""},
		"no access, all closed": {func(f *Facts) {
			f.Title, f.Email, f.Mobile, f.Holds = "Driver", "", "", []Hold{{ID: "h"}}
			f.Participant.Status = "suspended"
		}, StatusIneligible, []string{"participant", "email", "mobile", "hold"}, ""},
		"unknown title":         {func(f *Facts) { f.Title = "Wizard" }, StatusPending, []string{"title"}, ""},
		"ambiguous title":       {func(f *Facts) { f.Title = "Nurse" }, StatusPending, []string{"title"}, ""},
		"missing title":         {func(f *Facts) { f.Title = "" }, StatusPending, []string{"title"}, ""},
		"unknown, was released": {func(f *Facts) { f.Title, f.Prior.WasReleased = "Wizard", true }, StatusSuspended, []string{"title"}, ""},
		"no e-mail":             {func(f *Facts) { f.Email = "" }, StatusPending, []string{"email"}, ""},
		"role mailbox":          {func(f *Facts) { f.Email = "info@mercy.example" }, StatusPending, []string{"email"}, ""},
		"e-mail taken":          {func(f *Facts) { f.EmailTaken = true }, StatusPending, []string{"email"}, ""},
		"no mobile":             {func(f *Facts) { f.Mobile = "" }, StatusPending, []string{"mobile"}, ""},
		"land line":             {func(f *Facts) { f.Mobile = "+442079460000" }, StatusPending, []string{"mobile"}, ""},
		"untrained":             {func(f *Facts) { f.Evidence = nil }, StatusPending, []string{"training"}, ""},
		"training ended":        {func(f *Facts) { f.Evidence = trainedIn(noon, "nys-policy", "clinical-access") }, StatusPending, []string{"training"}, ""},
		"training to come":      {func(f *Facts) { f.Evidence[2].CompletedAt = noon.Add(time.Second) }, StatusPending, []string{"training"}, ""},
		"held":                  {func(f *Facts) { f.Holds = []Hold{{ID: "h", Reason: "secret reason"}} }, StatusPending, []string{"hold"}, ""},
		"held, was released":    {func(f *Facts) { f.Holds, f.Prior.WasReleased = []Hold{{ID: "h"}}, true }, StatusSuspended, []string{"hold"}, ""},
		"participant suspended": {func(f *Facts) { f.Participant.Status = "suspended" }, StatusPending, []string{"participant"}, ""},
		"participant observed":  {func(f *Facts) { f.Participant.Mode = "observe" }, StatusPending, []string{"participant"}, ""},
		"everything closed": {func(f *Facts) {
			f.Participant, f.Title, f.Email, f.Mobile, f.Holds = ParticipantState{}, "", "", "", []Hold{{ID: "h"}}
		}, StatusPending, []string{"participant", "title", "email", "mobile", "hold"}, ""},
		"approval": {func(f *Facts) { f.Title = "Privacy Officer" }, StatusPending, []string{"approval"}, ""},
		"approved": {func(f *Facts) {
			f.Title, f.Approvals = "Privacy Officer", []Approval{approval("privacy-audit", "privacy officer", true, day(-1))}
		}, StatusReleased, nil, "privacy-audit"},
		"approved for another title": {func(f *Facts) {
			f.Title, f.Approvals = "Privacy Officer", []Approval{approval("privacy-audit", "compliance officer", true, day(-1))}
		}, StatusPending, []string{"approval"}, ""},
		"approved for another role": {func(f *Facts) {
			f.Title, f.Approvals = "Privacy Officer", []Approval{approval("aum", "privacy officer", true, day(-1))}
		}, StatusPending, []string{"approval"}, ""},
		"approval ended": {func(f *Facts) {
			f.Title, f.Approvals = "Privacy Officer", []Approval{approval("privacy-audit", "privacy officer", true, day(-365))}
		}, StatusPending, []string{"approval"}, ""},
		"approved, then rejected": {func(f *Facts) {
			f.Title, f.Approvals = "Privacy Officer", []Approval{approval("privacy-audit", "privacy officer", true, day(-2)), approval("privacy-audit", "privacy officer", false, day(-1))}
		}, StatusPending, []string{"approval"}, ""},
	} {
		f := readyFacts("Registered Nurse")
		tc.change(&f)
		d := p.Decide(f, noon)
		if d = d.At(noon, f.Participant); d.Status != tc.status || d.Role != tc.role || !slices.Equal(d.ClosedGates(), append([]string{}, tc.closed...)) {
			t.Errorf("%s: %s %q %v, want %s %q %v", name, d.Status, d.Role, d.ClosedGates(), tc.status, tc.role, tc.closed)
		}
		if (len(d.Permissions) > 0) != (tc.status == StatusReleased) {
			t.Errorf("%s: %v in force", name, d.Permissions)
		}
		if d.Reason == "" || len(d.Trace) == 0 || d.PolicyVersion != 1 || !d.DecidedAt.Equal(noon) || strings.Contains(d.Reason, "secret") {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestHoldAndEmailHaveTwoSentences(t *testing.T) {
	p := defaultPolicy(t)
	f := readyFacts("Registered Nurse")
	f.Holds, f.EmailTaken = []Hold{{ID: "h", Reason: "under investigation"}}, true
	d := p.Decide(f, noon)
	for _, outward := range []string{"Held by Healthix; call support", "This address cannot be used; give another or call Healthix"} {
		if !strings.Contains(d.Reason, outward) {
			t.Errorf("reason %q lacks %q", d.Reason, outward)
		}
	}
	if strings.Contains(d.Reason, "investigation") || strings.Contains(d.Reason, "older") || !strings.Contains(d.Staff, "under investigation") || !strings.Contains(d.Staff, "older active user") {
		t.Errorf("reason %q, staff %q", d.Reason, d.Staff)
	}
	for _, s := range d.Trace {
		if strings.Contains(s.Detail, "investigation") || strings.Contains(s.Detail, "older") {
			t.Errorf("the trace tells staff text: %v", s)
		}
	}
	// Confirmed by an operator, for a while.
	f.Holds = nil
	f.Evidence = append(f.Evidence, Evidence{ID: "e", Gate: GateEmail, CompletedAt: day(-1), ValidUntil: day(5)})
	if d = p.Decide(f, noon); d.Status != StatusReleased || d.ValidUntil == nil || !d.ValidUntil.Equal(day(5)) {
		t.Errorf("%+v", d)
	}
}

func TestUntilApproved(t *testing.T) {
	p := defaultPolicy(t)
	f := readyFacts("Trauma Surgeon")
	all := p.role("practitioner-btg").Permissions
	d := p.Decide(f, noon)
	if d.Status != StatusReleased || d.Role != "practitioner" || d.TitleRole != "practitioner-btg" || d.RequestedRole != "practitioner-btg" ||
		slices.Contains(d.Permissions, "emergency.override") || !slices.Equal(d.ClosedGates(), []string{"approval"}) {
		t.Errorf("before approval: %+v", d)
	}
	f, d = then(p, f, noon, d, func(f *Facts) {
		f.Approvals = []Approval{approval("practitioner-btg", d.NormalTitle, true, noon)}
	})
	if d.Role != "practitioner-btg" || !slices.Equal(d.Permissions, all) || d.RequestedRole != "" || !d.ValidUntil.Equal(day(365)) {
		t.Errorf("approved: %+v", d)
	}
	_, rejected := then(p, f, day(1), d, func(f *Facts) {
		f.Approvals = append(slices.Clone(f.Approvals), approval("practitioner-btg", d.NormalTitle, false, day(1)))
	})
	if rejected.Role != "practitioner" || slices.Contains(rejected.Permissions, "emergency.override") {
		t.Errorf("rejected: %+v", rejected)
	}
	// Approved before the emergency training: the approval takes nothing away.
	early := f
	early.Evidence = trainedIn(day(300), "nys-policy", "clinical-access")
	if d := p.Decide(early, noon); d.Role != "practitioner" || !slices.Equal(d.ClosedGates(), []string{"training"}) || !d.ValidUntil.Equal(day(300)) {
		t.Errorf("approved, untrained: %+v", d)
	}
	// Its own gates: without its own training nothing applies.
	early.Evidence = trainedIn(day(300), "nys-policy", "break-the-glass")
	early.Approvals, early.Prior = nil, Decision{}
	if d := p.Decide(early, noon); d.Status != StatusPending || len(d.Permissions) > 0 {
		t.Errorf("own training missing: %+v", d)
	}
}

// The role that applies meanwhile has an approval, an NPI and participant
// types of its own here.
func TestUntilApprovedPassesItsOwnGates(t *testing.T) {
	p, err := Parse([]byte(`roles:
  low: {permissions: [a], gates: [approval, npi], participantTypes: [cbo]}
  high: {permissions: [a, b], gates: [approval], untilApproved: low}
titles: |
  title,role
  Boss,high
`))
	if err != nil {
		t.Fatal(err)
	}
	f := readyFacts("Boss")
	f.Participant.Type = "cbo"
	f.NPI = "1234567893"
	f.Approvals = []Approval{approval("low", "boss", true, day(-1))}
	if d := p.Decide(f, noon); d.Role != "low" || !d.ValidUntil.Equal(day(364)) {
		t.Errorf("all open: %+v", d)
	}
	for name, change := range map[string]func(*Facts){
		"approval": func(f *Facts) { f.Approvals = nil },
		"npi":      func(f *Facts) { f.NPI = "1234567890" },
		"type":     func(f *Facts) { f.Participant.Type = "standard" },
		"hold":     func(f *Facts) { f.Holds = []Hold{{ID: "h"}} },
	} {
		g := f
		change(&g)
		if d := p.Decide(g, noon); len(d.Permissions) > 0 {
			t.Errorf("%s closed: %v in force", name, d.Permissions)
		}
	}
}

func TestRoleChange(t *testing.T) {
	p := defaultPolicy(t)
	perms := func(role string) []string { return p.role(role).Permissions }
	title := func(s string) func(*Facts) { return func(f *Facts) { f.Title = s } }

	f := readyFacts("Registered Nurse") // practitioner
	f.Evidence = trainedIn(day(200), "nys-policy", "clinical-access")
	d := p.Decide(f, noon)
	if d.Role != "practitioner" || d.Transition || !d.ValidUntil.Equal(day(200)) {
		t.Fatalf("released: %+v", d)
	}

	// A → B with B's training missing: A ∩ B, as long as A's training holds.
	fb, b := then(p, f, day(1), d, title("Registrar"))
	if b.Status != StatusReleased || !b.Transition || !slices.Equal(b.Permissions, perms("registration-consent")) || !b.ValidUntil.Equal(day(200)) ||
		!slices.Equal(b.ClosedGates(), []string{"training"}) {
		t.Errorf("A → B: %+v", b)
	}
	if gone := b.At(day(200), live); gone.Status != StatusSuspended || len(gone.Permissions) > 0 {
		t.Errorf("A → B, A's training expired: %+v", gone)
	}
	if _, gone := then(p, fb, day(200), b, func(*Facts) {}); len(gone.Permissions) > 0 || gone.Status != StatusSuspended {
		t.Errorf("A → B, decided after expiry: %+v", gone)
	}
	if _, gone := then(p, fb, day(2), b, func(f *Facts) { f.Evidence = trainedIn(day(200), "nys-policy") }); len(gone.Permissions) > 0 {
		t.Errorf("A → B, evidence of A revoked: %+v", gone)
	}
	if _, still := then(p, fb, day(2), b, func(*Facts) {}); !slices.Equal(still.Permissions, b.Permissions) || !still.Transition {
		t.Errorf("A → B, decided again: %+v", still)
	}

	// A → B → C keeps (A ∩ B) ∩ C, although A ∩ C is more.
	_, c := then(p, fb, day(2), b, title("Medical Assistant"))
	if !slices.Equal(c.Permissions, perms("clinical-staff")) || c.Transition {
		t.Errorf("A → B → C, C's gates open: %+v", c)
	}
	_, c = then(p, fb, day(2), b, func(f *Facts) { f.Title = "Privacy Officer" })
	if len(c.Permissions) > 0 || c.Status != StatusSuspended || c.Transition || c.ValidUntil != nil || len(c.StandsOn) > 0 {
		t.Errorf("A → B → nothing in common: %+v", c)
	}

	// Back to A: A's gates decide.
	if _, back := then(p, fb, day(3), b, title("Registered Nurse")); back.Role != "practitioner" || back.Transition {
		t.Errorf("back, gates open: %+v", back)
	}
	_, back := then(p, fb, day(3), b, func(f *Facts) { f.Title, f.Mobile = "Registered Nurse", "" })
	if len(back.Permissions) > 0 {
		t.Errorf("back, a gate closed: %+v", back)
	}

	// In transition only training, approval and npi of the new role may be closed.
	for name, change := range map[string]func(*Facts){
		"email":       func(f *Facts) { f.Email = "" },
		"mobile":      func(f *Facts) { f.Mobile = "" },
		"hold":        func(f *Facts) { f.Holds = []Hold{{ID: "h"}} },
		"participant": func(f *Facts) { f.Participant.Status = "suspended" },
		"title":       func(f *Facts) { f.Title = "Wizard" },
	} {
		_, x := then(p, f, day(1), d, func(f *Facts) { f.Title = "Registrar"; change(f) })
		if x = x.At(day(1), ParticipantState{Type: "standard", Status: "active", Mode: "live"}); len(x.Permissions) > 0 || x.Status != StatusSuspended {
			t.Errorf("%s closed in transition: %+v", name, x)
		}
	}

	// Unknown after known: suspended, and nothing comes back by itself.
	fu, u := then(p, fb, day(2), b, title("Wizard"))
	if u.Status != StatusSuspended || len(u.Permissions) > 0 {
		t.Errorf("unknown: %+v", u)
	}
	if _, x := then(p, fu, day(3), u, title("Registrar")); len(x.Permissions) > 0 {
		t.Errorf("known again, untrained: %+v", x)
	}

	// A participant that was closed in between ended what was carried.
	closedAt := day(2)
	again := live
	again.ClosedAt = &closedAt
	if x := b.At(day(3), again); x.Status != StatusSuspended || len(x.Permissions) > 0 {
		t.Errorf("carried over a suspension: %+v", x)
	}
	if _, x := then(p, fb, day(3), b, func(f *Facts) { f.Participant = again }); len(x.Permissions) > 0 {
		t.Errorf("carried over a suspension, decided again: %+v", x)
	}
	if x := d.At(day(3), again); x.Status != StatusReleased {
		t.Errorf("what is not carried returns at once: %+v", x)
	}
}

func TestTitleWithinOneRoleNeedsApprovalAgain(t *testing.T) {
	p := defaultPolicy(t)
	f := readyFacts("Privacy Officer")
	f.Approvals = []Approval{approval("privacy-audit", "privacy officer", true, day(-1))}
	d := p.Decide(f, noon)
	if d.Role != "privacy-audit" {
		t.Fatalf("%+v", d)
	}
	if _, x := then(p, f, day(1), d, func(f *Facts) { f.Title = "Compliance Officer" }); x.Status != StatusSuspended || len(x.Permissions) > 0 {
		t.Errorf("another title of the role: %+v", x)
	}
}

// amended is the default policy with one text replaced, as the next version.
func amended(t testing.TB, old, new string) *Policy {
	t.Helper()
	document := string(Default())
	if !strings.Contains(document, old) {
		t.Fatalf("the default document has no %q", old)
	}
	p, err := Parse([]byte(strings.Replace(document, old, new, 1)))
	if err != nil {
		t.Fatal(err)
	}
	return p.WithVersion(2, noon)
}

const registrarsModules = "modules: [nys-policy, hosted-registration]}"

func TestPolicyChange(t *testing.T) {
	old := defaultPolicy(t)
	p := amended(t, registrarsModules, "modules: [nys-policy, hosted-registration], gates: [approval]}")
	f := readyFacts("Registrar")
	f.Evidence = trainedIn(day(100), "nys-policy", "hosted-registration")
	d := old.Decide(f, noon)
	_, x := then(p, f, day(1), d, func(*Facts) {})
	if x.Status != StatusReleased || !x.Transition || !slices.Equal(x.Permissions, d.Permissions) || !x.ValidUntil.Equal(day(100)) {
		t.Errorf("new gates, old ∩ new: %+v", x)
	}
	if _, x := then(p, f, day(1), d, func(f *Facts) { f.Evidence = f.Evidence[:1] }); len(x.Permissions) > 0 {
		t.Errorf("training revoked under the new version: %+v", x)
	}
	// What was approved and is rejected under the new version ends.
	g := readyFacts("Privacy Officer")
	g.Approvals = []Approval{approval("privacy-audit", "privacy officer", true, day(-1))}
	d = old.Decide(g, noon)
	if _, x := then(p, g, day(1), d, func(f *Facts) {
		f.Approvals = []Approval{approval("privacy-audit", "privacy officer", false, day(1))}
	}); len(x.Permissions) > 0 || x.Status != StatusSuspended {
		t.Errorf("rejected under the new version: %+v", x)
	}
}

func TestAt(t *testing.T) {
	p := defaultPolicy(t)
	f := readyFacts("Registered Nurse")
	f.Evidence = trainedIn(day(30), "nys-policy", "clinical-access")
	d := p.Decide(f, noon)
	for name, tc := range map[string]struct {
		at     time.Time
		p      ParticipantState
		status Status
		closed []string
	}{
		"now":              {noon, live, StatusReleased, nil},
		"last moment":      {day(30).Add(-time.Microsecond), live, StatusReleased, nil},
		"expired":          {day(30), live, StatusSuspended, []string{"training"}},
		"suspended":        {noon, ParticipantState{Status: "suspended", Mode: "live"}, StatusSuspended, []string{"participant"}},
		"observed":         {noon, ParticipantState{Status: "active", Mode: "observe"}, StatusSuspended, []string{"participant"}},
		"zero participant": {noon, ParticipantState{}, StatusSuspended, []string{"participant"}},
	} {
		x := d.At(tc.at, tc.p)
		if x.Status != tc.status || !slices.Equal(x.ClosedGates(), append([]string{}, tc.closed...)) || (len(x.Permissions) > 0) != (tc.status == StatusReleased) {
			t.Errorf("%s: %s %v %v", name, x.Status, x.ClosedGates(), x.Permissions)
		}
		if x.Status == StatusSuspended && (x.Role != "" || x.RequestedRole != "practitioner" || !strings.HasPrefix(x.Reason, "Suspended: ")) {
			t.Errorf("%s: %+v", name, x)
		}
	}
	if len(d.ClosedGates()) != 0 || d.Status != StatusReleased {
		t.Errorf("At changed the decision: %+v", d)
	}

	// Decided while the participant was suspended, read after it was resumed.
	_, x := then(p, f, day(1), d, func(f *Facts) { f.Participant.Status = "suspended" })
	if seen := x.At(day(1), ParticipantState{Status: "suspended", Mode: "live"}); seen.Status != StatusSuspended {
		t.Errorf("suspended: %+v", seen)
	}
	if seen := x.At(day(2), live); seen.Status != StatusReleased || strings.Contains(seen.Reason, "suspended") || len(seen.ClosedGates()) > 0 {
		t.Errorf("resumed: %+v", seen)
	}
	if zero := (Decision{}).At(noon, live); len(zero.Permissions) > 0 || zero.Status == StatusReleased {
		t.Errorf("the zero decision: %+v", zero)
	}
}

func TestNPIGate(t *testing.T) {
	p, err := Parse([]byte(strings.Replace(string(Default()), "modules: [nys-policy, clinical-access]}", "modules: [nys-policy, clinical-access], gates: [npi]}", 1)))
	if err != nil {
		t.Fatal(err)
	}
	f := readyFacts("Care Manager")
	if d := p.Decide(f, noon); !slices.Equal(d.ClosedGates(), []string{"npi"}) || d.Status != StatusPending {
		t.Errorf("without: %+v", d)
	}
	f.NPI = "1234567893"
	if d := p.Decide(f, noon); d.Role != "care-management" {
		t.Errorf("with: %+v", d)
	}
}

func TestSinceIsKept(t *testing.T) {
	p := defaultPolicy(t)
	f := readyFacts("Registered Nurse")
	f.Mobile = ""
	d := p.Decide(f, noon)
	_, x := then(p, f, day(3), d, func(*Facts) {})
	if s := x.Gate(GateMobile).Since; s == nil || !s.Equal(noon) {
		t.Errorf("since %v", s)
	}
	f, x = then(p, f, day(4), x, func(f *Facts) { f.Mobile = "+12125550123" })
	if x.Gate(GateMobile).Since != nil {
		t.Error("an open gate is closed since")
	}
	if _, x = then(p, f, day(5), x, func(f *Facts) { f.Mobile = "" }); !x.Gate(GateMobile).Since.Equal(day(5)) {
		t.Errorf("since %v", x.Gate(GateMobile).Since)
	}
}
