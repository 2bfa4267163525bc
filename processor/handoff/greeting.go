package handoff

import (
	"fmt"
	"net"
	"os"
	"time"
)

// Greeting is the first byte of a connection that this process has accepted from a socket
// of its own ([ListenVariable]). Who is carried there from another machine cannot
// tell otherwise: that a connection was made says only that a proxy has it, or a queue that is thrown
// away with its process. What is sent after the greeting is answered, also by a process that drains.
const Greeting = 0x06

// greeter accepts and greets.
type greeter struct{ *net.TCPListener }

// Accept implements [net.Listener]. Connections that broke meanwhile are passed over.
func (g greeter) Accept() (net.Conn, error) {
	for {
		c, err := g.AcceptTCP()
		if err != nil {
			return nil, err
		}
		if _, err := c.Write([]byte{Greeting}); err == nil { // into a buffer that is empty
			return c, nil
		}
		_ = c.Close()
	}
}

// Greeted waits for the greeting on a connection that was just made.
func Greeted(c net.Conn, limit time.Duration) error {
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	var b [1]byte
	if _, err := c.Read(b[:]); err != nil {
		return err
	}
	if b[0] != Greeting {
		return fmt.Errorf("%w: it is greeted by %#x", os.ErrInvalid, b[0])
	}
	return c.SetReadDeadline(time.Time{})
}
