package source

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// refusedNetworks are where a request's sources are not fetched from: who may
// send one would reach through the control plane what only it can reach.
// Networks of one's own that hold sources are named in [Stager.Networks].
func refusedNetworks() []netip.Prefix {
	var out []netip.Prefix
	for _, p := range []string{
		"0.0.0.0/8", "127.0.0.0/8", "::/128", "::1/128", // this machine
		"169.254.0.0/16", "fe80::/10", // the link, and most clouds' metadata
		"100.100.100.200/32", "192.0.0.192/32", "168.63.129.16/32", "fd00:ec2::/32", "fd20:ce::254/128", // other clouds' metadata
		"224.0.0.0/4", "ff00::/8", "240.0.0.0/4", // to many, or to nobody
	} {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// Addresses of IPv6 that stand for one of IPv4.
var translated = []struct {
	prefix netip.Prefix
	at     int // of the four bytes
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12},
	{netip.MustParsePrefix("2002::/16"), 2},
	{netip.MustParsePrefix("::/96"), 12},
}

// reachable tells why an address is refused, if it is. It is asked about what
// is connected to, not about names, which mean what their owner wants each time.
func (s Stager) reachable(ip netip.Addr) error {
	if s.Local {
		return nil
	}
	plain := ip.Unmap().WithZone("")
	for _, t := range translated {
		if b := plain.As16(); plain.Is6() && t.prefix.Contains(plain) && plain != netip.IPv6Unspecified() && plain != netip.IPv6Loopback() {
			plain = netip.AddrFrom4([4]byte(b[t.at:]))
			break
		}
	}
	for _, p := range s.Networks {
		if p.Contains(plain) {
			return nil
		}
	}
	for _, p := range refusedNetworks() {
		if p.Contains(plain) {
			return fmt.Errorf("sources are not fetched from %s: it is in %s", ip, p)
		}
	}
	return nil
}

// transport connects to what is reachable only. A proxy of the environment,
// which its owner has named, is reached in any case; what it connects to is its
// own to say.
func (s Stager) transport() http.RoundTripper {
	t := http.DefaultTransport.(*http.Transport).Clone()
	dialer := net.Dialer{Timeout: 30 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("connect to %s: %w", address, err)
		}
		return s.reachable(at.Addr())
	}}
	t.Proxy = nil
	t.DialContext = dialer.DialContext
	proxied := http.DefaultTransport.(*http.Transport).Clone()
	return chosen{s, t, proxied}
}

// chosen asks a proxy for what the environment says, after a look at addresses
// that are written out.
type chosen struct {
	s       Stager
	direct  http.RoundTripper
	proxied http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (c chosen) RoundTrip(r *http.Request) (*http.Response, error) {
	if ip, err := netip.ParseAddr(r.URL.Hostname()); err == nil {
		if err := c.s.reachable(ip); err != nil {
			return nil, err
		}
	}
	if proxy, err := http.ProxyFromEnvironment(r); err == nil && proxy != nil {
		return c.proxied.RoundTrip(r)
	}
	return c.direct.RoundTrip(r)
}

// pin finds the addresses of a repository's host, refuses those that are not
// reachable, and returns one of the others, to which git is to keep.
func (s Stager) pin(ctx context.Context, repo *url.URL) (netip.Addr, error) {
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", repo.Hostname())
	if err != nil || len(ips) == 0 {
		return netip.Addr{}, mistake("fetch %s: the host %s is not known", repo.Redacted(), repo.Hostname())
	}
	for _, ip := range ips {
		if err := s.reachable(ip); err != nil {
			return netip.Addr{}, mistake("fetch %s: %v", repo.Redacted(), err)
		}
	}
	for _, ip := range ips {
		if ip = ip.Unmap(); ip.Is4() {
			return ip, nil
		}
	}
	return ips[0], nil
}
