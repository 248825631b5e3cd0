package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	netmail "net/mail"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"
)

// postOffice is a mail server on loopback with moods, by recipient: it puts off
// or cuts the first try, or refuses every one. Once told to hold, it answers DATA
// to nobody until release; kept has the message then, everybody else has not. To
// stuck it does not even answer RCPT.
type postOffice struct {
	address string
	gone    chan struct{} // closed by release

	mu       sync.Mutex
	holds    bool
	held     map[string]posted   // by recipient
	tries    map[string][]posted // that were seen, by recipient
	received map[string][]posted // those that were taken
}

// posted is a message as the office looks at it.
type posted struct{ id, code string }

func newPostOffice(t *testing.T) *postOffice {
	t.Helper()
	o := &postOffice{gone: make(chan struct{}), held: map[string]posted{}, tries: map[string][]posted{}, received: map[string][]posted{}}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &parcel{office: o, conn: c}, nil }))
	server.Domain = "localhost"
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.address = listener.Addr().String()
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return o
}

// hold forgets what was received and answers DATA no more.
func (o *postOffice) hold() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.received, o.holds = map[string][]posted{}, true
}

// release lets go who waits for an answer, and is as before.
func (o *postOffice) release() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.holds = false
	close(o.gone)
}

type parcel struct {
	office *postOffice
	conn   *smtp.Conn
	to     string
}

func (*parcel) Reset()                               {}
func (*parcel) Logout() error                        { return nil }
func (*parcel) Mail(string, *smtp.MailOptions) error { return nil }

func (p *parcel) Rcpt(to string, _ *smtp.RcptOptions) error {
	p.to = to
	if strings.HasPrefix(to, "refused") {
		p.office.mu.Lock()
		defer p.office.mu.Unlock()
		p.office.tries[to] = append(p.office.tries[to], posted{})
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "<" + to + ">: no such mailbox"}
	}
	if strings.HasPrefix(to, "stuck") {
		p.office.mu.Lock()
		holds := p.office.holds
		if holds {
			p.office.held[to] = posted{}
		}
		p.office.mu.Unlock()
		if holds {
			<-p.office.gone
			return &smtp.SMTPError{Code: 451, Message: "nobody is there to hear this"}
		}
	}
	return nil
}

var activationCode = regexp.MustCompile(`code=([A-Za-z0-9_-]+)`)

func (p *parcel) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m, err := netmail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		return err
	}
	got := posted{id: m.Header.Get("Message-Id")}
	// A long line of quoted-printable is broken by "=\r\n", and "=" is "=3D".
	plain := strings.ReplaceAll(strings.ReplaceAll(string(text), "=\r\n", ""), "=3D", "=")
	if code := activationCode.FindStringSubmatch(plain); code != nil {
		got.code = code[1]
	}
	o := p.office
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tries[p.to] = append(o.tries[p.to], got)
	first := len(o.tries[p.to]) == 1
	switch {
	case first && strings.HasPrefix(p.to, "grey"):
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "greylisted, try again later"}
	case first && strings.HasPrefix(p.to, "cut"):
		return errors.Join(p.conn.Conn().Close(), io.ErrUnexpectedEOF) // no word on whether it was taken
	case o.holds:
		o.held[p.to] = got
		o.mu.Unlock()
		<-o.gone
		o.mu.Lock()
		if !strings.HasPrefix(p.to, "kept") {
			return &smtp.SMTPError{Code: 451, Message: "nobody is there to hear this"}
		}
	}
	o.received[p.to] = append(o.received[p.to], got)
	return nil
}
