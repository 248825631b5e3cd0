package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

func newGroup(participant, name string) storage.Group {
	now := time.Date(2026, 1, 1, 0, 0, 0, 5000, time.UTC)
	return storage.Group{
		ID: newID(), Participant: participant, Version: 1, DisplayName: name, DisplayNameKey: strings.ToLower(name),
		Document: storage.Document{"displayName": name}, Fold: []byte(`{}`), Created: now, LastModified: now,
	}
}

func (h *house) putGroup(g storage.Group, change storage.MemberChange) {
	h.Helper()
	h.write(func(ctx context.Context, tx storage.Tx) error {
		_, err := tx.PutGroup(ctx, g, change)
		return err
	})
}

func ofType(kind string, ids ...string) []storage.Member {
	members := make([]storage.Member, len(ids))
	for i, id := range ids {
		members[i] = storage.Member{ID: id, Type: kind}
	}
	return members
}

func (h *house) memberIDs(group string) []string {
	h.Helper()
	members, err := h.ListMembers(h.Context(), group)
	n, err2 := h.CountMembers(h.Context(), group)
	if err := errors.Join(err, err2); err != nil || n != len(members) {
		h.Fatalf("%d members, counted %d, %v", len(members), n, err)
	}
	ids := make([]string, len(members))
	for i, m := range members {
		ids[i] = m.ID
	}
	return ids
}

func groupsAreKept(h *house) {
	named, plain := person("mercy", "named"), person("mercy", "plain")
	named.DisplayName = "Named Person"
	h.keep(named, plain)
	inner, g := newGroup("mercy", "Inner"), newGroup("mercy", "Ward 3")
	g.ExternalID = "G1"
	h.putGroup(inner, storage.MemberChange{})
	h.putGroup(g, storage.MemberChange{Add: append(ofType("User", named.ID, plain.ID), ofType("Group", inner.ID)...)})
	got, err := h.GetGroup(h.Context(), "mercy", g.ID)
	if err != nil {
		h.Fatal(err)
	}
	h.same("group", got, g)
	_, err = h.GetGroup(h.Context(), "general", g.ID)
	h.missing("a group of another participant", err)

	want := []storage.Member{
		{ID: named.ID, Type: "User", Display: "Named Person"}, {ID: plain.ID, Type: "User", Display: "plain"},
		{ID: inner.ID, Type: "Group", Display: "Inner"},
	}
	slices.SortFunc(want, func(a, b storage.Member) int { return strings.Compare(a.ID, b.ID) })
	members, err := h.ListMembers(h.Context(), g.ID)
	if err != nil {
		h.Fatal(err)
	}
	h.same("members", members, want)

	// Adding who is there and removing who is not changes nothing.
	g.Version = 2
	h.putGroup(g, storage.MemberChange{Add: ofType("User", plain.ID), Remove: []string{named.ID, "nobody"}})
	if ids := h.memberIDs(g.ID); len(ids) != 2 || slices.Contains(ids, named.ID) {
		h.Errorf("members %v", ids)
	}
	g.Version = 3
	h.putGroup(g, storage.MemberChange{Clear: true, Add: ofType("User", named.ID)})
	if ids := h.memberIDs(g.ID); !slices.Equal(ids, []string{named.ID}) {
		h.Errorf("members %v", ids)
	}
	h.write(func(ctx context.Context, tx storage.Tx) error {
		if err := tx.RemoveMember(ctx, "general", named.ID); err != nil {
			return err
		}
		if n, err := tx.CountMembers(ctx, g.ID); n != 1 || err != nil {
			h.Errorf("another participant took a member out: %d left, %v", n, err)
		}
		return tx.RemoveMember(ctx, "mercy", named.ID)
	})
	if ids := h.memberIDs(g.ID); len(ids) != 0 {
		h.Errorf("members %v", ids)
	}

	// A stale version changes no member either.
	err = h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
		_, err := tx.PutGroup(ctx, g, storage.MemberChange{Add: ofType("User", plain.ID)})
		return err
	})
	if !errors.Is(err, storage.ErrStale) || len(h.memberIDs(g.ID)) != 0 {
		h.Errorf("version 3 again: %v, members %v", err, h.memberIDs(g.ID))
	}
	err = h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
		g := g
		g.Version = 4
		_, err := tx.PutGroup(ctx, g, storage.MemberChange{Add: ofType("Printer", plain.ID)})
		return err
	})
	if err == nil {
		h.Error("a member that is neither user nor group was kept")
	}
	g.Version, g.Deleted = 4, &g.Created
	h.putGroup(g, storage.MemberChange{})
	_, err = h.GetGroup(h.Context(), "mercy", g.ID)
	h.missing("a deleted group", err)
	h.missing("lock a deleted group", h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
		_, err := tx.LockGroup(ctx, "mercy", g.ID)
		return err
	}))
	again := newGroup("mercy", "Ward 3")
	again.ExternalID = "G1"
	h.putGroup(again, storage.MemberChange{})
}

// groupsInParallel: sixteen add and remove at once, each having locked the
// group first; all of it is there.
func groupsInParallel(h *house) {
	g := newGroup("mercy", "All")
	h.putGroup(g, storage.MemberChange{Add: ofType("User", "old-0", "old-1")})
	for _, err := range together(16, func(i int) error {
		return h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
			g, err := tx.LockGroup(ctx, "mercy", g.ID)
			if err != nil {
				return err
			}
			g.Version++
			_, err = tx.PutGroup(ctx, g, storage.MemberChange{
				Add: ofType("User", fmt.Sprintf("new-%02d", i), "everybody's"), Remove: []string{fmt.Sprint("old-", i%2)},
			})
			return err
		})
	}) {
		if err != nil {
			h.Error(err)
		}
	}
	want := []string{"everybody's"}
	for i := range 16 {
		want = append(want, fmt.Sprintf("new-%02d", i))
	}
	if got := h.memberIDs(g.ID); !slices.Equal(got, want) {
		h.Errorf("members %v", got)
	}
	if got, err := h.GetGroup(h.Context(), "mercy", g.ID); err != nil || got.Version != 17 {
		h.Errorf("version %d, %v", got.Version, err)
	}
}

// largeGroup: more members than a statement may have values.
func largeGroup(h *house) {
	const n = 50_000
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("member-%06d", i)
	}
	g := newGroup("mercy", "Everybody")
	h.putGroup(g, storage.MemberChange{Add: ofType("User", ids...)})
	g.Version = 2
	start := time.Now()
	h.putGroup(g, storage.MemberChange{Add: ofType("User", "one more"), Remove: ids[:1]})
	h.Logf("one in, one out of %d: %v", n, time.Since(start))
	g.Version = 3
	h.putGroup(g, storage.MemberChange{Remove: ids[:n-1]})
	if got := h.memberIDs(g.ID); !slices.Equal(got, []string{ids[n-1], "one more"}) {
		h.Errorf("%d members left", len(got))
	}
	// Ids that nobody has may come in any number, too.
	if found, err := h.FindMembers(h.Context(), "mercy", ids); err != nil || len(found) != 0 {
		h.Errorf("found %d, %v", len(found), err)
	}
	if held, err := h.ListMemberships(h.Context(), "mercy", ids); err != nil || len(held) != 1 || len(held[ids[n-1]]) != 1 {
		h.Errorf("memberships of %d, %v", len(held), err)
	}
}

func memberships(h *house) {
	ana, bea, eve := person("mercy", "ana"), person("mercy", "bea"), person("general", "eve")
	h.keep(ana, bea, eve)
	// ring a → b → c → a (each holds the one before), ana in a and also in c;
	// bea in c; a group of nobody; a deleted group that holds a; another
	// participant's group.
	a, b, c := newGroup("mercy", "A"), newGroup("mercy", "B"), newGroup("mercy", "C")
	empty, gone, foreign, above := newGroup("mercy", "Empty"), newGroup("mercy", "Gone"), newGroup("general", "Foreign"), newGroup("mercy", "Above gone")
	h.putGroup(a, storage.MemberChange{Add: append(ofType("User", ana.ID), ofType("Group", c.ID)...)})
	h.putGroup(b, storage.MemberChange{Add: ofType("Group", a.ID)})
	h.putGroup(c, storage.MemberChange{Add: append(ofType("User", ana.ID, bea.ID), ofType("Group", b.ID)...)})
	h.putGroup(empty, storage.MemberChange{})
	h.putGroup(foreign, storage.MemberChange{Add: ofType("User", eve.ID)})
	h.putGroup(gone, storage.MemberChange{Add: ofType("User", ana.ID)})
	h.putGroup(above, storage.MemberChange{Add: ofType("Group", gone.ID)})
	gone.Version, gone.Deleted = 2, &gone.Created
	h.putGroup(gone, storage.MemberChange{})

	got, err := h.ListMemberships(h.Context(), "mercy", []string{ana.ID, bea.ID, eve.ID, "nobody"})
	if err != nil {
		h.Fatal(err)
	}
	h.same("memberships", got, map[string][]storage.Membership{
		ana.ID: {{GroupID: a.ID, Display: "A"}, {GroupID: b.ID, Display: "B", Indirect: true}, {GroupID: c.ID, Display: "C"}},
		bea.ID: {{GroupID: a.ID, Display: "A", Indirect: true}, {GroupID: b.ID, Display: "B", Indirect: true}, {GroupID: c.ID, Display: "C"}},
	})
	if got, err := h.ListMemberships(h.Context(), "mercy", nil); err != nil || len(got) != 0 {
		h.Errorf("memberships of nobody: %v, %v", got, err)
	}
}

func findMembers(h *house) {
	ana, gone, eve := person("mercy", "ana"), person("mercy", "gone"), person("general", "eve")
	gone.Deleted = &gone.Created
	h.keep(ana, gone, eve)
	g, foreign := newGroup("mercy", "G"), newGroup("general", "Foreign")
	h.putGroup(g, storage.MemberChange{})
	h.putGroup(foreign, storage.MemberChange{})
	got, err := h.FindMembers(h.Context(), "mercy", []string{ana.ID, ana.ID, gone.ID, eve.ID, g.ID, foreign.ID, "nobody", ""})
	if err != nil {
		h.Fatal(err)
	}
	h.same("members found", got, map[string]string{ana.ID: "User", g.ID: "Group"})
}
