// Package epoll lets one goroutine serve many connections: a set says which of
// them have something, and the goroutine parks as any other while none has. It
// knows numbers, descriptors and wake-ups, and nothing of what is read and
// written.
package epoll

import (
	"fmt"
	"iter"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// most is how many connections one look at the system may bring.
const most = 256

// Outside is the number of a connection that is in no set.
const Outside int32 = -1

// Set is connections of which T is what their owner knows of each. One goroutine
// uses it, but for Post and Wake, which may be called by anyone.
type Set[T any] struct {
	poll   *os.File // of the system's set
	raw    syscall.RawConn
	ep     int
	events [most]unix.EpollEvent
	got    int         // events of the last look
	look   func() bool // made once, as the next
	park   func(uintptr) bool

	slots []*T // by the number that the system knows them by
	free  []int32
	gens  []int32 // of each slot: events that came for who had it before are told by it

	mu     sync.Mutex
	news   []*T
	work   []*T        // the goroutine's own: news that it took
	due    atomic.Bool // Post or Wake was called since News was
	asleep atomic.Bool
}

// New returns an empty set. Close frees it.
func New[T any]() (*Set[T], error) {
	s := &Set[T]{}
	s.look, s.park = s.lookOnce, s.parkOnce
	var err error
	if s.ep, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err == nil {
		err = unix.SetNonblock(s.ep, true)
		s.poll = os.NewFile(uintptr(s.ep), "epoll")
	}
	if err == nil {
		s.raw, err = s.poll.SyscallConn()
	}
	if err == nil {
		err = s.poll.SetReadDeadline(time.Time{}) // it can be woken
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("make set of connections: %w", err)
	}
	return s, nil
}

// Close frees what the set has of the system. The connections are their owner's.
func (s *Set[T]) Close() {
	if s.poll != nil {
		_ = s.poll.Close()
	}
}

// Wait returns how many connections have something, once some do, something was
// posted or Wake was called. The goroutine is parked by Go's own poller
// meanwhile, which the system's set is in: no thread is held.
func (s *Set[T]) Wait() int {
	if s.look() {
		return s.got
	}
	runtime.Gosched() // who posts may be about to
	_ = s.poll.SetReadDeadline(time.Time{})
	_ = s.raw.Read(s.park) // an error says that it was woken
	s.asleep.Store(false)
	return s.got
}

func (s *Set[T]) lookOnce() bool {
	n, _ := unix.EpollWait(s.ep, s.events[:], 0) // interrupted: nothing, as yet
	s.got = max(n, 0)
	return s.got > 0 || s.due.Load()
}

// parkOnce says that the goroutine sleeps, and looks once more: what comes from
// then on wakes it. The deadline was taken away before, so that only who found it
// asleep has set one.
func (s *Set[T]) parkOnce(uintptr) bool {
	s.asleep.Store(true)
	if !s.look() {
		return false
	}
	s.asleep.Store(false)
	return true
}

// Ready returns the connection of the event i of the last Wait, and whether its
// other end will send no more; nil if it is not in the set any more.
func (s *Set[T]) Ready(i int) (c *T, hungUp bool) {
	e := &s.events[i]
	if s.gens[e.Fd] != e.Pad {
		return nil, false
	}
	return s.slots[e.Fd], e.Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
}

// News returns what was posted since it was called last, and is called after each
// Wait. It is good until the next call.
func (s *Set[T]) News() []*T {
	clear(s.work)
	s.due.Store(false) // before the look: what comes after it is due again
	s.mu.Lock()
	s.news, s.work = s.work[:0], s.news
	s.mu.Unlock()
	return s.work
}

// Post has Wait return, and c be among the news.
func (s *Set[T]) Post(c *T) {
	s.mu.Lock()
	s.news = append(s.news, c)
	s.mu.Unlock()
	s.Wake()
}

// Wake has Wait return, now or when it is called next. A goroutine that is parked is
// woken by a deadline that is over: that asks nothing of the system.
func (s *Set[T]) Wake() {
	s.due.Store(true)
	if s.asleep.CompareAndSwap(true, false) {
		_ = s.poll.SetReadDeadline(past) // fails only if the set is closed
	}
}

var past = time.Unix(1, 0)

// Add puts c, which has the descriptor fd, into the set, and returns its number
// there. What it has by now counts as something.
func (s *Set[T]) Add(c *T, fd int) (int32, error) {
	if len(s.free) == 0 {
		s.free = append(s.free, int32(len(s.slots)))
		s.slots, s.gens = append(s.slots, nil), append(s.gens, 0)
	}
	slot := s.free[len(s.free)-1]
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff, Fd: slot, Pad: s.gens[slot]}
	if err := unix.EpollCtl(s.ep, unix.EPOLL_CTL_ADD, fd, &e); err != nil {
		return Outside, fmt.Errorf("watch connection: %w", err) // out of memory
	}
	s.free = s.free[:len(s.free)-1]
	s.slots[slot] = c
	return slot, nil
}

// Remove takes the connection of that number out. Its descriptor is the
// caller's, and open still.
func (s *Set[T]) Remove(slot int32, fd int) {
	_ = unix.EpollCtl(s.ep, unix.EPOLL_CTL_DEL, fd, nil)
	s.slots[slot] = nil
	s.gens[slot]++
	s.free = append(s.free, slot)
}

// All are the connections in the set. They may be removed meanwhile.
func (s *Set[T]) All() iter.Seq[*T] {
	return func(yield func(*T) bool) {
		for _, c := range s.slots {
			if c != nil && !yield(c) {
				return
			}
		}
	}
}
