package examples_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/table/sqlite"
	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/pipeline"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/processor/handoff"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/java"
	"github.com/myelin-run/myelin/runtime/nodejs"
	"github.com/myelin-run/myelin/runtime/python"
	"github.com/myelin-run/myelin/test/servers"
	"github.com/myelin-run/myelin/trigger"
	httptrigger "github.com/myelin-run/myelin/trigger/http"
	"github.com/myelin-run/myelin/trigger/kafka"
)

// The counts of users are exact, and the next processor goes on with them.
func TestCounterExample(t *testing.T) {
	p, addr := builders(t), servers.Kafka(t).Addr
	for _, dir := range []string{"counter-python", "counter-nodejs", "counter-java"} {
		t.Run(dir, func(t *testing.T) {
			a, _, err := p.Build(t.Context(), pipeline.Request{Path: dir}, t.Output())
			if err != nil {
				t.Fatal(err)
			}
			counts(t, a, addr)
		})
	}
}

func counts(t *testing.T, a build.Artefact, addr string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	topic := "visits-of-" + a.Config.Metadata.Name
	if _, err := kadm.NewClient(cl).CreateTopics(ctx, 1, 1, nil, topic); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	socket, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	visits, listen := a.Config.Spec.Triggers["visits"], ln.Addr().String()
	visits.URL = addr
	visits.Attributes = fmt.Appendf(nil, `{"topics": [%q], "consumerGroup": %[1]q}`, topic)
	a.Config.Spec.Triggers["visits"] = visits
	cfg := processor.Config{Function: a.Config, Dir: a.Dir, Bindings: processor.Bindings{Dir: t.TempDir()}, Admin: processor.Admin{Listen: "none"}}
	sum := 0
	for range 2 {
		cfg.Scratch = t.TempDir()
		stop := counter(t, cfg, int(socket.Fd()))
		for range 10 {
			if err := cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte("ada"), Value: []byte("in")}, &kgo.Record{Topic: topic, Key: []byte("bob")}).FirstErr(); err != nil {
				t.Fatal(err)
			}
			sum++
		}
		for said := ""; said != fmt.Sprint(sum); said = told(ctx, "http://"+listen+"/bob") {
			if ctx.Err() != nil {
				t.Fatalf("bob came %d times, and %q is told", sum, said)
			}
			time.Sleep(20 * time.Millisecond)
		}
		if said := told(ctx, "http://"+listen+"/ada"); said != fmt.Sprint(sum) {
			t.Errorf("ada came %d times, and %q is told", sum, said)
		}
		stop()
	}
}

func told(ctx context.Context, url string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

// counter runs the function until stop is called.
func counter(t *testing.T, cfg processor.Config, socket int) (stop func()) {
	t.Helper()
	function.Defaults(&cfg.Function)
	p, err := processor.New(cfg, processor.Parts{Triggers: trigger.NewSet(kafka.Factory(), httptrigger.Factory()), Runtimes: runtime.NewSet(python.Factory(), nodejs.Factory(), java.Factory()),
		Bindings: binding.NewSet(sqlite.Factory()), Sockets: []handoff.Socket{{Name: "http", FD: socket}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
