package http

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// What is written comes in order and whole, also what waits when it is closed.
func TestH2OutWritesAll(t *testing.T) {
	near, far := net.Pipe()
	o := newH2out(&conn{Conn: near, s: &server{}})
	got := make(chan []byte)
	go func() {
		b, _ := io.ReadAll(far)
		got <- b
	}()
	var want []byte
	for i := range 20_000 {
		piece := fmt.Appendf(nil, "%d;", i)
		want = append(want, piece...)
		if n, err := o.Write(piece); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
	}
	o.close()
	near.Close()
	if b := <-got; !bytes.Equal(b, want) {
		t.Errorf("%d bytes came of %d, or others", len(b), len(want))
	}
}

// What nobody reads is not kept without end, and who waits to write hears of the
// end of the connection.
func TestH2OutNobodyReads(t *testing.T) {
	near, far := net.Pipe()
	o := newH2out(&conn{Conn: near, s: &server{}})
	taken, failed := make(chan int, 1), make(chan error, 1)
	go func() {
		for n := 0; ; n++ {
			if n == 3*h2most/(1<<10) { // one buffer is being written, one waits
				taken <- n
			}
			if _, err := o.Write(make([]byte, 1<<10)); err != nil {
				failed <- err
				return
			}
		}
	}()
	select {
	case n := <-taken:
		t.Errorf("%d KiB were taken", n)
	case <-time.After(100 * time.Millisecond):
	}
	began := time.Now()
	o.close()
	if took := time.Since(began); took < h2flush/2 {
		t.Errorf("closed after %v: the rest had no time", took)
	}
	far.Close()
	select {
	case <-failed:
	case <-time.After(time.Minute):
		t.Error("a write waits for ever")
	}
	<-o.written
}
