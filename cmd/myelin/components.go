package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	goruntime "runtime"
	"sync"

	"github.com/myelin-run/myelin"
	"github.com/myelin-run/myelin/build"
	buildgo "github.com/myelin-run/myelin/build/golang"
	buildjava "github.com/myelin-run/myelin/build/java"
	buildnodejs "github.com/myelin-run/myelin/build/nodejs"
	buildpython "github.com/myelin-run/myelin/build/python"
	buildshell "github.com/myelin-run/myelin/build/shell"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/java"
	"github.com/myelin-run/myelin/runtime/nodejs"
	"github.com/myelin-run/myelin/runtime/python"
	"github.com/myelin-run/myelin/runtime/shell"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/cron"
	"github.com/myelin-run/myelin/trigger/files"
	"github.com/myelin-run/myelin/trigger/grpc"
	"github.com/myelin-run/myelin/trigger/http"
	"github.com/myelin-run/myelin/trigger/imap"
	"github.com/myelin-run/myelin/trigger/jetstream"
	"github.com/myelin-run/myelin/trigger/kafka"
	"github.com/myelin-run/myelin/trigger/kinesis"
	"github.com/myelin-run/myelin/trigger/mqtt"
	"github.com/myelin-run/myelin/trigger/nats"
	"github.com/myelin-run/myelin/trigger/outbox"
	"github.com/myelin-run/myelin/trigger/rabbitmq"
	"github.com/myelin-run/myelin/trigger/redis"
	"github.com/myelin-run/myelin/trigger/redislist"
	"github.com/myelin-run/myelin/trigger/redispubsub"
	"github.com/myelin-run/myelin/trigger/replication"
	"github.com/myelin-run/myelin/trigger/s3"
	"github.com/myelin-run/myelin/trigger/smtp"
	"github.com/myelin-run/myelin/trigger/sql"
	"github.com/myelin-run/myelin/trigger/sqs"
	"github.com/myelin-run/myelin/trigger/v3io"
)

var triggers = trigger.NewSet(
	http.Factory(),
	cron.Factory(),
	files.Factory(),
	grpc.Factory(),
	smtp.Factory(),
	imap.Factory(),
	jetstream.Factory(),
	kafka.Factory(),
	kafka.EventHub(),
	mqtt.Factory(),
	nats.Factory(),
	outbox.Factory(),
	rabbitmq.Factory(),
	redis.Factory(),
	redislist.Factory(),
	redispubsub.Factory(),
	replication.Factory(),
	s3.Factory(),
	sql.Factory(),
	sqs.Factory(),
	kinesis.Factory(),
	v3io.Factory(),
)

var runtimes = runtime.NewSet(
	java.Factory(),
	nodejs.Factory(),
	python.Factory(),
	shell.Factory(),
)

// builders makes the builders for a data directory, by runtime.
func builders(data string) map[string]build.Builder {
	pythons, nodes := &interpreters{search: python.Find}, &interpreters{search: nodejs.Find}
	return map[string]build.Builder{
		"c":      buildgo.NewC(buildgo.Options{Sources: myelin.Sources, Data: data}),
		"golang": buildgo.New(buildgo.Options{Sources: myelin.Sources, Data: data}),
		"java":   buildjava.New(buildjava.Options{Data: data, Find: java.Find, Prepare: prepareJava}),
		"nodejs": buildnodejs.New(buildnodejs.Options{Data: data, Find: nodes.find, Prepare: prepareNode}),
		"python": buildpython.New(buildpython.Options{Data: data, Find: pythons.find, Prepare: prepare(new(python.Preparer))}),
		"shell":  buildshell.New(),
	}
}

// interpreters remembers which interpreters were found: to ask one costs as
// much as to package a small function.
type interpreters struct {
	search func(ctx context.Context, wanted string) (path, version string, err error)
	known  sync.Map
}

func (i *interpreters) find(ctx context.Context, wanted string) (path, version string, err error) {
	if had, ok := i.known.Load(wanted); ok {
		found := had.([2]string)
		if _, err := os.Stat(found[0]); err == nil {
			return found[0], found[1], nil
		}
	}
	if path, version, err = i.search(ctx, wanted); err == nil {
		i.known.Store(wanted, [2]string{path, version})
	}
	return path, version, err
}

// prepare compiles the Python worker while there is still a build to report on.
func prepare(p *python.Preparer) func(ctx context.Context, interpreter string, log io.Writer) error {
	return func(ctx context.Context, interpreter string, log io.Writer) error {
		return p.Prepare(ctx, interpreter, "", slog.New(slog.NewTextHandler(log, nil)))
	}
}

// prepareNode does the same for the Node.js worker.
func prepareNode(ctx context.Context, interpreter string, log io.Writer) error {
	return nodejs.Prepare(ctx, interpreter, "", slog.New(slog.NewTextHandler(log, nil)))
}

// prepareJava compiles the Java worker, and says what functions are compiled against.
func prepareJava(ctx context.Context, home string, log io.Writer) (sdk, worker string, err error) {
	return java.Prepare(ctx, home, "", slog.New(slog.NewTextHandler(log, nil)))
}

// workers prepare runtimes' workers elsewhere than in this machine's cache, for
// machines of an architecture.
var workers = map[string]func(ctx context.Context, interpreter, architecture, dir string) error{
	"java": func(ctx context.Context, home, architecture, dir string) error {
		if architecture != goruntime.GOARCH {
			return java.PrepareFor(ctx, home, architecture, dir)
		}
		_, _, err := java.Prepare(ctx, home, dir, slog.New(slog.DiscardHandler))
		return err
	},
	"nodejs": func(ctx context.Context, node, architecture, dir string) error {
		if architecture != goruntime.GOARCH {
			return nodejs.PrepareFor(ctx, architecture, dir)
		}
		return nodejs.Prepare(ctx, node, dir, slog.New(slog.DiscardHandler))
	},
	"python": func(ctx context.Context, interpreter, architecture, dir string) error {
		if architecture != goruntime.GOARCH {
			return python.PrepareFor(ctx, interpreter, architecture, dir)
		}
		return python.Prepare(ctx, interpreter, dir, slog.New(slog.DiscardHandler))
	},
}
