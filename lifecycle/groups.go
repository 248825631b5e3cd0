package lifecycle

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

// CreateGroup takes a group in. Groups are kept and shown; they grant nothing.
func (s *Service) CreateGroup(ctx context.Context, a Actor, draft GroupDraft, members []storage.Member) (storage.Group, error) {
	var kept storage.Group
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		id, err := uuid.NewRandom()
		if err != nil {
			return fmt.Errorf("group id: %w", err)
		}
		kept = storage.Group{ID: id.String(), Participant: a.Participant, Created: tx.Now()}
		return s.keepGroup(ctx, tx, a, &kept, draft, storage.MemberChange{Add: members}, "group.created", "The identity provider created the group.")
	})
	if err != nil {
		return storage.Group{}, fmt.Errorf("create group: %w", err)
	}
	return kept, nil
}

// ChangeGroup runs an edit over the group; an edit that changes nothing keeps
// version and lastModified. A change of members costs its own size.
func (s *Service) ChangeGroup(ctx context.Context, a Actor, id string, edit GroupEdit) (storage.Group, error) {
	var kept storage.Group
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		g, err := tx.LockGroup(ctx, a.Participant, id)
		if err != nil {
			return fmt.Errorf("group %s: %w", id, err)
		}
		draft, members, changed, err := edit(g, func() ([]storage.Member, error) { return tx.ListMembers(ctx, id) })
		if err != nil {
			return err
		}
		if !changed {
			kept = g
			return nil
		}
		kept = g
		return s.keepGroup(ctx, tx, a, &kept, draft, members, "group.changed", "The group was changed.")
	})
	if err != nil {
		return storage.Group{}, fmt.Errorf("change group %s: %w", id, err)
	}
	return kept, nil
}

// DeleteGroup takes a group out of every answer; its members stay people.
func (s *Service) DeleteGroup(ctx context.Context, a Actor, id string, check func(storage.Group) error) error {
	err := s.store.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		g, err := tx.LockGroup(ctx, a.Participant, id)
		if err != nil {
			return fmt.Errorf("group %s: %w", id, err)
		}
		if check != nil {
			if err := check(g); err != nil {
				return err
			}
		}
		now := tx.Now()
		g.Deleted = &now
		if err := s.keepGroup(ctx, tx, a, &g, GroupDraft{Document: g.Document, Fold: g.Fold}, storage.MemberChange{Clear: true}, "group.deleted", "The identity provider deleted the group."); err != nil {
			return err
		}
		return tx.RemoveMember(ctx, a.Participant, id)
	})
	if err != nil {
		return fmt.Errorf("delete group %s: %w", id, err)
	}
	return nil
}

// keepGroup keeps the group's next version with its delta, and its entry.
func (s *Service) keepGroup(ctx context.Context, tx storage.Tx, a Actor, g *storage.Group, draft GroupDraft, members storage.MemberChange, action, sentence string) error {
	g.Document, g.Fold = draft.Document, draft.Fold
	g.DisplayName = text(draft.Document, "displayName")
	if strings.TrimSpace(g.DisplayName) == "" {
		return Faultf(KindInvalid, "displayName", "displayName is missing or empty; send the group's name")
	}
	g.DisplayNameKey = storage.FoldKey(g.DisplayName)
	g.ExternalID = text(draft.Document, "externalId")
	g.Version++
	g.LastModified = tx.Now()
	if err := stillThere(ctx, tx, g.Participant, members.Add); err != nil {
		return err
	}
	digest, err := tx.PutGroup(ctx, *g, members)
	if err != nil {
		return fmt.Errorf("keep group %s: %w", g.ID, err)
	}
	// Who came and went stands in the history row that the entry commits to.
	fields := []audit.Field{
		public("displayName", g.DisplayName),
		public("membersAdded", fmt.Sprint(len(members.Add))),
		public("membersRemoved", fmt.Sprint(len(members.Remove))),
	}
	if members.Clear {
		fields = append(fields, public("membersCleared", "true"))
	}
	return s.entry(ctx, tx, a, audit.Draft{
		Participant: g.Participant, User: g.ID, Action: action, Sentence: sentence, Fields: fields, History: []audit.Digest{digest},
	})
}

// stillThere refuses a member who went between the face's look and the deed.
func stillThere(ctx context.Context, tx storage.Tx, participant string, add []storage.Member) error {
	if len(add) == 0 {
		return nil
	}
	ids := make([]string, len(add))
	for i, m := range add {
		ids[i] = m.ID
	}
	found, err := tx.FindMembers(ctx, participant, ids)
	if err != nil {
		return fmt.Errorf("find members: %w", err)
	}
	for _, id := range ids {
		if _, ok := found[id]; !ok {
			return Faultf(KindInvalid, "members.value", "members names %q, which is the id of no user or group here any more; read it again", id)
		}
	}
	return nil
}
