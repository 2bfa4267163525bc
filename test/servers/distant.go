package servers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// link is the cable between this machine and that of a Docker that is Distant.
type link struct {
	name        string // of this end
	here, there netip.Addr
	joined      bool
}

// away has a Docker listen as on another machine, and returns how it is told so. Addresses are of
// the network that is set apart for measuring, a pair for each port of this machine.
func (s *Server) away() ([]string, error) {
	n := 2 * s.ports[0].N
	pair := func(i int) netip.Addr {
		return netip.AddrFrom4([4]byte{198, byte(18 + (n+i)>>16), byte((n + i) >> 8), byte(n + i)})
	}
	s.link = &link{name: fmt.Sprintf("my%d", s.ports[0].N), here: pair(0), there: pair(1)}
	s.Addr = "tcp://" + netip.AddrPortFrom(s.link.there, 2376).String()
	s.Certificates, s.Strangers = s.path("certificates"), s.path("strangers")
	own := s.path("engine")
	if err := errors.Join(vouch(s.link.there, own, s.Certificates), vouch(s.link.there, s.path("stranger"), s.Strangers)); err != nil {
		return nil, err
	}
	return []string{
		"--host", s.Addr, "--tlsverify", "--tlscacert", filepath.Join(own, "ca.pem"),
		"--tlscert", filepath.Join(own, "cert.pem"), "--tlskey", filepath.Join(own, "key.pem"),
	}, nil
}

// join lays the cable, once.
func (s *Server) join() error {
	if s.link == nil || s.link.joined {
		return nil
	}
	pid, l := strconv.Itoa(s.side.cmd.Process.Pid), s.link
	far := l.name + "b"
	for _, args := range [][]string{
		{"ip", "link", "add", l.name, "type", "veth", "peer", "name", far, "netns", pid},
		{"ip", "address", "add", l.here.String() + "/31", "dev", l.name},
		{"ip", "link", "set", l.name, "up"},
		{"nsenter", "--net=/proc/" + pid + "/ns/net", "ip", "address", "add", l.there.String() + "/31", "dev", far},
		{"nsenter", "--net=/proc/" + pid + "/ns/net", "ip", "link", "set", far, "up"},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("lay a cable to %s: %q: %w: %s", s.name, args, err, out)
		}
	}
	l.joined = true
	return nil
}

// part takes the cable away.
func (s *Server) part() {
	if s.link != nil && s.link.joined {
		_ = exec.Command("ip", "link", "delete", s.link.name).Run()
	}
}

// Let lets a Docker that is Distant reach what listens on a loopback address here, and
// returns at what address it does.
func (s *Server) Let(t T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil || s.link == nil {
		t.Fatalf("let %s reach %s: %v", s.name, address, err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(s.link.here.String(), port))
	if err != nil {
		t.Fatalf("let %s reach %s: %v", s.name, address, err)
	}
	t.Cleanup(func() { l.Close() })
	go admit(l, address)
	return l.Addr().String()
}

// Cut cuts the cable to a Docker that is Distant.
func (s *Server) Cut() error { return s.plug("down") }

// Mend mends it.
func (s *Server) Mend() error { return s.plug("up") }

func (s *Server) plug(state string) error {
	if s.link == nil {
		return fmt.Errorf("%s is not distant", s.name)
	}
	// At the far end: without this one, addresses beyond it would be looked for elsewhere.
	ns := "--net=/proc/" + strconv.Itoa(s.side.cmd.Process.Pid) + "/ns/net"
	if out, err := exec.Command("nsenter", ns, "ip", "link", "set", s.link.name+"b", state).CombinedOutput(); err != nil {
		return fmt.Errorf("cable to %s: %w: %s", s.name, err, out)
	}
	return nil
}

// vouch makes an authority, and certificates by it for a server at an address and for a
// client, each with its key in a directory as DOCKER_CERT_PATH is one.
func vouch(at netip.Addr, server, client string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &key.PublicKey, key)
	if err != nil {
		return err
	}
	issue := func(dir string, usage x509.ExtKeyUsage) error {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		c := &x509.Certificate{
			SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: filepath.Base(dir)}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
			IPAddresses: []net.IP{at.AsSlice()}, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		}
		cert, err := x509.CreateCertificate(rand.Reader, c, ca, &own.PublicKey, key)
		if err != nil {
			return err
		}
		raw, err := x509.MarshalPKCS8PrivateKey(own)
		if err != nil {
			return err
		}
		keep := func(name, kind string, b []byte) error {
			return os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600)
		}
		return errors.Join(os.MkdirAll(dir, 0o700), keep("ca.pem", "CERTIFICATE", der), keep("cert.pem", "CERTIFICATE", cert), keep("key.pem", "PRIVATE KEY", raw))
	}
	return errors.Join(issue(server, x509.ExtKeyUsageServerAuth), issue(client, x509.ExtKeyUsageClientAuth))
}
