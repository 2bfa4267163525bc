package servers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strings"
	"time"
)

var dovecot = kind{"dovecot", configureDovecot}

// dovecotPassword is that of all users, unless Login says another.
const dovecotPassword = "hush"

// Dovecot starts an IMAP server that lets in whoever knows the one password, by any
// name: each name has mailboxes of its own, which are made when they are first used.
// With TLS it speaks TLS at Addr, and at Plain after STARTTLS.
func Dovecot(t T, opts ...Option) *Server {
	t.Helper()
	return open(t, dovecot, opts)
}

// Dovecot is a server as Dovecot starts it.
func (p *Pool) Dovecot(t T) *Server { t.Helper(); return p.get(t, dovecot) }

// dovecotConf is all that it is told. Its processes are those of one user, who
// starts them, and who says a wrong password has nobody wait after it. It keeps no
// Maildir: there a flag was seen to be lost when a message was added at that moment.
const dovecotConf = `base_dir = %[1]s/base
state_dir = %[1]s/base
log_path = /dev/stderr
default_internal_user = %[2]s
default_internal_group = %[3]s
default_login_user = %[2]s
first_valid_uid = 1
first_valid_gid = 1
protocols = imap
listen = 127.0.0.1
mail_location = sdbox:%[1]s/mail/%%u
mailbox_list_index = no
mail_fsync = never
mail_max_userip_connections = 1000
auth_failure_delay = 0
passdb {
  driver = static
  args = password=%[4]s
}
userdb {
  driver = static
  args = uid=%[2]s gid=%[3]s home=%[1]s/mail/%%u
}
service imap {
  service_count = 1000
  process_limit = 400
}
service imap-login {
  chroot =
  service_count = 0
  inet_listener imap {
    port = %[5]d
  }
  inet_listener imaps {
    port = %[6]d
    ssl = yes
  }
}
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  chroot =
}
`

func configureDovecot(s *Server, o options) error {
	program, err := find("dovecot", "/usr/sbin/dovecot")
	if err != nil {
		return err
	}
	if o.user != "" {
		return errors.New("dovecot lets in any name: leave it out of Login")
	}
	if s.Password = dovecotPassword; o.login {
		s.Password = o.password
	}
	name, group, err := dovecotUser()
	if err != nil {
		return err
	}
	plain, secure := s.ports[0].N, 0
	security := "ssl = no\ndisable_plaintext_auth = no\n"
	if s.TLS != nil {
		p, err := s.port()
		if err != nil {
			return err
		}
		s.Plain, plain, secure = p.Addr(), p.N, s.ports[0].N
		security = fmt.Sprintf("ssl = required\nssl_cert = <%s\nssl_key = <%s\n", s.path("data/"+certFile), s.path("data/"+keyFile))
		for _, f := range []string{certFile, keyFile} {
			text, err := os.ReadFile(s.path(f))
			if err == nil {
				err = s.write("data/"+f, string(text))
			}
			if err != nil {
				return err
			}
		}
	}
	s.program.command = func() *exec.Cmd {
		s.vacated()
		return as(name, group, program, "-F", "-c", s.path("data/dovecot.conf"))
	}
	s.program.all = true
	s.program.ready = s.answers(s.dial, "", "* OK")
	if err := s.write("data/dovecot.conf", fmt.Sprintf(dovecotConf, s.path("data"), name, group, s.Password, plain, secure)+security); err != nil {
		return err
	}
	return s.giveTo(name + ":" + group)
}

// dovecotUser is who has its processes: root may not.
func dovecotUser() (name, group string, err error) {
	if os.Geteuid() == 0 {
		return "nobody", "nogroup", nil
	}
	me, err := user.Current()
	if err != nil {
		return "", "", err
	}
	own, err := user.LookupGroupId(me.Gid)
	if err != nil {
		return "", "", err
	}
	return me.Username, own.Name, nil
}

// vacated waits until nobody listens at the address any more: the processes of one
// that was killed end one after the other.
func (s *Server) vacated() {
	for until := time.Now().Add(stopLimit); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", s.Addr, time.Second)
		if err != nil && strings.Contains(err.Error(), "refused") {
			return
		}
		if err == nil {
			_ = c.Close()
		}
	}
}
