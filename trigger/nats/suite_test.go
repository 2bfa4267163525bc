package nats

import (
	"encoding/json"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	client "github.com/nats-io/nats.go"

	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

const patience = 2 * time.Minute

var (
	shared servers.Pool
	number atomic.Int64
)

func TestMain(m *testing.M) { os.Exit(shared.Run(m)) }

func TestSuite(t *testing.T) {
	server := shared.NATS(t)
	triggertest.QueueSuite(t, triggertest.Guarantees{NoKeys: true, Forgets: true,
		New: func(t testing.TB) triggertest.Broker { return newBroker(t, server) }})
}

// broker is one subject, and a way to it that can be cut.
type broker struct {
	server  *servers.Server
	subject string
	proxy   *fault.Proxy
	conn    *client.Conn
}

func newBroker(t testing.TB, s *servers.Server) *broker {
	t.Helper()
	p, err := fault.Listen(s.Addr)
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return &broker{server: s, subject: fmt.Sprintf("s%d.in", number.Add(1)), proxy: p, conn: connect(t, s)}
}

func connect(t testing.TB, s *servers.Server, opts ...client.Option) *client.Conn {
	t.Helper()
	opts = append(opts, client.MaxReconnects(-1), client.ReconnectWait(10*time.Millisecond), client.Timeout(30*time.Second))
	switch {
	case s.Password != "" && s.User == "":
		opts = append(opts, client.Token(s.Password))
	case s.Password != "":
		opts = append(opts, client.UserInfo(s.User, s.Password))
	}
	if s.TLS != nil {
		opts = append(opts, client.Secure(s.TLS))
	}
	c, err := client.Connect("nats://"+s.Addr, opts...)
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

func (b *broker) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	return b.trigger(t, s, map[string]any{"topic": b.subject})
}

func (b *broker) trigger(t testing.TB, s trigger.Settings, attributes map[string]any) trigger.Trigger {
	t.Helper()
	s.Spec.Kind, s.Spec.StartAt = Kind, ""
	if s.Spec.URL == "" {
		s.Spec.URL = "nats://" + b.proxy.Addr()
	}
	raw, err := json.Marshal(attributes)
	must(t, err)
	trg, err := Factory().New(s, raw)
	must(t, err)
	return trg
}

func (b *broker) Produce(t testing.TB, rs ...triggertest.Record) {
	t.Helper()
	for _, r := range rs {
		m := client.NewMsg(b.subject)
		m.Data = []byte(r.Body)
		for k, v := range r.Headers {
			m.Header.Set(k, v)
		}
		must(t, b.conn.PublishMsg(m))
	}
	must(t, b.conn.FlushTimeout(patience))
}

func (b *broker) Cut(testing.TB)    { b.proxy.Reset() }
func (b *broker) Away(t testing.TB) { must(t, b.proxy.Cut()) }
func (b *broker) Back(t testing.TB) { must(t, b.proxy.Restore()) }

func (b *broker) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	locked := newBroker(t, servers.NATS(t, servers.Login("ann", "secret")))
	token := newBroker(t, servers.NATS(t, servers.Login("", "secret")))
	wrong, guess := s, s
	wrong.Spec.Username, wrong.Spec.Password = "ann", quantity.Secret("no")
	guess.Spec.Secret = quantity.Secret("no")
	return map[string]triggertest.Broken{
		"password": {Trigger: locked.Trigger(t, wrong), Says: `user "ann" or its password is refused`},
		"nobody":   {Trigger: locked.Trigger(t, s), Says: `wants a user, a token or credentials`},
		"token":    {Trigger: token.Trigger(t, guess), Says: `the token is refused`},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
