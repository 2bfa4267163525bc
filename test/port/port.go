// Package port gives tests TCP ports of loopback that stay theirs, so that what
// listened there can be killed and come back. It knows nothing of what listens.
package port

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
)

// Ports below those that the kernel gives to outgoing connections: a server
// that is down finds its port free when it comes back, and a client that
// redials it cannot by chance connect to itself.
const (
	lowest  = 12000
	highest = 32000
)

// Port is a TCP port of loopback that no other user of this package takes
// until it is released, whether something listens or not.
type Port struct {
	N      int
	socket int // an abstract unix socket of the port's name is the reservation
}

// Take reserves a port on which nothing listens.
func Take() (*Port, error) {
	for range 1000 {
		n := lowest + rand.IntN(highest-lowest)
		socket, err := reserve(n)
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reserve port: %w", err)
		}
		p := &Port{n, socket}
		l, err := net.Listen("tcp", p.Addr())
		if err == nil {
			return p, l.Close()
		}
		_ = p.Release()
	}
	return nil, errors.New("find free port: none after 1000 tries")
}

func reserve(n int) (int, error) {
	socket, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := syscall.Bind(socket, &syscall.SockaddrUnix{Name: "@myelin-test-port-" + strconv.Itoa(n)}); err != nil {
		_ = syscall.Close(socket)
		return 0, err
	}
	return socket, nil
}

// Addr is 127.0.0.1 and the port.
func (p *Port) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(p.N)) }

// Release lets others have it. A process that ends releases its ports.
func (p *Port) Release() error { return syscall.Close(p.socket) }
