package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/kv/redis"
	"github.com/myelin-run/myelin/binding/object/s3"
	"github.com/myelin-run/myelin/binding/table/postgresql"
	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/processor/logs"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/trigger"
)

// hosted is a whole processor in this process, whose only trigger hands its
// handler to who measures: events come from no network.
type hosted struct {
	handler trigger.Handler
	stop    context.CancelFunc
	ended   chan error
	dir     string
}

// feeder is that trigger.
type feeder chan trigger.Handler

// Run implements [trigger.Trigger].
func (f feeder) Run(ctx context.Context, h trigger.Handler) error {
	f <- h
	<-ctx.Done()
	return nil
}

func (f feeder) factory() trigger.Factory {
	return component.Define("bench", "Takes events from the benchmark.", func() struct{} { return struct{}{} },
		func(trigger.Settings, struct{}) (trigger.Trigger, error) { return f, nil })
}

// startHosted starts a processor with a function. dir has the function's files.
func startHosted(ctx context.Context, dir string, spec function.Spec, workers int, rt runtime.Factory) (*hosted, error) {
	scratch, err := os.MkdirTemp("", "myelin-hosted-")
	if err != nil {
		return nil, err
	}
	f := make(feeder, 1)
	cfg := processor.Config{Dir: dir, Scratch: filepath.Join(scratch, "s"), Admin: processor.Admin{Listen: "none"},
		Bindings: processor.Bindings{Dir: filepath.Join(scratch, "b")},
		Logs:     processor.Logs{Processor: logs.Sink{File: filepath.Join(scratch, "processor.log")}, Function: logs.Sink{File: filepath.Join(scratch, "function.log")}}}
	cfg.Function.Metadata.Name, cfg.Function.Spec = "bench", spec
	cfg.Function.Spec.DisableDefaultHTTPTrigger = true
	cfg.Function.Spec.Triggers = map[string]function.Trigger{"in": {Kind: "bench", NumWorkers: workers}}
	function.Defaults(&cfg.Function)
	h := &hosted{ended: make(chan error, 1), dir: scratch}
	p, err := processor.New(cfg, processor.Parts{Triggers: trigger.NewSet(f.factory()), Runtimes: runtime.NewSet(rt),
		Bindings: binding.NewSet(redis.Factory(), postgresql.Factory(), s3.Factory())})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(scratch))
	}
	ctx, h.stop = context.WithCancel(ctx)
	go func() { h.ended <- p.Run(ctx) }()
	select {
	case h.handler = <-f:
		return h, nil
	case err := <-h.ended:
		h.stop()
		said, _ := os.ReadFile(cfg.Logs.Processor.File)
		return nil, errors.Join(fmt.Errorf("processor ended: %w: %s", err, said), os.RemoveAll(scratch))
	}
}

func (h *hosted) close() error {
	h.stop()
	return errors.Join(<-h.ended, os.RemoveAll(h.dir))
}

// hostedSide is a side of a comparison that a hosted processor is.
func hostedSide(name string, flight int, body []byte, open func(context.Context) (*hosted, error)) caller {
	return caller{name: name, flight: flight, content: body, open: func(ctx context.Context) (*invoker, error) {
		h, err := open(ctx)
		if err != nil {
			return nil, err
		}
		return &invoker{h.handler.Handle, func() []int { return family(os.Getpid())[1:] }, h.close, nil}, nil
	}}
}
