package nats

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
)

var once = function.Trigger{Delivery: function.Delivery{Retry: &function.Retry{Attempts: 1}, OnFailure: &function.Destination{Kind: "drop"}}}

// TestMessage: what NATS carries and text cannot arrives as it is.
func TestMessage(t *testing.T) {
	b := newBroker(t, shared.NATS(t))
	r := started(t, b.trigger(t, settings(t, function.Trigger{}), map[string]any{"topics": []string{b.subject + ".*.x", b.subject + ".all.>"}}), nil)
	subject, body := b.subject+".all.of.it", bytes.Repeat([]byte{0, 0xff}, 1<<18)
	headers := "NATS/1.0\r\nk\xff: v\xfe\r\nk\xff:second\r\nNats-Msg-Id: \xfd\r\ncontent-type: x/y\r\n\r\n"
	raw(t, b.server, fmt.Sprintf("HPUB %s %d %d\r\n%s%s\r\n", subject, len(headers), len(headers)+len(body), headers, body))
	ev := r.next()
	if string(ev.ID) != "\xfd" || string(ev.ContentType) != "x/y" || ev.Topic != subject || !bytes.Equal(ev.Body, body) || string(ev.Header("k\xff")) != "v\xfe" {
		t.Errorf("id %q, type %q, topic %q, %d bytes, headers %v", ev.ID, ev.ContentType, ev.Topic, len(ev.Body), ev.Headers)
	}
	must(t, b.conn.Publish(b.subject+".y.x", nil)) // nothing at all
	if ev := r.next(); len(ev.Body) != 0 || len(ev.ID) == 0 || ev.Time.IsZero() || ev.Topic != b.subject+".y.x" {
		t.Errorf("event %+v", ev)
	}
	if err := b.conn.Publish(b.subject+".y.x", make([]byte, 1<<20+1)); !errors.Is(err, client.ErrMaxPayload) {
		t.Errorf("an oversized message: %v", err)
	}
}

// raw says to a server what the client would not.
func raw(t testing.TB, s *servers.Server, say string) {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr)
	must(t, err)
	t.Cleanup(func() { _ = c.Close() })
	must(t, c.SetDeadline(time.Now().Add(patience)))
	_, err = c.Write([]byte("CONNECT {\"verbose\":false,\"headers\":true}\r\n" + say + "PING\r\n"))
	must(t, err)
	for lines := bufio.NewScanner(c); lines.Scan(); {
		if lines.Text() == "PONG" {
			return
		}
	}
	t.Fatalf("the server did not take %.100q", say)
}

// TestReplies: who asks is answered, whatever became of the message.
func TestReplies(t *testing.T) {
	b := newBroker(t, shared.NATS(t))
	started(t, b.Trigger(t, settings(t, once)), func(ev *event.Event, resp *event.Response) error {
		switch string(ev.Body) {
		case "fail":
			return event.Errorf(418, "teapot\nof tin")
		case "large":
			resp.Body = make([]byte, 2<<20)
		case "rich":
			resp.Status, resp.ContentType = 201, "text/x"
			resp.SetHeader("a", "b")
			resp.SetHeader("not: a\r\nheader", "b")
		}
		resp.Body = append(resp.Body, "re: "+string(ev.Body)...)
		return nil
	})
	for body, want := range map[string]struct{ text, status, failure string }{
		"plain": {"re: plain", "", ""}, "rich": {"re: rich", "201", ""}, "fail": {"teapot\nof tin", "418", "418"}, "large": {"the answer has", "500", "500"},
	} {
		a, err := b.conn.Request(b.subject, []byte(body), patience)
		must(t, err)
		if !strings.HasPrefix(string(a.Data), want.text) || a.Header.Get("status") != want.status || a.Header.Get("Nats-Service-Error-Code") != want.failure {
			t.Errorf("%s: answer %q with %v", body, a.Data, a.Header)
		}
		if body == "rich" && (a.Header.Get("a") != "b" || a.Header.Get("Content-Type") != "text/x" || len(a.Header) != 3) {
			t.Errorf("answer with %v", a.Header)
		}
	}
	raw(t, b.server, fmt.Sprintf("PUB %s no..subject 5\r\nplain\r\n", b.subject)) // hurts nobody
	if _, err := b.conn.Request(b.subject, []byte("plain"), patience); err != nil {
		t.Error(err)
	}
}

// TestGroups: replicas share messages, by a group whose name is filled in;
// another function gets them too, and broadcast gives all to each.
func TestGroups(t *testing.T) {
	b := newBroker(t, shared.NATS(t))
	const n = 60
	replicas := func(name string, attributes map[string]any) (rs []*running) {
		attributes["topic"] = b.subject
		for range 2 {
			s := settings(t, function.Trigger{})
			s.Function = name
			rs = append(rs, started(t, b.trigger(t, s, attributes), nil))
		}
		return rs
	}
	sharing := append(replicas("one", map[string]any{}), replicas("two", map[string]any{"queueName": "g-{{ .Name }}"})...)
	all := replicas("three", map[string]any{"broadcast": true})
	for i := range n {
		must(t, b.conn.Publish(b.subject, fmt.Append(nil, i)))
	}
	for _, r := range all {
		r.until("all", func(x trigger.Report) bool { return x.Done == n })
	}
	for i := 0; i < len(sharing); i += 2 {
		sharing[i].until("all, shared", func(x trigger.Report) bool { return x.Done+sharing[i+1].report().Done == n })
		if sharing[i].report().Done == 0 || sharing[i+1].report().Done == 0 {
			t.Error("one replica has all")
		}
	}
}

// TestSlowConsumer: messages that come faster than they are taken are lost, and
// the report says so.
func TestSlowConsumer(t *testing.T) {
	b := newBroker(t, shared.NATS(t))
	release := make(chan struct{})
	spec := function.Trigger{Delivery: function.Delivery{Prefetch: 1, MaxInFlight: 1}}
	r := started(t, b.trigger(t, settings(t, spec), map[string]any{"topic": b.subject, "pending": 10}), func(*event.Event, *event.Response) error {
		<-release
		return nil
	})
	for i := range 100 {
		must(t, b.conn.Publish(b.subject, fmt.Append(nil, i)))
	}
	r.until("the complaint", func(x trigger.Report) bool {
		return strings.HasPrefix(x.Problem, "slow consumer: ") && x.State == trigger.Running
	})
	close(release)
	r.until("the rest", func(x trigger.Report) bool { return x.Done >= 10 && x.InFlight == 0 })
}

// TestKilled: the server dies under load and comes back; what is sent from then
// on is run.
func TestKilled(t *testing.T) {
	b := newBroker(t, servers.NATS(t))
	r := started(t, b.Trigger(t, settings(t, function.Trigger{})), nil)
	for range 3 {
		must(t, b.conn.Publish(b.subject, []byte("load")))
		must(t, b.server.Kill())
		r.until("the loss", func(x trigger.Report) bool { return x.State == trigger.Connecting && x.Problem != "" })
		must(t, b.server.Start())
		r.until("the server", func(x trigger.Report) bool { return x.State == trigger.Running })
		done := r.report().Done
		conn := connect(t, b.server)
		must(t, conn.Publish(b.subject, []byte("again")))
		r.until("an event", func(x trigger.Report) bool { return x.Done > done })
	}
	if n := r.report().Reconnects; n < 3 {
		t.Errorf("%d reconnections, want 3", n)
	}
}

// TestSilence: a server that answers nothing is given up, also while an answer
// waits to be sent, and found again.
func TestSilence(t *testing.T) {
	b := newBroker(t, shared.NATS(t))
	r := started(t, b.trigger(t, settings(t, function.Trigger{}), map[string]any{"topic": b.subject, "pingInterval": "100ms", "connectTimeout": "300ms"}), nil)
	b.proxy.Blackhole()
	r.until("the loss", func(x trigger.Report) bool { return x.State == trigger.Connecting && x.Problem != "" })
	must(t, b.proxy.Restore())
	r.until("the server", func(x trigger.Report) bool { return x.State == trigger.Running })
	must(t, b.conn.Publish(b.subject, []byte("x")))
	r.next()
	b.proxy.Blackhole()
	r.end() // and does not wait for it for ever
}

// TestTopic: a letter is sent once the server has it; one that is too large
// never is.
func TestTopic(t *testing.T) {
	b := newBroker(t, shared.NATS(t))
	sub, err := b.conn.SubscribeSync(b.subject + ".dead")
	must(t, err)
	must(t, b.conn.Flush())
	spec := function.Trigger{Delivery: function.Delivery{Retry: &function.Retry{Attempts: 2, Backoff: &function.Backoff{Initial: 1e6}}, OnFailure: &function.Destination{Kind: "topic", Topic: b.subject + ".dead"}}}
	r := started(t, b.Trigger(t, settings(t, spec)), func(ev *event.Event, _ *event.Response) error {
		if string(ev.Body) == "7" {
			return errors.New("cannot\ndo 7")
		}
		return nil
	})
	for i := range 20 {
		must(t, b.conn.PublishMsg(&client.Msg{Subject: b.subject, Data: fmt.Append(nil, i), Header: client.Header{"h": {"v"}}}))
	}
	r.until("19 to be done and one dead", func(x trigger.Report) bool { return x.Done == 19 && x.Dead == 1 })
	m, err := sub.NextMsg(patience)
	must(t, err)
	if string(m.Data) != "7" || m.Header.Get("h") != "v" || !strings.HasPrefix(m.Header.Get("myelin-error"), "cannot") || m.Header.Get("myelin-attempts") != "2" {
		t.Errorf("letter %q with %v", m.Data, m.Header)
	}
	cfg := defaults()
	cfg.Topic = b.subject
	src, err := newSource(trigger.Settings{Name: "in", Spec: function.Trigger{URL: "nats://" + b.proxy.Addr()}}, cfg)
	must(t, err)
	defer src.Close()
	d, err := src.Topic("somewhere")
	must(t, err)
	if err := d.Send(context.Background(), &letter.Letter{ID: "l", Event: letter.Event{Body: make([]byte, 2<<20)}}); !event.IsPermanent(err) {
		t.Errorf("too large: %v", err)
	}
	must(t, d.Send(context.Background(), &letter.Letter{ID: "l"}))
	must(t, b.proxy.Cut())
	if err := d.Send(context.Background(), &letter.Letter{ID: "l"}); err == nil || event.IsPermanent(err) {
		t.Errorf("with no server: %v", err)
	}
	must(t, b.proxy.Restore())
	must(t, d.Send(context.Background(), &letter.Letter{ID: "l"}))
}

// TestSecure: TLS with a password, and with an nkey.
func TestSecure(t *testing.T) {
	pair, err := nkeys.CreateUser()
	must(t, err)
	public, err := pair.PublicKey()
	must(t, err)
	seed, err := pair.Seed()
	must(t, err)
	file := filepath.Join(t.TempDir(), "seed")
	must(t, os.WriteFile(file, seed, 0o600))
	for name, c := range map[string]struct {
		opts       []servers.Option
		attributes map[string]any
	}{
		"password over TLS": {[]servers.Option{servers.Login("ann", "secret"), servers.WithTLS()}, map[string]any{}},
		"nkey":              {[]servers.Option{servers.NKey(public)}, map[string]any{"nkeyFile": file}},
	} {
		t.Run(name, func(t *testing.T) {
			s := servers.NATS(t, c.opts...)
			spec := function.Trigger{URL: "nats://" + s.Addr, Username: s.User, Password: quantity.Secret(s.Password)}
			opts := []client.Option{}
			if s.TLS != nil {
				c.attributes["tls"] = map[string]any{"caFile": s.CAFile()}
			} else {
				option, err := client.NkeyOptionFromSeed(file)
				must(t, err)
				opts = append(opts, option)
			}
			c.attributes["topic"] = "in"
			r := started(t, (&broker{}).trigger(t, settings(t, spec), c.attributes), nil)
			must(t, connect(t, s, opts...).Publish("in", []byte("x")))
			r.next()
		})
	}
}

// TestFiles: a file that is not there is told, and waited for.
func TestFiles(t *testing.T) {
	b := newBroker(t, shared.NATS(t))
	r := run(t, b.trigger(t, settings(t, function.Trigger{}), map[string]any{"topic": b.subject, "tls": map[string]any{"caFile": "/nowhere/ca.pem"}}), nil)
	r.until("the complaint", func(x trigger.Report) bool { return strings.Contains(x.Problem, "read tls.caFile") })
	c := run(t, b.trigger(t, settings(t, function.Trigger{}), map[string]any{"topic": b.subject, "nkeyFile": "/nowhere/seed"}), nil)
	c.until("the complaint", func(x trigger.Report) bool { return strings.Contains(x.Problem, "read nkeyFile") })
}

// TestForbidden: a subject that the user may not have is told and waited for.
func TestForbidden(t *testing.T) {
	s := servers.NATS(t, servers.Login("ann", "secret"), servers.Forbid("secrets.>"))
	spec := function.Trigger{URL: "nats://" + s.Addr, Username: s.User, Password: quantity.Secret(s.Password)}
	r := run(t, (&broker{}).trigger(t, settings(t, spec), map[string]any{"topic": "secrets.all"}), nil)
	r.until("the complaint", func(x trigger.Report) bool {
		return x.State == trigger.Connecting && strings.Contains(x.Problem, "secrets.all") && strings.Contains(strings.ToLower(x.Problem), "permissions violation")
	})
	select {
	case <-r.Trigger.(trigger.Readier).Ready():
		t.Error("it is ready")
	default:
	}
	started(t, (&broker{}).trigger(t, settings(t, spec), map[string]any{"topic": "open.all"}), nil)
}
