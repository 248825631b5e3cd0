package scim

import (
	"fmt"
	"net/http"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/scim/patch"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/render"
	"github.com/healthix/healthix-scim/scim/schema"
	"github.com/healthix/healthix-scim/storage"
)

// fullAnswer is the largest group that a PATCH answers with; above, 204 spares
// both sides (RFC 7644 §3.5.2 allows either).
const fullAnswer = 100

// groupHandlers are the verbs of /Groups.
type groupHandlers struct{ *exchange }

func (x groupHandlers) create() error {
	view, err := x.view(schema.Group)
	if err != nil {
		return err
	}
	draft, ids, err := x.read(maxResource)
	if err != nil {
		return err
	}
	members, err := x.live(ids)
	if err != nil {
		return err
	}
	g, err := x.deeds.CreateGroup(x.r.Context(), x.caller.Actor, draft, members)
	if err != nil {
		return err
	}
	return x.sendGroup(http.StatusCreated, view, g)
}

// read decodes a whole group and the ids of its members.
func (x groupHandlers) read(limit int64) (draft lifecycle.GroupDraft, ids []string, err error) {
	o, err := x.body(limit)
	if err != nil {
		return draft, nil, err
	}
	doc, err := schema.Group.Decode(o, x.reading)
	if err != nil {
		return draft, nil, err
	}
	if draft, err = groupDraft(doc); err != nil {
		return draft, nil, err
	}
	sent, _ := o.Get("members")
	ids, err = patch.MemberIDs(sent, x.reading)
	return draft, ids, err
}

func groupDraft(doc storage.Document) (lifecycle.GroupDraft, error) {
	fold, err := schema.Group.FoldJSON(doc)
	return lifecycle.GroupDraft{Document: doc, Fold: fold}, err
}

// live turns ids into members. An id that is nobody's here is refused, and one
// of another participant gets the same words.
func (x groupHandlers) live(ids []string) ([]storage.Member, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	types, err := x.deeds.Reader().FindMembers(x.r.Context(), x.caller.Participant.ID, ids)
	if err != nil {
		return nil, fmt.Errorf("find members: %w", err)
	}
	seen := make(map[string]bool, len(ids))
	members := make([]storage.Member, 0, len(ids))
	for _, id := range ids {
		kind, ok := types[id]
		if !ok {
			return nil, protocol.Errorf(protocol.InvalidValue, "members.value", "members names %s, which is the id of no user or group here; create it first", protocol.Quote(id))
		}
		if !seen[id] {
			seen[id] = true
			members = append(members, storage.Member{ID: id, Type: kind})
		}
	}
	return members, nil
}

func (x groupHandlers) get(id string) error {
	view, err := x.view(schema.Group)
	if err != nil {
		return err
	}
	g, err := x.deeds.Reader().GetGroup(x.r.Context(), x.caller.Participant.ID, id)
	if err != nil {
		return notFound(schema.Group, err)
	}
	if unmet, err := x.readable(render.GroupTag(g)); unmet || err != nil {
		return err
	}
	return x.sendGroup(http.StatusOK, view, g)
}

func (x groupHandlers) put(id string) error {
	view, err := x.view(schema.Group)
	if err != nil {
		return err
	}
	draft, ids, err := x.read(maxGroup)
	if err != nil {
		return err
	}
	change := patch.ReplaceMembers(ids)
	g, err := x.change(id, change, func(storage.Document) (storage.Document, error) { return draft.Document, nil })
	if err != nil {
		return err
	}
	return x.sendGroup(http.StatusOK, view, g)
}

func (x groupHandlers) patch(id string) error {
	view, err := x.view(schema.Group)
	if err != nil {
		return err
	}
	o, err := x.body(maxGroup)
	if err != nil {
		return err
	}
	req, err := patch.Parse(schema.Group, o, x.reading)
	if err != nil {
		return err
	}
	change, err := req.Members()
	if err != nil {
		return err
	}
	var current protocol.Object
	if req.RepeatsReadOnly() {
		if current, err = x.represent(id); err != nil {
			return err
		}
	}
	g, err := x.change(id, change, func(old storage.Document) (storage.Document, error) { return req.Apply(old, current) })
	if err != nil {
		return err
	}
	return x.answerPatch(view, g)
}

// answerPatch sends the group back unless it is large and nobody asked for
// anything of it by name.
func (x groupHandlers) answerPatch(view render.View, g storage.Group) error {
	if view.ShowsMembers() && !view.Project.Named {
		n, err := x.deeds.Reader().CountMembers(x.r.Context(), g.ID)
		if err != nil {
			return fmt.Errorf("count members of %s: %w", g.ID, err)
		}
		if n > fullAnswer {
			x.w.Header().Set("ETag", render.GroupTag(g))
			x.w.WriteHeader(http.StatusNoContent)
			return nil
		}
	}
	return x.sendGroup(http.StatusOK, view, g)
}

// represent reads the group as it is shown now, without members, to compare
// read-only values with.
func (x groupHandlers) represent(id string) (protocol.Object, error) {
	g, err := x.deeds.Reader().GetGroup(x.r.Context(), x.caller.Participant.ID, id)
	if err != nil {
		return nil, notFound(schema.Group, err)
	}
	return protocol.Read(render.View{BaseURL: x.baseURL, Now: x.now}.AppendGroup(nil, g, nil))
}

// change runs a deed on a group. Who is a member already is asked before the
// deed, for the ids in question only: a membership PATCH costs its own size.
func (x groupHandlers) change(id string, change *patch.Change, edit func(old storage.Document) (storage.Document, error)) (storage.Group, error) {
	delta, err := x.delta(id, change)
	if err != nil {
		return storage.Group{}, err
	}
	g, err := x.deeds.ChangeGroup(x.r.Context(), x.caller.Actor, id, func(g storage.Group, load func() ([]storage.Member, error)) (lifecycle.GroupDraft, storage.MemberChange, bool, error) {
		if err := x.precondition(render.GroupTag(g)); err != nil {
			return lifecycle.GroupDraft{}, storage.MemberChange{}, false, err
		}
		doc, err := edit(g.Document)
		if err != nil {
			return lifecycle.GroupDraft{}, storage.MemberChange{}, false, err
		}
		members := delta
		if change.NeedsMembers() {
			now, err := load()
			if err != nil {
				return lifecycle.GroupDraft{}, storage.MemberChange{}, false, fmt.Errorf("load members of %s: %w", id, err)
			}
			members = change.Against(now, delta.Add)
		}
		draft, err := groupDraft(doc)
		return draft, members, !patch.Same(g.Document, doc) || !members.Empty(), err
	})
	return g, notFound(schema.Group, err)
}

// delta checks the ids to add and leaves out what is so already: an add of a
// member changes nothing (RFC 7644 §3.5.2.1).
func (x groupHandlers) delta(group string, change *patch.Change) (storage.MemberChange, error) {
	add, err := x.live(change.Add())
	if err != nil || change.NeedsMembers() {
		return storage.MemberChange{Add: add}, err
	}
	gone := change.Remove()
	ids := make([]string, 0, len(add)+len(gone))
	for _, m := range add {
		ids = append(ids, m.ID)
	}
	ids = append(ids, gone...)
	if len(ids) == 0 {
		return storage.MemberChange{}, nil
	}
	memberships, err := x.deeds.Reader().ListMemberships(x.r.Context(), x.caller.Participant.ID, ids)
	if err != nil {
		return storage.MemberChange{}, fmt.Errorf("list memberships of %d ids: %w", len(ids), err)
	}
	var delta storage.MemberChange
	for _, m := range add {
		if !holds(memberships[m.ID], group) {
			delta.Add = append(delta.Add, m)
		}
	}
	for _, id := range gone {
		if holds(memberships[id], group) {
			delta.Remove = append(delta.Remove, id)
		}
	}
	return delta, nil
}

func holds(memberships []storage.Membership, group string) bool {
	for _, m := range memberships {
		if m.GroupID == group && !m.Indirect {
			return true
		}
	}
	return false
}

func (x groupHandlers) remove(id string) error {
	err := x.deeds.DeleteGroup(x.r.Context(), x.caller.Actor, id, func(g storage.Group) error {
		return x.precondition(render.GroupTag(g))
	})
	if err != nil {
		return notFound(schema.Group, err)
	}
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (x groupHandlers) sendGroup(status int, view render.View, g storage.Group) error {
	items, err := x.renderGroups(view, []storage.Group{g})
	if err != nil {
		return err
	}
	return x.send(status, view.Location(schema.Group, g.ID), render.GroupTag(g), items[0])
}

// renderGroups writes groups; members are loaded only when they are shown.
func (x *exchange) renderGroups(view render.View, groups []storage.Group) ([][]byte, error) {
	items := make([][]byte, len(groups))
	for i, g := range groups {
		var members []storage.Member
		if view.ShowsMembers() {
			var err error
			if members, err = x.deeds.Reader().ListMembers(x.r.Context(), g.ID); err != nil {
				return nil, fmt.Errorf("list members of %s: %w", g.ID, err)
			}
		}
		items[i] = view.AppendGroup(make([]byte, 0, 512+200*len(members)), g, members)
	}
	return items, nil
}
