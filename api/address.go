package api

import (
	"net/http"
	"net/netip"
	"strings"
)

// address is the client's address. A forwarding header counts only as far as
// trusted proxies wrote it: from the right, the first address that is not
// theirs is the client.
func (s *server) address(r *http.Request) string {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	client := peer.Addr().Unmap()
	hops := forwardedFor(r.Header)
	for i := len(hops) - 1; i >= 0 && s.trusted(client); i-- {
		hop, err := parseHop(hops[i])
		if err != nil {
			break // an obfuscated or broken hop: its proxy is the last we know
		}
		client = hop
	}
	return client.String()
}

func (s *server) trusted(addr netip.Addr) bool {
	for _, prefix := range s.TrustedProxies {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// forwardedFor lists the hops of Forwarded (RFC 7239 §4) or, without it, of
// X-Forwarded-For, oldest first.
func forwardedFor(h http.Header) []string {
	var hops []string
	for element := range strings.SplitSeq(strings.Join(h.Values("Forwarded"), ","), ",") {
		for pair := range strings.SplitSeq(element, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if strings.EqualFold(name, "for") {
				hops = append(hops, strings.Trim(value, `"`))
			}
		}
	}
	if len(hops) > 0 {
		return hops
	}
	for hop := range strings.SplitSeq(strings.Join(h.Values("X-Forwarded-For"), ","), ",") {
		if hop = strings.TrimSpace(hop); hop != "" {
			hops = append(hops, hop)
		}
	}
	return hops
}

// parseHop reads an address with or without port, IPv6 with or without
// brackets.
func parseHop(hop string) (netip.Addr, error) {
	if withPort, err := netip.ParseAddrPort(hop); err == nil {
		return withPort.Addr().Unmap(), nil
	}
	addr, err := netip.ParseAddr(strings.Trim(hop, "[]"))
	return addr.Unmap(), err
}

// neighbourhood is the part of an address that one visitor has: an IPv6 network
// of 64 bits is one customer's, and gives away as many addresses as they like.
func neighbourhood(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil || addr.Is4() {
		return address
	}
	network, err := addr.Prefix(64)
	if err != nil {
		return address
	}
	return network.String()
}
