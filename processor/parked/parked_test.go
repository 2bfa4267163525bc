package parked

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pipe returns a gate and the descriptor to tell it by.
func pipe(t *testing.T) (*Gate, int) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	g, err := Open(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	return g, fds[1]
}

func TestTheWordArrives(t *testing.T) {
	g, to := pipe(t)
	defer g.Close()
	defer unix.Close(to)
	at := time.Unix(0, 1_700_000_000_000_000_001)
	sent := Times{at, at.Add(time.Millisecond), at.Add(3 * time.Millisecond)}
	if err := Tell(to, sent); err != nil {
		t.Fatal(err)
	}
	if got, err := g.Await(t.Context()); err != nil || got.String() != sent.String() {
		t.Errorf("got %v, %v, want %v", got, err, sent)
	}
}

func TestTheEndOfTheStarterEndsTheWait(t *testing.T) {
	g, to := pipe(t)
	defer g.Close()
	unix.Close(to)
	if _, err := g.Await(t.Context()); !errors.Is(err, ErrNotNeeded) {
		t.Errorf("got %v", err)
	}
}

func TestTheWaitCanBeCalledOff(t *testing.T) {
	g, to := pipe(t)
	defer g.Close()
	defer unix.Close(to)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Await(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestNobodyToTell(t *testing.T) {
	g, to := pipe(t)
	defer unix.Close(to)
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Tell(to, Times{}); err == nil {
		t.Error("told a processor that has gone")
	}
}

func TestForeignWordsAreErrors(t *testing.T) {
	for _, text := range []string{"", "\n", "1 2\n", "3 2 1\n", "-1 2 3\n", "a b c\n", string(make([]byte, 4096))} {
		g, to := pipe(t)
		if _, err := unix.Write(to, []byte(text)); err != nil {
			t.Fatal(err)
		}
		unix.Close(to)
		if got, err := g.Await(t.Context()); err == nil {
			t.Errorf("%.20q: got %v", text, got)
		}
		g.Close()
	}
}

func TestAGateIsAPipe(t *testing.T) {
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, fd := range []int{-1, 0, 1 << 20, int(f.Fd())} {
		if _, err := Open(fd); err == nil {
			t.Errorf("opened descriptor %d", fd)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("1 2 3")
	f.Add("")
	f.Add("9223372036854775807 9223372036854775807 9223372036854775807")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(got.String()); err != nil || again.String() != got.String() {
			t.Errorf("%q became %v, then %v, %v", text, got, again, err)
		}
	})
}
