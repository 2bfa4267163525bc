package supervise

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/processor/handoff"
)

// A group of no replicas keeps its socket and dozes: the first connection that
// comes into the socket's queue has a replica started, which finds it there.
// Nothing else has to know in time.

// doze begins to wait for a connection. The caller holds turn.
func (g *Group) doze(v Version, socket *handoff.Socket) {
	g.mu.Lock()
	g.slept = true
	g.mu.Unlock()
	g.changed()
	if socket == nil || g.o.Wake == nil {
		return
	}
	own, err := copied(*socket)
	if err != nil {
		return // the owner's next look finds what waits
	}
	ctx, cancel := context.WithCancel(g.life)
	g.rouse = cancel
	g.tasks.Go(func() {
		defer own.Close()
		if knocked(ctx, own) == nil {
			g.wake(ctx, v, socket, time.Now())
		}
	})
}

// endDoze ends the wait for a connection. The caller holds turn.
func (g *Group) endDoze() {
	if g.rouse != nil {
		g.rouse()
		g.rouse = nil
	}
}

// awake notes that somebody has decided on replicas. The caller holds turn.
func (g *Group) awake() {
	g.mu.Lock()
	g.slept = false
	g.mu.Unlock()
}

// wake starts one replica, unless somebody has decided otherwise meanwhile. What
// the owner applies when it hears of that has to wait. If the replica does not get
// ready, the owner sees that there is none, and applies what it wants.
func (g *Group) wake(ctx context.Context, v Version, socket *handoff.Socket, seen time.Time) {
	g.turn.Lock()
	defer g.turn.Unlock()
	if ctx.Err() != nil {
		return
	}
	g.o.Wake()
	v.Replicas = 1
	if _, err := g.add(v, socket, seen); err != nil {
		g.mu.Lock()
		g.message = err.Error()
		g.mu.Unlock()
		g.changed()
	}
}

// asleep says whether there is nobody to answer yet, after a doze. The caller
// holds mu.
func (g *Group) asleep() bool {
	if !g.slept {
		return false
	}
	for _, r := range g.replicas {
		if r.served && !r.stopping {
			return false
		}
	}
	return true
}

// copied is a descriptor of its own for a socket, whose mode is left as it is.
func copied(s handoff.Socket) (*os.File, error) {
	fd, err := unix.FcntlInt(uintptr(s.FD), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("copy socket: %w", err)
	}
	return os.NewFile(uintptr(fd), s.Name), nil
}

// knocked returns nil when a connection waits to be accepted.
func knocked(ctx context.Context, f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("watch socket: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })()
	err = raw.Read(func(fd uintptr) bool { return waits(int(fd)) })
	return errors.Join(err, ctx.Err())
}

func waits(fd int) bool {
	polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(polled, 0)
	return err == nil && n > 0 && polled[0].Revents&unix.POLLIN != 0
}

// TurnAway ends the connections that wait for somebody to wake, if nobody can.
func (g *Group) TurnAway() {
	g.turn.Lock()
	defer g.turn.Unlock()
	g.endDoze()
	g.awake()
	if g.socket != nil && !g.serves() {
		turnAway(*g.socket)
	}
	g.changed()
}

// turnAway ends the connections that wait where nobody will accept them.
func turnAway(s handoff.Socket) {
	for {
		fd, _, err := unix.Accept4(s.FD, unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		// The client is to see at once that it was not heard.
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
		_ = unix.Close(fd)
	}
}
