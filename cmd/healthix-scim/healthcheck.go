package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"
)

type healthcheckCommand struct{}

// Run asks the server at the configured address whether it is ready. The
// image's health check runs it inside the same container.
func (healthcheckCommand) Run(ctx context.Context, p *program) error {
	const patience = 4 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	base, client, err := reach(p.settings, p.settings.Addr)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", http.NoBody)
	if err != nil {
		return fmt.Errorf("ask %s: %w", base, err)
	}
	answer, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	defer answer.Body.Close() //nolint:errcheck // read only
	const enough = 1 << 10
	said, err := io.ReadAll(io.LimitReader(answer.Body, enough))
	if err != nil {
		return fmt.Errorf("not ready: read answer: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s answered %s %s", base, answer.Status, strings.TrimSpace(string(said)))
	}
	_, err = p.stdout.Write(said)
	return err
}

// reach answers how this machine reaches its own server at a listen address.
func reach(s settings, addr string) (base string, client *http.Client, err error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", nil, fmt.Errorf("%s is %q; expected HOST:PORT", variable("addr"), addr)
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "" || err == nil && ip.IsUnspecified() && ip.Is4():
		host = "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		host = "::1"
	}
	transport := &http.Transport{}
	scheme := "http"
	if s.TLSCertFile != "" {
		scheme = "https"
		if transport.TLSClientConfig, err = pinned(s.TLSCertFile); err != nil {
			return "", nil, fmt.Errorf("%s: %w", variable("tls-cert-file"), err)
		}
	}
	return scheme + "://" + net.JoinHostPort(host, port), &http.Client{Transport: transport, Timeout: 30 * time.Second}, nil
}

// pinned trusts the one certificate that the server shows, whoever signed it:
// the request goes to an address that no certificate names.
func pinned(path string) (*tls.Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("expected a certificate in PEM")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	name := "localhost"
	switch {
	case len(certificate.DNSNames) > 0:
		name = strings.Replace(certificate.DNSNames[0], "*", "any", 1)
	case len(certificate.IPAddresses) > 0:
		name = certificate.IPAddresses[0].String()
	}
	return &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12}, nil
}
