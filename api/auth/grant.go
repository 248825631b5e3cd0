package auth

import (
	"encoding/base64"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// The error codes of a token endpoint (RFC 6749 §5.2), and two for what HTTP
// says by its status (§8.5 lets a server name its own).
const (
	InvalidRequest         = "invalid_request"
	InvalidClient          = "invalid_client"
	UnsupportedGrantType   = "unsupported_grant_type"
	InvalidScope           = "invalid_scope"
	TemporarilyUnavailable = "temporarily_unavailable"
	ServerError            = "server_error"
)

// GrantType is the one grant there is: a machine asks for itself.
const GrantType = "client_credentials"

// assertionType is RFC 7523 §2.2's.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// AuthMethods are the ways in which a client may prove itself, by the names of
// RFC 7591 §2.
func AuthMethods() []string { return append(SecretMethods(), SignedMethod) }

// SecretMethods are those of a client with a secret.
func SecretMethods() []string { return []string{"client_secret_basic", "client_secret_post"} }

// SignedMethod is that of a client with keys.
const SignedMethod = "private_key_jwt"

// GrantRefusal says why a client gets no token, in a code of RFC 6749 §5.2 and
// in a sentence that may leave the house: it repeats nothing of what was sent.
type GrantRefusal struct{ Code, Reason string }

func (r *GrantRefusal) Error() string { return r.Code + ": " + r.Reason }

func refused(code, reason string) *GrantRefusal { return &GrantRefusal{Code: code, Reason: reason} }

// GrantRequest is a token request as it was sent: who asks and by which one
// proof, and for what. Nothing of it is proven.
type GrantRequest struct {
	scope     string // "" when none was asked for
	client    string // "" when only the assertion names it
	secret    string
	assertion string // a signed JWT; "" when there is a secret
}

// ReadGrant reads a request to the token endpoint: a form, each parameter once
// (RFC 6749 §3.2), and one way of authentication (§2.3).
func ReadGrant(h http.Header, rawQuery string, body []byte) (GrantRequest, error) {
	form, err := grantForm(h, rawQuery, body)
	if err != nil {
		return GrantRequest{}, err
	}
	switch form.Get("grant_type") {
	case GrantType:
	case "":
		return GrantRequest{}, refused(InvalidRequest, "grant_type is missing; send grant_type="+GrantType)
	default:
		return GrantRequest{}, refused(UnsupportedGrantType, "the grant type here is "+GrantType)
	}
	r := GrantRequest{scope: form.Get("scope"), client: form.Get("client_id"), secret: form.Get("client_secret"), assertion: form.Get("client_assertion")}
	signed := r.assertion != "" || form.Get("client_assertion_type") != ""
	ways := 0
	for _, tried := range []bool{len(h.Values("Authorization")) > 0, r.secret != "", signed} {
		if tried {
			ways++
		}
	}
	switch {
	case ways > 1 || len(h.Values("Authorization")) > 1:
		return GrantRequest{}, refused(InvalidRequest, "the client authenticates in more than one way; use one")
	case ways == 0:
		return GrantRequest{}, refused(InvalidClient, "the request names no client that proves itself; use "+strings.Join(AuthMethods(), ", "))
	case signed:
		return r, checkSigned(r, form.Get("client_assertion_type"))
	case r.secret != "":
		if r.client == "" {
			return GrantRequest{}, refused(InvalidRequest, "client_id is missing beside client_secret")
		}
		return r, nil
	}
	return readBasic(h.Get("Authorization"), r)
}

// grantForm reads the body's parameters. One in the address is refused: logs
// keep addresses, and a secret may be among them.
func grantForm(h http.Header, rawQuery string, body []byte) (url.Values, error) {
	media, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" || len(h.Values("Content-Type")) > 1 {
		return nil, refused(InvalidRequest, "the body must be a form; send Content-Type: application/x-www-form-urlencoded")
	}
	if rawQuery != "" {
		return nil, refused(InvalidRequest, "parameters go into the body, not into the address")
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, refused(InvalidRequest, "the form cannot be read; check its % signs")
	}
	for _, given := range form {
		if len(given) > 1 {
			return nil, refused(InvalidRequest, "a parameter is given more than once; give it once")
		}
		if !utf8.ValidString(given[0]) || strings.ContainsRune(given[0], 0) {
			return nil, refused(InvalidRequest, "a parameter is not text")
		}
	}
	return form, nil
}

// checkSigned is RFC 7521 §4.2's: an assertion and its type.
func checkSigned(r GrantRequest, kind string) error {
	switch {
	case r.assertion == "":
		return refused(InvalidRequest, "client_assertion is missing beside client_assertion_type")
	case kind == "":
		return refused(InvalidRequest, "client_assertion_type is missing beside client_assertion; send "+assertionType)
	case kind != assertionType:
		return refused(InvalidClient, "assertions here are of the type "+assertionType)
	}
	return nil
}

// readBasic is RFC 6749 §2.3.1: id and secret are form-encoded before they are
// put into HTTP Basic. A client_id in the body may repeat the id.
func readBasic(header string, r GrantRequest) (GrantRequest, error) {
	bad := refused(InvalidClient, "the Authorization header must read: Basic base64(client_id:client_secret), both form-encoded before")
	scheme, text, _ := strings.Cut(header, " ")
	plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || !strings.EqualFold(scheme, "Basic") {
		return GrantRequest{}, bad
	}
	id, secret, found := strings.Cut(string(plain), ":")
	id, errID := url.QueryUnescape(id)
	secret, errSecret := url.QueryUnescape(secret)
	if !found || errID != nil || errSecret != nil || id == "" || secret == "" {
		return GrantRequest{}, bad
	}
	if r.client != "" && r.client != id {
		return GrantRequest{}, refused(InvalidRequest, "client_id in the body is not the one in the Authorization header")
	}
	r.client, r.secret = id, secret
	return r, nil
}

// scopeOf is the scope that a token gets (RFC 6749 §3.3): what was asked for, or
// what the client has. A token of ours has one.
func scopeOf(has []string, asked string) (string, error) {
	wanted := strings.Fields(asked)
	if len(wanted) == 0 {
		wanted = slices.Clone(has)
	}
	slices.Sort(wanted)
	wanted = slices.Compact(wanted)
	for _, scope := range wanted {
		if !slices.Contains(has, scope) {
			return "", refused(InvalidScope, "the client may ask for "+strings.Join(has, " ")+", or leave scope out")
		}
	}
	if len(wanted) != 1 {
		return "", refused(InvalidScope, "a token has one scope; ask for one of "+strings.Join(has, " "))
	}
	return wanted[0], nil
}
