package schema

import (
	"crypto/x509"
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/healthix/healthix-scim/scim/dialect"
	"github.com/healthix/healthix-scim/scim/protocol"
)

// text checks a value of a type that travels as a string.
func (a *Attribute) text(v any, reading *dialect.Reading) (any, error) {
	s, ok := v.(string)
	switch {
	case !ok:
		return nil, wrongType(a.Path(), "a string", v)
	case a.Type == DateTime:
		if _, ok := ParseTime(s); !ok {
			return nil, protocol.Errorf(protocol.InvalidValue, a.Path(), "%s is no dateTime; send date, time and zone, as in 2026-01-31T08:00:00Z", a.Path())
		}
	case a.Type == Binary && !isBase64(s):
		return nil, protocol.Errorf(protocol.InvalidValue, a.Path(), "%s is not base64 (RFC 4648 §4)", a.Path())
	}
	if len(s) > maxIndexed && indexed[a.Path()] {
		return nil, protocol.Errorf(protocol.InvalidValue, a.Path(), "%s has %d bytes; at most %d are kept", a.Path(), len(s), maxIndexed)
	}
	return s, a.checkForm(s, reading)
}

// isBase64 accepts both paddings (RFC 7643 §2.3.6) and the line breaks of PEM.
func isBase64(s string) bool {
	_, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(unwrapped(s), "="))
	return err == nil
}

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
