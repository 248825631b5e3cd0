package scim

import (
	"fmt"
	"maps"
	"net/http"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/patch"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/render"
	"github.com/healthix/healthix-scim/scim/schema"
	"github.com/healthix/healthix-scim/storage"
)

// userHandlers are the verbs of /Users.
type userHandlers struct{ *exchange }

func (x userHandlers) create() error {
	view, err := x.view(schema.User)
	if err != nil {
		return err
	}
	doc, err := x.decode(schema.User, maxResource)
	if err != nil {
		return err
	}
	if _, sent := doc["active"]; !sent {
		doc["active"] = true // the default that answers show (RFC 7644 §3.3)
	}
	draft, err := userDraft(doc)
	if err != nil {
		return err
	}
	u, err := x.deeds.CreateUser(x.r.Context(), x.caller.Actor, draft)
	if err != nil {
		return err
	}
	if u.Version > 1 {
		x.reading.Note(dialect.RehireByPost)
	}
	return x.sendUser(http.StatusCreated, view, u)
}

// decode reads a whole resource from the body.
func (x *exchange) decode(r *schema.Resource, limit int64) (storage.Document, error) {
	o, err := x.body(limit)
	if err != nil {
		return nil, err
	}
	return r.Decode(o, x.reading)
}

func userDraft(doc storage.Document) (lifecycle.UserDraft, error) {
	fold, err := schema.User.FoldJSON(doc)
	return lifecycle.UserDraft{Document: doc, Fold: fold}, err
}

func (x userHandlers) get(id string) error {
	view, err := x.view(schema.User)
	if err != nil {
		return err
	}
	u, err := x.deeds.Reader().GetUser(x.r.Context(), x.caller.Participant.ID, id)
	if err != nil {
		return notFound(schema.User, err)
	}
	if unmet, err := x.readable(render.UserTag(u, x.now)); unmet || err != nil {
		return err
	}
	return x.sendUser(http.StatusOK, view, u)
}

func (x userHandlers) put(id string) error {
	view, err := x.view(schema.User)
	if err != nil {
		return err
	}
	sent, err := x.decode(schema.User, maxResource)
	if err != nil {
		return err
	}
	return x.change(id, view, func(old storage.Document) (storage.Document, error) {
		doc := maps.Clone(sent)
		if _, ok := doc["active"]; !ok {
			doc["active"] = old["active"] // omitting it must not end anybody's access
		}
		return doc, nil
	})
}

func (x userHandlers) patch(id string) error {
	view, err := x.view(schema.User)
	if err != nil {
		return err
	}
	o, err := x.body(maxResource)
	if err != nil {
		return err
	}
	req, err := patch.Parse(schema.User, o, x.reading)
	if err != nil {
		return err
	}
	var current protocol.Object
	if req.RepeatsReadOnly() {
		if current, err = x.represent(id); err != nil {
			return err
		}
	}
	return x.change(id, view, func(old storage.Document) (storage.Document, error) {
		return req.Apply(old, current)
	})
}

// represent reads the user as it is shown now, to compare what a client sends
// back with.
func (x userHandlers) represent(id string) (protocol.Object, error) {
	u, err := x.deeds.Reader().GetUser(x.r.Context(), x.caller.Participant.ID, id)
	if err != nil {
		return nil, notFound(schema.User, err)
	}
	text, err := x.renderUser(render.View{BaseURL: x.baseURL, Now: x.now}, u)
	if err != nil {
		return nil, err
	}
	return protocol.Read(text)
}

// change runs a deed that makes a new document of the old one. A new document
// that says the same is no change: version and lastModified stay.
func (x userHandlers) change(id string, view render.View, edit func(old storage.Document) (storage.Document, error)) error {
	u, err := x.deeds.ChangeUser(x.r.Context(), x.caller.Actor, id, func(u storage.User) (lifecycle.UserDraft, bool, error) {
		if err := x.precondition(render.UserTag(u, x.now)); err != nil {
			return lifecycle.UserDraft{}, false, err
		}
		old := maps.Clone(u.Document)
		if old == nil {
			old = storage.Document{}
		}
		old["active"] = u.Active // deeds of other faces change it too
		doc, err := edit(old)
		if err != nil {
			return lifecycle.UserDraft{}, false, err
		}
		draft, err := userDraft(doc)
		return draft, !patch.Same(old, doc), err
	})
	if err != nil {
		return notFound(schema.User, err)
	}
	return x.sendUser(http.StatusOK, view, u)
}

func (x userHandlers) remove(id string) error {
	err := x.deeds.DeleteUser(x.r.Context(), x.caller.Actor, id, func(u storage.User) error {
		return x.precondition(render.UserTag(u, x.now))
	})
	if err != nil {
		return notFound(schema.User, err)
	}
	x.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (x userHandlers) sendUser(status int, view render.View, u storage.User) error {
	body, err := x.renderUser(view, u)
	if err != nil {
		return err
	}
	return x.send(status, view.Location(schema.User, u.ID), render.UserTag(u, view.Now), body)
}

func (x *exchange) renderUser(view render.View, u storage.User) ([]byte, error) {
	items, err := x.renderUsers(view, []storage.User{u})
	if err != nil {
		return nil, err
	}
	return items[0], nil
}

// renderUsers writes users, loading for all of them at once what the view
// shows beside the rows.
func (x *exchange) renderUsers(view render.View, users []storage.User) ([][]byte, error) {
	var groups map[string][]storage.Membership
	if view.ShowsGroups() && len(users) > 0 {
		ids := make([]string, len(users))
		for i, u := range users {
			ids[i] = u.ID
		}
		var err error
		if groups, err = x.deeds.Reader().ListMemberships(x.r.Context(), x.caller.Participant.ID, ids); err != nil {
			return nil, fmt.Errorf("list groups of users: %w", err)
		}
	}
	managers, err := x.managers(view, users)
	if err != nil {
		return nil, err
	}
	items := make([][]byte, len(users))
	for i, u := range users {
		items[i] = view.AppendUser(make([]byte, 0, 2048), render.User{User: u, Groups: groups[u.ID], Managers: managers})
	}
	return items, nil
}

// managers finds those managers that are live users of this participant;
// providers send ids of their own too.
func (x *exchange) managers(view render.View, users []storage.User) (map[string]storage.User, error) {
	if !view.ShowsManager() {
		return nil, nil
	}
	found := map[string]storage.User{}
	var ids []string
	for _, u := range users {
		id := render.ManagerID(u.Document)
		if _, seen := found[id]; seen || uuid.Validate(id) != nil {
			continue
		}
		found[id] = storage.User{}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	list, _, err := x.deeds.Reader().ListUsers(x.r.Context(), storage.Query{
		Participant: x.caller.Participant.ID, Filter: storage.In{Field: storage.FieldID, Values: ids}, Limit: len(ids), Now: x.now,
	})
	if err != nil {
		return nil, fmt.Errorf("list managers: %w", err)
	}
	clear(found)
	for _, u := range list {
		found[u.ID] = u
	}
	return found, nil
}
