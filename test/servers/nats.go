package servers

import (
	"fmt"
	"os/exec"
	"strings"
)

// natsRelease is what tools/nats/go.mod builds; a test keeps the two equal.
const natsRelease = "v2.15.2"

var nats = kind{"nats", configureNATS}

// NATS starts a NATS server with JetStream, which syncs every message to disk
// before it confirms it.
func NATS(t T, opts ...Option) *Server {
	t.Helper()
	return open(t, nats, opts)
}

func configureNATS(s *Server, o options) error {
	program, err := fetched("nats-server-" + natsRelease)
	if err != nil {
		return err
	}
	var conf strings.Builder
	fmt.Fprintf(&conf, "listen: %q\n", s.Addr)
	if op := o.operator; op != nil {
		fmt.Fprintf(&conf, "operator: %q\nresolver: MEMORY\nresolver_preload { %s: %q }\n", op.token, op.account, op.accountToken)
	} else {
		fmt.Fprintf(&conf, "jetstream { store_dir: %q, sync_interval: always }\n", s.path("data"))
	}
	if s.TLS != nil {
		fmt.Fprintf(&conf, "tls { cert_file: %q, key_file: %q }\n", s.path(certFile), s.path(keyFile))
	}
	switch {
	case o.nkey != "":
		fmt.Fprintf(&conf, "authorization { users: [ { nkey: %q } ] }\n", o.nkey)
	case o.forbid != "":
		fmt.Fprintf(&conf, "authorization { users: [ { user: %q, password: %q, permissions: { publish: { deny: %q }, subscribe: { deny: %q } } } ] }\n",
			o.user, o.password, o.forbid, o.forbid)
	case o.login && o.user == "":
		fmt.Fprintf(&conf, "authorization { token: %q }\n", o.password)
	case o.login:
		fmt.Fprintf(&conf, "authorization { user: %q, password: %q }\n", o.user, o.password)
	}
	s.program.command = func() *exec.Cmd { return exec.Command(program, "-c", s.path("nats.conf")) }
	s.program.ready = s.answers(s.plainly, "", "INFO ") // it listens once JetStream is there
	return s.write("nats.conf", conf.String())
}
