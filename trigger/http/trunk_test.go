package http

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"

	"github.com/myelin-run/myelin/processor/trunk"
)

// lay begins a trunk to addr.
func lay(t testing.TB, addr string) (tr *trunk.Trunk, ended chan error) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := trunk.Greet(nc, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	tr, ended = trunk.New(nc, nil), make(chan error, 1)
	go func() { ended <- tr.Run(); close(ended) }()
	t.Cleanup(func() {
		_ = tr.Close()
		<-ended
	})
	return tr, ended
}

func onTrunk(t testing.TB, tr *trunk.Trunk) *rawClient {
	t.Helper()
	c, err := tr.Open()
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	return &rawClient{Conn: c, t: t, r: bufio.NewReader(c)}
}

func TestConnectionsOnATrunk(t *testing.T) {
	s := serve(t, quick, echo)
	tr, _ := lay(t, s.addr)
	lanes := []*rawClient{onTrunk(t, tr), onTrunk(t, tr), onTrunk(t, tr)}
	for range 3 {
		for _, w := range lanes {
			w.send(post)
		}
		for i, w := range lanes {
			if resp, body := w.recv("POST"); resp.StatusCode != 200 || body != "hello" || resp.Close {
				t.Fatalf("connection %d: %d %q", i, resp.StatusCode, body)
			}
		}
	}
	broken := onTrunk(t, tr)
	broken.send("no request\r\n\r\n")
	if resp, _ := broken.recv("GET"); resp.StatusCode != 400 {
		t.Errorf("what is no request: %d", resp.StatusCode)
	}
	broken.closed()
	nested := onTrunk(t, tr)
	nested.send(trunk.Preface)
	if b, _ := io.ReadAll(nested.r); len(b) == 0 || b[0] == trunk.Preface[0] {
		t.Errorf("a trunk on a trunk: %q", b)
	}
}

// One that begins like a trunk and is none is closed, without an answer that
// somebody else could take for theirs.
func TestNoTrunk(t *testing.T) {
	s := serve(t, `{"drainLinger":"10ms","readTimeout":"200ms"}`, echo)
	for _, say := range []string{"\x00GET / HTTP/1.1\r\nHost: h\r\n\r\n", "\x00", trunk.Preface[:7]} {
		w := dial(t, s.addr)
		w.send(say)
		if b, _ := io.ReadAll(w.r); len(b) > 0 {
			t.Errorf("%q: got %q", say, b)
		}
	}
}

// A trigger that drains answers what is on its trunks, has no more connections
// opened, and ends.
func TestDrainOfATrunk(t *testing.T) {
	s := serve(t, `{"drainLinger":"300ms"}`, echo)
	tr, ended := lay(t, s.addr)
	idle, half := onTrunk(t, tr), onTrunk(t, tr)
	idle.send(post)
	idle.recv("POST")
	half.send(post[:len(post)-2])
	s.stop()
	for until := time.Now().Add(20 * time.Second); ; <-time.After(time.Millisecond) {
		w, err := tr.Open()
		if err != nil {
			break
		}
		_ = w.Close()
		if time.Now().After(until) {
			t.Fatal("connections can be opened")
		}
	}
	idle.closed()
	half.send(post[len(post)-2:])
	if resp, body := half.recv("POST"); resp.StatusCode != 200 || body != "hello" || !resp.Close {
		t.Errorf("half sent: %d %q, close %v", resp.StatusCode, body, resp.Close)
	}
	half.closed()
	idle.Close()
	half.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Connections that nobody uses end, and the trunk with them.
func TestTrunkWithoutUse(t *testing.T) {
	s := serve(t, `{"drainLinger":"10ms","idleTimeout":"100ms"}`, echo)
	tr, ended := lay(t, s.addr)
	w := onTrunk(t, tr)
	w.send(post)
	w.recv("POST")
	w.closed()
	w.Close()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the trunk is there still")
	}
}
