package handoff

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// backlog is how many connections wait while nobody accepts; the kernel
// lowers it to its own limit.
const backlog = 4096

// Listen makes a listening TCP socket at address, which is an IP and a port; 0
// lets the kernel choose. Nobody accepts on it until it is passed to somebody.
func Listen(name, address string) (Socket, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return Socket{}, fmt.Errorf("listen on %q: want an IP address and a port", address)
	}
	family, sa := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(at.Port()), Addr: at.Addr().As16()})
	if at.Addr().Is4() {
		family, sa = unix.AF_INET, &unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return Socket{}, fmt.Errorf("make socket: %w", err)
	}
	if err := bind(fd, sa); err != nil {
		unix.Close(fd)
		return Socket{}, fmt.Errorf("listen on %s: %w", address, err)
	}
	return Socket{Name: name, FD: fd}, nil
}

func bind(fd int, sa unix.Sockaddr) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, sa); err != nil {
		return err
	}
	return unix.Listen(fd, backlog)
}

// Listener returns a listener that accepts from the socket. The socket stays
// open beside it, to be handed on.
func (s Socket) Listener() (net.Listener, error) {
	fd, err := unix.FcntlInt(uintptr(s.FD), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("copy socket %s: %w", s.Name, err)
	}
	f := os.NewFile(uintptr(fd), s.Name)
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("listen on socket %s: %w", s.Name, err)
	}
	if tcp, ok := l.(*net.TCPListener); ok && s.Greets {
		return greeter{tcp}, nil
	}
	return l, nil
}

// Address says where the socket listens, "" if it does not.
func (s Socket) Address() string {
	sa, err := unix.Getsockname(s.FD)
	if err != nil {
		return ""
	}
	switch a := sa.(type) {
	case *unix.SockaddrInet4:
		return net.JoinHostPort(net.IP(a.Addr[:]).String(), strconv.Itoa(a.Port))
	case *unix.SockaddrInet6:
		return net.JoinHostPort(net.IP(a.Addr[:]).String(), strconv.Itoa(a.Port))
	}
	return ""
}
