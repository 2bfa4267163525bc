package servers

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/myelin-run/myelin/test/port"
)

// kind makes a Server whose directory and Addr are set into one of its sort:
// writes its configuration and fills in its program.
type kind struct {
	name      string
	configure func(*Server, options) error
}

// open starts a server that belongs to one test.
func open(t T, k kind, opts []Option) *Server {
	t.Helper()
	s, err := prepare(k, t.TempDir(), gather(opts))
	if err != nil {
		t.Fatalf("prepare %s: %v", k.name, err)
	}
	t.Cleanup(func() { finish(t, s) })
	if err := s.Start(); err != nil {
		t.Fatalf("%v", err)
	}
	return s
}

func finish(t T, s *Server) {
	if err := s.vanished(); err != nil {
		t.Logf("%v", err)
	}
	err := s.close()
	s.tell(t, 0)
	if err != nil {
		t.Logf("close %s: %v", s.name, err)
	}
}

// prepare makes a server and starts nothing.
func prepare(k kind, dir string, o options) (*Server, error) {
	s := &Server{name: k.name, dir: dir, User: o.user, Password: o.password}
	if o.advertise != nil && !strings.HasPrefix(k.name, "kafka") {
		return nil, fmt.Errorf("%s advertises no address", k.name)
	}
	if (o.nkey != "" || o.forbid != "" || o.operator != nil) && k.name != nats.name {
		return nil, fmt.Errorf("%s knows neither nkeys nor operators nor forbidden subjects", k.name)
	}
	if err := o.validate(); err != nil {
		return nil, err
	}
	err := s.furnish(k, o)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *Server) furnish(k kind, o options) error {
	if err := os.MkdirAll(s.path("data"), 0o700); err != nil {
		return err
	}
	p, err := s.port()
	if err != nil {
		return err
	}
	s.Addr, s.Advertised = p.Addr(), p.Addr()
	if o.tls {
		if s.TLS, err = s.certify(); err != nil {
			return fmt.Errorf("make certificate: %w", err)
		}
	}
	return k.configure(s, o)
}

// port takes a further port, which is the server's until it is closed.
func (s *Server) port() (*port.Port, error) {
	p, err := port.Take()
	if err == nil {
		s.ports = append(s.ports, p)
	}
	return p, err
}
