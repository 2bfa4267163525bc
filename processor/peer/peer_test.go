package peer

import (
	"net"
	"testing"
	"time"
)

func TestGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	there, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	here, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	if Gone(here) {
		t.Error("gone from the start")
	}
	if _, err := there.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	there.Close()
	var b [1]byte
	if Gone(here) {
		t.Error("gone with a byte unread")
	}
	if n, err := here.Read(b[:]); n != 1 || err != nil {
		t.Fatalf("the byte was taken: %d, %v", n, err)
	}
	for until := time.Now().Add(20 * time.Second); !Gone(here); <-time.After(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("not gone")
		}
	}
	if one, _ := net.Pipe(); Gone(one) {
		t.Error("a pipe is no socket")
	}
}
