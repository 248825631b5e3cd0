package lifecycle_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// signing gives a house a key of the log.
func (h *house) signing() *house {
	h.t.Helper()
	s, err := lifecycle.New(lifecycle.Options{
		Store: h.store, Mailer: h.post, Key: bytes.Repeat([]byte("k"), 32), PortalURL: "https://portal.example", Clock: h.clock.Now, LogKeys: testKeys,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	if err := s.EnsureLogKey(h.ctx); err != nil {
		h.t.Fatal(err)
	}
	signing := *h
	signing.Service = s
	return &signing
}

var testKeys = []ed25519.PrivateKey{logKey(1)}

// sound checks the record and wants nothing to be found.
func (h *house) sound() lifecycle.CheckReport {
	h.t.Helper()
	r, err := h.CheckRecord(h.ctx, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, w := range r.Wrongs {
		h.t.Errorf("%s %s: %s", w.Table, w.ID, w.Detail)
	}
	if r.More > 0 {
		h.t.Errorf("and %d more", r.More)
	}
	return r
}

func (h *house) placed() {
	h.t.Helper()
	h.clock.pass(time.Hour) // a checkpoint is kept
	if _, err := h.SignedNow(h.ctx); err != nil {
		h.t.Fatal(err)
	}
}

// eventful lets everything happen in a house that the record has tables for.
// It answers somebody who has access, a link and every kind of row.
func eventful(h *house) (somebody string) {
	t := h.t
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	h.contacts("mercy", "aum@mercy.example")
	h.placed()
	s := h.staff("ana", "ben", "cleo", "dan", "eve", "finn", "gus", "hal", "ida", "jo")
	h.redeemed(s["ana"])
	must(h.ResendActivation(h.ctx, dana, "", s["cleo"].ID))
	lou := h.train(h.create(mercy, person("lou", "Emergency Medicine Physician")))
	lou, err := h.Approve(h.ctx, erin, lou.ID, true, "ED attending", lou.Version)
	must(err)
	h.redeemed(lou)
	for _, e := range []lifecycle.EvidenceSpec{{Gate: policy.GateEmail, Note: "the same human"}} {
		kept, err := h.RecordEvidence(h.ctx, dana, s["dan"].ID, e)
		must(err)
		_, err = h.RecordEvidence(h.ctx, dana, s["dan"].ID, e)
		must(err)
		must(h.RevokeEvidence(h.ctx, dana, s["dan"].ID, kept.ID, "it was another human"))
	}
	h.change(mercy, s["dan"].ID, email("dan.new@mail.example"))
	hold, err := h.Hold(h.ctx, dana, lou.ID, "lou is on leave")
	must(err)
	must(h.LiftHold(h.ctx, dana, lou.ID, hold.ID))
	_, err = h.Hold(h.ctx, dana, s["jo"].ID, "jo is on leave")
	must(err)

	member := func(names ...string) (all []storage.Member) {
		for _, name := range names {
			all = append(all, storage.Member{ID: s[name].ID, Type: "User"})
		}
		return all
	}
	draft := func(name string) lifecycle.GroupDraft {
		return lifecycle.GroupDraft{Document: storage.Document{"displayName": name, "externalId": "g-" + name}, Fold: json.RawMessage(`{}`)}
	}
	nurses, err := h.CreateGroup(h.ctx, mercy, draft("nurses"), member("ana", "ben", "cleo"))
	must(err)
	_, err = h.ChangeGroup(h.ctx, mercy, nurses.ID, func(storage.Group, func() ([]storage.Member, error)) (lifecycle.GroupDraft, storage.MemberChange, bool, error) {
		return draft("all nurses"), storage.MemberChange{Add: member("dan"), Remove: []string{s["cleo"].ID}}, true, nil
	})
	must(err)
	gone, err := h.CreateGroup(h.ctx, mercy, draft("gone"), member("ana"))
	must(err)
	must(h.DeleteGroup(h.ctx, mercy, gone.ID, nil))
	_, err = h.CreateGroup(h.ctx, mercy, draft("ward"), []storage.Member{{ID: nurses.ID, Type: "Group"}})
	must(err)

	// Many leave at once, and come back.
	h.leave(s["ben"].ID, s["eve"].ID, s["finn"].ID, s["gus"].ID, lou.ID)
	h.remove(s["hal"].ID)
	if h.open() == nil {
		t.Fatal("the breaker did not trip")
	}
	h.restore(false)
	h.work()
	h.wants(lou.ID, "released", "practitioner-btg")

	p, _ := h.planned(lifecycle.PlanSpec{Document: nursesAsStaff(t)})
	confirmed, err := h.ConfirmPlan(h.ctx, erin, p.ID)
	must(err)
	h.applied(confirmed.ID)
	h.work()

	credentials(h)
	north := h.create(north, person("zoe", "Registered Nurse"))
	_, err = h.SuspendParticipant(h.ctx, dana, "north", "no agreement")
	must(err)
	h.clock.pass(time.Hour)
	h.change(lifecycle.Actor{Kind: "provider", Subject: "okta", Participant: "north"}, north.ID, set("active", false))
	h.clock.pass(time.Hour)
	must(h.EraseUser(h.ctx, dana, north.ID, h.Now()))
	h.remove(s["ida"].ID)
	h.placed()

	err = h.store.Write(h.ctx, func(ctx context.Context, tx storage.Tx) error {
		for range 300 { // an inner node of the tree is kept at 256
			e, err := audit.Seal(audit.Draft{
				ID: uuid.Must(uuid.NewV7()).String(), At: tx.Now(), Participant: "mercy", Action: lifecycle.ActionRead, Actor: audit.Actor{Kind: "operator", Subject: "dana@healthix.example"},
			}, bytes.NewReader(nil))
			if err != nil {
				return err
			}
			if err := tx.Append(ctx, e); err != nil {
				return err
			}
		}
		return nil
	})
	must(err)
	h.placed()
	h.change(mercy, lou.ID, set("department", "ER")) // waits for its position
	return lou.ID
}

func TestCheckFindsNothingWhereNothingIsWrong(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, address string) {
		h := newHouseAt(t, address).signing()
		eventful(h)
		r := h.sound()
		if r.Entries < 400 || r.Waiting != 2 || r.Checkpoints < 3 || r.Users != 12 || r.Groups != 3 || r.Participants != 2 || r.Policies != 2 || r.Clients != 3 || r.Tokens != 6 || r.Versions < 50 || r.Root == "" || r.Signed == 0 {
			t.Errorf("looked at %+v", r)
		}
	})
}

// A recovery voids every link that was not used, and has one entry for all.
func TestCheckAfterARecovery(t *testing.T) {
	h := newHouse(t).signing()
	s := h.staff("ana", "ben")
	h.redeemed(s["ana"])
	if _, err := h.Recover(h.ctx, dana, "disk of server 3", true); err != nil {
		t.Fatal(err)
	}
	h.sound()
}

// What touches entries shows in an export too: making one does not judge, and
// whoever verifies it needs neither the database nor its owner.
func TestWhatACheckFindsInEntriesAnExportShows(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, address string) {
		h := newHouseAt(t, address).signing()
		m := newMeddler(t, h, address, eventful(h))
		keys, err := h.LogKeys(h.ctx)
		if err != nil {
			t.Fatal(err)
		}
		verified := func() error {
			var file bytes.Buffer
			h.clock.pass(time.Second)
			if err := h.ExportLog(h.ctx, &file, dana, "", nil, nil); err != nil {
				return err
			}
			_, err := audit.Verify(&file, keys, audit.VerifyOptions{})
			return err
		}
		if err := verified(); err != nil {
			t.Fatal(err)
		}
		for _, one := range []struct{ table, column string }{
			{"audit_entry", "canonical"}, {"audit_personal", "value"}, {"audit_personal", "salt"}, {"audit_position", "leaf"}, {"audit_position", "number"},
			{"audit_position", "entry_id"}, {"policy_version", "document"},
		} {
			names, types := m.columns(one.table)
			where, key := m.taken(one.table)
			value := m.other(one.table, one.column, types[slices.Index(names, one.column)])
			if one.column == "leaf" { // a hash that is longer is read as one
				value = "(select b.leaf from audit_position b where b.position = 8)"
			}
			m.do("update " + one.table + " set " + one.column + " = " + value + " where " + where)
			if err := verified(); err == nil {
				t.Errorf("%s.%s of %v: an export verifies", one.table, one.column, key)
			}
			m.back(one.table, where)
		}
		if err := verified(); err != nil {
			t.Error(err)
		}
	})
}

// Deeds go on while a check reads, and it takes none of them for a finding.
func TestCheckOfALiveHouse(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, address string) {
		h := newHouseAt(t, address).signing()
		lou := eventful(h)
		ctx, stop := context.WithCancel(t.Context())
		var busy sync.WaitGroup
		busy.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				h.change(mercy, lou, set("department", fmt.Sprintf("ER %d", i)))
				hold, err := h.Hold(h.ctx, dana, lou, "on leave")
				if err == nil {
					err = h.LiftHold(h.ctx, dana, lou, hold.ID)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
		busy.Go(func() {
			for ctx.Err() == nil {
				if _, err := h.Place(ctx); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
		for began := time.Now(); time.Since(began) < 2*time.Second; {
			h.sound()
		}
		stop()
		busy.Wait()
		h.sound()
	})
}
