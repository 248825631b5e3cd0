//go:build unix

package offsite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// A folder on a network that went away keeps nobody waiting for ever, nor is it
// asked again until it answers.
func TestFolderThatDoesNotAnswer(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, newest) // a pipe to which nobody writes does not open
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := Open("file://"+dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := p.Latest(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("a folder that hangs: %v", err)
	}
	if _, _, err := p.Latest(t.Context()); err == nil {
		t.Fatal("it was asked again")
	}
	if err := p.Put(t.Context(), 1, signed, "one\n"); err == nil {
		t.Fatal("something was put while it hangs")
	}
	out, err := os.OpenFile(pipe, os.O_WRONLY, 0) // the network is back
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(out.Close(), os.Remove(pipe)); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); p.Put(t.Context(), 2, signed, "two\n") != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it is not asked again although it answered")
		}
	}
	wants(t, p, "two\n")
}
