package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/healthix/healthix-scim/storage/pgtest"
)

// inbox is a mail server that keeps what it is given.
type inbox struct {
	mu   sync.Mutex
	mail map[string]string // by recipient
}

type session struct {
	*inbox
	to string
}

func (b *inbox) NewSession(*smtp.Conn) (smtp.Session, error) { return &session{inbox: b}, nil }
func (s *session) Mail(string, *smtp.MailOptions) error      { return nil }
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error { s.to = to; return nil }
func (s *session) Reset()                                    {}
func (s *session) Logout() error                             { return nil }
func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	s.mu.Lock()
	s.mail[s.to] += string(text)
	s.mu.Unlock()
	return err
}

// As it runs for real: PostgreSQL, keys that are given, mail by SMTP, the secret
// URL in a file, two nodes.
func TestTwoNodesWithKeysAndSMTP(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	box := &inbox{mail: map[string]string{}}
	relay := smtp.NewServer(box)
	relay.Domain = "localhost"
	go relay.Serve(l)
	t.Cleanup(func() { relay.Close() })

	s := newSite(t, "", "HEALTHIX_MAIL_URL=smtp://"+l.Addr().String(), "HEALTHIX_MAIL_FROM=no-reply@healthix.example",
		"HEALTHIX_DATABASE_URL_FILE=url", "HEALTHIX_SECRET_KEY_FILE=secret.key", "HEALTHIX_TOKEN_KEY_FILE=token.key", "HEALTHIX_LOG_KEY_FILE=log.key")
	write(t, s, "url", pgtest.URL(t)+"\n")
	secret, token := freshKeys(t)
	write(t, s, "secret.key", secret)
	write(t, s, "token.key", token)
	_, logKey := freshKeys(t)
	write(t, s, "log.key", logKey)

	s.run("participant", "add", "mercy", "--name", "Mercy General")
	provider := s.run("token", "issue", "--scope", "scim", "--participant", "mercy")
	one, two := s.start(), s.start()
	created := one.must(201, "POST", "/scim/v2/Users", provider, nurse("Ana", "Lima"))
	id, _ := created["id"].(string)
	if got := two.must(200, "GET", "/scim/v2/Users/"+id, provider, nil); got["userName"] != "ana.lima" {
		t.Errorf("the other node says %v", got)
	}
	eventually(t, 30*time.Second, func() error {
		box.mu.Lock()
		defer box.mu.Unlock()
		if !strings.Contains(box.mail["ana.lima@mercy.example"], "no-reply@healthix.example") {
			return errors.New("no invitation came by SMTP")
		}
		return nil
	})
	one.stop()
	two.must(200, "PATCH", "/scim/v2/Users/"+id, provider, patchOp(object{"op": "replace", "path": "active", "value": false}))
	two.stop()
	if files, err := filepath.Glob(filepath.Join(s.folder, "*")); err != nil || len(files) != 4 {
		t.Errorf("the nodes left files: %v %v", files, err)
	}
}

func write(t *testing.T, s *site, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.folder, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func freshKeys(t *testing.T) (secret, token string) {
	t.Helper()
	raw := make([]byte, 32)
	rand.Read(raw)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(raw) + "\n", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
