package examples_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	protocol "github.com/emersion/go-smtp"

	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/processor/handoff"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/python"
	"github.com/myelin-run/myelin/trigger"
	httptrigger "github.com/myelin-run/myelin/trigger/http"
	"github.com/myelin-run/myelin/trigger/smtp"
)

// An order that came by mail is there when its sender is told that it is taken.
func TestSMTPExample(t *testing.T) {
	a, _, err := builders(t).Build(t.Context(), pipeline.Request{Path: "smtp-python"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	mail, web := socket(t), socket(t)
	function.Defaults(&a.Config)
	p, err := processor.New(processor.Config{Function: a.Config, Dir: a.Dir, Scratch: t.TempDir(), Admin: processor.Admin{Listen: "none"}},
		processor.Parts{Triggers: trigger.NewSet(smtp.Factory(), httptrigger.Factory()), Runtimes: runtime.NewSet(python.Factory()),
			Sockets: []handoff.Socket{{Name: "orders", FD: int(mail.file.Fd())}, {Name: "default-http", FD: int(web.file.Fd())}}})
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
	c, err := protocol.Dial(mail.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SendMail("ann@example.com", []string{"tea@orders.test"}, strings.NewReader("Subject: Tea\r\n\r\nTwo of the green one.\r\n")); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get("http://" + web.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if want := `[{"from": "ann@example.com", "subject": "Tea", "text": "Two of the green one.", "files": {}}]`; err != nil || string(got) != want {
		t.Errorf("orders %s, %v", got, err)
	}
	if err := c.SendMail("ann@example.com", []string{"tea@elsewhere.test"}, strings.NewReader("Subject: Tea\r\n\r\n")); err == nil {
		t.Error("mail for others is taken")
	}
}

// listening is a socket that a processor is given.
type listening struct {
	addr string
	file *os.File
}

func socket(t *testing.T) listening {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	_ = ln.Close() // the copy remains
	return listening{ln.Addr().String(), f}
}
