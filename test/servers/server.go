package servers

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/myelin-run/myelin/test/port"
)

// T is what a server needs of its test. A testing.TB is one.
type T interface {
	Helper()
	TempDir() string
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Server is one server, running when a test gets it. Its methods may be called
// by many goroutines; they take turns. Those that begin something return when
// it is so: Start when clients are served, Kill and Stop when the process is
// gone. A server that the test ends with stopped or paused is fine.
type Server struct {
	Addr       string      // where clients connect; the same for the server's whole life
	Advertised string      // where a Kafka broker sends its clients: Addr, or what Advertise chose
	User       string      // of Login
	Password   string      // of Login
	TLS        *tls.Config // for clients of a server WithTLS, else nil
	Plain      string      // where a Dovecot WithTLS takes STARTTLS
	// Certificates is what clients of a Docker that is Distant show and trust: a directory as
	// DOCKER_CERT_PATH is one. Strangers is one of which the engine knows nothing.
	Certificates, Strangers string

	link    *link // to a Docker that is Distant
	name    string
	dir     string
	program program
	ports   []*port.Port
	shared  bool

	mu     sync.Mutex
	main   *process
	side   *process // lives from the first start to close: epmd, or the space of a Docker
	closed bool
}

// program is what a kind of server tells: how it is started and when it serves.
type program struct {
	command func() *exec.Cmd
	side    func() *exec.Cmd            // may be nil
	enter   func() error                // where the command is started; may be nil
	ready   func(context.Context) error // asked until it returns nil
	left    func()                      // removes what its processes leave outside its directory; may be nil
	all     bool                        // its processes live on when the first is killed: all are
}

// The longest that a server may take, on a busy machine.
const (
	startLimit = 3 * time.Minute
	stopLimit  = 60 * time.Second
)

// Start starts a server that was killed or stopped, on the same address and data.
func (s *Server) Start() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.launch(); err != nil {
		return err
	}
	return s.await()
}

// Kill ends it as a crash does: SIGKILL, no goodbye.
func (s *Server) Kill() error { return s.signal(syscall.SIGKILL, true) }

// Stop ends it as an operator does: SIGTERM, and waits.
func (s *Server) Stop() error { return s.signal(syscall.SIGTERM, true) }

// Pause stops it in its tracks: connections stay, nothing answers.
func (s *Server) Pause() error { return s.signal(syscall.SIGSTOP, false) }

// Resume lets a paused server go on.
func (s *Server) Resume() error { return s.signal(syscall.SIGCONT, false) }

func (s *Server) signal(sig syscall.Signal, ends bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shared {
		return fmt.Errorf("%s is shared with other tests: have one alone to do that", s.name)
	}
	if s.main == nil {
		return fmt.Errorf("%s does not run", s.name)
	}
	if err := s.main.signal(sig); err != nil {
		return fmt.Errorf("signal %s: %w", s.name, err)
	}
	switch {
	case ends:
		return s.reap()
	case sig == syscall.SIGSTOP:
		return s.main.halted()
	}
	return nil
}

// reap waits until the process is gone, and sees to it in the end.
func (s *Server) reap() error {
	_ = s.main.signal(syscall.SIGCONT) // a paused one hears nothing else
	defer func() { s.main = nil }()
	select {
	case <-s.main.exited:
		return nil
	case <-time.After(stopLimit):
		_ = s.main.signal(syscall.SIGKILL)
		<-s.main.exited
		return fmt.Errorf("%s did not stop within %s and was killed", s.name, stopLimit)
	}
}

func (s *Server) launch() (err error) {
	switch {
	case s.closed:
		return fmt.Errorf("%s is closed", s.name)
	case s.main != nil && !s.main.gone():
		return fmt.Errorf("%s runs already", s.name)
	}
	if s.side == nil && s.program.side != nil {
		if s.side, err = s.run(s.program.side(), nil); err != nil {
			return err
		}
	}
	s.main, err = s.run(s.program.command(), s.program.enter)
	return err
}

// run starts a command of this server, which writes to the server's log.
func (s *Server) run(cmd *exec.Cmd, enter func() error) (*process, error) {
	log, err := os.OpenFile(s.log(), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.name, err)
	}
	defer log.Close()
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, log, log
	p, err := launch(cmd, enter)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", s.name, err)
	}
	p.all = s.program.all
	return p, nil
}

// await polls until the server serves, ends, or is too late.
func (s *Server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		last := s.ask(ctx)
		if last == nil {
			return nil
		}
		select {
		case <-s.main.exited:
			return fmt.Errorf("%s ended before it served: %w\n%s", s.name, s.main.err, s.tail(0))
		case <-ctx.Done():
			return fmt.Errorf("%s does not serve after %s: %w\n%s", s.name, startLimit, last, s.tail(0))
		case <-tick.C:
		}
	}
}

// ask bounds one question: a server in the middle of its start may leave one open.
func (s *Server) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return s.program.ready(ctx)
}

// begun tells whether a server was ever started.
func (s *Server) begun() bool {
	if s == nil {
		return false
	}
	_, err := os.Stat(s.log())
	return err == nil
}

// vanished says how a server ended that nobody ended, nil for all others.
func (s *Server) vanished() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.main == nil || !s.main.gone() {
		return nil
	}
	return fmt.Errorf("%s ended by itself: %w", s.name, s.main.err)
}

// close ends the server for good and gives its ports back.
func (s *Server) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var errs []error
	for _, p := range []*process{s.main, s.side} {
		if p != nil {
			errs = append(errs, p.end())
		}
	}
	if s.program.left != nil {
		s.program.left()
	}
	for _, p := range s.ports {
		errs = append(errs, p.Release())
	}
	return errors.Join(errs...)
}

func (s *Server) log() string { return filepath.Join(s.dir, "log.txt") }

// path names a file of the server's own.
func (s *Server) path(name string) string { return filepath.Join(s.dir, name) }

// write makes a file of the server's own.
func (s *Server) write(name, content string) error {
	return os.WriteFile(s.path(name), []byte(content), 0o600)
}
