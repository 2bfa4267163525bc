package port

import (
	"net"
	"syscall"
	"testing"
)

// A port is its holder's alone, listening or not, until it is released.
func TestTake(t *testing.T) {
	p, err := Take()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reserve(p.N); err != syscall.EADDRINUSE { //nolint:errorlint // a system call's own
		t.Errorf("second reservation: %v", err)
	}
	l, err := net.Listen("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := p.Release(); err != nil {
		t.Fatal(err)
	}
	socket, err := reserve(p.N)
	if err != nil {
		t.Fatal(err)
	}
	_ = syscall.Close(socket)
}
