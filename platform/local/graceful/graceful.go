// Package graceful ends an HTTP server without losing a request. The standard
// library's Shutdown drops requests that it reads after it was called, and
// connections that it has accepted but not yet looked at. It knows nothing of
// what is served.
package graceful

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Server serves on one listener. Its life: New, Serve, Drain or Close.
type Server struct {
	HTTP     *http.Server
	draining atomic.Bool
	mu       sync.Mutex
	conns    map[net.Conn]http.ConnState
	listener net.Listener
	ended    chan struct{} // closed when Serve has returned
}

// New returns a server of h. The fields of HTTP may be set before Serve.
func New(h http.Handler) *Server {
	s := &Server{conns: map[net.Conn]http.ConnState{}, ended: make(chan struct{})}
	s.HTTP = &http.Server{ConnState: s.track, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})}
	return s
}

func (s *Server) track(c net.Conn, state http.ConnState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == http.StateClosed || state == http.StateHijacked {
		delete(s.conns, c)
		return
	}
	s.conns[c] = state
}

// Serve serves until Drain or Close; then it returns nil.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	s.listener = l
	s.mu.Unlock()
	defer close(s.ended)
	err := s.HTTP.Serve(l)
	if s.draining.Load() || errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Closed is closed when Serve accepts no more connections.
func (s *Server) Closed() <-chan struct{} { return s.ended }

// Drain accepts no more connections, answers every request on those that there
// are, and returns when none is left. Connections on which nothing comes are
// closed after linger. When ctx ends first, so does everything else.
func (s *Server) Drain(ctx context.Context, linger time.Duration) error {
	s.draining.Store(true)
	s.mu.Lock()
	l := s.listener
	s.mu.Unlock()
	if l != nil {
		l.Close()
		<-s.ended
	}
	defer s.HTTP.Close()
	quiet := time.Now().Add(linger)
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		busy, idle := s.count()
		if busy == 0 && (idle == 0 || time.Now().After(quiet)) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
		}
	}
}

func (s *Server) count() (busy, idle int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, state := range s.conns {
		if state == http.StateActive {
			busy++
		} else {
			idle++
		}
	}
	return busy, idle
}

// Close ends everything at once.
func (s *Server) Close() error {
	s.draining.Store(true)
	return s.HTTP.Close()
}
