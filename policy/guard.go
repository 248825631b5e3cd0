package policy

import (
	"slices"
	"strings"
)

// Attribute is what a guard may look at. The set is closed, so that a person
// can see from the document alone whom a row covers.
type Attribute string

// The attributes.
const (
	AttributeDepartment      Attribute = "department"
	AttributeUserType        Attribute = "userType"
	AttributeParticipantType Attribute = "participantType"
	AttributeNPI             Attribute = "npi"
)

var attributes = []string{string(AttributeDepartment), string(AttributeUserType), string(AttributeParticipantType), string(AttributeNPI)}

// Test is what a guard asks of its attribute.
type Test string

// The tests. Texts are compared in normal form and as a whole.
const (
	TestIn      Test = "in"
	TestNotIn   Test = "notIn"
	TestPresent Test = "present"
	TestAbsent  Test = "absent"
)

var tests = []string{string(TestIn), string(TestNotIn), string(TestPresent), string(TestAbsent)}

// Guard narrows a row to some of the people who carry its title.
type Guard struct {
	Attribute Attribute `json:"attribute"`
	Test      Test      `json:"test"`
	Values    []string  `json:"values"` // as written

	normal []string
}

// of is a person's attribute as sent.
func (a Attribute) of(f *Facts) string {
	switch a {
	case AttributeDepartment:
		return f.Department
	case AttributeUserType:
		return f.UserType
	case AttributeParticipantType:
		return f.Participant.Type
	case AttributeNPI:
		return f.NPI
	}
	return ""
}

func (g Guard) holds(f Facts) bool { return g.accepts(NormalTitle(g.Attribute.of(&f))) }

// accepts a value in normal form. A missing one is in no list, and so satisfies
// notIn.
func (g Guard) accepts(value string) bool {
	switch g.Test {
	case TestIn:
		return value != "" && slices.Contains(g.normal, value)
	case TestNotIn:
		return !slices.Contains(g.normal, value)
	case TestPresent:
		return value != ""
	case TestAbsent:
		return value == ""
	}
	return false
}

// String says the guard in English, to follow "only where".
func (g Guard) String() string {
	switch g.Test {
	case TestIn:
		return string(g.Attribute) + " is " + or(g.Values)
	case TestNotIn:
		return string(g.Attribute) + " is not " + or(g.Values)
	case TestPresent:
		return string(g.Attribute) + " is given"
	case TestAbsent:
		return string(g.Attribute) + " is not given"
	}
	return string(g.Attribute) + " is never right"
}

func or(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
