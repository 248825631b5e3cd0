package lifecycle_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// restore restores at mercy.
func (h *house) restore(dry bool, except ...string) lifecycle.Restored {
	h.t.Helper()
	r, err := h.Restore(h.ctx, dana, lifecycle.RestoreSpec{Participant: "mercy", Except: except, DryRun: dry}, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

// listed checks whom a restore lists, and that it says why.
func (h *house) listed(r lifecycle.Restored, want map[string]string) {
	h.t.Helper()
	got := map[string]string{}
	for _, l := range r.Listed {
		got[l.ID] = l.Reason
	}
	for id, why := range want {
		if !strings.Contains(got[id], why) {
			h.t.Errorf("%s is listed with %q, want %q", id, got[id], why)
		}
	}
	if len(got) != len(want) {
		h.t.Errorf("listed are %v", got)
	}
}

// redeemed lets somebody use their link.
func (h *house) redeemed(u storage.User) {
	h.t.Helper()
	h.work()
	if _, err := h.Redeem(h.ctx, door, h.code(u.Email), ""); err != nil {
		h.t.Fatal(err)
	}
}

// everything is what the record and the tables hold, to see that nothing moved.
func (h *house) everything(ids []string, c storage.BreakerCase) string {
	h.t.Helper()
	entries, err := h.store.ListEntries(h.ctx, "")
	if err != nil {
		h.t.Fatal(err)
	}
	jobs, err := h.store.ListJobs(h.ctx, "", -1)
	if err != nil {
		h.t.Fatal(err)
	}
	all := map[string]any{"entries": len(entries), "jobs": len(jobs), "case": h.open(), "tally": h.tally(c)}
	for _, id := range ids {
		history, err := h.store.ListHistory(h.ctx, id)
		if err != nil {
			h.t.Fatal(err)
		}
		approvals, err := h.store.ListApprovals(h.ctx, id)
		if err != nil {
			h.t.Fatal(err)
		}
		losses, err := h.store.ListLosses(h.ctx, c.ID, id)
		if err != nil {
			h.t.Fatal(err)
		}
		all[id] = []any{len(history), approvals, losses}
	}
	text, err := json.Marshal(all)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(text)
}

func TestRestore(t *testing.T) { onBothEngines(t, restoreEverything) }

func restoreEverything(t *testing.T, h *house) {
	s := h.staff("ana", "ben", "cleo", "dan", "eve", "finn", "gus", "hal", "ida", "jo", "kay")
	h.redeemed(s["ana"])
	if _, err := h.SetClinicalAlerts(h.ctx, dana, "", s["ana"].ID, "alerts-plus"); err != nil {
		t.Fatal(err)
	}
	group, err := h.CreateGroup(h.ctx, mercy, lifecycle.GroupDraft{Document: storage.Document{"displayName": "Nurses"}, Fold: json.RawMessage(`{}`)},
		[]storage.Member{{ID: s["ben"].ID, Type: "User"}, {ID: s["ana"].ID, Type: "User"}})
	if err != nil {
		t.Fatal(err)
	}
	gone, err := h.CreateGroup(h.ctx, mercy, lifecycle.GroupDraft{Document: storage.Document{"displayName": "Night shift"}, Fold: json.RawMessage(`{}`)},
		[]storage.Member{{ID: s["ben"].ID, Type: "User"}})
	if err != nil {
		t.Fatal(err)
	}
	lou := h.train(h.create(mercy, person("lou", "Emergency Medicine Physician")))
	lou, err = h.Approve(h.ctx, erin, lou.ID, true, "ED attending", lou.Version)
	if err != nil {
		t.Fatal(err)
	}
	h.redeemed(lou)
	h.wants(lou.ID, "released", "practitioner-btg")
	may := h.create(mercy, person("may", "Registered Nurse")) // never released
	names := map[string]string{}
	for _, u := range s {
		names[u.ID] = u.HealthixUsername
	}
	h.work()
	before := len(h.post.mails)

	h.leave(s["ana"].ID, may.ID)
	h.remove(s["ben"].ID, s["cleo"].ID)
	h.change(mercy, lou.ID, set("title", "Chief Vibes Officer"), set("displayName", "Nobody"))
	h.change(mercy, s["dan"].ID, set("title", nil))
	h.leave(s["dan"].ID) // from bad to worse: how it was before the first counts
	h.leave(s["eve"].ID, s["finn"].ID, s["gus"].ID, s["hal"].ID, s["ida"].ID)
	h.change(mercy, s["jo"].ID, set("title", "Chief Vibes Officer"))
	c := h.tripped(5, 13, daily) // ana, may, ben, cleo, lou; the others join

	// Meanwhile the world goes on.
	h.create(mercy, person("cleo2", "Registered Nurse", set("userName", "cleo"), set("externalId", "hr-other")))
	h.change(mercy, s["eve"].ID, set("active", true), set("displayName", "Eve again"))
	h.create(north, person("thief", "Registered Nurse", email("finn@mail.example")))
	h.create(mercy, person("heir", "Registered Nurse", email("gus@mail.example")))
	h.byHand(s["jo"].ID)
	h.change(mercy, s["ida"].ID, set("displayName", "Ida L."))
	if err := h.DeleteGroup(h.ctx, mercy, gone.ID, nil); err != nil {
		t.Fatal(err)
	}
	h.work()
	between := len(h.post.mails)

	want := map[string]string{
		s["cleo"].ID: "userName is in use",
		s["eve"].ID:  "changed after the loss and is active",
		s["ida"].ID:  "changed after the loss and is not active",
		s["jo"].ID:   "changed after the loss and is not active",
	}
	_, err = h.Restore(h.ctx, dana, lifecycle.RestoreSpec{Participant: "mercy", Except: []string{s["hal"].ID, s["kay"].ID}}, nil)
	wantsKind(t, err, lifecycle.KindInvalid) // kay lost nothing
	ids := append(slices.Collect(maps.Keys(names)), lou.ID, may.ID)
	state := h.everything(ids, c)
	tried := h.restore(true, s["hal"].ID)
	h.listed(tried, want)
	if now := h.everything(ids, c); now != state {
		t.Errorf("a dry run changed something:\n%s\n%s", state, now)
	}

	r := h.restore(false, s["hal"].ID)
	h.listed(r, want)
	if r.Restored != 7 || r.Excepted != 1 || tried.Restored != 7 || tried.Excepted != 1 {
		t.Errorf("restored are %d, left out %d; a dry run said %d, %d", r.Restored, r.Excepted, tried.Restored, tried.Excepted)
	}
	h.wants(s["ana"].ID, "released", "practitioner")
	h.wants(s["ben"].ID, "released", "practitioner")
	h.wants(s["dan"].ID, "released", "practitioner")
	h.wants(lou.ID, "released", "practitioner-btg")
	h.wants(s["finn"].ID, "suspended", "", "email")
	h.wants(s["gus"].ID, "suspended", "", "email")
	h.wants(s["hal"].ID, "revoked", "")
	h.wants(may.ID, "pending", "", "training")
	if u := h.get(s["ana"].ID); u.ClinicalAlerts != "alerts-plus" || u.HealthixUsername != names[u.ID] || !u.Active || u.Document["active"] != true {
		t.Errorf("ana came back as %+v", u)
	}
	if u := h.get(s["ben"].ID); u.HealthixUsername != names[u.ID] || u.Deleted != nil {
		t.Errorf("ben came back as %+v", u)
	}
	if u := h.get(lou.ID); u.DisplayName != "" || u.Title != "Emergency Medicine Physician" {
		t.Errorf("lou came back as %q, %q", u.DisplayName, u.Title)
	}
	if u := h.get(s["eve"].ID); u.DisplayName != "Eve again" {
		t.Errorf("eve is %q", u.DisplayName)
	}
	if _, err := h.store.GetUser(h.ctx, "", s["cleo"].ID); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("cleo: %v", err)
	}
	members, err := h.store.ListMembers(h.ctx, group.ID)
	if err != nil || len(members) != 2 {
		t.Errorf("members %v, %v", members, err)
	}
	if h.open() != nil {
		t.Error("the case is open after the restore")
	}
	h.recorded("mercy", "breaker.restored", 1)
	h.recorded(s["ben"].ID, "user.restored", 1)
	h.recorded(s["cleo"].ID, "user.not-restored", 1)
	h.recorded(s["hal"].ID, "user.not-restored", 1)

	// No credential goes out again; who was told that access was closed hears
	// that it is back.
	h.work()
	got := map[string][]string{}
	for _, m := range h.post.mails[between:] {
		kind, _, _ := strings.Cut(m.ID, ".")
		got[m.To] = append(got[m.To], kind)
	}
	if len(got) != 1 || !slices.Equal(got["lou@mail.example"], []string{"returned"}) {
		t.Errorf("the restore mailed %v", got)
	}
	if between == before {
		t.Error("nobody was told anything; this test would not see a mail")
	}

	// Asked again, it answers the same and does nothing.
	again := h.restore(false, s["hal"].ID)
	h.listed(again, want)
	if again.Restored != 7 {
		t.Errorf("asked again, restored are %d", again.Restored)
	}
	h.recorded(s["ben"].ID, "user.restored", 1)

	// The provider has the last word, and is counted anew.
	h.leave(s["ana"].ID, s["ben"].ID, s["dan"].ID, lou.ID)
	h.untripped("by four")
	h.wants(s["ana"].ID, "revoked", "")
	h.leave(s["finn"].ID)
	h.tripped(5, 15, daily)
}

// A restored user whose role was changing keeps what was in force.
func TestRestoreKeepsATransition(t *testing.T) {
	h := newHouse(t)
	s := h.staff("ana", "ben", "cleo", "dan", "eve")
	h.change(mercy, s["ana"].ID, set("title", "Front Desk Receptionist"))
	was := h.get(s["ana"].ID).Access(h.Now())
	if was.Status != "released" || was.Role == "practitioner" {
		t.Fatalf("before: %+v", was)
	}
	for _, u := range s {
		h.remove(u.ID)
	}
	h.restore(false)
	now := h.get(s["ana"].ID).Access(h.Now())
	if now.Status != "released" || !slices.Equal(now.Permissions, was.Permissions) || now.RequestedRole != was.RequestedRole {
		t.Errorf("ana had %v, has %v (%s)", was.Permissions, now.Permissions, now.Reason)
	}
}

// Gates are checked again: a hold placed meanwhile holds, and training that
// expired is missing.
func TestRestoreChecksGates(t *testing.T) {
	h := newHouse(t)
	s := h.staff("ana", "ben", "cleo", "dan", "eve")
	for _, u := range s {
		h.change(mercy, u.ID, set("title", nil))
	}
	h.tripped(5, 5, small)
	if _, err := h.Hold(h.ctx, dana, s["ana"].ID, "under review"); err != nil {
		t.Fatal(err)
	}
	evidence, err := h.store.ListEvidence(h.ctx, s["ben"].ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.RevokeEvidence(h.ctx, dana, s["ben"].ID, evidence[0].ID, "the wrong person"); err != nil {
		t.Fatal(err)
	}
	if r := h.restore(false); r.Restored != 5 {
		t.Errorf("%+v", r)
	}
	h.wants(s["ana"].ID, "suspended", "", "hold")
	h.wants(s["ben"].ID, "suspended", "", "training")
	h.wants(s["cleo"].ID, "released", "practitioner")
}

// mortal is a store whose process dies after so many transactions.
type mortal struct {
	storage.Store
	left atomic.Int32
}

var errKilled = errors.New("killed")

func (m *mortal) Write(ctx context.Context, f func(context.Context, storage.Tx) error) error {
	if m.left.Add(-1) < 0 {
		return errKilled
	}
	return m.Store.Write(ctx, f)
}

func TestRestoreGoesOnAfterACrash(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		s := h.staff("ana", "ben", "cleo", "dan", "eve", "finn")
		ids := []string{s["ana"].ID, s["ben"].ID, s["cleo"].ID, s["dan"].ID, s["eve"].ID, s["finn"].ID}
		h.leave(ids...)
		c := h.tripped(5, 6, small)
		dying := &mortal{Store: h.store}
		dying.left.Store(4) // the beginning, and three people
		first, err := lifecycle.New(lifecycle.Options{Store: dying, Mailer: h.post, Key: bytes.Repeat([]byte("k"), 32), Clock: h.clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		spec := lifecycle.RestoreSpec{Participant: "mercy", Except: []string{s["finn"].ID}}
		if _, err := first.Restore(h.ctx, dana, spec, nil); !errors.Is(err, errKilled) {
			t.Fatalf("it was not killed: %v", err)
		}
		n := h.tally(c)
		if n.Restored+n.Excepted != 3 || n.Staged != 3 {
			t.Fatalf("the killed process left %+v", n)
		}
		_, err = h.Restore(h.ctx, dana, lifecycle.RestoreSpec{Participant: "mercy"}, nil)
		wantsKind(t, err, lifecycle.KindRefused) // not the one that is under way

		// What the provider writes meanwhile is obeyed, and no restore undoes it.
		back := slices.IndexFunc(ids, func(id string) bool { return id != s["finn"].ID && h.get(id).Active })
		h.remove(ids[back])

		jobs, err := h.store.ListJobs(h.ctx, "scheduled", 10)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(jobs, func(j storage.Job) bool { return j.Kind == lifecycle.JobRestore })
		if i < 0 {
			t.Fatalf("no job goes on with it: %+v", jobs)
		}
		for range 2 { // a job may run again
			if err := h.Do(h.ctx, jobs[i]); err != nil {
				t.Fatal(err)
			}
		}
		r, err := h.Restore(h.ctx, dana, spec, nil)
		if err != nil || r.Restored != 5 || r.Excepted != 1 || len(r.Listed) != 0 {
			t.Errorf("%+v, %v", r, err)
		}
		for i, id := range ids {
			switch {
			case id == s["finn"].ID:
				h.wants(id, "revoked", "")
				h.recorded(id, "user.not-restored", 1)
			case i == back:
				h.recorded(id, "user.restored", 1)
				if _, err := h.store.GetUser(h.ctx, "", id); !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("who was deleted after coming back: %v", err)
				}
			default:
				h.wants(id, "released", "practitioner")
				h.recorded(id, "user.restored", 1)
			}
		}
	})
}

// Losses that come while a restore is under way are weighed when it is done.
func TestLossesDuringARestoreAreCountedAnew(t *testing.T) {
	h := newHouse(t)
	people := h.crowd("a", 12)
	h.leave(people[:6]...)
	first := h.tripped(5, 12, daily)
	dying := &mortal{Store: h.store}
	dying.left.Store(1)
	dead, err := lifecycle.New(lifecycle.Options{Store: dying, Mailer: h.post, Key: bytes.Repeat([]byte("k"), 32), Clock: h.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dead.Restore(h.ctx, dana, lifecycle.RestoreSpec{Participant: "mercy"}, nil); !errors.Is(err, errKilled) {
		t.Fatalf("it was not killed: %v", err)
	}
	h.leave(people[6:]...)
	if n := h.tally(first); n.Staged != 6 {
		t.Errorf("the case stages %+v", n)
	}
	if r := h.restore(false); r.Restored != 6 {
		t.Errorf("%+v", r)
	}
	if c := h.tripped(6, 12, daily); c.ID == first.ID {
		t.Error("the old case is open still")
	}
	for i, id := range people {
		if h.get(id).Active != (i < 6) {
			t.Errorf("person %d is active: %v", i, i >= 6)
		}
	}
}

// Accepting while a restore is under way ends it.
func TestAcceptEndsARestore(t *testing.T) {
	h := newHouse(t)
	people := h.crowd("a", 6)
	h.leave(people...)
	var once atomic.Bool
	_, err := h.Restore(h.ctx, dana, lifecycle.RestoreSpec{Participant: "mercy"}, func(done, total int) {
		if once.CompareAndSwap(false, true) {
			if total != 6 {
				t.Errorf("of %d", total)
			}
			if _, err := h.AcceptLosses(h.ctx, erin, "mercy"); err != nil {
				t.Error(err)
			}
		}
	})
	wantsKind(t, err, lifecycle.KindRefused)
	active := 0
	for _, id := range people {
		if h.get(id).Active {
			active++
		}
	}
	if active != 1 {
		t.Errorf("%d came back, one of them before the losses were accepted", active)
	}
}

func TestRestoreLooksAtExternalIDs(t *testing.T) {
	h := newHouse(t)
	for _, shared := range []bool{false, true} {
		if _, err := h.ChangeParticipant(h.ctx, dana, "mercy", func(p *storage.Participant) error { p.Settings.SharedExternalID = shared; return nil }); err != nil {
			t.Fatal(err)
		}
		people := h.crowd(map[bool]string{false: "a", true: "b"}[shared], 5)
		taken := h.get(people[0]).ExternalID
		h.remove(people...)
		h.create(mercy, person(map[bool]string{false: "x", true: "y"}[shared], "Registered Nurse", set("externalId", taken)))
		r := h.restore(false)
		if shared {
			h.listed(r, nil)
			continue
		}
		h.listed(r, map[string]string{people[0]: "externalId is in use"})
		h.clock.pass(25 * time.Hour)
		h.byHand(people[1:]...)
		h.clock.pass(25 * time.Hour)
	}
}

// A restore runs while the provider goes on writing: both end well, and whoever
// the provider wrote last is as it wrote.
func TestRestoreAmongDeeds(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		people := h.crowd("a", 40)
		h.leave(people[:30]...)
		h.tripped(13, 40, daily)
		final := make([]string, len(people)) // what the provider wrote last
		var writers sync.WaitGroup
		for w := range 3 {
			writers.Go(func() {
				for i := w; i < len(people); i += 3 {
					id := people[i]
					var err error
					switch i % 4 {
					case 0:
						_, err = h.tryChange(mercy, id, set("active", true), set("displayName", "Wanted"))
						final[i] = "active"
					case 1:
						_, err = h.tryChange(mercy, id, set("active", false), set("displayName", "Unwanted"))
						final[i] = "inactive"
					case 2:
						err = h.DeleteUser(h.ctx, mercy, id, nil)
						final[i] = "gone"
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
		r := h.restore(false)
		writers.Wait()
		if n := r.Restored + len(r.Listed); n < 13 {
			t.Errorf("%+v", r)
		}
		for i, id := range people {
			u, err := h.store.GetUser(h.ctx, "", id)
			got := "inactive"
			switch {
			case errors.Is(err, storage.ErrNotFound):
				got = "gone"
			case err != nil:
				t.Error(err)
			case u.Active:
				got = "active"
			}
			if final[i] == "" {
				final[i] = "active" // restored, or never touched
			}
			if got != final[i] {
				t.Errorf("person %d is %s, want %s", i, got, final[i])
			}
		}
	})
}
