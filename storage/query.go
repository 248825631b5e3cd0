package storage

import (
	"slices"
	"time"
)

// Field names a typed column (or a joined value) that a query may use. The set
// is closed; everything else of a resource is reached through Attr.
type Field string

// Fields of users; those marked G exist on groups too.
const (
	FieldID               Field = "id"          // G
	FieldExternalID       Field = "externalId"  // G
	FieldCreated          Field = "created"     // G, time
	FieldLastModified     Field = "modified"    // G, time
	FieldDisplayName      Field = "displayName" // G, folded
	FieldMember           Field = "member"      // groups only: id of a direct member
	FieldUserName         Field = "userName"    // prepared key
	FieldEmail            Field = "email"       // any e-mail value of the user, folded
	FieldFamilyName       Field = "familyName"  // folded
	FieldGivenName        Field = "givenName"   // folded
	FieldTitle            Field = "title"       // folded
	FieldTitleKey         Field = "titleKey"    // normal form
	FieldDepartment       Field = "department"  // folded
	FieldActive           Field = "active"      // bool
	FieldGroup            Field = "group"       // users only: id of a group holding the user, direct or indirect
	FieldStatus           Field = "status"      // effective now, see User.Access
	FieldRole             Field = "role"        // effective now
	FieldRequestedRole    Field = "requestedRole"
	FieldPermission       Field = "permission" // effective now; multi-valued
	FieldGate             Field = "gate"       // closed gates, effective now; multi-valued
	FieldReason           Field = "reason"
	FieldPolicyVersion    Field = "policyVersion" // int64
	FieldHealthixUsername Field = "healthixUsername"
	FieldReleasedAt       Field = "releasedAt"      // time
	FieldTrainingExpires  Field = "trainingExpires" // time
	FieldClinicalAlerts   Field = "clinicalAlerts"  // string
	FieldEmailKey         Field = "emailKey"        // gate address, folded
	FieldTitleRole        Field = "titleRole"       // role the title maps to, "" unknown
	FieldPolicyBefore     Field = "decidedPolicy"   // policy version of the stored decision, int64
	FieldValidUntil       Field = "validUntil"      // time, stored decision
	FieldStoredStatus     Field = "storedStatus"    // status as decided, without overlay
)

// Op is a comparison. Values are compared exactly as given: the caller folds
// them the way Fold folds the document.
type Op string

// The comparisons. A missing value satisfies OpNe and no other but a negation.
const (
	OpEq      Op = "eq"
	OpNe      Op = "ne" // no value equals
	OpCo      Op = "co"
	OpSw      Op = "sw"
	OpEw      Op = "ew"
	OpGt      Op = "gt"
	OpGe      Op = "ge"
	OpLt      Op = "lt"
	OpLe      Op = "le"
	OpPresent Op = "pr" // non-empty value; Value is ignored
)

// Filter is a closed tree: And, Or, Not, Cmp, Attr, Element, In.
type Filter interface{ filter() }

// And holds when all hold; an empty And holds.
type And []Filter

// Or holds when one holds; an empty Or does not.
type Or []Filter

// Not holds when its filter does not.
type Not struct{ Filter Filter }

// Cmp compares a typed field. Value is string, bool, int64 or time.Time, as
// the field asks.
type Cmp struct {
	Field Field
	Op    Op
	Value any
}

// Attr compares a value of the folded document. Path holds folded attribute
// names from the schema (never client text); arrays on the way are looked
// through, so that any value may match. Value is string, bool, float64, int64;
// dateTimes are compared as the canonical text Fold writes.
type Attr struct {
	Path  []string
	Op    Op
	Value any
}

// Element holds when one element of the array (or the object) at Path
// satisfies Filter as a whole; paths of the Attrs inside are relative to the
// element, an empty Path there is the element itself.
type Element struct {
	Path   []string
	Filter Filter
}

// In holds when the field equals one of the values.
type In struct {
	Field  Field
	Values []string
}

func (And) filter()     {}
func (Or) filter()      {}
func (Not) filter()     {}
func (Cmp) filter()     {}
func (Attr) filter()    {}
func (Element) filter() {}
func (In) filter()      {}

// Order is one sort key. Absent values come last ascending, first descending.
// The id is always the last key, in the direction of the one before, so that
// pages are stable.
type Order struct {
	Field Field
	// Path sorts by a value of the folded document instead of Field: primary
	// element, else the first, of a multi-valued attribute. Of a text the first
	// MaxSortText characters count.
	Path       []string
	Descending bool
}

// Query asks for users or groups. The zero value lists everything that is not
// deleted, oldest first.
type Query struct {
	Participant string // "" for all participants
	Filter      Filter // nil for all
	Sort        []Order
	Offset      int
	Limit       int       // 0: no rows, only the total when Total is set; negative: no limit
	After       *Position // rows that stand after it; excludes Offset
	Total       bool      // count all matches
	Deleted     bool      // deleted ones too
	Now         time.Time
}

// Orders are the query's sort keys, without the id.
func (q Query) Orders() []Order {
	if len(q.Sort) == 0 {
		return []Order{{Field: FieldCreated}}
	}
	return q.Sort
}

// Reversed asks for the same in the opposite order: after a position, what
// stands before it, the nearest first.
func (q Query) Reversed() Query {
	q.Sort = slices.Clone(q.Orders())
	for i := range q.Sort {
		q.Sort[i].Descending = !q.Sort[i].Descending
	}
	return q
}
