package examples_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/processor/logs"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/python"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/imap"
)

const orderMail = "From: ann@example.com\r\nSubject: Tea\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" +
	"--b\r\n\r\nTwo of the green one.\r\n--b\r\nContent-Disposition: attachment; filename=order.csv\r\n\r\n1,2\r\n--b--\r\n"

// An order in a mailbox is taken and moved to where orders are that are done, and
// what is none to where those are.
func TestIMAPExample(t *testing.T) {
	a, _, err := builders(t).Build(t.Context(), pipeline.Request{Path: "imap-python"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	server := servers.Dovecot(t)
	imapSays(t, server, fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(orderMail), orderMail), "APPEND INBOX {15+}\r\nFrom: a@b.c\r\n\r\n")
	at := a.Config.Spec.Triggers["orders"]
	at.URL, at.Password = "imap://"+server.Addr, quantity.Secret(server.Password)
	a.Config.Spec.Triggers["orders"] = at
	a.Config.Spec.DisableDefaultHTTPTrigger = true
	function.Defaults(&a.Config)
	log := filepath.Join(t.TempDir(), "log")
	p, err := processor.New(processor.Config{Function: a.Config, Dir: a.Dir, Scratch: t.TempDir(), Admin: processor.Admin{Listen: "none"}, Logs: processor.Logs{Function: logs.Sink{File: log}}},
		processor.Parts{Triggers: trigger.NewSet(imap.Factory()), Runtimes: runtime.NewSet(python.Factory())})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	eventually(t, "both to be moved", func() bool {
		s := imapSays(t, server, "STATUS Done (MESSAGES)", "STATUS Failed (MESSAGES)", "STATUS INBOX (MESSAGES)")
		return strings.Contains(s, "Done (MESSAGES 1)") && strings.Contains(s, "Failed (MESSAGES 1)") && strings.Contains(s, "INBOX (MESSAGES 0)")
	})
	eventually(t, "the order", says(log, "ann@example.com orders Tea: Two of the green one. {'order.csv': 3}"))
}

// imapSays logs in as ann and returns what the server says to commands.
func imapSays(t *testing.T, s *servers.Server, commands ...string) string {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	commands = append([]string{"LOGIN ann " + s.Password}, commands...)
	for i, c := range commands {
		if _, err := fmt.Fprintf(conn, "a%d %s\r\n", i, c); err != nil {
			t.Fatal(err)
		}
	}
	var all strings.Builder
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		all.WriteString(line)
		if strings.HasPrefix(line, fmt.Sprintf("a%d ", len(commands)-1)) {
			return all.String()
		}
	}
}
