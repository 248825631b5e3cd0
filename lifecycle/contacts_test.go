package lifecycle_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

// noPost is a mail server that refuses everything for good.
type noPost struct{}

func (noPost) Send(context.Context, lifecycle.Mail) error {
	return fmt.Errorf("550: %w", storage.ErrGiveUp)
}

// A mail to a contact that the mail server refuses for good is on record for the
// participant, whatever it was about.
func TestRefusedMailsToContactsAreOnRecord(t *testing.T) {
	h := newHouse(t)
	if _, err := h.ChangeParticipant(h.ctx, dana, "mercy", func(p *storage.Participant) error {
		p.Settings.Contacts = []string{"gone@mercy.example"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.IssueToken(h.ctx, dana, lifecycle.TokenSpec{Participant: "mercy", Scope: "scim", TTL: 40 * 24 * time.Hour}); err != nil {
		t.Fatal(err)
	}
	h.leave(h.crowd("a", 6)[:5]...)
	c := h.tripped(5, 6, small)
	h.clock.pass(11 * 24 * time.Hour) // a Friday
	if n, err := h.WarnExpiring(h.ctx); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	jobs, err := h.store.ListJobs(h.ctx, "available", 100)
	if err != nil {
		t.Fatal(err)
	}
	jobs = slices.DeleteFunc(jobs, func(j storage.Job) bool { return j.Kind != lifecycle.JobExpiry })
	jobs = append(jobs,
		storage.Job{Kind: lifecycle.JobBreakerMail, Key: c.ID + "/0", Subject: c.ID + "/0"},
		storage.Job{Kind: lifecycle.JobDigest, Key: "mercy/2026-03-09/0", Subject: "mercy/2026-03-09/0"})
	office, err := lifecycle.New(lifecycle.Options{Store: h.store, Mailer: noPost{}, Key: bytes.Repeat([]byte("k"), 32), Clock: h.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs {
		if err := office.Do(h.ctx, j); !errors.Is(err, storage.ErrGiveUp) {
			t.Errorf("%s: %v, want it given up", j.Kind, err)
		}
	}
	h.recorded("mercy", "mail.refused", 3)
	h.recorded("mercy", "mail.sent", 0)
	for _, e := range h.actions("mail.refused") {
		if strings.Contains(string(e.Canonical), "gone@") {
			t.Errorf("the entry names the contact: %s", e.Canonical)
		}
	}
}

// An address whose gate closed may be somebody else's: nothing about the user
// goes there, neither while they have it nor when they have it no more.
func TestNobodyElsesAddressIsTold(t *testing.T) {
	h := newHouse(t)
	h.create(north, person("bea", "Registered Nurse"))
	ana := h.staff("ana")["ana"]
	h.work()
	for _, wrong := range []string{"bea@mail.example", "frontdesk@mail.example"} {
		h.post.mails = nil
		h.change(mercy, ana.ID, email(wrong))
		h.wants(ana.ID, "suspended", "", "email")
		h.work()
		h.change(mercy, ana.ID, email("ana@mail.example"))
		h.wants(ana.ID, "released", "practitioner")
		h.work()
		if got := h.post.to(wrong); len(got) != 0 {
			t.Errorf("%s was told %v", wrong, got)
		}
		if got := h.post.to("ana@mail.example"); !slices.Contains(got, "address-changed") {
			t.Errorf("ana's own address was told %v", got)
		}
	}
	h.post.mails = nil
	h.change(mercy, ana.ID, set("title", nil))
	h.work()
	if got := h.post.to("ana@mail.example"); !slices.Equal(got, []string{"suspended"}) {
		t.Errorf("with an address of her own ana was told %v", got)
	}
}

// A title may hold anything; our letterhead carries none of its links.
func TestMailsQuoteNoLinks(t *testing.T) {
	h := newHouse(t)
	ana := h.staff("ana")["ana"]
	for _, title := range []string{`Nurse, see https://evil.example/now`, `Nurse" evil.example "x`, `a\" evil.example`, "Nurse mail@evil.example"} {
		h.change(mercy, ana.ID, set("title", title))
		h.work()
		m := h.post.last(t, ana.Email)
		if !strings.HasPrefix(m.ID, "suspended.") || !strings.Contains(m.Text, "evil") {
			t.Fatalf("the last mail was %s: %s", m.ID, m.Text)
		}
		for _, text := range []string{m.Text, m.HTML} {
			if strings.Contains(text, "evil.example") || strings.Contains(text, "://evil") {
				t.Errorf("%q makes a link: %s", title, text)
			}
		}
		h.change(mercy, ana.ID, set("title", "Registered Nurse"))
	}
}

// A redeem whose answer was lost is repeated for 15 minutes, also when the link
// ends meanwhile; not for another key.
func TestRedeemRepeatsBeyondTheEndOfALink(t *testing.T) {
	h := newHouse(t)
	ana := h.staff("ana")["ana"]
	h.work()
	code := h.code(ana.Email)
	h.clock.pass(7*24*time.Hour - 5*time.Minute)
	first, err := h.Redeem(h.ctx, door, code, "one")
	if err != nil {
		t.Fatal(err)
	}
	h.clock.pass(10 * time.Minute)
	again, err := h.Redeem(h.ctx, door, code, "one")
	if err != nil || again.Username != first.Username {
		t.Errorf("repeated: %+v, %v", again, err)
	}
	_, err = h.Redeem(h.ctx, door, code, "another")
	wantsKind(t, err, lifecycle.KindRefused)
	h.clock.pass(5 * time.Minute)
	_, err = h.Redeem(h.ctx, door, code, "one")
	wantsKind(t, err, lifecycle.KindRefused)
	h.recorded(ana.ID, "activation.redeemed", 1)
}

// One key may come with two codes: each is redeemed for itself.
func TestOneKeyForTwoCodes(t *testing.T) {
	h := newHouse(t)
	s := h.staff("ana", "ben")
	h.work()
	for _, u := range s {
		got, err := h.Redeem(h.ctx, door, h.code(u.Email), "the same")
		if err != nil || got.ID != u.ID {
			t.Errorf("%s: %+v, %v", u.UserName, got, err)
		}
	}
}

func TestParticipantNamesAreOneLine(t *testing.T) {
	h := newHouse(t)
	for _, name := range []string{"Mercy\r\nBcc: all@mercy.example", "Mercy\tGeneral", "Mercy\x00", "", "  "} {
		_, err := h.ChangeParticipant(h.ctx, dana, "mercy", func(p *storage.Participant) error { p.Name = name; return nil })
		wantsKind(t, err, lifecycle.KindInvalid)
	}
}

// Two people got one externalId while several might share it. Ending that stops
// nobody's leaving, and lets no third one in.
func TestUniqueExternalIDsAgain(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		share := func(shared bool) {
			if _, err := h.ChangeParticipant(h.ctx, dana, "mercy", func(p *storage.Participant) error { p.Settings.SharedExternalID = shared; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		share(true)
		ana := h.create(mercy, person("ana", "Registered Nurse", set("externalId", "hr-7")))
		ben := h.create(mercy, person("ben", "Registered Nurse", set("externalId", "hr-7")))
		share(false)
		for _, u := range []storage.User{ana, ben} {
			h.train(u)
			h.change(mercy, u.ID, set("displayName", "D."))
		}
		_, err := h.CreateUser(h.ctx, mercy, person("cleo", "Registered Nurse", set("externalId", "hr-7")))
		wantsKind(t, err, lifecycle.KindTaken)
		h.leave(ana.ID, ben.ID)
		h.wants(ana.ID, "revoked", "")
		h.wants(ben.ID, "revoked", "")
	})
}
