package examples_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/python"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/kafka"
)

// Each order has its price in one topic, and one that has none is in another.
func TestKafkaExample(t *testing.T) {
	a, _, err := builders(t).Build(t.Context(), pipeline.Request{Path: "kafka-python"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	addr := servers.Kafka(t).Addr
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics("prices", "orders.failed"), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	if _, err := kadm.NewClient(cl).CreateTopics(ctx, 1, 1, nil, "orders", "prices", "orders.failed"); err != nil {
		t.Fatal(err)
	}
	at := a.Config.Spec.Triggers["orders"]
	at.URL = addr
	a.Config.Spec.Triggers["orders"] = at
	a.Config.Spec.DisableDefaultHTTPTrigger = true
	priced(t, processor.Config{Function: a.Config, Dir: a.Dir, Scratch: t.TempDir(), Admin: processor.Admin{Listen: "none"}})

	order := `{"id": 7, "items": [{"count": 2, "price": 21}]}`
	if err := cl.ProduceSync(ctx, &kgo.Record{Topic: "orders", Value: []byte("no order")}, &kgo.Record{Topic: "orders", Value: []byte(order)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for len(got) < 2 && ctx.Err() == nil {
		for r := range cl.PollFetches(ctx).RecordsAll() {
			got[r.Topic] = string(r.Value)
		}
	}
	if got["prices"] != `{"order": 7, "total": 42}` || got["orders.failed"] != "no order" {
		t.Errorf("topics have %q", got)
	}
}

// priced runs the function until the test ends.
func priced(t *testing.T, cfg processor.Config) {
	t.Helper()
	function.Defaults(&cfg.Function)
	p, err := processor.New(cfg, processor.Parts{Triggers: trigger.NewSet(kafka.Factory()), Runtimes: runtime.NewSet(python.Factory())})
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
}
