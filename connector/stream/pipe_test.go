//go:build unix

package stream

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// A pipe that nobody reads holds the stream up no longer than a batch may take;
// when somebody reads again, every line comes whole.
func TestPipeThatNobodyReads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(path, os.O_RDWR, 0) // open, so that what was written stays
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	sink, err := Open("file://"+path, "")
	if err != nil {
		t.Fatal(err)
	}
	var lines []Line // each more than a pipe holds
	for n := range 4 {
		text := fmt.Appendf(nil, `{"position":%d,"x":%q}`, n, bytes.Repeat([]byte("x"), 100_000))
		lines = append(lines, Line{Position: int64(n), Text: text})
	}
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		ended <- sink.Send(ctx, lines)
	}()
	select {
	case err := <-ended:
		if err == nil {
			t.Fatal("a pipe that nobody reads took everything")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a pipe that nobody reads holds the stream up")
	}
	var read bytes.Buffer
	go func() { ended <- sink.Send(t.Context(), lines) }()
	last := slices.Concat(lines[len(lines)-1].Text, []byte{'\n'})
	if err := reader.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for piece := make([]byte, 32<<10); !bytes.HasSuffix(read.Bytes(), last); {
		n, err := reader.Read(piece)
		if err != nil {
			t.Fatal(err)
		}
		read.Write(piece[:n])
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		if !bytes.Contains(append([]byte{'\n'}, read.Bytes()...), append(append([]byte{'\n'}, l.Text...), '\n')) {
			t.Errorf("line %d does not come whole", l.Position)
		}
	}
}
