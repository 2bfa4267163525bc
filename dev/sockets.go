package dev

import (
	"encoding/json"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor/handoff"
)

// sockets are the listening sockets of the function's HTTP triggers. They stay
// open from one processor to the next, so that connections wait rather than
// fail while none accepts.
type sockets struct {
	main  *handoff.Socket
	named map[string]handoff.Socket // of further HTTP triggers
}

// open makes the socket of the first HTTP trigger, before there is one, so
// that a port in use is told at once.
func (s *sockets) open(address string) error {
	sock, err := handoff.Listen("http", address)
	if err != nil {
		return err
	}
	s.main, s.named = &sock, map[string]handoff.Socket{}
	return nil
}

func (s *sockets) address() string { return s.main.Address() }

// of returns the sockets for a function, by the names of its triggers: the
// first HTTP trigger in order gets the main one, further ones their own ports.
func (s *sockets) of(cfg function.Config) ([]handoff.Socket, error) {
	var out []handoff.Socket
	for _, name := range slices.Sorted(maps.Keys(cfg.Spec.Triggers)) {
		t := cfg.Spec.Triggers[name]
		switch {
		case t.Kind != "http" || t.Disabled:
		case len(out) == 0:
			out = append(out, handoff.Socket{Name: name, FD: s.main.FD})
		default:
			sock, err := s.further(name, t)
			if err != nil {
				return nil, err
			}
			out = append(out, sock)
		}
	}
	return out, nil
}

func (s *sockets) further(name string, t function.Trigger) (handoff.Socket, error) {
	if sock, ok := s.named[name]; ok {
		return sock, nil
	}
	var at struct {
		Port int `json:"port"`
	}
	_ = json.Unmarshal(t.Attributes, &at) // the trigger itself says what is wrong
	host, _, err := net.SplitHostPort(s.address())
	if err != nil {
		return handoff.Socket{}, err
	}
	sock, err := handoff.Listen(name, net.JoinHostPort(host, strconv.Itoa(at.Port)))
	if err == nil {
		s.named[name] = sock
	}
	return sock, err
}

func (s *sockets) close() {
	if s.main != nil {
		_ = unix.Close(s.main.FD)
	}
	for _, sock := range s.named {
		_ = unix.Close(sock.FD)
	}
}

// passed returns what tells a processor of the sockets, and their descriptors.
func passed(socks []handoff.Socket) (env []string, fds []int) {
	if len(socks) == 0 {
		return nil, nil
	}
	names := make([]string, len(socks))
	for i, s := range socks {
		names[i], fds = s.Name, append(fds, s.FD)
	}
	return []string{"LISTEN_FDS=" + strconv.Itoa(len(socks)), "LISTEN_FDNAMES=" + strings.Join(names, ":")}, fds
}
