package relay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/moby/moby/client"
)

// Host is a Docker engine, and how it is reached.
type Host struct {
	// Address is unix:///path or tcp://host:port.
	Address string `json:"address"`
	// Certificates is a directory, absolute, with ca.pem, which vouches for the engine,
	// and cert.pem and key.pem, which this side shows. "": no TLS.
	Certificates string `json:"certificates,omitempty"`
	// Insecure allows an engine of another machine to be reached without TLS.
	Insecure bool `json:"insecure,omitempty"`
	// Forwarded says of a unix socket that it is another machine's, which somebody, such
	// as ssh, forwards here.
	Forwarded bool `json:"forwarded,omitempty"`
}

// Socket says whether the engine is reached by a unix socket.
func (h Host) Socket() bool { return strings.HasPrefix(h.Address, "unix://") }

// Remote says whether the engine is on another machine, so that nothing of this one is
// shared with it.
func (h Host) Remote() bool { return !h.Socket() || h.Forwarded }

// Validate says what is wrong with h.
func (h Host) Validate() error {
	if h.Socket() {
		return nil
	}
	u, err := url.Parse(h.Address)
	if err != nil || u.Scheme != "tcp" || u.Hostname() == "" || u.Port() == "" || strings.Trim(u.Path, "/") != "" {
		err := fmt.Errorf("docker host %q: want unix:///path or tcp://host:port", h.Address)
		if strings.HasPrefix(h.Address, "ssh://") {
			err = fmt.Errorf("%w: have ssh forward the engine's socket (ssh -N -L /run/far.sock:/var/run/docker.sock HOST), then --docker-host unix:///run/far.sock --docker-publish IP", err)
		}
		return err
	}
	switch {
	case h.Certificates != "" && !filepath.IsAbs(h.Certificates):
		return fmt.Errorf("certificates %q: want an absolute path", h.Certificates)
	case h.Certificates == "" && !h.Insecure && !loopback(u.Hostname()):
		return fmt.Errorf("docker host %s: without TLS whoever is on the way is root there: want a directory of certificates (--docker-cert-path), or --docker-insecure", h.Address)
	}
	return nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Connect returns a client; it opens nothing.
func (h Host) Connect() (*client.Client, error) {
	if err := h.Validate(); err != nil {
		return nil, err
	}
	opts := []client.Opt{client.WithHost(h.Address), client.WithUserAgent("myelin")}
	if h.Certificates != "" {
		in := func(name string) string { return filepath.Join(h.Certificates, name) }
		opts = append(opts, client.WithTLSClientConfig(in("ca.pem"), in("cert.pem"), in("key.pem")))
	}
	c, err := client.New(opts...)
	if err != nil {
		return nil, fmt.Errorf("docker host %s: %w", h.Address, err)
	}
	return c, nil
}

// IP is the address of the engine's machine as this one sees it.
func (h Host) IP() (netip.Addr, error) {
	u, err := url.Parse(h.Address)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("docker host %q: %w", h.Address, err)
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		return ip, nil
	}
	ips, err := net.LookupIP(u.Hostname())
	if err == nil && len(ips) == 0 {
		err = errors.New("it has no address")
	}
	if err != nil {
		return netip.Addr{}, fmt.Errorf("docker host %s: %w", h.Address, err)
	}
	ip, _ := netip.AddrFromSlice(ips[0])
	return ip.Unmap(), nil
}

// Refused says of an error that the engine, or whoever is in its place, does not let
// us in, or that it is not to be trusted: to wait is no help.
func Refused(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	for _, sign := range []string{"tls: ", "x509: ", "HTTP request to an HTTPS server", "HTTP response to HTTPS client", "malformed HTTP response"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}
