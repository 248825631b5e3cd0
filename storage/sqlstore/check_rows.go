package sqlstore

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"reflect"
	"strconv"
	"time"

	"gorm.io/gorm/schema"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// A row is held to its last version: what the version keeps is written as a row
// anew, the way the deed wrote it, and compared column by column.

// versionsAtOnce bounds how many versions are in memory: some are large.
const versionsAtOnce = 500

// unfit are columns that are not compared, and why.
var unfit = map[string]string{
	"fold": "the document as filters compare it; the face toward providers makes it of the document, which is compared, and nothing is decided by it",
}

// keptVersion is a version as a table keeps it, whatever it is of.
type keptVersion struct {
	ID          string
	Version     int64
	Participant string
	ValidFrom   instant
	Body        string
	Digest      string
	Salt        []byte
	Personal    *string
}

// keptRow is what is being found out about a row.
type keptRow struct {
	storage.KeptRow
	kind   storage.KeptKind
	before time.Time // when the version before began

	last    int64
	want    any // the row as its last version has it, nil when there is none
	members map[string]string
}

func (k *keptRow) wrong(table, id, format string, args ...any) {
	k.Wrongs = append(k.Wrongs, storage.Wrong{Table: table, ID: id, Detail: fmt.Sprintf(format, args...)})
}

// ListKept answers rows with what is wrong with them.
func (r reader) ListKept(ctx context.Context, kind storage.KeptKind, after string, limit int) ([]storage.KeptRow, error) {
	found, err := r.listKept(ctx, kind, after, limit)
	if err != nil {
		return nil, fmt.Errorf("%s with their versions: %w", kind, err)
	}
	return found, nil
}

func (r reader) listKept(ctx context.Context, kind storage.KeptKind, after string, limit int) ([]storage.KeptRow, error) {
	var rows []any // pointers to row structs
	var ids []string
	tail := " order by id limit " + strconv.Itoa(limit)
	switch kind {
	case storage.KeptUsers:
		var found []struct {
			Row   userRow `gorm:"embedded"`
			Older bool
		}
		// Rows from before there were these columns have none of them.
		if _, err := r.get(ctx, &found, "select u.*, u.user_type is null and u.npi is null and u.rule is null as older from users u where u.id > ?"+tail, after); err != nil {
			return nil, err
		}
		for i := range found {
			rows, ids = append(rows, &keptUser{found[i].Row, found[i].Older}), append(ids, found[i].Row.ID)
		}
	case storage.KeptGroups:
		var found []groupRow
		if _, err := r.get(ctx, &found, "select * from groups where id > ?"+tail, after); err != nil {
			return nil, err
		}
		for i := range found {
			rows, ids = append(rows, &found[i]), append(ids, found[i].ID)
		}
	case storage.KeptParticipants:
		var found []participantRow
		if _, err := r.get(ctx, &found, "select * from participant where id > ?"+tail, after); err != nil {
			return nil, err
		}
		for i := range found {
			rows, ids = append(rows, &found[i]), append(ids, found[i].ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	kept, at := make([]keptRow, len(ids)), make(map[string]*keptRow, len(ids))
	for i, id := range ids {
		kept[i] = keptRow{KeptRow: storage.KeptRow{ID: id}, kind: kind}
		at[id] = &kept[i]
	}
	if err := r.eachVersion(ctx, kind, ids, func(v keptVersion) { at[v.ID].version(v) }); err != nil {
		return nil, err
	}
	answer := make([]storage.KeptRow, len(kept))
	for i := range kept {
		kept[i].row(rows[i])
		if kind == storage.KeptGroups {
			if err := r.checkMembers(ctx, &kept[i]); err != nil {
				return nil, err
			}
		}
		answer[i] = kept[i].KeptRow
	}
	return answer, nil
}

type keptUser struct {
	userRow
	older bool
}

// eachVersion hands over versions, those of one row in their order.
func (r reader) eachVersion(ctx context.Context, kind storage.KeptKind, ids []string, do func(keptVersion)) error {
	var columns, tables, key string
	switch kind {
	case storage.KeptUsers:
		key, tables = "h.user_id", historyTables
		columns = "h.user_id as id, h.version, h.participant, h.valid_from, h.body, h.digest, m.salt, m.body as personal"
	case storage.KeptGroups:
		key, tables = "h.group_id", "group_history h"
		columns = "h.group_id as id, h.version, h.participant, h.valid_from, h.body, h.digest"
	case storage.KeptParticipants:
		key, tables = "h.participant", "participant_history h"
		columns = "h.participant as id, h.version, h.participant, h.valid_from, h.body, h.digest"
	}
	among, arg := r.anyOf(key, ids)
	query, args := "select "+columns+" from "+tables+" where "+among, []any{arg}
	for {
		var rows []keptVersion
		if _, err := r.get(ctx, &rows, query+" order by "+key+", h.version limit "+strconv.Itoa(versionsAtOnce), args...); err != nil {
			return err
		}
		for _, row := range rows {
			do(row)
		}
		if len(rows) < versionsAtOnce {
			return nil
		}
		last := rows[len(rows)-1]
		if len(args) == 1 {
			query += " and (" + key + ", h.version) > (?, ?)"
		}
		args = []any{arg, last.ID, last.Version}
	}
}

// named is what every kind of version says of itself.
type named struct {
	ID          string `json:"id"`
	Participant string `json:"participant"`
	Version     int64  `json:"version"`
	ValidFrom   string `json:"validFrom"`
	Personal    string `json:"personal"`
}

func (k *keptRow) version(v keptVersion) {
	history := map[storage.KeptKind]string{
		storage.KeptUsers: userHistory, storage.KeptGroups: groupHistory, storage.KeptParticipants: participantHistory,
	}[k.kind]
	id := v.ID + "/" + strconv.FormatInt(v.Version, 10)
	wrong := func(format string, args ...any) { k.wrong(history, id, format, args...) }

	if v.Version != k.last+1 {
		wrong("version %d follows version %d", v.Version, k.last)
	}
	if !time.Time(v.ValidFrom).After(k.before) {
		wrong("the version does not begin after the one before it")
	}
	k.last, k.before, k.want = v.Version, time.Time(v.ValidFrom), nil
	text, whole := v.Body, v.Body == ""
	if whole && v.Personal != nil { // a version from before the halves were told apart
		text = *v.Personal
	}
	k.Versions = append(k.Versions, storage.KeptVersion{Version: v.Version, Digest: v.Digest, Gone: k.kind == storage.KeptUsers && v.Personal == nil})
	if text == "" { // one whole, and erased: nothing is left to compare
		return
	}
	if digestOf(history, text).String() != v.Digest {
		wrong("the digest is not that of the version")
	}
	var n named
	if err := json.Unmarshal([]byte(text), &n); err != nil {
		wrong("the version cannot be read")
		return
	}
	if k.kind == storage.KeptParticipants {
		n.Participant = n.ID
	}
	if n.ID != v.ID || n.Version != v.Version || n.Participant != v.Participant || n.ValidFrom != audit.Stamp(time.Time(v.ValidFrom)) {
		wrong("id, version, participant and instant are not those that the version was kept with")
	}
	if v.Personal != nil {
		k.personal(v, n.Personal, whole)
	}
	want, err := k.kept(v)
	if err != nil {
		wrong("the version cannot be read")
		return
	}
	k.want = want
}

// personal holds the personal half to the digest in the version.
func (k *keptRow) personal(v keptVersion, digest string, whole bool) {
	id := v.ID + "/" + strconv.FormatInt(v.Version, 10)
	switch {
	case whole && len(v.Salt) > 0:
		k.wrong("user_personal", id, "a version from before is whole and has no salt")
	case !whole && personalHalf(v.Salt, *v.Personal).Digest().String() != digest:
		k.wrong("user_personal", id, "what is personal of the version is not what was kept")
	}
}

// kept is the row that a version has.
func (k *keptRow) kept(v keptVersion) (any, error) {
	switch k.kind {
	case storage.KeptUsers:
		personal := ""
		if v.Personal != nil {
			personal = *v.Personal
		}
		u, err := userOf(v.Body, personal)
		if err != nil {
			return nil, err
		}
		return userRowOf(u)
	case storage.KeptGroups:
		var g groupRecord
		if err := numbersKept(v.Body, &g); err != nil {
			return nil, err
		}
		k.change(g)
		return g.row()
	case storage.KeptParticipants:
		var p participantRecord
		if err := json.Unmarshal([]byte(v.Body), &p); err != nil {
			return nil, err
		}
		return p.row()
	}
	return nil, fmt.Errorf("no versions are kept of %s", k.kind)
}

func numbersKept(text string, into any) error {
	dec := json.NewDecoder(bytes.NewReader([]byte(text)))
	dec.UseNumber()
	return dec.Decode(into)
}

func (g groupRecord) row() (groupRow, error) {
	row := storage.Group{
		ID: g.ID, Participant: g.Participant, Version: g.Version, DisplayName: g.DisplayName, DisplayNameKey: storage.FoldKey(g.DisplayName),
		ExternalID: g.ExternalID, Document: g.Document,
	}
	err := unstampAll([]instantText{{g.Created, &row.Created}, {g.LastModified, &row.LastModified}})
	if err == nil {
		row.Deleted, err = unstampSome(g.Deleted)
	}
	if err != nil {
		return groupRow{}, err
	}
	return groupRowOf(row)
}

func (p participantRecord) row() (participantRow, error) {
	row := storage.Participant{
		ID: p.ID, Version: p.Version, Name: p.Name, Type: p.Type, Status: p.Status, Mode: p.Mode, Settings: p.Settings, Reason: p.Reason,
	}
	err := unstampAll([]instantText{{p.Created, &row.Created}, {p.Changed, &row.Changed}})
	if err == nil {
		row.ClosedAt, err = unstampSome(p.ClosedAt)
	}
	if err == nil {
		row.Recovering, err = unstampSome(p.Recovering)
	}
	if err != nil {
		return participantRow{}, err
	}
	return participantRowOf(row)
}

type instantText struct {
	text string
	to   *time.Time
}

func unstampAll(all []instantText) error {
	for _, one := range all {
		at, err := unstamp(one.text)
		if err != nil {
			return err
		}
		*one.to = at
	}
	return nil
}

func unstampSome(text string) (*time.Time, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // an absent instant
	}
	at, err := unstamp(text)
	return &at, err
}

// row holds the row itself to what its last version has.
func (k *keptRow) row(got any) {
	if k.last == 0 {
		k.wrong(string(k.kind), k.ID, "the row has no version on record")
		return
	}
	if k.want == nil {
		return // and that was said, or its whole was erased
	}
	var have any
	switch got := got.(type) {
	case *keptUser:
		want, _ := k.want.(userRow)
		if got.older {
			want.UserType, want.NPI, want.Rule = "", "", ""
		}
		have, k.want = got.userRow, want
	case *groupRow:
		have = *got
	case *participantRow:
		have = *got
	}
	for _, column := range differ(have, k.want) {
		k.wrong(string(k.kind), k.ID, "column %s is not what version %d has", column, k.last)
	}
}

// change replays what a version did to a group's members.
func (k *keptRow) change(g groupRecord) {
	if k.members == nil || g.Cleared {
		k.members = map[string]string{}
	}
	if !g.Cleared {
		for _, id := range g.Removed {
			delete(k.members, id)
		}
	}
	for _, m := range g.Added {
		if _, there := k.members[m.ID]; !there {
			k.members[m.ID] = m.Type
		}
	}
}

// checkMembers compares a group's members with what its versions come to. Who
// was deleted left every group without a version of it.
func (r reader) checkMembers(ctx context.Context, k *keptRow) error {
	var rows []struct{ MemberID, Type string }
	if _, err := r.get(ctx, &rows, "select member_id, type from group_member where group_id = ? order by member_id", k.ID); err != nil {
		return err
	}
	wrong := func(member, detail string) { k.wrong("group_member", k.ID+"/"+member, "%s", detail) }
	for _, row := range rows {
		switch kind, known := k.members[row.MemberID]; {
		case !known:
			wrong(row.MemberID, "no version of the group has this member")
		case kind != row.Type:
			wrong(row.MemberID, "the group's versions have another type of this member")
		}
		delete(k.members, row.MemberID)
	}
	missing := make([]string, 0, len(k.members))
	for id := range k.members {
		missing = append(missing, id)
	}
	if len(missing) == 0 {
		return nil
	}
	among, arg := r.anyOf("id", missing)
	var live []string
	if _, err := r.get(ctx, &live, "select id from users where deleted is null and "+among+" union all select id from groups where deleted is null and "+among+" order by id", arg, arg); err != nil {
		return err
	}
	for _, id := range live {
		wrong(id, "the group's versions have this member")
	}
	return nil
}

var columnNames schema.NamingStrategy

// differ answers the columns in which two rows of one table differ.
func differ(got, want any) []string {
	var columns []string
	a, b := reflect.ValueOf(got), reflect.ValueOf(want)
	for i := range a.NumField() {
		field := a.Type().Field(i)
		column := columnNames.ColumnName("", field.Name)
		if field.Tag.Get("gorm") == "->" || unfit[column] != "" {
			continue // joined, not of the table
		}
		x, y := a.Field(i).Interface(), b.Field(i).Interface()
		if !sameColumn(x, y) && (!inJSON[column] || !sameJSON(x, y)) {
			columns = append(columns, column)
		}
	}
	return columns
}

func sameColumn(got, want any) bool {
	switch got := got.(type) {
	case instant:
		want, ok := want.(instant)
		return ok && time.Time(got).Equal(time.Time(want))
	case *instant:
		want, ok := want.(*instant)
		if !ok || got == nil || want == nil {
			return ok && got == want
		}
		return time.Time(*got).Equal(time.Time(*want))
	default:
		return got == want
	}
}

// inJSON are columns that PostgreSQL keeps in an order and spelling of its own.
var inJSON = map[string]bool{"document": true, "permissions": true, "closed_gates": true, "decision": true, "trace": true, "settings": true}

// sameJSON compares by what is said.
func sameJSON(a, b any) bool {
	textA, okA := a.(string)
	textB, okB := b.(string)
	var x, y any
	return okA && okB && numbersKept(textA, &x) == nil && numbersKept(textB, &y) == nil && sameValue(x, y)
}

func sameValue(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for name, value := range a {
			if other, there := b[name]; !there || !sameValue(value, other) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !sameValue(a[i], b[i]) {
				return false
			}
		}
		return true
	case json.Number:
		b, ok := b.(json.Number)
		return ok && (a == b || sameNumber(string(a), string(b)))
	default:
		return a == b
	}
}

// sameNumber compares numbers that are spelled differently. What would take too
// long to write out is compared as it is spelled.
func sameNumber(a, b string) bool {
	const most = 400
	x, okX := new(big.Float).SetPrec(4 * most).SetString(a)
	y, okY := new(big.Float).SetPrec(4 * most).SetString(b)
	return okX && okY && len(a) <= most && len(b) <= most && x.Cmp(y) == 0
}
