package mail

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	gomail "github.com/wneessen/go-mail"
)

// sink is a real SMTP server on loopback whose answers a test chooses.
type sink struct {
	address string
	trust   *x509.CertPool

	mu       sync.Mutex
	refusal  error // to RCPT TO
	cut      bool  // the connection, in the middle of DATA
	received [][]byte
	secure   bool // the last message came over TLS
	login    string
}

func newSink(t *testing.T, encrypted bool) *sink {
	t.Helper()
	s := &sink{}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{sink: s, conn: c}, nil
	}))
	server.Domain = "localhost"
	server.AllowInsecureAuth = true // what we must not make use of
	server.ErrorLog = log.New(io.Discard, "", 0)
	if encrypted {
		server.TLSConfig, s.trust = certificate(t)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	go server.Serve(listener) //nolint:errcheck // ends with Close
	t.Cleanup(func() { server.Close() })
	return s
}

type session struct {
	sink *sink
	conn *smtp.Conn
}

func (*session) Reset()                               {}
func (*session) Logout() error                        { return nil }
func (*session) Mail(string, *smtp.MailOptions) error { return nil }
func (*session) AuthMechanisms() []string             { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		s.sink.mu.Lock()
		defer s.sink.mu.Unlock()
		s.sink.login = user + ":" + password
		return nil
	}), nil
}

func (s *session) Rcpt(string, *smtp.RcptOptions) error {
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	return s.sink.refusal
}

func (s *session) Data(r io.Reader) error {
	s.sink.mu.Lock()
	defer s.sink.mu.Unlock()
	if s.sink.cut {
		return s.conn.Conn().Close()
	}
	message, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.sink.received = append(s.sink.received, message)
	_, s.sink.secure = s.conn.TLSConnectionState()
	return nil
}

// send opens url (with the sink's address for HOST), trusts the sink's
// certificate and sends the letter.
func (s *sink) send(t *testing.T, url string) error {
	t.Helper()
	sender, err := Open(strings.Replace(url, "HOST", s.address, 1), from)
	if err != nil {
		t.Fatal(err)
	}
	r := sender.(*relay)
	if s.trust != nil {
		r.options = append(r.options, gomail.WithTLSConfig(&tls.Config{RootCAs: s.trust, ServerName: "localhost", MinVersion: tls.VersionTLS12}))
	}
	return r.Send(t.Context(), letter)
}

func TestSMTPDelivers(t *testing.T) {
	for name, tc := range map[string]struct {
		encrypted bool
		url       string
		secure    bool
		login     string
	}{
		"plain":                 {false, "smtp://HOST", false, ""},
		"STARTTLS when offered": {true, "smtp://HOST", true, ""},
		"STARTTLS required":     {true, "smtp://HOST?tls=required", true, ""},
		"with a password":       {true, "smtp://healthix:s3cret@HOST", true, "healthix:s3cret"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink(t, tc.encrypted)
			if err := s.send(t, tc.url); err != nil {
				t.Fatal(err)
			}
			if len(s.received) != 1 || s.secure != tc.secure || s.login != tc.login {
				t.Fatalf("%d messages, secure %v, login %q", len(s.received), s.secure, s.login)
			}
			assertLetter(t, bytes.NewReader(s.received[0]))
		})
	}
}

func TestSMTPSendsNothingInTheClearWhenTLSIsAsked(t *testing.T) {
	for _, url := range []string{"smtp://HOST?tls=required", "smtp://healthix:s3cret@HOST", "smtps://HOST"} {
		s := newSink(t, false)
		if err := s.send(t, url); err == nil || errors.Is(err, ErrRefused) {
			t.Errorf("%s: Send = %v, want an error that a better server mends", url, err)
		}
		if len(s.received) != 0 || s.login != "" {
			t.Errorf("%s: %d messages, login %q went out unprotected", url, len(s.received), s.login)
		}
	}
}

func TestSMTPAnswers(t *testing.T) {
	// Servers repeat the recipient in their answers; ours must not.
	answer := func(code int) error {
		return &smtp.SMTPError{Code: code, EnhancedCode: smtp.NoEnhancedCode, Message: "<" + letter.To + ">: no"}
	}
	for name, tc := range map[string]struct {
		refusal error
		cut     bool
		final   bool
		says    string
	}{
		"refused":     {refusal: answer(550), final: true, says: "550"},
		"greylisted":  {refusal: answer(451), says: "451"},
		"cut in DATA": {cut: true, says: "connection lost"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSink(t, false)
			s.refusal, s.cut = tc.refusal, tc.cut
			err := s.send(t, "smtp://HOST")
			if err == nil || errors.Is(err, ErrRefused) != tc.final || !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("Send = %v, want %q, final %v", err, tc.says, tc.final)
			}
			if strings.Contains(err.Error(), "june") {
				t.Errorf("the error names the recipient: %v", err)
			}
			if len(s.received) != 0 {
				t.Errorf("%d messages arrived", len(s.received))
			}
			s.mu.Lock()
			s.refusal, s.cut = nil, false
			s.mu.Unlock()
			if err := s.send(t, "smtp://HOST"); err != nil || len(s.received) != 1 {
				t.Errorf("the retry: %v, %d messages", err, len(s.received))
			}
		})
	}
}

func TestSMTPServerAway(t *testing.T) {
	s := newSink(t, false)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.send(t, "smtp://HOST"); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("Send = %v, want an error that a retry may mend", err)
	}
}

// certificate makes a self-signed certificate for localhost and the pool that
// trusts it.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(fmt.Errorf("own certificate: %w", err))
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS12}, pool
}
