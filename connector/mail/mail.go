// Package mail hands one message to one person, by SMTP or into a folder. It
// knows no template, retries nothing, and never names a recipient in an error.
package mail

import (
	"context"
	"errors"
	"fmt"
	netmail "net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// Message is one mail to one person. ID is the same at every retry.
type Message struct {
	ID      string // letters, digits, ".", "_" and "-"; becomes the Message-ID
	To      string // a bare address
	Subject string
	Text    string
	HTML    string // may be empty
}

// ErrRefused wraps an error that sending the same message again cannot mend:
// the message is malformed, or the server said no for good (5xx).
var ErrRefused = errors.New("mail refused")

// Sender sends mail; its methods may be called from several goroutines.
type Sender interface {
	// Send answers when the message is with the server (or in the folder). An
	// error that is not ErrRefused may be gone at the next try.
	Send(ctx context.Context, m Message) error
}

// Open makes a sender that writes as from (a bare address or "Name <address>").
// The URL says how, and nothing is dialled or created yet:
//
//	file://DIR               one .eml file per message; file:///abs is absolute
//	smtp://[user:pw@]host[:587]   STARTTLS when the server offers it; ?tls=required insists
//	smtps://[user:pw@]host[:465]  TLS from the first byte
//
// A URL with a password always insists on TLS.
func Open(rawURL, from string) (Sender, error) {
	author, err := netmail.ParseAddress(from)
	if err != nil {
		return nil, fmt.Errorf("mail sender %q: want an address such as no-reply@example.org", from)
	}
	scheme, rest, found := strings.Cut(rawURL, "://")
	if !found {
		// The text may hold a password, so that it is not repeated.
		return nil, errors.New("mail URL: want file://DIR, smtp://HOST or smtps://HOST")
	}
	switch scheme {
	case "file":
		if rest == "" {
			return nil, errors.New("mail URL: file:// names no folder")
		}
		return &folder{dir: rest, from: author}, nil
	case "smtp", "smtps":
		return openSMTP(rawURL, author)
	}
	return nil, fmt.Errorf("mail URL: unknown scheme %q; want file, smtp or smtps", scheme)
}

func openSMTP(rawURL string, from *netmail.Address) (*relay, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" {
		return nil, errors.New("mail URL: want smtp://[user:password@]host[:port]")
	}
	required := false
	for key, values := range u.Query() {
		if key != "tls" || len(values) != 1 || values[0] != "required" {
			return nil, fmt.Errorf("mail URL: unknown option %q; the one there is, is tls=required", key)
		}
		required = true
	}
	r := &relay{host: u.Hostname(), from: from, options: []gomail.Option{gomail.WithTimeout(30 * time.Second)}}
	switch {
	case u.Scheme == "smtps":
		r.options = append(r.options, gomail.WithSSL(), gomail.WithPort(465))
	case required || u.User != nil:
		r.options = append(r.options, gomail.WithTLSPolicy(gomail.TLSMandatory), gomail.WithPort(587))
	default:
		r.options = append(r.options, gomail.WithTLSPolicy(gomail.TLSOpportunistic), gomail.WithPort(587))
	}
	if u.Port() != "" {
		port, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil || port == 0 {
			return nil, fmt.Errorf("mail URL: port %q: want a number", u.Port())
		}
		r.options = append(r.options, gomail.WithPort(int(port)))
	}
	if u.User != nil {
		password, _ := u.User.Password()
		r.options = append(r.options, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover),
			gomail.WithUsername(u.User.Username()), gomail.WithPassword(password))
	}
	if _, err := gomail.NewClient(r.host, r.options...); err != nil {
		return nil, fmt.Errorf("mail URL: %w", err)
	}
	return r, nil
}

// compose makes the message. What could end a header line early is refused
// here, whatever the library below would do with it.
func compose(m Message, from *netmail.Address, options ...gomail.MsgOption) (*gomail.Msg, error) {
	if m.ID == "" || strings.ContainsFunc(m.ID, notInID) || strings.HasPrefix(m.ID, ".") {
		return nil, fmt.Errorf("message id %q: %w: letters, digits, '.', '_' and '-' only", m.ID, ErrRefused)
	}
	if strings.ContainsFunc(m.Subject, isControl) {
		return nil, fmt.Errorf("message %s: %w: control character in the subject", m.ID, ErrRefused)
	}
	// Comparing with what was parsed refuses display names, lists and comments.
	to, err := netmail.ParseAddress(m.To)
	if err != nil || to.Address != m.To || strings.ContainsFunc(m.To, isControl) {
		return nil, fmt.Errorf("message %s: %w: recipient is not one bare address", m.ID, ErrRefused)
	}
	msg := gomail.NewMsg(append(options, gomail.WithNoDefaultUserAgent())...)
	msg.FromMailAddress(from)
	msg.ToMailAddress(to)
	msg.Subject(m.Subject)
	msg.SetDate()
	msg.SetMessageIDWithValue(m.ID + "@" + domain(from.Address))
	// RFC 3834 §5: keeps out-of-office answers from coming back.
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	return msg, nil
}

func domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func notInID(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '.', r == '_', r == '-':
		return false
	}
	return true
}
