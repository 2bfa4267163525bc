package control

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/test/servers"
)

// moves is how often the alias is moved; MYELIN_MOVES says another number.
func moves(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("MYELIN_MOVES"))
	if err != nil {
		n = 20
	}
	t.Logf("%d moves", n)
	return n
}

// noting is a world whose function notes its version and each event's body in a
// file, by the real processor. The version called broken fails.
type noting struct {
	*world
	seen   string
	digest string
}

func newNoting(t *testing.T) *noting {
	w := &noting{world: newWorld(t), digest: strings.Repeat("cd", 32)}
	w.seen = filepath.Join(w.dir, "seen")
	w.processor = filepath.Join(w.dir, "processor")
	if out, err := exec.Command("go", "build", "-o", w.processor, "../cmd/processor").CombinedOutput(); err != nil {
		t.Fatalf("build processor: %v: %s", err, out)
	}
	w.plantShell(w.digest)
	script := fmt.Sprintf("#!/bin/sh\nprintf '%%s %%s\\n' \"$VERSION\" \"$(cat)\" >> %s\n[ \"$VERSION\" != broken ]\n", w.seen)
	if err := os.WriteFile(filepath.Join(w.dir, "artefacts", w.digest, "src", "hello.sh"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.seen, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(w.seen, 0o666); err != nil { // whatever the umask
		t.Fatal(err)
	}
	w.start()
	return w
}

// version deploys and publishes a version.
func (w *noting) version(v string) int {
	cfg := config("hello", v)
	cfg.Metadata.Annotations["myelin.run/artefact"] = w.digest
	cfg.Spec.Handler = "hello.sh"
	w.deploy(cfg, function.Ready)
	return w.publish("hello")
}

// runs says how often each event ran, and how many in each version.
func (w *noting) runs() (events, versions map[string]int) {
	w.Helper()
	text, err := os.ReadFile(w.seen)
	if err != nil {
		w.Fatal(err)
	}
	events, versions = map[string]int{}, map[string]int{}
	for line := range strings.Lines(string(text)) {
		version, body, _ := strings.Cut(strings.TrimSpace(line), " ")
		events[body]++
		versions[version]++
	}
	return events, versions
}

// mapped makes a mapping of hello's alias prod.
func (w *noting) mapped(name string, source function.Trigger, attributes map[string]any) {
	w.Helper()
	raw, err := json.Marshal(attributes)
	if err != nil {
		w.Fatal(err)
	}
	source.Attributes, source.NumWorkers = raw, 2
	m := function.Mapping{Metadata: function.Metadata{Name: name}, Spec: function.MappingSpec{Function: "hello", Alias: "prod", Source: source}}
	if _, err := w.client.CreateMapping(w.Context(), m); err != nil {
		w.Fatal(err)
	}
}

// follows waits until a mapping brings its events to where the alias leads.
func (w *noting) follows(name, to string) {
	w.Helper()
	w.await(name+" to lead to "+to, func(ctx context.Context) error {
		m, err := w.client.Mapping(ctx, name)
		if err == nil && (m.Status.State != "active" || fmt.Sprint(m.Status.Targets) != to) {
			err = fmt.Errorf("it is %+v", m.Status)
		}
		return err
	})
}

// An alias is moved again and again between versions, weights included, and the
// control plane is killed in between, while events come from Kafka and RabbitMQ and a
// clock ticks: none is lost, and none runs twice because of a move.
func TestEventsFollowTheAlias(t *testing.T) {
	kafka, rabbit := servers.Kafka(t).Addr, servers.RabbitMQ(t).Addr
	w := newNoting(t)
	one, two := w.version("one"), w.version("two")
	w.move(alias("prod", one, 100))
	s := newSources(t, "in", kafka, rabbit)
	w.mapped("stream", function.Trigger{Kind: "kafka", URL: kafka}, map[string]any{"topics": []string{"in"}, "consumerGroup": "g", "heartbeatInterval": "200ms"})
	w.mapped("queue", function.Trigger{Kind: "rabbitmq", URL: "amqp://" + rabbit}, map[string]any{"queueName": "in", "topology": "check"})
	w.mapped("clock", function.Trigger{Kind: "cron"}, map[string]any{"interval": "1s", "missed": "all", "event": map[string]any{"body": "tick"}})
	began := time.Now()
	for _, name := range []string{"stream", "queue", "clock"} {
		w.follows(name, "[{1 100}]")
	}
	n := moves(t)
	for i := range n {
		s.send(5)
		to := [][]any{{two, 100}, {one, 30, two, 70}, {one, 100}, {one, 90, two, 10}}[i%4]
		w.move(alias("prod", to...))
		s.send(5)
		if i == n/2 {
			w.kill()
			w.start()
		}
		if i%3 == 0 { // else the next move comes in the midst of this one
			w.follows("stream", []string{"[{2 100}]", "[{1 30} {2 70}]", "[{1 100}]", "[{1 90} {2 10}]"}[i%4])
		}
	}
	w.await("all events", func(context.Context) error {
		if events, _ := w.runs(); len(events) < s.sent+1 {
			return fmt.Errorf("%d of %d", len(events)-1, s.sent)
		}
		return nil
	})
	took := time.Since(began)
	for _, name := range []string{"stream", "queue", "clock"} {
		m, err := w.client.Mapping(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		m.Spec.Disabled = true
		if _, err := w.client.PutMapping(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		w.await(name+" to be disabled", func(ctx context.Context) error {
			m, err := w.client.Mapping(ctx, name)
			if err == nil && m.Status.State != "disabled" {
				err = fmt.Errorf("it is %+v", m.Status)
			}
			return err
		})
	}
	events, versions := w.runs()
	ticks := events["tick"]
	delete(events, "tick")
	twice := 0
	for _, times := range events {
		twice += times - 1
	}
	t.Logf("%d events and %d ticks in %v over %d moves, by version %v", len(events), ticks, took.Round(time.Second), n, versions)
	if len(events) != s.sent || twice > 0 {
		t.Errorf("%d of %d events ran, %d of them again", len(events), s.sent, twice)
	}
	// The interval began when the first trigger did, and the mapping was
	// disabled a little later than measured: a tick each way.
	if most := int(time.Since(began).Seconds()) + 1; ticks < int(took.Seconds())-2 || ticks > most {
		t.Errorf("%d ticks in %v, at most %d", ticks, took, most)
	}
}

// sources puts events into Kafka and RabbitMQ.
type sources struct {
	t     *testing.T
	kafka *kgo.Client
	ch    *amqp.Channel
	sent  int
}

// newSources makes a topic of four shards and a queue, of the same name.
func newSources(t *testing.T, name, kafka, rabbit string) *sources {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(kafka))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := kadm.NewClient(cl).CreateTopics(ctx, 4, 1, nil, name); err != nil {
		t.Fatal(err)
	}
	conn, err := amqp.Dial("amqp://" + rabbit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ch, err := conn.Channel()
	if err == nil {
		_, err = ch.QueueDeclare(name, true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
	}
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &sources{t: t, kafka: cl, ch: ch}
}

// send puts n events into each, and returns when both have them.
func (s *sources) send(n int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	for range n {
		k, r := fmt.Sprint("k", s.sent), fmt.Sprint("r", s.sent)
		if err := s.kafka.ProduceSync(ctx, &kgo.Record{Topic: "in", Key: []byte(k), Value: []byte(k)}).FirstErr(); err != nil {
			s.t.Fatal(err)
		}
		c, err := s.ch.PublishWithDeferredConfirmWithContext(ctx, "", "in", false, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(r)})
		if err == nil {
			_, err = c.WaitContext(ctx)
		}
		if err != nil {
			s.t.Fatal(err)
		}
		s.sent += 2
	}
}

// The triggers of a function.yaml are mappings that events come by: they are
// moved to an alias, disabled and enabled, and a deploy leaves them where they
// are.
func TestOwnMappingsAreMoved(t *testing.T) {
	w := newNoting(t)
	cfg := config("hello", "one")
	cfg.Metadata.Annotations["myelin.run/artefact"] = w.digest
	cfg.Spec.Handler = "hello.sh"
	cfg.Spec.DrainTimeout = quantity.Duration(10 * time.Second)
	cfg.Spec.Triggers = map[string]function.Trigger{"tick": {Kind: "cron", Attributes: []byte(`{"interval":"100ms","event":{"body":"tick"}}`)}}
	ticks := func(version string) int { _, by := w.runs(); return by[version] }
	more := func(version string) {
		t.Helper()
		from := ticks(version)
		w.await("ticks of "+version, func(context.Context) error {
			if n := ticks(version); n < from+3 {
				return fmt.Errorf("%d after %d", n, from)
			}
			return nil
		})
	}
	w.deploy(cfg, function.Ready)
	w.follows("hello-tick", "[{$latest 100}]")
	more("one")
	v := w.publish("hello")
	w.move(alias("prod", v, 100))
	m, err := w.client.Mapping(t.Context(), "hello-tick")
	if err != nil {
		t.Fatal(err)
	}
	m.Spec.Alias = "prod"
	if m, err = w.client.PutMapping(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	w.follows("hello-tick", "[{1 100}]")
	cfg.Spec.Env[0].Value = "two"
	w.deploy(cfg, function.Ready)
	more("one") // of the version, though another one was deployed
	if n := ticks("two"); n != 0 {
		t.Errorf("what was deployed last had %d ticks", n)
	}
	w.move(alias("prod", w.publish("hello"), 100))
	more("two")
	if m, err = w.client.Mapping(t.Context(), "hello-tick"); err == nil {
		m.Spec.Disabled = true
		m, err = w.client.PutMapping(t.Context(), m)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.await("the mapping to be disabled", func(ctx context.Context) error {
		before := ticks("two")
		time.Sleep(500 * time.Millisecond) // no condition to await: nothing must come
		if after := ticks("two"); after != before {
			return fmt.Errorf("%d ticks came", after-before)
		}
		return nil
	})
	m.Metadata.ResourceVersion, m.Spec.Disabled = "", false
	if _, err = w.client.PutMapping(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	more("two")
}
