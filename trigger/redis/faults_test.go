package redis

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/triggertest"
)

// TestTooLarge: an entry that Redis will never take is given up for good.
func TestTooLarge(t *testing.T) {
	server := servers.Redis(t)
	b := newBroker(t, server, 1)
	must(t, b.client.ConfigSet(context.Background(), "proto-max-bulk-len", "1mb").Err())
	d, err := b.source(t, nil).Topic(fresh())
	must(t, err)
	l := &letter.Letter{ID: "l", Event: letter.Event{Body: make(letter.Bytes, 2<<20)}}
	if err := d.Send(context.Background(), l); !event.IsPermanent(err) {
		t.Errorf("too large: %v", err)
	}
	l.Event.Body = make(letter.Bytes, 512<<20+1)
	if err := d.Send(context.Background(), l); !event.IsPermanent(err) {
		t.Errorf("too large for any: %v", err)
	}
	l.Event.Body = letter.Bytes("small")
	for end := time.Now().Add(patience); d.Send(context.Background(), l) != nil; { // Redis has hung up
		if time.Now().After(end) {
			t.Fatal("nothing can be sent any more")
		}
	}
}

// TestLarge brings what Redis takes and text cannot have.
func TestLarge(t *testing.T) {
	b := newBroker(t, shared.Redis(t), 1)
	r := run(t, b.Trigger(t, settings(t, function.Trigger{})), nil)
	body := bytes.Repeat([]byte{0, 0xff}, 8<<20)
	b.add(t, b.streams[0], "k\xff", "v\xff", "body", body)
	ev := r.next()
	if !bytes.Equal(ev.Body, body) || string(ev.Header("k\xff")) != "v\xff" {
		t.Errorf("%d bytes, header %q", len(ev.Body), ev.Header("k\xff"))
	}
}

// TestLag: what waits in the streams is known.
func TestLag(t *testing.T) {
	b := newBroker(t, shared.Redis(t), 2)
	b.Produce(t, make([]triggertest.Record, 50)...)
	release := make(chan struct{})
	r := run(t, b.Trigger(t, settings(t, function.Trigger{Delivery: function.Delivery{Prefetch: 10, MaxInFlight: 2}})), func(*event.Event) error {
		<-release
		return nil
	})
	r.until("the lag", func(r trigger.Report) bool { return r.Lag == 50 })
	close(release)
	r.until("all to be done", func(r trigger.Report) bool { return r.Done == 50 })
}

// TestStart: a new group begins where the spec says, and Seek goes elsewhere.
func TestStart(t *testing.T) {
	b := newBroker(t, shared.Redis(t), 1)
	id := b.add(t, b.streams[0], "body", "old")
	trg := b.at(t, settings(t, function.Trigger{Delivery: function.Delivery{StartAt: "latest"}}), "redis://"+b.proxy.Addr(), b.attributes(nil))
	r := run(t, trg, nil)
	r.runs()
	b.add(t, b.streams[0], "body", "new")
	if ev := r.next(); string(ev.Body) != "new" {
		t.Errorf("event %q, want the new one", ev.Body)
	}
	ms, _, _ := strings.Cut(id, "-")
	must(t, trg.(trigger.Seeker).Seek(context.Background(), ms))
	if ev := r.next(); string(ev.Body) != "old" {
		t.Errorf("event %q, want the old one", ev.Body)
	}
}

// TestStreamDeleted: a stream that goes away is waited for.
func TestStreamDeleted(t *testing.T) {
	b := newBroker(t, shared.Redis(t), 1)
	b.add(t, b.streams[0], "body", "first")
	r := run(t, b.at(t, settings(t, function.Trigger{}), "redis://"+b.proxy.Addr(), b.attributes(map[string]any{"makeStreams": false})), nil)
	r.next()
	must(t, b.client.Del(context.Background(), b.streams[0]).Err())
	r.until("the loss", func(r trigger.Report) bool { return strings.Contains(r.Problem, "is not there") })
	b.add(t, b.streams[0], "body", "again")
	if ev := r.next(); string(ev.Body) != "again" {
		t.Errorf("event %q", ev.Body)
	}
}

// TestTLS: with the authority's certificate the server is trusted, else not; and
// no password is ever told.
func TestTLS(t *testing.T) {
	server := servers.Redis(t, servers.WithTLS(), servers.Login("me", "hush-hush"))
	b := &broker{server: server, streams: []string{"s"}, client: client(t, server)}
	var log lockedBuffer
	start := func(tls map[string]any, password string) *running {
		s := settings(t, function.Trigger{Username: "me", Password: quantity.Secret(password)})
		s.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		return run(t, b.at(t, s, "rediss://"+server.Addr, b.attributes(map[string]any{"tls": tls})), nil)
	}
	start(nil, "hush-hush").until("distrust", func(r trigger.Report) bool { return strings.Contains(r.Problem, "certificate") })
	trust := map[string]any{"caFile": server.CAFile(), "serverName": "localhost"}
	start(trust, "hush-wrong").until("refusal", func(r trigger.Report) bool { return strings.Contains(r.Problem, `user "me" or its password`) })
	r := start(trust, "hush-hush")
	b.add(t, "s", "body", "x")
	if ev := r.next(); string(ev.Body) != "x" {
		t.Errorf("event %q", ev.Body)
	}
	if strings.Contains(log.String(), "hush") {
		t.Errorf("a password is in the log:\n%s", log.String())
	}
}

// TestFewRights: a user who may neither unblock nor run scripts gets along.
func TestFewRights(t *testing.T) {
	b := newBroker(t, shared.Redis(t), 1)
	must(t, b.client.Do(context.Background(), "acl", "setuser", "few", "on", ">word", "~*", "-@all",
		"+xreadgroup", "+xack", "+xclaim", "+xautoclaim", "+xpending", "+xgroup", "+xinfo", "+ping", "+xadd").Err())
	r := run(t, b.Trigger(t, settings(t, function.Trigger{Username: "few", Password: "word"})), nil)
	b.add(t, b.streams[0], "body", "x")
	r.next()
	r.end()
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestBlackhole: a server that is silent is given up, and found again.
func TestBlackhole(t *testing.T) {
	b := newBroker(t, shared.Redis(t), 1)
	r := run(t, b.at(t, settings(t, function.Trigger{}), "redis://"+b.proxy.Addr(), b.attributes(map[string]any{"timeout": "1s", "connectTimeout": "1s"})), nil)
	r.runs()
	b.proxy.Blackhole()
	r.until("the loss", func(r trigger.Report) bool { return r.State == trigger.Connecting })
	must(t, b.proxy.Restore())
	b.add(t, b.streams[0], "body", "after")
	if ev := r.next(); string(ev.Body) != "after" {
		t.Errorf("event %q", ev.Body)
	}
}

// TestKilledServer: a server that is killed in the middle of the load, again and
// again, costs no entry.
func TestKilledServer(t *testing.T) {
	server := servers.Redis(t)
	b := newBroker(t, server, 2)
	const n, kills = 3000, 3
	for from := range 6 {
		var rs []triggertest.Record
		for i := range n / 6 {
			rs = append(rs, triggertest.Record{Body: fmt.Sprint(from*n/6 + i)})
		}
		b.Produce(t, rs...)
	}
	r := run(t, b.Trigger(t, settings(t, function.Trigger{})), func(*event.Event) error {
		<-time.After(time.Millisecond)
		return nil
	})
	seen := map[string]int{}
	runs := 0
	for killed := 0; len(seen) < n; runs++ {
		seen[string(r.next().Body)]++
		if killed < kills && len(seen) > (killed+1)*n/(kills+1) {
			killed++
			must(t, server.Kill())
			r.until("the loss", func(r trigger.Report) bool { return r.State == trigger.Connecting && r.Problem != "" })
			must(t, server.Start())
		}
	}
	t.Logf("%d runs of %d entries over %d kills", runs, n, kills)
}
