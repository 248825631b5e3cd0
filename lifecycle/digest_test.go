package lifecycle_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/healthix/healthix-scim/lifecycle"
	"github.com/healthix/healthix-scim/storage"
)

func (h *house) digests(address string) int {
	return strings.Count(fmt.Sprint(h.post.to(address)), lifecycle.JobDigest)
}

// Each Monday at eight in New York, once, in numbers. The house begins on Monday,
// 2 March 2026, at ten there; the clocks change on the Sunday after.
func TestDigestIsWeekly(t *testing.T) {
	onBoth(t, func(t *testing.T, h *house) {
		h.contacts("mercy", "aum@mercy.example", "it@mercy.example")
		h.contacts("north", "aum@north.example")
		h.create(mercy, person("ana", "Registered Nurse"))
		h.create(mercy, person("bob", "Registered Nurse", set("phoneNumbers", nil)))
		h.create(mercy, person("cleo", "Zookeeper of the ward"))
		h.train(h.create(mercy, person("dan", "Registered Nurse")))
		h.sweep()
		h.work()
		var at []string
		for range 16 * 24 {
			before := h.digests("aum@mercy.example")
			h.clock.pass(time.Hour)
			h.sweep()
			h.work()
			if n := h.digests("aum@mercy.example") - before; n > 0 {
				at = append(at, fmt.Sprint(n, h.Now().Format(" 2 15h")))
			}
		}
		// 8:00 is 12:00 UTC in summer, 13:00 in winter.
		if fmt.Sprint(at) != "[1 9 12h 1 16 12h]" {
			t.Errorf("sent at %v", at)
		}
		if a, b := h.digests("it@mercy.example"), h.digests("aum@north.example"); a != h.digests("aum@mercy.example") || b != 0 {
			t.Errorf("the other contact got %d; where nothing waits they got %d", a, b)
		}
		m := h.post.last(t, "aum@mercy.example")
		for _, want := range []string{"    2  training\n", "    1  a mobile number\n", "    1  a job title that Healthix knows\n", "1 job title of 1 person must"} {
			if !strings.Contains(m.Text, want) {
				t.Errorf("the digest does not say %q:\n%s", want, m.Text)
			}
		}
		for _, name := range []string{"Ana", "Bob", "Cleo", "Lima", "ana@", "Zookeeper"} {
			if strings.Contains(m.Subject+m.Text+m.HTML, name) {
				t.Errorf("the digest names %s", name)
			}
		}
	})
}

func TestWhoGetsNoDigest(t *testing.T) {
	h := newHouse(t)
	for _, id := range []string{"mercy", "north"} {
		h.contacts(id, "aum@"+id+".example")
	}
	h.create(mercy, person("ana", "Registered Nurse"))
	h.create(north, person("nan", "Registered Nurse"))
	setting := func(id, value string) error {
		_, err := h.ChangeParticipant(h.ctx, dana, id, func(p *storage.Participant) error {
			p.Settings.Digest = value
			return nil
		})
		return err
	}
	wantsKind(t, setting("mercy", "daily"), lifecycle.KindInvalid)
	if err := setting("mercy", "off"); err != nil {
		t.Fatal(err)
	}
	h.clock.pass(7 * day)
	h.sweep()
	if err := setting("north", "off"); err != nil { // promised, and switched off before it went
		t.Fatal(err)
	}
	h.work()
	if a, b := h.digests("aum@mercy.example"), h.digests("aum@north.example"); a != 0 || b != 0 {
		t.Errorf("%d and %d digests, want none", a, b)
	}
	for _, id := range []string{"mercy", "north"} {
		if err := setting(id, "weekly"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.SuspendParticipant(h.ctx, dana, "north", "contract ended"); err != nil {
		t.Fatal(err)
	}
	h.clock.pass(7 * day)
	h.sweep()
	h.work()
	if a, b := h.digests("aum@mercy.example"), h.digests("aum@north.example"); a != 1 || b != 0 {
		t.Errorf("%d and %d digests, want one where the participant is open", a, b)
	}
	// A server that was away from Monday to Thursday leaves the week out.
	h.clock.pass(10 * day)
	h.sweep()
	h.work()
	if n := h.digests("aum@mercy.example"); n != 1 {
		t.Errorf("%d digests, one of them days late", n)
	}
}
