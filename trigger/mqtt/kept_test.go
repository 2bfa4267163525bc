package mqtt

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/queue"
)

// told is a broker that says what a test tells it to.
type told struct {
	t *testing.T
	l net.Listener
	c net.Conn
}

func tell(t *testing.T) *told {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	b := &told{t: t, l: l}
	t.Cleanup(func() {
		_ = l.Close()
		if b.c != nil {
			_ = b.c.Close()
		}
	})
	return b
}

// let takes the next client in, whose session is there or not, and goes on until
// it has subscribed if it is to do so.
func (b *told) let(version int, present, subscribes bool) {
	b.t.Helper()
	must(b.t, b.l.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute)))
	c, err := b.l.Accept()
	must(b.t, err)
	must(b.t, c.SetDeadline(time.Now().Add(time.Minute)))
	b.c = c
	b.next(0x10)
	connack := []byte{0x20, 2, 0, 0}
	if version == 5 {
		connack = []byte{0x20, 3, 0, 0, 0}
	}
	if present {
		connack[2] = 1
	}
	b.say(connack...)
	if !subscribes {
		return
	}
	p := b.next(0x82)
	suback := []byte{0x90, 3, p[2], p[3], 2}
	if version == 5 {
		suback = []byte{0x90, 4, p[2], p[3], 0, 1}
	}
	b.say(suback...)
}

func (b *told) say(p ...byte) {
	b.t.Helper()
	_, err := b.c.Write(p)
	must(b.t, err)
}

// publish sends a message of QoS 2 with version 3.1.1.
func (b *told) publish(head byte, id byte, body string) {
	b.t.Helper()
	b.say(append([]byte{head, byte(5 + len(body)), 0, 1, 't', 0, id}, body...)...)
}

// next reads up to a packet that begins so, and answers no ping.
func (b *told) next(head byte) []byte {
	b.t.Helper()
	for {
		p := make([]byte, 2)
		_, err := io.ReadFull(b.c, p)
		must(b.t, err)
		p = append(p, make([]byte, p[1])...)
		_, err = io.ReadFull(b.c, p[2:])
		must(b.t, err)
		if p[0] == head {
			return p
		}
	}
}

func (b *told) wants(p ...byte) {
	b.t.Helper()
	if got := b.next(p[0]); !bytes.Equal(got, p) {
		b.t.Fatalf("the client says % x, want % x", got, p)
	}
}

// A message of QoS 2 that is done is not run again if it comes again; another
// one that has got its id is.
func TestHalfway(t *testing.T) {
	b := tell(t)
	r := run(t, at(b.l.Addr().String()), on("t", 2, map[string]any{"version": 3}), nil)
	b.let(3, false, true)
	b.publish(0x34, 1, "a")
	b.publish(0x34, 2, "b")
	b.wants(0x50, 2, 0, 1)
	b.wants(0x50, 2, 0, 2)
	_ = b.c.Close()
	b.let(3, true, false)
	b.publish(0x3c, 1, "a")
	b.wants(0x50, 2, 0, 1)
	b.publish(0x34, 1, "c") // its id in the state of a while ago
	b.wants(0x50, 2, 0, 1)
	b.publish(0x3c, 2, "d") // another client had it before
	b.wants(0x50, 2, 0, 2)
	for body, want := range map[string]int{"a": 1, "b": 1, "c": 1, "d": 1} {
		if n := r.counts(body); n != want {
			t.Errorf("%s ran %d times, want %d", body, n, want)
		}
	}
}

// The member of a group that has left it keeps its session if the broker may
// have messages for it.
func TestLeavesUnfinished(t *testing.T) {
	for name, empty := range map[string]bool{"unknown": false, "empty": true} {
		t.Run(name, func(t *testing.T) {
			b := tell(t)
			src, err := newSource(at(b.l.Addr().String()), group(t))
			must(t, err)
			opened, ended := make(chan queue.Session, 1), make(chan error, 1)
			go func() {
				s, err := src.Connect(context.Background(), queue.Want{Prefetch: 1})
				opened <- s
				ended <- err
			}()
			b.let(5, false, true)
			s := <-opened
			must(t, <-ended)
			must(t, s.(queue.Drainer).Drain(context.Background()))
			p := b.next(0xa2)
			b.say(0xb0, 4, p[2], p[3], 0, 0)
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			go func() { _, err := s.Receive(ctx, []*queue.Message{{}}); ended <- err }()
			b.next(0xc0)
			if empty {
				b.say(0xd0, 0)
			} else {
				cancel()
			}
			if err := <-ended; (err == io.EOF) != empty { //nolint:errorlint // as the engine wants it
				t.Errorf("Receive: %v", err)
			}
			cancel()
			go func() { ended <- s.Close(context.Background()) }()
			bye := []byte{0xe0, 2, 0, 0}
			if empty { // the session expires at once
				bye = []byte{0xe0, 7, 0, 5, 0x11, 0, 0, 0, 0}
			}
			b.wants(bye...)
			_ = b.c.Close()
			must(t, <-ended)
		})
	}
}

func group(t *testing.T) Config {
	t.Helper()
	cfg := defaults()
	cfg.Subscriptions, cfg.Group, cfg.Version = []Subscription{{Topic: "t", QoS: 1}}, "g", 5
	must(t, cfg.Validate())
	return cfg
}

// A group goes on after the broker was restarted, or a connection was lost:
// Mosquitto has forgotten who was in it.
func TestGroupGoesOn(t *testing.T) {
	versions(t, func(t *testing.T, version int) {
		server := servers.Mosquitto(t)
		var members []*running
		for i := range 2 {
			s := at(server.Addr)
			s.Replica = fmt.Sprint("r", i)
			members = append(members, run(t, s, map[string]any{"subscriptions": []any{map[string]any{"topic": "in", "qos": 1}}, "version": version, "group": "g", "clientID": "m"}, nil).ready())
		}
		for round, end := range []func() error{server.Stop, server.Kill} {
			must(t, end())
			must(t, server.Start())
			until(t, "the reconnection", func() bool {
				for _, m := range members {
					if x := m.report(); x.State != trigger.Running || x.Reconnects <= uint64(round) {
						return false
					}
				}
				return true
			})
			put := producer5(t, server, 1)
			for i := range 10 {
				must(t, put("in", record(fmt.Sprint(round, i))))
			}
			for i := range 10 {
				until(t, "the message", func() bool {
					return members[0].counts(fmt.Sprint(round, i))+members[1].counts(fmt.Sprint(round, i)) > 0
				})
			}
		}
	})
}
