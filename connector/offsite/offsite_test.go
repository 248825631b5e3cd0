package offsite

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

var signed = time.Date(2026, 3, 2, 15, 0, 0, 7000, time.UTC)

func put(t *testing.T, p Place, size int64, note string) {
	t.Helper()
	if err := p.Put(t.Context(), size, signed.Add(time.Duration(size)*time.Second), note); err != nil {
		t.Fatal(err)
	}
}

func wants(t *testing.T, p Place, note string) {
	t.Helper()
	if got, readable, err := p.Latest(t.Context()); err != nil || !readable || got != note {
		t.Errorf("latest is %q (readable %v), %v; not %q", got, readable, err, note)
	}
}

func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "checkpoints")
	p, err := Open("file://"+dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, p, "")
	put(t, p, 9, "nine\n")
	put(t, p, 12, "twelve\n")
	put(t, p, 3, "three, of the log after a recovery\n")
	put(t, p, 3, "three, of the log after a recovery\n")
	wants(t, p, "three, of the log after a recovery\n")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	if got := strings.Join(names, " "); got != "checkpoint-00000000000000000003-20260302T150003.000007Z checkpoint-00000000000000000009-20260302T150009.000007Z checkpoint-00000000000000000012-20260302T150012.000007Z latest" {
		t.Error(got)
	}
	old, err := os.ReadFile(filepath.Join(dir, names[1]))
	if err != nil || string(old) != "nine\n" {
		t.Errorf("%q, %v", old, err)
	}
	if err := os.WriteFile(filepath.Join(dir, newest), make([]byte, longest+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Latest(t.Context()); err == nil {
		t.Error("something endless was read")
	}
	if err := os.WriteFile(filepath.Join(dir, newest), []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Latest(t.Context()); err == nil {
		t.Error("an empty file passes for a place where nothing came yet")
	}
	// A folder that cannot be written, such as a disk that is gone.
	blocked, err := Open("file://"+filepath.Join(dir, newest, "below"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := blocked.Put(t.Context(), 1, signed, "x"); err == nil {
		t.Error("it was kept in a file that is no folder")
	}
}

func TestShelf(t *testing.T) {
	var mu sync.Mutex
	var kept, user, password, media string
	status := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		user, password, _ = r.BasicAuth()
		switch {
		case status != 0:
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
		case r.Method == http.MethodPut:
			body, _ := io.ReadAll(r.Body)
			kept, media = string(body), r.Header.Get("Content-Type")
			w.WriteHeader(http.StatusCreated)
		case kept == "":
			w.WriteHeader(http.StatusNotFound)
		default:
			io.WriteString(w, kept) //nolint:errcheck // test
		}
	}))
	defer server.Close()
	p, err := Open(strings.Replace(server.URL, "://", "://healthix:s3cret@", 1)+"/logs/one?sig=t0ken", nil)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, p, "")
	mu.Lock()
	kept = "\n"
	mu.Unlock()
	if _, _, err := p.Latest(t.Context()); err == nil {
		t.Error("an empty answer passes for a place where nothing came yet")
	}
	put(t, p, 4, "four\n")
	wants(t, p, "four\n")
	if user != "healthix" || password != "s3cret" || !strings.HasPrefix(media, "text/plain") {
		t.Error(user, password, media)
	}
	answers := func(code int) { mu.Lock(); defer mu.Unlock(); status = code }
	for _, code := range []int{302, 403, 500, 503} {
		answers(code)
		if err := p.Put(t.Context(), 5, signed, "five"); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("status %d: %v", code, err)
		}
		if _, _, err := p.Latest(t.Context()); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("status %d: %v", code, err)
		}
	}
	answers(0)
	wants(t, p, "four\n")
	server.Close()
	for _, err := range []error{p.Put(t.Context(), 5, signed, "five"), func() error { _, _, err := p.Latest(t.Context()); return err }()} {
		if err == nil || strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "t0ken") || strings.Contains(err.Error(), "healthix:") {
			t.Errorf("away: %v", err)
		}
	}
}

func TestLetterbox(t *testing.T) {
	var got []string
	p, err := Open("mailto:auditor@keep.example", func(_ context.Context, id, to, subject, text string) error {
		got = []string{id, to, subject, text}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	put(t, p, 7, "the note\n")
	if got[0] != "checkpoint-7-20260302T150007.000007Z" || got[1] != "auditor@keep.example" || !strings.Contains(got[3], "\n\nthe note\n") {
		t.Errorf("%q", got)
	}
	if _, readable, err := p.Latest(t.Context()); readable || err != nil {
		t.Error("a mail was read back")
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, text := range []string{
		"", "file://", "file:x", "mailto:", "mailto:two@a.example,three@a.example", "mailto:Ana <ana@a.example>",
		"http://host.example/x", "https://", "ftp://user:s3cret@host.example", "https://user:s3cret@ho st/", "s3cret",
	} {
		if _, err := Open(text, nil); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"file://x", "file:///x", "http://localhost:1/x", "http://[::1]:1/x", "https://u:p@host.example/x?sig=1"} {
		if _, err := Open(text, nil); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}
