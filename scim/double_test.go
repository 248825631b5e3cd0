package scim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/scim/filter"
	"github.com/healthix/healthix-scim/storage"
)

type engineKind struct{ name string }

var engines = []engineKind{{"double"}}

type noReader interface{ storage.Reader }

type double struct {
	noReader
	users   []storage.User
	groups  []storage.Group
	members map[string][]storage.Member
	n       int
}

func newServer(t testing.TB, e engineKind) *server {
	s := &server{participants: map[string]storage.Participant{"mercy": {ID: "mercy"}, "north": {ID: "north"}}}
	s.handler = newHandler(s, &double{members: map[string][]storage.Member{}})
	return s
}
func (d *double) Reader() storage.Reader { return d }
func (d *double) Now() time.Time         { return time.Now().UTC().Truncate(time.Microsecond) }
func str(v any) string                   { s, _ := v.(string); return s }
func (d *double) fill(u *storage.User, dr lifecycle.UserDraft) error {
	u.Document, u.Fold = dr.Document, dr.Fold
	u.UserName, u.ExternalID, u.DisplayName, u.Title = str(dr.Document["userName"]), str(dr.Document["externalId"]), str(dr.Document["displayName"]), str(dr.Document["title"])
	u.UserNameKey = storage.UserNameKey(u.UserName)
	u.Active, _ = dr.Document["active"].(bool)
	u.LastModified = d.Now()
	u.Decision.Status, u.Decision.Reason = "pending", "because"
	if !u.Active {
		u.Decision.Status = "revoked"
	}
	for _, o := range d.users {
		if o.ID != u.ID && o.Participant == u.Participant && o.UserNameKey == u.UserNameKey && o.Deleted == nil {
			return &storage.ConflictError{Attribute: "userName"}
		}
	}
	return nil
}
func (d *double) CreateUser(ctx context.Context, a lifecycle.Actor, dr lifecycle.UserDraft) (storage.User, error) {
	u := storage.User{ID: uuid.NewString(), Participant: a.Participant, Version: 1, Created: d.Now()}
	if err := d.fill(&u, dr); err != nil {
		return u, err
	}
	d.users = append(d.users, u)
	return u, nil
}
func (d *double) at(p, id string) int {
	return slices.IndexFunc(d.users, func(u storage.User) bool { return u.ID == id && u.Participant == p && u.Deleted == nil })
}
func (d *double) ChangeUser(ctx context.Context, a lifecycle.Actor, id string, edit lifecycle.UserEdit) (storage.User, error) {
	i := d.at(a.Participant, id)
	if i < 0 {
		return storage.User{}, storage.ErrNotFound
	}
	u := d.users[i]
	dr, changed, err := edit(u)
	if err != nil || !changed {
		return u, err
	}
	u.Version++
	if err := d.fill(&u, dr); err != nil {
		return u, err
	}
	d.users[i] = u
	return u, nil
}
func (d *double) DeleteUser(ctx context.Context, a lifecycle.Actor, id string, check func(storage.User) error) error {
	i := d.at(a.Participant, id)
	if i < 0 {
		return storage.ErrNotFound
	}
	if err := check(d.users[i]); err != nil {
		return err
	}
	now := d.Now()
	d.users[i].Deleted = &now
	for g := range d.members {
		d.members[g] = slices.DeleteFunc(d.members[g], func(m storage.Member) bool { return m.ID == id })
	}
	return nil
}
func (d *double) CreateGroup(ctx context.Context, a lifecycle.Actor, dr lifecycle.GroupDraft, m []storage.Member) (storage.Group, error) {
	g := storage.Group{ID: uuid.NewString(), Participant: a.Participant, Version: 1, Created: d.Now(), LastModified: d.Now(), Document: dr.Document, Fold: dr.Fold, DisplayName: str(dr.Document["displayName"]), ExternalID: str(dr.Document["externalId"])}
	d.groups = append(d.groups, g)
	d.members[g.ID] = m
	return g, nil
}
func (d *double) gat(p, id string) int {
	return slices.IndexFunc(d.groups, func(g storage.Group) bool { return g.ID == id && g.Participant == p })
}
func (d *double) ChangeGroup(ctx context.Context, a lifecycle.Actor, id string, edit lifecycle.GroupEdit) (storage.Group, error) {
	i := d.gat(a.Participant, id)
	if i < 0 {
		return storage.Group{}, storage.ErrNotFound
	}
	g := d.groups[i]
	dr, m, changed, err := edit(g, func() ([]storage.Member, error) { return d.members[id], nil })
	if err != nil || !changed {
		return g, err
	}
	g.Version++
	g.Document, g.Fold, g.DisplayName, g.ExternalID = dr.Document, dr.Fold, str(dr.Document["displayName"]), str(dr.Document["externalId"])
	d.groups[i] = g
	list := d.members[id]
	if m.Clear {
		list = nil
	}
	list = slices.DeleteFunc(list, func(o storage.Member) bool { return slices.Contains(m.Remove, o.ID) })
	d.members[id] = append(list, m.Add...)
	return g, nil
}
func (d *double) DeleteGroup(ctx context.Context, a lifecycle.Actor, id string, check func(storage.Group) error) error {
	i := d.gat(a.Participant, id)
	if i < 0 {
		return storage.ErrNotFound
	}
	if err := check(d.groups[i]); err != nil {
		return err
	}
	d.groups = slices.Delete(d.groups, i, i+1)
	delete(d.members, id)
	return nil
}
func (d *double) GetUser(ctx context.Context, p, id string) (storage.User, error) {
	if i := d.at(p, id); i >= 0 {
		return d.users[i], nil
	}
	return storage.User{}, storage.ErrNotFound
}
func (d *double) GetGroup(ctx context.Context, p, id string) (storage.Group, error) {
	if i := d.gat(p, id); i >= 0 {
		return d.groups[i], nil
	}
	return storage.Group{}, storage.ErrNotFound
}
func (d *double) ListMembers(ctx context.Context, g string) ([]storage.Member, error) {
	return d.members[g], nil
}
func (d *double) CountMembers(ctx context.Context, g string) (int, error) {
	return len(d.members[g]), nil
}
func (d *double) ListMemberships(ctx context.Context, p string, ids []string) (map[string][]storage.Membership, error) {
	out := map[string][]storage.Membership{}
	for g, ms := range d.members {
		for _, m := range ms {
			if slices.Contains(ids, m.ID) {
				out[m.ID] = append(out[m.ID], storage.Membership{GroupID: g, Display: d.groups[d.gat(p, g)].DisplayName})
			}
		}
	}
	return out, nil
}
func (d *double) FindMembers(ctx context.Context, p string, ids []string) (map[string]string, error) {
	out := map[string]string{}
	for _, id := range ids {
		if d.at(p, id) >= 0 {
			out[id] = "User"
		}
		if d.gat(p, id) >= 0 {
			out[id] = "Group"
		}
	}
	return out, nil
}
func (d *double) eval(f storage.Filter, fold any, get func(storage.Field) []any) bool {
	switch f := f.(type) {
	case storage.And:
		for _, i := range f {
			if !d.eval(i, fold, get) {
				return false
			}
		}
		return true
	case storage.Or:
		for _, i := range f {
			if d.eval(i, fold, get) {
				return true
			}
		}
		return false
	case storage.Not:
		return !d.eval(f.Filter, fold, get)
	case storage.In:
		return slices.ContainsFunc(get(f.Field), func(v any) bool { return slices.Contains(f.Values, v.(string)) })
	case storage.Cmp:
		v := f.Value
		if t, ok := v.(time.Time); ok {
			v = t.Format("2006-01-02T15:04:05.000000")
		}
		return filter.Match(storage.Attr{Path: []string{"x"}, Op: f.Op, Value: v}, map[string]any{"x": get(f.Field)})
	}
	return filter.Match(f, fold)
}
func (d *double) ListUsers(ctx context.Context, q storage.Query) ([]storage.User, int, error) {
	var out []storage.User
	for _, u := range d.users {
		if u.Participant != q.Participant || u.Deleted != nil {
			continue
		}
		fold := anyJSON(u.Fold)
		get := func(f storage.Field) []any {
			switch f {
			case storage.FieldID:
				return []any{u.ID}
			case storage.FieldUserName:
				return []any{u.UserNameKey}
			case storage.FieldActive:
				return []any{u.Active}
			case storage.FieldExternalID:
				return []any{u.ExternalID}
			case storage.FieldTitle:
				return []any{storage.FoldKey(u.Title)}
			case storage.FieldDisplayName:
				return []any{storage.FoldKey(u.DisplayName)}
			case storage.FieldLastModified:
				return []any{u.LastModified.Format("2006-01-02T15:04:05.000000")}
			case storage.FieldCreated:
				return []any{u.Created.Format("2006-01-02T15:04:05.000000")}
			case storage.FieldDepartment:
				e, _ := u.Document["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"].(map[string]any)
				return []any{storage.FoldKey(str(e["department"]))}
			case storage.FieldStatus:
				return []any{string(u.Decision.Status)}
			case storage.FieldEmail:
				var out []any
				if m, ok := fold.(map[string]any)["emails"].([]any); ok {
					for _, e := range m {
						out = append(out, e.(map[string]any)["value"])
					}
				}
				return out
			}
			fmt.Println("double: no field", f)
			return nil
		}
		if q.Filter == nil || d.eval(q.Filter, fold, get) {
			out = append(out, u)
		}
	}
	n := len(out)
	out = out[min(q.Offset, n):]
	return out[:min(q.Limit, len(out))], n, nil
}
func (d *double) ListGroups(ctx context.Context, q storage.Query) ([]storage.Group, int, error) {
	var out []storage.Group
	for _, g := range d.groups {
		if g.Participant != q.Participant {
			continue
		}
		get := func(f storage.Field) []any {
			switch f {
			case storage.FieldID:
				return []any{g.ID}
			case storage.FieldDisplayName:
				return []any{storage.FoldKey(g.DisplayName)}
			case storage.FieldMember:
				var ids []any
				for _, m := range d.members[g.ID] {
					ids = append(ids, m.ID)
				}
				return ids
			}
			return nil
		}
		if q.Filter == nil || d.eval(q.Filter, anyJSON(g.Fold), get) {
			out = append(out, g)
		}
	}
	n := len(out)
	out = out[min(q.Offset, n):]
	return out[:min(q.Limit, len(out))], n, nil
}

func anyJSON(b []byte) any {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		panic(err)
	}
	return v
}
