package lifecycle_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

const day = 24 * time.Hour

func (h *house) contacts(participant string, addresses ...string) {
	h.t.Helper()
	if _, err := h.ChangeParticipant(h.ctx, dana, participant, func(p *storage.Participant) error {
		p.Settings.Contacts = addresses
		return nil
	}); err != nil {
		h.t.Fatal(err)
	}
}

// warn looks once, as the server does every few minutes, and sends.
func (h *house) warn() int {
	h.t.Helper()
	n, err := h.WarnExpiring(h.ctx)
	if err != nil {
		h.t.Fatal(err)
	}
	h.work()
	return n
}

func (h *house) scimToken(label string, ttl time.Duration) storage.Token {
	h.t.Helper()
	k, err := h.IssueToken(h.ctx, dana, lifecycle.TokenSpec{Participant: "mercy", Scope: "scim", Label: label, TTL: ttl})
	if err != nil {
		h.t.Fatal(err)
	}
	return k
}

// Each warning goes out once, whoever looks how often.
func TestExpiryIsToldInTime(t *testing.T) {
	clientHouse(t, func(t *testing.T, h *house) {
		h.contacts("mercy", "it@mercy.example", "aum@mercy.example")
		h.scimToken("entra", 90*day)
		told := func() int { return len(h.post.to("it@mercy.example")) }
		var at []int
		for left := 90; left >= -1; left-- {
			before := told()
			for range 2 {
				h.warn()
			}
			if told() > before {
				at = append(at, left)
			}
			if n := told() - before; n > 1 {
				t.Errorf("%d mails with %d days left", n, left)
			}
			h.clock.pass(day)
		}
		if fmt.Sprint(at) != "[60 30 14 7 1]" {
			t.Errorf("told with %v days left", at)
		}
		if a, b := h.post.to("it@mercy.example"), h.post.to("aum@mercy.example"); fmt.Sprint(a) != fmt.Sprint(b) || a[0] != lifecycle.JobExpiry {
			t.Errorf("one contact heard %v, the other %v", a, b)
		}
	})
}

func TestOnlyTheNearestWarningIsSent(t *testing.T) {
	clientHouse(t, func(t *testing.T, h *house) {
		h.scimToken("entra", 365*day)
		c, _, err := h.IssueClient(h.ctx, dana, lifecycle.ClientSpec{Participant: "mercy", Label: "okta", TTL: 365 * day})
		if err != nil {
			t.Fatal(err)
		}
		h.clock.pass(310 * day)
		if n := h.warn(); n != 0 {
			t.Errorf("%d promised to nobody", n)
		}
		h.contacts("mercy", "it@mercy.example")
		h.clock.pass(45 * day) // the server was off from 55 to 10 days before the end
		if n := h.warn(); n != 2 || len(h.post.to("it@mercy.example")) != 2 {
			t.Errorf("%d promised, %v sent, want one of each", n, h.post.to("it@mercy.example"))
		}

		// A mail that waited until the next warning is due leaves it to that one.
		h.clock.pass(3*day + time.Hour)
		if n, err := h.WarnExpiring(h.ctx); err != nil || n != 2 {
			t.Fatalf("%d promised, %v", n, err)
		}
		h.clock.pass(6 * day)
		if n := h.warn(); n != 2 || len(h.post.to("it@mercy.example")) != 4 {
			t.Errorf("%d promised, %v sent after a pause of the workers", n, h.post.to("it@mercy.example"))
		}
		if n := len(h.actions("mail.withheld")); n != 2 {
			t.Errorf("%d entries of mails that were not sent, want 2", n)
		}
		m := h.post.last(t, "it@mercy.example")
		if !strings.Contains(m.Subject+m.Text+m.HTML, "expires on") || !strings.Contains(m.Text, "mercy hospital") {
			t.Errorf("%s\n%s", m.Subject, m.Text)
		}
		found := false
		for _, sent := range h.post.mails {
			found = found || strings.Contains(sent.Subject, "OAuth client") && strings.Contains(sent.Text, c.ID) && strings.Contains(sent.HTML, "okta")
		}
		if !found {
			t.Error("no mail names the client")
		}
		if sent := h.actions("mail.sent"); len(sent) != 4 || strings.Contains(string(sent[0].Canonical), "it@mercy.example") {
			t.Errorf("entries: %s", sent)
		}
	})
}

func TestNoWarningIsDue(t *testing.T) {
	h := newHouse(t)
	h.contacts("mercy", "it@mercy.example")
	h.scimToken("new and short", 20*day) // its 30 days were over before it began
	gone := h.scimToken("revoked", 40*day)
	if err := h.RevokeToken(h.ctx, dana, gone.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := h.IssueToken(h.ctx, dana, lifecycle.TokenSpec{Participant: "mercy", Scope: "aum", Subject: "kim@mercy.example", TTL: 30 * day}); err != nil {
		t.Fatal(err)
	}
	if n := h.warn(); n != 0 {
		t.Errorf("%d warnings on the first day", n)
	}
	// Promised, and revoked before it went.
	k := h.scimToken("entra", 40*day)
	h.clock.pass(10*day + time.Hour)
	if n, err := h.WarnExpiring(h.ctx); err != nil || n != 2 {
		t.Fatalf("%d promised, %v", n, err)
	}
	if err := h.RevokeToken(h.ctx, dana, k.ID); err != nil {
		t.Fatal(err)
	}
	h.work()
	if got := h.post.to("it@mercy.example"); len(got) != 1 {
		t.Errorf("sent %v, want the one about the token that lives", got)
	}
}

// A label is the participant's text; our mail carries none of its links.
func TestWarningCarriesNoForeignLink(t *testing.T) {
	h := newHouse(t)
	h.contacts("mercy", "it@mercy.example")
	h.scimToken("https://evil.example/ click\r\nBcc: x@y.example <b>", 40*day)
	h.clock.pass(11 * day)
	h.warn()
	m := h.post.last(t, "it@mercy.example")
	for _, bad := range []string{"://", "evil.example", "Bcc:", "<b>", "@y"} {
		if strings.Contains(m.Subject+m.Text, bad) || strings.Contains(m.HTML, "evil.example") {
			t.Errorf("the mail says %q: %s", bad, m.Text)
		}
	}
	if !strings.Contains(m.Text, "https evil example click") {
		t.Errorf("the mail does not name it:\n%s", m.Text)
	}
}
