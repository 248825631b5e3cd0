package mail

import (
	"context"
	"fmt"
	netmail "net/mail"
	"os"
	"path/filepath"

	gomail "github.com/wneessen/go-mail"
)

// folder keeps each message as a file named after its id, so that a retry
// replaces it. Files are for their owner only: they hold activation links.
type folder struct {
	dir  string
	from *netmail.Address
}

func (f *folder) Send(ctx context.Context, m Message) error {
	// A file is read by people and scripts: links stay whole, as they are.
	msg, err := compose(m, f.from, gomail.WithEncoding(gomail.NoEncoding))
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return fmt.Errorf("mail folder: %w", err)
	}
	// CreateTemp makes the file with mode 0600; the rename shows it whole or
	// not at all.
	file, err := os.CreateTemp(f.dir, ".new-*")
	if err != nil {
		return fmt.Errorf("message %s: %w", m.ID, err)
	}
	defer os.Remove(file.Name()) //nolint:errcheck // gone after the rename
	_, err = msg.WriteTo(file)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = os.Rename(file.Name(), filepath.Join(f.dir, m.ID+".eml"))
	}
	if err != nil {
		return fmt.Errorf("message %s: %w", m.ID, err)
	}
	return nil
}
