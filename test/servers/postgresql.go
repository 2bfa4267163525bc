package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

var postgresql = kind{"postgresql", configurePostgreSQL}

// PostgreSQL starts a server with one cluster, whose log suffices for logical
// replication, whose superuser is postgres, or
// the one of Login. Unless it is Synced it writes to disk when it likes: what a
// test kills is a process, not a machine.
func PostgreSQL(t T, opts ...Option) *Server {
	t.Helper()
	return open(t, postgresql, opts)
}

// PostgreSQL is a server as PostgreSQL starts it.
func (p *Pool) PostgreSQL(t T) *Server { t.Helper(); return p.get(t, postgresql) }

// postgres finds a program of PostgreSQL, which Debian keeps by version.
func postgres(name string) (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("%s is not installed: run scripts/servers.sh", name)
	}
	slices.Sort(found)
	return found[len(found)-1], nil
}

// asPostgres makes a command of PostgreSQL's, which refuses to run as root:
// then it is Debian's user of the same name that runs it.
func asPostgres(args ...string) *exec.Cmd { return as("postgres", "postgres", args...) }

// as has another user run a command if root would.
func as(user, group string, args ...string) *exec.Cmd {
	if os.Geteuid() == 0 {
		args = append([]string{"setpriv", "--reuid", user, "--regid", group, "--clear-groups", "--pdeathsig", "KILL", "--"}, args...)
	}
	return exec.Command(args[0], args[1:]...)
}

func configurePostgreSQL(s *Server, o options) error {
	var programs [3]string
	for i, name := range []string{"initdb", "postgres", "pg_isready"} {
		var err error
		if programs[i], err = postgres(name); err != nil {
			return err
		}
	}
	if s.TLS != nil {
		return errors.New("PostgreSQL is started without TLS only")
	}
	if o.login {
		if err := s.write("data/password", o.password); err != nil {
			return err
		}
	}
	if err := s.giveTo("postgres:postgres"); err != nil {
		return err
	}
	user, auth := "postgres", []string{"--auth=trust"}
	if o.login {
		user, auth = o.user, []string{"--auth=scram-sha-256", "--pwfile=" + s.path("data/password")}
	}
	args := append([]string{programs[0], "-D", s.path("data/cluster"), "-U", user, "-E", "UTF8", "--locale=C", "--no-sync"}, auth...)
	if out, err := asPostgres(args...).CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	if err := s.setPostgreSQL("wal_level = logical"); err != nil {
		return err
	}
	host, port, _ := strings.Cut(s.Addr, ":")
	sync := "fsync=off"
	if o.synced {
		sync = "fsync=on"
	}
	s.program.command = func() *exec.Cmd {
		s.detached()
		return asPostgres(programs[1], "-D", s.path("data/cluster"), "-h", host, "-p", port, "-k", s.path("data"), "-c", sync, "-c", "log_min_messages=warning", "-c", "max_replication_slots=80", "-c", "max_wal_senders=80")
	}
	s.program.ready = func(ctx context.Context) error {
		out, err := exec.CommandContext(ctx, programs[2], "-q", "-h", host, "-p", port).CombinedOutput()
		if err != nil {
			return fmt.Errorf("pg_isready: %w: %s", err, out)
		}
		return nil
	}
	return nil
}

// setPostgreSQL writes a setting that ALTER SYSTEM can change.
func (s *Server) setPostgreSQL(setting string) error {
	f, err := os.OpenFile(s.path("data/cluster/postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("configure PostgreSQL: %w", err)
	}
	_, err = fmt.Fprintln(f, setting)
	return errors.Join(err, f.Close())
}

// giveTo makes the data directory a user's for whom root starts the server, and
// lets the user get there.
func (s *Server) giveTo(owner string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	for dir := s.dir; len(dir) > len(os.TempDir()); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o711); err != nil {
			return err
		}
	}
	if out, err := exec.Command("chown", "-R", owner, s.path("data")).CombinedOutput(); err != nil {
		return fmt.Errorf("chown: %w: %s", err, out)
	}
	return nil
}

// detached waits until the processes that served connections of a server which
// was killed are gone, too: another does not start while they have its memory. What
// cannot be read is no reason to wait.
func (s *Server) detached() {
	for until := time.Now().Add(stopLimit); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		lines, err := os.ReadFile(s.path("data/cluster/postmaster.pid"))
		if err != nil {
			return // it was stopped in order, or never started
		}
		list, err := os.ReadFile("/proc/sysvipc/shm")
		if err != nil || !attached(strings.Split(string(lines), "\n"), string(list)) {
			return
		}
	}
}

// attached says whether the memory that a postmaster.pid names in its seventh
// line, by key and identifier, is that of any process in the kernel's list.
func attached(lines []string, list string) bool {
	if len(lines) < 7 {
		return false
	}
	memory := strings.Fields(lines[6])
	for row := range strings.Lines(list) {
		f := strings.Fields(row) // key, identifier, permissions, size, two processes, how many have it
		if len(memory) == 2 && len(f) > 6 && f[1] == memory[1] {
			return f[6] != "0"
		}
	}
	return false
}
