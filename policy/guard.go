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
	Attribute Attribute
	Test      Test
	Values    []string // as written

	normal []string
}

func (g Guard) value(f Facts) string {
	switch g.Attribute {
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

// holds: a missing attribute is in no list, and so satisfies notIn.
func (g Guard) holds(f Facts) bool {
	value := NormalTitle(g.value(f))
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
