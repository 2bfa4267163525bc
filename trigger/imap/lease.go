package imap

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
)

// lease is the word of who assigns the mailbox: the processor that has it reads. It
// is the Hands of an Assigner, and outlives sessions.
type lease struct {
	as   *stream.Assignment
	stop context.CancelFunc
	done chan struct{} // closed when the Assigner has returned; nil: it was not asked

	mu      sync.Mutex
	now     *tenure
	changed chan struct{} // closed and made anew when now or err changes
	err     error         // why nobody will assign any more
	over    bool
}

// tenure is the time for which the mailbox is this processor's.
type tenure struct {
	epoch  uint32
	free   func(seen uint32)
	used   bool          // by a session; the lease's lock is held for it
	give   chan struct{} // closed when it is asked back
	atOnce chan struct{} // closed when it may be another's already
}

var _ trigger.Hands = (*lease)(nil)

func newLease(as *stream.Assignment) *lease { return &lease{as: as, changed: make(chan struct{})} }

// begin asks for the mailbox, once.
func (l *lease) begin() {
	if l.done != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.stop, l.done = cancel, make(chan struct{})
	go func() {
		defer close(l.done)
		err := errors.New("this processor knows no dealer; assignment all is for one that is alone")
		if l.as.By != nil {
			err = l.as.By.Assign(ctx, l.as.Table, l.as.Part, l.as.All, l)
		}
		if err == nil {
			err = errors.New("it ended by itself")
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.err = event.Permanent(fmt.Errorf("assign the mailbox: %w", err))
		l.wake()
	}()
}

// end frees the mailbox. No session is open.
func (l *lease) end() {
	if l.done == nil {
		return
	}
	l.stop()
	l.mu.Lock()
	l.over = true
	t := l.now
	l.now = nil
	l.mu.Unlock()
	if t != nil {
		t.free(0)
	}
	<-l.done
}

// wake is called with mu held.
func (l *lease) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

// Take implements [trigger.Hands].
func (l *lease) Take(_ trigger.Shard, epoch uint32, free func(seen uint32)) {
	l.mu.Lock()
	over := l.over
	if !over {
		l.now = &tenure{epoch: epoch, free: free, give: make(chan struct{}), atOnce: make(chan struct{})}
		l.wake()
	}
	l.mu.Unlock()
	if over {
		free(0)
	}
}

// Give implements [trigger.Hands].
func (l *lease) Give(_ trigger.Shard, epoch uint32, atOnce bool) {
	l.mu.Lock()
	t := l.now
	if t == nil || t.epoch != epoch {
		l.mu.Unlock()
		return
	}
	shut(t.give)
	if atOnce {
		shut(t.atOnce)
	}
	if t.used {
		t = nil // the session leaves it
	} else {
		l.now = nil
	}
	l.mu.Unlock()
	if t != nil {
		t.free(0)
	}
}

// shut closes what may be closed already. The lease's lock is held.
func shut(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}

// enter waits until the mailbox is this processor's; nil if closing comes first.
func (l *lease) enter(ctx context.Context, closing <-chan struct{}) (*tenure, error) {
	for {
		l.mu.Lock()
		t, changed, err := l.now, l.changed, l.err
		if t != nil {
			t.used = true
		}
		l.mu.Unlock()
		if t != nil || err != nil {
			return t, err
		}
		select {
		case <-changed:
		case <-closing:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// leave says that no session works under a tenure any more. One that was not asked
// back stays for the next session.
func (l *lease) leave(t *tenure) {
	l.mu.Lock()
	t.used = false
	asked := false
	select {
	case <-t.give:
		asked = true
		if l.now == t {
			l.now = nil
		}
	default:
	}
	l.mu.Unlock()
	if asked {
		t.free(0)
	}
}
