// Package parked is what a processor and its starter tell each other about a
// start: when what the start is for was seen, and, if the processor is kept in
// readiness, that it is to serve now. It knows neither platforms nor functions.
//
// A parked processor has read its configuration and waits before it opens
// anything or loads the function. It waits at the reading end of a pipe, whose
// descriptor the flag -parked names. A line of [Times] has it serve, the end of
// the pipe has it end: so it never outlives a starter that was killed.
package parked

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Flag is the name of the flag that takes the descriptor. A program that knows
// nothing of parking ends when it is given it, and is not taken for a parked one.
const Flag = "parked"

// Variable holds the Times of a start for a processor that is not parked.
const Variable = "MYELIN_START"

// ErrNotNeeded says that the starter has gone, or needs no parked processor any
// more.
var ErrNotNeeded = errors.New("the parked processor is not needed any more")

// Times are those of a start as its starter knows them.
type Times struct {
	Seen    time.Time // what it is for
	Decided time.Time // that a processor is to serve
	Told    time.Time // when the process was about to be started, or was told to serve
}

// String is the form that Parse reads.
func (t Times) String() string {
	return fmt.Sprintf("%d %d %d", t.Seen.UnixNano(), t.Decided.UnixNano(), t.Told.UnixNano())
}

// Parse reads what String wrote.
func Parse(text string) (Times, error) {
	var seen, decided, told int64
	if n, err := fmt.Sscanf(text, "%d %d %d", &seen, &decided, &told); n != 3 || err != nil {
		return Times{}, fmt.Errorf("times of the start: %.60q are not three numbers", text)
	}
	if seen < 0 || decided < seen || told < decided {
		return Times{}, fmt.Errorf("times of the start: %.60q are not in order", text)
	}
	return Times{time.Unix(0, seen), time.Unix(0, decided), time.Unix(0, told)}, nil
}

// Tell has the processor at the other end of the pipe fd serve. An error says
// that nobody is there.
func Tell(fd int, t Times) error {
	line := []byte(t.String() + "\n")
	n, err := unix.Write(fd, line)
	if err == nil && n < len(line) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("tell parked processor: %w", err)
	}
	return nil
}

// Gate is where a parked processor waits.
type Gate struct{ f *os.File }

// Open opens the gate at a descriptor that the starter passed.
func Open(fd int) (*Gate, error) {
	var st unix.Stat_t
	if fd < 3 || fd > math.MaxInt16 || unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFIFO {
		return nil, fmt.Errorf("-%s: descriptor %d is no pipe", Flag, fd)
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("-%s: %w", Flag, err)
	}
	return &Gate{os.NewFile(uintptr(fd), "gate")}, nil
}

// Await returns the times when the processor is to serve, ErrNotNeeded when it
// is to end, or the error of ctx. It is called once.
func (g *Gate) Await(ctx context.Context) (Times, error) {
	defer context.AfterFunc(ctx, func() { _ = g.f.SetReadDeadline(time.Unix(1, 0)) })()
	var line []byte
	b := make([]byte, 128)
	for len(line) < len(b) {
		n, err := g.f.Read(b)
		line = append(line, b[:n]...)
		switch {
		case n > 0 && line[len(line)-1] == '\n':
			return Parse(string(line[:len(line)-1]))
		case ctx.Err() != nil:
			return Times{}, ctx.Err()
		case errors.Is(err, io.EOF):
			return Times{}, ErrNotNeeded
		case err != nil:
			return Times{}, fmt.Errorf("wait to be told to serve: %w", err)
		}
	}
	return Times{}, errors.New("wait to be told to serve: what came is no line")
}

// Close lets go of the pipe.
func (g *Gate) Close() error { return g.f.Close() }
