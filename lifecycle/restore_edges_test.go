package lifecycle_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// An operator's word that an address is this person's ends when the address
// changes. With the address it comes back, and what was said of another does not.
func TestRestoreGivesBackWhatConfirmedAnAddress(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		h.create(north, person("ana-north", "Registered Nurse", email("ana@mail.example")))
		h.create(north, person("eve-north", "Registered Nurse", email("other@mail.example")))
		confirm := func(id string) storage.Evidence {
			e, err := h.RecordEvidence(h.ctx, dana, id, lifecycle.EvidenceSpec{Gate: policy.GateEmail, Note: "the same human"})
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		ana := h.create(mercy, person("ana", "Registered Nurse"))
		hers := confirm(ana.ID)
		h.train(ana)
		h.wants(ana.ID, "released", "practitioner")
		s := h.staff("ben", "cleo", "dan", "eve")
		h.change(mercy, s["eve"].ID, email("other@mail.example")) // and now eve's wrong address is confirmed
		wrong := confirm(s["eve"].ID)
		h.change(mercy, s["eve"].ID, set("active", false), email("third@mail.example"))
		for _, id := range []string{ana.ID, s["ben"].ID, s["cleo"].ID, s["dan"].ID} {
			h.change(mercy, id, email("frontdesk@mail.example"))
		}
		h.tripped(5, 5, small)
		h.wants(ana.ID, "suspended", "", "email")
		h.listed(h.restore(false), nil)
		h.wants(ana.ID, "released", "practitioner")
		h.wants(s["ben"].ID, "released", "practitioner")
		counts := func(user string, e storage.Evidence) bool {
			all, err := h.store.ListEvidence(h.ctx, user)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(all, func(o storage.Evidence) bool { return o.ID == e.ID })
			return all[i].Revoked == nil && all[i].RevokedWhy == ""
		}
		if !counts(ana.ID, hers) {
			t.Error("what confirmed ana's address does not count")
		}
		// Eve went from bad to worse, and is back where she was before; what was said
		// of the address in between does not count.
		if u := h.get(s["eve"].ID); u.Email != "eve@mail.example" || counts(u.ID, wrong) {
			t.Errorf("eve has %s, the one in between counts: %v", u.Email, counts(u.ID, wrong))
		}
	})
}

// Who recorded evidence on a user after their approval had ended does not have
// it back: two people stay two.
func TestRestoreKeepsTwoPeopleApart(t *testing.T) {
	h := newHouse(t)
	s := h.staff("ana", "ben", "cleo", "dan")
	lou := h.train(h.create(mercy, person("lou", "Emergency Medicine Physician")))
	may := h.train(h.create(mercy, person("may", "Emergency Medicine Physician")))
	for _, u := range []storage.User{lou, may} {
		if _, err := h.Approve(h.ctx, erin, u.ID, true, "ED attending", u.Version); err != nil {
			t.Fatal(err)
		}
		h.wants(u.ID, "released", "practitioner-btg")
	}
	h.leave(s["ana"].ID, s["ben"].ID, s["cleo"].ID, s["dan"].ID, lou.ID, may.ID)
	if _, err := h.RecordEvidence(h.ctx, erin, lou.ID, lifecycle.EvidenceSpec{Module: "nys-policy", CompletedAt: h.Now().Add(-time.Hour)}); err != nil {
		t.Fatal(err)
	}
	h.restore(false)
	h.wants(lou.ID, "released", "practitioner", "approval")
	h.wants(may.ID, "released", "practitioner-btg")
}

// Alerts that were given up while access was suspended stay given up.
func TestRestoreGivesBackNoAlertsThatWereGivenUp(t *testing.T) {
	h := newHouse(t)
	s := h.staff("ana", "ben", "cleo", "dan", "eve")
	alerts := func(name, value string) {
		if _, err := h.SetClinicalAlerts(h.ctx, dana, "", s[name].ID, value); err != nil {
			t.Fatal(err)
		}
	}
	alerts("ana", "alerts")
	alerts("ben", "alerts")
	h.change(mercy, s["ana"].ID, set("title", nil))
	if u := h.wants(s["ana"].ID, "suspended", "", "title"); u.ClinicalAlerts != "alerts" {
		t.Errorf("suspended with alerts %q", u.ClinicalAlerts)
	}
	alerts("ana", "none")
	for _, u := range s {
		h.leave(u.ID)
	}
	if u := h.get(s["ben"].ID); u.ClinicalAlerts != "none" {
		t.Errorf("revoked with alerts %q", u.ClinicalAlerts)
	}
	h.restore(false)
	if a, b := h.get(s["ana"].ID).ClinicalAlerts, h.get(s["ben"].ID).ClinicalAlerts; a != "none" || b != "alerts" {
		t.Errorf("restored with alerts %q and %q, want none and alerts", a, b)
	}
}

// Thirty days are over by the clock, not by the sweep.
func TestNothingIsRestoredAfterThirtyDays(t *testing.T) {
	h := newHouse(t)
	people := h.crowd("a", 6)
	h.leave(people...)
	h.tripped(5, 6, small)
	h.clock.pass(lifecycle.BreakerStaged)
	for _, dry := range []bool{true, false} {
		_, err := h.Restore(h.ctx, dana, lifecycle.RestoreSpec{Participant: "mercy", DryRun: dry}, nil)
		wantsKind(t, err, lifecycle.KindRefused)
	}
	if h.get(people[0]).Active {
		t.Error("somebody came back")
	}
}

// latecomer is a store whose list of open cases is read before others act.
type latecomer struct {
	storage.Store
	open []storage.BreakerCase
}

func (l *latecomer) ListOpenCases(context.Context) ([]storage.BreakerCase, error) { return l.open, nil }

// A sweep that looked before another case opened closes none but the one it saw.
func TestSweepClosesTheCaseItSaw(t *testing.T) {
	h := newHouse(t)
	people := h.crowd("a", 12)
	h.leave(people[:6]...)
	first := h.tripped(5, 12, daily)
	h.clock.pass(lifecycle.BreakerStaged - time.Hour)
	if _, err := h.AcceptLosses(h.ctx, dana, "mercy"); err != nil {
		t.Fatal(err)
	}
	h.leave(people[6:]...)
	second := h.open()
	h.clock.pass(2 * time.Hour)
	sweeper, err := lifecycle.New(lifecycle.Options{
		Store: &latecomer{Store: h.store, open: []storage.BreakerCase{first}}, Mailer: h.post, Key: bytes.Repeat([]byte("k"), 32), Clock: h.clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sweeper.Sweep(h.ctx); err != nil {
		t.Fatal(err)
	}
	if c := h.open(); c == nil || c.ID != second.ID {
		t.Errorf("open is %+v, want the second case", c)
	}
}

// Somebody deleted, taken in anew and deleted again is staged twice under one
// name: one of the two comes back, and a dry run says so.
func TestDryRunSeesOneNameTwice(t *testing.T) {
	h := newHouse(t)
	people := h.crowd("a", 6)
	h.remove(people[0])
	again := h.create(mercy, person("a000", "Registered Nurse"))
	h.remove(append(people[1:], again.ID)...)
	h.tripped(5, 7, small)
	tried, done := h.restore(true), h.restore(false)
	if done.Restored != 6 || len(done.Listed) != 1 || tried.Restored != done.Restored || !slices.Equal(tried.Listed, done.Listed) {
		t.Errorf("a dry run said %+v, and it came to %+v", tried, done)
	}
}

// What a provider takes while its participant is suspended would be missing when
// it is resumed: it is counted, and can be given back.
func TestBreakerCountsWhileSuspended(t *testing.T) {
	h := newHouse(t)
	s := h.staff("ana", "ben", "cleo", "dan", "eve", "finn")
	if _, err := h.SuspendParticipant(h.ctx, dana, "mercy", "unpaid"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ana", "ben", "cleo", "dan", "eve"} {
		h.change(mercy, s[name].ID, set("title", nil))
	}
	h.tripped(5, 6, small)
	h.restore(false)
	if _, err := h.ResumeParticipant(h.ctx, dana, "mercy"); err != nil {
		t.Fatal(err)
	}
	for _, u := range s {
		h.wants(u.ID, "released", "practitioner")
	}
}

// A participant's own user managers write for it, too.
func TestBreakerCountsUserManagers(t *testing.T) {
	h := newHouse(t)
	manager := lifecycle.Actor{Kind: "aum", Subject: "max@mercy.example", Participant: "mercy"}
	for i, id := range h.crowd("a", 9)[:5] {
		if i == 4 {
			h.untripped("at 4 of 9")
		}
		u := h.get(id)
		if _, err := h.Deactivate(h.ctx, manager, "mercy", id, lifecycle.Identity{GivenName: u.GivenName, FamilyName: u.FamilyName, Email: u.Email}); err != nil {
			t.Fatal(err)
		}
	}
	h.tripped(5, 9, small)
	h.listed(h.restore(false), nil)
}

// Who comes back is decided by the policy in force, carried out or not: nobody
// has again what a newer version took.
func TestRestoreUnderANewerPolicy(t *testing.T) {
	for name, carried := range map[string]bool{"carried out": true, "just in force": false} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			s := h.staff("ana", "ben", "cleo", "dan", "eve", "finn")
			h.leave(s["ana"].ID, s["ben"].ID)
			h.remove(s["cleo"].ID)
			h.change(mercy, s["dan"].ID, set("title", nil))
			h.change(mercy, s["eve"].ID, set("title", "Chief Vibes Officer"))
			h.tripped(5, 6, small)
			p, _ := h.planned(lifecycle.PlanSpec{Document: nursesAsStaff(t)})
			if _, err := h.ConfirmPlan(h.ctx, erin, p.ID); err != nil {
				t.Fatal(err)
			}
			if carried {
				h.applied(p.ID)
			} else {
				h.inForce(p.ID)
			}
			h.listed(h.restore(false), nil)
			for _, name := range []string{"ana", "ben", "cleo", "dan", "eve"} {
				u := h.wants(s[name].ID, "released", "clinical-staff")
				if d := u.Access(h.Now()); slices.Contains(d.Permissions, "clinical.sensitive") || d.PolicyVersion != 2 {
					t.Errorf("%s has %v under version %d", name, d.Permissions, d.PolicyVersion)
				}
			}
		})
	}
}

// Somebody who left, was taken in anew by POST and left again is counted once,
// and comes back as they were before they left the second time.
func TestRestoreAfterARehire(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		s := h.staff("ana", "ben", "cleo", "dan", "eve", "finn", "gus", "hal", "ida")
		h.leave(s["ana"].ID)
		if back := h.create(mercy, person("ana", "Pharmacist")); back.ID != s["ana"].ID {
			t.Fatalf("ana came back as %s", back.ID)
		}
		now := h.wants(s["ana"].ID, "released", "practitioner")
		h.leave(s["ana"].ID, s["ben"].ID, s["cleo"].ID, s["dan"].ID)
		h.untripped("at 4 of 9")
		h.leave(s["eve"].ID)
		c := h.tripped(5, 9, small)
		// And once more while the case is open.
		h.create(mercy, person("ana", "Registered Nurse", set("displayName", "Third")))
		h.leave(s["ana"].ID)
		if n := h.tally(c); n.Staged != 5 {
			t.Errorf("staged are %+v", n)
		}
		h.listed(h.restore(false), nil)
		u := h.wants(s["ana"].ID, "released", "practitioner")
		if u.DisplayName != "Third" || u.Title != "Registered Nurse" || u.HealthixUsername != now.HealthixUsername {
			t.Errorf("ana came back as %q, %q, %s", u.DisplayName, u.Title, u.HealthixUsername)
		}
		h.recorded(u.ID, "user.restored", 1)
	})
}
