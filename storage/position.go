package storage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// MaxSortText is how many characters of a text from the folded document count
// when it is sorted by, so that a Position stays small.
const MaxSortText = 256

// Position is where a row stands in the order of a query. A page that goes on
// from one costs the same wherever it is, and is not moved by what comes and
// goes elsewhere. It holds personal data: outside the house it is sealed.
type Position struct {
	// Keys are the values of the sort keys, or of created when the query names
	// none: string, bool, json.Number, time.Time, nil for an absent one.
	Keys []any
	ID   string
}

// Position is where the user stands in the order of the query. The user is as
// the query read it.
func (u User) Position(q Query) *Position {
	return position(q, u.ID, u.Fold, func(f Field) any { return u.sortKey(f, q.Now) })
}

// Position is where the group stands in the order of the query.
func (g Group) Position(q Query) *Position {
	return position(q, g.ID, g.Fold, g.sortKey)
}

func position(q Query, id string, fold json.RawMessage, key func(Field) any) *Position {
	p := &Position{ID: id}
	for _, o := range q.Orders() {
		if o.Field != "" && o.Field != FieldEmail {
			p.Keys = append(p.Keys, key(o.Field))
			continue
		}
		path := o.Path
		if o.Field == FieldEmail {
			path = []string{"emails", "value"}
		}
		p.Keys = append(p.Keys, documentKey(fold, path))
	}
	return p
}

// sortKey is the value that a user is sorted by; a store sorts by the same.
func (u User) sortKey(f Field, now time.Time) any {
	switch f {
	case FieldID:
		return u.ID
	case FieldExternalID:
		return textKey(u.ExternalID)
	case FieldCreated:
		return u.Created
	case FieldLastModified:
		return u.LastModified
	case FieldDisplayName:
		return textKey(FoldKey(u.DisplayName))
	case FieldUserName:
		return u.UserNameKey
	case FieldFamilyName:
		return textKey(FoldKey(u.FamilyName))
	case FieldGivenName:
		return textKey(FoldKey(u.GivenName))
	case FieldTitle:
		return textKey(FoldKey(u.Title))
	case FieldTitleKey:
		return textKey(u.TitleKey)
	case FieldDepartment:
		return textKey(FoldKey(u.Department))
	case FieldActive:
		return u.Active
	case FieldStatus:
		return textKey(string(u.Access(now).Status))
	case FieldRole:
		return textKey(u.Access(now).Role)
	case FieldRequestedRole:
		return textKey(u.Access(now).RequestedRole)
	case FieldPermission:
		return firstKey(u.Access(now).Permissions)
	case FieldGate:
		return firstKey(u.Access(now).ClosedGates())
	case FieldReason:
		return textKey(u.Access(now).Reason)
	case FieldPolicyVersion, FieldPolicyBefore:
		return json.Number(strconv.FormatInt(u.Decision.PolicyVersion, 10))
	case FieldHealthixUsername:
		return textKey(u.HealthixUsername)
	case FieldReleasedAt:
		return timeKey(u.ReleasedAt)
	case FieldTrainingExpires:
		return timeKey(u.Decision.TrainingExpiresAt)
	case FieldClinicalAlerts:
		return textKey(u.ClinicalAlerts)
	case FieldEmailKey:
		return textKey(u.EmailKey)
	case FieldTitleRole:
		return textKey(u.Decision.TitleRole)
	case FieldValidUntil:
		return timeKey(u.Decision.ValidUntil)
	case FieldStoredStatus:
		return textKey(string(u.Decision.Status))
	case FieldEmail, FieldGroup, FieldMember: // see position; nobody is sorted by the others
	}
	return nil
}

// sortKey is nil for a field that a group has not: a store refuses to sort by it.
func (g Group) sortKey(f Field) any {
	return map[Field]any{
		FieldID: g.ID, FieldExternalID: textKey(g.ExternalID), FieldDisplayName: g.DisplayNameKey,
		FieldCreated: g.Created, FieldLastModified: g.LastModified,
	}[f]
}

func textKey(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func firstKey(list []string) any {
	if len(list) == 0 {
		return nil
	}
	return textKey(list[0])
}

func timeKey(t *time.Time) any {
	if t == nil {
		return nil
	}
	return *t
}

// documentKey is the value at a path of the folded document: of an array the
// primary element, else the first.
func documentKey(fold json.RawMessage, path []string) any {
	dec := json.NewDecoder(bytes.NewReader(fold))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil // no document, no values
	}
	for _, name := range path {
		object, _ := v.(map[string]any)
		v = object[name]
		list, ok := v.([]any)
		if !ok {
			continue
		}
		v = nil
		if len(list) > 0 {
			v = list[0]
		}
		if i := slices.IndexFunc(list, isPrimary); i >= 0 {
			v = list[i]
		}
	}
	switch v := v.(type) {
	case string:
		if r := []rune(v); len(r) > MaxSortText {
			return string(r[:MaxSortText])
		}
		return textKey(v)
	case bool, json.Number:
		return v
	default:
		return nil
	}
}

func isPrimary(v any) bool {
	object, _ := v.(map[string]any)
	return object["primary"] == true
}

// MarshalJSON writes a position small: the id, then the keys; an instant is an
// array of its microseconds.
func (p Position) MarshalJSON() ([]byte, error) {
	list := []any{p.ID}
	for _, k := range p.Keys {
		if t, ok := k.(time.Time); ok {
			k = []int64{t.UnixMicro()}
		}
		list = append(list, k)
	}
	return json.Marshal(list)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (p *Position) UnmarshalJSON(text []byte) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var list []any
	if err := dec.Decode(&list); err != nil {
		return fmt.Errorf("read a position: %w", err)
	}
	if len(list) == 0 {
		return fmt.Errorf("read a position: it is empty")
	}
	id, ok := list[0].(string)
	if !ok {
		return fmt.Errorf("read a position: its id is no text")
	}
	*p = Position{ID: id}
	for _, k := range list[1:] {
		if instant, ok := k.([]any); ok && len(instant) == 1 {
			n, _ := instant[0].(json.Number)
			micros, err := n.Int64()
			if err != nil {
				return fmt.Errorf("read a position: its instant is none: %w", err)
			}
			k = time.UnixMicro(micros).UTC()
		}
		p.Keys = append(p.Keys, k)
	}
	return nil
}
