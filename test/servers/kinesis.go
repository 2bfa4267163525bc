package servers

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
)

// kinesisRelease is what tools/kinesis/package.json names; a test keeps the two equal.
const kinesisRelease = "0.6.2"

var kinesis = kind{"kinesis", configureKinesis}

// Kinesis starts a service of streams that speaks the protocol of Amazon Kinesis and
// asks nobody for credentials. It has no stream at first. Shards are split and merged,
// and closed then. It keeps nothing beyond its end.
func Kinesis(t T, opts ...Option) *Server {
	t.Helper()
	return open(t, kinesis, opts)
}

// onLoopback is run before the service, which would listen at all addresses.
const onLoopback = `const net = require('net'), listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (at, ...more) {
  return listen.call(this, at && typeof at === 'object' ? {...at, host: '127.0.0.1'} : at, ...more);
};
`

func configureKinesis(s *Server, o options) error {
	if o.login || o.tls {
		return errors.New("kinesis is here without logins and TLS")
	}
	dir, err := fetched("kinesis-" + kinesisRelease)
	if err != nil {
		return err
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return fmt.Errorf("node is not installed; %s", installHint)
	}
	_, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	if err := s.write("loopback.js", onLoopback); err != nil {
		return err
	}
	program := filepath.Join(dir, "node_modules", "kinesis-local")
	s.program.command = func() *exec.Cmd {
		cmd := exec.Command(node, "--require", s.path("loopback.js"), filepath.Join(program, "main.js"))
		cmd.Env = append(cmd.Environ(), "KINESIS_MOCK_PLAIN_PORT="+port, "KINESIS_MOCK_TLS_PORT=0", "KINESIS_MOCK_CERT_PATH="+filepath.Join(program, "server.json"),
			"CREATE_STREAM_DURATION=1ms", "DELETE_STREAM_DURATION=1ms", "SPLIT_SHARD_DURATION=1ms", "MERGE_SHARDS_DURATION=1ms", "REGISTER_STREAM_CONSUMER_DURATION=1ms", "SHARD_LIMIT=10000", "LOG_LEVEL=ERROR",
			"SHOULD_PERSIST_DATA=false") // what a kill leaves half written keeps it from starting
		return cmd
	}
	s.program.ready = s.answers(s.dial, "GET /healthcheck HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "HTTP/1.1 200")
	return nil
}
