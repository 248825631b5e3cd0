package lifecycle_test

import (
	"slices"
	"testing"

	"github.com/healthix/healthix-scim/storage"
)

// A participant that chooses single sign-on sends no credential any more: what
// was promised confirms access instead, and links that are out make no password.
func TestSignOnChosenAfterTheRelease(t *testing.T) {
	onBothEngines(t, func(t *testing.T, h *house) {
		chosen := func(sso bool) {
			t.Helper()
			if _, err := h.ChangeParticipant(h.ctx, dana, "mercy", func(p *storage.Participant) error { p.Settings.SSO = sso; return nil }); err != nil {
				t.Fatal(err)
			}
		}
		out := h.released("ana", "Registered Nurse")
		h.work()
		code := h.code(out.Email)
		promised := h.released("bea", "Registered Nurse")
		chosen(true)
		h.work()
		if kinds := h.post.to(promised.Email); slices.Contains(kinds, "credentials") || !slices.Contains(kinds, "confirmed") {
			t.Errorf("promised before, told %v", kinds)
		}
		if _, err := h.Redeem(h.ctx, door, code, "key"); err == nil {
			t.Error("a link made a password where people sign on by themselves")
		}
		chosen(false)
		if _, err := h.Redeem(h.ctx, door, code, "key"); err != nil {
			t.Errorf("the link is good again: %v", err)
		}
	})
}
