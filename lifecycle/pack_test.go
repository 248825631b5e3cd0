package lifecycle_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/audit"
	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

// packer is the house's service with a log key. Its clock runs fast, so that
// checkpoints are due.
func (h *house) packer() *lifecycle.Service {
	h.t.Helper()
	s, err := lifecycle.New(lifecycle.Options{
		Store: h.store, Mailer: h.post, Key: bytes.Repeat([]byte("k"), 32), LogKeys: []ed25519.PrivateKey{logKey(1)},
		Clock: func() time.Time { h.clock.pass(time.Second); return h.clock.Now() },
	})
	if err == nil {
		err = s.EnsureLogKey(h.ctx)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

// rows reads a table.
func (p evidencePack) rows(t testing.TB, name string) []map[string]string {
	t.Helper()
	all, err := csv.NewReader(bytes.NewReader(p.files[name])).ReadAll()
	if err != nil || len(all) == 0 {
		t.Fatalf("%s: %v", name, err)
	}
	var rows []map[string]string
	for _, cells := range all[1:] {
		row := map[string]string{}
		for i, cell := range cells {
			row[all[0][i]] = cell
		}
		rows = append(rows, row)
	}
	return rows
}

// asTold is a line of changes.csv as the replay knows it: it does not know why
// somebody left.
func asTold(row map[string]string) string {
	if row["class"] == "leaver" {
		row = maps.Clone(row)
		row["kind"] = ""
	}
	return strings.Join([]string{
		row["at"], row["id"], row["class"], row["kind"], row["statusBefore"], row["statusAfter"], strings.TrimPrefix(row["titleBefore"], "'"), strings.TrimPrefix(row["titleAfter"], "'"),
		row["roleBefore"], row["roleAfter"], row["permissionsBefore"], row["permissionsAfter"],
	}, "|")
}

// replay looks at everybody at every instant at which anything happened, and
// tells what changed.
func (h *house) replay(participant string, from, to time.Time) []string {
	h.t.Helper()
	people, err := h.store.ListUsersAt(h.ctx, storage.AsOfQuery{Participant: participant, At: to.Add(-time.Microsecond), Limit: 1000})
	if err != nil {
		h.t.Fatal(err)
	}
	instants := map[time.Time]bool{}
	note := func(at time.Time) {
		if !at.Before(from) && at.Before(to) {
			instants[at.UTC()] = true
		}
	}
	entries, err := h.store.ListEntries(h.ctx, "")
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range entries {
		note(e.At)
	}
	for _, u := range people {
		history, err := h.store.ListHistory(h.ctx, u.ID)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, v := range history {
			note(v.ValidFrom)
			if v.Kept.Decision.ValidUntil != nil {
				note(*v.Kept.Decision.ValidUntil)
			}
		}
	}
	order := slices.SortedFunc(maps.Keys(instants), time.Time.Compare)
	look := func(id string, at time.Time) (storage.User, policy.Decision) {
		u, err := h.store.GetUserAt(h.ctx, participant, id, at)
		if errors.Is(err, storage.ErrNotFound) {
			return u, policy.Decision{}
		}
		if err != nil {
			h.t.Fatal(err)
		}
		return u, u.Access(at)
	}
	var told []string
	for _, person := range people {
		was, had := look(person.ID, from.Add(-time.Microsecond))
		for _, at := range order {
			is, has := look(person.ID, at)
			say := func(class, kind string) {
				told = append(told, asTold(map[string]string{
					"at": audit.Stamp(at), "id": person.ID, "class": class, "kind": kind, "statusBefore": string(had.Status), "statusAfter": string(has.Status),
					"titleBefore": was.Title, "titleAfter": is.Title, "roleBefore": had.Role, "roleAfter": has.Role,
					"permissionsBefore": strings.Join(had.Permissions, " "), "permissionsAfter": strings.Join(has.Permissions, " "),
				}))
			}
			if was.ID == "" && is.ID != "" {
				say("joiner", "created")
			}
			if had.Status == "revoked" && has.Status != "revoked" {
				say("joiner", "reactivated")
			}
			if had.Status != "released" && has.Status == "released" {
				say("joiner", map[bool]string{true: "returned", false: "released"}[was.HealthixUsername != ""])
			}
			var moved []string
			if was.ID != "" && was.Title != is.Title {
				moved = append(moved, "title")
			}
			if had.Status == "released" && has.Status == "released" {
				if had.Role != has.Role {
					moved = append(moved, "role")
				}
				if fmt.Sprint(had.Permissions) != fmt.Sprint(has.Permissions) {
					moved = append(moved, "permissions")
				}
			}
			if len(moved) > 0 {
				say("mover", strings.Join(moved, "+"))
			}
			if was.ID != "" && (had.Status == "released" && has.Status != "released" || had.Status != "revoked" && has.Status == "revoked") {
				say("leaver", "")
			}
			was, had = is, has
		}
	}
	slices.Sort(told)
	return told
}

// asked makes a provider whose request came, and is in the request log.
func (h *house) asked(request, user string) (lifecycle.Actor, time.Time) {
	h.t.Helper()
	at := h.Now()
	err := h.store.AppendRequests(h.ctx, []storage.RequestRow{
		{Participant: "mercy", At: at, ID: "row-" + request, RequestID: request, Resource: user, Method: "PATCH", Route: "/scim/v2/Users/{id}", Status: 200},
		{Participant: "mercy", At: at, ID: "other-" + request, RequestID: "other", Resource: user, Method: "GET", Route: "/scim/v2/Users/{id}", Status: 200},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.clock.pass(20 * time.Millisecond)
	by := mercy
	by.RequestID, by.Label = request, "entra"
	return by, at
}

// since is when a version of a user began to hold.
func (h *house) since(user string, version int) time.Time {
	h.t.Helper()
	history, err := h.store.ListHistory(h.ctx, user)
	if err != nil {
		h.t.Fatal(err)
	}
	return history[version-1].ValidFrom
}

func TestEvidencePack(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		// Before the period.
		people := h.staff("stays", "moves", "held", "drops", "bulked", "pruned", "byhand", "dies", "erased", "unknown", "back", "untrained")
		people["waits"] = h.create(mercy, person("waits", "Registered Nurse"))
		people["clerk"] = h.released("clerk", "Registrar")
		people["surgeon"] = h.released("surgeon", "Trauma Surgeon")
		people["older"] = h.released("older", "Trauma Surgeon")
		people["gone"] = h.released("gone", "Registered Nurse")
		people["lapses"] = h.create(mercy, person("lapses", "Registered Nurse"))
		for _, m := range h.get(people["lapses"].ID).Decision.Gate(policy.GateTraining).Missing {
			h.evidence(people["lapses"], m, h.Now().Add(-350*day))
		}
		h.wants(people["lapses"].ID, policy.StatusReleased, "practitioner")
		other := h.train(h.create(north, person("nan", "Registered Nurse")))
		approve := func(name string, yes bool) {
			t.Helper()
			_, err := h.Approve(h.ctx, erin, people[name].ID, yes, "looked at", h.get(people[name].ID).Version)
			must(err)
		}
		approve("older", true)
		h.remove(people["gone"].ID)
		h.clock.pass(day)

		// The period begins with a deed and ends before one.
		people["edge"] = h.create(mercy, person("edge", "=HYPERLINK(1)"))
		from := h.since(people["edge"].ID, 1)
		h.clock.pass(time.Hour)
		h.change(mercy, people["moves"].ID, set("title", "Medical Assistant"))
		h.train(people["surgeon"])
		approve("surgeon", false)
		approve("surgeon", true)
		hold, err := h.Hold(h.ctx, dana, people["held"].ID, "asked for")
		must(err)
		h.clock.pass(day)
		must(h.LiftHold(h.ctx, dana, people["held"].ID, hold.ID))
		by, asked := h.asked("r-drops", people["drops"].ID)
		h.change(by, people["drops"].ID, set("active", false))
		by, _ = h.asked("r-bulk", "") // names nobody
		h.change(by, people["bulked"].ID, set("active", false))
		by, _ = h.asked("r-dies", people["dies"].ID)
		must(h.DeleteUser(h.ctx, by, people["dies"].ID, nil))
		h.leave(people["pruned"].ID) // its request is not in the log any more
		h.byHand(people["byhand"].ID)
		h.leave(people["erased"].ID, people["waits"].ID, people["back"].ID)
		h.change(mercy, people["back"].ID, set("active", true))
		h.change(mercy, people["unknown"].ID, set("title", "Ward Hero II"))
		records, err := h.store.ListEvidence(h.ctx, people["untrained"].ID)
		must(err)
		must(h.RevokeEvidence(h.ctx, dana, people["untrained"].ID, records[0].ID, "entered twice"))
		h.clock.pass(20 * day) // lapses
		h.sweep()
		must(h.EraseUser(h.ctx, dana, people["erased"].ID, h.Now()))
		changed := document(t, "Registered Nurse,clinical practitioner,practitioner,\"RN", "Registered Nurse,clinical practitioner,clinical-staff,\"RN",
			"Registrar,administrative,registration-consent,Patient", "Registrar,administrative,no-access,Patient")
		plan := h.confirmed(lifecycle.PlanSpec{Document: changed})
		h.inForce(plan.ID) // takes before anybody is decided again
		h.clock.pass(time.Minute)
		_, err = h.CarryOut(h.ctx, plan.ID, nil)
		must(err)
		r := h.startReview("")
		h.decides(gail, r, lifecycle.DecisionKeep, people["stays"])
		_, err = h.SuspendParticipant(h.ctx, dana, "mercy", "contract under review")
		must(err)
		h.clock.pass(time.Hour)
		_, err = h.ResumeParticipant(h.ctx, dana, "mercy")
		must(err)
		h.clock.pass(day)
		people["late"] = h.create(mercy, person("late", "Registered Nurse"))
		to := h.since(people["late"].ID, 1)
		h.clock.pass(day)
		h.leave(people["stays"].ID)
		h.clock.pass(10 * day)
		h.change(mercy, people["older"].ID, set("title", "Registrar")) // ends an approval, later

		p := h.packed(lifecycle.PackSpec{Participant: "mercy", From: from, To: to, Sample: 5, Seed: "of the auditor"})
		key := strings.TrimSpace(string(p.files[lifecycle.PackKeyFile]))
		if err := p.verify(key); err != nil {
			t.Fatal(err)
		}
		if own, err := h.packer().LogKeys(h.ctx); err != nil || own[0] != key {
			t.Errorf("the key is %s, %v", key, err)
		}
		h.tampered(p, key)
		h.drawnAgain(p, key, from)

		// Changes: what a replay of all instants tells, and why.
		name := map[string]string{}
		for n, u := range people {
			name[u.ID] = n
		}
		var told []string
		causes := map[string]string{}
		count := map[string]int{}
		for _, row := range p.rows(t, "changes.csv") {
			told = append(told, asTold(row))
			count[row["class"]]++
			if row["class"] == "leaver" {
				causes[name[row["id"]]] += " " + row["kind"]
			}
			h.behind(row, name[row["id"]])
		}
		slices.Sort(told)
		if want := h.replay("mercy", from, to); strings.Join(told, "\n") != strings.Join(want, "\n") {
			t.Errorf("changes.csv tells\n%s\nthe replay\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
		}
		const all = " participant"
		want := map[string]string{
			"stays": all, "moves": all, "surgeon": all, "older": all, "held": " hold" + all, "drops": " deactivated", "bulked": " deactivated",
			"pruned": " deactivated", "byhand": " deactivated", "erased": " deactivated", "waits": " deactivated", "back": " deactivated" + all,
			"dies": " deleted", "unknown": " title", "untrained": " training", "lapses": " expiry", "clerk": " policy",
		}
		if !maps.Equal(causes, want) {
			t.Errorf("left by\n%v\nwant\n%v", causes, want)
		}
		n := p.m.Counts
		if !n.AddsUp || n.Joiners != count["joiner"] || n.Movers != count["mover"] || n.Leavers != count["leaver"] ||
			n.PeopleOpening != len(people)-2 || n.PeopleCreated != 1 || n.PeopleClosing != len(people)-1 || n.AccessOpening != len(people)-4 {
			t.Errorf("counts %+v, rows %v, people %d", n, count, len(people))
		}
		h.populations(p, from, to)

		// From the request to closed access.
		c := p.m.TimeToClose
		if c.Departures != 8 || c.ByProvider != 7 || c.WithoutRequest != 4 || c.Measured != 3 || c.Min == nil || *c.Min < 0.02 || *c.Max > 1 || *c.Median < *c.Min || *c.P95 != *c.Max {
			t.Errorf("time to close: %+v", c)
		}
		for _, row := range p.rows(t, "changes.csv") {
			if name[row["id"]] == "drops" && row["class"] == "leaver" {
				took := h.since(people["drops"].ID, int(people["drops"].Version)+1).Sub(asked).Seconds()
				if row["requestAt"] != audit.Stamp(asked) || row["secondsToClose"] != fmt.Sprintf("%.6f", took) || row["request"] != "r-drops" || row["tokenLabel"] != "entra" {
					t.Errorf("drops was asked for at %s, closed after %f: %v", asked, took, row)
				}
			}
		}

		// Approvals, policies, reviews.
		var approvals []string
		for _, row := range p.rows(t, "approvals.csv") {
			approvals = append(approvals, fmt.Sprint(name[row["id"]], " ", row["decision"], " ", row["role"], " by ", row["by"], " ended ", row["ended"] != ""))
		}
		slices.Sort(approvals)
		if got := strings.Join(approvals, "; "); got != "older approved practitioner-btg by erin@healthix.example ended false; "+
			"surgeon approved practitioner-btg by erin@healthix.example ended false; surgeon rejected practitioner-btg by erin@healthix.example ended true" {
			t.Errorf("approvals: %s", got)
		}
		policies := p.rows(t, "policies.csv")
		if len(policies) != 2 || policies[0]["inForceUntil"] != policies[1]["inForceFrom"] || policies[1]["confirmedBy"] != erin.Subject || policies[1]["inForceUntil"] != "" {
			t.Errorf("policies: %v", policies)
		}
		for _, row := range policies {
			if sum := sha256.Sum256(p.files[row["file"]]); hex.EncodeToString(sum[:]) != row["sha256"] {
				t.Errorf("%s is another document", row["file"])
			}
		}
		if !bytes.Equal(p.files["policy/version-2.yaml"], changed) {
			t.Error("the policy that came into force is another one")
		}
		if reviews := p.rows(t, "reviews.csv"); len(reviews) != 1 || reviews[0]["review"] != r.ID || reviews[0]["state"] != "open" {
			t.Errorf("reviews: %v", reviews)
		}

		// Nothing of others, and nothing that was erased; who took it is on record.
		for file, text := range p.files {
			if strings.Contains(string(text), other.ID) || strings.Contains(string(text), "nan@mail") || strings.Contains(string(text), "erased@mail") {
				t.Errorf("%s tells of somebody whom it must not", file)
			}
		}
		if got := p.rows(t, "population-closing.csv"); !slices.ContainsFunc(got, func(row map[string]string) bool { return row["title"] == "'=HYPERLINK(1)" }) {
			t.Error("a title runs as a formula")
		}
		reads, err := h.store.ListEvents(h.ctx, storage.EventQuery{Participant: "mercy", Action: lifecycle.ActionRead, Actor: dana.Subject, Limit: 10})
		if err != nil || len(reads) != 1 || !strings.Contains(string(reads[0].Canonical), `"audit pack"`) {
			t.Errorf("who looked: %v, %v", reads, err)
		}
	})
}

// behind holds a row to the entry that it names.
func (h *house) behind(row map[string]string, name string) {
	h.t.Helper()
	e, err := h.store.GetEntry(h.ctx, row["entry"])
	if err != nil {
		h.t.Errorf("the row of %s: %v (%v)", name, err, row)
		return
	}
	kept, err := audit.ReadEntry(e.Canonical)
	if err != nil {
		h.t.Fatal(err)
	}
	at := audit.Stamp(kept.At)
	if row["kind"] == lifecycle.LeaverExpiry {
		if row["actorKind"] != "clock" || !sameInstant(kept.Public()["validUntil"], row["at"]) {
			h.t.Errorf("what ended by itself: %v by %s", row, e.Canonical)
		}
		return
	}
	if at != row["at"] || kept.Action != row["action"] || kept.Actor.Name() != row["actor"] || kept.Actor.Kind != row["actorKind"] || kept.RequestID != row["request"] {
		h.t.Errorf("the row of %s is %v, its entry %s", name, row, e.Canonical)
	}
	if around := strings.HasPrefix(kept.Action, "participant.") || kept.Action == audit.PolicyApplied; around {
		return
	}
	if !strings.HasPrefix(kept.Action, "access.") || (kept.Rule != row["rule"] || kept.Public()["status"] != row["statusAfter"] && row["statusAfter"] != "suspended") {
		h.t.Errorf("the decision of %s is %v, its entry %s", name, row, e.Canonical)
	}
}

func sameInstant(a, b string) bool {
	one, err := time.Parse(time.RFC3339, a)
	two, wrong := time.Parse(time.RFC3339, b)
	return err == nil && wrong == nil && one.Equal(two)
}

// populations holds both tables to the store's own words.
func (h *house) populations(p evidencePack, from, to time.Time) {
	t := h.t
	t.Helper()
	for file, at := range map[string]time.Time{"population-opening.csv": from.Add(-time.Microsecond), "population-closing.csv": to.Add(-time.Microsecond)} {
		rows := p.rows(t, file)
		n, err := h.store.CountUsersAt(h.ctx, "mercy", at)
		if err != nil || n != len(rows) {
			t.Errorf("%s has %d people, %d were there, %v", file, len(rows), n, err)
		}
		released := 0
		for _, row := range rows {
			u, err := h.store.GetUserAt(h.ctx, "mercy", row["id"], at)
			if err != nil {
				t.Fatal(err)
			}
			d := u.Access(at)
			if row["status"] != string(d.Status) || row["role"] != d.Role || row["permissions"] != strings.Join(d.Permissions, " ") || row["email"] != u.Email ||
				row["erased"] != fmt.Sprint(u.UserName == "") {
				t.Errorf("%s has %v, the store %s %s %s", file, row, u.UserName, d.Status, d.Role)
			}
			if d.Status == policy.StatusReleased {
				released++
			}
		}
		if want := map[bool]int{true: p.m.Counts.AccessOpening, false: p.m.Counts.AccessClosing}[file == "population-opening.csv"]; released != want {
			t.Errorf("%s has %d with access, the manifest %d", file, released, want)
		}
	}
}

// A period in which nothing happened, and a participant without people.
func TestEvidencePackOfNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		h.staff("ana", "bob")
		h.clock.pass(day)
		from := h.Now()
		h.clock.pass(day)
		for participant, people := range map[string]int{"mercy": 2, "north": 0} {
			p := h.packed(lifecycle.PackSpec{Participant: participant, From: from, To: from.Add(time.Hour), Sample: 25})
			if err := p.verify(strings.TrimSpace(string(p.files[lifecycle.PackKeyFile]))); err != nil {
				t.Error(err)
			}
			n := p.m.Counts
			if !n.AddsUp || n.Joiners+n.Movers+n.Leavers != 0 || n.PeopleOpening != people || n.AccessClosing != people || n.Sampled != people || len(p.m.Seed) != 16 {
				t.Errorf("%s: %+v, seed %q", participant, n, p.m.Seed)
			}
			if c := p.m.TimeToClose; c.Measured != 0 || c.Min != nil {
				t.Errorf("time to close: %+v", c)
			}
			h.drawnAgain(p, p.m.Keys[0], from)
		}
	})
}

// The same period and seed give the same tables, whatever happened since.
func TestEvidencePackAgain(t *testing.T) {
	h := newHouse(t)
	people := h.staff("ana", "bob", "cleo")
	from := h.Now()
	h.leave(people["ana"].ID)
	r := h.startReview("")
	h.decides(gail, r, lifecycle.DecisionKeep, people["bob"], people["cleo"])
	h.work()
	to := h.Now()
	spec := lifecycle.PackSpec{Participant: "mercy", From: from, To: to, Sample: 2, Seed: "s"}
	one := h.packed(spec)
	if rows := one.rows(t, "reviews.csv"); len(rows) != 1 || rows[0]["state"] != "closed" || audit.Sum(one.files[rows[0]["file"]]).String() != rows[0]["reportSha256"] {
		t.Errorf("reviews: %v", rows)
	}
	h.leave(people["bob"].ID)
	h.create(mercy, person("dan", "Registered Nurse"))
	two := h.packed(spec)
	for name, text := range one.files {
		if strings.HasSuffix(name, ".csv") && !bytes.Equal(text, two.files[name]) {
			t.Errorf("%s was\n%s\nand is\n%s", name, text, two.files[name])
		}
	}
	for _, p := range []evidencePack{one, two} {
		if err := p.verify(p.m.Keys[0]); err != nil {
			t.Error(err)
		}
	}
}

func TestEvidencePackRefuses(t *testing.T) {
	h := newHouse(t)
	now := h.Now()
	good := lifecycle.PackSpec{Participant: "mercy", From: now.Add(-time.Hour), To: now, Sample: 1}
	for name, change := range map[string]func(*lifecycle.PackSpec){
		"a future":          func(s *lifecycle.PackSpec) { s.To = now.Add(24 * time.Hour) },
		"an end before":     func(s *lifecycle.PackSpec) { s.From = s.To },
		"nanoseconds":       func(s *lifecycle.PackSpec) { s.From = s.From.Add(time.Nanosecond) },
		"too many people":   func(s *lifecycle.PackSpec) { s.Sample = 1001 },
		"fewer than nobody": func(s *lifecycle.PackSpec) { s.Sample = -1 },
		"a seed of lines":   func(s *lifecycle.PackSpec) { s.Seed = "a\nb" },
	} {
		spec := good
		change(&spec)
		var out bytes.Buffer
		_, err := h.packer().Pack(h.ctx, &out, dana, spec, nil)
		if lifecycle.AsFault(err).Kind != lifecycle.KindInvalid || out.Len() != 0 {
			t.Errorf("%s: %v, %d bytes", name, err, out.Len())
		}
	}
	unknown := good
	unknown.Participant = "nowhere"
	_, err := h.packer().Pack(h.ctx, io.Discard, dana, unknown, nil)
	wantsKind(t, err, lifecycle.KindNotFound)
	if _, err := h.Pack(h.ctx, io.Discard, dana, good, nil); err == nil {
		t.Error("a pack without a key")
	}
	// Somebody who cannot be recorded gets nothing.
	ctx, cancel := context.WithCancel(h.ctx)
	cancel()
	var out bytes.Buffer
	if _, err := h.packer().Pack(ctx, &out, dana, good, nil); err == nil || out.Len() != 0 {
		t.Errorf("%v, %d bytes", err, out.Len())
	}
}
