package policy

import "strings"

// field is one key of a mapping in a document, or one column of a table. Parse
// takes the names from here and Schema everything: neither knows a key that the
// other does not.
type field struct {
	name  string
	says  string // for people who write documents
	value shape  // nil for a column
}

// shape is the JSON Schema of a value.
type shape map[string]any

// identifierRule is what a name of a role, module, permission or row may be:
// names travel in filters, logs and file names.
const identifierRule = "^[A-Za-z0-9._-]{1,64}$"

const mostGraceDays = 366

// JobCodeAttributes are the SCIM attributes that may carry a job code: of the
// enterprise extension, and userType.
var JobCodeAttributes = []string{"costCenter", "division", "organization", "employeeNumber", "userType"}

var (
	participantKind = []string{"standard", "health-plan", "cbo", "government"}
	everybodysGates = []string{string(GateParticipant), string(GateTitle), string(GateEmail), string(GateMobile), string(GateHold)}
	allGates        = []string{string(GateParticipant), string(GateTitle), string(GateEmail), string(GateMobile), string(GateTraining), string(GateApproval), string(GateNPI), string(GateHold)}
)

var documentFields = []field{
	{"modules", "training: an id and its name, or name, litmos and graceDays", anyKeyed(identifier(), either(text(), mapping(moduleFields)))},
	{"roles", "named sets of permissions and what must hold before they are released", anyKeyed(identifier(), mapping(roleFields, "permissions"))},
	{"gates", "of every role with permissions; all but approval and npi when left out", holding(listOf(choice(allGates)), everybodysGates)},
	{"privileged", "permissions that only roles with gate approval may hold; " + list(defaultPrivileged) + " when left out", listOf(identifier())},
	{"breakGlass", "of those: permissions whose gain by a policy change takes two people; " + list(defaultBreakGlass) + " when left out", listOf(identifier())},
	{"synonyms", "ways of writing a word, and the way of the table", anyKeyed(text(), text())},
	{"removable", "words that say nothing about the occupation, wherever they stand", listOf(text())},
	{"units", "where somebody works: taken off around a title", listOf(text())},
	{"fields", "in which field somebody works: taken off before a title, and behind it when set off", listOf(text())},
	{"degrees", "taken off behind a title", listOf(text())},
	{"compounds", "words that belong together; no part is taken off", listOf(text())},
	{"bans", "forms that stand for several occupations and never map", listOf(text())},
	{"jobCodes", "codes beside the title, and the title of the table that each stands for", mapping(jobCodeFields, "attribute", "codes")},
	{"guards", "row id, or title with one row: what must hold of its people besides", anyKeyed(text(), guardShape())},
	{"titles", "the title table: CSV, header line first, or the name of a .csv file beside the document; columns: " + columnsOf(titleFields), text()},
}

var moduleFields = []field{
	{"name", "shown to people", text()},
	{"litmos", "course or learning path in the LMS", text()},
	{"graceDays", "how long somebody already released may go on without a module that is new", shape{"type": "integer", "minimum": 0, "maximum": mostGraceDays}},
}

var roleFields = []field{
	{"permissions", "the whole set; [] for none", listOf(identifier())},
	{"modules", "training that must be valid", listOf(text())},
	{"gates", "beyond those of every role", listOf(choice(allGates))},
	{"untilApproved", "the role that applies while gate approval is closed", text()},
	{"participantTypes", "of participants whose people may have the role; any when left out", listOf(choice(participantKind))},
}

var jobCodeFields = []field{
	{"attribute", "the SCIM attribute that carries the code", choice(JobCodeAttributes)},
	{"codes", "code: title of the table", anyKeyed(text(), text())},
}

var titleFields = []field{
	{name: "title", says: "as it is written most"},
	{name: "category", says: "for reading"},
	{name: "role", says: "what its people may have"},
	{name: "aliases", says: "other titles of the occupation, separated by a bar"},
	{name: "basis", says: "where the row comes from"},
	{name: "row", says: "the row's id; made of the title when left out"},
}

var overlayFields = []field{
	{"synonyms", "whole titles that the policy of all leaves unmapped, and the title of the table that each stands for", anyKeyed(text(), text())},
	{"roles", "row id, or title with one row: a role with fewer permissions than the row's", anyKeyed(text(), text())},
	{"guards", "row id, or title with one row: further conditions", anyKeyed(text(), guardShape())},
}

var (
	documentKeys = keysOf(documentFields)
	moduleKeys   = keysOf(moduleFields)
	roleKeys     = keysOf(roleFields)
	jobCodeKeys  = keysOf(jobCodeFields)
	overlayKeys  = keysOf(overlayFields)
	titleColumns = keysOf(titleFields)
)

func keysOf(fields []field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.name
	}
	return out
}

// columnsOf describes the columns of a table.
func columnsOf(fields []field) string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.name + " (" + f.says + ")"
	}
	return list(out)
}

// text is a scalar; Parse takes an unquoted number or truth value as it is
// written.
func text() shape {
	return shape{"type": []string{"string", "number", "boolean"}}
}

func identifier() shape {
	s := text()
	s["pattern"] = identifierRule
	return s
}

func choice(of []string) shape { return shape{"enum": of} }

func either(shapes ...shape) shape { return shape{"anyOf": shapes} }

// listOf is a list without repetitions and empty texts.
func listOf(member shape) shape {
	items := shape{}
	for k, v := range member {
		items[k] = v
	}
	if member["pattern"] == nil && member["enum"] == nil {
		items["minLength"] = 1
	}
	return shape{"type": "array", "items": items, "uniqueItems": true, "maxItems": maxItems}
}

// holding is a list that must have certain members.
func holding(l shape, members []string) shape {
	needed := make([]shape, len(members))
	for i, m := range members {
		needed[i] = shape{"contains": shape{"const": m}}
	}
	l["allOf"] = needed
	return l
}

// mapping is a mapping with fixed keys.
func mapping(fields []field, required ...string) shape {
	properties := shape{}
	for _, f := range fields {
		value := shape{"description": strings.ToUpper(f.says[:1]) + f.says[1:] + "."}
		for k, v := range f.value {
			value[k] = v
		}
		properties[f.name] = value
	}
	s := shape{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// anyKeyed is a mapping whose keys are names.
func anyKeyed(name, value shape) shape {
	s := shape{"type": "object", "additionalProperties": value}
	if pattern, ok := name["pattern"]; ok {
		s["propertyNames"] = shape{"pattern": pattern}
	}
	return s
}

// guardShape is attribute → test.
func guardShape() shape {
	one := func(a Attribute) shape {
		value := text()
		if a == AttributeParticipantType {
			value = choice(participantKind)
		}
		values := listOf(value)
		values["minItems"] = 1
		return either(choice([]string{string(TestPresent), string(TestAbsent)}),
			shape{"type": "object", "additionalProperties": false, "minProperties": 1, "properties": shape{string(TestIn): values, string(TestNotIn): values}})
	}
	properties := shape{}
	for _, a := range attributes {
		properties[a] = one(Attribute(a))
	}
	return shape{"type": "object", "additionalProperties": false, "minProperties": 1, "properties": properties}
}
