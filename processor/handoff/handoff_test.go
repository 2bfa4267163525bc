package handoff

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func listener(t *testing.T, name string) Socket {
	t.Helper()
	s, err := Listen(name, "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close([]Socket{s}) })
	return s
}

// serve runs a holder and returns once it answers.
func serve(t *testing.T, path string, sockets []Socket) []Socket {
	t.Helper()
	l, err := OfferAt(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, l, sockets) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	got, err := Receive(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { Close(got) })
	return got
}

func TestSocketsArriveAndAccept(t *testing.T) {
	sent := []Socket{listener(t, "http"), listener(t, "other")}
	got := serve(t, filepath.Join(t.TempDir(), File), sent)
	if len(got) != 2 || got[0].Name != "http" || got[1].Name != "other" {
		t.Fatalf("got %+v", got)
	}
	for i, s := range sent {
		if at := got[i].Address(); at != s.Address() || at == "" {
			t.Errorf("socket %d is at %s, want %s", i, at, s.Address())
		}
	}
	l, err := got[0].Listener()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	out, err := net.Dial("tcp", sent[0].Address())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	in.Close()
}

func TestForeignBytesAreErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), File)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("http\nother"))
			c.Close()
		}
	}()
	if got, err := Receive(t.Context(), path); err == nil {
		t.Fatalf("got %+v from a holder that passed no socket", got)
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("a\nb", []byte{})
	f.Add("", unix.UnixRights())
	f.Add("a", []byte{16, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0})
	f.Fuzz(func(t *testing.T, names string, control []byte) {
		if ms, err := unix.ParseSocketControlMessage(control); err == nil {
			for _, m := range ms {
				if fds, err := unix.ParseUnixRights(&m); err == nil && len(fds) > 0 {
					t.Skip() // numbers that the kernel did not pass would name our own descriptors
				}
			}
		}
		if got, err := match([]string{names}, control); err == nil {
			t.Fatalf("got %+v from no descriptors", got)
		}
	})
}

func TestInheritedChecksWhatItIsTold(t *testing.T) {
	env := func(m map[string]string) func(string) string { return func(k string) string { return m[k] } }
	for _, m := range []map[string]string{
		{"LISTEN_FDS": "x"}, {"LISTEN_FDS": "-1"}, {"LISTEN_FDS": "100000"}, {"LISTEN_FDS": "2", "LISTEN_FDNAMES": "a"},
	} {
		if got, err := Inherited(env(m)); err == nil {
			t.Errorf("%v: got %v", m, got)
		}
	}
	for _, m := range []map[string]string{{}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}} {
		if got, err := Inherited(env(m)); err != nil || len(got) != 0 {
			t.Errorf("%v: got %v, %v", m, got, err)
		}
	}
}
