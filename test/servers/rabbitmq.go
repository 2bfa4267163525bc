package servers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/myelin-run/myelin/test/port"
)

var rabbitmq = kind{"rabbitmq", configureRabbitMQ}

// RabbitMQ starts one node, with the usual guest/guest unless there is a Login.
// Quorum queues work, with one member. A test that kills it calls QueueSaved
// after it declares one.
func RabbitMQ(t T, opts ...Option) *Server {
	t.Helper()
	return open(t, rabbitmq, opts)
}

// QueueSaved waits until a quorum queue of RabbitMQ's default virtual host would
// survive a kill. RabbitMQ confirms messages once they are on disk, but writes
// which queues there are only now and then: a queue that is younger than that
// comes back empty after a kill.
func (s *Server) QueueSaved(ctx context.Context, queue string) error {
	name := []byte("%2F_" + queue)
	for {
		data, err := os.ReadFile(s.path("data/rabbit@localhost/quorum/rabbit@localhost/names.dets"))
		if err == nil && bytes.Contains(data, name) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for queue %s to be saved: %w", queue, errors.Join(ctx.Err(), err))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func configureRabbitMQ(s *Server, o options) error {
	program, err := find("rabbitmq-server", "/usr/lib/rabbitmq/bin/rabbitmq-server")
	if err != nil {
		return err
	}
	epmd, err := find("epmd", "/usr/bin/epmd")
	if err != nil {
		return err
	}
	switch {
	case !o.login:
		s.User, s.Password = "guest", "guest"
	case o.user == "":
		return errors.New("rabbitmq needs a name to log in")
	}
	dist, err := s.port()
	if err != nil {
		return err
	}
	names, err := s.port()
	if err != nil {
		return err
	}
	env := rabbitEnv(s, dist, names)
	s.program.command = func() *exec.Cmd {
		cmd := exec.Command(program)
		cmd.Env = env
		return cmd
	}
	// Its name server would be started as a daemon and outlive it.
	s.program.side = func() *exec.Cmd {
		return exec.Command(epmd, "-port", strconv.Itoa(names.N), "-address", "127.0.0.1")
	}
	// A server of AMQP 0-9-1 speaks first once it knows the protocol: method frame, channel 0.
	s.program.ready = s.answers(s.dial, "AMQP\x00\x00\x09\x01", "\x01\x00\x00")
	return errors.Join(s.write("rabbitmq.conf", rabbitConf(s)), s.write("plugins", "[].\n"), s.write("rabbitmq-env.conf", ""))
}

func rabbitConf(s *Server) string {
	var conf strings.Builder
	fmt.Fprintf(&conf, "default_user = %s\ndefault_pass = %s\nlog.console = true\nlog.file = false\n", s.User, s.Password)
	if s.TLS != nil {
		fmt.Fprintf(&conf, "listeners.tcp = none\nlisteners.ssl.default = %s\n", s.Addr)
		fmt.Fprintf(&conf, "ssl_options.certfile = %s\nssl_options.keyfile = %s\nssl_options.verify = verify_none\n", s.path(certFile), s.path(keyFile))
	} else {
		fmt.Fprintf(&conf, "listeners.tcp.default = %s\n", s.Addr)
	}
	return conf.String()
}

func rabbitEnv(s *Server, dist, names *port.Port) []string {
	return append(os.Environ(),
		"HOME="+s.dir,
		"RABBITMQ_NODENAME=rabbit@localhost",
		"RABBITMQ_DIST_PORT="+strconv.Itoa(dist.N),
		"RABBITMQ_MNESIA_BASE="+s.path("data"),
		"RABBITMQ_LOG_BASE="+s.dir,
		"RABBITMQ_LOGS=-",
		"RABBITMQ_CONFIG_FILE="+s.path("rabbitmq.conf"),
		"RABBITMQ_CONF_ENV_FILE="+s.path("rabbitmq-env.conf"),
		"RABBITMQ_ENABLED_PLUGINS_FILE="+s.path("plugins"),
		"ERL_EPMD_PORT="+strconv.Itoa(names.N),
		"ERL_EPMD_ADDRESS=127.0.0.1",
		// With this its script becomes the server rather than waiting for it.
		"RABBITMQ_ALLOW_INPUT=true",
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-noinput +B i -kernel inet_dist_use_interface {127,0,0,1}",
	)
}
