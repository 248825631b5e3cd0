package storagetest

import (
	"context"
	"fmt"
	"time"

	"github.com/healthix/healthix-scim/storage"
)

// What the identity provider told of is read from the request log: singly, with
// success, by a token of its own, since an instant.
func unheardAreCounted(h *house) {
	since := minute(10)
	ids := map[string]string{}
	for _, name := range []string{"ana", "ben", "cleo", "left", "gone"} {
		u := person("mercy", name)
		ids[name] = u.ID
		u.Active = name != "left"
		if name == "gone" {
			at := minute(1)
			u.Deleted = &at
		}
		h.keep(u)
	}
	h.keep(person("general", "ana"))
	h.write(func(ctx context.Context, tx storage.Tx) error {
		return tx.PutToken(ctx, storage.Token{ID: "auditor's", Participant: "mercy", Scope: "auditor", Issued: minute(0), Expires: minute(9999)})
	})
	left := func() int {
		n, err := h.CountUnheard(h.Context(), "mercy", since, 100)
		if err != nil {
			h.Fatal(err)
		}
		return n
	}
	if n := left(); n != 3 {
		h.Fatalf("%d users at first", n)
	}
	row := 0
	heard := func(of string, change func(*storage.RequestRow)) {
		r := requestRow("mercy", fmt.Sprint("r", row), since.Add(time.Minute))
		row++
		r.Resource = ids[of]
		if change != nil {
			change(&r)
		}
		if err := h.AppendRequests(h.Context(), []storage.RequestRow{r}); err != nil {
			h.Fatal(err)
		}
	}
	for what, change := range map[string]func(*storage.RequestRow){
		"before":      func(r *storage.RequestRow) { r.At = since.Add(-time.Microsecond) },
		"refused":     func(r *storage.RequestRow) { r.Status = 404 },
		"no token":    func(r *storage.RequestRow) { r.Token = "" },
		"an auditor":  func(r *storage.RequestRow) { r.Token = "auditor's" },
		"another one": func(r *storage.RequestRow) { r.Participant = "general" },
	} {
		if heard("ana", change); left() != 3 {
			h.Errorf("%s: %d users", what, left())
		}
	}
	heard("ana", func(r *storage.RequestRow) { r.At = since })
	heard("ben", func(r *storage.RequestRow) { r.Status = 304 })
	if n := left(); n != 1 {
		h.Errorf("%d users after two were told of", n)
	}
	if n, err := h.CountUnheard(h.Context(), "mercy", since.Add(time.Hour), 2); err != nil || n != 2 {
		h.Errorf("%d users counted to 2, %v", n, err)
	}
	if heard("cleo", nil); left() != 0 {
		h.Errorf("%d users in the end", left())
	}
}

func linksAreVoided(h *house) {
	u := person("mercy", "ana")
	h.keep(u)
	before, at := minute(5), minute(9)
	h.write(func(ctx context.Context, tx storage.Tx) error {
		for id, change := range map[string]func(*storage.Activation){
			"fresh": func(*storage.Activation) {}, "redeemed": func(a *storage.Activation) { a.Redeemed = &before }, "voided": func(a *storage.Activation) { a.Voided = &before },
		} {
			a := storage.Activation{ID: id, User: u.ID, Participant: "mercy", CodeHash: []byte(id), Issued: minute(1), Expires: minute(9999)}
			change(&a)
			if err := tx.PutActivation(ctx, a); err != nil {
				return err
			}
		}
		return nil
	})
	h.write(func(ctx context.Context, tx storage.Tx) error {
		n, err := tx.VoidActivations(ctx, at)
		if n != 1 {
			h.Errorf("%d links voided", n)
		}
		return err
	})
	for id, want := range map[string]*time.Time{"fresh": &at, "redeemed": nil, "voided": &before} {
		a, err := h.GetActivation(h.Context(), id)
		if err != nil {
			h.Fatal(err)
		}
		h.same(id, a.Voided, want)
	}
}

func streamIsKept(h *house) {
	for _, want := range []int64{0, 7, 3} {
		if want > 0 {
			h.write(func(ctx context.Context, tx storage.Tx) error { return tx.PutStreamed(ctx, want) })
		}
		if got, err := h.GetStreamed(h.Context()); err != nil || got != want {
			h.Errorf("position %d, %v, not %d", got, err, want)
		}
	}
}
