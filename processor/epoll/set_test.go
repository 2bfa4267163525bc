package epoll

import (
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

type peer struct {
	fd   int
	slot int32
	in   Inlet
}

// pair is a connection on both ends of which the test is.
func pair(t *testing.T) (there, here net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if there, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { there.Close() })
	if here, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { here.Close() })
	return there, here
}

func newSet(t *testing.T) *Set[peer] {
	t.Helper()
	s, err := New[peer]()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// What is said on a connection of the set is found, read once and answered, and a
// connection that is given back goes on.
func TestConnectionGoesInAndOut(t *testing.T) {
	s := newSet(t)
	there, here := pair(t)
	fd, ok := Take(here)
	if !ok {
		t.Fatal("not taken")
	}
	p := &peer{fd: fd}
	var err error
	if p.slot, err = s.Add(p, fd); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(there, "hello"); err != nil {
		t.Fatal(err)
	}
	bufs := Buffers{Size: 16}
	for string(p.in.Buf) != "hello" {
		for i := range s.Wait() {
			if c, hungUp := s.Ready(i); c != nil {
				c.in.Heard(hungUp)
			}
		}
		s.News()
		for p.in.Unread {
			if !p.in.Grow(&bufs, 0) {
				t.Fatal("no room")
			}
			if _, ended := p.in.Fill(fd); ended {
				t.Fatal("ended")
			}
		}
	}
	p.in.Use(3)
	if string(p.in.Buf) != "lo" || p.in.HungUp {
		t.Errorf("%q is left, hung up: %v", p.in.Buf, p.in.HungUp)
	}
	s.Remove(p.slot, fd)
	nc, err := Give(fd)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := io.WriteString(nc, "bye"); err != nil {
		t.Fatal(err)
	}
	var b [3]byte
	if _, err := io.ReadFull(there, b[:]); err != nil || string(b[:]) != "bye" {
		t.Errorf("%q %v", b, err)
	}
}

// An event of a connection that has left is nobody's, although another has its
// number by then.
func TestLateEvents(t *testing.T) {
	s := newSet(t)
	there, here := pair(t)
	fd, ok := Take(here)
	if !ok {
		t.Fatal("not taken")
	}
	old, next := &peer{}, &peer{}
	slot, err := s.Add(old, fd)
	if err != nil {
		t.Fatal(err)
	}
	there.Close()
	n := s.Wait()
	s.Remove(slot, fd)
	_ = unix.Close(fd)
	_, other := pair(t)
	ofd, ok := Take(other)
	if !ok {
		t.Fatal("not taken")
	}
	defer unix.Close(ofd)
	if again, err := s.Add(next, ofd); err != nil || again != slot {
		t.Fatalf("number %d after %d: %v", again, slot, err)
	}
	for i := range n {
		if c, _ := s.Ready(i); c != nil {
			t.Errorf("an event of %p, which has left, is %p's", old, c)
		}
	}
}

// No post and no wake is lost, whenever it comes.
func TestNothingPostedIsLost(t *testing.T) {
	const posts = 20_000
	s := newSet(t)
	var stop atomic.Bool
	got := 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			s.Wait()
			got += len(s.News())
		}
	}()
	p := &peer{}
	for range posts {
		s.Post(p)
	}
	stop.Store(true)
	s.Wake()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("a wake was lost")
	}
	if got += len(s.News()); got != posts {
		t.Errorf("%d of %d", got, posts)
	}
}
