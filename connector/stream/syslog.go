package stream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// priority is facility 13 (log audit), severity 6 (informational): RFC 5424 §6.2.1.
	priority = "110"
	// longestDatagram is what a UDP datagram holds, with room for headers.
	longestDatagram = 60_000
	closing         = 10 * time.Second // for the collector to close its end
)

// collector is a syslog server. Syslog has no answer, so that each batch has a
// connection of its own: we close our end, and the collector closes its own when
// it has read everything. One that ends earlier, or is reset, did not.
type collector struct {
	scheme  string
	address string
	host    string // our own name
	dialer  net.Dialer
	tls     *tls.Config
}

func newCollector(scheme, name, address string) *collector {
	c := &collector{scheme: scheme, address: address, host: "-"}
	if host, err := os.Hostname(); err == nil && printable(host) && len(host) <= 255 {
		c.host = host
	}
	if scheme == "syslog+tls" {
		c.tls = &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12}
	}
	return c
}

func (c *collector) Send(ctx context.Context, lines []Line) error {
	send := c.overTCP
	if c.scheme == "syslog+udp" {
		send = c.overUDP
	}
	if err := send(ctx, lines); err != nil {
		return fmt.Errorf("%s://%s: %w", c.scheme, c.address, err)
	}
	return nil
}

// message is RFC 5424 §6: header, no structured data, the line.
func (c *collector) message(l Line, text []byte) []byte {
	action := l.Action
	if !printable(action) || len(action) > 32 {
		action = "-"
	}
	head := "<" + priority + ">1 " + l.At.UTC().Format("2006-01-02T15:04:05.000000Z") + " " + c.host + " healthix-scim - " + action + " - "
	return append([]byte(head), text...)
}

func printable(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r < '!' || r > '~' })
}

func (c *collector) overTCP(ctx context.Context, lines []Line) (err error) {
	conn, err := c.dialer.DialContext(ctx, "tcp", c.address)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // it only hurries
	defer func() {
		stop()
		conn.Close() //nolint:errcheck // what matters is known by then
		if ctx.Err() != nil && err != nil {
			err = fmt.Errorf("%w (%w)", err, ctx.Err())
		}
	}()
	var end interface {
		io.ReadWriter
		CloseWrite() error
	} = conn.(*net.TCPConn) //nolint:errcheck,forcetypeassert // "tcp" was dialled
	if c.tls != nil {
		secured := tls.Client(conn, c.tls)
		if err := secured.HandshakeContext(ctx); err != nil {
			return err
		}
		end = secured
	}
	var batch bytes.Buffer
	for _, l := range lines {
		m := c.message(l, l.Text)
		batch.WriteString(strconv.Itoa(len(m)))
		batch.WriteByte(' ')
		batch.Write(m)
	}
	if early, err := ended(conn, end); early {
		return fmt.Errorf("the collector closed at once: %w", err)
	}
	if _, err := end.Write(batch.Bytes()); err != nil {
		return err
	}
	if err := end.CloseWrite(); err != nil {
		return err
	}
	if c.tls != nil { // its own word of farewell closes nothing of the connection below
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil { //nolint:errcheck,forcetypeassert // as above
			return err
		}
	}
	if ctx.Err() == nil {
		conn.SetReadDeadline(time.Now().Add(closing)) //nolint:errcheck // the context bounds it too
	}
	// Whatever it says, it says to nobody; a TLS end may lack its farewell.
	if _, err := io.Copy(io.Discard, conn); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return errors.New("the collector did not close its end after ours, so that nobody knows whether it read everything")
		}
		return err
	}
	return nil
}

// ended says whether the other side is gone before anything was written.
func ended(conn net.Conn, end io.Reader) (bool, error) {
	if err := conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return true, err
	}
	_, err := end.Read(make([]byte, 1))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false, conn.SetReadDeadline(time.Time{})
	case err == nil: // it talks; let it
		return false, conn.SetReadDeadline(time.Time{})
	}
	return true, err
}

func (c *collector) overUDP(ctx context.Context, lines []Line) error {
	conn, err := c.dialer.DialContext(ctx, "udp", c.address)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // nothing waits in it
	for _, l := range lines {
		text := l.Text
		if len(text) > longestDatagram {
			text = fmt.Appendf(nil, `{"position":%d,"tooLong":%d}`, l.Position, len(text))
		}
		if _, err := conn.Write(c.message(l, text)); err != nil {
			return err
		}
	}
	return nil
}
