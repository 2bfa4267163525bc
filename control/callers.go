package control

import (
	"context"
	"net"
	"net/http"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/control/catalog"
)

// callers is a listener on a unix socket whose connections know which user of
// the machine has made them.
type callers struct{ net.Listener }

// called is a connection of a user.
type called struct {
	net.Conn
	user int
}

// Accept implements [net.Listener].
func (l callers) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if user, err := userOf(c); err == nil {
			return called{c, user}, nil
		}
		_ = c.Close() // it has gone
	}
}

// userOf asks the kernel who made a connection.
func userOf(c net.Conn) (user int, err error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0, net.ErrClosed
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	cerr := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if cerr != nil {
		return 0, cerr
	}
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}

type callerKey struct{}

// withCaller lets requests know the user who has made their connection, if that
// is known.
func withCaller(ctx context.Context, c net.Conn) context.Context {
	if k, ok := c.(called); ok {
		return context.WithValue(ctx, callerKey{}, k.user)
	}
	return ctx
}

func callerOf(r *http.Request) (user int, ok bool) {
	user, ok = r.Context().Value(callerKey{}).(int)
	return user, ok
}

// ours reports whether a user may do what this process may.
func ours(user int) bool { return user == 0 || user == os.Geteuid() }

// mayBeat lets processors take part in the tables of their function's triggers,
// and in no others.
func mayBeat(functionOf func(user int) (string, bool)) func(*http.Request, string) bool {
	return func(r *http.Request, table string) bool {
		user, ok := callerOf(r)
		if !ok || ours(user) {
			return ok
		}
		name, ok := functionOf(user)
		if !ok {
			return false
		}
		d, ok := catalog.ParseDeployment(name)
		return ok && strings.HasPrefix(table, api.TableOf(d.Name, ""))
	}
}
