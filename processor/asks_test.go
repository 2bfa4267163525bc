package processor_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/native"
	myelin "github.com/myelin-run/myelin/sdk/go"
	"github.com/myelin-run/myelin/trigger"
	httptrigger "github.com/myelin-run/myelin/trigger/http"
)

// settled is a trigger that tells what is settled with it.
type settled struct {
	said chan string
	err  error
}

func (s *settled) Run(ctx context.Context, _ trigger.Handler) error { <-ctx.Done(); return nil }
func (s *settled) SettleAt(topic string, shard int32, offset int64, err error) error {
	if topic == "slow" {
		s.said <- "slow" // until the test takes it
		return nil
	}
	s.said <- fmt.Sprint(topic, " ", shard, " ", offset, " ", err)
	return s.err
}

// A function's settlements reach the trigger that they name, and no other; what
// cannot be settled is told.
func TestSettlementsFindTheirTrigger(t *testing.T) {
	for _, x := range []struct {
		triggers string
		at       myelin.Offset
		fails    error // what the trigger says
		status   int   // 0: settled
		says     string
	}{
		{"a: {kind: settled, explicitAckMode: enable}", myelin.Offset{Trigger: "a", Topic: "t", Shard: 1, Offset: 2}, nil, 0, "t 1 2 <nil>"},
		{"a: {kind: settled, explicitAckMode: enable}, b: {kind: settled}", myelin.Offset{Topic: "t"}, nil, 0, "t 0 0 <nil>"},
		{"a: {kind: settled, explicitAckMode: enable}, b: {kind: settled, explicitAckMode: explicitOnly}", myelin.Offset{}, nil, 400, "name its trigger: the function has a, b"},
		{"a: {kind: settled}", myelin.Offset{}, nil, 409, "no trigger of the function has explicitAckMode"},
		{"a: {kind: settled}", myelin.Offset{Trigger: "other"}, nil, 404, `no trigger "other"`},
		{"a: {kind: settled}", myelin.Offset{Trigger: "web"}, nil, 409, "a http trigger is acknowledged by the return alone"},
		{"a: {kind: settled}", myelin.Offset{Trigger: "a"}, trigger.ErrMoved, 410, trigger.ErrMoved.Error()},
		{"a: {kind: settled}", myelin.Offset{Trigger: "a"}, trigger.ErrNotOpen, 409, trigger.ErrNotOpen.Error()},
	} {
		s := &settled{said: make(chan string, 8), err: x.fails}
		err := settling(t, s, x.triggers, func(c *myelin.Context) error { return c.Platform.Ack(t.Context(), x.at) })
		var e *event.Error
		switch {
		case x.status == 0 && (err != nil || <-s.said != x.says):
			t.Errorf("%+v with %s: %v", x.at, x.triggers, err)
		case x.status != 0 && (!errors.As(err, &e) || e.Status != x.status || !strings.Contains(err.Error(), x.says)):
			t.Errorf("%+v with %s: %v, want %d %s", x.at, x.triggers, err, x.status, x.says)
		}
	}
}

// Who gave up waiting for a settlement leaves it to come to its end.
func TestSettlementThatTakesLong(t *testing.T) {
	s := &settled{said: make(chan string)}
	err := settling(t, s, "a: {kind: settled, explicitAckMode: enable}", func(c *myelin.Context) error {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := c.Platform.Ack(ctx, myelin.Offset{Topic: "slow"})
		<-s.said
		return err
	})
	var e *event.Error
	if !errors.As(err, &e) || e.Status != 504 {
		t.Errorf("%v", err)
	}
}

// settling has a function do something once in a processor with triggers.
func settling(t *testing.T, s *settled, triggers string, do func(*myelin.Context) error) (err error) {
	t.Helper()
	cfg := config(t, "  triggers: {default-http: {kind: http, disabled: true}, web: {kind: http, attributes: {host: 127.0.0.1, port: 0}}, "+triggers+"}\n")
	cfg.Admin.Listen = "none"
	cfg.Letters.Dir = filepath.Join(cfg.Dir, "letters")
	done := make(chan struct{})
	once := native.Of(func(*myelin.Context, *myelin.Event) (any, error) { return nil, nil }, func(c *myelin.Context) error {
		if c.WorkerID == 0 && c.TriggerName == "a" {
			err = do(c)
			close(done)
		}
		return nil
	})
	factory := component.Define("settled", "Tells.", func() noConfig { return noConfig{} }, func(trigger.Settings, noConfig) (trigger.Trigger, error) { return s, nil })
	t.Chdir(cfg.Dir)
	p, perr := processor.New(cfg, processor.Parts{Triggers: trigger.NewSet(factory, httptrigger.Factory()), Runtimes: runtime.NewSet(native.Factory(once))})
	if perr != nil {
		t.Fatal(perr)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	<-done
	stop()
	if e := <-ended; e != nil && !errors.Is(e, context.Canceled) {
		t.Error(e)
	}
	return err
}
