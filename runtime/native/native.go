// Package native runs functions written in Go that are compiled into this
// program: in the caller's goroutine, with no copy and no allocation. It knows
// nothing of how they were compiled; build/golang does that.
package native

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	myelin "github.com/myelin-run/myelin/sdk/go"
)

// Kind is the name of this runtime in a spec.
const Kind = "golang"

// Function is a function compiled in. Make one with [Of], or fill New for a
// calling convention of another kind.
type Function struct {
	// New makes the function of one worker and runs its init hook.
	New func(ctx *myelin.Context) (Call, error)
	// Many is the function on lists of events, nil if it takes none. It is
	// called after New.
	Many Many
}

// Call runs the function on one event.
type Call func(ctx *myelin.Context, ev *event.Event, resp *event.Response) error

// Of takes a handler of any form that the package myelin describes, and its
// init hook, nil if there is none. It panics on another form: the generated
// program is wrong then.
func Of(handler any, initContext func(*myelin.Context) error) Function {
	many := manyOf(handler)
	var call Call
	if many == nil {
		call = callOf(handler)
	}
	return Function{Many: many, New: func(ctx *myelin.Context) (Call, error) {
		if initContext != nil {
			if err := initContext(ctx); err != nil {
				return nil, err
			}
		}
		if many != nil {
			return many.one(), nil
		}
		return call, nil
	}}
}

func callOf(handler any) Call {
	switch h := handler.(type) {
	case func(*myelin.Context, *event.Event, *event.Response) error:
		return h
	case func(*myelin.Context, *event.Event) (any, error):
		return func(ctx *myelin.Context, ev *event.Event, resp *event.Response) error {
			v, err := h(ctx, ev)
			if err != nil {
				return err
			}
			return Answer(resp, v)
		}
	}
	panic(fmt.Sprintf("native: a handler cannot be a %T", handler))
}

// Factory makes the runtime of f.
func Factory(f Function) runtime.Factory {
	return component.Define(Kind, "runs a Go function compiled into the processor",
		func() struct{} { return struct{}{} },
		func(s runtime.Settings, _ struct{}) (runtime.Runtime, error) { return &native{fn: f, s: s}, nil })
}

type native struct {
	fn      Function
	s       runtime.Settings
	loading atomic.Int64 // nanoseconds
}

// Loading implements [runtime.Loading].
func (n *native) Loading() time.Duration { return time.Duration(n.loading.Load()) }

// DefaultWorkers implements [runtime.Defaulter]: a goroutine is cheap, and a
// function that waits for a network should not hold up others.
func (n *native) DefaultWorkers(cpus int) int { return 16 * cpus }

// Open implements [runtime.Runtime].
func (n *native) Open(ctx context.Context, w runtime.Worker) (_ runtime.Instance, err error) {
	defer recovered(&err, "init context")
	capture := &capture{next: n.s.FunctionLog.Handler().WithAttrs([]slog.Attr{slog.Int("worker", w.ID)})}
	logger := slog.New(handler{capture: capture, next: capture.next})
	i := &instance{capture: capture, logger: logger, many: n.fn.Many, ctx: &myelin.Context{
		Context:         ctx,
		Logger:          logger,
		WorkerID:        w.ID,
		FunctionName:    n.s.Function.Metadata.Name,
		FunctionVersion: strconv.Itoa(n.s.Function.Spec.Version),
		TriggerKind:     w.TriggerKind,
		TriggerName:     w.TriggerName,
		State:           n.s.State,
	}}
	i.ctx.Platform = i.platform(n.s.Calls)
	if len(n.s.Handles) > 0 {
		i.begun, i.defers = &begun{}, deferring(n.s.Handles)
		i.ctx.Bindings = bindings(n.s.Handles, i.begun)
	}
	begun := time.Now()
	if i.call, err = n.fn.New(i.ctx); err != nil {
		return nil, fmt.Errorf("init context: %w", err)
	}
	if took := int64(time.Since(begun)); took > n.loading.Load() {
		n.loading.Store(took)
	}
	i.hooks = i.ctx.DrainHooks()
	return i, nil
}

// instance is one worker. It cannot be killed: a goroutine cannot.
type instance struct {
	call    Call
	many    Many            // nil if it takes no lists
	ctx     *myelin.Context // of the last event
	logger  *slog.Logger    // as the host made it
	capture *capture
	begun   *begun // nil if the function has no bindings
	defers  bool   // some binding takes writes before they are made

	hooks []func(context.Context) error // for the drain
	leave sync.Once
	left  chan struct{} // closed when the hooks have ended; nil before Leave

	mu sync.Mutex
	at *event.Event // that is being handled
}

// Leave implements [runtime.Leaver].
func (i *instance) Leave(ctx context.Context) (bool, error) {
	if len(i.hooks) == 0 {
		return false, nil
	}
	i.leave.Do(func() {
		left := make(chan struct{})
		i.mu.Lock()
		i.left = left
		i.mu.Unlock()
		go func() {
			defer close(left)
			for _, hook := range i.hooks {
				if err := runHook(ctx, hook); err != nil {
					i.logger.Error("drain hook failed", "error", err)
				}
			}
		}()
	})
	return true, nil
}

func runHook(ctx context.Context, hook func(context.Context) error) (err error) {
	defer recovered(&err, "drain hook panicked")
	return hook(ctx)
}

// handle notes which event is being handled; nil: none.
func (i *instance) handle(ev *event.Event) {
	i.mu.Lock()
	i.at = ev
	i.mu.Unlock()
}

// Invoke implements [runtime.Instance].
func (i *instance) Invoke(ctx context.Context, ev *event.Event, resp *event.Response) (err error) {
	defer recovered(&err, "function panicked")
	ctx, p := i.writes(fetched(ctx, ev))
	defer written(p, &err)
	i.ctx = i.ctx.Next(ctx)
	i.handle(ev)
	defer i.handle(nil)
	defer i.undo()
	if ev.LogAsked {
		i.capture.begin(ev.LogLevel, &resp.Logs)
		defer i.capture.end()
	}
	return i.call(i.ctx, ev, resp)
}

// Close implements [runtime.Instance]: hooks of the drain that still run are
// waited for.
func (i *instance) Close(ctx context.Context) error {
	i.mu.Lock()
	left := i.left
	i.mu.Unlock()
	if left == nil {
		return nil
	}
	select {
	case <-left:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain hook still runs: %w", ctx.Err())
	}
}

// recovered makes a panic of user code that event's outcome. The stack goes to
// the message: whoever may call a function may see how it failed, as with an
// exception of any other runtime.
func recovered(err *error, what string) {
	if r := recover(); r != nil {
		*err = event.Permanent(event.Errorf(500, "%s: %v\n%s", what, r, debug.Stack()))
	}
}
