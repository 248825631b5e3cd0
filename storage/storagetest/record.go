package storagetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/storage"
)

func historyIsStrict(h *house) {
	u := person("mercy", "ana")
	digests := make([]audit.Digest, 3)
	h.write(func(ctx context.Context, tx storage.Tx) error {
		for i := range digests { // three versions in one deed: one clock reading
			var err error
			u.Version = int64(i + 1)
			u.Document["nickName"] = fmt.Sprint(i, "<&>\u2028 é \"")
			u.Document["zeta"], u.Document["alpha"] = "last", "first"
			if digests[i], err = tx.PutUser(ctx, u); err != nil {
				return err
			}
		}
		return nil
	})
	history, err := h.ListHistory(h.Context(), u.ID)
	if err != nil || len(history) != len(digests) {
		h.Fatalf("%d history rows, %v", len(history), err)
	}
	for i, row := range history {
		// The digest covers the bytes of the body, behind the name of its kind.
		sum := audit.Sum(append([]byte("healthix-scim/user_history\x00"), row.Body...))
		if row.Digest != digests[i].String() || sum != digests[i] {
			h.Errorf("version %d: the deed heard %s, the row says %s, its body digests to %s", row.Version, digests[i], row.Digest, sum)
		}
		if row.User != u.ID || row.Version != int64(i+1) {
			h.Errorf("row %d is %s version %d", i, row.User, row.Version)
		}
		if i > 0 && !row.ValidFrom.After(history[i-1].ValidFrom) {
			h.Errorf("version %d begins at %v, version %d at %v", row.Version, row.ValidFrom, row.Version-1, history[i-1].ValidFrom)
		}
	}
	if slices.ContainsFunc(digests, func(d audit.Digest) bool { return d == audit.Digest{} }) {
		h.Error("an empty digest")
	}
}

func entriesAreKept(h *house) {
	at := time.Date(2026, 4, 1, 0, 0, 0, 7000, time.UTC)
	first := entry(h, "u1", at, audit.Field{Name: "title", Class: audit.ClassPublic, Value: "Nurse <RN>"}, audit.Field{Name: "email", Class: audit.ClassPersonal, Value: "ana@mail.example"})
	second, other, nobody := entry(h, "u1", at.Add(time.Hour)), entry(h, "u2", at.Add(time.Minute)), entry(h, "", at.Add(-time.Hour))
	h.write(func(ctx context.Context, tx storage.Tx) error {
		for _, e := range []audit.Entry{second, first, other, nobody} {
			if err := tx.Append(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
	row := func(e audit.Entry) storage.EntryRow {
		return storage.EntryRow{ID: e.ID, At: e.At, Participant: e.Participant, User: e.User, Action: e.Action, Canonical: e.Canonical, Hash: e.Hash.String()}
	}
	got, err := h.ListEntries(h.Context(), "u1")
	if err != nil {
		h.Fatal(err)
	}
	h.same("entries of one", got, []storage.EntryRow{row(first), row(second)})
	got, err = h.ListEntries(h.Context(), "")
	if err != nil {
		h.Fatal(err)
	}
	h.same("entries of all", got, []storage.EntryRow{row(nobody), row(first), row(other), row(second)})
	h.taken("an entry again", "id", h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error { return tx.Append(ctx, first) }))
}

func emailClaims(h *house) {
	claim := func(key, user, want string) {
		h.Helper()
		h.write(func(ctx context.Context, tx storage.Tx) error {
			holder, err := tx.ClaimEmail(ctx, key, user)
			if holder != want {
				h.Errorf("%s claims %s: held by %q, want %q", user, key, holder, want)
			}
			return err
		})
	}
	release := func(key, user string) {
		h.Helper()
		h.write(func(ctx context.Context, tx storage.Tx) error { return tx.ReleaseEmail(ctx, key, user) })
	}
	claim("a@mail.example", "u1", "u1")
	claim("a@mail.example", "u1", "u1")
	claim("a@mail.example", "u2", "u1")
	claim("b@mail.example", "u2", "u2")
	release("a@mail.example", "u2") // not its to give
	claim("a@mail.example", "u2", "u1")
	release("a@mail.example", "u1")
	claim("a@mail.example", "u2", "u2")
	release("never@mail.example", "u2")
}

// emailRace: of many who claim at once all hear of the same one.
func emailRace(h *house) {
	holders := make([]string, 12)
	for _, err := range together(len(holders), func(i int) error {
		return h.Write(h.Context(), func(ctx context.Context, tx storage.Tx) error {
			var err error
			holders[i], err = tx.ClaimEmail(ctx, "one@mail.example", fmt.Sprint("u", i))
			return err
		})
	}) {
		if err != nil {
			h.Error(err)
		}
	}
	if len(slices.Compact(slices.Clone(holders))) != 1 || holders[0] == "" {
		h.Errorf("holders %v", holders)
	}
}
