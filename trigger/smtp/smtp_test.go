package smtp

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	protocol "github.com/emersion/go-smtp"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
)

const patience = time.Minute

// serve runs a trigger until the test ends, and returns its address.
func serve(t *testing.T, attributes string, spec function.Trigger, h trigger.HandlerFunc) (addr string, stop func()) {
	t.Helper()
	trg := newTrigger(t, attributes, spec)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- trg.Run(ctx, h) }()
	ended := false
	stop = func() {
		cancel()
		if !ended {
			ended = true
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		}
	}
	t.Cleanup(stop)
	select {
	case <-trg.Ready():
	case err := <-done:
		t.Fatal(err)
	}
	return trg.Addr().String(), stop
}

const letter = "From: Ann <ann@test>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@test>\r\n\r\nTwo teas.\r\n"

// A message is an event: taken apart, with what its envelope says.
func TestEvent(t *testing.T) {
	got := make(chan *event.Event, 1)
	addr, _ := serve(t, `{"port":0}`, function.Trigger{}, func(_ context.Context, ev *event.Event, _ *event.Response) error {
		got <- ev.Clone()
		return nil
	})
	if err := deliver(addr, nil, "bounces@test", []string{"shop@test", "copy@test"}, letter); err != nil {
		t.Fatal(err)
	}
	ev := <-got
	var body map[string]any
	if err := json.Unmarshal(ev.Body, &body); err != nil {
		t.Fatal(err)
	}
	want := `map[envelope:map[from:bounces@test to:[shop@test copy@test]] from:[map[address:ann@test name:Ann]] messageId:1@test subject:Grüße text:Two teas.` + "\r\n]"
	if s := fmt.Sprint(body); s != want {
		t.Errorf("body %q, want %q", s, want)
	}
	if s := fmt.Sprintf("%s %s %s %s %s %s", ev.ID, ev.Topic, ev.ContentType, ev.Header("subject"), ev.Header("envelope-from"), ev.Header("envelope-to")); s !=
		"1@test shop@test application/json Grüße bounces@test shop@test, copy@test" {
		t.Errorf("event %s", s)
	}
}

// What cannot be taken is refused where the protocol says so.
func TestRefused(t *testing.T) {
	addr, _ := serve(t, `{"port":0,"recipients":["shop@test","*@mail.test"],"maxMessageSize":"2Ki","maxRecipients":2}`, function.Trigger{},
		func(context.Context, *event.Event, *event.Response) error { return nil })
	for _, c := range []struct {
		to   []string
		text string
		want string
	}{
		{[]string{"SHOP@test"}, letter, ""},
		{[]string{"any@Mail.Test"}, letter, ""},
		{[]string{"other@test"}, letter, "550"},
		{[]string{"a@mail.test", "b@mail.test", "c@mail.test"}, letter, "452"},
		{[]string{"shop@test"}, letter + strings.Repeat("line\r\n", 600), "552"},
		{[]string{"shop@test"}, "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhalf", "554"},
	} {
		err := deliver(addr, nil, "me@test", c.to, c.text)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(fmt.Sprintf("%+v %v", err, code(err)), c.want)) {
			t.Errorf("to %s, %d bytes: %v, want %s", c.to, len(c.text), err, c.want)
		}
	}
}

func code(err error) int {
	if told, ok := err.(*protocol.SMTPError); ok { //nolint:errorlint // the library wraps none
		return told.Code
	}
	return 0
}

func TestLogin(t *testing.T) {
	addr, _ := serve(t, `{"port":0}`, function.Trigger{Username: "ann", Password: quantity.Secret("tea")},
		func(context.Context, *event.Event, *event.Response) error { return nil })
	for password, want := range map[string]int{"tea": 0, "coffee": 535} {
		if err := send(addr, sasl.NewPlainClient("", "ann", password)); code(err) != want || want == 0 && err != nil {
			t.Errorf("%s: %v", password, err)
		}
	}
	if err := send(addr, nil); code(err) != 530 {
		t.Errorf("nobody: %v", err)
	}
}

func send(addr string, as sasl.Client) error {
	return deliver(addr, as, "me@test", []string{"you@test"}, letter)
}

// deliver sends a message on a connection of its own.
func deliver(addr string, as sasl.Client, from string, to []string, text string) error {
	c, err := protocol.Dial(addr)
	if err != nil {
		return err
	}
	defer c.Close()
	if as != nil {
		if err := c.Auth(as); err != nil {
			return err
		}
	}
	return c.SendMail(from, to, strings.NewReader(text))
}

// Bytes that are no SMTP, half commands and half messages end one connection.
func TestGarbage(t *testing.T) {
	addr, _ := serve(t, `{"port":0,"readTimeout":"5s"}`, function.Trigger{}, func(context.Context, *event.Event, *event.Response) error { return nil })
	for _, text := range []string{"\x00\x01\x02\r\n", "GET / HTTP/1.1\r\n\r\n", strings.Repeat("x", 1<<20), "EHLO\r\nMAIL\r\nDATA\r\n", "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nhalf"} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte(text)) // it may be cut off
		_ = c.Close()
	}
	if err := send(addr, nil); err != nil {
		t.Errorf("after garbage: %v", err)
	}
}

// A drain answers the message that runs, and closes who only waits.
func TestDrain(t *testing.T) {
	began, goOn := make(chan struct{}), make(chan struct{})
	addr, stop := serve(t, `{"port":0}`, function.Trigger{}, func(context.Context, *event.Event, *event.Response) error {
		close(began)
		<-goOn
		return nil
	})
	idle, err := textproto.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	if _, _, err := idle.ReadResponse(220); err != nil {
		t.Fatal(err)
	}
	sent := make(chan error, 1)
	go func() { sent <- send(addr, nil) }()
	<-began
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	select {
	case <-stopped:
		t.Error("it ended before the message was answered")
	case <-time.After(100 * time.Millisecond): // no condition to await: it must not come
	}
	close(goOn)
	if err := <-sent; err != nil {
		t.Errorf("the message that ran: %v", err)
	}
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Fatal("it does not end while somebody is connected")
	}
}

func TestStartTLS(t *testing.T) {
	cert, key, _ := newCertificate(t, t.TempDir())
	addr, _ := serve(t, fmt.Sprintf(`{"port":0,"requireTLS":true,"tls":{"certFile":%q,"keyFile":%q}}`, cert, key), function.Trigger{},
		func(context.Context, *event.Event, *event.Response) error { return nil })
	if err := send(addr, nil); code(err) != 530 {
		t.Errorf("without TLS: %v", err)
	}
	c, err := protocol.DialStartTLS(addr, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // whose it is, is not tested
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SendMail("me@test", []string{"you@test"}, strings.NewReader(letter)); err != nil {
		t.Error(err)
	}
}

func TestMistakes(t *testing.T) {
	for attributes, want := range map[string]string{
		`{"port":70000}`:                      "port: is 70000",
		`{"recipients":["shop@test","nope"]}`: `recipients[1]: is "nope"`,
		`{"format":"jsn"}`:                    "did you mean",
		`{"requireTLS":true}`:                 "requireTLS: needs tls",
		`{"maxMessageSize":"1"}`:              "maxMessageSize: is 1",
		`{"readTimeout":"0s"}`:                "readTimeout: is 0s",
		`{"prot":1}`:                          "prot",
	} {
		if _, err := Factory().New(trigger.Settings{}, json.RawMessage(attributes)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", attributes, err)
		}
	}
}
