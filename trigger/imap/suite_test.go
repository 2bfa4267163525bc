package imap

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/dealing"
	"github.com/myelin-run/myelin/test/fault"
	"github.com/myelin-run/myelin/test/mortal"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

const patience = 2 * time.Minute

var (
	shared servers.Pool
	number atomic.Int64
)

func TestMain(m *testing.M) {
	mortal.Beside()
	os.Exit(shared.Run(m))
}

// broker is the mailbox of a user of its own, and a way to it that can be cut.
type broker struct {
	server *servers.Server
	user   string
	proxy  *fault.Proxy
	dealer *dealing.Dealer // nil: none
}

func newBroker(t testing.TB, s *servers.Server) *broker {
	t.Helper()
	p, err := fault.Listen(s.Addr)
	must(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return &broker{server: s, user: fmt.Sprintf("u%d", number.Add(1)), proxy: p}
}

func TestSuite(t *testing.T) { // alone: it looks for goroutines that are left behind
	s := shared.Dovecot(t)
	triggertest.QueueSuite(t, triggertest.Guarantees{NoKeys: true, NoHeaders: true, Sole: true, Parallel: true, New: func(t testing.TB) triggertest.Broker { return newBroker(t, s) }})
}

// With a dealer processors may be there at once.
func TestDealtSuite(t *testing.T) {
	s := shared.Dovecot(t)
	triggertest.QueueSuite(t, triggertest.Guarantees{NoKeys: true, NoHeaders: true, Parallel: true, Brief: true, New: func(t testing.TB) triggertest.Broker {
		b := newBroker(t, s)
		b.dealer = dealing.Start(t, 3*time.Second)
		return b
	}})
}

// Trigger implements [triggertest.Broker].
func (b *broker) Trigger(t testing.TB, s trigger.Settings) trigger.Trigger {
	t.Helper()
	return b.trigger(t, s, map[string]any{"format": "text"})
}

// trigger makes one of this mailbox.
func (b *broker) trigger(t testing.TB, s trigger.Settings, attributes map[string]any) trigger.Trigger {
	t.Helper()
	all := map[string]any{"startTLS": "never", "interval": "300ms"}
	maps.Copy(all, attributes)
	raw, err := json.Marshal(all)
	must(t, err)
	s.Spec.Kind = Kind
	if s.Spec.URL == "" {
		s.Spec.URL = "imap://" + b.proxy.Addr()
	}
	if s.Spec.Username == "" {
		s.Spec.Username, s.Spec.Password = b.user, quantity.Secret(b.server.Password)
	}
	if b.dealer != nil {
		s.Shards = b.dealer.Assigner()
	}
	trg, err := Factory().New(s, raw)
	must(t, err)
	return trg
}

// Produce implements [triggertest.Broker].
func (b *broker) Produce(t testing.TB, rs ...triggertest.Record) {
	t.Helper()
	var texts []string
	for _, r := range rs {
		text := "Subject: test\r\nContent-Transfer-Encoding: base64\r\n"
		for k, v := range r.Headers {
			text += k + ": " + v + "\r\n"
		}
		texts = append(texts, text+"\r\n"+base64.StdEncoding.EncodeToString([]byte(r.Body)))
	}
	b.put(t, texts...)
}

// put puts messages into the inbox.
func (b *broker) put(t testing.TB, texts ...string) {
	t.Helper()
	var commands []string
	for _, text := range texts {
		commands = append(commands, fmt.Sprintf("APPEND INBOX {%d+}\r\n%s", len(text), text))
	}
	b.says(t, commands...)
}

// says has the server do something, past the proxy, and returns all that it says.
func (b *broker) says(t testing.TB, commands ...string) string {
	t.Helper()
	conn, err := net.Dial("tcp", b.server.Addr)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	r := bufio.NewReader(conn)
	commands = append([]string{"LOGIN " + b.user + " " + b.server.Password}, commands...)
	var ask, all strings.Builder
	for i, c := range commands {
		fmt.Fprintf(&ask, "a%d %s\r\n", i, c)
	}
	go func() { _, _ = conn.Write([]byte(ask.String())) }() // what is not written is not answered
	for i, c := range commands {
		for end := fmt.Sprintf("a%d ", i); ; {
			line, err := r.ReadString('\n')
			must(t, err)
			all.WriteString(line)
			if rest, ok := strings.CutPrefix(line, end); ok {
				if !strings.HasPrefix(rest, "OK") {
					t.Fatalf("%.100s: %s", c, line)
				}
				break
			}
		}
	}
	return all.String()
}

// Cut implements [triggertest.Cutter], and Away and Back [triggertest.Switch].
func (b *broker) Cut(testing.TB)    { b.proxy.Reset() }
func (b *broker) Away(t testing.TB) { must(t, b.proxy.Cut()) }
func (b *broker) Back(t testing.TB) { must(t, b.proxy.Restore()) }

// Broken implements [triggertest.Breaker].
func (b *broker) Broken(t testing.TB, s trigger.Settings) map[string]triggertest.Broken {
	wrong := s
	wrong.Spec.Username, wrong.Spec.Password = b.user, "no"
	return map[string]triggertest.Broken{
		"password": {Trigger: b.trigger(t, wrong, nil), Says: `refuses the user or its password: "` + b.user},
		"mailbox": {Trigger: b.trigger(t, s, map[string]any{"mailbox": "orders", "format": "text"}), Says: `select mailbox "orders"`,
			Mend: func() { b.says(t, "CREATE orders") }},
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// running is a trigger that runs, and what its function saw.
type running struct {
	trigger.Reporter
	t    testing.TB
	mu   sync.Mutex
	seen []*event.Event
	end  func()
}

func run(t testing.TB, b *broker, spec function.Trigger, attributes map[string]any, then func(*event.Event) error) *running {
	t.Helper()
	trg := b.trigger(t, trigger.Settings{Name: "in", Function: "f", Workers: 2, Spec: spec, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}, attributes)
	return start(t, trg, then)
}

func start(t testing.TB, trg trigger.Trigger, then func(*event.Event) error) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Reporter: trg.(trigger.Reporter), t: t}
	done := make(chan error, 1)
	go func() {
		done <- trg.Run(ctx, trigger.HandlerFunc(func(_ context.Context, ev *event.Event, _ *event.Response) error {
			r.mu.Lock()
			r.seen = append(r.seen, ev.Clone())
			r.mu.Unlock()
			if then != nil {
				return then(ev)
			}
			return nil
		}))
	}()
	r.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(r.end)
	return r
}

// until waits for a condition.
func (r *running) until(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("waited for %s: %+v", what, r.Report())
		}
	}
}

// bodies are those of the events so far.
func (r *running) bodies() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ev := range r.seen {
		out = append(out, string(ev.Body))
	}
	return out
}
