package policy

import "slices"

// verdict is what a policy says to a title and a job code, before any gate.
type verdict struct {
	match
	chosen
	code     *occupation // what the job code stands for, nil when it says nothing
	coded    chosen      // what code gives this person
	disagree bool        // title and job code give different roles
}

// chosen is what an occupation gives a person: exactly one row, and its role.
type chosen struct {
	row  *Row
	role *Role // nil: see miss
	miss miss
}

// miss is why a title of the table gives a person no role.
type miss byte

const (
	missNone      miss = iota
	missGap            // no row's guards hold
	missAmbiguous      // several rows' guards hold
	missOverlay        // a further condition of the participant does not hold
	missType           // the role is for other types of participant
	missShared         // row and overlay give roles without a common permission
	missJobCode        // title and job code give roles without a common permission
)

// verdict reads title and job code. It writes no trace: a policy change asks this
// about everybody.
func (p *Policy) verdict(f *Facts) verdict { return p.lead(p.match(f.Title), f) }

// lead is what a match leads a person to.
func (p *Policy) lead(m match, f *Facts) verdict {
	a := verdict{match: m, code: p.jobCodes.of(f.JobCode)}
	if a.Of == nil {
		return a
	}
	seen := seen{facts: f}
	a.chosen = p.choose(a.Of, &seen)
	if a.code != nil && a.code != a.Of {
		a.coded = p.choose(a.code, &seen)
		p.both(&a)
	}
	return a
}

// choose finds the one row of an occupation that answers. The participant's
// overlay is asked about the row that the policy of all chose, so that it can
// take away and never decide between rows.
func (p *Policy) choose(of *occupation, s *seen) chosen {
	var c chosen
	for _, row := range of.rows {
		if !s.hold(row.Guards) {
			continue
		}
		if c.row != nil {
			return chosen{miss: missAmbiguous}
		}
		c.row = row
	}
	if c.row == nil {
		return chosen{miss: missGap}
	}
	role := p.role(c.row.Role)
	if !forParticipant(role, s.facts.Participant) {
		c.miss = missType
		return c
	}
	if !s.hold(p.overlay.further(c.row)) {
		c.miss = missOverlay
		return c
	}
	if name := p.overlay.instead(c.row); name != "" {
		narrower := p.role(name)
		if narrower == nil {
			c.miss = missShared // a role that this version no longer has
			return c
		}
		if !forParticipant(narrower, s.facts.Participant) {
			c.miss = missType
			return c
		}
		if role = meet(role, narrower); len(role.Permissions) == 0 && len(narrower.Permissions) > 0 {
			c.miss = missShared
			return c
		}
	}
	c.role = role
	return c
}

// both settles what holds when the job code stands for another occupation than
// the title: at most what both give. A code that gives this person nothing
// leaves nothing.
func (p *Policy) both(a *verdict) {
	title, code := a.role, a.coded.role
	if title == nil || sameRole(title, code) {
		return
	}
	a.disagree = true
	if code != nil {
		if both := meet(title, code); len(both.Permissions) > 0 || len(title.Permissions) == 0 {
			a.role = both
			return
		}
	}
	if len(title.Permissions) > 0 {
		a.role, a.miss = nil, missJobCode
	}
}

// partly says whether the role is only a part of the one whose name it has.
func (p *Policy) partly(r *Role) bool { return r != nil && p.role(r.Name) != r }

// meet is what two roles have in common: the narrower of the two when one holds
// the other, else a role under a's name with the modules and gates of both.
func meet(a, b *Role) *Role {
	aInB, bInA := within(a.Permissions, b.Permissions...), within(b.Permissions, a.Permissions...)
	switch {
	case a == b, aInB && !bInA, aInB && within(b.Modules, a.Modules...) && within(b.Gates, a.Gates...):
		return a
	case bInA && !aInB:
		return b
	}
	return &Role{
		Name:        a.Name,
		Permissions: intersect(b.Permissions, a.Permissions),
		Modules:     slices.Concat(a.Modules, lacking(a.Modules, b.Modules)),
		Gates:       slices.Concat(a.Gates, lacking(a.Gates, b.Gates)),
	}
}

// sameRole says whether two roles are one, by name and by what they hold.
func sameRole(a, b *Role) bool {
	return a == b || a != nil && b != nil && a.Name == b.Name && sameSet(a.Permissions, b.Permissions)
}

// seen reads the attributes of a person that guards look at, each once.
type seen struct {
	facts  *Facts
	normal [4]string
	known  [4]bool
}

func (s *seen) hold(guards []Guard) bool {
	for _, g := range guards {
		if !g.accepts(s.value(g.Attribute)) {
			return false
		}
	}
	return true
}

// value is an attribute in normal form.
func (s *seen) value(a Attribute) string {
	i := slices.Index(attributes, string(a))
	if i < 0 {
		return ""
	}
	if !s.known[i] {
		s.normal[i], s.known[i] = NormalTitle(a.of(s.facts)), true
	}
	return s.normal[i]
}
