package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var docker = kind{"docker", configureDocker}

var distantDocker = kind{"distant-docker", func(s *Server, o options) error {
	o.distant = true
	return configureDocker(s, o)
}}

// Docker starts a Docker engine, for root only. It has processes, mounts and a network
// of its own, which go when it does, whatever its containers are at: the machine's
// rules and bridges are left alone. Addr is what DOCKER_HOST takes. Containers
// live on while the engine is killed or stopped. What they publish is
// reached by Dial, and what they and the engine shall reach outside is let in by Reach.
func Docker(t T, opts ...Option) *Server {
	t.Helper()
	return open(t, docker, opts)
}

// space is the first process of an engine's own space: it reaps what is left by
// others, and all end with it.
const space = `set -e
mount --make-rprivate /
mount -t proc proc /proc
mkdir -p /run/containerd /run/docker
mount -t tmpfs run /run/containerd
mount -t tmpfs run /run/docker
if [ -n "$1" ]; then mount -t tmpfs -o size="$1" data data; fi
if [ -n "$2" ]; then # all temporary files but its own are another machine's
	mkdir /run/docker/own
	mount --bind . /run/docker/own
	mount -t tmpfs tmp "$2"
	mkdir -p "$PWD"
	mount --move /run/docker/own "$PWD"
	cd "$PWD"
fi
ip link set lo up
sleep infinity &
touch space.ready
while :; do wait || :; done
`

const spaceReady = "space.ready"

func configureDocker(s *Server, o options) error {
	if o.login || o.tls {
		return errors.New("docker is here without logins and TLS: it listens on a file")
	}
	if os.Geteuid() != 0 {
		return errors.New("a Docker engine needs root")
	}
	program, err := find("dockerd", "/usr/sbin/dockerd", "/usr/bin/dockerd")
	if err != nil {
		return err
	}
	socket, parent := s.path("docker.sock"), fmt.Sprintf("/myelin-test-%d", s.ports[0].N)
	s.Addr = "unix://" + socket
	s.Advertised = s.Addr
	hidden, further := "", []string(nil)
	if o.distant {
		hidden = filepath.Clean(os.TempDir())
		if further, err = s.away(); err != nil {
			return err
		}
	}
	s.program.side = func() *exec.Cmd {
		cmd := exec.Command("/bin/bash", "-c", space, "space", o.room, hidden)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET}
		return cmd
	}
	s.program.command = func() *exec.Cmd {
		cmd := exec.Command(program, "--host", "unix://"+socket, "--data-root", s.path("data"), "--exec-root", s.path("exec"), "--pidfile", s.path("docker.pid"),
			"--live-restore", "--cgroup-parent", parent, "--shutdown-timeout", "5")
		cmd.Args = append(cmd.Args, further...)
		cmd.Env = append(os.Environ(), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR="+s.path("data"))
		return cmd
	}
	s.program.enter = func() error {
		if err := s.furnished(); err != nil {
			return err
		}
		if err := s.join(); err != nil {
			return err
		}
		if err := s.enter(unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET); err != nil {
			return err
		}
		return s.widowed()
	}
	s.program.left = func() { removeGroups(parent); s.part() }
	s.program.ready = func(ctx context.Context) error { return pinged(ctx, socket) }
	return nil
}

// furnished waits until the engine's space has its mounts and network.
func (s *Server) furnished() error {
	for end := time.Now().Add(startLimit); ; time.Sleep(2 * time.Millisecond) {
		if _, err := os.Stat(s.path(spaceReady)); err == nil {
			return nil
		}
		if s.side.gone() || time.Now().After(end) {
			return fmt.Errorf("no space for %s: %s", s.name, s.tail(0))
		}
	}
}

// widowed waits, in the engine's space, for the end of the containerd of an engine that
// was killed: it ends a moment later, and the next engine would take it for one that
// lives, and wait for it in vain.
func (s *Server) widowed() error {
	text, err := os.ReadFile(s.path("exec/containerd/containerd.pid"))
	if err != nil {
		return nil //nolint:nilerr // there was none, or it was stopped
	}
	comm := filepath.Join("/proc", strings.TrimSpace(string(text)), "comm")
	for end := time.Now().Add(stopLimit); ; time.Sleep(2 * time.Millisecond) {
		if name, err := os.ReadFile(comm); err != nil || strings.TrimSpace(string(name)) != "containerd" {
			return nil //nolint:nilerr // it is gone
		}
		if time.Now().After(end) {
			return fmt.Errorf("the containerd of %s did not end with it", s.name)
		}
	}
}

// enter has this thread, which is locked, be in parts of the engine's space.
func (s *Server) enter(parts int) error {
	fd, err := unix.PidfdOpen(s.side.cmd.Process.Pid, 0)
	if err != nil {
		return fmt.Errorf("find the space of %s: %w", s.name, err)
	}
	defer unix.Close(fd)
	if parts&unix.CLONE_NEWNS != 0 { // which is not for threads that share a working directory
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			return err
		}
	}
	if err := unix.Setns(fd, parts); err != nil {
		return fmt.Errorf("enter the space of %s: %w", s.name, err)
	}
	return nil
}

// within does something on a thread that is in parts of the engine's space. What it
// opens stays there.
func (s *Server) within(parts int, do func() error) error {
	s.mu.Lock()
	ok := s.side != nil && !s.side.gone()
	s.mu.Unlock()
	if !ok {
		return fmt.Errorf("%s has no space of its own", s.name)
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		err := s.enter(parts)
		if err == nil {
			err = do()
		}
		done <- err
	}()
	return <-done
}

// hog is what fills the disk of a Docker.
func (s *Server) hog() string { return s.path("data/hog") }

// Fill leaves no room on the disk of a Docker that has one of its own: see Room.
func (s *Server) Fill() error {
	return s.within(unix.CLONE_NEWNS, func() error {
		f, err := os.Create(s.hog())
		if err != nil {
			return err
		}
		defer f.Close()
		for piece := make([]byte, 1<<20); len(piece) > 0; {
			if _, err := f.Write(piece); errors.Is(err, unix.ENOSPC) {
				piece = piece[:len(piece)/2]
			} else if err != nil {
				return err
			}
		}
		return nil
	})
}

// Clear makes room again.
func (s *Server) Clear() error {
	return s.within(unix.CLONE_NEWNS, func() error { return os.Remove(s.hog()) })
}

// Dial connects to an IP address and port in a Docker's network: what containers publish,
// or they themselves.
func (s *Server) Dial(ctx context.Context, _, address string) (conn net.Conn, err error) {
	at, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, err
	}
	if s.link != nil {
		return (&net.Dialer{Timeout: stopLimit}).DialContext(ctx, "tcp", at.String())
	}
	err = s.within(unix.CLONE_NEWNET, func() (err error) {
		conn, err = (&net.Dialer{Timeout: stopLimit}).DialContext(ctx, "tcp", at.String())
		return err
	})
	return conn, err
}

// Reach lets a Docker reach what listens on a loopback address outside, at the
// same address.
func (s *Server) Reach(t T, address string) {
	t.Helper()
	var l net.Listener
	err := s.within(unix.CLONE_NEWNET, func() (err error) { l, err = net.Listen("tcp", address); return err })
	if err != nil {
		t.Fatalf("let %s reach %s: %v", s.name, address, err)
	}
	t.Cleanup(func() { l.Close() })
	go admit(l, address)
}

// admit passes on who comes, until l is closed.
func admit(l net.Listener, address string) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		go passBy(in, func() (net.Conn, error) { return net.DialTimeout("tcp", address, stopLimit) })
	}
}

// Inside does something in a Docker's network: a program that it starts is there.
func (s *Server) Inside(do func() error) error { return s.within(unix.CLONE_NEWNET, do) }

// passBy carries one connection on to another, until either end has closed it.
func passBy(in net.Conn, dial func() (net.Conn, error)) {
	defer in.Close()
	out, err := dial()
	if err != nil {
		return
	}
	defer out.Close()
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(in, out)
		_ = in.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(out, in)
	_ = out.(*net.TCPConn).CloseWrite()
	<-back
}

// pinged asks an engine whether it is there.
func pinged(ctx context.Context, socket string) error {
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/_ping", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// removeGroups removes the control groups below a name, in which nothing runs
// any more: the kernel may take a moment to see that.
func removeGroups(name string) {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		roots, _ := filepath.Glob("/sys/fs/cgroup" + name)
		more, _ := filepath.Glob("/sys/fs/cgroup/*" + name)
		if roots = append(roots, more...); len(roots) == 0 || time.Now().After(end) {
			return
		}
		for _, root := range roots {
			var dirs []string
			_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					dirs = append(dirs, path)
				}
				return nil
			})
			for i := range dirs { // the innermost first
				_ = unix.Rmdir(dirs[len(dirs)-1-i])
			}
		}
	}
}
