package storagetest

import (
	"context"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

func (h *house) putClient(c storage.Client) {
	h.Helper()
	h.write(func(ctx context.Context, tx storage.Tx) error { return tx.PutClient(ctx, c) })
}

func clientsAreKept(h *house) {
	ctx := h.Context()
	secret := storage.Client{
		ID: "c1", Participant: "mercy", Label: "Okta", Scopes: []string{"scim"}, SecretHash: []byte{0, 1, 255},
		Created: minute(2), CreatedBy: "dana@healthix.example", Expires: minute(50),
	}
	signs := storage.Client{
		ID: "c0", Participant: "mercy", Scopes: []string{"scim"}, Keys: []byte(`{"keys":[]}`),
		Created: minute(1), Expires: minute(40),
	}
	foreign := storage.Client{ID: "c2", Participant: "general", Scopes: []string{"scim"}, Created: minute(3), Expires: minute(30)}
	for _, c := range []storage.Client{secret, signs, foreign} {
		h.putClient(c)
	}
	check := func(what string, want storage.Client) {
		h.Helper()
		got, err := h.GetClient(ctx, want.ID)
		if err != nil {
			h.Fatal(err)
		}
		h.same(what, got, want)
	}
	check("a client with a secret", secret)
	check("a client with keys", signs)

	touch := func(at time.Time) {
		h.Helper()
		h.write(func(ctx context.Context, tx storage.Tx) error { return tx.TouchClient(ctx, "c1", at) })
	}
	touch(minute(10))
	touch(minute(9)) // a deed that waited
	secret.LastUsed = minuteOf(10)
	check("used", secret)

	// Nothing but the revocation moves, and it never moves back.
	moved := secret
	moved.Participant, moved.Label, moved.SecretHash, moved.Expires, moved.LastUsed = "general", "other", []byte{7}, minute(59), nil
	moved.Revoked = minuteOf(20)
	h.putClient(moved)
	secret.Revoked = minuteOf(20)
	check("revoked", secret)
	moved.Revoked = nil
	h.putClient(moved)
	check("after a put that had not seen it", secret)

	for participant, ids := range map[string]string{"": "[c0 c1 c2]", "mercy": "[c0 c1]", "general": "[c2]", "nobody": "[]"} {
		found, err := h.ListClients(ctx, participant)
		got := []string{}
		for _, c := range found {
			got = append(got, c.ID)
		}
		if err != nil || fmt.Sprint(got) != ids {
			h.Errorf("clients of %q: %v, %v, want %s", participant, got, err, ids)
		}
	}
	_, err := h.GetClient(ctx, "c9")
	h.missing("an unknown client", err)
}

func clientsTokensEndWithThem(h *house) {
	ctx := h.Context()
	h.putClient(storage.Client{ID: "c1", Participant: "mercy", Scopes: []string{"scim"}, Created: minute(0), Expires: minute(50)})
	put := func(k storage.Token) {
		h.Helper()
		h.write(func(ctx context.Context, tx storage.Tx) error { return tx.PutToken(ctx, k) })
	}
	fetched := storage.Token{ID: "t1", Participant: "mercy", Scope: "scim", Subject: "c1", Issued: minute(1), Expires: minute(30), Client: "c1"}
	byHand := storage.Token{ID: "t2", Participant: "mercy", Scope: "scim", Issued: minute(1), Expires: minute(30)}
	put(fetched)
	put(byHand)
	revoked := func(id string) *time.Time {
		h.Helper()
		k, err := h.GetToken(ctx, id)
		if err != nil {
			h.Fatal(err)
		}
		if k.Client != map[string]string{"t1": "c1", "t3": "c1"}[id] {
			h.Errorf("token %s is of client %q", id, k.Client)
		}
		return k.Revoked
	}
	if at := revoked("t1"); at != nil {
		h.Errorf("revoked on %s before anything was", at)
	}
	h.putClient(storage.Client{ID: "c1", Revoked: minuteOf(5)})
	// One that was on its way when the client was revoked is no exception.
	fetched.ID = "t3"
	put(fetched)
	for _, id := range []string{"t1", "t3"} {
		if at := revoked(id); at == nil || !at.Equal(minute(5)) {
			h.Errorf("token %s is revoked on %v, its client on %s", id, at, minute(5))
		}
	}
	if at := revoked("t2"); at != nil {
		h.Errorf("a token that was issued by hand is revoked on %s", at)
	}
	if list, err := h.ListTokens(ctx, "mercy"); err != nil || len(list) != 1 || list[0].ID != "t2" {
		h.Errorf("tokens issued by hand: %v, %v", list, err)
	}
}

func assertionsAreSpentOnce(h *house) {
	spend := func(client, id string, expires time.Time) (fresh bool) {
		h.Helper()
		h.write(func(ctx context.Context, tx storage.Tx) error {
			var err error
			fresh, err = tx.SpendAssertion(ctx, client, id, expires)
			return err
		})
		return fresh
	}
	for i, c := range []struct {
		client, id string
		fresh      bool
	}{{"c1", "a", true}, {"c1", "a", false}, {"c1", "A", true}, {"c2", "a", true}, {"c2", "a", false}} {
		if got := spend(c.client, c.id, minute(5)); got != c.fresh {
			h.Errorf("%d: assertion %s of %s is fresh: %v", i, c.id, c.client, got)
		}
	}
	// Many at the same instant: one.
	fresh := make([]bool, 12)
	for _, err := range together(len(fresh), func(i int) error {
		return h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
			var err error
			fresh[i], err = tx.SpendAssertion(ctx, "c1", "race", minute(5))
			return err
		})
	}) {
		if err != nil {
			h.Error(err)
		}
	}
	n := 0
	for _, f := range fresh {
		if f {
			n++
		}
	}
	if n != 1 {
		h.Errorf("%d of %d took one assertion", n, len(fresh))
	}
}

func spentIsForgotten(h *house) {
	ctx := h.Context()
	h.write(func(ctx context.Context, tx storage.Tx) error {
		for i := range 5 {
			if err := tx.PutToken(ctx, storage.Token{ID: fmt.Sprint("fetched", i), Participant: "mercy", Scope: "scim", Client: "c1", Issued: minute(0), Expires: minute(10 + i)}); err != nil {
				return err
			}
			if _, err := tx.SpendAssertion(ctx, "c1", fmt.Sprint(i), minute(10+i)); err != nil {
				return err
			}
		}
		return tx.PutToken(ctx, storage.Token{ID: "by hand", Participant: "mercy", Scope: "scim", Issued: minute(0), Expires: minute(1)})
	})
	for _, want := range []int{4, 2, 0} { // 3 of each, by twos
		if n, err := h.DeleteSpent(ctx, minute(13), 2); err != nil || n != want {
			h.Errorf("%d forgotten, %v, want %d", n, err, want)
		}
	}
	for id, there := range map[string]bool{"fetched0": false, "fetched2": false, "fetched3": true, "fetched4": true, "by hand": true} {
		if _, err := h.GetToken(ctx, id); (err == nil) != there {
			h.Errorf("token %s: %v, want it there: %v", id, err, there)
		}
	}
	h.write(func(ctx context.Context, tx storage.Tx) error {
		if fresh, err := tx.SpendAssertion(ctx, "c1", "4", minute(14)); err != nil || fresh {
			h.Errorf("an assertion that has not ended is forgotten: %v", err)
		}
		return nil
	})
}

func warningsAreMarkedOnce(h *house) {
	ctx := h.Context()
	h.putClient(storage.Client{ID: "c1", Participant: "mercy", Label: "Okta", Scopes: []string{"scim"}, Created: minute(1), Expires: minute(20)})
	h.putClient(storage.Client{ID: "gone", Participant: "mercy", Created: minute(1), Expires: minute(20), Revoked: minuteOf(2)})
	h.putClient(storage.Client{ID: "over", Participant: "mercy", Created: minute(1), Expires: minute(5)})
	h.write(func(ctx context.Context, tx storage.Tx) error {
		for _, k := range []storage.Token{
			{ID: "t1", Participant: "mercy", Scope: "scim", Label: "entra", Issued: minute(1), Expires: minute(10)},
			{ID: "t2", Participant: "general", Scope: "scim", Issued: minute(1), Expires: minute(30)},
			{ID: "person", Participant: "mercy", Scope: "aum", Issued: minute(1), Expires: minute(10)},
			{ID: "fetched", Participant: "mercy", Scope: "scim", Client: "c1", Issued: minute(1), Expires: minute(10)},
			{ID: "revoked", Participant: "mercy", Scope: "scim", Issued: minute(1), Expires: minute(10), Revoked: minuteOf(2)},
		} {
			if err := tx.PutToken(ctx, k); err != nil {
				return err
			}
		}
		return nil
	})
	want := []storage.Credential{
		{Kind: storage.CredentialToken, ID: "t2", Participant: "general", Issued: minute(1), Expires: minute(30)},
		{Kind: storage.CredentialToken, ID: "t1", Participant: "mercy", Label: "entra", Issued: minute(1), Expires: minute(10)},
		{Kind: storage.CredentialClient, ID: "c1", Participant: "mercy", Label: "Okta", Issued: minute(1), Expires: minute(20)},
	}
	check := func(what string) {
		h.Helper()
		got, err := h.ListCredentials(ctx, minute(5))
		if err != nil {
			h.Fatal(err)
		}
		h.same(what, got, want)
	}
	check("credentials")

	mark := func(c storage.Credential, days int) (due bool) {
		h.Helper()
		h.write(func(ctx context.Context, tx storage.Tx) error {
			var err error
			due, err = tx.MarkWarned(ctx, c, days)
			return err
		})
		return due
	}
	for i, step := range []struct {
		days int
		due  bool
	}{{30, true}, {30, false}, {60, false}, {7, true}, {14, false}, {1, true}, {1, false}} {
		for n := range want[1:] { // a token and a client
			if due := mark(want[n+1], step.days); due != step.due {
				h.Errorf("%d: %s %s, %d days before: due %v", i, want[n+1].Kind, want[n+1].ID, step.days, due)
			}
		}
	}
	want[1].Warned, want[2].Warned = 1, 1
	check("credentials after warnings")
	err := h.Write(ctx, func(ctx context.Context, tx storage.Tx) error {
		_, err := tx.MarkWarned(ctx, storage.Credential{Kind: "user", ID: "t1"}, 1)
		return err
	})
	if err == nil {
		h.Error("a kind of credential that there is none of")
	}
}
