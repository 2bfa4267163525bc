package chaos

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/ledger"
	"github.com/myelin-run/myelin/test/servers"
)

// nats is a server behind a proxy.
type nats struct {
	t      *testing.T
	server *servers.Server
	proxy  *fault.Proxy
	conn   *client.Conn
}

func newNATS(t *testing.T) *nats {
	n := &nats{t: t, server: servers.NATS(t)}
	var err error
	if n.proxy, err = fault.Listen(n.server.Addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.proxy.Close() })
	n.conn, err = client.Connect("nats://"+n.proxy.Addr(), client.MaxReconnects(-1), client.ReconnectWait(50*time.Millisecond),
		client.PingInterval(500*time.Millisecond), client.Timeout(2*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.conn.Close)
	return n
}

func (n *nats) Broker() *servers.Server { return n.server }
func (n *nats) Proxy() *fault.Proxy     { return n.proxy }
func (n *nats) Silence() time.Duration  { return 4 * time.Second }

// reached is how the triggers reach the server.
const reached = `pingInterval: 500ms, connectTimeout: 2s`

func (n *nats) Trigger(string) string {
	return fmt.Sprintf(`{kind: nats, url: "nats://%s", numWorkers: 4, retry: {attempts: 1}, attributes: {topic: in, %s}}`, n.proxy.Addr(), reached)
}

// Send asks, and takes the answer for the confirmation.
func (n *nats) Send(e ledger.Event, done func(error)) {
	go func() {
		a, err := n.conn.Request("in", e.Body, 5*time.Second)
		switch {
		case err == nil && a.Header.Get("Nats-Service-Error") != "":
			err = errors.New(a.Header.Get("Nats-Service-Error"))
		case err == nil && string(a.Data) != string(e.Body):
			n.t.Errorf("the answer to %q is %q", e.Body, a.Data)
		}
		done(err)
	}()
}

// At most once: what was answered was run, and nothing runs twice.
func TestNATS(t *testing.T) { Survive(t, newNATS(t), Promise{Unordered: true, Once: true}) }

// stream is a stream of JetStream.
type stream struct {
	*nats
	js   jetstream.JetStream
	more string // attributes
}

func newStream(t *testing.T, more string) *stream {
	s := &stream{nats: newNATS(t), more: more}
	var err error
	if s.js, err = jetstream.New(s.conn, jetstream.WithPublishAsyncTimeout(20*time.Second), jetstream.WithPublishAsyncMaxPending(1_000_000)); err != nil {
		t.Fatal(err)
	}
	if _, err = s.js.CreateStream(context.Background(), jetstream.StreamConfig{Name: "IN", Subjects: []string{"in"}}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stream) Trigger(string) string {
	return fmt.Sprintf(`{kind: jetstream, url: "nats://%s", numWorkers: 4, retry: {attempts: -1, backoff: {initial: 50ms, max: 1s}},
        attributes: {stream: IN, ackWait: 3s, heartbeat: 500ms, %s, %s}}`, s.proxy.Addr(), s.more, reached)
}

func (s *stream) Send(e ledger.Event, done func(error)) {
	f, err := s.js.PublishAsync("in", e.Body)
	if err != nil {
		done(err)
		return
	}
	go func() {
		select {
		case <-f.Ok():
			done(nil)
		case err := <-f.Err():
			done(err)
		}
	}()
}

// At least once: none lost.
func TestJetStream(t *testing.T) {
	Survive(t, newStream(t, "ordered: false"), Promise{Unordered: true})
}

// One at a time: none lost, and all in order.
func TestJetStreamOrdered(t *testing.T) { Survive(t, newStream(t, "ordered: true"), Promise{}) }
