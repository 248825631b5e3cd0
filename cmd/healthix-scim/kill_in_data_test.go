package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	netmail "net/mail"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// slowOffice is a mail server on loopback that, once told to, holds every
// message whose sender waits for the answer to DATA, until that sender is gone.
// Recipients called kept have it then all the same, the others do not.
type slowOffice struct {
	address string
	gone    chan struct{} // closed: who waited was killed

	mu       sync.Mutex
	holds    bool
	held     map[string]parcelText   // by recipient
	received map[string][]parcelText // by recipient
}

type parcelText struct{ id, code string }

type slowParcel struct {
	office *slowOffice
	to     string
}

func newSlowOffice(t *testing.T) *slowOffice {
	t.Helper()
	o := &slowOffice{gone: make(chan struct{}), held: map[string]parcelText{}, received: map[string][]parcelText{}}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &slowParcel{office: o}, nil }))
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

func (*slowParcel) Reset()                                      {}
func (*slowParcel) Logout() error                               { return nil }
func (*slowParcel) Mail(string, *smtp.MailOptions) error        { return nil }
func (p *slowParcel) Rcpt(to string, _ *smtp.RcptOptions) error { p.to = to; return nil }

var activationCode = regexp.MustCompile(`code=([A-Za-z0-9_-]+)`)

func (p *slowParcel) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m, err := netmail.ReadMessage(bytes.NewReader(text))
	if err != nil {
		return err
	}
	got := parcelText{id: m.Header.Get("Message-Id")}
	// A long line of quoted-printable is broken by "=\r\n", and "=" is "=3D".
	plain := strings.ReplaceAll(strings.ReplaceAll(string(text), "=\r\n", ""), "=3D", "=")
	if code := activationCode.FindStringSubmatch(plain); code != nil {
		got.code = code[1]
	}
	o := p.office
	o.mu.Lock()
	if o.holds {
		o.held[p.to] = got
		o.mu.Unlock()
		<-o.gone
		o.mu.Lock()
		if !strings.HasPrefix(p.to, "kept") {
			o.mu.Unlock()
			return &smtp.SMTPError{Code: 451, Message: "nobody is there to hear this"}
		}
	}
	defer o.mu.Unlock()
	o.received[p.to] = append(o.received[p.to], got)
	return nil
}

// The server is killed with kill -9 while it waits for the mail server's answer
// to DATA. Whoever starts next sends the same message, by the same Message-ID and
// with the same link: nobody is without it, and whoever has it twice has it once
// for a mail reader. What it tells of has happened once.
func TestKillInData(t *testing.T) {
	onBothEngines(t, func(t *testing.T, s *site) {
		office := newSlowOffice(t)
		s.env = append(s.env, "HEALTHIX_MAIL_URL=smtp://"+office.address)
		s.run("participant", "add", "mercy", "--name", "Mercy General")
		provider := s.run("token", "issue", "--scope", "scim", "--participant", "mercy")
		operator := s.run("token", "issue", "--scope", "operator", "--subject", "dana@healthix.example")
		portal := s.run("token", "issue", "--scope", "portal", "--subject", "portal")
		n := s.start()
		addresses := map[string]string{"Kept": "kept.lima@mercy.example", "Lost": "lost.lima@mercy.example"}
		ids := map[string]string{}
		for name := range addresses {
			ids[name], _ = n.must(201, "POST", "/scim/v2/Users", provider, nurse(name, "Lima"))["id"].(string)
		}
		recorded := func(want int) error {
			for name, id := range ids {
				if got := n.entries(operator, id, "mail.sent"); got != want {
					return fmt.Errorf("%s: %d mails on record, want %d", name, got, want)
				}
			}
			return nil
		}
		eventually(t, 30*time.Second, func() error { return recorded(1) }) // the invitations
		office.mu.Lock()
		office.received, office.holds = map[string][]parcelText{}, true
		office.mu.Unlock()
		for _, id := range ids {
			for _, module := range []string{"nys-policy", "clinical-access"} {
				n.must(201, "POST", "/api/v1/users/"+id+"/evidence", operator, object{
					"module": module, "completedAt": time.Now().UTC().Add(-time.Hour).Format(time.RFC3339), "source": "webinar",
				})
			}
		}
		eventually(t, 30*time.Second, func() error {
			office.mu.Lock()
			defer office.mu.Unlock()
			if len(office.held) != 2 {
				return fmt.Errorf("in DATA are %v", office.held)
			}
			return nil
		})
		n.kill()
		office.mu.Lock()
		office.holds = false
		office.mu.Unlock()
		close(office.gone)

		n = s.start()
		eventually(t, 90*time.Second, func() error { return recorded(2) }) // and the links
		office.mu.Lock()
		defer office.mu.Unlock()
		for name, copies := range map[string]int{"Kept": 2, "Lost": 1} {
			got, first := office.received[addresses[name]], office.held[addresses[name]]
			if len(got) != copies || first.id == "" || first.code == "" || slices.ContainsFunc(got, func(p parcelText) bool { return p != first }) {
				t.Errorf("%s: in DATA was %v, arrived %v; want %d times the same", name, first, got, copies)
			}
			if a := access(n.must(200, "GET", "/scim/v2/Users/"+ids[name], provider, nil)); a["accessStatus"] != "released" || a["role"] != "practitioner" {
				t.Errorf("%s: %v", name, a)
			}
			if released := n.entries(operator, ids[name], "access.released"); released != 1 {
				t.Errorf("%s was released %d times", name, released)
			}
			n.must(200, "POST", "/api/v1/activations/redeem", portal, object{"code": first.code})
		}
		eventually(t, 30*time.Second, func() error { // a job ends a moment after its mail is on record
			for _, j := range n.must(200, "GET", "/api/v1/jobs", operator, nil)["items"].(array) {
				if j.(object)["state"] != "completed" {
					return fmt.Errorf("a job is %v", j)
				}
			}
			return nil
		})
		n.stop()
	})
}

// entries counts what is on record about a user under an action.
func (n *node) entries(operator, user, action string) (count int) {
	n.t.Helper()
	for _, e := range n.must(200, "GET", "/api/v1/users/"+user+"/timeline", operator, nil)["items"].(array) {
		if e.(object)["action"] == action {
			count++
		}
	}
	return count
}
