// Package peer says of the other end of a connection whether it is still there,
// without reading. It knows sockets, and nothing of what is said over them.
package peer

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Gone reports whether the other end has closed its side, with nothing sent that
// was not read. It never waits, and may be called while others read and write.
// A connection that is no socket of the system's own may say so by a method of
// the same name; of others (of TLS: ask what it lies on) it says false.
func Gone(nc net.Conn) (gone bool) {
	if own, ok := nc.(interface{ Gone() bool }); ok {
		return own.Gone()
	}
	sys, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		gone = err == nil && n == 0 || errors.Is(err, unix.ECONNRESET)
	})
	return err == nil && gone
}
