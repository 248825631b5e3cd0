package offsite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// folder keeps a file for each checkpoint, whose name says size and time, and
// the newest as latest. Old files stay. They are no secret: anybody may read them.
type folder struct {
	dir  string
	busy chan struct{} // full while something is asked of it
}

func newFolder(dir string) folder { return folder{dir: dir, busy: make(chan struct{}, 1)} }

// patiently does something with files, and waits for it as long as ctx says: one
// on a network that went away may never answer. Until it does, nothing more is
// asked of it.
func (f folder) patiently(ctx context.Context, do func() (string, error)) (string, error) {
	select {
	case f.busy <- struct{}{}:
	default:
		return "", errors.New("the folder has not answered what it was asked before")
	}
	type answer struct {
		text string
		err  error
	}
	came := make(chan answer, 1)
	go func() {
		text, err := do()
		<-f.busy
		came <- answer{text, err}
	}()
	select {
	case a := <-came:
		return a.text, a.err
	case <-ctx.Done():
		return "", fmt.Errorf("the folder does not answer: %w", ctx.Err())
	}
}

const newest = "latest"

func (f folder) Put(ctx context.Context, size int64, at time.Time, note string) error {
	_, err := f.patiently(ctx, func() (string, error) { return "", f.put(ctx, size, at, note) })
	return err
}

func (f folder) put(ctx context.Context, size int64, at time.Time, note string) error {
	if err := os.MkdirAll(f.dir, 0o755); err != nil { //nolint:gosec // auditors read here
		return fmt.Errorf("checkpoint folder: %w", err)
	}
	own := fmt.Sprintf("checkpoint-%020d-%s", size, at.UTC().Format(stampLayout))
	for _, name := range []string{own, newest} {
		if err := f.write(ctx, name, note); err != nil {
			return fmt.Errorf("keep the checkpoint of %d entries: %w", size, err)
		}
	}
	return nil
}

// write shows the file whole or not at all, also after a crash.
func (f folder) write(ctx context.Context, name, note string) error {
	file, err := os.CreateTemp(f.dir, ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) //nolint:errcheck // gone after the rename
	_, err = file.WriteString(note)
	err = errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close(), ctx.Err())
	if err == nil {
		err = os.Rename(file.Name(), filepath.Join(f.dir, name))
	}
	if err == nil {
		err = syncFolder(f.dir)
	}
	return err
}

func syncFolder(dir string) error {
	d, err := os.Open(dir) //nolint:gosec // the operator named it
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (f folder) Latest(ctx context.Context) (string, bool, error) {
	note, err := f.patiently(ctx, func() (string, error) {
		file, err := os.Open(filepath.Join(f.dir, newest))
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		defer file.Close() //nolint:errcheck // it was only read
		return readNote(file)
	})
	return note, true, err
}

func readNote(from io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(from, longest+1))
	switch {
	case err != nil:
	case len(text) > longest:
		err = fmt.Errorf("it is longer than %d bytes, and so no checkpoint", longest)
	case len(bytes.TrimSpace(text)) == 0: // what left before would be forgotten in silence
		err = errors.New("what stands there is empty, and so no checkpoint; if none ever came there, take it away")
	}
	return string(text), err
}
