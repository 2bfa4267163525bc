package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strings"
)

var mariadb = kind{"mariadb", configureMariaDB}

// MariaDB starts a server with the database test, whose user root needs no
// password, or which the user of Login may use too. It writes to disk when it
// likes: what a test kills is a process, not a machine.
func MariaDB(t T, opts ...Option) *Server {
	t.Helper()
	return open(t, mariadb, opts)
}

// MariaDB is a server as MariaDB starts it.
func (p *Pool) MariaDB(t T) *Server { t.Helper(); return p.get(t, mariadb) }

func configureMariaDB(s *Server, o options) error {
	daemon, err := find("mariadbd", "/usr/sbin/mariadbd")
	if err != nil {
		return err
	}
	me, err := user.Current()
	if err != nil {
		return err
	}
	host, port, _ := strings.Cut(s.Addr, ":")
	args := []string{"--no-defaults", "--user=" + me.Username, "--datadir=" + s.path("data"), "--tmpdir=" + s.path("data"), "--character-set-server=utf8mb4",
		"--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0", "--innodb-use-native-aio=0"}
	if err := bootstrapMariaDB(daemon, args, o); err != nil {
		return err
	}
	args = append(args, "--bind-address="+host, "--port="+port, "--socket="+s.path("socket"), "--pid-file="+s.path("pid"), "--skip-name-resolve", "--performance-schema=OFF")
	if s.TLS != nil {
		args = append(args, "--ssl-cert="+s.path(certFile), "--ssl-key="+s.path(keyFile), "--require-secure-transport=ON")
	}
	s.program.command = func() *exec.Cmd { return exec.Command(daemon, args...) }
	// It greets with a packet that begins with its length; the fifth byte is the protocol's number.
	s.program.ready = func(ctx context.Context) error {
		conn, err := s.plainly(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		head := make([]byte, 5)
		if _, err := conn.Read(head); err != nil || head[4] != 10 {
			return fmt.Errorf("it greets with %x, %w", head, err)
		}
		return nil
	}
	return nil
}

// bootstrapMariaDB makes the tables that a server has of its own, as the
// program that Debian installs for it does, and who may come in.
func bootstrapMariaDB(daemon string, args []string, o options) error {
	var script strings.Builder
	script.WriteString("CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n")
	for _, name := range []string{"mysql_system_tables.sql", "mysql_performance_tables.sql", "mysql_system_tables_data.sql", "maria_add_gis_sp_bootstrap.sql"} {
		text, err := os.ReadFile("/usr/share/mysql/" + name)
		if err != nil {
			return fmt.Errorf("read what MariaDB makes its tables of: %w; %s", err, installHint)
		}
		script.Write(text)
		script.WriteByte('\n')
	}
	script.WriteString("CREATE DATABASE test;\nFLUSH PRIVILEGES;\n")
	if o.login {
		fmt.Fprintf(&script, "CREATE USER '%s' IDENTIFIED BY '%s';\nGRANT ALL ON test.* TO '%s';\n", o.user, o.password, o.user)
	}
	cmd := exec.Command(daemon, append(args, "--bootstrap")...)
	cmd.Stdin = strings.NewReader(script.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("bootstrap MariaDB: %w: %s", err, out)
	}
	return nil
}
