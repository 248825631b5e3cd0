package lifecycle_test

import (
	"slices"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
)

// A clock that is set back gives nobody more access than they had, takes none
// away, releases nobody, and no version of anybody begins before the last one.
func TestClockStepsBack(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		ana := h.train(h.create(mercy, person("ana", "Registered Nurse")))
		ben := h.create(mercy, person("ben", "Registered Nurse"))
		h.work()
		h.wants(ana.ID, policy.StatusReleased, "practitioner")
		end := *ana.Decision.ValidUntil

		// Before her training was completed: access stays, to the same instant.
		h.clock.pass(-6 * time.Hour)
		h.change(mercy, ana.ID, set("nickName", "A"))
		if got := h.wants(ana.ID, policy.StatusReleased, "practitioner"); got.Decision.ValidUntil == nil || !got.Decision.ValidUntil.Equal(end) {
			t.Errorf("her access ends %v, it ended %v", got.Decision.ValidUntil, end)
		}

		// Training of a time that the clock has not reached releases nobody.
		for _, module := range []string{"nys-policy", "clinical-access"} {
			_, err := h.RecordEvidence(h.ctx, dana, ben.ID, lifecycle.EvidenceSpec{Module: module, CompletedAt: h.Now().Add(6 * time.Hour), Source: "webinar"})
			wantsKind(t, err, lifecycle.KindRefused)
		}
		h.change(mercy, ben.ID, set("nickName", "B"))
		h.wants(ben.ID, policy.StatusPending, "", "training")

		// After the end was recorded: it stays ended, whatever is written about her.
		h.clock.pass(end.Sub(h.Now()))
		h.wants(ana.ID, policy.StatusSuspended, "", "training")
		if n, err := h.Sweep(h.ctx); n != 1 || err != nil {
			t.Fatalf("swept %d, %v", n, err)
		}
		for _, nick := range []string{"C", "D"} {
			h.clock.pass(-6 * time.Hour)
			h.change(mercy, ana.ID, set("nickName", nick))
			h.wants(ana.ID, policy.StatusSuspended, "", "training")
		}
		h.clock.pass(13 * time.Hour)
		h.work() // what was promised at a later time waits for it
		if got := h.post.to("ana@mail.example"); !slices.Equal(got, []string{"credentials", "suspended"}) {
			t.Errorf("she was sent %v", got)
		}
		h.train(ana)
		h.wants(ana.ID, policy.StatusReleased, "practitioner")

		for _, id := range []string{ana.ID, ben.ID} {
			rows, err := h.store.ListHistory(h.ctx, id)
			if err != nil || len(rows) < 2 {
				t.Fatalf("%d versions, %v", len(rows), err)
			}
			for i := 1; i < len(rows); i++ {
				if !rows[i].ValidFrom.After(rows[i-1].ValidFrom) || rows[i].Version != rows[i-1].Version+1 {
					t.Errorf("version %d begins at %v, version %d at %v", rows[i].Version, rows[i].ValidFrom, rows[i-1].Version, rows[i-1].ValidFrom)
				}
			}
		}
	})
}

// A clock that was far ahead and is right again is believed: nobody waits until
// the time it had shown.
func TestClockWasFarAhead(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		ana := h.train(h.create(mercy, person("ana", "Registered Nurse")))
		h.clock.pass(400 * 24 * time.Hour)
		if n, err := h.Sweep(h.ctx); n != 1 || err != nil {
			t.Fatalf("swept %d, %v", n, err)
		}
		h.wants(ana.ID, policy.StatusSuspended, "", "training")
		h.clock.pass(-400 * 24 * time.Hour)
		h.wants(ana.ID, policy.StatusSuspended, "", "training") // until decided anew
		h.change(mercy, ana.ID, set("nickName", "A"))
		got := h.wants(ana.ID, policy.StatusReleased, "practitioner")
		if got.Decision.ValidUntil == nil || !got.Decision.ValidUntil.Equal(*ana.Decision.ValidUntil) {
			t.Errorf("her access ends %v, it ended %v", got.Decision.ValidUntil, ana.Decision.ValidUntil)
		}
	})
}
