package handoff

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// A process that opens its sockets by itself greets who is accepted, so that a
// connection that waits is told from one that somebody has.
func TestOwnSocketsGreet(t *testing.T) {
	env := map[string]string{ListenVariable: "http=127.0.0.1:0,other=127.0.0.1:0"}
	sockets, err := Inherited(func(name string) string { return env[name] })
	if err != nil || len(sockets) != 2 || sockets[0].Name != "http" || sockets[1].Name != "other" {
		t.Fatalf("%+v %v", sockets, err)
	}
	defer Close(sockets)
	l, err := sockets[0].Listener()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", sockets[0].Address())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := Greeted(c, 20*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nobody has accepted: %v", err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := in.(*net.TCPConn); !ok {
		t.Errorf("it is a %T", in)
	}
	if err := Greeted(c, time.Minute); err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = io.WriteString(in, "hello"); in.Close() }()
	if text, err := io.ReadAll(c); err != nil || string(text) != "hello" {
		t.Errorf("after the greeting came %q, %v", text, err)
	}
}

// Who greets otherwise, or hangs up, is not taken for a process of ours.
func TestOthersDoNotGreet(t *testing.T) {
	for _, says := range []string{"", "HTTP/1.1 200 OK\r\n"} {
		here, there := net.Pipe()
		go func() { _, _ = io.WriteString(there, says); there.Close() }()
		if err := Greeted(here, time.Minute); err == nil {
			t.Errorf("%q is taken for a greeting", says)
		}
		here.Close()
	}
}

// What is wrong with the sockets that were asked for is told.
func TestOwnSocketsMistakes(t *testing.T) {
	for _, text := range []string{"http", "http=8080", "http=127.0.0.1:0,", "http=192.0.2.1:1"} {
		sockets, err := Inherited(func(name string) string { return map[string]string{ListenVariable: text}[name] })
		if err == nil {
			Close(sockets)
			t.Errorf("%s is taken", text)
		}
	}
}
