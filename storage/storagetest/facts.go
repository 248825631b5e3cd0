package storagetest

import (
	"context"
	"errors"
	"time"

	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

func minute(n int) time.Time { return time.Date(2026, 7, 1, 8, n, 0, 42000, time.UTC) }

func minuteOf(n int) *time.Time {
	t := minute(n)
	return &t
}

func tokensAreKept(h *house) {
	ctx := h.Context()
	put := func(k storage.Token) {
		h.Helper()
		h.write(func(ctx context.Context, tx storage.Tx) error { return tx.PutToken(ctx, k) })
	}
	want := storage.Token{
		ID: "t1", Participant: "mercy", Scope: "scim", Subject: "entra", Label: "Entra ID", Issued: minute(1),
		IssuedBy: "operator", Expires: minute(59),
	}
	put(want)
	put(storage.Token{ID: "t0", Participant: "mercy", Issued: minute(2)})
	put(storage.Token{ID: "t2", Participant: "general", Issued: minute(0)})
	check := func(what string) {
		h.Helper()
		got, err := h.GetToken(ctx, "t1")
		if err != nil {
			h.Fatal(err)
		}
		h.same(what, got, want)
	}
	check("issued")
	touch := func(at time.Time) {
		h.Helper()
		if err := h.TouchTokens(ctx, map[string]time.Time{"t1": at, "nobody's": at}); err != nil {
			h.Error(err)
		}
	}
	touch(minute(10).Add(999))
	want.LastUsed = minuteOf(10)
	check("used")
	touch(minute(9)) // a slower node's report
	check("used before")
	if err := h.TouchTokens(ctx, nil); err != nil {
		h.Error(err)
	}

	// Revoking with a copy read before the last use keeps that use.
	revoked := want
	revoked.Revoked, revoked.LastUsed = minuteOf(20), nil
	put(revoked)
	want.Revoked = minuteOf(20)
	check("revoked")

	for participant, n := range map[string]int{"": 3, "mercy": 2, "general": 1, "nobody": 0} {
		if got, err := h.ListTokens(ctx, participant); err != nil || len(got) != n {
			h.Errorf("tokens of %q: %d, %v", participant, len(got), err)
		}
	}
	if got, err := h.ListTokens(ctx, "mercy"); err != nil || got[0].ID != "t1" {
		h.Errorf("tokens not as issued: %v, %v", got, err)
	}
	_, err := h.GetToken(ctx, "t9")
	h.missing("an unknown token", err)
}

func evidenceIsKept(h *house) {
	want := []storage.Evidence{
		{
			Evidence: policy.Evidence{ID: "e2", Gate: policy.GateTraining, Module: "privacy", CompletedAt: minute(1), ValidUntil: minute(50)},
			User:     "u1", Participant: "mercy", Source: "webinar", Note: "spring", Actor: "op@healthix.example", Recorded: minute(2),
		},
		{
			Evidence: policy.Evidence{ID: "e1", Gate: policy.GateEmail, CompletedAt: minute(1)}, // no end
			User:     "u1", Participant: "mercy", Recorded: minute(3), Revoked: minuteOf(4), RevokedWhy: "a mistake",
		},
	}
	put := func(e storage.Evidence) {
		h.write(func(ctx context.Context, tx storage.Tx) error { return tx.PutEvidence(ctx, e) })
	}
	put(want[1])
	put(want[0])
	put(storage.Evidence{Evidence: policy.Evidence{ID: "e3"}, User: "u2"})
	check := func(what string) {
		h.Helper()
		got, err := h.ListEvidence(h.Context(), "u1")
		if err != nil {
			h.Fatal(err)
		}
		h.same(what, got, want)
		if !got[1].ValidUntil.IsZero() {
			h.Errorf("no end came back as %v", got[1].ValidUntil)
		}
	}
	check("evidence")
	want[0].Revoked, want[0].RevokedWhy = minuteOf(5), "the wrong person"
	put(want[0])
	check("revoked evidence")
}

func approvalsAreKept(h *house) {
	want := []storage.Approval{
		{
			Approval: policy.Approval{ID: "a2", Approved: true, Role: "aum", Title: "manager", At: minute(1), ValidUntil: minute(50)},
			User:     "u1", Participant: "mercy", Actor: "op@healthix.example", Reason: "asked for",
		},
		{Approval: policy.Approval{ID: "a1", At: minute(2)}, User: "u1", Participant: "mercy", Ended: minuteOf(3)},
	}
	put := func(a storage.Approval) {
		h.write(func(ctx context.Context, tx storage.Tx) error { return tx.PutApproval(ctx, a) })
	}
	put(want[1])
	put(want[0])
	check := func(what string) {
		h.Helper()
		got, err := h.ListApprovals(h.Context(), "u1")
		if err != nil {
			h.Fatal(err)
		}
		h.same(what, got, want)
	}
	check("approvals")
	want[0].Ended = minuteOf(9)
	put(want[0])
	check("an ended approval")
}

func holdsAreKept(h *house) {
	want := []storage.Hold{
		{Hold: policy.Hold{ID: "h2", Reason: "under review", Since: minute(1)}, User: "u1", Participant: "mercy", Actor: "op@healthix.example"},
		{Hold: policy.Hold{ID: "h1", Since: minute(2)}, User: "u1", Participant: "mercy", Lifted: minuteOf(3)},
	}
	put := func(a storage.Hold) {
		h.write(func(ctx context.Context, tx storage.Tx) error { return tx.PutHold(ctx, a) })
	}
	put(want[1])
	put(want[0])
	check := func(what string) {
		h.Helper()
		got, err := h.ListHolds(h.Context(), "u1")
		if err != nil {
			h.Fatal(err)
		}
		h.same(what, got, want)
	}
	check("holds")
	want[0].Lifted = minuteOf(9)
	put(want[0])
	check("a lifted hold")
}

func activationsAreKept(h *house) {
	ctx := h.Context()
	older := storage.Activation{ID: "l2", User: "u1", Participant: "mercy", CodeHash: []byte{0, 1, 0xff}, Issued: minute(1), Expires: minute(50)}
	newer := storage.Activation{
		ID: "l1", User: "u1", Participant: "mercy", CodeHash: []byte{2}, Issued: minute(2), Expires: minute(51),
		Voided: minuteOf(3), Redeemed: minuteOf(4), RedeemKey: "ab",
	}
	put := func(a storage.Activation) error {
		return h.Write(ctx, func(ctx context.Context, tx storage.Tx) error { return tx.PutActivation(ctx, a) })
	}
	if err := errors.Join(put(older), put(newer)); err != nil {
		h.Fatal(err)
	}
	got, err := h.ListActivations(ctx, "u1")
	if err != nil {
		h.Fatal(err)
	}
	h.same("links", got, []storage.Activation{newer, older})
	found, ok, err := h.FindActivation(ctx, []byte{0, 1, 0xff})
	if err != nil || !ok {
		h.Fatalf("by code: %v, %v", ok, err)
	}
	h.same("by code", found, older)
	if _, ok, err := h.FindActivation(ctx, []byte{0, 1}); ok || err != nil {
		h.Errorf("by half a code: %v, %v", ok, err)
	}
	one, err := h.GetActivation(ctx, "l1")
	h.same("by id", one, newer)
	if err != nil {
		h.Error(err)
	}
	_, err = h.GetActivation(ctx, "l9")
	h.missing("an unknown link", err)

	// Of many who redeem at once, one does.
	won := make([]bool, 8)
	for _, err := range together(len(won), func(i int) error {
		return h.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
			a, err := tx.LockActivation(ctx, "l2")
			if err != nil {
				return err
			}
			if won[i] = a.Redeemed == nil; !won[i] {
				return nil
			}
			now := tx.Now()
			a.Redeemed = &now
			return tx.PutActivation(ctx, a)
		})
	}) {
		if err != nil {
			h.Error(err)
		}
	}
	n := 0
	for _, w := range won {
		if w {
			n++
		}
	}
	if n != 1 {
		h.Errorf("%d of %d redeemed", n, len(won))
	}
	if err := put(storage.Activation{ID: "l3", CodeHash: []byte{2}}); err == nil {
		h.Error("two links have one code")
	}
}

func policiesAreGapless(h *house) {
	ctx := h.Context()
	put := func(version int64) error {
		return h.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
			return tx.PutPolicy(ctx, storage.PolicyVersion{
				Version: version, Digest: "d", Document: []byte{0, 'p', byte(version)}, Applied: minute(int(version)), Actor: "op@healthix.example",
			})
		})
	}
	if n, err := h.PolicyState(ctx); n.Version != 0 || err != nil {
		h.Errorf("before the first: %+v, %v", n, err)
	}
	_, err := h.CurrentPolicy(ctx)
	h.missing("before the first", err)
	for _, step := range []struct {
		version int64
		want    error
	}{{2, storage.ErrStale}, {0, storage.ErrStale}, {1, nil}, {1, storage.ErrStale}, {3, storage.ErrStale}, {2, nil}} {
		if err := put(step.version); !errors.Is(err, step.want) {
			h.Errorf("put %d: %v, want %v", step.version, err, step.want)
		}
	}
	want := storage.PolicyVersion{Version: 2, Digest: "d", Document: []byte{0, 'p', 2}, Applied: minute(2), Actor: "op@healthix.example"}
	got, err := h.CurrentPolicy(ctx)
	if err != nil {
		h.Fatal(err)
	}
	h.same("in force", got, want)
	if n, err := h.PolicyState(ctx); n.Version != 2 || err != nil {
		h.Errorf("in force: %+v, %v", n, err)
	}
	if got, err = h.GetPolicy(ctx, 1); err != nil || got.Version != 1 || got.Document[2] != 1 {
		h.Errorf("version 1: %v, %v", got, err)
	}
	_, err = h.GetPolicy(ctx, 3)
	h.missing("a later version", err)
	list, err := h.ListPolicies(ctx)
	if err != nil || len(list) != 2 || list[0].Version != 1 || list[1].Version != 2 || list[1].Document != nil {
		h.Errorf("versions %v, %v", list, err)
	}
}

// policiesInParallel: of many who put the next version one does, the others
// hear that it moved, or look again and put the one after.
func policiesInParallel(h *house) {
	for _, err := range together(4, func(i int) error {
		return h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
			n, err := tx.PolicyState(ctx)
			if err != nil {
				return err
			}
			return tx.PutPolicy(ctx, storage.PolicyVersion{Version: n.Version + 1, Document: []byte{byte(i)}, Applied: tx.Now()})
		})
	}) {
		if err != nil && !errors.Is(err, storage.ErrStale) {
			h.Error(err)
		}
	}
	list, err := h.ListPolicies(h.Context())
	if err != nil || len(list) == 0 {
		h.Fatalf("%v, %v", list, err)
	}
	for i, p := range list {
		if p.Version != int64(i+1) {
			h.Errorf("version %d at place %d", p.Version, i)
		}
	}
}
