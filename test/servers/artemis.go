package servers

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
)

// artemisRelease is what tools/artemis/pom.xml names; a test keeps the two equal.
const artemisRelease = "2.55.0"

var artemis = kind{"artemis", configureArtemis}

// Artemis starts an MQTT broker, 3.1.1 and 5, that confirms a message once it is
// in its journal, so that a kill costs nothing.
func Artemis(t T, opts ...Option) *Server {
	t.Helper()
	return open(t, artemis, opts)
}

func configureArtemis(s *Server, o options) error {
	if o.login || o.tls {
		return errors.New("artemis is here without logins and TLS")
	}
	jars, err := fetched("artemis-" + artemisRelease)
	if err != nil {
		return err
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return fmt.Errorf("java is not installed; %s", installHint)
	}
	s.program.command = func() *exec.Cmd {
		return exec.Command(java, "-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Djava.io.tmpdir="+s.dir,
			"-Dorg.slf4j.simpleLogger.log.org.apache.activemq.audit=off", "-cp", jars+":"+filepath.Join(jars, "*"), "Start", s.Addr, s.path("data"))
	}
	s.program.ready = s.answers(s.dial, mqttConnect, "\x20")
	return nil
}
