package sqlstore

import (
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// fieldKind is how a field is kept, and so which comparisons it knows.
type fieldKind int

const (
	textField    fieldKind = iota // one text, '' when missing
	keyField                      // one text that is never missing
	truthField                    // a boolean
	numberField                   // an int64
	momentField                   // a time, NULL when missing
	textsField                    // several texts: rows of their own
	addressField                  // e-mail values: rows, and an index of their own
)

// field is where a field's value is found.
type field struct {
	kind fieldKind
	// sql is the column.
	sql string
	// of computes it instead (kind textField).
	of func(*lowering) statement
	// rows opens "exists (select … where" over the values (kind textsField); the
	// condition on value and a closing parenthesis follow.
	rows  func(*lowering) statement
	value string
	first func(*lowering) statement // what a sort goes by (kind textsField)

	always bool // never missing (kind momentField)
	unique bool // among the undeleted of a participant (kind keyField)
}

var userResource = &resource{
	name: "users", alias: "u", from: userTables, plain: plainUserTables,
	fields: map[storage.Field]field{
		storage.FieldID:               {kind: keyField, sql: "u.id", unique: true},
		storage.FieldExternalID:       {kind: textField, sql: "u.external_id"},
		storage.FieldCreated:          {kind: momentField, sql: "u.created", always: true},
		storage.FieldLastModified:     {kind: momentField, sql: "u.modified", always: true},
		storage.FieldDisplayName:      {kind: textField, sql: "u.display_name_key"},
		storage.FieldUserName:         {kind: keyField, sql: "u.user_name_key", unique: true},
		storage.FieldEmail:            {kind: addressField},
		storage.FieldFamilyName:       {kind: textField, sql: "u.family_name_key"},
		storage.FieldGivenName:        {kind: textField, sql: "u.given_name_key"},
		storage.FieldTitle:            {kind: textField, sql: "u.title_fold"},
		storage.FieldTitleKey:         {kind: textField, sql: "u.title_key"},
		storage.FieldDepartment:       {kind: textField, sql: "u.department_fold"},
		storage.FieldActive:           {kind: truthField, sql: "u.active"},
		storage.FieldGroup:            {kind: textsField, rows: (*lowering).holdingGroups, value: "g.id"},
		storage.FieldStatus:           {kind: textField, of: (*lowering).status},
		storage.FieldRole:             {kind: textField, of: (*lowering).role},
		storage.FieldRequestedRole:    {kind: textField, of: (*lowering).requestedRole},
		storage.FieldPermission:       {kind: textsField, rows: (*lowering).permissions, value: "v.value", first: (*lowering).firstPermission},
		storage.FieldGate:             {kind: textsField, rows: (*lowering).gates, value: "v.value", first: (*lowering).firstGate},
		storage.FieldReason:           {kind: textField, of: (*lowering).reason},
		storage.FieldPolicyVersion:    {kind: numberField, sql: "u.policy_version"},
		storage.FieldHealthixUsername: {kind: textField, sql: "u.healthix_username"},
		storage.FieldReleasedAt:       {kind: momentField, sql: "u.released_at"},
		storage.FieldTrainingExpires:  {kind: momentField, sql: "u.training_expires"},
		storage.FieldClinicalAlerts:   {kind: textField, sql: "u.clinical_alerts"},
		storage.FieldEmailKey:         {kind: textField, sql: "u.email_key"},
		storage.FieldTitleRole:        {kind: textField, sql: "u.title_role"},
		storage.FieldPolicyBefore:     {kind: numberField, sql: "u.policy_version"},
		storage.FieldValidUntil:       {kind: momentField, sql: "u.valid_until"},
		storage.FieldStoredStatus:     {kind: textField, sql: "u.status"},
	},
}

var groupResource = &resource{
	name: "groups", alias: "g", from: "groups g", plain: "groups g",
	fields: map[storage.Field]field{
		storage.FieldID:           {kind: keyField, sql: "g.id", unique: true},
		storage.FieldExternalID:   {kind: textField, sql: "g.external_id"},
		storage.FieldCreated:      {kind: momentField, sql: "g.created", always: true},
		storage.FieldLastModified: {kind: momentField, sql: "g.modified", always: true},
		storage.FieldDisplayName:  {kind: keyField, sql: "g.display_name_key"},
		storage.FieldMember:       {kind: textsField, rows: (*lowering).members, value: "m.member_id"},
	},
}

func (l *lowering) field(name storage.Field) (field, error) {
	f, ok := l.resource.fields[name]
	if !ok {
		return f, fmt.Errorf("%s have no field %q", l.resource.name, name)
	}
	return f, nil
}

func (f field) expression(l *lowering) statement {
	if f.of != nil {
		return f.of(l)
	}
	return statement{sql: f.sql}
}

// cmp writes a comparison of a typed field.
func (l *lowering) cmp(c storage.Cmp) error {
	f, err := l.field(c.Field)
	if err != nil {
		return err
	}
	if c.Op == storage.OpNe { // no value equals; a missing one does not
		l.write("not ")
		c.Op = storage.OpEq
	}
	wrong := fmt.Errorf("field %s is not compared with %T by %s", c.Field, c.Value, c.Op)
	switch f.kind {
	case textField, keyField, textsField, addressField:
		want, ok := c.Value.(string)
		if !ok && c.Op != storage.OpPresent {
			return wrong
		}
		err = l.texts(f, c.Op, want)
	case truthField:
		want, ok := c.Value.(bool)
		switch {
		case c.Op == storage.OpPresent:
			l.constant(true)
		case !ok:
			return wrong
		case c.Op != storage.OpEq:
			l.constant(false) // no order among booleans
		case want:
			l.write("(" + f.sql + ")")
		default:
			l.write("(not " + f.sql + ")")
		}
	case numberField:
		want, ok := c.Value.(int64)
		sign := orders[c.Op]
		switch {
		case c.Op == storage.OpPresent:
			l.constant(true)
		case !ok || sign == "":
			return wrong
		default:
			l.write("("+f.sql+" "+sign+" ?)", want)
		}
	case momentField:
		want, ok := c.Value.(time.Time)
		switch {
		case c.Op == storage.OpPresent:
			l.write("(" + f.sql + " is not null)")
		case !ok || orders[c.Op] == "":
			return wrong
		default:
			l.moment(f.sql, c.Op, want)
		}
	}
	if err != nil {
		return fmt.Errorf("field %s: %w", c.Field, err)
	}
	return nil
}

// moment compares with columns of whole microseconds.
func (l *lowering) moment(column string, op storage.Op, t time.Time) {
	whole := t.Truncate(time.Microsecond)
	if !whole.Equal(t) {
		switch op {
		case storage.OpEq:
			l.constant(false)
			return
		case storage.OpGe:
			op = storage.OpGt
		case storage.OpLt:
			op = storage.OpLe
		case storage.OpNe, storage.OpCo, storage.OpSw, storage.OpEw, storage.OpGt, storage.OpLe, storage.OpPresent:
		}
	}
	l.write("("+column+" is not null and "+column+" "+orders[op]+" ?)", instant(whole))
}

// texts writes that one of a field's texts compares so.
func (l *lowering) texts(f field, op storage.Op, want string) error {
	switch f.kind {
	case textsField:
		l.put(f.rows(l))
		if err := l.present(statement{sql: f.value}, op, want); err != nil {
			return err
		}
		l.write(l.closing(f))
		return nil
	case addressField:
		if op == storage.OpEq && want != "" {
			return l.holdsAddress(want)
		}
		return l.addresses(func(e statement) error { return l.present(e, op, want) })
	case textField, keyField, truthField, numberField, momentField:
	}
	l.write("(")
	if err := l.present(f.expression(l), op, want); err != nil {
		return err
	}
	l.write(")")
	return nil
}

// present compares a text of which ” means that it is missing; a missing one
// satisfies nothing.
func (l *lowering) present(e statement, op storage.Op, want string) error {
	switch op {
	case storage.OpEq:
		if want == "" {
			l.constant(false)
			return nil
		}
	case storage.OpCo, storage.OpSw, storage.OpEw, storage.OpGt, storage.OpGe:
		if want == "" {
			op = storage.OpPresent
		}
	case storage.OpLt, storage.OpLe:
		l.put(e)
		l.write(" <> '' and ")
	case storage.OpNe, storage.OpPresent:
	}
	if op == storage.OpPresent {
		l.put(e)
		l.write(" <> ''")
		return nil
	}
	return l.text(e, op, want)
}

// in writes that a field has one of many texts, which take one bound value.
func (l *lowering) in(in storage.In) error {
	f, err := l.field(in.Field)
	if err != nil {
		return err
	}
	values := make([]string, 0, len(in.Values))
	for _, v := range in.Values {
		if v != "" { // a missing one equals nothing
			values = append(values, v)
		}
		if err := checkText(v); err != nil {
			return fmt.Errorf("field %s: %w", in.Field, err)
		}
	}
	if len(values) == 0 {
		l.constant(false)
		return nil
	}
	any := func(e statement) error {
		condition, arg := reader{engine: l.engine}.anyOf(e.sql, values)
		l.args = append(l.args, e.args...)
		l.write(condition, arg)
		return nil
	}
	switch f.kind {
	case textsField:
		l.put(f.rows(l))
		if err := any(statement{sql: f.value}); err != nil {
			return err
		}
		l.write(l.closing(f))
		return nil
	case addressField:
		return l.addresses(any)
	case textField, keyField:
		l.write("(")
		if err := any(f.expression(l)); err != nil {
			return err
		}
		l.write(")")
		return nil
	case truthField, numberField, momentField:
	}
	return fmt.Errorf("field %s is not one of several texts", in.Field)
}

var emailPath = []string{"emails", "value"}

// holdsAddress finds an e-mail value by its index.
func (l *lowering) holdsAddress(want string) error {
	if !l.indexesEmails() {
		return l.attr(storage.Attr{Path: emailPath, Op: storage.OpEq, Value: want}, l.document())
	}
	if err := checkText(want); err != nil {
		return err
	}
	l.ownerOf(want)
	return nil
}

// indexesEmails: SQLite has a table of the e-mail values of users, without
// those of deleted ones. PostgreSQL's index on the document serves them all.
func (l *lowering) indexesEmails() bool {
	return !l.postgres() && l.resource == userResource && !l.deleted
}

func (l *lowering) ownerOf(address string) {
	l.write("u.id in (select m.user_id from user_email m where m.email_key = ?", address)
	if l.participant != "" {
		l.write(" and m.participant = ?", l.participant)
	}
	l.write(")")
}

// addresses looks through the e-mail values one by one.
func (l *lowering) addresses(condition func(e statement) error) error {
	return l.some(l.document(), emailPath, func(row place) error {
		e := l.asText(row)
		l.write("(" + l.typeIs(row, "string", "text") + " and ")
		l.put(e)
		l.write(" <> '' and ")
		if err := condition(e); err != nil {
			return err
		}
		l.write(")")
		return nil
	})
}

func (l *lowering) members() statement {
	return statement{sql: "exists (select 1 from group_member m where m.group_id = g.id and " + notDeleted + " and "}
}

// holdingGroups opens the set of what the groups hold that the condition names,
// directly or through other groups; union leaves out what was seen, so a cycle
// ends. Deleted groups hold nobody: closing looks away from them.
func (l *lowering) holdingGroups() statement {
	s := statement{sql: "u.id in (with recursive inside(id) as (select g.id from groups g where "}
	if l.participant != "" {
		s.sql += "g.participant = ? and "
		s.args = []any{l.participant}
	}
	return s
}

func (l *lowering) closing(f field) string {
	if f.value == "g.id" {
		return " union select m.member_id from inside i join groups h on h.id = i.id and h.deleted is null" +
			" join group_member m on m.group_id = h.id) select id from inside)"
	}
	return ")"
}
