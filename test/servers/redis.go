package servers

import (
	"fmt"
	"os/exec"
	"strings"
)

var redis = kind{"redis", configureRedis}

// Redis starts a Redis that writes every command to disk before it answers.
func Redis(t T, opts ...Option) *Server {
	t.Helper()
	return open(t, redis, opts)
}

func configureRedis(s *Server, o options) error {
	program, err := find("redis-server", "/usr/bin/redis-server")
	if err != nil {
		return err
	}
	var conf strings.Builder
	fmt.Fprintf(&conf, "bind 127.0.0.1\ndir %s\nsave \"\"\nappendonly yes\nappendfsync always\ndaemonize no\n", s.path("data"))
	if s.TLS != nil {
		fmt.Fprintf(&conf, "port 0\ntls-port %d\ntls-cert-file %s\ntls-key-file %s\ntls-ca-cert-file %s\ntls-auth-clients no\n",
			s.ports[0].N, s.path(certFile), s.path(keyFile), s.path(caFile))
	} else {
		fmt.Fprintf(&conf, "port %d\n", s.ports[0].N)
	}
	if o.login {
		fmt.Fprintf(&conf, "requirepass %q\n", o.password)
		if o.user != "" {
			fmt.Fprintf(&conf, "user %s on \">%s\" ~* &* +@all\n", o.user, o.password)
		}
	}
	s.program.command = func() *exec.Cmd { return exec.Command(program, s.path("redis.conf")) }
	s.program.ready = s.answers(s.dial, "PING\r\n", "+PONG", "-NOAUTH")
	return s.write("redis.conf", conf.String())
}
