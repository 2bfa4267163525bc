package servers

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// imapSays logs in and returns what the server says to commands, up to the answer to
// the last one.
func imapSays(t *testing.T, s *Server, conn net.Conn, commands ...string) string {
	t.Helper()
	defer conn.Close()
	check(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	commands = append([]string{"LOGIN ann " + s.Password}, commands...)
	for i, c := range commands {
		_, err := fmt.Fprintf(conn, "a%d %s\r\n", i, c)
		check(t, err)
	}
	var b strings.Builder
	r := bufio.NewReader(conn)
	for {
		line, err := r.ReadString('\n')
		check(t, err)
		b.WriteString(line)
		if strings.HasPrefix(line, fmt.Sprintf("a%d ", len(commands)-1)) {
			return b.String()
		}
	}
}

func imapConn(t *testing.T, s *Server) net.Conn {
	t.Helper()
	conn, err := s.dial(limit(t))
	check(t, err)
	return conn
}

func putDovecot(t *testing.T, s *Server) {
	t.Helper()
	if got := imapSays(t, s, imapConn(t, s), "APPEND INBOX {14+}\r\nSubject: v\r\n\r\n"); !strings.Contains(got, "a1 OK") {
		t.Fatal(got)
	}
}

func lookDovecot(t *testing.T, s *Server) {
	t.Helper()
	if got := imapSays(t, s, imapConn(t, s), "STATUS INBOX (MESSAGES)"); !strings.Contains(got, "(MESSAGES 1)") {
		t.Fatal(got)
	}
}

func TestDovecot(t *testing.T) { lasts(t, took(t, Dovecot), putDovecot, lookDovecot) }

func TestDovecotTLS(t *testing.T) {
	s := took(t, Dovecot, Login("", "secret"), WithTLS())
	putDovecot(t, s)
	lookDovecot(t, s)
	conn, err := net.Dial("tcp", s.Plain)
	check(t, err)
	defer conn.Close()
	check(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	r := bufio.NewReader(conn)
	_, err = r.ReadString('\n')
	check(t, err)
	_, err = fmt.Fprint(conn, "a STARTTLS\r\n")
	check(t, err)
	if line, err := r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "a OK") {
		t.Fatal(line, err)
	}
	if got := imapSays(t, s, tls.Client(conn, s.TLS), "STATUS INBOX (MESSAGES)"); !strings.Contains(got, "(MESSAGES 1)") {
		t.Error(got)
	}
}
