package c

// #cgo CFLAGS: -I${SRCDIR}/../../sdk/c -O2
// #include "call.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/cgo"
	"unsafe"

	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	_ "github.com/myelin-run/myelin/sdk/c" // this is compiled anew when the header changes
)

// Kind is the name of this runtime in a spec.
const Kind = "c"

// Function is a function compiled in: addresses of C functions of the types
// that myelin.h names. Init and Close may be nil, and one of Handler and Batch.
type Function struct{ Handler, Batch, Init, Close unsafe.Pointer }

// Factory makes the runtime of f.
func Factory(f Function) runtime.Factory {
	return component.Define(Kind, "runs a C function compiled into the processor",
		func() struct{} { return struct{}{} },
		func(s runtime.Settings, _ struct{}) (runtime.Runtime, error) { return &loaded{f, s}, nil })
}

type loaded struct {
	fn Function
	s  runtime.Settings
}

// DefaultWorkers implements [runtime.Defaulter]. A call that blocks holds a
// thread, and workers that are idle hold none.
func (l *loaded) DefaultWorkers(cpus int) int { return 16 * cpus }

// Open implements [runtime.Runtime].
func (l *loaded) Open(ctx context.Context, w runtime.Worker) (runtime.Instance, error) {
	if l.fn.Handler == nil && l.fn.Batch == nil {
		return nil, errors.New("open c function: no handler is compiled in")
	}
	i := &instance{log: l.s.FunctionLog.With("worker", w.ID), calls: l.s.Calls, names: map[string]string{}, sources: map[*event.Source]source{}}
	i.handle = cgo.NewHandle(i)
	i.w = C.myelin_worker_new(C.uintptr_t(i.handle), l.fn.Handler, l.fn.Batch, l.fn.Init, l.fn.Close)
	if i.w == nil {
		i.handle.Delete()
		return nil, errors.New("open c function: no memory")
	}
	i.level = lowest(i.log)
	i.introduce(l.s.Function.Metadata.Name, w)
	i.begin(ctx, nil, nil, false)
	rc := C.myelin_worker_init(i.w)
	i.end()
	if rc != 0 {
		err := fmt.Errorf("init context: returned %d", int(rc))
		if text := C.GoString(&i.w.ctx.error_[0]); text != "" {
			err = fmt.Errorf("init context: %s", text)
		}
		i.free()
		return nil, err
	}
	return i, nil
}

// introduce fills in what does not change in a worker's life.
func (i *instance) introduce(function string, w runtime.Worker) {
	ctx := &i.w.ctx
	ctx.worker_id, ctx.log_level_ = C.int(w.ID), C.int(i.level)
	ctx.function_name = i.text(function)
	ctx.trigger_kind, ctx.trigger_name = i.text(w.TriggerKind), i.text(w.TriggerName)
}

// text makes a C string that is freed with the instance.
func (i *instance) text(s string) *C.char {
	p := C.CString(s)
	i.texts = append(i.texts, p)
	return p
}

// lowest is the lowest level that somebody reads.
func lowest(log *slog.Logger) slog.Level {
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if log.Enabled(context.Background(), l) {
			return l
		}
	}
	return slog.LevelError + 1
}
