package processor_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/runtime/native"
	myelin "github.com/myelin-run/myelin/sdk/go"
)

// The hooks of the drain run in each worker when the processor is told to stop,
// and it waits for them: longer than for anything else of a worker that ends,
// but not beyond the deadline. What they throw is logged and hurts nobody.
func TestDrainHooks(t *testing.T) {
	var ended, cut atomic.Int64
	slow := native.Of(echoed, func(ctx *myelin.Context) error {
		ctx.OnDrain(func(context.Context) error { panic("planted in a hook") })
		ctx.OnDrain(func(context.Context) error { return errors.New("a hook failed") })
		ctx.OnDrain(func(context.Context) error {
			time.Sleep(3500 * time.Millisecond) // more than the time of a hard stop
			ended.Add(1)
			return nil
		})
		return nil
	})
	cfg := config(t, "  triggers: {default-http: {kind: http, numWorkers: 2}}\n")
	r := start(t, cfg, slow)
	if code, body, err := post(r.url, "x"); err != nil || code != 200 || body == "" {
		t.Fatalf("%d %q, %v", code, body, err)
	}
	if err := r.end(t); err != nil || ended.Load() != 2 {
		t.Errorf("%v, and %d hooks have ended", err, ended.Load())
	}
	text, err := os.ReadFile(cfg.Logs.Function.File)
	if err != nil || strings.Count(string(text), "planted in a hook") < 2 || strings.Count(string(text), "a hook failed") != 2 {
		t.Errorf("%v in the function's log:\n%s", err, text)
	}
	stuck := native.Of(echoed, func(ctx *myelin.Context) error {
		ctx.OnDrain(func(ctx context.Context) error {
			<-ctx.Done()
			cut.Add(1)
			return ctx.Err()
		})
		return nil
	})
	cfg = config(t, "  triggers: {default-http: {kind: http, numWorkers: 1}}\n")
	cfg.DrainTimeout = quantity.Duration(200 * time.Millisecond)
	r = start(t, cfg, stuck)
	if err := r.end(t); err != nil || cut.Load() != 1 {
		t.Errorf("%v, and %d hooks were cut off", err, cut.Load())
	}
}
