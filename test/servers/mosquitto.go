package servers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

var mosquitto = kind{"mosquitto", configureMosquitto}

// Mosquitto starts an MQTT broker, 3.1.1 and 5. It saves what it holds after
// every change, though not before it confirms, and a message that it sends on at
// once is no change: a kill may cost it. It never saves shared subscriptions.
func Mosquitto(t T, opts ...Option) *Server {
	t.Helper()
	return open(t, mosquitto, opts)
}

// mqttConnect is a CONNECT of MQTT 3.1.1 without an identifier. The answer is a
// CONNACK, whatever it says.
const mqttConnect = "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00"

func configureMosquitto(s *Server, o options) error {
	program, err := find("mosquitto", "/usr/sbin/mosquitto")
	if err != nil {
		return err
	}
	var conf strings.Builder
	fmt.Fprintf(&conf, "listener %d 127.0.0.1\npersistence true\npersistence_location %s/\n", s.ports[0].N, s.path("data"))
	fmt.Fprintf(&conf, "autosave_on_changes true\nautosave_interval 1\nmax_queued_messages 0\n")
	if os.Getuid() == 0 {
		fmt.Fprintf(&conf, "user root\n") // else it takes a user who may not see its directory
	}
	if s.TLS != nil {
		fmt.Fprintf(&conf, "certfile %s\nkeyfile %s\n", s.path(certFile), s.path(keyFile))
	}
	if o.login {
		if err := mosquittoPassword(s, o); err != nil {
			return err
		}
		fmt.Fprintf(&conf, "allow_anonymous false\npassword_file %s\n", s.path("passwords"))
	} else {
		fmt.Fprintf(&conf, "allow_anonymous true\n")
	}
	s.program.command = func() *exec.Cmd { return exec.Command(program, "-c", s.path("mosquitto.conf")) }
	s.program.ready = s.answers(s.dial, mqttConnect, "\x20")
	return s.write("mosquitto.conf", conf.String())
}

func mosquittoPassword(s *Server, o options) error {
	if o.user == "" {
		return errors.New("mosquitto needs a name to log in")
	}
	program, err := find("mosquitto_passwd", "/usr/bin/mosquitto_passwd")
	if err != nil {
		return err
	}
	out, err := exec.Command(program, "-b", "-c", s.path("passwords"), o.user, o.password).CombinedOutput()
	if err != nil {
		return fmt.Errorf("write password file: %w: %s", err, out)
	}
	return nil
}
