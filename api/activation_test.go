package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// How far a link has come is shown: sent, redeemed, expired. A new one voids the
// old one, and who comes with that is told whom to ask.
func TestActivationLinks(t *testing.T) {
	h := newHouse(t, nil)
	manager, portal := h.token("aum", "mercy"), h.token("portal", "")
	user := root + "/users/" + h.mercy.ID
	is := func(want string) {
		t.Helper()
		if got := at(t, h.must(200, "GET", user, manager, "").json, "access", "activation"); got != want {
			t.Errorf("activation is %v, want %s", got, want)
		}
	}
	redeem := func() string {
		links, err := h.store.ListActivations(t.Context(), h.mercy.ID)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf(`{"code":%q}`, h.service.ActivationCode(links[0].ID))
	}
	h.train(h.mercy)
	is("sent")
	old := redeem()
	h.pass(8 * 24 * time.Hour)
	is("expired")
	unknown := h.must(422, "POST", root+"/activations/redeem", portal, `{"code":"never-was-one"}`)
	for range 2 { // expired; then void
		got := h.must(422, "POST", root+"/activations/redeem", portal, old)
		if !strings.Contains(got.body, "ask your Authorized User Manager for a new one") || got.json["detail"] != unknown.json["detail"] {
			t.Errorf("an old link: %s; one that never was: %s", got.body, unknown.body)
		}
		h.must(http.StatusNoContent, "POST", user+"/activation", manager, "")
	}
	is("sent")
	h.must(200, "POST", root+"/activations/redeem", portal, redeem())
	is("redeemed")
}

// Redeeming has a rate: a hostile or broken client does not fill the record.
func TestRedeemIsPaced(t *testing.T) {
	h := newHouse(t, nil)
	portal := h.token("portal", "")
	for i := range 1000 {
		got := h.ask("POST", root+"/activations/redeem", portal, `{"code":"guess"}`)
		if got.status == http.StatusTooManyRequests {
			if i < portalRedeemRate.Burst || got.header.Get("Retry-After") == "" {
				t.Errorf("request %d: 429, Retry-After %q", i, got.header.Get("Retry-After"))
			}
			return
		}
		if got.status != 422 {
			t.Fatalf("request %d: %d %s", i, got.status, got.body)
		}
	}
	t.Error("a thousand guesses were answered")
}
