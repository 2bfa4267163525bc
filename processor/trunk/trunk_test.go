package trunk

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// pair is a trunk over a real socket, whose connections serve gets.
func pair(t *testing.T, serve func(*Conn)) (here, there *Trunk) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	here, there = New(a, nil), New(b, func(c *Conn) { wg.Go(func() { serve(c) }) })
	for _, end := range []*Trunk{here, there} {
		wg.Go(func() { _ = end.Run() })
	}
	t.Cleanup(func() {
		_ = here.Close()
		wg.Wait()
	})
	return here, there
}

func echo(c *Conn) {
	_, _ = io.Copy(c, c)
	_ = c.Close()
}

func open(t *testing.T, end *Trunk) *Conn {
	t.Helper()
	c, err := end.Open()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// await polls until ok.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(30 * time.Second); !ok(); <-time.After(time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal(what)
		}
	}
}

// Bytes come back on the connection they were sent on, in order, however large
// the pieces are.
func TestManyConnections(t *testing.T) {
	here, there := pair(t, echo)
	var wg sync.WaitGroup
	for seed := range uint64(32) {
		c := open(t, here)
		wg.Go(func() {
			defer c.Close()
			rnd := rand.New(rand.NewPCG(seed, 1))
			want := make([]byte, 600_000)
			for i := range want {
				want[i] = byte(rnd.Uint32())
			}
			sent := make(chan error, 1)
			go func() {
				for rest := want; len(rest) > 0; {
					n := min(len(rest), 1+rnd.IntN(100_000))
					if _, err := c.Write(rest[:n]); err != nil {
						sent <- err
						return
					}
					rest = rest[n:]
				}
				sent <- nil
			}()
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("connection %d: %v, the same: %v", seed, err, bytes.Equal(got, want))
			}
			if err := <-sent; err != nil {
				t.Errorf("connection %d: %v", seed, err)
			}
		})
	}
	wg.Wait()
	await(t, "connections are left", func() bool { return here.Len() == 0 && there.Len() == 0 })
}

// A connection whose reader does not read holds its own writer up, and nobody
// else.
func TestSlowReaderHoldsUpNobody(t *testing.T) {
	release := make(chan struct{})
	first := make(chan struct{}, 1)
	first <- struct{}{}
	here, _ := pair(t, func(c *Conn) {
		select {
		case <-first:
			<-release
		default:
		}
		echo(c)
	})
	slow := open(t, here)
	_ = slow.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	n, err := slow.Write(make([]byte, 4*window))
	if n != window || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("wrote %d to a reader that does not read: %v", n, err)
	}
	quick := open(t, here)
	if _, err := quick.Write([]byte("ping")); err != nil {
		t.Fatal(err)
	}
	var b [4]byte
	if _, err := io.ReadFull(quick, b[:]); err != nil || string(b[:]) != "ping" {
		t.Fatalf("%q, %v", b, err)
	}
	close(release)
	_ = slow.SetWriteDeadline(time.Time{})
	if _, err := io.CopyN(io.Discard, slow, window); err != nil {
		t.Error(err)
	}
}

func TestDeadlinesAndEnds(t *testing.T) {
	closed := make(chan *Conn, 1)
	here, there := pair(t, func(c *Conn) {
		_, _ = c.Write([]byte("bye"))
		_ = c.Close()
		closed <- c
	})
	c := open(t, here)
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %v", err)
	}
	_ = c.SetReadDeadline(time.Time{})
	if _, err := c.Write(nil); err != nil {
		t.Fatal(err)
	}
	there.Leave() // it flushes what was opened by no byte: nothing yet
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	<-closed
	if b, err := io.ReadAll(c); string(b) != "bye" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := c.Write([]byte("x")); err == nil {
		t.Error("wrote to a connection that has ended")
	}
	if !c.Gone() || c.Quiet() {
		t.Error("it has not gone")
	}
	await(t, "opens although the other side left", func() bool { _, err := here.Open(); return errors.Is(err, ErrLeft) })
	_ = c.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read of a closed one: %v", err)
	}
}

// What ends the trunk ends all that is on it, also who waits.
func TestEndOfTheTrunk(t *testing.T) {
	here, there := pair(t, echo)
	c := open(t, here)
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	var b [2]byte
	if _, err := io.ReadFull(c, b[:1]); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { _, err := c.Read(b[:]); done <- err }()
	_ = there.Close()
	if err := <-done; !errors.Is(err, io.EOF) {
		t.Errorf("read: %v", err)
	}
	if _, err := here.Open(); !errors.Is(err, ErrLeft) {
		t.Errorf("open: %v", err)
	}
}

// Retired, it ends with its last connection.
func TestRetire(t *testing.T) {
	here, there := pair(t, echo)
	c := open(t, here)
	here.Retire()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	if _, err := io.ReadFull(c, b[:]); err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	await(t, "the trunk has not ended", func() bool { return there.Unused() })
}

// What is no trunk's talk ends it, with nothing kept for it.
func TestGarbage(t *testing.T) {
	for _, say := range []string{
		"GET / HTTP/1.1\r\n\r\n",
		string(appendFrame(nil, 1, data, mostFrame+1)),
		string(appendFrame(appendFrame(nil, 2, opened, 0), 2, opened, 0)),
		string(appendFrame(appendFrame(nil, 1, opened, 0), 1, credit, 1)),
		string(appendFrame(nil, 1, 9, 0)),
		string(bytes.Repeat(append(appendFrame(appendFrame(nil, 1, opened, 0), 1, data, mostFrame), make([]byte, mostFrame)...), 1)) +
			string(bytes.Repeat(append(appendFrame(nil, 1, data, mostFrame), make([]byte, mostFrame)...), window/mostFrame)),
	} {
		a, b := net.Pipe()
		var got []*Conn
		end := New(b, func(c *Conn) { got = append(got, c) })
		done := make(chan error, 1)
		go func() { done <- end.Run() }()
		_, _ = io.WriteString(a, say) // it may be closed in the middle of it
		select {
		case err := <-done:
			if err == nil {
				t.Errorf("%.20q was understood", say)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("%.20q: the trunk goes on", say)
		}
		for _, c := range got {
			if _, err := c.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
				t.Errorf("%.20q: %v", say, err)
			}
		}
		_ = a.Close()
	}
}

// Both ways through a trunk nothing is allocated for what is sent.
func TestNothingIsAllocated(t *testing.T) {
	here, _ := pair(t, echo)
	c := open(t, here)
	p := make([]byte, 1000)
	if n := testing.AllocsPerRun(2000, func() {
		if _, err := c.Write(p); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, p); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations for each exchange", n)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(appendFrame(appendFrame(nil, 1, opened, 0), 1, ended, 0))
	f.Add(append(appendFrame(appendFrame(nil, 1, opened, 0), 1, data, 3), "abc"...))
	f.Add(appendFrame(nil, 0, leave, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		here, there := net.Pipe()
		end := New(there, func(*Conn) {})
		done := make(chan struct{})
		go func() { _ = end.Run(); close(done) }()
		_, _ = here.Write(b)
		_ = here.Close()
		<-done
	})
}
