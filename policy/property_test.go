package policy

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var somePeople = []string{"Registered Nurse", "Trauma Surgeon", "ED Physician", "Medical Assistant", "Registrar", "Care Manager", "Privacy Officer",
	"Compliance Officer", "Authorized User Manager", "IT Support Specialist", "Quality Analyst", "Epidemiologist", "Driver", "Wizard", "Nurse", ""}

var someModules = []string{"nys-policy", "hosted-registration", "clinical-access", "break-the-glass", "account-management"}

func drawEvidence(t *rapid.T, now time.Time) []Evidence { return drawEvidenceOf(t, someModules, now) }

func drawEvidenceOf(t *rapid.T, modules []string, now time.Time) []Evidence {
	var out []Evidence
	for _, m := range modules {
		if rapid.IntRange(0, 3).Draw(t, m) > 0 {
			e := Evidence{ID: m, Gate: GateTraining, Module: m, CompletedAt: now.AddDate(0, 0, -rapid.IntRange(-1, 300).Draw(t, "ago"))}
			if rapid.Bool().Draw(t, "ends") {
				e.ValidUntil = now.AddDate(0, 0, rapid.IntRange(-2, 60).Draw(t, "left"))
			}
			out = append(out, e)
		}
	}
	return out
}

func drawFacts(t *rapid.T, now time.Time) Facts {
	rarely := func(label string) bool { return rapid.IntRange(0, 7).Draw(t, label) == 0 }
	f := Facts{
		Participant: ParticipantState{Type: rapid.SampledFrom(participantKind).Draw(t, "type"), Status: "active", Mode: "live", Version: 1},
		Active:      !rarely("inactive"), Deleted: rarely("deleted"),
		Title: rapid.SampledFrom(somePeople).Draw(t, "title"),
		Email: "ana.lima@mercy.example", Mobile: "+12125550123", NPI: rapid.SampledFrom([]string{"", "1234567893"}).Draw(t, "npi"),
		EmailTaken: rarely("taken"), Evidence: drawEvidence(t, now),
	}
	if rarely("suspended") {
		f.Participant.Status = "suspended"
	}
	if rarely("observe") {
		f.Participant.Mode = "observe"
	}
	if rarely("no email") {
		f.Email = ""
	}
	if rarely("no mobile") {
		f.Mobile = ""
	}
	if rarely("hold") {
		f.Holds = []Hold{{ID: "h", Reason: "staff"}}
	}
	for _, role := range []string{"practitioner-btg", "privacy-audit", "aum"} {
		if rapid.Bool().Draw(t, "decided "+role) {
			at := now.AddDate(0, 0, -rapid.IntRange(0, 400).Draw(t, "decided ago"))
			f.Approvals = append(f.Approvals, approval(role, NormalTitle(f.Title), rapid.Bool().Draw(t, "approved"), at))
		}
	}
	return f
}

// A person's life: facts change, time passes, decisions follow one another.
func TestLives(t *testing.T) {
	p := defaultPolicy(t)
	versions := []*Policy{p, p.WithVersion(2, time.Time{})}
	rapid.Check(t, func(t *rapid.T) {
		now := noon
		var prior Decision
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(1, 40*24).Draw(t, "hours")) * time.Hour)
			q := rapid.SampledFrom(versions).Draw(t, "policy")
			f := drawFacts(t, now)
			f.Prior = prior
			d := q.Decide(f, now)
			if again := q.Decide(f, now); !reflect.DeepEqual(d, again) {
				t.Fatalf("not deterministic:\n%+v\n%+v", d, again)
			}
			checkDecision(t, q, f, prior, d, now)
			prior = d
		}
	})
}

func checkDecision(t *rapid.T, p *Policy, f Facts, prior, d Decision, now time.Time) {
	t.Helper()
	seen := d.At(now, f.Participant)
	if len(seen.Permissions) > 0 != (seen.Status == StatusReleased) {
		t.Fatalf("%s with %v", seen.Status, seen.Permissions)
	}
	// Nothing in force behind a closed gate of everybody, or for nobody's title.
	if len(seen.Permissions) > 0 {
		for _, g := range []Gate{GateParticipant, GateTitle, GateEmail, GateMobile, GateHold} {
			if !seen.Gate(g).Open {
				t.Fatalf("%s is closed and %v in force: %s", g, seen.Permissions, seen.Reason)
			}
		}
		if !f.Active || f.Deleted {
			t.Fatal("in force without a user")
		}
	}
	if d.ValidUntil != nil && len(d.Permissions) > 0 {
		if late := d.At(*d.ValidUntil, f.Participant); len(late.Permissions) > 0 {
			t.Fatalf("in force after its end: %+v", late)
		}
	}
	// Never a permission that the title's role lacks; in transition never one
	// that was not in force, but for the role that applies until approval.
	role := p.role(d.TitleRole)
	if role == nil {
		if len(d.Permissions) > 0 {
			t.Fatalf("no role, %v in force", d.Permissions)
		}
		return
	}
	open := len(closedBut(d.Gates, GateParticipant)) == 0
	for _, permission := range d.Permissions {
		if !slices.Contains(role.Permissions, permission) {
			t.Fatalf("%s is not %s's", permission, role.Name)
		}
		if open {
			continue
		}
		meanwhile := p.role(role.UntilApproved)
		if !slices.Contains(prior.Permissions, permission) && (meanwhile == nil || !slices.Contains(meanwhile.Permissions, permission)) {
			t.Fatalf("%s was not in force before, and %v are closed", permission, d.ClosedGates())
		}
	}
	if d.Transition && (open || !slices.ContainsFunc(d.Permissions, func(s string) bool { return slices.Contains(prior.Permissions, s) })) {
		t.Fatalf("in transition without anything carried: %+v", d)
	}
	// The five statuses, first that holds.
	want := StatusPending
	switch {
	case f.Deleted || !f.Active:
		want = StatusRevoked
	case len(role.Permissions) == 0:
		want = StatusIneligible
	case len(d.Permissions) > 0:
		want = StatusReleased
	case prior.WasReleased:
		want = StatusSuspended
	}
	if d.Status != want {
		t.Fatalf("%s, want %s", d.Status, want)
	}
	if d.Role != "" && !sameSet(p.role(d.Role).Permissions, d.Permissions) {
		t.Fatalf("role %s is not wholly in force: %v", d.Role, d.Permissions)
	}
}

// No sequence of titles yields a permission that a row of the sequence alone
// does not grant.
func TestTitleChangesAddNothing(t *testing.T) {
	p := defaultPolicy(t)
	rapid.Check(t, func(t *rapid.T) {
		f := readyFacts(rapid.SampledFrom(somePeople).Draw(t, "first"))
		f.Evidence = drawEvidence(t, noon)
		now, d := noon, p.Decide(f, noon)
		for range rapid.IntRange(1, 6).Draw(t, "changes") {
			now = now.Add(time.Hour)
			before := d
			f, d = then(p, f, now, d, func(f *Facts) { f.Title = rapid.SampledFrom(somePeople).Draw(t, "next") })
			fresh := f
			fresh.Prior = Decision{}
			alone := p.Decide(fresh, now)
			for _, permission := range d.Permissions {
				inBoth := slices.Contains(before.Permissions, permission) && slices.Contains(p.role(d.TitleRole).Permissions, permission)
				if !slices.Contains(alone.Permissions, permission) && !inBoth {
					t.Fatalf("%s → %s: %s", before.TitleRole, d.TitleRole, permission)
				}
			}
		}
	})
}

// More evidence never takes anything away.
func TestEvidenceIsMonotone(t *testing.T) {
	p := defaultPolicy(t)
	rapid.Check(t, func(t *rapid.T) {
		before := drawFacts(t, noon.AddDate(0, 0, -1))
		prior := p.Decide(before, noon.AddDate(0, 0, -1))
		f := drawFacts(t, noon)
		f.Prior = prior
		less := p.Decide(f, noon)
		extra := drawEvidence(t, noon)
		f.Evidence = append(slices.Clone(f.Evidence), extra...)
		more := p.Decide(f, noon)
		for _, permission := range less.Permissions {
			if !slices.Contains(more.Permissions, permission) {
				t.Fatalf("%s ended by more evidence: %v → %v", permission, less.Permissions, more.Permissions)
			}
		}
		for _, g := range less.Gates {
			if g.Open && !more.Gate(g.Gate).Open {
				t.Fatalf("%s closed by more evidence", g.Gate)
			}
		}
	})
}
