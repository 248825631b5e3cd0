package lifecycle_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
)

func TestFromCreateToReleaseToRevocation(t *testing.T) {
	h := newHouse(t)
	u := h.create(mercy, person("ana", "Registered Nurse"))
	h.wants(u.ID, policy.StatusPending, "", "training")
	h.work()
	if got := h.post.to("ana@mail.example"); !slices.Equal(got, []string{"invitation"}) {
		t.Fatalf("sent %v", got)
	}
	u = h.train(u)
	h.wants(u.ID, policy.StatusReleased, "practitioner")
	if len(u.HealthixUsername) != 8 || u.ReleasedAt == nil || u.Decision.ValidUntil == nil {
		t.Errorf("%+v", u)
	}
	h.work()
	if got := h.post.to("ana@mail.example"); !slices.Equal(got, []string{"invitation", "credentials"}) {
		t.Fatalf("sent %v", got)
	}
	code := h.code("ana@mail.example")
	got, err := h.Redeem(h.ctx, door, code, "k")
	if err != nil || got.Username != u.HealthixUsername || got.Role != "practitioner" {
		t.Fatalf("%+v, %v", got, err)
	}
	if again, err := h.Redeem(h.ctx, door, code, "k"); err != nil || again.Username != got.Username {
		t.Errorf("not repeated: %+v, %v", again, err)
	}
	_, err = h.Redeem(h.ctx, door, code, "other")
	wantsKind(t, err, lifecycle.KindRefused)
	_, err = h.Redeem(h.ctx, door, code, "")
	wantsKind(t, err, lifecycle.KindRefused)
	h.clock.pass(16 * time.Minute)
	_, err = h.Redeem(h.ctx, door, code, "k")
	wantsKind(t, err, lifecycle.KindRefused)

	h.change(mercy, u.ID, set("active", false))
	u = h.wants(u.ID, policy.StatusRevoked, "")
	if len(u.Access(h.Now()).Permissions) > 0 || u.ClinicalAlerts != "none" {
		t.Errorf("%+v", u)
	}
	h.change(mercy, u.ID, set("active", true)) // training counts, and a new link goes out
	back := h.wants(u.ID, policy.StatusReleased, "practitioner")
	if back.HealthixUsername != u.HealthixUsername {
		t.Error("the username changed")
	}
	h.work()
	if got := h.post.to("ana@mail.example"); !slices.Equal(got, []string{"invitation", "credentials", "credentials"}) {
		t.Errorf("sent %v", got)
	}
}

func TestEveryEndVoidsTheLink(t *testing.T) {
	for name, end := range map[string]func(h *house, u storage.User){
		"active=false": func(h *house, u storage.User) { h.change(mercy, u.ID, set("active", false)) },
		"delete": func(h *house, u storage.User) {
			if err := h.DeleteUser(h.ctx, mercy, u.ID, nil); err != nil {
				h.t.Fatal(err)
			}
		},
		"hold and lift": func(h *house, u storage.User) {
			hold, err := h.Hold(h.ctx, dana, u.ID, "under review")
			if err != nil {
				h.t.Fatal(err)
			}
			h.wants(u.ID, policy.StatusSuspended, "", "hold")
			if err := h.LiftHold(h.ctx, dana, u.ID, hold.ID); err != nil {
				h.t.Fatal(err)
			}
			h.wants(u.ID, policy.StatusReleased, "practitioner")
		},
		"suspend and resume": func(h *house, u storage.User) {
			if _, err := h.SuspendParticipant(h.ctx, dana, "mercy", "audit"); err != nil {
				h.t.Fatal(err)
			}
			h.wants(u.ID, policy.StatusSuspended, "", "participant")
			if _, err := h.ResumeParticipant(h.ctx, dana, "mercy"); err != nil {
				h.t.Fatal(err)
			}
			h.wants(u.ID, policy.StatusReleased, "practitioner")
		},
		"another address": func(h *house, u storage.User) { h.change(mercy, u.ID, email("ana2@mail.example")) },
		"a new link": func(h *house, u storage.User) {
			if err := h.ResendActivation(h.ctx, dana, "", u.ID); err != nil {
				h.t.Fatal(err)
			}
		},
		"a week": func(h *house, _ storage.User) { h.clock.pass(7*24*time.Hour + time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			u := h.train(h.create(mercy, person("ana", "Registered Nurse")))
			h.work()
			code := h.code("ana@mail.example")
			end(h, u)
			_, err := h.Redeem(h.ctx, door, code, "k")
			wantsKind(t, err, lifecycle.KindRefused)
		})
	}
}

func TestAReleaseThatWasUndoneSendsNothing(t *testing.T) {
	h := newHouse(t)
	u := h.train(h.create(mercy, person("ana", "Registered Nurse")))
	h.change(mercy, u.ID, set("active", false))
	h.work()
	if got := h.post.to("ana@mail.example"); len(got) > 0 {
		t.Errorf("sent %v", got)
	}
	entries, err := h.store.ListEntries(h.ctx, u.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(entries, func(e storage.EntryRow) bool { return e.Action == "mail.withheld" }) {
		t.Error("what was withheld is not on record")
	}
}

func TestResumeReleasesWhoWaits(t *testing.T) {
	h := newHouse(t)
	if _, err := h.SuspendParticipant(h.ctx, dana, "mercy", "audit"); err != nil {
		t.Fatal(err)
	}
	waits := h.train(h.create(mercy, person("ana", "Registered Nurse")))
	h.wants(waits.ID, policy.StatusPending, "", "participant")
	h.work()
	if len(h.post.mails) > 0 {
		t.Fatalf("sent while suspended: %v", h.post.mails)
	}
	if _, err := h.ResumeParticipant(h.ctx, dana, "mercy"); err != nil {
		t.Fatal(err)
	}
	h.work()
	h.wants(waits.ID, policy.StatusReleased, "practitioner")
	if got := h.post.to("ana@mail.example"); !slices.Equal(got, []string{"credentials"}) {
		t.Errorf("sent %v", got)
	}
	// Somebody whose link was void by the suspension gets another one, once.
	if _, err := h.SuspendParticipant(h.ctx, dana, "mercy", "audit"); err != nil {
		t.Fatal(err)
	}
	before := h.get(waits.ID).Version
	if _, err := h.ResumeParticipant(h.ctx, dana, "mercy"); err != nil {
		t.Fatal(err)
	}
	if h.get(waits.ID).Version != before {
		t.Error("suspending a participant wrote user rows")
	}
	h.work()
	h.work()
	if got := h.post.to("ana@mail.example"); !slices.Equal(got, []string{"credentials", "credentials"}) {
		t.Errorf("sent %v", got)
	}
	if _, err := h.Redeem(h.ctx, door, h.code("ana@mail.example"), "k"); err != nil {
		t.Error(err)
	}
}

func TestObserveSendsAndReleasesNothing(t *testing.T) {
	h := newHouse(t)
	if _, err := h.AddParticipant(h.ctx, dana, storage.Participant{ID: "lake", Name: "Lake", Mode: "observe"}); err != nil {
		t.Fatal(err)
	}
	lake := lifecycle.Actor{Kind: "provider", Participant: "lake"}
	u := h.train(h.create(lake, person("ana", "Registered Nurse")))
	h.work()
	h.wants(u.ID, policy.StatusPending, "", "participant")
	if len(h.post.mails) > 0 {
		t.Errorf("sent %v", h.post.mails)
	}
	if _, err := h.GoLive(h.ctx, dana, "lake"); err != nil {
		t.Fatal(err)
	}
	h.work()
	h.wants(u.ID, policy.StatusReleased, "practitioner")
}

func TestSingleSignOnConfirmsAndSendsNoCredential(t *testing.T) {
	h := newHouse(t)
	if _, err := h.ChangeParticipant(h.ctx, dana, "mercy", func(p *storage.Participant) error { p.Settings.SSO = true; return nil }); err != nil {
		t.Fatal(err)
	}
	u := h.train(h.create(mercy, person("ana", "Registered Nurse")))
	h.work()
	if got := h.post.to("ana@mail.example"); !slices.Equal(got, []string{"confirmed"}) {
		t.Errorf("sent %v", got)
	}
	wantsKind(t, h.ResendActivation(h.ctx, dana, "", u.ID), lifecycle.KindRefused)
}

func TestExpiryHoldsWithoutTheSweep(t *testing.T) {
	h := newHouse(t)
	u := h.train(h.create(mercy, person("ana", "Registered Nurse")))
	h.work()
	h.clock.pass(u.Decision.ValidUntil.Sub(h.Now()) - time.Second)
	h.wants(u.ID, policy.StatusReleased, "practitioner")
	h.clock.pass(time.Second)
	h.wants(u.ID, policy.StatusSuspended, "", "training")
	if n, err := h.Sweep(h.ctx); n != 1 || err != nil {
		t.Fatalf("swept %d, %v", n, err)
	}
	if n, err := h.Sweep(h.ctx); n != 0 || err != nil {
		t.Errorf("swept again: %d, %v", n, err)
	}
	h.work()
	if got := h.post.to("ana@mail.example"); !slices.Equal(got, []string{"credentials", "suspended"}) {
		t.Errorf("sent %v", got)
	}
	h.train(u)
	h.wants(u.ID, policy.StatusReleased, "practitioner")
}

func TestRoleChange(t *testing.T) {
	h := newHouse(t)
	u := h.train(h.create(mercy, person("ana", "Registered Nurse")))
	// Down: only what both roles hold stays, and the missing module is asked for.
	h.change(mercy, u.ID, set("title", "Front Desk Receptionist"))
	got := h.wants(u.ID, policy.StatusReleased, "registration-consent", "training")
	d := got.Access(h.Now())
	if !slices.Equal(d.Permissions, []string{"patient.search", "consent.write"}) {
		t.Errorf("%v %q", d.Permissions, d.RequestedRole)
	}
	// Back up: the gates of the old role are passed again; nothing returns by itself.
	h.change(mercy, u.ID, set("title", "Registered Nurse"))
	h.wants(u.ID, policy.StatusReleased, "practitioner") // its training is still valid
	h.change(mercy, u.ID, set("title", "Chief Vibes Officer"))
	h.wants(u.ID, policy.StatusSuspended, "", "title")
	h.change(mercy, u.ID, set("title", "Registered Nurse"))
	h.wants(u.ID, policy.StatusReleased, "practitioner")
	h.change(mercy, u.ID, set("title", "Chaplain"))
	h.wants(u.ID, policy.StatusIneligible, "")
}

func TestApproval(t *testing.T) {
	h := newHouse(t)
	u := h.create(mercy, person("edda", "Emergency Medicine Physician"))
	h.wants(u.ID, policy.StatusPending, "", "training", "approval")
	u = h.train(u)
	h.wants(u.ID, policy.StatusReleased, "practitioner", "approval") // untilApproved
	_, err := h.Approve(h.ctx, erin, u.ID, true, "ED attending", u.Version-1)
	wantsKind(t, err, lifecycle.KindStale)
	_, err = h.Approve(h.ctx, dana, u.ID, true, "", u.Version) // dana recorded the evidence
	wantsKind(t, err, lifecycle.KindRefused)
	_, err = h.ChangeParticipant(h.ctx, dana, "mercy", func(p *storage.Participant) error {
		p.Settings.Contacts = []string{"Erin@Healthix.example"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.Approve(h.ctx, erin, u.ID, true, "", u.Version) // erin is a contact now
	wantsKind(t, err, lifecycle.KindRefused)
	finn := lifecycle.Actor{Kind: "operator", Subject: "finn@healthix.example"}
	got, err := h.Approve(h.ctx, finn, u.ID, true, "ED attending", u.Version)
	if err != nil {
		t.Fatal(err)
	}
	h.wants(u.ID, policy.StatusReleased, "practitioner-btg")
	_, err = h.RecordEvidence(h.ctx, finn, u.ID, lifecycle.EvidenceSpec{Module: "nys-policy", CompletedAt: h.Now()})
	wantsKind(t, err, lifecycle.KindRefused)

	hold, err := h.Hold(h.ctx, dana, u.ID, "lost badge")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.LiftHold(h.ctx, dana, u.ID, hold.ID); err != nil {
		t.Fatal(err)
	}
	got = h.wants(u.ID, policy.StatusReleased, "practitioner-btg") // a lift keeps it
	if got, err = h.Approve(h.ctx, finn, u.ID, false, "moved to the ward", got.Version); err != nil {
		t.Fatal(err)
	}
	h.wants(u.ID, policy.StatusReleased, "practitioner", "approval")
	if _, err = h.Approve(h.ctx, finn, u.ID, true, "back in the ED", got.Version); err != nil {
		t.Fatal(err)
	}
	h.change(mercy, u.ID, set("active", false))
	h.change(mercy, u.ID, set("active", true))
	h.wants(u.ID, policy.StatusReleased, "practitioner", "approval") // ended on revoked
	approvals, err := h.store.ListApprovals(h.ctx, u.ID)
	if err != nil || slices.ContainsFunc(approvals, func(a storage.Approval) bool { return a.Ended == nil }) {
		t.Errorf("%+v, %v", approvals, err)
	}
	nurse := h.create(mercy, person("ana", "Registered Nurse"))
	_, err = h.Approve(h.ctx, finn, nurse.ID, true, "", nurse.Version)
	wantsKind(t, err, lifecycle.KindRefused)
}

func TestAddresses(t *testing.T) {
	h := newHouse(t)
	first := h.train(h.create(mercy, person("ana", "Registered Nurse", email("lima@mail.example"))))
	_, err := h.CreateUser(h.ctx, mercy, person("bo", "Registered Nurse", email("Lima@MAIL.example")))
	wantsKind(t, err, lifecycle.KindTaken)

	second := h.train(h.create(north, person("ana", "Registered Nurse", email("LIMA@mail.example"))))
	u := h.wants(second.ID, policy.StatusPending, "", "email")
	if d := u.Access(h.Now()); !strings.Contains(d.Reason, "This address cannot be used; give another or call Healthix") || strings.Contains(d.Reason, "older") || !strings.Contains(d.Staff, "older") {
		t.Errorf("outward %q, staff %q", d.Reason, d.Staff)
	}
	// An operator may say it is the same human at two organizations, of this address.
	if _, err := h.RecordEvidence(h.ctx, dana, second.ID, lifecycle.EvidenceSpec{Gate: policy.GateEmail, Note: "same person"}); err != nil {
		t.Fatal(err)
	}
	h.wants(second.ID, policy.StatusReleased, "practitioner")
	third := h.create(mercy, person("cy", "Registered Nurse", email("cy@mail.example")))
	h.change(north, second.ID, email("cy@mail.example")) // another one's address
	h.wants(second.ID, policy.StatusSuspended, "", "email")
	if err := h.DeleteUser(h.ctx, mercy, third.ID, nil); err != nil {
		t.Fatal(err)
	}
	h.work() // freed
	h.wants(second.ID, policy.StatusReleased, "practitioner")
	if got := h.post.to("lima@mail.example"); slices.Contains(got, "address-changed") {
		t.Errorf("the first holder was told of another's change: %v", got)
	}
	if got := h.post.to("LIMA@mail.example"); !slices.Contains(got, "address-changed") {
		t.Errorf("the old address was told nothing: %v", got)
	}
	h.wants(first.ID, policy.StatusReleased, "practitioner")

	h.change(north, second.ID, email("frontdesk@mail.example"))
	h.wants(second.ID, policy.StatusSuspended, "", "email")
	h.change(north, second.ID, email("own@mail.example"), set("phoneNumbers", []any{map[string]any{"value": "+12125550123", "type": "work"}}))
	h.wants(second.ID, policy.StatusSuspended, "", "mobile")
}

func TestRehireByPost(t *testing.T) {
	h := newHouse(t)
	u := h.train(h.create(mercy, person("ana", "Registered Nurse")))
	_, err := h.CreateUser(h.ctx, mercy, person("ana", "Registered Nurse"))
	wantsKind(t, err, lifecycle.KindTaken) // active
	h.change(mercy, u.ID, set("active", false))

	stranger := person("ana", "Registered Nurse", set("externalId", "hr-other"))
	_, err = h.CreateUser(h.ctx, mercy, stranger)
	wantsKind(t, err, lifecycle.KindTaken) // externalIds differ
	stranger = person("ana", "Registered Nurse", set("externalId", nil), email("other@mail.example"), set("name", map[string]any{"givenName": "Ann", "familyName": "Other"}))
	_, err = h.CreateUser(h.ctx, mercy, stranger)
	wantsKind(t, err, lifecycle.KindTaken) // another person
	_, err = h.CreateUser(h.ctx, mercy, person("ana", "Registered Nurse", set("active", false)))
	wantsKind(t, err, lifecycle.KindTaken)

	back := h.create(mercy, person("ana", "Registered Nurse", set("externalId", nil), set("nickName", "Annie")))
	if back.ID != u.ID || back.HealthixUsername != u.HealthixUsername || back.ExternalID != "" || back.Document["nickName"] != "Annie" {
		t.Errorf("%+v", back)
	}
	h.wants(u.ID, policy.StatusReleased, "practitioner")

	if _, err := h.ChangeParticipant(h.ctx, dana, "mercy", func(p *storage.Participant) error { p.Settings.Profile = "strict"; return nil }); err != nil {
		t.Fatal(err)
	}
	h.change(mercy, u.ID, set("active", false))
	_, err = h.CreateUser(h.ctx, mercy, person("ana", "Registered Nurse"))
	wantsKind(t, err, lifecycle.KindTaken)

	if err := h.DeleteUser(h.ctx, mercy, u.ID, nil); err != nil {
		t.Fatal(err)
	}
	anew := h.train(h.create(mercy, person("ana", "Registered Nurse")))
	if anew.ID == u.ID || anew.HealthixUsername == u.HealthixUsername || anew.HealthixUsername == "" {
		t.Errorf("a deleted user came back: %+v", anew)
	}
}

func TestDeactivationByHandMatchesEverything(t *testing.T) {
	h := newHouse(t)
	u := h.train(h.create(mercy, person("ana", "Registered Nurse")))
	right := lifecycle.Identity{GivenName: "ANA", FamilyName: "lima", Email: "Ana@mail.example", Username: u.HealthixUsername}
	for name, spoil := range map[string]func(*lifecycle.Identity){
		"given":    func(i *lifecycle.Identity) { i.GivenName = "An" },
		"family":   func(i *lifecycle.Identity) { i.FamilyName = "" },
		"email":    func(i *lifecycle.Identity) { i.Email = "x@mail.example" },
		"username": func(i *lifecycle.Identity) { i.Username = "" },
	} {
		wrong := right
		spoil(&wrong)
		if _, err := h.Deactivate(h.ctx, dana, "", u.ID, wrong); err == nil || lifecycle.AsFault(err).Kind != lifecycle.KindRefused {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := h.Deactivate(h.ctx, dana, "north", u.ID, right)
	wantsKind(t, err, lifecycle.KindNotFound)
	if _, err := h.Deactivate(h.ctx, dana, "mercy", u.ID, right); err != nil {
		t.Fatal(err)
	}
	got := h.wants(u.ID, policy.StatusRevoked, "")
	if got.Document["active"] != false {
		t.Error("the document says another thing")
	}
	if _, err := h.Deactivate(h.ctx, dana, "mercy", u.ID, right); err != nil { // twice
		t.Error(err)
	}
	if h.get(u.ID).Version != got.Version {
		t.Error("the second call wrote something")
	}
}

func TestClinicalAlertsEndWithAccess(t *testing.T) {
	h := newHouse(t)
	u := h.create(mercy, person("ana", "Registered Nurse"))
	_, err := h.SetClinicalAlerts(h.ctx, dana, "", u.ID, "all")
	wantsKind(t, err, lifecycle.KindInvalid)
	if _, err := h.SetClinicalAlerts(h.ctx, dana, "", u.ID, "alerts-plus"); err != nil {
		t.Fatal(err)
	}
	hold, err := h.Hold(h.ctx, dana, u.ID, "check")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.LiftHold(h.ctx, dana, u.ID, hold.ID); err != nil {
		t.Fatal(err)
	}
	if got := h.get(u.ID); got.ClinicalAlerts != "alerts-plus" {
		t.Error(got.ClinicalAlerts)
	}
	h.change(mercy, u.ID, set("active", false))
	if got := h.get(u.ID); got.ClinicalAlerts != "none" {
		t.Error(got.ClinicalAlerts)
	}
}

func TestEvidenceIsChecked(t *testing.T) {
	h := newHouse(t)
	u := h.create(mercy, person("ana", "Registered Nurse"))
	for name, tc := range map[string]struct {
		spec lifecycle.EvidenceSpec
		kind lifecycle.Kind
	}{
		"future":         {lifecycle.EvidenceSpec{Module: "nys-policy", CompletedAt: h.Now().Add(time.Hour)}, lifecycle.KindRefused},
		"old":            {lifecycle.EvidenceSpec{Module: "nys-policy", CompletedAt: h.Now().AddDate(-1, 0, -1)}, lifecycle.KindRefused},
		"unknown module": {lifecycle.EvidenceSpec{Module: "knitting", CompletedAt: h.Now()}, lifecycle.KindInvalid},
		"no module":      {lifecycle.EvidenceSpec{CompletedAt: h.Now()}, lifecycle.KindInvalid},
		"no date":        {lifecycle.EvidenceSpec{Module: "nys-policy"}, lifecycle.KindInvalid},
		"gate":           {lifecycle.EvidenceSpec{Gate: policy.GateApproval, CompletedAt: h.Now()}, lifecycle.KindInvalid},
		"source":         {lifecycle.EvidenceSpec{Module: "nys-policy", CompletedAt: h.Now(), Source: "hearsay"}, lifecycle.KindInvalid},
	} {
		if _, err := h.RecordEvidence(h.ctx, dana, u.ID, tc.spec); err == nil || lifecycle.AsFault(err).Kind != tc.kind {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := h.get(u.ID); got.Version != 1 {
		t.Errorf("a refusal moved the user to version %d", got.Version)
	}
	u = h.train(u)
	evidence, err := h.store.ListEvidence(h.ctx, u.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantsKind(t, h.RevokeEvidence(h.ctx, dana, u.ID, evidence[0].ID, " "), lifecycle.KindInvalid)
	wantsKind(t, h.RevokeEvidence(h.ctx, dana, u.ID, "nothing", "why"), lifecycle.KindNotFound)
	if err := h.RevokeEvidence(h.ctx, dana, u.ID, evidence[0].ID, "wrong person"); err != nil {
		t.Fatal(err)
	}
	h.wants(u.ID, policy.StatusSuspended, "", "training")
}

func TestTokensAreChecked(t *testing.T) {
	h := newHouse(t)
	for name, spec := range map[string]lifecycle.TokenSpec{
		"scope":                {Scope: "root"},
		"scim without":         {Scope: "scim"},
		"aum without":          {Scope: "aum", Subject: "a@mercy.example"},
		"operator bound":       {Scope: "operator", Subject: "a@healthix.example", Participant: "mercy"},
		"operator nameless":    {Scope: "operator"},
		"operator no address":  {Scope: "operator", Subject: "dana"},
		"portal nameless":      {Scope: "portal"},
		"short":                {Scope: "scim", Participant: "mercy", TTL: time.Second},
		"long":                 {Scope: "scim", Participant: "mercy", TTL: 20 * 365 * 24 * time.Hour},
		"auditor without name": {Scope: "auditor"},
	} {
		if _, err := h.IssueToken(h.ctx, dana, spec); err == nil || lifecycle.AsFault(err).Kind != lifecycle.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := h.IssueToken(h.ctx, dana, lifecycle.TokenSpec{Scope: "scim", Participant: "nowhere"})
	wantsKind(t, err, lifecycle.KindNotFound)
	got, err := h.IssueToken(h.ctx, dana, lifecycle.TokenSpec{Scope: "scim", Participant: "mercy", Label: "entra"})
	if err != nil || got.Expires.Sub(got.Issued).Round(time.Hour) != 8760*time.Hour || got.IssuedBy != dana.Subject {
		t.Errorf("%+v, %v", got, err)
	}
	for range 2 {
		if err := h.RevokeToken(h.ctx, dana, got.ID); err != nil {
			t.Fatal(err)
		}
	}
	wantsKind(t, h.RevokeToken(h.ctx, dana, "nothing"), lifecycle.KindNotFound)
}

func TestParticipantsAreChecked(t *testing.T) {
	h := newHouse(t)
	for name, p := range map[string]storage.Participant{
		"id":      {ID: "Mercy West", Name: "x"},
		"name":    {ID: "west", Name: "  "},
		"type":    {ID: "west", Name: "x", Type: "spa"},
		"mode":    {ID: "west", Name: "x", Mode: "asleep"},
		"profile": {ID: "west", Name: "x", Settings: storage.Settings{Profile: "lax"}},
		"contact": {ID: "west", Name: "x", Settings: storage.Settings{Contacts: []string{"nobody"}}},
	} {
		if _, err := h.AddParticipant(h.ctx, dana, p); err == nil || lifecycle.AsFault(err).Kind != lifecycle.KindInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := h.AddParticipant(h.ctx, dana, storage.Participant{ID: "mercy", Name: "again"})
	wantsKind(t, err, lifecycle.KindTaken)
	_, err = h.SuspendParticipant(h.ctx, dana, "mercy", "")
	wantsKind(t, err, lifecycle.KindInvalid)
	_, err = h.SuspendParticipant(h.ctx, dana, "nowhere", "why")
	wantsKind(t, err, lifecycle.KindNotFound)
	one, err := h.SuspendParticipant(h.ctx, dana, "mercy", "why")
	if err != nil {
		t.Fatal(err)
	}
	if two, err := h.SuspendParticipant(h.ctx, dana, "mercy", "again"); err != nil || two.Version != one.Version {
		t.Errorf("%+v, %v", two, err)
	}
}

func TestMessagesHoldNoHTMLOfOthers(t *testing.T) {
	h := newHouse(t)
	u := h.create(mercy, person("ana", "Registered Nurse", set("name", map[string]any{"givenName": "<b>Ana</b>\r\nBcc: x@evil.example", "familyName": "Lima"})))
	h.train(u)
	h.work()
	m := h.post.last(t, "ana@mail.example")
	if strings.Contains(m.HTML, "<b>Ana") || strings.ContainsAny(m.Subject, "\r\n") || strings.Contains(m.Subject, "Bcc") {
		t.Errorf("%q %s", m.Subject, m.HTML)
	}
	if !strings.Contains(m.Text, u.UserName) && !strings.Contains(m.Text, "https://portal.example/activate?code=") {
		t.Error(m.Text)
	}
	if strings.Contains(m.Text, "{{") || strings.Contains(m.HTML, "{{") {
		t.Error("an unfilled template")
	}
}
