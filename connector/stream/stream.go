// Package stream takes lines of the audit record to what watches it: a file, a
// syslog collector, or an HTTP endpoint. It keeps no position and retries
// nothing: a batch is taken whole, or comes again. It never names what a URL
// holds beside its host.
package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// Line is one entry.
type Line struct {
	Position int64 // in the log
	At       time.Time
	Action   string
	Text     []byte // JSON without a line break
}

// Sink is where lines go. One goroutine calls it.
type Sink interface {
	// Send answers when the other side has all lines, as far as its protocol lets
	// anybody know. After an error they are to be sent again.
	Send(ctx context.Context, lines []Line) error
}

// Open makes a sink of a URL. Nothing is dialled or created yet:
//
//	file:///PATH              one line each, appended; the file may be moved away at any time
//	syslog://HOST[:601]       RFC 5424 over TCP, counted (RFC 6587 §3.4.1)
//	syslog+tls://HOST[:6514]  the same over TLS (RFC 5425)
//	syslog+udp://HOST[:514]   RFC 5426: nobody knows what arrives
//	https://HOST/PATH         POST of application/x-ndjson; http:// on this machine only
//
// token is the bearer of the HTTP endpoint; "" takes user or password of the URL.
func Open(rawURL, token string) (Sink, error) {
	if path, found := strings.CutPrefix(rawURL, "file://"); found {
		if path == "" {
			return nil, errors.New("stream URL: file:// names no file")
		}
		return &file{path: path}, nil
	}
	u, err := url.Parse(rawURL)
	if err != nil || u.Hostname() == "" || u.Fragment != "" {
		// The text may hold a password, so that it is not repeated.
		return nil, errors.New("stream URL: want file:///PATH, syslog://HOST:PORT, syslog+tls://, syslog+udp:// or https://HOST/PATH")
	}
	ports := map[string]string{"syslog": "601", "syslog+tls": "6514", "syslog+udp": "514"}
	switch u.Scheme {
	case "syslog", "syslog+tls", "syslog+udp":
		if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return nil, fmt.Errorf("stream URL: want %s://HOST:PORT and nothing more", u.Scheme)
		}
		port := u.Port()
		if port == "" {
			port = ports[u.Scheme]
		}
		return newCollector(u.Scheme, u.Hostname(), net.JoinHostPort(u.Hostname(), port)), nil
	case "http", "https":
		if u.Scheme == "http" && !loopback(u.Hostname()) {
			return nil, fmt.Errorf("stream URL: http:// goes to this machine only, not to %s; use https://", u.Hostname())
		}
		return newEndpoint(u, token), nil
	}
	return nil, fmt.Errorf("stream URL: unknown scheme %q; want file, syslog, syslog+tls, syslog+udp or https", u.Scheme)
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
