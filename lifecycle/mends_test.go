package lifecycle_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/policy"
	"github.com/healthix/healthix-scim/storage"
	"github.com/healthix/healthix-scim/storage/pgtest"
)

// TestEvidenceOnAnAddressTakenBack: what rested on it ends, and the address
// stays its holder's.
func TestEvidenceOnAnAddressTakenBack(t *testing.T) {
	h := newHouse(t)
	holder := h.train(h.create(mercy, person("ana", "Registered Nurse", email("lima@mail.example"))))
	other := h.train(h.create(north, person("ana", "Registered Nurse", email("lima@mail.example"))))
	e, err := h.RecordEvidence(h.ctx, dana, other.ID, lifecycle.EvidenceSpec{Gate: policy.GateEmail})
	if err != nil {
		t.Fatal(err)
	}
	h.wants(other.ID, policy.StatusReleased, "practitioner")
	if err := h.RevokeEvidence(h.ctx, dana, other.ID, e.ID, "it was somebody else"); err != nil {
		t.Fatal(err)
	}
	h.wants(other.ID, policy.StatusSuspended, "", "email")
	h.change(north, other.ID, set("nickName", "A"))
	h.wants(other.ID, policy.StatusSuspended, "", "email")
	h.wants(holder.ID, policy.StatusReleased, "practitioner")
}

// TestASharedExternalIDNamesNobody: neither rehire nor refusal rests on it.
func TestASharedExternalIDNamesNobody(t *testing.T) {
	h := newHouse(t)
	if _, err := h.ChangeParticipant(h.ctx, dana, "mercy", func(p *storage.Participant) error { p.Settings.SharedExternalID = true; return nil }); err != nil {
		t.Fatal(err)
	}
	dept := set("externalId", "dept-7")
	ana := h.train(h.create(mercy, person("ana", "Registered Nurse", dept)))
	bo := h.train(h.create(mercy, person("bo", "Registered Nurse", dept)))
	h.change(mercy, ana.ID, set("active", false))
	h.change(mercy, bo.ID, set("active", false))
	stranger := person("ana", "Registered Nurse", dept, email("other@mail.example"), set("name", map[string]any{"givenName": "Zoe", "familyName": "Quill"}))
	_, err := h.CreateUser(h.ctx, mercy, stranger)
	wantsKind(t, err, lifecycle.KindTaken)
	if back := h.create(mercy, person("bo", "Registered Nurse", dept)); back.ID != bo.ID {
		t.Error("who came back by name and address got another id")
	}
}

// TestAWithheldInvitationComesLater: a hold or a closed participant in the way
// of the invitation does not swallow it.
func TestAWithheldInvitationComesLater(t *testing.T) {
	for name, open := range map[string]func(h *house, u storage.User) func(){
		"hold": func(h *house, u storage.User) func() {
			hold, err := h.Hold(h.ctx, dana, u.ID, "check")
			if err != nil {
				h.t.Fatal(err)
			}
			return func() {
				if err := h.LiftHold(h.ctx, dana, u.ID, hold.ID); err != nil {
					h.t.Fatal(err)
				}
			}
		},
		"suspension": func(h *house, _ storage.User) func() {
			if _, err := h.SuspendParticipant(h.ctx, dana, "mercy", "audit"); err != nil {
				h.t.Fatal(err)
			}
			return func() {
				if _, err := h.ResumeParticipant(h.ctx, dana, "mercy"); err != nil {
					h.t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			u := h.create(mercy, person("ana", "Registered Nurse"))
			lift := open(h, u)
			h.work()
			if got := h.post.to("ana@mail.example"); len(got) > 0 {
				t.Fatalf("sent %v", got)
			}
			lift()
			h.work()
			h.work()
			if got := h.post.to("ana@mail.example"); !slices.Equal(got, []string{"invitation"}) {
				t.Errorf("sent %v", got)
			}
		})
	}
}

func TestTheReasonAfterAResumeIsTrue(t *testing.T) {
	h := newHouse(t)
	u := h.train(h.create(mercy, person("ana", "Registered Nurse")))
	if _, err := h.SuspendParticipant(h.ctx, dana, "mercy", "audit"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Hold(h.ctx, dana, u.ID, "lost badge"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.ResumeParticipant(h.ctx, dana, "mercy"); err != nil {
		t.Fatal(err)
	}
	h.work()
	got := h.wants(u.ID, policy.StatusSuspended, "", "hold")
	if reason := got.Access(h.Now()).Reason; strings.Contains(reason, "participant") {
		t.Errorf("%q", reason)
	}
}

// TestALinkKnowsTheClosingBeforeIt: a link that was issued by a deed which did
// not see the participant close is void when it opens again.
func TestALinkKnowsTheClosingBeforeIt(t *testing.T) {
	h := newHouse(t)
	u := h.train(h.create(mercy, person("ana", "Registered Nurse")))
	links, err := h.store.ListActivations(h.ctx, u.ID)
	if err != nil || len(links) != 1 {
		t.Fatalf("%v, %v", links, err)
	}
	if !lifecycle.LinkLives(links[0], h.get(u.ID), h.Now()) {
		t.Fatal("a fresh link is void")
	}
	later := links[0]
	later.Issued = h.Now().AddDate(0, 0, 1) // by another node's clock
	if _, err := h.SuspendParticipant(h.ctx, dana, "mercy", "audit"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.ResumeParticipant(h.ctx, dana, "mercy"); err != nil {
		t.Fatal(err)
	}
	if lifecycle.LinkLives(later, h.get(u.ID), h.Now()) {
		t.Error("the link lived through a suspension")
	}
}

// TestTheLastTwoLeaveAnAddress: holder and waiter leave at the same instant, and
// the address is free for the next one.
func TestTheLastTwoLeaveAnAddress(t *testing.T) {
	h := newHouseAt(t, pgtest.URL(t))
	for i := range 40 {
		name := "p" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		address := email(name + "@mail.example")
		a := h.create(mercy, person(name, "Registered Nurse", address))
		b := h.create(north, person(name, "Registered Nurse", address))
		var both sync.WaitGroup
		for _, who := range []struct {
			at lifecycle.Actor
			id string
		}{{mercy, a.ID}, {north, b.ID}} {
			both.Go(func() {
				if _, err := h.tryChange(who.at, who.id, set("active", false)); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		next := h.create(mercy, person(name+"-next", "Registered Nurse", address))
		if gate := h.get(next.ID).Decision.Gate(policy.GateEmail); !gate.Open {
			t.Fatalf("round %d: nobody is left, and the address is taken: %s", i, gate.Reason)
		}
	}
}
