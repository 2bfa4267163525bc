package servers

import (
	"errors"
	"os/exec"
)

// etcdRelease is that of the module which scripts/servers.sh builds; a test keeps
// the two equal.
const etcdRelease = "v3.7.3"

var etcd = kind{"etcd", configureEtcd}

// Etcd starts an etcd of one member.
func Etcd(t T, opts ...Option) *Server {
	t.Helper()
	return open(t, etcd, opts)
}

func configureEtcd(s *Server, o options) error {
	if o.login {
		return errors.New("etcd is here without logins: they are made by its clients")
	}
	program, err := fetched("etcd-" + etcdRelease)
	if err != nil {
		return err
	}
	peer, err := s.port()
	if err != nil {
		return err
	}
	scheme := "http://"
	args := []string{"--name", "alone", "--data-dir", s.path("data/etcd"), "--log-level", "warn", "--listen-peer-urls", "http://" + peer.Addr(),
		"--initial-advertise-peer-urls", "http://" + peer.Addr(), "--initial-cluster", "alone=http://" + peer.Addr(),
		"--heartbeat-interval", "50", "--election-timeout", "500"}
	if s.TLS != nil {
		scheme = "https://"
		args = append(args, "--cert-file", s.path(certFile), "--key-file", s.path(keyFile))
	}
	args = append(args, "--listen-client-urls", scheme+s.Addr, "--advertise-client-urls", scheme+s.Addr)
	s.program.command = func() *exec.Cmd { return exec.Command(program, args...) }
	s.program.ready = s.answers(s.dial, "GET /health HTTP/1.0\r\n\r\n", "HTTP/1.0 200", "HTTP/1.1 200")
	return nil
}
