package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/myelin-run/myelin/processor/handoff"
)

// door leads who cannot reach the gateway's address, such as containers, whose
// loopback is their own, to it by a unix socket that they see.
type door struct {
	path    string // of the socket
	gateway string // host:port
	l       *net.UnixListener
}

// openDoor makes the socket in the place of a former gateway's, in one step. nil
// if the settings ask for none.
func openDoor(o Options) (*door, error) {
	if o.Door == "" || len(o.Sockets) == 0 {
		return nil, nil
	}
	d := &door{path: o.Door, gateway: fromHere(o.Sockets[0])}
	fresh := o.Door + "." + strconv.Itoa(os.Getpid())
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: fresh, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen for containers: %w", err)
	}
	l.SetUnlinkOnClose(false) // it may be a successor's by then
	if err := errors.Join(os.Chmod(fresh, 0o666), os.Rename(fresh, o.Door)); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for containers: %w", err), l.Close())
	}
	d.l = l
	return d, nil
}

// fromHere is where a socket is reached from this machine.
func fromHere(s handoff.Socket) string {
	host, port, err := net.SplitHostPort(s.Address())
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.To4() == nil {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port)
}

// serve passes connections on until ctx is done; those under way go on.
func (d *door) serve(ctx context.Context) error {
	var closed atomic.Bool
	defer context.AfterFunc(ctx, func() {
		closed.Store(true)
		_ = d.l.Close()
	})()
	for {
		conn, err := d.l.AcceptUnix()
		if closed.Load() {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept from containers: %w", err)
		}
		go d.pass(conn)
	}
}

// pass carries one connection until both ends have said all.
func (d *door) pass(in *net.UnixConn) {
	defer in.Close()
	out, err := net.Dial("tcp", d.gateway)
	if err != nil {
		return
	}
	defer out.Close()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(in, out)
		_ = in.CloseWrite()
	})
	_, _ = io.Copy(out, in)
	_ = out.(*net.TCPConn).CloseWrite()
	back.Wait()
}
