package servers

import (
	"fmt"
	"os/exec"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

var registry = kind{"registry", configureRegistry}

// Registry starts a registry of container images, which lets images be deleted.
func Registry(t T, opts ...Option) *Server {
	t.Helper()
	return open(t, registry, opts)
}

func configureRegistry(s *Server, o options) error {
	program, err := find("docker-registry", "/usr/bin/docker-registry")
	if err != nil {
		return err
	}
	var conf strings.Builder
	fmt.Fprintf(&conf, "version: 0.1\nlog: {level: info}\nstorage:\n  filesystem: {rootdirectory: %q}\n  delete: {enabled: true}\nhttp:\n  addr: %q\n", s.path("data"), s.Addr)
	if s.TLS != nil {
		fmt.Fprintf(&conf, "  tls: {certificate: %q, key: %q}\n", s.path(certFile), s.path(keyFile))
	}
	if o.login {
		hash, err := bcrypt.GenerateFromPassword([]byte(o.password), bcrypt.MinCost)
		if err != nil {
			return err
		}
		if err := s.write("htpasswd", fmt.Sprintf("%s:%s\n", o.user, hash)); err != nil {
			return err
		}
		fmt.Fprintf(&conf, "auth:\n  htpasswd: {realm: test, path: %q}\n", s.path("htpasswd"))
	}
	if o.tokens != nil {
		fmt.Fprintf(&conf, "auth:\n  token: {realm: %q, service: registry, issuer: %q, rootcertbundle: %q}\n", o.tokens.realm, o.tokens.issuer, o.tokens.certificate)
	}
	s.program.command = func() *exec.Cmd { return exec.Command(program, "serve", s.path("registry.yml")) }
	s.program.ready = s.answers(s.dial, "GET /v2/ HTTP/1.0\r\n\r\n", "HTTP/1.0 200", "HTTP/1.1 200", "HTTP/1.0 401", "HTTP/1.1 401")
	return s.write("registry.yml", conf.String())
}

// Tokens lets clients of a registry in that have a token of an issuer, which signs
// with the key of a certificate, and which they ask at realm.
func Tokens(realm, issuer, certificate string) Option {
	return func(o *options) { o.tokens = &tokens{realm, issuer, certificate} }
}

// tokens is who lets clients of a registry in.
type tokens struct{ realm, issuer, certificate string }
