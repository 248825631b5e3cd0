package patch

import (
	"slices"
	"strings"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/filter"
	"github.com/healthix/healthix-scim/scim/protocol"
	"github.com/healthix/healthix-scim/scim/schema"
	"github.com/healthix/healthix-scim/storage"
)

// Change is what a request asks of a group's memberships: ids, in the order in
// which they came. Its cost is its own size, whatever the group's.
type Change struct {
	Clear  bool // first all go
	add    ordered
	remove ordered
	// Matching are filters that only the members in force can answer.
	Matching []storage.Filter
}

// ordered is a set of ids that remembers the order they came in.
type ordered struct {
	ids []string // "" where one was dropped
	at  map[string]int
}

func (s *ordered) put(id string) {
	if s.at == nil {
		s.at = map[string]int{}
	}
	if _, have := s.at[id]; !have {
		s.at[id] = len(s.ids)
		s.ids = append(s.ids, id)
	}
}

func (s *ordered) drop(id string) {
	if i, have := s.at[id]; have {
		delete(s.at, id)
		s.ids[i] = ""
	}
}

func (s *ordered) list() []string {
	out := make([]string, 0, len(s.at))
	for _, id := range s.ids {
		if id != "" {
			out = append(out, id)
		}
	}
	return out
}

// Add lists the ids to add.
func (c *Change) Add() []string { return c.add.list() }

// Remove lists the ids to remove.
func (c *Change) Remove() []string { return c.remove.list() }

// Empty says whether nothing is asked.
func (c *Change) Empty() bool {
	return !c.Clear && len(c.add.at) == 0 && len(c.remove.at) == 0 && len(c.Matching) == 0
}

func (c *Change) put(ids []string) {
	for _, id := range ids {
		c.remove.drop(id)
		c.add.put(id)
	}
}

func (c *Change) drop(ids []string) {
	for _, id := range ids {
		c.add.drop(id)
		if !c.Clear {
			c.remove.put(id)
		}
	}
}

func (c *Change) clear() { *c = Change{Clear: true} }

// Members gathers what the operations ask of members, each on the result of the
// one before.
func (req *Request) Members() (*Change, error) {
	c := &Change{}
	for _, op := range req.Ops {
		if !req.isMembers(op) {
			continue
		}
		if err := req.member(c, op); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (req *Request) member(c *Change, op Op) error {
	a := op.Target.Attribute
	switch {
	case op.Target.Sub != nil && op.Target.Sub.Key == "value" && op.Filter == nil && op.Kind == Add,
		op.Target.Sub == nil && op.Filter == nil && op.Kind != Remove:
		sent := op.Value
		if _, single := sent.(protocol.Object); single && op.Kind == Add {
			sent = []any{sent} // one may be added as it is (RFC 7644 §3.5.2.1)
		}
		ids, err := MemberIDs(sent, req.reading)
		if err != nil {
			return err
		}
		if op.Kind == Replace {
			c.clear()
		}
		c.put(ids)
		return nil
	case op.Target.Sub != nil:
		// RFC 7643 §4.2: a member is replaced by remove and add.
		return protocol.Errorf(protocol.Mutability, op.Target.Sub.Path(), "%s is immutable; remove the member and add another", op.Target.Sub.Path())
	case op.Kind == Remove && op.Filter == nil:
		if unassigned(op.Value) {
			c.clear()
			return nil
		}
		// RFC 7644 would empty the group; Entra ID means these members.
		if !req.reading.Allow(dialect.RemoveWithValue) {
			c.clear()
			return nil
		}
		ids, err := MemberIDs(op.Value, req.reading)
		if err != nil {
			return err
		}
		c.drop(ids)
		return nil
	case op.Kind == Remove || unassigned(op.Value):
		return req.removeMatching(c, op)
	}
	// add or replace on members[filter]: the only thing to say is who.
	if id, ok := op.Seed["value"].(string); ok && len(op.Seed) == 1 && op.Kind == Add && req.reading.Allow(dialect.CreateOnMiss) {
		c.put([]string{id})
		return nil
	}
	return protocol.Errorf(protocol.Mutability, a.Path(), "the parts of a member are immutable; remove the member and add another")
}

func (req *Request) removeMatching(c *Change, op Op) error {
	if ids, ok := namedIDs(op.Filter); ok {
		c.drop(ids)
		return nil
	}
	// Members added by this same request are judged by id alone, so such a
	// filter may only look at the members that were there.
	if len(c.add.at) > 0 {
		return protocol.Errorf(protocol.InvalidFilter, "members", "a filter other than value eq cannot follow an add in one request; send it first")
	}
	if !c.Clear {
		c.Matching = append(c.Matching, op.Filter)
	}
	return nil
}

// namedIDs reads value eq "id", joined by or.
func namedIDs(f storage.Filter) ([]string, bool) {
	switch f := f.(type) {
	case storage.Or:
		var all []string
		for _, inner := range f {
			ids, ok := namedIDs(inner)
			if !ok {
				return nil, false
			}
			all = append(all, ids...)
		}
		return all, true
	case storage.Attr:
		id, ok := f.Value.(string)
		if !ok || f.Op != storage.OpEq || len(f.Path) != 1 {
			return nil, false
		}
		switch f.Path[0] {
		case "value":
			return []string{id}, true
		case "$ref":
			id, ok = referred(id)
			return []string{id}, ok
		}
	}
	return nil, false
}

// referred is the id that a member's URL ends with.
func referred(ref string) (id string, ok bool) {
	for _, r := range schema.Resources {
		if at := strings.LastIndex(ref, r.Endpoint+"/"); at >= 0 {
			id = ref[at+len(r.Endpoint)+1:]
			return id, id != "" && !strings.Contains(id, "/")
		}
	}
	return "", false
}

// Matches says whether one of the filters chooses the member.
func (c *Change) Matches(m storage.Member) bool {
	folded := map[string]any{"value": m.ID, "type": strings.ToLower(m.Type), "display": storage.FoldKey(m.Display)}
	return slices.ContainsFunc(c.Matching, func(f storage.Filter) bool { return filter.Match(f, folded) })
}

// MemberIDs reads a members value: an array of objects with value. Everything
// else about a member is computed.
func MemberIDs(v any, reading *dialect.Reading) ([]string, error) {
	members := schema.Group.Core("members")
	value, err := members.Value(v, reading)
	if err != nil {
		return nil, err
	}
	list, _ := value.([]any)
	ids := make([]string, 0, len(list))
	for _, e := range list {
		id, _ := e.(map[string]any)["value"].(string)
		if id == "" {
			return nil, protocol.Errorf(protocol.InvalidValue, "members.value", "members.value is missing; send the id of a user or group")
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// ReplaceMembers is the change that leaves exactly these members.
func ReplaceMembers(ids []string) *Change {
	c := &Change{Clear: true}
	c.put(ids)
	return c
}

// NeedsMembers says whether the change can only be told against the members in
// force.
func (c *Change) NeedsMembers() bool { return c.Clear || len(c.Matching) > 0 }

// Against is the delta from the members in force; add are the members for Add.
func (c *Change) Against(now, add []storage.Member) storage.MemberChange {
	wanted := make(map[string]bool, len(add))
	for _, m := range add {
		wanted[m.ID] = true
	}
	gone := make(map[string]bool)
	for _, id := range c.Remove() {
		gone[id] = true
	}
	var delta storage.MemberChange
	have := make(map[string]bool, len(now))
	for _, m := range now {
		have[m.ID] = true
		if !wanted[m.ID] && (c.Clear || gone[m.ID] || c.Matches(m)) {
			delta.Remove = append(delta.Remove, m.ID)
		}
	}
	for _, m := range add {
		if !have[m.ID] {
			delta.Add = append(delta.Add, m)
		}
	}
	return delta
}
