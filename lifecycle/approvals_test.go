package lifecycle_test

import (
	"testing"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// Who approves is a second person, by subject: whichever token they hold, and
// however it is written.
func TestWhoMayNotApprove(t *testing.T) {
	h := newHouse(t)
	if _, err := h.ChangeParticipant(h.ctx, dana, "mercy", func(p *storage.Participant) error {
		p.Settings.Contacts = []string{"Finn@Healthix.example"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	lou := h.train(h.create(mercy, person("lou", "Emergency Medicine Physician", set("userName", "lou@healthix.example"))))
	for subject, why := range map[string]string{
		"":                      "nobody",
		"DANA@healthix.example": "who recorded the evidence, by another token",
		"finn@healthix.example": "a contact of the participant",
		"lou@mail.example":      "the user, by their address",
		"Lou@healthix.example":  "the user, by their name",
	} {
		by := lifecycle.Actor{Kind: "operator", Subject: subject, Token: "another"}
		if _, err := h.Approve(h.ctx, by, lou.ID, true, "ED attending", lou.Version); err == nil || lifecycle.AsFault(err).Kind != lifecycle.KindRefused {
			t.Errorf("%s approved: %v", why, err)
		}
	}
	h.wants(lou.ID, "released", "practitioner", "approval")
	if _, err := h.Approve(h.ctx, erin, lou.ID, true, "ED attending", lou.Version); err != nil {
		t.Error(err)
	}
	h.wants(lou.ID, "released", "practitioner-btg")
}

// The trip of a participant that is only watched is on record and in the log;
// nothing is sent.
func TestBreakerInObserveSendsNothing(t *testing.T) {
	h := newHouse(t)
	if _, err := h.AddParticipant(h.ctx, dana, storage.Participant{
		ID: "lakeside", Name: "Lakeside", Mode: "observe", Settings: storage.Settings{Contacts: []string{"it@lakeside.example"}},
	}); err != nil {
		t.Fatal(err)
	}
	lakeside := lifecycle.Actor{Kind: "provider", Subject: "okta", Participant: "lakeside"}
	for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
		u := h.create(lakeside, person(name, "Registered Nurse"))
		if err := h.DeleteUser(h.ctx, lakeside, u.ID, nil); err != nil {
			t.Fatal(err)
		}
	}
	h.work()
	h.recorded("lakeside", "breaker.opened", 1)
	h.recorded("lakeside", "mail.withheld", 1)
	if got := h.post.to("it@lakeside.example"); len(got) != 0 {
		t.Errorf("it was told %v", got)
	}
}
