package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/myelin-run/myelin"
	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/golang"
	"github.com/myelin-run/myelin/build/pipeline"
	buildpython "github.com/myelin-run/myelin/build/python"
	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/runtime/python"
	"github.com/myelin-run/myelin/test/servers"
)

// shape is how much is done in one run of the loss test. Rates are in a second
// and at most: a machine that has other work has lower ones.
type shape struct {
	runtime, source     string
	rate, stream, queue int // requests, and events of each mapping
	moves, kills        int
	linger              string
}

// While requests come through the gateway, and events from Kafka and RabbitMQ,
// an alias is moved between versions, its weights are stepped, versions are
// published, end and are removed, and the control plane is killed. Not one
// request fails, not one event is lost, and none is processed twice.
func TestNothingIsLostWhateverMoves(t *testing.T) {
	shapes := []shape{
		{"golang", "testdata/sink", 300, 60, 30, 10, 2, "500ms"},
		{"python", "testdata/sinkpy", 100, 30, 20, 5, 1, "500ms"},
	}
	if *long {
		shapes = []shape{
			{"golang", "testdata/sink", 5000, 500, 200, 100, 10, "3s"},
			{"python", "testdata/sinkpy", 1000, 200, 100, 100, 10, "3s"},
		}
	}
	kafka, rabbit := servers.Kafka(t).Addr, servers.RabbitMQ(t).Addr
	for _, s := range shapes {
		t.Run(s.runtime, func(t *testing.T) {
			from := newSources(t, s.runtime, kafka, rabbit)
			l := newLoss(t, s, kafka, rabbit)
			loads := map[string]*load{
				"http":     begin(s.rate, 32, asks(l.gateway, "/hello:prod", "/all/of/it")),
				"kafka":    begin(s.stream, 1, from.produce(s.runtime)),
				"rabbitmq": begin(s.queue, 4, from.publish(s.runtime)),
			}
			l.moveAll()
			for kind, load := range loads {
				load.stop(t, kind)
			}
			l.settle(loads)
		})
	}
}

// loss is one run: a function hello that notes each event in a file.
type loss struct {
	*world
	shape
	artefact build.Artefact
	sink     string // the files' names without the kind of source
	last     int    // version
	removed  int    // versions
}

func newLoss(t *testing.T, s shape, kafka, rabbit string) *loss {
	t.Helper()
	t.Setenv(lingerEnv, s.linger)
	l := &loss{world: newWorld(t), shape: s}
	t.Setenv("MYELIN_CACHE", filepath.Join(l.dir, "cache"))
	l.processor = filepath.Join(l.dir, "processor")
	if out, err := exec.Command("go", "build", "-o", l.processor, "../cmd/processor").CombinedOutput(); err != nil {
		t.Fatalf("build processor: %v: %s", err, out)
	}
	l.build()
	l.sink = filepath.Join(l.dir, "sink")
	for _, kind := range []string{"http", "kafka", "rabbitmq"} {
		l.must(os.WriteFile(l.sink+"."+kind, nil, 0o600))
		l.must(os.Chmod(l.sink+"."+kind, 0o666)) // whatever the umask
	}
	l.start()
	l.next()
	l.next()
	l.move(alias("prod", 1, 100))
	l.maps("route", function.Trigger{Kind: "http"}, map[string]any{"path": "/all"})
	l.maps("stream", function.Trigger{Kind: "kafka", URL: kafka}, map[string]any{"topics": []string{s.runtime}, "consumerGroup": s.runtime, "heartbeatInterval": "200ms"})
	l.maps("queue", function.Trigger{Kind: "rabbitmq", URL: "amqp://" + rabbit}, map[string]any{"queueName": s.runtime, "topology": "check"})
	return l
}

func (l *loss) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l *loss) build() {
	l.Helper()
	p := pipeline.New(pipeline.Options{Data: l.dir, Builders: map[string]build.Builder{
		"golang": golang.New(golang.Options{Sources: myelin.Sources, Data: l.dir}),
		"python": buildpython.New(buildpython.Options{Data: l.dir, Find: python.Find}),
	}})
	var err error
	l.artefact, _, err = p.Build(l.Context(), pipeline.Request{Path: l.source}, l.Output())
	l.must(err)
}

// maps makes a mapping of prod, whose events each version has four workers for.
func (l *loss) maps(name string, source function.Trigger, attributes map[string]any) {
	l.Helper()
	raw, err := json.Marshal(attributes)
	l.must(err)
	source.Attributes = raw
	if source.Kind != "http" {
		source.NumWorkers = 4
	}
	m := function.Mapping{Metadata: function.Metadata{Name: name}, Spec: function.MappingSpec{Function: "hello", Alias: "prod", Source: source}}
	_, err = l.client.CreateMapping(l.Context(), m)
	l.must(err)
	l.await(name+" to be active", func(ctx context.Context) error { return l.is(ctx, name, "active") })
}

// disable ends a mapping, and returns when all that it took is done.
func (l *loss) disable(mapping string) {
	l.Helper()
	m, err := l.client.Mapping(l.Context(), mapping)
	l.must(err)
	m.Spec.Disabled = true
	_, err = l.client.PutMapping(l.Context(), m)
	l.must(err)
	l.await(mapping+" to be disabled", func(ctx context.Context) error { return l.is(ctx, mapping, "disabled") })
}

func (l *loss) is(ctx context.Context, mapping, state string) error {
	m, err := l.client.Mapping(ctx, mapping)
	if err == nil && m.Status.State != state {
		err = fmt.Errorf("it is %+v", m.Status)
	}
	return err
}

// next deploys and publishes the next version.
func (l *loss) next() {
	l.Helper()
	l.last++
	cfg := l.artefact.Config
	cfg.Metadata.Annotations = map[string]string{plan.ArtefactAnnotation: l.artefact.Digest}
	cfg.Spec.Env = []function.EnvVar{{Name: "VERSION", Value: fmt.Sprint(l.last)}, {Name: "SINK", Value: l.sink}}
	cfg.Spec.Triggers = map[string]function.Trigger{"web": {Kind: "http", NumWorkers: 4}}
	l.deploy(cfg, function.Ready)
	if n := l.publish("hello"); n != l.last {
		l.Fatalf("published %d, want %d", n, l.last)
	}
}

// moveAll moves the alias as often as it is to be moved: from the version before
// to the last one in steps, back at once, and there again while the next one
// is published. In between the control plane is killed.
func (l *loss) moveAll() {
	began := time.Now()
	for i := range l.moves {
		before, last := l.last-1, l.last
		switch i % 5 {
		case 0:
			l.move(alias("prod", before, 90, last, 10))
		case 1:
			l.move(alias("prod", before, 50, last, 50))
		case 2:
			l.move(alias("prod", last, 100))
		case 3:
			l.move(alias("prod", before, 100))
		case 4:
			l.move(alias("prod", last, 100))
			l.next()
			l.collect()
		}
		if every := l.moves / l.kills; i%every == every-1 {
			l.killInAMove()
		}
	}
	l.Logf("%d moves, %d kills and %d versions, of which %d were removed, in %v", l.moves, l.kills, l.last, l.removed, time.Since(began).Round(time.Millisecond))
}

// killInAMove kills the control plane while it moves the alias: whether that
// move counts is not known.
func (l *loss) killInAMove() {
	l.Helper()
	moved := make(chan struct{})
	go func() {
		defer close(moved)
		_, _ = l.client.PutAlias(l.Context(), alias("prod", l.last-1, 30, l.last, 70), client.MoveOptions{})
	}()
	l.kill()
	<-moved
	l.start()
}

// collect waits until a version that nothing names any more has ended, and
// removes all of them but the last two.
func (l *loss) collect() {
	l.Helper()
	l.await("a version to end", func(ctx context.Context) error {
		gone, err := l.client.Collect(ctx, "hello", client.CollectOptions{Keep: 2})
		l.removed += len(gone)
		if err == nil && len(gone) == 0 && l.last > 3 {
			err = errors.New("all versions run or may be gone back to")
		}
		return err
	})
}
