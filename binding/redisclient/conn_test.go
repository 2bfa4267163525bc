package redisclient

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// pair is a connection as the client has it, and its other end.
func pair(t *testing.T) (*conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close() })
	c, ok := frugal(nc).(*conn)
	if !ok {
		t.Fatal("a connection of the system is left as it is")
	}
	return c, peer
}

// TestDeadlines: whatever deadlines were set before, the last one counts, and no
// other.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	const soon, later = 30 * time.Millisecond, 300 * time.Millisecond
	for name, set := range map[string][]time.Duration{"later": {soon, later}, "sooner": {time.Hour, later}, "none before": {later}, "none between": {soon, 0, later}, "over": {-1, later}, "twice": {soon, soon, later}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := pair(t)
			var last time.Time
			for _, d := range set {
				if last = time.Now().Add(d); d == 0 {
					last = time.Time{}
				}
				if err := c.SetDeadline(last); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().Before(last) {
				t.Errorf("read: %v, %v too soon", err, time.Until(last))
			}
			full := make([]byte, 1<<20)
			for err := error(nil); !errors.Is(err, os.ErrDeadlineExceeded); {
				if _, err = c.Write(full); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatal(err)
				}
			}
			if time.Now().Before(last) {
				t.Errorf("a write ended %v too soon", time.Until(last))
			}
		})
	}
}

// TestWriteGoesOn: a write that a deadline of before interrupts loses nothing and
// sends nothing twice.
func TestWriteGoesOn(t *testing.T) {
	t.Parallel()
	c, peer := pair(t)
	sent := make([]byte, 32<<20)
	for i := range sent {
		sent[i] = byte(i >> 8)
	}
	for _, d := range []time.Duration{20 * time.Millisecond, time.Hour} {
		if err := c.SetWriteDeadline(time.Now().Add(d)); err != nil {
			t.Fatal(err)
		}
	}
	got := make(chan []byte, 1)
	go func() {
		for c.write.first() { // until it was interrupted
			time.Sleep(time.Millisecond)
		}
		b, _ := io.ReadAll(peer)
		got <- b
	}()
	if n, err := c.Write(sent); n != len(sent) || err != nil {
		t.Fatalf("wrote %d: %v", n, err)
	}
	_ = c.Close()
	if b := <-got; string(b) != string(sent) {
		t.Errorf("%d bytes came of %d, or others", len(b), len(sent))
	}
}

// first reports whether the system still has another deadline than is kept.
func (d *deadline) first() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.has.Equal(d.kept)
}

// TestThere: a connection that was not heard of for a while is asked whether it is
// there, also if a deadline was over meanwhile.
func TestThere(t *testing.T) {
	t.Parallel()
	c, peer := pair(t)
	if err := c.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Time{}); err != nil { // as the client does
		t.Fatal(err)
	}
	looked := func() (looked bool) {
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if err := raw.Read(func(fd uintptr) bool {
			var b [1]byte
			_, _, _ = syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
			looked = true
			return true
		}); err != nil {
			t.Errorf("the connection is there, and: %v", err)
		}
		return looked
	}
	for end := time.Now().Add(20 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) { // the deadline passes
		if !looked() {
			t.Fatal("a connection that was never heard of is not asked")
		}
	}
	if _, err := peer.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); !looked(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a connection that was not heard of for long is not asked")
		}
	}
}
