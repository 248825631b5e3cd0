package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// file appends. It is opened for each batch by its name: whoever moves it away
// finds the next batch in a new one, and needs to signal nobody.
type file struct {
	path string
	torn bool // a pipe may have a part of a line
}

func (f *file) Send(ctx context.Context, lines []Line) error {
	out, err := os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("stream file: %w", err)
	}
	// A pipe that nobody reads is full at some time; a disk knows no deadline.
	stop := context.AfterFunc(ctx, func() { out.SetWriteDeadline(time.Unix(1, 0)) }) //nolint:errcheck // as said
	defer stop()
	err = errors.Join(ctx.Err(), f.appendWhole(out, lines))
	if err = errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("stream file: %w", err)
	}
	return nil
}

// appendWhole leaves no part of a batch behind when the disk is full; what a
// crash left of a line is ended, so that the next one begins on its own.
func (f *file) appendWhole(out *os.File, lines []Line) error {
	info, err := out.Stat()
	if err != nil {
		return err
	}
	var batch bytes.Buffer
	last := make([]byte, 1)
	regular := info.Mode().IsRegular()
	if f.torn && !regular {
		batch.WriteByte('\n')
	}
	if regular && info.Size() > 0 {
		if _, err := out.ReadAt(last, info.Size()-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			batch.WriteByte('\n')
		}
	}
	for _, l := range lines {
		batch.Write(l.Text)
		batch.WriteByte('\n')
	}
	switch _, err := out.Write(batch.Bytes()); {
	case err == nil:
		f.torn = false
	case regular:
		return errors.Join(err, out.Truncate(info.Size()))
	default:
		f.torn = true
		return err
	}
	if !regular { // a pipe, which has no disk to reach
		return nil
	}
	return out.Sync()
}
