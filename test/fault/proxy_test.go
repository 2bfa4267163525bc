package fault

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a server that sends back what it gets, and its end.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				_, _ = io.Copy(conn, conn)
			})
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return l.Addr().String()
}

func proxy(t *testing.T, target string) *Proxy {
	t.Helper()
	p, err := Listen(target)
	check(t, err)
	t.Cleanup(func() { check(t, p.Close()) })
	return p
}

func dial(t *testing.T, p *Proxy) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	check(t, err)
	t.Cleanup(func() { conn.Close() })
	check(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	return conn.(*net.TCPConn)
}

// exchange says something and waits for it to come back.
func exchange(t *testing.T, conn net.Conn, s string) time.Duration {
	t.Helper()
	began := time.Now()
	_, err := io.WriteString(conn, s)
	check(t, err)
	got := make([]byte, len(s))
	_, err = io.ReadFull(conn, got)
	check(t, err)
	if string(got) != s {
		t.Fatalf("said %q, heard %q", s, got)
	}
	return time.Since(began)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// silent fails if the connection says anything soon.
func silent(t *testing.T, conn net.Conn) {
	t.Helper()
	check(t, conn.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
	n, err := conn.Read(make([]byte, 1))
	var late net.Error
	if n != 0 || !errors.As(err, &late) || !late.Timeout() {
		t.Fatalf("read %d, %v", n, err)
	}
	check(t, conn.SetReadDeadline(time.Now().Add(30*time.Second)))
}

func wantReset(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("read ends with %v", err)
	}
}

func TestPassesAll(t *testing.T) {
	p := proxy(t, echo(t))
	conn := dial(t, p)
	sent := make([]byte, 8<<20)
	for i := range sent {
		sent[i] = byte(rand.Uint32())
	}
	var writer sync.WaitGroup
	writer.Go(func() {
		if _, err := conn.Write(sent); err != nil {
			t.Error(err)
		}
		if err := conn.CloseWrite(); err != nil { // the answer still comes
			t.Error(err)
		}
	})
	got, err := io.ReadAll(conn)
	writer.Wait()
	check(t, err)
	if !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes of %d came back right", len(got), len(sent))
	}
}

func TestCut(t *testing.T) {
	p := proxy(t, echo(t))
	conn := dial(t, p)
	exchange(t, conn, "before")
	for range 3 { // and again: the address stays
		check(t, p.Cut())
		check(t, p.Cut())
		wantReset(t, conn)
		if _, err := net.Dial("tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("a cut proxy: %v", err)
		}
		check(t, p.Restore())
		check(t, p.Restore())
		conn = dial(t, p)
		exchange(t, conn, "after")
	}
	p.Reset()
	wantReset(t, conn)
	exchange(t, dial(t, p), "new")
}

func TestTargetGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	check(t, l.Close())
	conn, err := net.Dial("tcp", proxy(t, l.Addr().String()).Addr())
	if errors.Is(err, syscall.ECONNRESET) {
		return // so soon
	}
	check(t, err)
	defer conn.Close()
	wantReset(t, conn)
}

func TestDelay(t *testing.T) {
	p := proxy(t, echo(t))
	conn := dial(t, p)
	p.Delay(150*time.Millisecond, 20*time.Millisecond)
	if d := exchange(t, conn, "slow"); d < 260*time.Millisecond {
		t.Errorf("there and back in %s", d)
	}
	p.Delay(time.Hour, 0)
	_, err := conn.Write([]byte("later"))
	check(t, err)
	silent(t, conn)
	check(t, p.Restore()) // what was held back comes
	got := make([]byte, 5)
	_, err = io.ReadFull(conn, got)
	check(t, err)
	if string(got) != "later" {
		t.Errorf("heard %q", got)
	}
}

// A delay is not a limit: much is on its way at once.
func TestDelayKeepsFlow(t *testing.T) {
	p := proxy(t, echo(t))
	conn := dial(t, p)
	p.Delay(200*time.Millisecond, 0)
	began := time.Now()
	for range 40 {
		_, err := conn.Write([]byte("x"))
		check(t, err)
		time.Sleep(time.Millisecond) // parcels of their own
	}
	_, err := io.ReadFull(conn, make([]byte, 40))
	check(t, err)
	if d := time.Since(began); d > 6*time.Second { // one after the other would be 8 s
		t.Errorf("40 parcels took %s", d)
	}
}

func TestLimit(t *testing.T) {
	p := proxy(t, echo(t))
	conn := dial(t, p)
	p.Limit(100_000)
	began := time.Now()
	_, err := conn.Write(make([]byte, 50_000))
	check(t, err)
	_, err = io.ReadFull(conn, make([]byte, 50_000))
	check(t, err)
	if d := time.Since(began); d < 400*time.Millisecond {
		t.Errorf("50 kB at 100 kB/s took %s", d)
	}
}

func TestBlackhole(t *testing.T) {
	p := proxy(t, echo(t))
	old := dial(t, p)
	exchange(t, old, "before")
	p.Blackhole()
	fresh := dial(t, p)
	for _, conn := range []net.Conn{old, fresh} {
		_, err := conn.Write([]byte("anybody?"))
		check(t, err)
		silent(t, conn)
	}
	check(t, p.Restore())
	wantReset(t, old)
	wantReset(t, fresh)
	exchange(t, dial(t, p), "after")
}

func TestHalfClose(t *testing.T) {
	p := proxy(t, echo(t))
	conn := dial(t, p)
	exchange(t, conn, "before")
	check(t, p.HalfClose())
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err != io.EOF { //nolint:errorlint // Read's own
		t.Fatalf("an echo at its end says %d, %v", n, err)
	}
}

func TestClosed(t *testing.T) {
	p := proxy(t, echo(t))
	conn := dial(t, p)
	exchange(t, conn, "before")
	p.Blackhole()
	check(t, p.Close())
	wantReset(t, conn)
	if !errors.Is(p.Restore(), net.ErrClosed) {
		t.Error("a closed proxy came back")
	}
}

// Everything at once, from everywhere; what an exchange hears is right or its
// connection broke, and in the end all is well.
func TestStorm(t *testing.T) {
	p := proxy(t, echo(t))
	until := time.Now().Add(time.Second)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for time.Now().Before(until) {
				chat(t, p)
			}
		})
	}
	moves := []func(){func() { _ = p.Cut() }, func() { _ = p.Restore() }, p.Reset, p.Blackhole, func() { _ = p.HalfClose() },
		func() { p.Delay(time.Millisecond, time.Millisecond) }, func() { p.Limit(1 << 20) }, func() { p.Connections() }}
	for range 4 {
		all.Go(func() {
			for time.Now().Before(until) {
				moves[rand.IntN(len(moves))]()
				time.Sleep(time.Millisecond)
			}
		})
	}
	all.Wait()
	check(t, p.Restore())
	exchange(t, dial(t, p), "calm")
}

func chat(t *testing.T, p *Proxy) {
	conn, err := net.DialTimeout("tcp", p.Addr(), time.Second)
	if err != nil {
		time.Sleep(time.Millisecond)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(100 * time.Millisecond))
	said := make([]byte, 1+rand.IntN(50_000))
	for i := range said {
		said[i] = byte(i * 7)
	}
	if _, err := conn.Write(said); err != nil {
		return
	}
	heard := make([]byte, len(said))
	n, _ := io.ReadFull(conn, heard)
	if !bytes.Equal(heard[:n], said[:n]) {
		t.Error("heard what was not said")
	}
}

// A tap sees what goes each way, and the end.
func TestTap(t *testing.T) {
	p := proxy(t, echo(t))
	var mu sync.Mutex
	seen := map[bool]string{}
	ended := make(chan struct{})
	p.Tap(func(x Passed) {
		mu.Lock()
		defer mu.Unlock()
		if x.Data == nil {
			close(ended)
		}
		seen[x.ToServer] += string(x.Data)
	})
	conn := dial(t, p)
	_, err := conn.Write([]byte("hello"))
	check(t, err)
	check(t, conn.CloseWrite())
	_, err = io.ReadAll(conn)
	check(t, err)
	<-ended
	mu.Lock()
	defer mu.Unlock()
	if seen[true] != "hello" || seen[false] != "hello" {
		t.Errorf("seen %v", seen)
	}
}
