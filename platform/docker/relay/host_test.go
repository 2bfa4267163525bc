package relay

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestHosts(t *testing.T) {
	for address, want := range map[string]string{
		"unix:///var/run/docker.sock": "", "tcp://127.0.0.1:2375": "", "tcp://localhost:2375": "", "tcp://[::1]:2375": "",
		"tcp://10.0.0.5:2375": "without TLS", "tcp://engine:2375": "without TLS",
		"tcp://10.0.0.5": "want unix", "tcp://:2375": "want unix", "http://10.0.0.5:2375": "want unix", "tcp://10.0.0.5:2375/x": "want unix", "10.0.0.5:2375": "want unix", "ssh://root@10.0.0.5": "have ssh forward",
	} {
		if err := (Host{Address: address}).Validate(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", address, err, want)
		}
	}
	for _, h := range []Host{{Address: "tcp://10.0.0.5:2375", Insecure: true}, {Address: "tcp://10.0.0.5:2376", Certificates: "/etc/c"}} {
		if err := h.Validate(); err != nil {
			t.Errorf("%+v: %v", h, err)
		}
	}
	if err := (Host{Address: "tcp://10.0.0.5:2376", Certificates: "c"}).Validate(); err == nil {
		t.Error("a relative directory is taken")
	}
	if h := (Host{Address: "unix:///run/far.sock"}); h.Remote() {
		t.Error("a socket is taken for another machine's")
	}
	if h := (Host{Address: "unix:///run/far.sock", Forwarded: true}); !h.Remote() || h.Validate() != nil {
		t.Error("a socket that is forwarded is taken for this machine's")
	}
	if ip, err := (Host{Address: "tcp://[::ffff:10.0.0.5]:1"}).IP(); err != nil || !ip.Is4In6() && ip.String() != "10.0.0.5" {
		t.Errorf("%v %v", ip, err)
	}
	if Refused(errors.New("dial tcp 10.0.0.5:2376: connect: connection refused")) || !Refused(errors.New("remote error: tls: bad certificate")) || Refused(nil) {
		t.Error("what is away is not told from what refuses")
	}
}

// sink is a log.
type sink struct{ bytes.Buffer }

func (*sink) Close() error { return nil }

// What was there before an absence of the engine is not written again.
func TestStamped(t *testing.T) {
	var log sink
	s := &stamped{to: &log}
	say := func(lines ...string) {
		t.Helper()
		for _, l := range lines {
			if n, err := s.Write([]byte(l)); err != nil || n != len(l) {
				t.Fatalf("%d, %v", n, err)
			}
		}
	}
	say("2026-01-01T00:00:00.000000001Z one\n", "2026-01-01T00:00:00.000000002Z two words\n", "nonsense\n")
	s.mark = s.last
	say("2026-01-01T00:00:00.000000002Z two words\n", "2026-01-01T00:00:00.000000003Z \n", "2026-01-01T00:00:00.000000003Z four\n")
	if got := log.String(); got != "one\ntwo words\n\nfour\n" {
		t.Errorf("got %q", got)
	}
}
