package policy

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// often checks a property more often than others: what drawn policies disagree in
// takes several things that happen to meet.
func often(t *testing.T, property func(*rapid.T)) {
	for range 5 {
		rapid.Check(t, property)
	}
}

// rowOf finds the row that answers a title by the policy of all, the slow way
// and by itself: nil unless exactly one row's guards hold.
func rowOf(p *Policy, of *occupation, f Facts) *Row {
	var answer *Row
	for i := range p.rows {
		row := &p.rows[i]
		if of == nil || tableKey(row.Title) != tableKey(of.title) || slices.ContainsFunc(row.Guards, func(g Guard) bool { return !g.holds(f) }) {
			continue
		}
		if answer != nil {
			return nil
		}
		answer = row
	}
	return answer
}

// A life under changing policies: whatever title, department, job code,
// evidence, overlay and policy version follow one another, nothing is in force
// that the one row answering now does not grant, and in transition nothing that
// was not in force before.
func TestNothingBeyondTheRow(t *testing.T) {
	often(t, func(t *rapid.T) {
		drawn := drawPolicy(t)
		now, version := noon, int64(1)
		p := drawn.parse(t, version, now)
		at := p
		f := drawPerson(t, p, now)
		var prior Decision
		for range 8 {
			now = now.Add(time.Duration(rapid.IntRange(1, 20*24).Draw(t, "hours")) * time.Hour)
			switch pick(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, "step") {
			case 0:
				drawn, version = drawn.changed(t), version+1
				p = drawn.parse(t, version, now)
				at = p
			case 1:
				version++
				p = p.WithVersion(version, p.since)
				at = p.With(drawOverlay(t, p))
			case 2:
				f = drawPerson(t, p, now)
			case 3:
				f.Evidence = drawEvidenceOf(t, anyModules, now)
			case 4:
				g := drawPerson(t, p, now)
				f.Department, f.UserType, f.NPI = g.Department, g.UserType, g.NPI
			case 5:
				f.JobCode = drawPerson(t, p, now).JobCode
			default:
				f.Title = drawTitle(t)
			}
			f.Prior = prior
			d := at.Decide(f, now)
			if again := at.Decide(f, now); !reflect.DeepEqual(d, again) {
				t.Fatalf("not deterministic:\n%+v\n%+v", d, again)
			}
			title, code := at.match(f.Title).Of, p.jobCodes.of(f.JobCode)
			row := rowOf(p, title, f)
			if row != nil {
				if types := p.role(row.Role).ParticipantTypes; len(types) > 0 && !slices.Contains(types, f.Participant.Type) {
					row = nil
				}
			}
			if row == nil {
				if len(d.Permissions) > 0 {
					t.Fatalf("no row, and %v in force: %s", d.Permissions, d.Reason)
				}
				prior = d
				continue
			}
			allowed := p.role(row.Role).Permissions
			if code != nil && title != code {
				var coded []string
				if r := rowOf(p, code, f); r != nil {
					coded = p.role(r.Role).Permissions
				}
				allowed = intersect(coded, allowed)
			}
			v := at.verdict(&f)
			for _, permission := range d.Permissions {
				if !slices.Contains(allowed, permission) {
					t.Fatalf("%s is not of row %s (%v): %s\n%s", permission, row.ID, allowed, d.Reason, drawn.document())
				}
				if len(closedBut(d.Gates, GateParticipant)) == 0 {
					continue
				}
				fallback := at.role(v.role.UntilApproved)
				if !slices.Contains(prior.Permissions, permission) && (fallback == nil || !slices.Contains(fallback.Permissions, permission)) {
					t.Fatalf("%s was not in force before, and %v are closed", permission, d.ClosedGates())
				}
			}
			if d.Transition && prior.ValidUntil != nil && (d.ValidUntil == nil || d.ValidUntil.After(*prior.ValidUntil)) {
				t.Fatalf("carried from %v to %v", prior.ValidUntil, d.ValidUntil)
			}
			prior = d
		}
	})
}

// What an overlay leaves of a title that the policy of all maps is never more
// than without it, and what it maps beside is no title that the policy bans.
func TestOverlaysNeverWiden(t *testing.T) {
	often(t, func(t *rapid.T) {
		p := drawPolicy(t).parse(t, 1, noon)
		f := drawPerson(t, p, noon)
		at := p.With(drawOverlay(t, p))
		base, here := p.match(f.Title), at.match(f.Title)
		if (base.Of != nil || base.Why == severalJobs) && (here.Of != base.Of || here.Why != base.Why) {
			t.Fatalf("the overlay reads %q otherwise", f.Title)
		}
		var without []string
		if v := p.lead(here, &f); v.role != nil {
			without = v.role.Permissions
		}
		if with := at.verdictPermissions(&f); !within(with, without...) {
			t.Fatalf("%v with the overlay, %v without", with, without)
		}
	})
}

// Who leads alike comes to the same decision under both versions.
func TestAlikeIsTheSameDecision(t *testing.T) {
	alike := 0
	often(t, func(t *rapid.T) {
		drawn := drawPolicy(t)
		p, next := drawn.parse(t, 1, noon.AddDate(0, 0, -50)), drawn.changed(t).parse(t, 2, noon)
		if rare(t, 2, "overlay") {
			p = p.With(drawOverlay(t, p))
		}
		if rare(t, 2, "next overlay") {
			next = next.With(drawOverlay(t, next))
		}
		f := drawPerson(t, p, noon)
		f.Prior = p.Decide(f, noon.AddDate(0, 0, -rapid.IntRange(0, 40).Draw(t, "decided ago")))
		if !p.LeadsAlike(next, f) {
			return
		}
		alike++
		before, after := p.Decide(f, noon), next.Decide(f, noon)
		before.Trace, after.Trace, before.PolicyVersion, after.PolicyVersion = nil, nil, 0, 0
		if !reflect.DeepEqual(before, after) {
			t.Fatalf("\n%+v\n%+v", before, after)
		}
		if _, class, c := p.Compare(next, f, noon); class != ChangeNone && len(c.Ends) == 0 {
			t.Fatalf("%s: %+v", class, c)
		}
	})
	if alike == 0 {
		t.Error("nobody was alike")
	}
}

// More evidence takes nothing away, whatever version asks for it.
func TestEvidenceIsMonotoneAcrossVersions(t *testing.T) {
	often(t, func(t *rapid.T) {
		drawn := drawPolicy(t)
		p, next := drawn.parse(t, 1, noon.AddDate(0, 0, -50)), drawn.changed(t).parse(t, 2, noon.AddDate(0, 0, -rapid.IntRange(0, 30).Draw(t, "since")))
		f := drawPerson(t, p, noon)
		f.Prior = p.Decide(f, noon.AddDate(0, 0, -40))
		less := next.Decide(f, noon)
		f.Evidence = append(slices.Clone(f.Evidence), drawEvidenceOf(t, anyModules, noon)...)
		more := next.Decide(f, noon)
		if !within(less.Permissions, more.Permissions...) {
			t.Fatalf("%v with less evidence, %v with more", less.Permissions, more.Permissions)
		}
		// What stands on nothing but evidence lasts no shorter with more of it.
		if !less.Transition && !more.Transition && len(less.Permissions) > 0 && slices.Equal(less.ClosedGates(), more.ClosedGates()) &&
			more.ValidUntil != nil && (less.ValidUntil == nil || more.ValidUntil.Before(*less.ValidUntil)) {
			t.Fatalf("until %v with less evidence, %v with more", less.ValidUntil, more.ValidUntil)
		}
	})
}

// What readers lay over a decision takes away only, in whatever order; a
// narrowing leaves old ∩ new.
func TestLaidOverTakesAwayOnly(t *testing.T) {
	often(t, func(t *rapid.T) {
		drawn := drawPolicy(t)
		p, next := drawn.parse(t, 1, noon), drawn.changed(t).changed(t).parse(t, 2, noon)
		f := drawPerson(t, p, noon)
		d := p.Decide(f, noon)
		f.Prior = d
		after := next.Decide(f, noon)
		n := d.Narrowing(after, 2)
		narrowed := d.Within(n)
		if !sameSet(narrowed.Permissions, intersect(d.Permissions, after.Permissions)) {
			t.Fatalf("%v and %v leave %v", d.Permissions, after.Permissions, narrowed.Permissions)
		}
		later, state := noon.AddDate(0, 0, rapid.IntRange(0, 100).Draw(t, "later")), f.Participant
		if rapid.Bool().Draw(t, "suspended") {
			state.Status = "suspended"
		}
		for _, seen := range []Decision{narrowed, d.At(later, state), narrowed.At(later, state), d.At(later, state).Within(n)} {
			if !within(seen.Permissions, d.Permissions...) {
				t.Fatalf("%v of %v", seen.Permissions, d.Permissions)
			}
			if (len(seen.Permissions) > 0) != (seen.Status == StatusReleased) || len(seen.Permissions) == 0 && seen.Role != "" {
				t.Fatalf("%s %q with %v", seen.Status, seen.Role, seen.Permissions)
			}
		}
		for _, seen := range []Decision{narrowed, narrowed.At(later, state)} {
			if r := p.role(seen.Role); r != nil && !sameSet(r.Permissions, seen.Permissions) {
				if r := next.role(seen.Role); !sameSet(r.Permissions, seen.Permissions) {
					t.Fatalf("%s is not %v", seen.Role, seen.Permissions)
				}
			}
		}
	})
}

// A change says what becomes of the role and of what is in force.
func TestChangesAddUp(t *testing.T) {
	often(t, func(t *rapid.T) {
		drawn := drawPolicy(t)
		p, next := drawn.parse(t, 1, noon), drawn.changed(t).parse(t, 2, noon)
		f := drawPerson(t, p, noon)
		f.Prior = p.Decide(f, noon)
		after, class, c := p.Compare(next, f, noon)
		from, to := p.verdictPermissions(&f), next.verdictPermissions(&f)
		if !sameSet(append(lacking(c.Loses, from), c.Gains...), to) || !sameSet(append(lacking(c.Ends, f.Prior.Permissions), c.Starts...), after.Permissions) {
			t.Fatalf("%v → %v, in force %v → %v: %+v", from, to, f.Prior.Permissions, after.Permissions, c)
		}
		if (f.Prior.Narrowing(after, 2) != nil) != (len(c.Ends) > 0) {
			t.Fatalf("narrowing %+v of %+v", f.Prior.Narrowing(after, 2), c)
		}
		gains, loses := len(c.Gains) > 0, len(c.Loses)+len(c.Ends) > 0
		var ok bool
		switch class {
		case ChangeUnmapped:
			ok = f.Prior.TitleRole != "" && after.TitleRole == ""
		case ChangeGain:
			ok = gains && !loses
		case ChangeLose:
			ok = loses && !gains
		case ChangeRole:
			ok = gains && loses || !gains && !loses && c.From != c.To
		case ChangeGates:
			ok = !gains && !loses && c.From == c.To && len(c.Gates) > 0
		case ChangeNone:
			ok = !gains && !loses && c.From == c.To && len(c.Gates) == 0
		}
		if !ok {
			t.Fatalf("%q: %+v", class, c)
		}
	})
}

// Every counterfactual is true for every value that it names, takes no change
// too many, and none that takes fewer is left out.
func TestCounterfactualsAreExactAndMinimal(t *testing.T) {
	often(t, func(t *rapid.T) {
		p := drawPolicy(t).parse(t, 1, noon)
		if rare(t, 2, "overlay") {
			p = p.With(drawOverlay(t, p))
		}
		f := drawPerson(t, p, noon)
		v := p.verdict(&f)
		got := p.counterfactuals(&f, &v, 0)

		// All values that a guard could tell apart, and one more.
		worlds := [4][]string{{"", "Xray", "Yard", "Zoo", "Quay"}, {"", "Employee", "Vendor", "Guest"}, {"standard", "health-plan", "cbo", "government"}, {"", "1234567893"}}
		least := map[*Row]int{}
		var walk func(i int, g Facts)
		walk = func(i int, g Facts) {
			if i < len(attributes) {
				a := Attribute(attributes[i])
				walk(i+1, g)
				for _, value := range worlds[i] {
					if NormalTitle(value) != NormalTitle(a.of(&f)) {
						h := g
						a.set(&h, value)
						walk(i+1, h)
					}
				}
				return
			}
			changes := 0
			for _, a := range attributes {
				if NormalTitle(Attribute(a).of(&g)) != NormalTitle(Attribute(a).of(&f)) {
					changes++
				}
			}
			then := p.verdict(&g)
			if then.role == nil || sameRole(then.role, v.role) || changes == 0 {
				return
			}
			if n, ok := least[then.row]; !ok || changes < n {
				least[then.row] = changes
			}
		}
		walk(0, f)

		reached := map[*Row]int{}
		for i, c := range got {
			if i > 0 && changes(got[i-1]) > changes(c) {
				t.Fatalf("not the fewest first: %+v", got)
			}
			row, n := (*Row)(nil), changes(c)
			for _, g := range satisfying(f, c.If, worlds) {
				then := p.verdict(&g)
				if then.role == nil || then.role.Name != c.Role {
					t.Fatalf("%s: leads to %+v for %+v", c.Sentence, then.role, g)
				}
				row = then.row
			}
			if row == nil {
				t.Fatalf("%s: no value does", c.Sentence)
			}
			if n != least[row] {
				t.Fatalf("%s: %d changes, %d are enough for %s", c.Sentence, n, least[row], row.ID)
			}
			reached[row] = n
		}
		if !reflect.DeepEqual(reached, least) {
			t.Fatalf("reached %v, least %v", reached, least)
		}
		if first := p.counterfactuals(&f, &v, 1); len(got) > 0 && (len(first) != 1 || !reflect.DeepEqual(first[0], got[0])) {
			t.Fatalf("the first: %+v of %+v", first, got)
		}
	})
}

// changes counts the attributes that a counterfactual changes.
func changes(c Counterfactual) int {
	var seen []Attribute
	for _, g := range c.If {
		if !slices.Contains(seen, g.Attribute) {
			seen = append(seen, g.Attribute)
		}
	}
	return len(seen)
}

// satisfying are the facts with every value of the attributes in question for
// which the guards hold.
func satisfying(f Facts, guards []Guard, worlds [4][]string) []Facts {
	guards = slices.Clone(guards)
	for i := range guards {
		guards[i].normal = nil
		for _, v := range guards[i].Values {
			guards[i].normal = append(guards[i].normal, NormalTitle(v))
		}
	}
	out := []Facts{f}
	for i, name := range attributes {
		a := Attribute(name)
		about := slices.DeleteFunc(slices.Clone(guards), func(g Guard) bool { return g.Attribute != a })
		if len(about) == 0 {
			continue
		}
		var next []Facts
		for _, g := range out {
			for _, value := range worlds[i] {
				h := g
				a.set(&h, value)
				if !slices.ContainsFunc(about, func(g Guard) bool { return !g.holds(h) }) {
					next = append(next, h)
				}
			}
		}
		out = next
	}
	return out
}
