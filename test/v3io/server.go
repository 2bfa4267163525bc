// Package v3io is a server for tests that answers as the documentation of the
// Iguazio platform's web API says, as far as streams and the attributes of their
// shards go, and refuses what it says is refused. It keeps what it has in memory,
// over a kill and a start. It is no proof of how the platform itself behaves, and
// must not know who asks.
package v3io

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/test/port"
)

// Server is a platform with streams.
type Server struct {
	Addr string // host:port, the same after a start
	keys map[string]bool

	mu       sync.Mutex
	streams  map[string]*stream // by container/path
	edition  int                // of locations: those of an older one are not valid
	throttle int                // requests that are still to be refused
	spoil    func(function string, answer []byte) []byte
	calls    map[string]int

	life sync.Mutex
	kill func()
}

// Start starts a server, which takes the access keys, until the test ends.
func Start(t testing.TB, keys ...string) *Server {
	t.Helper()
	p, err := port.Take()
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(p.Addr(), keys...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Kill()
		_ = p.Release()
	})
	return s
}

// New starts a server at host:port. Who calls it has to Kill it.
func New(addr string, keys ...string) (*Server, error) {
	s := &Server{Addr: addr, keys: map[string]bool{}, streams: map[string]*stream{}, calls: map[string]int{}}
	for _, k := range keys {
		s.keys[k] = true
	}
	return s, s.Serve()
}

// URL is what clients are told.
func (s *Server) URL() string { return "http://" + s.Addr }

// Serve starts the server again after a Kill.
func (s *Server) Serve() error {
	s.life.Lock()
	defer s.life.Unlock()
	l, err := net.Listen("tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("start server: %w", err)
	}
	web := &http.Server{Handler: http.HandlerFunc(s.handle), ReadHeaderTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- web.Serve(l) }()
	s.kill = sync.OnceFunc(func() {
		_ = web.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			panic(err)
		}
	})
	return nil
}

// Kill ends all connections at once. What was answered is kept.
func (s *Server) Kill() {
	s.life.Lock()
	defer s.life.Unlock()
	s.kill()
}

// Throttle has the server refuse the next n requests because they are too many.
func (s *Server) Throttle(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.throttle = n
}

// Expire makes all locations that were given out invalid.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.edition++
}

// Spoil has f change the answers of functions; nil: no more.
func (s *Server) Spoil(f func(function string, answer []byte) []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spoil = f
}

// Calls says how often a function was asked for.
func (s *Server) Calls(function string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[function]
}
