package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// GetGroup answers an undeleted group.
func (r reader) GetGroup(ctx context.Context, participant, id string) (storage.Group, error) {
	return r.getGroup(ctx, participant, id, "")
}

// LockGroup is GetGroup that keeps others from changing the group.
func (t *tx) LockGroup(ctx context.Context, participant, id string) (storage.Group, error) {
	return t.getGroup(ctx, participant, id, t.lock("g"))
}

func (r reader) getGroup(ctx context.Context, participant, id, lock string) (storage.Group, error) {
	narrow, args := here(participant, "g.participant")
	found, err := r.groups(ctx, "where g.id = ? and g.deleted is null"+narrow+lock, append([]any{id}, args...)...)
	if err != nil {
		return storage.Group{}, fmt.Errorf("group %s: %w", id, err)
	}
	if len(found) == 0 {
		return storage.Group{}, fmt.Errorf("group %s: %w", id, storage.ErrNotFound)
	}
	return found[0], nil
}

// ListMembers answers a group's direct members by id. A row may outlive its
// member, when somebody was deleted in the moment they were added.
func (r reader) ListMembers(ctx context.Context, group string) ([]storage.Member, error) {
	var rows []storage.Member
	if _, err := r.get(ctx, &rows, `select m.member_id as id, m.type,
	    coalesce(nullif(u.display_name, ''), u.user_name, g.display_name, '') as display
	  from group_member m
	  left join users u on m.type = 'User' and u.id = m.member_id
	  left join groups g on m.type = 'Group' and g.id = m.member_id
	  where m.group_id = ? and u.deleted is null and g.deleted is null order by m.member_id`, group); err != nil {
		return nil, fmt.Errorf("members of group %s: %w", group, err)
	}
	return rows, nil
}

// CountMembers counts a group's direct members.
func (r reader) CountMembers(ctx context.Context, group string) (int, error) {
	var n int
	if _, err := r.get(ctx, &n, "select count(*) from group_member m where m.group_id = ? and "+notDeleted, group); err != nil {
		return 0, fmt.Errorf("count the members of group %s: %w", group, err)
	}
	return n, nil
}

// notDeleted is a condition on a membership m.
const notDeleted = `not exists (select 1 from users mu where mu.id = m.member_id and mu.deleted is not null)
  and not exists (select 1 from groups mg where mg.id = m.member_id and mg.deleted is not null)`

// holding is a group that holds a member directly.
type holding struct {
	MemberID       string
	GroupID        string
	DisplayName    string
	DisplayNameKey string
}

// ListMemberships answers the groups that hold each of the users. Level by
// level, not as one recursive query: planning one cost PostgreSQL ten times what
// the look-up of somebody without groups costs, at every read of a user.
func (r reader) ListMemberships(ctx context.Context, participant string, users []string) (map[string][]storage.Membership, error) {
	memberships := map[string][]storage.Membership{}
	holders := map[string][]holding{} // by member: users, then groups; each looked up once
	for level := users; len(level) > 0; {
		found, err := r.holdings(ctx, participant, level)
		if err != nil {
			return nil, fmt.Errorf("groups of users: %w", err)
		}
		level = nil
		for _, h := range found {
			holders[h.MemberID] = append(holders[h.MemberID], h)
		}
		for _, h := range found {
			if _, known := holders[h.GroupID]; !known {
				holders[h.GroupID] = []holding{}
				level = append(level, h.GroupID)
			}
		}
	}
	for _, user := range users {
		if held := reach(holders, user); len(held) > 0 {
			memberships[user] = held
		}
	}
	return memberships, nil
}

func (r reader) holdings(ctx context.Context, participant string, members []string) ([]holding, error) {
	among, ids := r.anyOf("m.member_id", members)
	narrow, args := here(participant, "g.participant")
	var rows []holding
	_, err := r.get(ctx, &rows, "select m.member_id, g.id as group_id, g.display_name, g.display_name_key from group_member m join groups g on g.id = m.group_id where "+
		among+" and g.deleted is null"+narrow, append([]any{ids}, args...)...)
	return rows, err
}

// reach walks from a user to all groups that hold it, through groups that hold
// each other too, in the order of their names.
func reach(holders map[string][]holding, user string) []storage.Membership {
	type seen struct {
		holding
		indirect bool
	}
	var all []seen
	reached := map[string]bool{}
	for next := []string{user}; len(next) > 0; next = next[1:] {
		for _, h := range holders[next[0]] {
			if !reached[h.GroupID] {
				reached[h.GroupID] = true
				all = append(all, seen{h, next[0] != user})
				next = append(next, h.GroupID)
			}
		}
	}
	slices.SortFunc(all, func(a, b seen) int {
		return cmp.Or(strings.Compare(a.DisplayNameKey, b.DisplayNameKey), strings.Compare(a.GroupID, b.GroupID))
	})
	memberships := make([]storage.Membership, len(all))
	for i, s := range all {
		memberships[i] = storage.Membership{GroupID: s.GroupID, Display: s.DisplayName, Indirect: s.indirect}
	}
	return memberships
}

// FindMembers says which ids are live users or groups of the participant.
func (r reader) FindMembers(ctx context.Context, participant string, ids []string) (map[string]string, error) {
	types := map[string]string{}
	if len(ids) == 0 {
		return types, nil
	}
	narrow, in := here(participant, "participant")
	among, list := r.anyOf("id", ids)
	args := append([]any{list}, in...)
	var rows []storage.Member
	if _, err := r.get(ctx, &rows, `select id, 'User' as type from users where `+among+` and deleted is null`+narrow+`
	  union all
	  select id, 'Group' as type from groups where `+among+` and deleted is null`+narrow, append(args, args...)...); err != nil {
		return nil, fmt.Errorf("look for members: %w", err)
	}
	for _, row := range rows {
		types[row.ID] = row.Type
	}
	return types, nil
}

// PutGroup keeps a group, a delta of its members, and the history row of both.
func (t *tx) PutGroup(ctx context.Context, g storage.Group, change storage.MemberChange) (audit.Digest, error) {
	digest, err := t.putGroup(ctx, g, change)
	if err != nil {
		return audit.Digest{}, fmt.Errorf("keep group %s version %d: %w", g.ID, g.Version, err)
	}
	return digest, nil
}

func (t *tx) putGroup(ctx context.Context, g storage.Group, change storage.MemberChange) (audit.Digest, error) {
	row, err := groupRowOf(g)
	if err != nil {
		return audit.Digest{}, err
	}
	validFrom, err := t.validFrom(ctx, groupHistory, "group_id", g.ID, g.Version)
	if err != nil {
		return audit.Digest{}, err
	}
	body, err := recordText(groupRecordOf(g, change, validFrom))
	if err != nil {
		return audit.Digest{}, err
	}
	if err := t.put(ctx, &row, "version", row.Version); err != nil {
		return audit.Digest{}, err
	}
	if err := t.changeMembers(ctx, g.ID, change); err != nil {
		return audit.Digest{}, err
	}
	digest := digestOf(groupHistory, body)
	t.add(groupHistory, "group_id, version, participant, valid_from, body, digest",
		g.ID, g.Version, g.Participant, instant(validFrom), body, digest.String())
	return digest, nil
}

// changeMembers costs what the delta is large: each set is one statement.
func (t *tx) changeMembers(ctx context.Context, group string, change storage.MemberChange) error {
	if change.Clear {
		if _, err := t.do(ctx, "delete from group_member where group_id = ?", group); err != nil {
			return fmt.Errorf("remove all members: %w", err)
		}
	}
	if len(change.Remove) > 0 && !change.Clear {
		among, ids := t.anyOf("member_id", change.Remove)
		if _, err := t.do(ctx, "delete from group_member where group_id = ? and "+among, group, ids); err != nil {
			return fmt.Errorf("remove members: %w", err)
		}
	}
	added := map[string][]string{}
	for _, m := range change.Add {
		added[m.Type] = append(added[m.Type], m.ID)
	}
	for _, kind := range []string{"User", "Group"} {
		ids := added[kind]
		delete(added, kind)
		if len(ids) == 0 {
			continue
		}
		from, list := t.eachOf(ids)
		if _, err := t.do(ctx, "insert into group_member (group_id, member_id, type) select ?, "+from+" where true on conflict do nothing",
			group, kind, list); err != nil {
			return fmt.Errorf("add members: %w", err)
		}
	}
	for kind := range added {
		return fmt.Errorf("add members: a member is a User or a Group, not a %q", kind)
	}
	return nil
}

// RemoveMember takes a deleted user or group out of every group.
func (t *tx) RemoveMember(ctx context.Context, participant, member string) error {
	narrow, args := here(participant, "participant")
	if _, err := t.do(ctx, "delete from group_member where member_id = ? and group_id in (select id from groups where true"+narrow+")",
		append([]any{member}, args...)...); err != nil {
		return fmt.Errorf("take %s out of its groups: %w", member, err)
	}
	return nil
}
