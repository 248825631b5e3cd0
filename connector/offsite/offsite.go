// Package offsite takes signed checkpoints to a place beyond this machine, and
// reads the newest back where that can be done. It verifies nothing, retries
// nothing, and never names what a URL holds beside its host.
package offsite

import (
	"context"
	"errors"
	"fmt"
	netmail "net/mail"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Place is where checkpoints go; its methods may be called from several
// goroutines.
type Place interface {
	// Put takes a signed checkpoint there. at is when it was signed, size how many
	// entries it covers. Coming twice it changes nothing.
	Put(ctx context.Context, size int64, at time.Time, note string) error
	// Latest answers what came there last, "" for nothing yet; readable is false
	// where nothing can be read back.
	Latest(ctx context.Context) (note string, readable bool, err error)
}

// Mail sends one message: id is the same at every retry.
type Mail func(ctx context.Context, id, to, subject, text string) error

// longest bounds what is read back, in bytes.
const longest = 64 << 10

// Open makes a place of a URL. Nothing is dialled or created yet:
//
//	file://DIR        a file for each checkpoint, and latest; file:///abs is absolute
//	mailto:ADDRESS    a mail for each; nothing can be read back
//	https://HOST/PATH PUT of the signed checkpoint, GET reads it back; user:password
//	                  in the URL is sent as HTTP Basic; http:// on this machine only
func Open(rawURL string, send Mail) (Place, error) {
	scheme, rest, _ := strings.Cut(rawURL, ":")
	switch scheme {
	case "file":
		dir, found := strings.CutPrefix(rest, "//")
		if !found || dir == "" {
			return nil, errors.New("checkpoint URL: file:// names no folder")
		}
		return newFolder(dir), nil
	case "mailto":
		to, err := netmail.ParseAddress(rest)
		if err != nil || to.Address != rest {
			return nil, errors.New("checkpoint URL: want mailto: and one address, such as mailto:auditor@example.org")
		}
		return letterbox{to: rest, send: send}, nil
	case "http", "https":
		return openShelf(rawURL)
	}
	// The text may hold a password, so that it is not repeated.
	return nil, errors.New("checkpoint URL: want file://DIR, mailto:ADDRESS, https://HOST/PATH or off")
}

func openShelf(rawURL string) (*shelf, error) {
	u, err := url.Parse(rawURL)
	switch {
	case err != nil || u.Hostname() == "" || u.Fragment != "":
		return nil, errors.New("checkpoint URL: want https://HOST/PATH")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, fmt.Errorf("checkpoint URL: http:// goes to this machine only, not to %s; use https://", u.Hostname())
	}
	return newShelf(u), nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// letterbox mails checkpoints to somebody who keeps them.
type letterbox struct {
	to   string
	send Mail
}

func (l letterbox) Put(ctx context.Context, size int64, at time.Time, note string) error {
	stamp := at.UTC().Format(stampLayout)
	text := "This is a signed checkpoint of the audit record. Keep it: with it, anybody can tell later\n" +
		"whether the record was altered or shortened since. Verify with healthix-scim audit verify.\n\n" + note
	if err := l.send(ctx, fmt.Sprintf("checkpoint-%d-%s", size, stamp), l.to, fmt.Sprintf("Audit checkpoint of %d entries, %s", size, stamp), text); err != nil {
		return fmt.Errorf("mail the checkpoint of %d entries: %w", size, err)
	}
	return nil
}

func (letterbox) Latest(context.Context) (string, bool, error) { return "", false, nil }

// stampLayout has microseconds, which tell two checkpoints of one size apart.
const stampLayout = "20060102T150405.000000Z"
