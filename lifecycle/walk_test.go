package lifecycle_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/sqlstore"
)

// known is what the walk's titles lead to, written down here a second time.
var known = map[string]struct {
	role     string
	modules  []string
	approval bool
	until    string
}{
	"Registered Nurse":             {role: "practitioner", modules: []string{"nys-policy", "clinical-access"}},
	"Emergency Medicine Physician": {role: "practitioner-btg", modules: []string{"nys-policy", "clinical-access", "break-the-glass"}, approval: true, until: "practitioner"},
	"Front Desk Receptionist":      {role: "registration-consent", modules: []string{"nys-policy", "hosted-registration"}},
	"Certified Nursing Assistant":  {role: "clinical-staff", modules: []string{"nys-policy", "clinical-access"}},
	"Privacy Officer":              {role: "privacy-audit", modules: []string{"nys-policy"}, approval: true},
	"Chaplain":                     {role: "no-access"},
}

var permissionsOf = map[string][]string{
	"practitioner":         {"patient.search", "consent.write", "clinical.summary", "clinical.full", "clinical.sensitive"},
	"practitioner-btg":     {"patient.search", "consent.write", "clinical.summary", "clinical.full", "clinical.sensitive", "emergency.override"},
	"registration-consent": {"patient.search", "consent.write"},
	"clinical-staff":       {"patient.search", "consent.write", "clinical.summary", "clinical.full"},
	"privacy-audit":        {"accesslog.read"},
	"no-access":            {},
}

var (
	walkTitles    = []string{"Registered Nurse", "Emergency Medicine Physician", "Front Desk Receptionist", "Certified Nursing Assistant", "Privacy Officer", "Chaplain", "Chief Vibes Officer", ""}
	walkAddresses = []string{"a@mail.example", "b@mail.example", "c@mail.example", "frontdesk@mail.example", ""}
	walkModules   = []string{"nys-policy", "clinical-access", "break-the-glass", "hosted-registration"}
)

// walked is what the walk remembers of a user beside what the store says.
type walked struct {
	id, participant string
	username        string
	everReleased    bool     // since the last create, reactivation or rehire
	before          []string // permissions seen after the previous step
	titleBefore     string
}

// TestWalk does deeds at random and looks after each at everybody: the status
// is what the rules say, no permission is in force that no rule allows, and
// every version is on record.
func TestWalk(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		h := newHouse(t)
		w := &walk{house: h, r: r}
		actions := w.deeds()
		actions["time"], actions[""] = w.time, w.look
		actions["jobs"] = func(*rapid.T) { h.work() }
		r.Repeat(actions)
		h.work()
		w.look(r)
		w.record(r)
	})
}

// checked lets the record be checked, in which nothing is wrong.
func (h *house) checked(r *rapid.T) {
	report, err := h.CheckRecord(h.ctx, nil)
	if err != nil || !report.Sound() {
		r.Fatalf("a check finds %+v, %v", report.Wrongs, err)
	}
}

// deeds are what may be done to people, by the name that rapid prints.
func (w *walk) deeds() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"create":      w.create,
		"title":       func(r *rapid.T) { w.edit(r, set("title", orNil(rapid.SampledFrom(walkTitles).Draw(r, "title")))) },
		"address":     w.address,
		"mobile":      w.mobile,
		"active":      func(r *rapid.T) { w.edit(r, set("active", rapid.Bool().Draw(r, "active"))) },
		"delete":      w.remove,
		"train":       w.trainOne,
		"unlearn":     w.unlearn,
		"approve":     w.approve,
		"hold":        w.hold,
		"lift":        w.lift,
		"participant": w.openOrClose,
		"sweep":       w.sweep,
	}
}

func (w *walk) time(r *rapid.T) {
	w.clock.pass(time.Duration(rapid.IntRange(1, 200).Draw(r, "days")) * 24 * time.Hour)
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

type walk struct {
	*house
	r       *rapid.T
	people  []*walked
	gone    []*walked // deleted
	made    int
	crashes bool // deeds may end without a word on whether they were done
}

func (w *walk) somebody(r *rapid.T) *walked {
	if len(w.people) == 0 {
		r.Skip("nobody yet")
	}
	return rapid.SampledFrom(w.people).Draw(r, "who")
}

// expected faults are refusals that the rules ask for.
func tolerate(r *rapid.T, err error) {
	if err == nil {
		return
	}
	expected := []lifecycle.Kind{lifecycle.KindTaken, lifecycle.KindRefused, lifecycle.KindNotFound}
	if !slices.Contains(expected, lifecycle.AsFault(err).Kind) {
		r.Fatalf("%v", err)
	}
}

// fine takes no error but the ones that the rules ask for and, where the walk
// crashes, that of a deed that nobody can say has been done.
func (w *walk) fine(r *rapid.T, err error, expected ...lifecycle.Kind) {
	if w.crashes {
		expected = append(expected, lifecycle.KindUnavailable)
	}
	if err != nil && !slices.Contains(expected, lifecycle.AsFault(err).Kind) {
		r.Fatalf("%v", err)
	}
}

func (w *walk) tolerates(r *rapid.T, err error) {
	w.fine(r, err, lifecycle.KindTaken, lifecycle.KindRefused, lifecycle.KindNotFound)
}

func (w *walk) create(r *rapid.T) {
	if len(w.people) >= 5 {
		r.Skip("enough")
	}
	w.made++
	at := rapid.SampledFrom([]lifecycle.Actor{mercy, north}).Draw(r, "at")
	name := fmt.Sprintf("p%d", w.made)
	_, err := w.CreateUser(w.ctx, at, person(name, rapid.SampledFrom(walkTitles).Draw(r, "title"),
		email(rapid.SampledFrom(walkAddresses[:4]).Draw(r, "address"))))
	w.tolerates(r, err)
	u, found, lost := w.store.FindUserName(w.ctx, at.Participant, name)
	if lost != nil {
		r.Fatal(lost)
	}
	if err == nil && !found {
		r.Fatalf("%s was created and is not there", name)
	}
	if found {
		w.people = append(w.people, &walked{id: u.ID, participant: at.Participant})
	}
}

func (w *walk) edit(r *rapid.T, edits ...func(storage.Document)) {
	p := w.somebody(r)
	was := w.get(p.id)
	_, err := w.tryChange(lifecycle.Actor{Kind: "provider", Participant: p.participant}, p.id, edits...)
	w.tolerates(r, err)
	if !was.Active && w.get(p.id).Active {
		p.everReleased, p.before = false, nil
	}
}

func (w *walk) address(r *rapid.T) {
	value := rapid.SampledFrom(walkAddresses).Draw(r, "address")
	if value == "" {
		w.edit(r, set("emails", nil))
		return
	}
	w.edit(r, email(value))
}

func (w *walk) mobile(r *rapid.T) {
	value := rapid.SampledFrom([]string{"+12125550123", "12", "call me"}).Draw(r, "number")
	w.edit(r, set("phoneNumbers", []any{map[string]any{"value": value, "type": "mobile"}}))
}

func (w *walk) remove(r *rapid.T) {
	if !rapid.Bool().Draw(r, "really") {
		r.Skip("kept")
	}
	p := w.somebody(r)
	done := w.DeleteUser(w.ctx, lifecycle.Actor{Kind: "provider", Participant: p.participant}, p.id, nil)
	w.fine(r, done)
	_, err := w.store.GetUser(w.ctx, "", p.id)
	if done != nil && err == nil {
		return // it was not done
	}
	w.people = slices.DeleteFunc(w.people, func(o *walked) bool { return o == p })
	w.gone = append(w.gone, p)
	if !errors.Is(err, storage.ErrNotFound) {
		r.Fatalf("a deleted user is found: %v", err)
	}
}

func (w *walk) trainOne(r *rapid.T) {
	p := w.somebody(r)
	_, err := w.RecordEvidence(w.ctx, dana, p.id, lifecycle.EvidenceSpec{
		Module: rapid.SampledFrom(walkModules).Draw(r, "module"), CompletedAt: w.Now().Add(-time.Duration(rapid.IntRange(0, 360).Draw(r, "ago")) * 24 * time.Hour), Source: "webinar",
	})
	w.tolerates(r, err)
}

func (w *walk) unlearn(r *rapid.T) {
	p := w.somebody(r)
	evidence, err := w.store.ListEvidence(w.ctx, p.id)
	if err != nil {
		r.Fatal(err)
	}
	if len(evidence) == 0 {
		r.Skip("nothing to revoke")
	}
	w.fine(r, w.RevokeEvidence(w.ctx, dana, p.id, rapid.SampledFrom(evidence).Draw(r, "evidence").ID, "wrong person"))
}

func (w *walk) approve(r *rapid.T) {
	p := w.somebody(r)
	_, err := w.Approve(w.ctx, erin, p.id, rapid.IntRange(0, 3).Draw(r, "yes") > 0, "looked at", w.get(p.id).Version)
	w.tolerates(r, err)
}

func (w *walk) hold(r *rapid.T) {
	_, err := w.Hold(w.ctx, dana, w.somebody(r).id, "why")
	w.fine(r, err)
}

func (w *walk) lift(r *rapid.T) {
	p := w.somebody(r)
	holds, err := w.store.ListHolds(w.ctx, p.id)
	if err != nil {
		r.Fatal(err)
	}
	for _, h := range holds {
		w.fine(r, w.LiftHold(w.ctx, dana, p.id, h.ID))
	}
}

func (w *walk) openOrClose(r *rapid.T) {
	id := rapid.SampledFrom([]string{"mercy", "north"}).Draw(r, "participant")
	var err error
	if rapid.Bool().Draw(r, "open") {
		_, err = w.ResumeParticipant(w.ctx, dana, id)
	} else {
		_, err = w.SuspendParticipant(w.ctx, dana, id, "why")
	}
	w.fine(r, err)
}

func (w *walk) sweep(r *rapid.T) {
	_, err := w.Sweep(w.ctx)
	w.fine(r, err)
}

// look holds everybody against the rules.
func (w *walk) look(r *rapid.T) {
	now := w.Now()
	open := map[string]int{} // addresses whose gate is open without evidence
	for _, p := range w.people {
		u := w.get(p.id)
		d := u.Access(now)
		w.gates(r, u, d, now)
		w.permissions(r, p, u, d)
		if d.Gate(policy.GateEmail).Open && u.Active && !w.has(r, u, policy.GateEmail, "", now) {
			if open[u.EmailKey]++; open[u.EmailKey] > 1 {
				r.Fatalf("two people hold %s", u.EmailKey)
			}
		}
		if d.Status == policy.StatusReleased {
			p.everReleased = true
			if u.HealthixUsername == "" || (p.username != "" && p.username != u.HealthixUsername) {
				r.Fatalf("username %q after %q", u.HealthixUsername, p.username)
			}
			p.username = u.HealthixUsername
		}
		if want := wantStatus(p, u, d); d.Status != want {
			r.Fatalf("%s is %s, the rules say %s: %s", u.UserName, d.Status, want, d.Reason)
		}
		if d.Reason == "" {
			r.Fatalf("%s: no sentence", u.UserName)
		}
		p.before, p.titleBefore = d.Permissions, u.Title
	}
}

func wantStatus(p *walked, u storage.User, d policy.Decision) policy.Status {
	switch {
	case !u.Active:
		return policy.StatusRevoked
	case known[u.Title].role == "no-access":
		return policy.StatusIneligible
	case len(d.Permissions) > 0:
		return policy.StatusReleased
	case p.everReleased:
		return policy.StatusSuspended
	default:
		return policy.StatusPending
	}
}

// has says whether live evidence is on record.
func (w *walk) has(r *rapid.T, u storage.User, gate policy.Gate, module string, now time.Time) bool {
	evidence, err := w.store.ListEvidence(w.ctx, u.ID)
	if err != nil {
		r.Fatal(err)
	}
	return slices.ContainsFunc(evidence, func(e storage.Evidence) bool {
		return e.Revoked == nil && e.Gate == gate && e.Module == module && (e.ValidUntil.IsZero() || now.Before(e.ValidUntil))
	})
}

// gates evaluates the gates a second time, from what is on record.
func (w *walk) gates(r *rapid.T, u storage.User, d policy.Decision, now time.Time) {
	p, err := w.store.GetParticipant(w.ctx, u.Participant)
	if err != nil {
		r.Fatal(err)
	}
	holds, err := w.store.ListHolds(w.ctx, u.ID)
	if err != nil {
		r.Fatal(err)
	}
	title, mapped := known[u.Title]
	phones, _ := u.Document["phoneNumbers"].([]any)
	mobile := len(phones) > 0 && phones[0].(map[string]any)["value"] == "+12125550123"
	want := map[policy.Gate]bool{
		policy.GateParticipant: p.Status == "active" && p.Mode == "live",
		policy.GateTitle:       mapped,
		policy.GateMobile:      mobile,
		policy.GateHold:        !slices.ContainsFunc(holds, func(h storage.Hold) bool { return h.Lifted == nil }),
	}
	if u.Email == "" || strings.HasPrefix(u.Email, "frontdesk") {
		want[policy.GateEmail] = false
	}
	expired := d.Status == policy.StatusSuspended && u.Decision.Status == policy.StatusReleased // not decided again yet
	if mapped && len(permissionsOf[title.role]) > 0 && !expired {
		if u.Decision.ValidUntil == nil || now.Before(*u.Decision.ValidUntil) {
			missing := !slices.ContainsFunc(title.modules, func(m string) bool { return !w.has(r, u, policy.GateTraining, m, u.Decision.DecidedAt) })
			want[policy.GateTraining] = missing
		}
	}
	for gate, open := range want {
		if d.Gate(gate).Open != open {
			r.Fatalf("%s: gate %s open %t, want %t\n%+v", u.UserName, gate, !open, open, d.Gates)
		}
	}
	_, hasApproval := find(d.Gates, policy.GateApproval)
	if hasApproval != (mapped && title.approval) {
		r.Fatalf("%s: approval listed: %t", u.UserName, hasApproval)
	}
	for _, hard := range []policy.Gate{policy.GateParticipant, policy.GateTitle, policy.GateEmail, policy.GateMobile, policy.GateHold} {
		if !d.Gate(hard).Open && len(d.Permissions) > 0 {
			r.Fatalf("%s holds %v while gate %s is closed", u.UserName, d.Permissions, hard)
		}
	}
	if u.Active && len(d.ClosedGates()) == 0 && mapped && len(permissionsOf[title.role]) > 0 && !w.pendingJob(r, u) {
		if !slices.Equal(d.Permissions, permissionsOf[title.role]) {
			r.Fatalf("%s: all gates are open and %v is in force: %+v", u.UserName, d.Permissions, d)
		}
	}
}

// pendingJob says whether a promised decision is still to come.
func (w *walk) pendingJob(r *rapid.T, u storage.User) bool {
	jobs, err := w.store.ListJobs(w.ctx, "", 10_000)
	if err != nil {
		r.Fatal(err)
	}
	return slices.ContainsFunc(jobs, func(j storage.Job) bool {
		return j.State != "completed" && (j.Subject == u.ID && j.Kind == lifecycle.JobDecide || j.Kind == lifecycle.JobOpened && j.Subject == u.Participant)
	})
}

func find(gates []policy.GateState, name policy.Gate) (policy.GateState, bool) {
	i := slices.IndexFunc(gates, func(g policy.GateState) bool { return g.Gate == name })
	if i < 0 {
		return policy.GateState{}, false
	}
	return gates[i], true
}

// permissions holds what is in force against what rules 6 and 7 allow at most.
func (w *walk) permissions(r *rapid.T, p *walked, u storage.User, d policy.Decision) {
	role := permissionsOf[known[u.Title].role]
	until := permissionsOf[known[u.Title].until]
	training := d.Gate(policy.GateTraining).Open
	for _, permission := range d.Permissions {
		if !slices.Contains(role, permission) {
			r.Fatalf("%s (%q) holds %s, which no row grants", u.UserName, u.Title, permission)
		}
		approval, asked := find(d.Gates, policy.GateApproval)
		whole := training && (!asked || approval.Open)
		carried := slices.Contains(p.before, permission)
		if !whole && !slices.Contains(until, permission) && !carried {
			r.Fatalf("%s (%q, before %q) gained %s with gates %v closed", u.UserName, u.Title, p.titleBefore, permission, d.ClosedGates())
		}
	}
}

// record: every version has a history row, and every row an entry that commits
// to it.
func (w *walk) record(r *rapid.T) {
	w.checked(r)
	for _, p := range w.people {
		u := w.get(p.id)
		rows, err := w.store.ListHistory(w.ctx, u.ID)
		if err != nil {
			r.Fatal(err)
		}
		entries, err := w.store.ListEntries(w.ctx, u.ID)
		if err != nil {
			r.Fatal(err)
		}
		committed := map[string]bool{}
		for _, e := range entries {
			var c struct {
				History []string `json:"history"`
			}
			if err := json.Unmarshal(e.Canonical, &c); err != nil {
				r.Fatal(err)
			}
			for _, digest := range c.History {
				committed[digest] = true
			}
		}
		if int64(len(rows)) != u.Version {
			r.Fatalf("%d history rows for version %d", len(rows), u.Version)
		}
		for i, row := range rows {
			if row.Version != int64(i+1) || (i > 0 && !row.ValidFrom.After(rows[i-1].ValidFrom)) {
				r.Fatalf("history row %d: %+v", i, row)
			}
			if sqlstore.HistoryDigest(row.Body).String() != row.Digest || !committed[row.Digest] {
				r.Fatalf("version %d of %s is not committed to", row.Version, u.UserName)
			}
		}
	}
}
