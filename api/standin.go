package api

import (
	"bytes"
	_ "embed"
	"html/template"
	"mime"
	"net/http"
	"net/url"

	"github.com/google/uuid"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
)

// standInPath is where activation links point until there is a portal.
const standInPath = "/portal/activate"

//go:embed activate.html
var activatePage string

var standIn = template.Must(template.New("activate").Parse(activatePage))

// standInView is what the page shows: a button, a username or a refusal.
type standInView struct {
	Path, Code, Key   string
	Username, Refusal string
}

// serveStandIn shows the button. Reading a link never uses it up: mail scanners
// read every link.
func (s *server) serveStandIn(w http.ResponseWriter, r *http.Request) {
	view := standInView{Path: standInPath, Code: r.URL.Query().Get("code"), Key: uuid.NewString()}
	if view.Code == "" {
		view.Refusal = "This link is not whole. Open it again from your e-mail."
	}
	s.showStandIn(w, r, http.StatusOK, view)
}

func (s *server) redeemOnStandIn(w http.ResponseWriter, r *http.Request) {
	if err := s.halted(r, auth.Principal{Scope: auth.ScopePortal}); err != nil {
		s.refuse(w, r, err)
		return
	}
	got, err := s.redeemForm(w, r)
	if err == nil {
		s.showStandIn(w, r, http.StatusOK, standInView{Username: got.Username})
		return
	}
	fault := asFault(err)
	status := problems[fault.Kind].status
	if status == 0 || status >= http.StatusInternalServerError {
		s.refuse(w, r, err)
		return
	}
	s.showStandIn(w, r, status, standInView{Refusal: fault.Message})
}

func (s *server) redeemForm(w http.ResponseWriter, r *http.Request) (lifecycle.Redeemed, error) {
	t := trailOf(r.Context())
	if err := s.pace(w.Header(), s.visitors, "stand-in "+neighbourhood(t.address), personRedeemRate); err != nil {
		return lifecycle.Redeemed{}, err
	}
	const largest = 8 << 10
	body, err := readBody(w, r, largest)
	if err != nil {
		return lifecycle.Redeemed{}, err
	}
	media, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	form, err := url.ParseQuery(string(body))
	if err != nil || media != "application/x-www-form-urlencoded" || form.Get("code") == "" {
		return lifecycle.Redeemed{}, lifecycle.Faultf(lifecycle.KindInvalid, "code", "This link is not whole. Open it again from your e-mail.")
	}
	by := lifecycle.Actor{Kind: "portal", Subject: "portal-stand-in", RequestID: t.id, Source: t.address}
	return s.Service.Redeem(r.Context(), by, form.Get("code"), form.Get("key"))
}

func (s *server) showStandIn(w http.ResponseWriter, r *http.Request, status int, view standInView) {
	var page bytes.Buffer
	if err := standIn.Execute(&page, view); err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	write(w, r, status, "text/html; charset=utf-8", page.Bytes())
}
