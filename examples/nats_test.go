package examples_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	natsstream "github.com/nats-io/nats.go/jetstream"

	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/python"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/jetstream"
	natscore "github.com/myelin-run/myelin/trigger/nats"
)

// Requests are answered, and so is one for what there is not.
func TestNATSExample(t *testing.T) {
	conn := natsServer(t, "nats-python", "requests")
	ask := func(subject, body string) (m *nats.Msg) {
		t.Helper()
		end := time.Now().Add(2 * time.Minute)
		for { // it may not have subscribed yet
			m, err := conn.Request(subject, []byte(body), 10*time.Second)
			if err == nil {
				return m
			}
			if time.Now().After(end) {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	if m := ask("prices.tea", "14"); string(m.Data) != "42" {
		t.Errorf("answered %q with %v", m.Data, m.Header)
	}
	if m := ask("prices.coffee", "1"); m.Header.Get("Nats-Service-Error-Code") != "500" {
		t.Errorf("answered %q with %v", m.Data, m.Header)
	}
}

// Each order has its price in one subject, and one that has none is in another.
func TestJetStreamExample(t *testing.T) {
	conn := natsServer(t, "jetstream-python", "orders")
	js, err := natsstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, order := range []string{`{"id": 7, "items": [{"count": 2, "price": 21}]}`, "no order"} {
		for { // the function may not have made the stream yet
			_, err := js.Publish(ctx, "shop.orders", []byte(order))
			if err == nil {
				break
			}
			if ctx.Err() != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	for subject, want := range map[string]string{"shop.prices": `{"order": 7, "total": 42}`, "shop.failed": "no order"} {
		c, err := js.OrderedConsumer(ctx, "SHOP", natsstream.OrderedConsumerConfig{FilterSubjects: []string{subject}})
		if err != nil {
			t.Fatal(err)
		}
		m, err := c.Next(natsstream.FetchMaxWait(time.Minute))
		if err != nil || string(m.Data()) != want {
			t.Errorf("%s has %v, %v, want %s", subject, m, err, want)
		}
	}
}

// natsServer runs an example whose trigger reads a server of the test's own.
func natsServer(t *testing.T, dir, name string) *nats.Conn {
	t.Helper()
	a, _, err := builders(t).Build(t.Context(), pipeline.Request{Path: dir}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	url := "nats://" + servers.NATS(t).Addr
	conn, err := nats.Connect(url, nats.Timeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	spec := a.Config.Spec.Triggers[name]
	spec.URL = url
	a.Config.Spec.Triggers[name] = spec
	a.Config.Spec.DisableDefaultHTTPTrigger = true
	cfg := processor.Config{Function: a.Config, Dir: a.Dir, Scratch: t.TempDir(), Admin: processor.Admin{Listen: "none"}, Letters: processor.Letters{Dir: t.TempDir()}}
	function.Defaults(&cfg.Function)
	p, err := processor.New(cfg, processor.Parts{Triggers: trigger.NewSet(natscore.Factory(), jetstream.Factory()), Runtimes: runtime.NewSet(python.Factory())})
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
	return conn
}
