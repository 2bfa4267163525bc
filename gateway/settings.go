package gateway

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"

	"github.com/myelin-run/myelin/control/certificate"
	"github.com/myelin-run/myelin/control/problem"
	"github.com/myelin-run/myelin/gateway/access"
	"github.com/myelin-run/myelin/gateway/front"
)

// Settings of a gateway, as the control plane hands them on.
type Settings struct {
	// Store is a directory that gateways which follow each other share: for
	// requests that are answered later, and certificates. "": there is none.
	Store string `json:"store,omitempty"`
	// Door is a unix socket at which it serves as well, for those whose loopback is
	// another. "": none.
	Door string `json:"door,omitempty"`
	// AccessLog; nil: none is written.
	AccessLog *access.Options `json:"accessLog,omitempty"`
	// Certificate and Key are files in PEM; they may be replaced at any time.
	Certificate string `json:"certificate,omitempty"`
	Key         string `json:"key,omitempty"`
	// ACME gets certificates by itself; nil: off.
	ACME *ACME `json:"acme,omitempty"`
}

// ACME is where certificates come from, and for which hosts.
type ACME struct {
	// Directory is the authority's URL; default Let's Encrypt's.
	Directory string   `json:"directory,omitempty"`
	Email     string   `json:"email,omitempty"`
	Hosts     []string `json:"hosts"`
	// Roots is a file with certificates that the authority's own server is
	// verified by; default the system's.
	Roots string `json:"roots,omitempty"`
}

// Validate says what cannot be.
func (s *Settings) Validate() error {
	switch {
	case (s.Certificate == "") != (s.Key == ""):
		return errors.New("a certificate and its key go together")
	case s.ACME != nil && s.Certificate != "":
		return errors.New("a certificate is either in files or got by ACME")
	case s.ACME != nil && len(s.ACME.Hosts) == 0:
		return errors.New("ACME needs the hosts that certificates are for")
	case s.ACME != nil && s.Store == "":
		return errors.New("ACME needs a directory to keep certificates in")
	}
	if s.AccessLog != nil {
		return s.AccessLog.Validate()
	}
	return nil
}

// secured makes the configuration of TLS; nil: it is off.
func (s *Settings) secured() (*tls.Config, error) {
	if s.Certificate != "" {
		files, err := certificate.Load(s.Certificate, s.Key)
		if err != nil {
			return nil, err
		}
		return files.Config(), nil
	}
	if s.ACME == nil {
		return nil, nil
	}
	client := &acme.Client{DirectoryURL: s.ACME.Directory}
	if s.ACME.Roots != "" {
		pem, err := os.ReadFile(s.ACME.Roots)
		if err != nil {
			return nil, fmt.Errorf("read roots of the ACME server: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read roots of the ACME server: no certificate in %s", s.ACME.Roots)
		}
		client.HTTPClient = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
	}
	m := &autocert.Manager{
		Prompt: autocert.AcceptTOS, Cache: autocert.DirCache(filepath.Join(s.Store, "acme")), Client: client, Email: s.ACME.Email,
		HostPolicy: func(_ context.Context, host string) error {
			if !slices.Contains(s.ACME.Hosts, host) {
				return fmt.Errorf("no certificate is got for %q", host)
			}
			return nil
		},
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: m.GetCertificate, NextProtos: []string{"h2", "http/1.1", acme.ALPNProto}}, nil
}

// insist sends who comes from elsewhere without TLS to where there is some. It
// says whether the call is answered.
func (g *router) insist(c *front.Call) bool {
	if !g.secure || c.TLS {
		return false
	}
	if a, err := netip.ParseAddr(c.Peer); err == nil && a.Unmap().IsLoopback() {
		return false // a function that calls another
	}
	if string(c.Req.Method) != "GET" && string(c.Req.Method) != "HEAD" || len(c.Req.Host) == 0 {
		refuse(c, problem.New(http.StatusForbidden, "this gateway is spoken to by https"))
		return true
	}
	c.Note.Own = true
	c.Reply(http.StatusPermanentRedirect, nil, front.F("Location", "https://"+string(c.Req.Host)+string(c.Req.Target)))
	return true
}
