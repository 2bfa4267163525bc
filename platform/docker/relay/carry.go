package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/processor/handoff"
)

const (
	dialTime  = 3 * time.Second       // for one attempt to reach the container's machine
	greetTime = 5 * time.Second       // for the processor to accept what has reached it
	dialAgain = 50 * time.Millisecond // after one that failed
	askTime   = 10 * time.Second      // for a question to the processor that takes it no time
	// acceptLast bounds how long it is looked for those who wait when no more are to come.
	acceptLast = time.Second
)

// accept takes connections until ctx is done and nobody waits any more, or the
// container has ended. The processor has greeted before a connection is
// accepted: so while it cannot be reached, because it has ended or the network is gone, those
// who come wait in the socket's queue, for it or for its successor; and none that was
// accepted is still on its way when the processor is told to drain.
func (r *relay) accept(ctx context.Context, s handoff.Socket) error {
	own, err := unix.FcntlInt(uintptr(s.FD), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("copy socket: %w", err)
	}
	f := os.NewFile(uintptr(own), s.Name)
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("watch socket: %w", err)
	}
	wake := func() { _ = f.SetReadDeadline(time.Unix(1, 0)) }
	defer context.AfterFunc(ctx, wake)()
	defer context.AfterFunc(r.over, wake)()
	var last time.Time
	for r.over.Err() == nil {
		if ctx.Err() != nil && last.IsZero() {
			last = time.Now().Add(acceptLast)
		}
		if !last.IsZero() && (time.Now().After(last) || !waits(own)) {
			return nil
		}
		if last.IsZero() && raw.Read(func(fd uintptr) bool { return waits(int(fd)) }) != nil {
			continue // it is to end
		}
		if err := r.next(own); err != nil {
			return err
		}
	}
	return nil
}

// waits says whether a connection waits to be accepted.
func waits(fd int) bool {
	polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(polled, 0)
	return err == nil && n > 0 && polled[0].Revents&unix.POLLIN != 0
}

// next reaches the processor, accepts the next connection and carries it there.
func (r *relay) next(fd int) error {
	out, err := r.reach()
	if err != nil {
		select {
		case <-r.over.Done():
		case <-time.After(dialAgain):
		}
		return nil //nolint:nilerr // who waits, waits on
	}
	in, err := acceptOne(fd)
	if in == nil { // it is another's, or has gone
		_ = out.Close()
		return err
	}
	r.note(true, in, out)
	r.conns.Go(func() {
		defer r.note(false, in, out)
		defer in.Close()
		defer out.Close()
		carry(in, out)
	})
	return nil
}

// reach connects to the processor, which has accepted the connection when it returns.
func (r *relay) reach() (*net.TCPConn, error) {
	d := net.Dialer{Timeout: dialTime}
	c, err := d.DialContext(r.over, "tcp", r.Target)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(r.over, func() { _ = c.Close() })
	err = handoff.Greeted(c, greetTime)
	if !stop() && err == nil {
		err = net.ErrClosed
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c.(*net.TCPConn), nil
}

// acceptOne accepts a connection if one waits.
func acceptOne(fd int) (*net.TCPConn, error) {
	c, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	switch {
	case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE), errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ENOMEM):
		<-time.After(dialAgain) // it passes
		return nil, nil
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED), errors.Is(err, unix.EPROTO):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("accept: %w", err)
	}
	f := os.NewFile(uintptr(c), "connection")
	defer f.Close()
	conn, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("accept: %w", err)
	}
	return conn.(*net.TCPConn), nil
}

// carry passes on what both ends say, until both have said all or either broke: then
// the other is to see that something is missing.
func carry(a, b *net.TCPConn) {
	back := make(chan struct{})
	pass := func(to, from *net.TCPConn) {
		if _, err := io.Copy(to, from); err != nil {
			abort(a)
			abort(b)
			return
		}
		_ = to.CloseWrite()
	}
	go func() {
		defer close(back)
		pass(a, b)
	}()
	pass(b, a)
	<-back
}

// abort ends a connection so that the other end cannot take it for finished.
func abort(c *net.TCPConn) {
	_ = c.SetLinger(0)
	_ = c.Close()
}

func (r *relay) note(open bool, conns ...net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		if open {
			r.open[c] = true
		} else {
			delete(r.open, c)
		}
	}
}

func (r *relay) closeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.open {
		_ = c.Close()
	}
}
