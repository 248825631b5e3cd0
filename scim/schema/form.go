package schema

import (
	"crypto/x509"
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/protocol"
)

// checkForm holds text to the form that RFC 7643 asks of it beside its type.
// Providers send "United States" and half certificates, and want back what they
// sent, so that only a strict reading refuses.
func (a *Attribute) checkForm(s string, reading *dialect.Reading) error {
	if want := a.wantedForm(s); want != "" && !reading.Allow(dialect.FormAsSent) {
		return protocol.Errorf(protocol.InvalidValue, a.Path(), "%s has another form; send %s", a.Path(), want)
	}
	return nil
}

// wantedForm says what was expected, "" when it is there.
func (a *Attribute) wantedForm(s string) string {
	switch {
	case a.Type == Reference:
		// RFC 7643 §2.3.7: absolute, or relative to the service.
		if u, err := url.Parse(s); err != nil || strings.ContainsAny(s, " \t\r\n") || u.Scheme == "" && u.Path == "" {
			return "a URI"
		}
	case a.Path() == "addresses.country":
		if len(s) != 2 || strings.Trim(strings.ToUpper(s), "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return "two letters of ISO 3166-1, as in US"
		}
	case a.Path() == "x509Certificates.value":
		// RFC 7643 §4.1.2: exactly one DER certificate.
		der, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(unwrapped(s), "="))
		if err != nil {
			return "base64"
		}
		if _, err := x509.ParseCertificate(der); err != nil {
			return "one DER certificate in base64"
		}
	}
	return ""
}

// unwrapped takes out the line breaks of PEM.
func unwrapped(s string) string { return strings.NewReplacer("\n", "", "\r", "").Replace(s) }
