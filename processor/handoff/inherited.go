package handoff

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// first is the first descriptor that is passed, after the three standard ones.
const first = 3

// Variable names a unix socket at which this process gets its listening sockets,
// where they cannot be inherited.
const Variable = "MYELIN_SOCKETS"

// ListenVariable names the sockets that this process opens by itself, where nobody can
// pass them: NAME=IP:PORT, several with a comma in between. They greet.
const ListenVariable = "MYELIN_LISTEN"

// Inherited returns the sockets that the starter of this process passed, as
// told by LISTEN_FDS and LISTEN_FDNAMES, or offers at [Variable], or opens those of
// [ListenVariable]. LISTEN_PID is checked if it is set.
func Inherited(getenv func(string) string) ([]Socket, error) {
	if path := getenv(Variable); path != "" {
		return Receive(context.Background(), path)
	}
	if text := getenv(ListenVariable); text != "" {
		return listenAll(text)
	}
	if pid := getenv("LISTEN_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	text := getenv("LISTEN_FDS")
	if text == "" {
		return nil, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > maxSockets {
		return nil, fmt.Errorf("LISTEN_FDS is %q, want a number up to %d", text, maxSockets)
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	if n > 0 && len(names) != n {
		return nil, fmt.Errorf("LISTEN_FDNAMES has %d names for %d sockets", len(names), n)
	}
	sockets := make([]Socket, n)
	for i := range sockets {
		unix.CloseOnExec(first + i)
		sockets[i] = Socket{Name: names[i], FD: first + i}
	}
	return sockets, nil
}

func listenAll(text string) (sockets []Socket, err error) {
	for one := range strings.SplitSeq(text, ",") {
		name, at, found := strings.Cut(one, "=")
		if !found {
			err = fmt.Errorf("%s is %q, want NAME=IP:PORT", ListenVariable, text)
		}
		var s Socket
		if err == nil {
			s, err = Listen(name, at)
			s.Greets = true
		}
		if err != nil {
			Close(sockets)
			return nil, err
		}
		sockets = append(sockets, s)
	}
	return sockets, nil
}
