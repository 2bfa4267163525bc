package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/myelin-run/myelin/processor/handoff"
)

// patience bounds what is waited for; it is long because machines that test are busy.
const patience = time.Minute

// here is a relay of a container that is a listener of this machine.
type here struct {
	*relay
	socket handoff.Socket
	stop   context.CancelFunc
	done   chan error
}

// begin begins to carry what comes in to target.
func begin(t *testing.T, socket handoff.Socket, target string) *here {
	t.Helper()
	r := &relay{Settings: Settings{Target: target}, open: map[net.Conn]bool{}}
	r.over, r.end = context.WithCancel(context.Background())
	ctx, cancel := context.WithCancel(t.Context())
	h := &here{r, socket, cancel, make(chan error, 1)}
	go func() { h.done <- r.accept(ctx, socket) }()
	t.Cleanup(func() {
		r.end()
		cancel()
		r.closeAll()
		r.conns.Wait()
	})
	return h
}

// drained waits until nothing is accepted any more.
func (h *here) drained(t *testing.T) {
	t.Helper()
	h.stop()
	select {
	case err := <-h.done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("it accepts on")
	}
}

func listen(t *testing.T, greets bool) (handoff.Socket, net.Listener) {
	t.Helper()
	s, err := handoff.Listen("http", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.Greets = greets
	l, err := s.Listener()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); handoff.Close([]handoff.Socket{s}) })
	return s, l
}

func dial(t *testing.T, s handoff.Socket) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", s.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// echoes answers each connection by what it says, when it has said all.
func echoes(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			text, _ := io.ReadAll(c)
			_, _ = c.Write(text)
		}()
	}
}

func answered(t *testing.T, c *net.TCPConn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != text {
		t.Errorf("%d bytes came back of %d: %v", len(got), len(text), err)
	}
}

// Both directions are carried, each to its end.
func TestCarries(t *testing.T) {
	front, _ := listen(t, false)
	back, l := listen(t, true)
	go echoes(l)
	begin(t, front, back.Address())
	answered(t, dial(t, front), strings.Repeat("to and fro ", 1<<17))
	answered(t, dial(t, front), "")
}

// A container that ends while connections wait in its queue loses none: nothing
// was accepted for it that it had not accepted, and its successor has them.
func TestAQueueThatGoesWithItsContainer(t *testing.T) {
	front, _ := listen(t, false)
	back, l := listen(t, true) // nobody accepts there
	first := begin(t, front, back.Address())
	waiting := dial(t, front)
	if _, err := io.WriteString(waiting, "a question"); err != nil {
		t.Fatal(err)
	}
	came := make(chan struct{})
	raw, err := l.(interface {
		SyscallConn() (syscall.RawConn, error)
	}).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	go func() { defer close(came); _ = raw.Read(func(fd uintptr) bool { return waits(int(fd)) }) }()
	select {
	case <-came:
	case <-time.After(patience):
		t.Fatal("the container was not reached")
	}
	l.Close()
	handoff.Close([]handoff.Socket{back}) // the queue is thrown away
	first.end()
	first.drained(t)
	next, m := listen(t, true)
	go echoes(m)
	begin(t, front, next.Address())
	if err := waiting.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(waiting); err != nil || string(got) != "a question" {
		t.Errorf("answered %q, %v", got, err)
	}
}

// When it is told to end, whoever waits is still carried, here or by its successor, and all
// that are under way have been accepted by the processor.
func TestLastCall(t *testing.T) {
	front, _ := listen(t, false)
	back, l := listen(t, true)
	h := begin(t, front, back.Address())
	clients := []*net.TCPConn{dial(t, front), dial(t, front), dial(t, front)}
	go func() { // a processor that is slow to accept
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); _, _ = io.Copy(c, c) }()
			<-time.After(30 * time.Millisecond)
		}
	}()
	h.drained(t)
	l.Close() // as one does that was told to drain
	next, m := listen(t, true)
	go echoes(m)
	begin(t, front, next.Address())
	for _, c := range clients {
		answered(t, c, "last")
	}
}

// Where nobody greets, nobody is let in, and the client waits.
func TestNobodyGreets(t *testing.T) {
	front, _ := listen(t, false)
	proxy, l := listen(t, false) // accepts whatever is behind it, and hangs up
	begun := make(chan struct{}, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
			select {
			case begun <- struct{}{}:
			default:
			}
		}
	}()
	h := begin(t, front, proxy.Address())
	if err := h.answers(); err == nil {
		t.Error("it is said to answer")
	}
	c := dial(t, front)
	for range 3 {
		select {
		case <-begun:
		case <-time.After(patience):
			t.Fatal("it is not tried again")
		}
	}
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client does not wait: %v", err)
	}
}

// A container that breaks off breaks off: what came cannot be taken for all.
func TestBrokenIsNotFinished(t *testing.T) {
	front, _ := listen(t, false)
	back, l := listen(t, true)
	begin(t, front, back.Address())
	c := dial(t, front)
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, "half of"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
	abort(in.(*net.TCPConn))
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it ended with %v", err)
	}
}
