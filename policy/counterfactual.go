package policy

import (
	"slices"
	"strconv"
	"strings"
)

// Counterfactual is the least that would have to be different about a person
// for another row of their title to answer.
type Counterfactual struct {
	Role     string  `json:"role"`
	If       []Guard `json:"if"` // all of it
	Sentence string  `json:"sentence"`
}

// maxTries bounds the search: two attributes that guards divide into 60 classes
// each are still searched to the end.
const maxTries = 1 << 12

// counterfactuals finds, for every row of the title's occupation that does not
// answer this person, the fewest attributes that would have to change for it to
// answer alone and give another role than now. Fewer changes come first; n bounds
// the number, 0 is all.
//
// Every attribute's values fall into classes that all guards in question treat
// alike, so trying one value of each class is exact.
func (p *Policy) counterfactuals(f *Facts, a *verdict, n int) []Counterfactual {
	if a.Of == nil {
		return nil
	}
	s := search{policy: p, match: a.match, role: a.role, reached: map[*Row]int{}, limit: n}
	guards := p.inQuestion(a)
	for i, name := range attributes {
		s.classes[i] = classesOf(Attribute(name), guards, f)
	}
	for size := 1; size <= len(attributes) && !s.done(); size++ {
		s.try(*f, 0, size, size, nil)
	}
	return s.found
}

// inQuestion are all guards on which it depends what a title's occupation and a
// job code's give.
func (p *Policy) inQuestion(a *verdict) []Guard {
	var out []Guard
	types := func(name string) {
		if r := p.role(name); r != nil && len(r.ParticipantTypes) > 0 {
			out = append(out, typesGuard(r))
		}
	}
	for _, of := range []*occupation{a.Of, a.code} {
		if of == nil {
			continue
		}
		for _, row := range of.rows {
			out = append(append(out, row.Guards...), p.overlay.further(row)...)
			types(row.Role)
			types(p.overlay.instead(row))
		}
	}
	return out
}

// typesGuard is a role's participant types as a guard.
func typesGuard(r *Role) Guard {
	g := Guard{Attribute: AttributeParticipantType, Test: TestIn, Values: r.ParticipantTypes}
	for _, v := range r.ParticipantTypes {
		g.normal = append(g.normal, NormalTitle(v))
	}
	return g
}

// valueClass are values of one attribute that no guard tells apart.
type valueClass struct {
	values []string // as written; with rest, those that it leaves out
	rest   bool     // every other value that is given
	absent bool
	sample string
}

// guards say a class in the words of guards.
func (c valueClass) guards(a Attribute) []Guard {
	var out []Guard
	switch {
	case !c.rest && c.absent:
		return []Guard{{Attribute: a, Test: TestAbsent, Values: []string{}}}
	case !c.rest:
		return []Guard{{Attribute: a, Test: TestIn, Values: c.values}}
	case !c.absent:
		out = append(out, Guard{Attribute: a, Test: TestPresent, Values: []string{}})
	}
	if len(c.values) > 0 {
		out = append(out, Guard{Attribute: a, Test: TestNotIn, Values: c.values})
	}
	return out
}

// classesOf divides an attribute's values by what the guards say to them, and
// leaves out the class of the value that is there.
func classesOf(a Attribute, guards []Guard, f *Facts) []valueClass {
	guards = slices.DeleteFunc(slices.Clone(guards), func(g Guard) bool { return g.Attribute != a })
	if len(guards) == 0 {
		return nil
	}
	said := func(value string) string {
		answers := make([]byte, len(guards))
		for i, g := range guards {
			answers[i] = yesOrNo(g.accepts(value))[0]
		}
		return string(answers)
	}
	type value struct{ written, normal string }
	var named []value
	add := func(written, normal string) {
		if normal != "" && !slices.ContainsFunc(named, func(v value) bool { return v.normal == normal }) {
			named = append(named, value{written, normal})
		}
	}
	if a == AttributeParticipantType {
		for _, kind := range participantKind {
			add(kind, NormalTitle(kind))
		}
	} else {
		for _, g := range guards {
			for i, normal := range g.normal {
				add(g.Values[i], normal)
			}
		}
	}
	var out []valueClass
	now := said(NormalTitle(a.of(f)))
	index := map[string]int{}
	for _, v := range named {
		saying := said(v.normal)
		if saying == now {
			continue
		}
		i, ok := index[saying]
		if !ok {
			i = len(out)
			index[saying] = i
			out = append(out, valueClass{sample: v.written})
		}
		out[i].values = append(out[i].values, v.written)
	}
	if a == AttributeParticipantType {
		return out // there are no others, and none is without
	}
	other := "another"
	for slices.ContainsFunc(named, func(v value) bool { return v.normal == other }) {
		other += " one"
	}
	rest, absent := said(other), said("")
	if rest != now {
		c := valueClass{rest: true, absent: absent == rest, sample: other}
		i, ok := index[rest]
		for _, v := range named {
			if said(v.normal) != rest {
				c.values = append(c.values, v.written)
			}
		}
		if ok {
			out[i] = c
		} else {
			out = append(out, c)
		}
	}
	if absent != now && absent != rest {
		out = append(out, valueClass{absent: true})
	}
	return out
}

// search tries changed facts, fewest changes first.
type search struct {
	policy  *Policy
	match   match
	role    *Role // that the title leads to now
	classes [4][]valueClass
	reached map[*Row]int // the number of changes that a row takes
	found   []Counterfactual
	limit   int
	tries   int
}

func (s *search) done() bool { return s.limit > 0 && len(s.found) >= s.limit || s.tries >= maxTries }

// try changes left more attributes, from one on, and asks what the title would
// lead to.
func (s *search) try(f Facts, from, left, size int, changes []Guard) {
	if left == 0 {
		s.tries++
		s.look(&f, size, changes)
		return
	}
	for i := from; i <= len(attributes)-left; i++ {
		a := Attribute(attributes[i])
		for _, c := range s.classes[i] {
			if s.done() {
				return
			}
			changed := f
			a.set(&changed, c.sample)
			s.try(changed, i+1, left-1, size, slices.Concat(changes, c.guards(a)))
		}
	}
}

func (s *search) look(f *Facts, size int, changes []Guard) {
	then := s.policy.lead(s.match, f)
	if then.role == nil || sameRole(then.role, s.role) {
		return
	}
	if first, again := s.reached[then.row]; again && first < size {
		return
	}
	s.reached[then.row] = size
	conditions := make([]string, len(changes))
	for i, g := range changes {
		conditions[i] = g.equation()
	}
	s.found = append(s.found, Counterfactual{Role: then.role.Name, If: changes, Sentence: "would be " + s.policy.roleName(then.role) + " if " + list(conditions)})
}

// set puts a value in the place of a person's attribute.
func (a Attribute) set(f *Facts, value string) {
	switch a {
	case AttributeDepartment:
		f.Department = value
	case AttributeUserType:
		f.UserType = value
	case AttributeParticipantType:
		f.Participant.Type = value
	case AttributeNPI:
		f.NPI = value
	}
}

// equation says what a guard asks as "department = Emergency or ICU".
func (g Guard) equation() string {
	switch g.Test {
	case TestIn:
		return string(g.Attribute) + " = " + few(g.Values)
	case TestNotIn:
		return string(g.Attribute) + " is not " + few(g.Values)
	case TestPresent, TestAbsent:
	}
	return g.String()
}

// inShort is String with a bound on how many values it names.
func (g Guard) inShort() string {
	g.Values = []string{few(g.Values)}
	return g.String()
}

// few names values, and counts those that would make a sentence too long.
func few(values []string) string {
	const most = 6
	if len(values) <= most {
		return or(values)
	}
	return strings.Join(values[:most-1], ", ") + " or one of " + strconv.Itoa(len(values)-most+1) + " others"
}
