package mail

import (
	"context"
	"errors"
	"fmt"
	netmail "net/mail"
	"net/textproto"

	gomail "github.com/wneessen/go-mail"
)

// relay sends through an SMTP server, one connection per message: credential
// mail is rare, and an idle connection would be cut by the server anyway.
type relay struct {
	host    string
	from    *netmail.Address
	options []gomail.Option
}

func (r *relay) Send(ctx context.Context, m Message) error {
	msg, err := compose(m, r.from)
	if err != nil {
		return err
	}
	client, err := gomail.NewClient(r.host, r.options...)
	if err != nil {
		return fmt.Errorf("message %s: %w", m.ID, err)
	}
	// A session that breaks after the server took the message is a success:
	// an error would send it twice.
	if err := client.DialAndSendWithContext(ctx, msg); err != nil && !msg.IsDelivered() {
		return fmt.Errorf("message %s to %s: %w", m.ID, r.host, outcome(err))
	}
	return nil
}

// outcome tells what became of the message without the server's own words:
// they repeat the recipient's address more often than not.
func outcome(err error) error {
	var send *gomail.SendError
	if errors.As(err, &send) {
		switch code := send.ErrorCode(); {
		case code >= 500:
			return fmt.Errorf("%w: answer %d", ErrRefused, code)
		case code >= 400:
			return fmt.Errorf("put off by the server: answer %d", code)
		}
		return fmt.Errorf("connection lost: %s", send.Reason)
	}
	var answer *textproto.Error
	if errors.As(err, &answer) { // greeting, STARTTLS or AUTH, before any recipient
		return fmt.Errorf("session not accepted: answer %d", answer.Code)
	}
	return err // dialling: host and network only
}
