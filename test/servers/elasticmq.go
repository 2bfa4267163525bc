package servers

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
)

// elasticmqRelease is what tools/elasticmq/pom.xml names; a test keeps the two equal.
const elasticmqRelease = "1.7.1"

var elasticmq = kind{"elasticmq", configureElasticMQ}

// ElasticMQ starts a service of queues that speaks the protocol of Amazon SQS and
// asks nobody for credentials. It has no queue at first. Queues and messages are in
// files, which a kill leaves as they are.
func ElasticMQ(t T, opts ...Option) *Server {
	t.Helper()
	return open(t, elasticmq, opts)
}

const elasticmqConf = `include classpath("application.conf")
node-address { protocol = http, host = %[1]q, port = %[2]s, context-path = "" }
rest-sqs { enabled = true, bind-hostname = %[1]q, bind-port = %[2]s, sqs-limits = strict }
rest-stats.enabled = false
messages-storage { enabled = true, driver-class = "org.h2.Driver", uri = "jdbc:h2:%[3]s;WRITE_DELAY=0", username = "", password = "", prune-data-on-init = false }
`

func configureElasticMQ(s *Server, o options) error {
	if o.login || o.tls {
		return errors.New("elasticmq is here without logins and TLS")
	}
	jars, err := fetched("elasticmq-" + elasticmqRelease)
	if err != nil {
		return err
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return fmt.Errorf("java is not installed; %s", installHint)
	}
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	if err := s.write("elasticmq.conf", fmt.Sprintf(elasticmqConf, host, port, s.path("messages"))); err != nil {
		return err
	}
	s.program.command = func() *exec.Cmd {
		return exec.Command(java, "-Xmx300m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Djava.io.tmpdir="+s.dir,
			"-Dconfig.file="+s.path("elasticmq.conf"), "-cp", filepath.Join(jars, "*"), "org.elasticmq.server.Main")
	}
	s.program.ready = s.answers(s.dial, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "HTTP/1.1 200")
	return nil
}
