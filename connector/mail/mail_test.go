package mail

import (
	"errors"
	"net/mail"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var letter = Message{
	ID: "018f-activation.1", To: "june.park@example-general.example",
	Subject: "Your Healthix account — next step", Text: "Hello June\r\n", HTML: "<p>Hello June</p>",
}

const from = "Healthix <no-reply@healthix.example>"

func TestFolderKeepsOneFilePerMessage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out", "mail")
	sender, err := Open("file://"+dir, from)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a retry replaces
		if err := sender.Send(t.Context(), letter); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != letter.ID+".eml" {
		t.Fatalf("folder holds %v, %v", entries, err)
	}
	assertMode(t, dir, 0o700)
	assertMode(t, filepath.Join(dir, entries[0].Name()), 0o600)

	file, err := os.Open(filepath.Join(dir, entries[0].Name()))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	assertLetter(t, file)
}

func TestFolderRelativeToWorkingDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	sender, err := Open("file://mail", from)
	if err != nil {
		t.Fatal(err)
	}
	if err := sender.Send(t.Context(), letter); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("mail/" + letter.ID + ".eml"); err != nil {
		t.Error(err)
	}
}

func TestFolderThatCannotBeMade(t *testing.T) {
	file := filepath.Join(t.TempDir(), "taken")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	sender, err := Open("file://"+file, from)
	if err != nil {
		t.Fatal(err)
	}
	if err := sender.Send(t.Context(), letter); err == nil || errors.Is(err, ErrRefused) {
		t.Errorf("Send = %v, want an error that a retry may mend", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, url := range []string{
		"", "mail", "file://", "ftp://host", "smtp://", "smtp://host/path", "smtp://host:port",
		"smtp://host?tls=maybe", "smtp://host?starttls=on", "smtp://u:se cret@host",
	} {
		if _, err := Open(url, from); err == nil {
			t.Errorf("Open(%q) is accepted", url)
		} else if strings.Contains(err.Error(), "cret") {
			t.Errorf("Open(%q) repeats the password: %v", url, err)
		}
	}
	for _, sender := range []string{"", "nobody", "a@example.org\r\nBcc: b@example.org"} {
		if _, err := Open("file://mail", sender); err == nil {
			t.Errorf("sender %q is accepted", sender)
		}
	}
}

func TestNothingInjectsAHeader(t *testing.T) {
	dir := t.TempDir()
	sender, err := Open("file://"+dir, from)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Message){
		"subject":      func(m *Message) { m.Subject = "Hello\r\nBcc: eve@example.org" },
		"subject nul":  func(m *Message) { m.Subject = "Hello\x00" },
		"to":           func(m *Message) { m.To = "june@example.org\r\nBcc: eve@example.org" },
		"to list":      func(m *Message) { m.To = "june@example.org, eve@example.org" },
		"to name":      func(m *Message) { m.To = "June <june@example.org>" },
		"to missing":   func(m *Message) { m.To = "" },
		"id":           func(m *Message) { m.ID = "1>\r\nBcc: eve@example.org" },
		"id path":      func(m *Message) { m.ID = "../../etc/passwd" },
		"id dots":      func(m *Message) { m.ID = ".." },
		"id missing":   func(m *Message) { m.ID = "" },
		"id only dots": func(m *Message) { m.ID = ".new" },
	} {
		m := letter
		change(&m)
		err := sender.Send(t.Context(), m)
		if !errors.Is(err, ErrRefused) {
			t.Errorf("%s: Send = %v, want ErrRefused", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "june") {
			t.Errorf("%s: the error names the recipient: %v", name, err)
		}
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 0 {
		t.Errorf("refused messages left %v", entries)
	}
}

func assertMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %o, want %o", path, got, want)
	}
}

func assertLetter(t *testing.T, r interface{ Read([]byte) (int, error) }) {
	t.Helper()
	m, err := mail.ReadMessage(r)
	if err != nil {
		t.Fatal(err)
	}
	for header, want := range map[string]string{
		"Message-Id": "<018f-activation.1@healthix.example>",
		"To":         "<june.park@example-general.example>",
		"From":       `"Healthix" <no-reply@healthix.example>`,
	} {
		if got := m.Header.Get(header); got != want {
			t.Errorf("%s: %q, want %q", header, got, want)
		}
	}
	if kind := m.Header.Get("Content-Type"); !strings.HasPrefix(kind, "multipart/alternative") {
		t.Errorf("Content-Type %q, want text and HTML side by side", kind)
	}
}
