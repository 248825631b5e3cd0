package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/healthix/healthix-scim/api/auth"
	"github.com/healthix/healthix-scim/lifecycle"
)

const (
	tokenPath    = "/oauth/token" //nolint:gosec // a path
	metadataPath = "/.well-known/oauth-authorization-server"
	keysPath     = "/.well-known/jwks.json"
)

// maxGrant bounds a token request; an assertion is 8 KiB at most.
const maxGrant = 64 << 10

var (
	// strangerGrantRate is what one address may ask the token endpoint. Providers
	// in the cloud push for many participants from few addresses; each asks once
	// an hour.
	strangerGrantRate = Rate{PerSecond: 20, Burst: 200}
	// clientGrantRate is what one client gets. It is counted once the client has
	// proven itself: who only knows its id cannot use up its share.
	clientGrantRate = Rate{PerSecond: 1, Burst: 60}
)

// grantForm are the parameters of a token request.
var grantForm = []string{"grant_type", "scope", "client_id", "client_secret", "client_assertion_type", "client_assertion"}

// grantView is a token as it is answered (RFC 6749 §5.1).
type grantView struct {
	AccessToken string `json:"access_token"`
	TokenType   string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"` // seconds
	Scope       string `json:"scope"`
}

// grantProblem is a refusal at the token endpoint (RFC 6749 §5.2).
type grantProblem struct {
	Error       string `json:"error"`
	Description string `json:"error_description,omitempty"`
}

// serveToken is the token endpoint: a client proves itself and gets a
// short-lived token.
func (s *server) serveToken(w http.ResponseWriter, r *http.Request) {
	token, err := s.grant(w, r)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	body, err := json.Marshal(token) //nolint:gosec // to hand it over is what was asked for
	if err != nil {
		s.refuse(w, r, fmt.Errorf("encode a token: %w", err))
		return
	}
	w.Header().Set("Pragma", "no-cache") // RFC 6749 §5.1 asks for it beside Cache-Control
	write(w, r, http.StatusOK, "application/json", body)
}

func (s *server) grant(w http.ResponseWriter, r *http.Request) (grantView, error) {
	ctx, t := r.Context(), trailOf(r.Context())
	if err := s.pace(w.Header(), s.visitors, "oauth "+neighbourhood(t.address), strangerGrantRate); err != nil {
		return grantView{}, err
	}
	body, err := readWhole(w, r, maxGrant)
	if err != nil {
		return grantView{}, err
	}
	asked, err := auth.ReadGrant(r.Header, r.URL.RawQuery, body)
	if err != nil {
		return grantView{}, err
	}
	client, proven, err := s.oauth.Prove(ctx, asked)
	if err != nil {
		return grantView{}, err
	}
	t.who.Participant = client.Participant
	Note(ctx, slog.String("client", client.ID))
	if err := s.pace(w.Header(), s.clients, "oauth "+client.ID, clientGrantRate); err != nil {
		return grantView{}, err
	}
	record, err := s.Service.GrantToken(ctx, proven)
	if err != nil {
		return grantView{}, asGrantRefusal(err)
	}
	t.who.Scope, t.who.TokenID = record.Scope, record.ID
	text, err := s.Signer.Mint(record)
	if err != nil {
		return grantView{}, err
	}
	left := max(0, record.Expires.Sub(s.Service.Now()))
	return grantView{AccessToken: text, TokenType: "Bearer", ExpiresIn: int64(left.Seconds()), Scope: record.Scope}, nil
}

// asGrantRefusal says in the endpoint's words that a client, or the assertion
// that it proved itself with, does not hold any more.
func asGrantRefusal(err error) error {
	fault := lifecycle.AsFault(err)
	if fault.Kind == lifecycle.KindRefused || fault.Kind == lifecycle.KindNotFound {
		return &auth.GrantRefusal{Code: auth.InvalidClient, Reason: fault.Message}
	}
	return err
}

// refuseGrant writes a refusal in the words of RFC 6749 §5.2.
func refuseGrant(w http.ResponseWriter, r *http.Request, status int, err error, detail string) {
	code := auth.InvalidRequest
	var refusal *auth.GrantRefusal
	switch {
	case errors.As(err, &refusal):
		code = refusal.Code
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		code = auth.TemporarilyUnavailable
	case status >= http.StatusInternalServerError:
		code = auth.ServerError
	}
	body, err := json.Marshal(grantProblem{Error: code, Description: describable(detail)})
	if err != nil { // strings always encode
		panic(err)
	}
	w.Header().Set("Pragma", "no-cache")
	write(w, r, status, "application/json", body)
}

// describable keeps to the characters that an error_description may have.
func describable(text string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '"' || c == '\\':
			return '\''
		case c < ' ' || c > '~':
			return ' '
		}
		return c
	}, text)
}

// serverMetadata is RFC 8414 §2: what is served and nothing else.
type serverMetadata struct {
	Issuer        string   `json:"issuer"`
	TokenEndpoint string   `json:"token_endpoint"`
	JWKS          string   `json:"jwks_uri"`
	Scopes        []string `json:"scopes_supported"`
	// There is no authorization endpoint. The member is required all the same.
	ResponseTypes []string `json:"response_types_supported"`
	GrantTypes    []string `json:"grant_types_supported"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	SigningAlgs   []string `json:"token_endpoint_auth_signing_alg_values_supported"`
}

func (s *server) serveMetadata(w http.ResponseWriter, r *http.Request) {
	body, err := json.Marshal(serverMetadata{
		Issuer: s.BaseURL, TokenEndpoint: s.BaseURL + tokenPath, JWKS: s.BaseURL + keysPath,
		Scopes: []string{auth.ScopeSCIM}, ResponseTypes: []string{}, GrantTypes: []string{auth.GrantType},
		AuthMethods: auth.AuthMethods(), SigningAlgs: auth.SigningAlgs(),
	})
	if err != nil {
		s.refuse(w, r, fmt.Errorf("encode metadata: %w", err))
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	write(w, r, http.StatusOK, "application/json", body)
}
