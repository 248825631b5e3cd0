// Package render writes resources as the outside sees them: schema order,
// computed values, projection, entity tags. It loads nothing: callers bring
// what the projection asks for.
package render

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/scim/schema"
	"github.com/healthix/healthix-scim/storage"
)

// View is how answers of one request look.
type View struct {
	BaseURL string // of the service, with /scim/v2
	Now     time.Time
	Project Projection
}

// Location is the URL of a resource.
func (v View) Location(r *schema.Resource, id string) string {
	return v.BaseURL + r.Endpoint + "/" + id
}

// UserTag is a user's entity tag. It covers what can change the representation
// without a new row version: the participant's state, a newer policy version
// that takes something, and expiry. It leaves out groups, and the manager's
// name, which are other resources' doing.
func UserTag(u storage.User, now time.Time) string {
	tag := strconv.FormatInt(u.Version, 10) + "." + strconv.FormatInt(u.ParticipantState.Version, 10)
	if n := u.Narrowing; n != nil && u.Decision.Status == policy.StatusReleased && u.Decision.PolicyVersion < n.Version {
		tag += ".p" + strconv.FormatInt(n.Version, 10)
	}
	if until := u.Decision.ValidUntil; until != nil && !now.Before(*until) {
		tag += ".x"
	}
	return `W/"` + tag + `"`
}

// GroupTag is a group's entity tag.
func GroupTag(g storage.Group) string { return `W/"` + strconv.FormatInt(g.Version, 10) + `"` }

// Attributes that are computed or kept outside the document.
var (
	userGroups   = schema.User.Core("groups")
	userActive   = schema.User.Core("active")
	groupMembers = schema.Group.Core("members")
	enterprise   = schema.User.Extension(schema.URNEnterprise)
	healthix     = schema.User.Extension(schema.URNHealthix)
	manager      = enterprise.Attribute("manager")
	npi          = healthix.Attribute("npi")
)

// ShowsGroups says whether the answer needs the user's groups.
func (v View) ShowsGroups() bool { return v.Project.Shows(userGroups) }

// ShowsMembers says whether the answer needs the group's members.
func (v View) ShowsMembers() bool { return v.Project.Shows(groupMembers) }

// ShowsManager says whether the answer needs the manager's name.
func (v View) ShowsManager() bool { return v.Project.Shows(manager) }

// ManagerID is the manager's id as the document holds it, "" when none.
func ManagerID(doc storage.Document) string {
	extension, _ := doc[schema.URNEnterprise].(map[string]any)
	value, _ := extension["manager"].(map[string]any)
	id, _ := value["value"].(string)
	return id
}

// User is a user with what was loaded for it.
type User struct {
	storage.User
	Groups []storage.Membership
	// Managers are live users of the same participant, by id.
	Managers map[string]storage.User
}

// AppendUser writes a user.
func (v View) AppendUser(buf []byte, u User) []byte {
	o := open(buf)
	urns := []string{schema.URNUser}
	if _, ok := u.Document[schema.URNEnterprise].(map[string]any); ok {
		urns = append(urns, schema.URNEnterprise)
	}
	v.common(&o, schema.User, append(urns, schema.URNHealthix), u.ID, u.ExternalID)
	for _, a := range schema.User.Base.Attributes {
		if !v.Project.Shows(a) {
			continue
		}
		switch a {
		case userActive:
			o.value(a.Name(), u.Active)
		case userGroups:
			v.groups(&o, u.Groups)
		default:
			v.attribute(&o, a, u.Document[a.Name()])
		}
	}
	v.enterprise(&o, u)
	v.healthix(&o, u)
	v.meta(&o, schema.User, u.ID, u.Created, u.LastModified, UserTag(u.User, v.Now))
	return o.close()
}

// AppendGroup writes a group.
func (v View) AppendGroup(buf []byte, g storage.Group, members []storage.Member) []byte {
	o := open(buf)
	v.common(&o, schema.Group, []string{schema.URNGroup}, g.ID, g.ExternalID)
	for _, a := range schema.Group.Base.Attributes {
		if !v.Project.Shows(a) {
			continue
		}
		if a == groupMembers {
			v.members(&o, members)
			continue
		}
		v.attribute(&o, a, g.Document[a.Name()])
	}
	v.meta(&o, schema.Group, g.ID, g.Created, g.LastModified, GroupTag(g))
	return o.close()
}

func (v View) common(o *object, r *schema.Resource, urns []string, id, externalID string) {
	o.texts("schemas", urns)
	o.text("id", id)
	if v.Project.Shows(r.Core("externalId")) {
		o.text("externalId", externalID)
	}
}

// attribute writes a document value in schema order.
func (v View) attribute(o *object, a *schema.Attribute, value any) {
	if value == nil {
		return
	}
	if a.Type != schema.Complex {
		o.value(a.Name(), value)
		return
	}
	list, multi := value.([]any)
	if !multi {
		if inner, ok := value.(map[string]any); ok {
			o.member(a.Name(), func(x *object) { v.complex(x, a, inner) })
		}
		return
	}
	v.elements(o, a, len(list), func(x *object, i int) {
		if inner, ok := list[i].(map[string]any); ok {
			v.complex(x, a, inner)
		}
	})
}

// elements writes an array of objects; one of which nothing was asked for is
// left out, and so is an array without any.
func (v View) elements(o *object, a *schema.Attribute, n int, write func(x *object, i int)) {
	before, some := *o, false
	for i := range n {
		start := len(o.buf)
		if some {
			o.buf = append(o.buf, ',')
		} else {
			o.name(a.Name())
			o.buf = append(o.buf, '[')
		}
		x := open(o.buf)
		write(&x, i)
		switch {
		case !x.first:
			o.buf, some = x.close(), true
		case some:
			o.buf = x.buf[:start]
		default:
			*o = object{buf: x.buf[:len(before.buf)], first: before.first}
		}
	}
	if some {
		o.buf = append(o.buf, ']')
	}
}

// complex writes what is shown of one complex value.
func (v View) complex(x *object, a *schema.Attribute, value map[string]any) {
	known := 0
	for _, sub := range a.Subs {
		sv, ok := value[sub.Name()]
		if !ok {
			continue
		}
		known++
		if v.Project.showsSub(sub) {
			x.value(sub.Name(), sv)
		}
	}
	if known == len(value) || !v.Project.whole(a) {
		return
	}
	for _, name := range sorted(value) {
		if a.Sub(name) == nil {
			x.value(name, value[name])
		}
	}
}

func (v View) groups(o *object, groups []storage.Membership) {
	v.elements(o, userGroups, len(groups), func(x *object, i int) {
		kind := "direct"
		if groups[i].Indirect {
			kind = "indirect"
		}
		v.reference(x, userGroups, schema.Group, groups[i].GroupID, kind, groups[i].Display)
	})
}

func (v View) members(o *object, members []storage.Member) {
	v.elements(o, groupMembers, len(members), func(x *object, i int) {
		r := schema.User
		if members[i].Type == schema.Group.Name {
			r = schema.Group
		}
		v.reference(x, groupMembers, r, members[i].ID, r.Name, members[i].Display)
	})
}

// reference writes one side of a membership.
func (v View) reference(x *object, a *schema.Attribute, r *schema.Resource, id, kind, display string) {
	for _, sub := range a.Subs {
		if !v.Project.showsSub(sub) {
			continue
		}
		switch sub.Key {
		case "value":
			x.text(sub.Name(), id)
		case "$ref":
			x.text(sub.Name(), v.Location(r, id))
		case "type":
			x.text(sub.Name(), kind)
		case "display":
			x.text(sub.Name(), display)
		}
	}
}

func (v View) enterprise(o *object, u User) {
	doc, _ := u.Document[schema.URNEnterprise].(map[string]any)
	if len(doc) == 0 {
		return
	}
	o.member(schema.URNEnterprise, func(x *object) {
		for _, a := range enterprise.Attributes {
			if !v.Project.Shows(a) {
				continue
			}
			value := doc[a.Name()]
			if m, ok := value.(map[string]any); ok && a == manager {
				value = v.manager(m, u.Managers)
			}
			v.attribute(x, a, value)
		}
	})
}

// manager adds what is computed when the value names a live user of the same
// participant; else the value goes back as it was sent, and nothing is told.
func (v View) manager(m map[string]any, managers map[string]storage.User) map[string]any {
	id, _ := m["value"].(string)
	boss, ok := managers[id]
	if !ok {
		return m
	}
	out := make(map[string]any, len(m)+2)
	for name, value := range m {
		out[name] = value
	}
	out["$ref"] = v.Location(schema.User, boss.ID)
	if boss.DisplayName != "" {
		out["displayName"] = boss.DisplayName
	}
	return out
}

func (v View) healthix(o *object, u User) {
	d := u.Access(v.Now)
	o.member(schema.URNHealthix, func(x *object) {
		for _, a := range healthix.Attributes {
			if v.Project.Shows(a) {
				healthixValue(x, a, u, d)
			}
		}
	})
}

func healthixValue(x *object, a *schema.Attribute, u User, d policy.Decision) {
	switch a.Name() {
	case "accessStatus":
		x.text(a.Name(), string(d.Status))
	case "role":
		x.text(a.Name(), d.Role)
	case "permissions":
		x.texts(a.Name(), d.Permissions)
	case "requestedRole":
		x.text(a.Name(), d.RequestedRole)
	case "closedGates":
		x.texts(a.Name(), d.ClosedGates())
	case "reason":
		x.text(a.Name(), d.Reason)
	case "policyVersion":
		x.number(a.Name(), d.PolicyVersion)
	case "healthixUsername":
		x.text(a.Name(), u.HealthixUsername)
	case "releasedAt":
		x.instant(a.Name(), u.ReleasedAt)
	case "trainingExpiresAt":
		x.instant(a.Name(), d.TrainingExpiresAt)
	case "clinicalAlerts":
		x.text(a.Name(), cmp.Or(u.ClinicalAlerts, "none"))
	case npi.Name():
		doc, _ := u.Document[schema.URNHealthix].(map[string]any)
		if value, ok := doc[a.Name()]; ok {
			x.value(a.Name(), value)
		}
	}
}

func (v View) meta(o *object, r *schema.Resource, id string, created, modified time.Time, tag string) {
	meta := r.Core("meta")
	if !v.Project.Shows(meta) {
		return
	}
	o.member(meta.Name(), func(x *object) {
		for _, sub := range meta.Subs {
			if !v.Project.showsSub(sub) {
				continue
			}
			switch sub.Key {
			case "resourcetype":
				x.text(sub.Name(), r.Name)
			case "created":
				x.text(sub.Name(), Instant(created))
			case "lastmodified":
				x.text(sub.Name(), Instant(modified))
			case "location":
				x.text(sub.Name(), v.Location(r, id))
			case "version":
				x.text(sub.Name(), tag)
			}
		}
	})
}

// Page is one page of a list.
type Page struct {
	Total, Start   int    // Start is 0 on a page by cursor
	Next, Previous string // cursors
	Items          [][]byte
}

// AppendPage writes a ListResponse (RFC 7644 §3.4.2). Resources is there even
// when it is empty: providers read it without asking.
func AppendPage(buf []byte, urn string, p Page) []byte {
	size := 512
	for _, item := range p.Items {
		size += len(item) + 1
	}
	buf = slices.Grow(buf, size)
	o := open(buf)
	o.texts("schemas", []string{urn})
	o.number("totalResults", int64(p.Total))
	if p.Start > 0 {
		o.number("startIndex", int64(p.Start))
	}
	o.number("itemsPerPage", int64(len(p.Items)))
	o.text("previousCursor", p.Previous)
	o.text("nextCursor", p.Next)
	o.name("Resources")
	o.buf = append(o.buf, '[')
	for i, item := range p.Items {
		if i > 0 {
			o.buf = append(o.buf, ',')
		}
		o.buf = append(o.buf, item...)
	}
	o.buf = append(o.buf, ']')
	return o.close()
}
