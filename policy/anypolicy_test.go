package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// anyPolicy is a small policy that can be drawn, changed a little, and written
// as a document.
type anyPolicy struct {
	grace map[string]int
	roles []Role
	rows  []anyRow
	codes map[string]string // code → title
}

type anyRow struct {
	title, id, role string
	guards          []Guard
}

var (
	anyModules     = []string{"m1", "m2", "m3"}
	anyPermissions = []string{"a", "b", "c", "d", "e"}
	anyTitles      = []string{"Alphaist", "Betaist", "Gammaist"}
	anyCodes       = []string{"c1", "c2", "c3"}
	anyValues      = map[Attribute][]string{
		AttributeDepartment: {"Xray", "Yard", "Zoo"}, AttributeUserType: {"Employee", "Vendor"},
		AttributeParticipantType: {"standard", "government", "cbo"}, AttributeNPI: nil,
	}
)

// rare is true once in 2^n: rapid's own numbers prefer the ends of a range.
func rare(t *rapid.T, n int, label string) bool {
	for range n {
		if !rapid.Bool().Draw(t, label) {
			return false
		}
	}
	return true
}

// pick takes a member of a list, each as often as another (nearly).
func pick[T any](t *rapid.T, of []T, label string) T {
	n, all := 0, 1
	for all < 2*len(of) {
		n, all = 2*n, 2*all
		if rapid.Bool().Draw(t, label) {
			n++
		}
	}
	return of[n*len(of)/all]
}

func indices[T any](of []T) []int {
	out := make([]int, len(of))
	for i := range of {
		out[i] = i
	}
	return out
}

func some(t *rapid.T, of []string, label string) []string {
	var out []string
	for _, s := range of {
		if rapid.Bool().Draw(t, label+" "+s) {
			out = append(out, s)
		}
	}
	return out
}

func drawPolicy(t *rapid.T) anyPolicy {
	p := anyPolicy{grace: map[string]int{}, codes: map[string]string{}}
	for _, m := range anyModules {
		p.grace[m] = pick(t, []int{0, 0, 20, 60}, "grace")
	}
	p.roles = []Role{{Name: NoAccess}}
	for i := range 5 {
		p.roles = append(p.roles, drawRole(t, fmt.Sprintf("r%d", i+1), p.roles))
	}
	for _, title := range anyTitles {
		several := pick(t, []int{1, 1, 1, 1, 2, 3}, "rows")
		for i := range several {
			p.rows = append(p.rows, anyRow{
				title: title, id: fmt.Sprintf("%s-%d", strings.ToLower(title), i+1),
				role: pick(t, p.roles, "role").Name, guards: drawGuards(t, 2),
			})
			if row := &p.rows[len(p.rows)-1]; several > 1 && len(row.guards) == 0 {
				value := anyValues[AttributeDepartment][i]
				row.guards = []Guard{{Attribute: AttributeDepartment, Test: TestIn, Values: []string{value}, normal: []string{NormalTitle(value)}}}
			}
		}
	}
	for _, code := range anyCodes[:2] {
		p.codes[code] = pick(t, anyTitles, "code")
	}
	return p
}

func drawRole(t *rapid.T, name string, others []Role) Role {
	r := Role{Name: name, Permissions: some(t, anyPermissions, "permission"), Modules: some(t, anyModules, "module")}
	if rapid.Bool().Draw(t, "more") {
		r.Permissions = lacking(some(t, anyPermissions, "without"), anyPermissions)
	}
	if rare(t, 3, "npi") {
		r.Gates = append(r.Gates, GateNPI)
	}
	if rare(t, 3, "typed") {
		r.ParticipantTypes = []string{"government", "standard"}[:rapid.IntRange(1, 2).Draw(t, "types")]
	}
	if rare(t, 2, "approval") {
		r.Gates = append(r.Gates, GateApproval)
		for _, o := range others {
			if len(o.Permissions) > 0 && within(o.Permissions, r.Permissions...) && rapid.Bool().Draw(t, "until") {
				r.UntilApproved = o.Name
			}
		}
	}
	return r
}

func drawGuards(t *rapid.T, most int) []Guard {
	var out []Guard
	for _, name := range attributes {
		if len(out) == most || !rare(t, 3, "guarded") {
			continue
		}
		g := Guard{Attribute: Attribute(name), Test: pick(t, []Test{TestIn, TestNotIn, TestPresent, TestAbsent}, "test")}
		values := anyValues[g.Attribute]
		if values == nil && (g.Test == TestIn || g.Test == TestNotIn) {
			g.Test = TestPresent
		}
		if g.Test == TestIn || g.Test == TestNotIn {
			g.Values = values[rapid.IntRange(0, len(values)-1).Draw(t, "from"):]
			for _, v := range g.Values {
				g.normal = append(g.normal, NormalTitle(v))
			}
		}
		out = append(out, g)
	}
	return out
}

// changed is the policy with one thing different, or none.
func (p anyPolicy) changed(t *rapid.T) anyPolicy {
	q := anyPolicy{grace: maps.Clone(p.grace), roles: slices.Clone(p.roles), rows: slices.Clone(p.rows), codes: maps.Clone(p.codes)}
	row := &q.rows[pick(t, indices(q.rows), "row")]
	switch pick(t, []int{0, 1, 2, 3, 4, 5, 6}, "change") {
	case 0:
		row.role = pick(t, q.roles, "role").Name
	case 1:
		if guards := drawGuards(t, 2); len(guards) > 0 {
			row.guards = guards
		}
	case 2:
		q.codes[pick(t, anyCodes, "code")] = pick(t, anyTitles, "of")
	case 3:
		q.grace[pick(t, anyModules, "module")] = pick(t, []int{0, 20, 60}, "grace")
	case 4, 5:
		i := pick(t, indices(q.roles)[1:], "role")
		was := q.roles[i]
		q.roles[i] = drawRole(t, was.Name, q.roles[:i])
		if rapid.Bool().Draw(t, "modules only") {
			modules := q.roles[i].Modules
			q.roles[i] = was
			q.roles[i].Modules = modules
		}
		for j := range q.roles { // an untilApproved role holds no more than its role
			until := slices.IndexFunc(q.roles, func(r Role) bool { return r.Name == q.roles[j].UntilApproved })
			if until >= 0 && !within(q.roles[until].Permissions, q.roles[j].Permissions...) {
				q.roles[j].UntilApproved = ""
			}
		}
	default:
	}
	return q
}

func (p anyPolicy) document() string {
	var b strings.Builder
	flow := func(list []string) string { return "[" + strings.Join(list, ", ") + "]" }
	b.WriteString("modules:\n")
	for _, m := range anyModules {
		fmt.Fprintf(&b, "  %s: {name: Module, graceDays: %d}\n", m, p.grace[m])
	}
	b.WriteString("synonyms: {}\nremovable: []\nunits: []\nfields: []\ndegrees: []\ncompounds: []\nbans: [Nurse]\nprivileged: []\nbreakGlass: []\nroles:\n")
	for _, r := range p.roles {
		fmt.Fprintf(&b, "  %s: {permissions: %s, modules: %s, gates: %s", r.Name, flow(r.Permissions), flow(r.Modules), flow(names(r.Gates)))
		if r.UntilApproved != "" {
			b.WriteString(", untilApproved: " + r.UntilApproved)
		}
		if len(r.ParticipantTypes) > 0 {
			b.WriteString(", participantTypes: " + flow(r.ParticipantTypes))
		}
		b.WriteString("}\n")
	}
	b.WriteString("jobCodes:\n  attribute: costCenter\n  codes: {")
	for i, code := range slices.Sorted(maps.Keys(p.codes)) {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(code + ": " + p.codes[code])
	}
	b.WriteString("}\nguards:\n")
	guarded := false
	for _, row := range p.rows {
		if len(row.guards) == 0 {
			continue
		}
		guarded = true
		fmt.Fprintf(&b, "  %s:\n", row.id)
		for _, g := range row.guards {
			if len(g.Values) == 0 {
				fmt.Fprintf(&b, "    %s: %s\n", g.Attribute, g.Test)
			} else {
				fmt.Fprintf(&b, "    %s: {%s: %s}\n", g.Attribute, g.Test, flow(g.Values))
			}
		}
	}
	text := b.String()
	if !guarded {
		text = strings.TrimSuffix(text, "guards:\n")
	}
	text += "titles: |\n  title,role,row\n"
	for _, row := range p.rows {
		text += "  " + row.title + "," + row.role + "," + row.id + "\n"
	}
	return text
}

func (p anyPolicy) parse(t *rapid.T, version int64, since time.Time) *Policy {
	q, err := Parse([]byte(p.document()))
	if err != nil {
		t.Fatalf("%v\n%s", err, p.document())
	}
	return q.WithVersion(version, since)
}

// drawOverlay is an overlay as it may have become: its base moved on, so that its
// roles may hold more than the rows'.
func drawOverlay(t *rapid.T, p *Policy) *Overlay {
	o := &Overlay{synonyms: map[string]*occupation{}, roles: map[string]string{}, guards: map[string][]Guard{}}
	for _, title := range []string{"navigator", "alphaist", "nurse"} { // unmapped, mapped, banned
		if rapid.Bool().Draw(t, "synonym") {
			o.synonyms[title] = p.byKey[tableKey(pick(t, anyTitles, "of"))]
		}
	}
	for _, row := range p.rows {
		if rare(t, 2, "narrowed") {
			o.roles[row.ID] = pick(t, append(slices.Clone(p.names), "gone"), "to")
		}
		if rare(t, 3, "further") {
			o.guards[row.ID] = drawGuards(t, 1)
		}
	}
	return o
}

func drawTitle(t *rapid.T) string {
	if !rare(t, 3, "unmapped") {
		return pick(t, []string{"Alphaist", "Betaist", "gammaist"}, "title")
	}
	return pick(t, []string{"Navigator", "Nurse", "Wizard", ""}, "title")
}

func drawPerson(t *rapid.T, p *Policy, now time.Time) Facts {
	f := Facts{
		Participant: ParticipantState{Type: pick(t, []string{"standard", "government", "cbo"}, "type"), Status: "active", Mode: "live", Version: 1},
		Active:      true, Email: "ana.lima@mercy.example", Mobile: "+12125550123",
		Title:      drawTitle(t),
		Department: pick(t, []string{"", "xray", "Xray", "xray.", "Yard", "Zoo", "Quay"}, "department"),
		UserType:   pick(t, []string{"", "Employee", "Vendor", "Guest"}, "userType"),
		NPI:        pick(t, []string{"", "1234567893", "1234567893", "1234567890"}, "npi"),
		JobCode:    pick(t, []string{"", "", "", "", "C1", "c2", "c3", "c9"}, "code"),
		Evidence:   drawEvidenceOf(t, anyModules, now),
	}
	if rapid.Bool().Draw(t, "trained") {
		f.Evidence = trainedIn(now.AddDate(1, 0, 0), anyModules...)
	}
	// Approvals outlive a change of title only where it is changed back.
	for _, role := range p.names {
		if rapid.Bool().Draw(t, "decided") {
			f.Approvals = append(f.Approvals, approval(role, NormalTitle(f.Title), !rare(t, 2, "rejected"), now.AddDate(0, 0, -1)))
		}
	}
	if rare(t, 5, "held") {
		f.Holds = []Hold{{ID: "h", Reason: "staff"}}
	}
	return f
}
