package docker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/processor/handoff"
)

// socketsFile is where a container gets its listening socket, in its scratch
// directory.
const socketsFile = "sockets.sock"

// offer waits for a container to fetch its listening socket, once.
type offer struct {
	end   context.CancelFunc
	done  chan struct{}
	taken atomic.Bool
}

// offer offers a copy of the socket fd at path, to the deployment's user only.
func (l launcher) offer(path, name string, fd int) (*offer, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("copy socket: %w", err)
	}
	sockets := []handoff.Socket{{Name: name, FD: own}}
	at, err := handoff.OfferAt(path)
	if err != nil {
		handoff.Close(sockets)
		return nil, err
	}
	if err := os.Lchown(path, l.home.UID, l.home.GID); err != nil {
		handoff.Close(sockets)
		return nil, errors.Join(fmt.Errorf("offer socket: %w", err), at.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	o := &offer{end: cancel, done: make(chan struct{})}
	go func() {
		defer close(o.done)
		defer handoff.Close(sockets)
		o.taken.Store(handoff.Give(ctx, at, sockets, l.home.UID) == nil) // if not, the container does not get ready
	}()
	return o, nil
}

// stop ends the offer and returns when the copy of the socket is closed.
func (o *offer) stop() {
	if o != nil {
		o.end()
		<-o.done
	}
}
