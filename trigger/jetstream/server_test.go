package jetstream

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
)

// publish puts the numbers from to to-1 into the stream.
func (b *broker) publish(t testing.TB, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		_, err := b.js.Publish(limit(t), b.stream+".in", fmt.Append(nil, n))
		must(t, err)
	}
}

func retry(attempts int) function.Delivery {
	return function.Delivery{Retry: &function.Retry{Attempts: attempts, Backoff: &function.Backoff{Initial: 1e6, Max: 1e7}}}
}

// TestMessage: what a message has, and an id that stays if it has none.
func TestMessage(t *testing.T) {
	b := newBroker(t, shared.NATS(t), nil)
	seen := map[string]int{}
	var mu sync.Mutex
	r := started(t, b.Trigger(t, settings(t, function.Trigger{Delivery: retry(3)})), func(ev *event.Event, _ *event.Response) error {
		mu.Lock()
		defer mu.Unlock()
		if seen[string(ev.ID)]++; seen[string(ev.ID)] < 3 {
			return errors.New("not yet")
		}
		return nil
	})
	m := nats.NewMsg(b.stream + ".a.b")
	m.Header["k"], m.Header[nats.MsgIdHdr], m.Header["Content-Type"] = []string{"v\xfe"}, []string{"mine"}, []string{"x/y"}
	m.Data = []byte{0, 0xff}
	before := time.Now().Add(-time.Second)
	for range 2 { // the second is known already
		_, err := b.js.PublishMsg(limit(t), m)
		must(t, err)
	}
	b.publish(t, 0, 1)
	r.until("both to be done", func(x trigger.Report) bool { return x.Done == 2 })
	ev := r.next()
	for string(ev.ID) != "mine" { // they run beside each other
		ev = r.next()
	}
	if string(ev.ContentType) != "x/y" || ev.Topic != m.Subject || string(ev.Header("K")) != "v\xfe" || string(ev.Body) != "\x00\xff" || ev.Time.Before(before) {
		t.Errorf("event %+v", ev)
	}
	if len(seen) != 2 || seen["mine"] != 3 || seen[b.stream+":2"] != 3 {
		t.Errorf("ids %v", seen)
	}
}

// TestLongFunction: a message whose function takes longer than the ack wait is
// not delivered again, nor are those that wait behind it.
func TestLongFunction(t *testing.T) {
	b := newBroker(t, shared.NATS(t), map[string]any{"ackWait": "600ms"})
	r := started(t, b.Trigger(t, settings(t, function.Trigger{Delivery: function.Delivery{MaxInFlight: 1}})), func(ev *event.Event, _ *event.Response) error {
		if string(ev.Body) == "0" {
			time.Sleep(2 * time.Second) // what is tested
		}
		return nil
	})
	b.publish(t, 0, 10)
	r.until("all to be done", func(x trigger.Report) bool { return x.Done == 10 })
	r.end()
	if n := len(r.events); n != 10 {
		t.Errorf("%d runs, want 10", n)
	}
	if x := b.info(t, "f-in"); x.NumRedelivered != 0 || x.NumAckPending != 0 {
		t.Errorf("%d delivered again, %d not acked", x.NumRedelivered, x.NumAckPending)
	}
}

func (b *broker) info(t testing.TB, consumer string) *jetstream.ConsumerInfo {
	t.Helper()
	c, err := b.js.Consumer(limit(t), b.stream, consumer)
	must(t, err)
	return c.CachedInfo()
}

// TestOrdered: two replicas run the messages one at a time in their order, also
// over failures.
func TestOrdered(t *testing.T) {
	b := newBroker(t, shared.NATS(t), map[string]any{"ordered": true})
	const n = 60
	var mu sync.Mutex
	var got []string
	var inside, failed atomic.Int32
	then := func(ev *event.Event, _ *event.Response) error {
		if inside.Add(1) != 1 {
			t.Error("two at once")
		}
		defer inside.Add(-1)
		mu.Lock()
		defer mu.Unlock()
		if len(got)%7 == 3 && failed.Add(1)%2 == 1 {
			return errors.New("once")
		}
		got = append(got, string(ev.Body))
		return nil
	}
	spec := function.Trigger{Delivery: retry(9)}
	one, two := started(t, b.Trigger(t, settings(t, spec)), then), started(t, b.Trigger(t, settings(t, spec)), then)
	b.publish(t, 0, n)
	one.until("all to be done", func(x trigger.Report) bool { return x.Done+two.report().Done == n })
	for i, body := range got {
		if body != fmt.Sprint(i) {
			t.Fatalf("in the order %v", got)
		}
	}
}

// TestKilled: the server dies under load; nothing is lost.
func TestKilled(t *testing.T) {
	b := newBroker(t, servers.NATS(t), map[string]any{"ackWait": "1s", "topology": "declare"})
	b.stream = fresh()
	r := started(t, b.trigger(t, settings(t, function.Trigger{Delivery: retry(100)}), map[string]any{"stream": b.stream, "topics": []string{b.stream + ".>"}}), nil)
	const n, kills = 300, 3
	for i := range kills {
		b.publish(t, i*n/kills, (i+1)*n/kills)
		must(t, b.server.Kill())
		must(t, b.server.Start())
		r.until("the server", func(x trigger.Report) bool { return x.Reconnects > uint64(i) && x.State == trigger.Running })
	}
	got := map[string]int{}
	for len(got) < n {
		got[string(r.next().Body)]++
	}
	r.until("the end", func(x trigger.Report) bool { return x.State == trigger.Running && x.InFlight == 0 })
	t.Logf("%d events ran again over %d kills", len(r.events)+sum(got)-n, kills)
	if x := r.report(); x.Reconnects < kills {
		t.Errorf("%d reconnections", x.Reconnects)
	}
}

func sum(m map[string]int) (n int) {
	for _, k := range m {
		n += k
	}
	return n
}

// TestSilence: a server that stops to answer is given up, and so is one whose
// consumer says nothing; all is run in the end.
func TestSilence(t *testing.T) {
	b := newBroker(t, shared.NATS(t), map[string]any{"ackWait": "1s", "pingInterval": "100ms", "connectTimeout": "500ms", "heartbeat": "200ms"})
	r := started(t, b.Trigger(t, settings(t, function.Trigger{Delivery: retry(100)})), func(*event.Event, *event.Response) error {
		time.Sleep(time.Millisecond)
		return nil
	})
	b.publish(t, 0, 200)
	r.next()
	b.proxy.Blackhole()
	r.until("the loss", func(x trigger.Report) bool { return x.State == trigger.Connecting && x.Problem != "" })
	must(t, b.proxy.Restore())
	got := map[string]int{}
	for len(got) < 199 {
		got[string(r.next().Body)]++
	}
	r.until("the server", func(x trigger.Report) bool { return x.State == trigger.Running })
	b.proxy.Blackhole()
	r.end() // and does not wait for it for ever
}

// TestDeleted: a consumer that is deleted is made anew, a stream waited for.
func TestDeleted(t *testing.T) {
	b := newBroker(t, shared.NATS(t), map[string]any{"heartbeat": "300ms"})
	r := started(t, b.Trigger(t, settings(t, function.Trigger{Delivery: function.Delivery{StartAt: "latest"}})), nil)
	b.publish(t, 0, 3)
	r.until("3", func(x trigger.Report) bool { return x.Done == 3 })
	must(t, b.js.DeleteConsumer(limit(t), b.stream, "f-in"))
	r.until("the loss", func(x trigger.Report) bool { return x.Reconnects == 1 && x.State == trigger.Running })
	b.publish(t, 3, 6)
	r.until("6", func(x trigger.Report) bool { return x.Done == 6 })
	must(t, b.js.DeleteStream(limit(t), b.stream))
	r.until("the complaint", func(x trigger.Report) bool {
		return x.State == trigger.Connecting && strings.Contains(x.Problem, "is not there")
	})
	b.makeStream(t, b.stream)
	r.until("the stream", func(x trigger.Report) bool { return x.State == trigger.Running })
	b.publish(t, 6, 9)
	r.until("9", func(x trigger.Report) bool { return x.Done == 9 })
}

// TestPoison: what fails for good ends in a stream, or is given up at the
// server, which tells of it; the rest is done.
func TestPoison(t *testing.T) {
	b := newBroker(t, shared.NATS(t), nil)
	advisories := make(chan *nats.Msg, 10)
	_, err := b.js.Conn().ChanSubscribe("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED."+b.stream+".*", advisories)
	must(t, err)
	must(t, b.js.Conn().Flush())
	for kind, to := range map[string]function.Destination{"topic": {Kind: "topic", Topic: b.stream + ".dead"}, "broker": {Kind: "broker"}} {
		d := retry(2)
		d.OnFailure = &to
		s := settings(t, function.Trigger{Delivery: d})
		s.Name = kind
		r := started(t, b.trigger(t, s, map[string]any{"stream": b.stream, "topics": []string{b.stream + "." + kind}}), func(ev *event.Event, _ *event.Response) error {
			if string(ev.Body) == "7" {
				return errors.New("cannot do 7")
			}
			return nil
		})
		for n := range 20 {
			_, err := b.js.PublishMsg(limit(t), &nats.Msg{Subject: b.stream + "." + kind, Data: fmt.Append(nil, n), Header: nats.Header{"h": {"v"}}})
			must(t, err)
		}
		r.until("19 to be done and one dead", func(x trigger.Report) bool { return x.Done == 19 && x.Dead == 1 })
		r.until("no lag", func(trigger.Report) bool { x := b.info(t, "f-"+kind); return x.NumPending+uint64(x.NumAckPending) == 0 })
	}
	stream, err := b.js.Stream(limit(t), b.stream)
	must(t, err)
	m, err := stream.GetLastMsgForSubject(limit(t), b.stream+".dead")
	must(t, err)
	if string(m.Data) != "7" || m.Header.Get("h") != "v" || m.Header.Get("myelin-error") != "cannot do 7" || m.Header.Get("myelin-attempts") != "2" {
		t.Errorf("letter %q with %v", m.Data, m.Header)
	}
	select {
	case a := <-advisories:
		if !strings.Contains(string(a.Data), "cannot do 7") {
			t.Errorf("advisory %s", a.Data)
		}
	case <-time.After(patience):
		t.Error("no advisory")
	}
}

// TestTopic: a letter is sent once a stream has it, and once only.
func TestTopic(t *testing.T) {
	b := newBroker(t, shared.NATS(t), nil)
	cfg := defaults()
	cfg.Stream = b.stream
	src, err := newSource(trigger.Settings{Name: "in", Spec: function.Trigger{URL: "nats://" + b.proxy.Addr()}}, cfg)
	must(t, err)
	defer src.Close()
	send := func(to string, l *letter.Letter) error {
		d, err := src.Topic(to)
		must(t, err)
		return d.Send(context.Background(), l)
	}
	for range 3 {
		must(t, send(b.stream+".out", &letter.Letter{ID: "l", Event: letter.Event{Headers: []letter.Header{{Key: "\xff", Value: letter.Bytes("v")}, {Key: "Nats-Msg-Id", Value: letter.Bytes("the event's")}}}}))
	}
	stream, err := b.js.Stream(limit(t), b.stream)
	must(t, err)
	if n := stream.CachedInfo().State.Msgs; n != 1 {
		t.Errorf("the stream has %d messages, want 1", n)
	}
	if err := send("nowhere", &letter.Letter{ID: "l"}); err == nil || event.IsPermanent(err) || !strings.Contains(err.Error(), "no stream has that subject") {
		t.Errorf("no stream: %v", err)
	}
	if err := send(b.stream+".out", &letter.Letter{ID: "m", Event: letter.Event{Body: make([]byte, 2<<20)}}); !event.IsPermanent(err) {
		t.Errorf("too large: %v", err)
	}
	must(t, b.proxy.Cut())
	if err := send(b.stream+".out", &letter.Letter{ID: "n"}); err == nil || event.IsPermanent(err) {
		t.Errorf("no server: %v", err)
	}
	must(t, b.proxy.Restore())
	must(t, send(b.stream+".out", &letter.Letter{ID: "n"}))
}

// TestSeek: the consumer begins where startAt says, and again where Seek says,
// for all replicas.
func TestSeek(t *testing.T) {
	b := newBroker(t, shared.NATS(t), map[string]any{"heartbeat": "300ms"})
	b.publish(t, 0, 10)
	middle := time.Now()
	b.publish(t, 10, 20)
	one := started(t, b.Trigger(t, settings(t, function.Trigger{Delivery: function.Delivery{StartAt: "16"}})), nil)
	two := started(t, b.Trigger(t, settings(t, function.Trigger{})), nil)
	runs := func() int { return len(one.events) + len(two.events) }
	one.until("the last 5", func(trigger.Report) bool { return runs() == 5 })
	for to, want := range map[string]int{"earliest": 20, middle.Format(time.RFC3339Nano): 10, "3": 18} {
		before := runs()
		one.until("rest", func(x trigger.Report) bool { return x.InFlight == 0 && two.report().InFlight == 0 })
		must(t, one.Trigger.(trigger.Seeker).Seek(limit(t), to))
		one.until("those from "+to, func(trigger.Report) bool { return runs()-before >= want })
		if got := runs() - before; got != want {
			t.Errorf("%d runs from %s, want %d", got, to, want)
		}
	}
	must(t, one.Trigger.(trigger.Seeker).Seek(limit(t), "latest"))
	one.until("nothing to do", func(trigger.Report) bool { return b.info(t, "f-in").NumPending == 0 })
}

// TestDeclared: what is missing is made; a consumer that differs is changed.
func TestDeclared(t *testing.T) {
	b := newBroker(t, shared.NATS(t), map[string]any{"topology": "declare"})
	name := fresh()
	attributes := map[string]any{"stream": name, "topics": []string{name + ".a", name + ".b"}, "consumer": "c", "maxAckPending": 20,
		"declared": map[string]any{"subjects": []string{name + ".>"}, "storage": "memory", "maxAge": "1m", "maxBytes": "1Mi", "maxMessages": 1000}}
	r := started(t, b.trigger(t, settings(t, function.Trigger{}), attributes), nil)
	for _, s := range []string{".a", ".other", ".b"} {
		_, err := b.js.Publish(limit(t), name+s, []byte(s))
		must(t, err)
	}
	if one, two := r.next(), r.next(); string(one.Body)+string(two.Body) != ".a.b" {
		t.Errorf("events %s and %s", one.Body, two.Body)
	}
	r.end()
	attributes["topics"], attributes["ackWait"] = []string{name + ".>"}, "9s"
	r = started(t, b.trigger(t, settings(t, function.Trigger{}), attributes), nil)
	_, err := b.js.Publish(limit(t), name+".other", []byte("x"))
	must(t, err)
	r.next()
	c, err := b.js.Consumer(limit(t), name, "c")
	must(t, err)
	if got := c.CachedInfo().Config; got.AckWait != 9*time.Second || got.MaxAckPending != 20 || got.MaxDeliver != -1 {
		t.Errorf("consumer %+v", got)
	}
	attributes["declared"] = map[string]any{"subjects": []string{"else.>"}}
	x := run(t, b.trigger(t, settings(t, function.Trigger{}), attributes), nil)
	x.until("the complaint", func(x trigger.Report) bool { return strings.Contains(x.Problem, `it has no subject "else.>"`) })
}

// TestMaxDeliver: a consumer that forgets messages before the trigger gives
// them up would lose them, and is not taken.
func TestMaxDeliver(t *testing.T) {
	b := newBroker(t, shared.NATS(t), map[string]any{"topology": "none", "consumer": "few", "ackWait": "1s"})
	_, err := b.js.CreateConsumer(limit(t), b.stream, jetstream.ConsumerConfig{Durable: "few", AckPolicy: jetstream.AckExplicitPolicy, MaxDeliver: 3, AckWait: time.Second})
	must(t, err)
	r := run(t, b.Trigger(t, settings(t, function.Trigger{})), nil)
	r.until("the complaint", func(x trigger.Report) bool { return strings.Contains(x.Problem, "delivers a message 3 times at most") })
	started(t, b.Trigger(t, settings(t, function.Trigger{Delivery: retry(2)})), nil)
}

// TestSecure: over TLS, as a user.
func TestSecure(t *testing.T) {
	s := servers.NATS(t, servers.Login("ann", "secret"), servers.WithTLS())
	b := newBroker(t, s, map[string]any{"tls": map[string]any{"caFile": s.CAFile()}})
	x := settings(t, function.Trigger{Username: s.User, Password: quantity.Secret(s.Password)})
	r := started(t, b.Trigger(t, x), nil)
	b.publish(t, 0, 1)
	r.next()
}

// TestOrderPerKey: a stream that spreads keys over subjects, and an ordered
// trigger for each, keep the order of each key and run keys beside each other.
func TestOrderPerKey(t *testing.T) {
	const parts, keys, each = 4, 16, 12
	b := newBroker(t, shared.NATS(t), nil)
	name := fresh()
	_, err := b.js.CreateStream(limit(t), jetstream.StreamConfig{Name: name, Subjects: []string{name + ".*"}, Storage: jetstream.MemoryStorage,
		SubjectTransform: &jetstream.SubjectTransformConfig{Source: name + ".*", Destination: name + ".{{partition(4,1)}}.{{wildcard(1)}}"}})
	must(t, err)
	var mu sync.Mutex
	var now, most int
	next := map[string]int{}
	then := func(ev *event.Event, _ *event.Response) error {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(2 * time.Millisecond) // so that others run meanwhile
		mu.Lock()
		defer mu.Unlock()
		now--
		key := ev.Topic[strings.LastIndexByte(ev.Topic, '.')+1:]
		if string(ev.Body) != fmt.Sprint(next[key]) {
			t.Errorf("event %s of key %s, want %d", ev.Body, key, next[key])
		}
		next[key]++
		return nil
	}
	var rs []*running
	for p := range parts {
		s := settings(t, function.Trigger{})
		s.Name = fmt.Sprint("part", p)
		rs = append(rs, started(t, b.trigger(t, s, map[string]any{"stream": name, "ordered": true, "topics": []string{fmt.Sprintf("%s.%d.>", name, p)}}), then))
	}
	for n := range each {
		for k := range keys {
			_, err := b.js.Publish(limit(t), fmt.Sprintf("%s.k%d", name, k), fmt.Append(nil, n))
			must(t, err)
		}
	}
	rs[0].until("all to be done", func(trigger.Report) bool {
		var done uint64
		for _, r := range rs {
			done += r.report().Done
		}
		return done == keys*each
	})
	if most < 2 {
		t.Error("no two keys ran beside each other")
	}
}

// TestForbidden: a user who may not ask JetStream is told so.
func TestForbidden(t *testing.T) {
	server := servers.NATS(t, servers.Login("ann", "secret"), servers.Forbid("$JS.API.STREAM.INFO.*"))
	spec := function.Trigger{URL: "nats://" + server.Addr, Username: server.User, Password: quantity.Secret(server.Password)}
	r := run(t, (&broker{}).trigger(t, settings(t, spec), map[string]any{"stream": "s"}), nil)
	r.until("the complaint", func(x trigger.Report) bool {
		return x.State == trigger.Connecting && strings.Contains(x.Problem, "$JS.API.STREAM.INFO.s")
	})
}
