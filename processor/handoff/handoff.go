// Package handoff passes listening sockets between processes over a unix
// socket, so that a restarted control plane gets back the sockets of what it
// finds running. It knows nothing of who serves on them.
//
// The protocol: the holder listens on a unix socket; whoever connects as the
// same user or as root gets one message, whose payload is the sockets' names,
// one a line, and whose control data are the descriptors in the same order
// (SCM_RIGHTS). Then the holder closes the connection.
package handoff

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// File is the name of the socket in the holder's scratch directory.
const File = "handoff.sock"

const (
	maxSockets = 64
	patience   = 2 * time.Second
)

// Socket is a listening socket and its name. It is a bare descriptor rather
// than a file: an [os.File] would watch it for events that are not for this
// process, and its Fd method would make the socket block for everybody who
// shares it.
type Socket struct {
	Name string
	FD   int
	// Greets has its connections begin with a [Greeting].
	Greets bool
}

// OfferAt makes the holder's socket at path. It removes what a former life left
// there. From then on a caller may connect; Serve answers.
func OfferAt(path string) (*net.UnixListener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove old handoff socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen for handoff: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect handoff socket: %w", err), l.Close())
	}
	return l, nil
}

// Serve answers on l, which it closes, until ctx is done. The sockets stay the
// caller's and must stay open.
func Serve(ctx context.Context, l *net.UnixListener, sockets []Socket) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	for {
		conn, err := l.AcceptUnix()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept handoff: %w", err)
		}
		_ = give(conn, sockets, 0) // a caller that went away is its own matter
		conn.Close()
	}
}

// give gives the sockets to a user, to root or to this process's user.
func give(conn *net.UnixConn, sockets []Socket, to uint32) error {
	uid, err := peer(conn)
	if err != nil {
		return err
	}
	if uid != 0 && uid != to && uid != uint32(os.Geteuid()) {
		return fmt.Errorf("user %d may not have the sockets", uid)
	}
	names, fds := make([]string, len(sockets)), make([]int, len(sockets))
	for i, s := range sockets {
		names[i], fds[i] = s.Name, s.FD
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	_, _, err = conn.WriteMsgUnix([]byte(strings.Join(names, "\n")), unix.UnixRights(fds...), nil)
	return err
}

func peer(conn *net.UnixConn) (uid uint32, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var inner error
	err = raw.Control(func(fd uintptr) {
		cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err = errors.Join(err, inner); err != nil {
		return 0, err
	}
	return cred.Uid, nil
}

// Receive asks the holder whose socket is path for its sockets. They are the
// caller's to close.
func Receive(ctx context.Context, path string) ([]Socket, error) {
	conn, err := dial(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("connect to handoff: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	payload, control := make([]byte, 64<<10), make([]byte, unix.CmsgSpace(4*maxSockets))
	n, cn, _, _, err := conn.ReadMsgUnix(payload, control)
	if err != nil {
		return nil, fmt.Errorf("read handoff: %w", err)
	}
	return match(strings.Split(string(payload[:n]), "\n"), control[:cn])
}

// dial goes by way of the directory's descriptor: a socket's path has room for
// 107 bytes, a directory's for more.
func dial(ctx context.Context, path string) (*net.UnixConn, error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	short := "/proc/self/fd/" + strconv.Itoa(int(dir.Fd())) + "/" + filepath.Base(path)
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "unix", short)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}

func match(names []string, control []byte) ([]Socket, error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, fmt.Errorf("parse handoff: %w", err)
	}
	var sockets []Socket
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.CloseOnExec(fd)
			name := ""
			if len(sockets) < len(names) {
				name = names[len(sockets)]
			}
			sockets = append(sockets, Socket{Name: name, FD: fd})
		}
	}
	if len(sockets) == 0 || len(sockets) != len(names) {
		Close(sockets)
		return nil, fmt.Errorf("parse handoff: %d names and %d sockets", len(names), len(sockets))
	}
	return sockets, nil
}

// Close closes all sockets.
func Close(sockets []Socket) {
	for _, s := range sockets {
		unix.Close(s.FD)
	}
}

// Give gives the sockets to the first who connects to l as the user uid, as root or
// as this process's user, and closes l. The sockets stay the caller's.
func Give(ctx context.Context, l *net.UnixListener, sockets []Socket, uid int) error {
	stop := context.AfterFunc(ctx, func() { l.Close() })
	defer stop()
	defer l.Close()
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return errors.Join(fmt.Errorf("accept handoff: %w", err), ctx.Err())
		}
		err = give(conn, sockets, uint32(uid))
		conn.Close()
		if err == nil {
			return nil
		}
	}
}
