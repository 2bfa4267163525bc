package c

// #include "call.h"
import "C"

import (
	"context"
	"log/slog"
	goruntime "runtime"
	"runtime/cgo"
	"unsafe"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

const (
	// maxKept bounds the memory that a worker keeps for its next answer.
	maxKept = 1 << 20
	// minView is the smallest body that is lent rather than copied.
	minView = 16 << 10
	// maxNames bounds how many header names, values and content types are
	// remembered, so that the same ones cost no allocation.
	maxNames = 256
)

// instance is one worker. It cannot be killed: a goroutine in C cannot.
type instance struct {
	w      *C.worker
	handle cgo.Handle
	log    *slog.Logger
	level  slog.Level // lowest that the function's log takes

	// Of the events that run; for the calls that the function makes.
	evs   []*event.Event
	resps []*event.Response
	one   struct { // those of a call with one event
		ev   [1]*event.Event
		resp [1]*event.Response
	}
	pins   goruntime.Pinner
	pinned bool

	calls runtime.Caller // nil: it may call nobody
	out   outward

	loans   loans
	names   map[string]string
	source  source // of the last event
	sources map[*event.Source]source
	texts   []*C.char // freed with the instance
}

// source is an event's, with its names as C has them.
type source struct {
	of         *event.Source
	kind, name *C.char
}

// Invoke implements [runtime.Instance].
func (i *instance) Invoke(ctx context.Context, ev *event.Event, resp *event.Response) error {
	if ev.Source != i.source.of {
		i.meet(ev.Source)
	}
	i.one.ev[0], i.one.resp[0] = ev, resp
	i.begin(ctx, i.one.ev[:], i.one.resp[:], false)
	rc := C.myelin_worker_run(i.w, i.lowestAsked(), deadline(ctx), i.source.kind, i.source.name,
		bytesOf(ev.ID), C.size_t(len(ev.ID)), bytesOf(ev.Method), C.size_t(len(ev.Method)),
		bytesOf(ev.Path), C.size_t(len(ev.Path)), bytesOf(ev.URL), C.size_t(len(ev.URL)),
		bytesOf(ev.ContentType), C.size_t(len(ev.ContentType)), bytesOf(ev.Body), C.size_t(len(ev.Body)),
		bytesOf(ev.Key), C.size_t(len(ev.Key)), textOf(ev.Topic), C.size_t(len(ev.Topic)),
		C.int64_t(nanoseconds(ev)), C.int64_t(ev.Token.Offset), C.int32_t(ev.Token.Shard), C.int32_t(ev.Shards))
	out := &i.w.out
	err := i.outcome(int(rc), out, resp)
	i.end()
	i.one.ev[0], i.one.resp[0] = nil, nil
	if out.own_cap_ > maxKept || out.headers_cap_ > maxKept {
		C.myelin_response_trim(out)
	}
	return err
}

// begin notes what the function is called with, and end that it has returned.
func (i *instance) begin(ctx context.Context, evs []*event.Event, resps []*event.Response, list bool) {
	i.evs, i.resps = evs, resps
	i.out.open(ctx, evs, list)
}

func (i *instance) end() {
	i.out.close()
	i.evs, i.resps = nil, nil
	if i.pinned {
		i.pins.Unpin()
		i.pinned = false
	}
}

// lowestAsked is the lowest level of log records that anybody wants.
func (i *instance) lowestAsked() C.int {
	level := i.level
	for _, ev := range i.evs {
		if ev.LogAsked {
			level = min(level, ev.LogLevel)
		}
	}
	return C.int(level)
}

func deadline(ctx context.Context) C.int64_t {
	if at, ok := ctx.Deadline(); ok {
		return C.int64_t(at.UnixNano())
	}
	return 0
}

func bytesOf(b []byte) *C.char { return (*C.char)(unsafe.Pointer(unsafe.SliceData(b))) }
func textOf(s string) *C.char  { return (*C.char)(unsafe.Pointer(unsafe.StringData(s))) }

func nanoseconds(ev *event.Event) int64 {
	if ev.Time.IsZero() {
		return 0
	}
	return ev.Time.UnixNano()
}

// meet makes C strings of a source's names, once for each source.
func (i *instance) meet(s *event.Source) {
	known, ok := i.sources[s]
	if !ok {
		known = source{of: s, kind: i.text(""), name: i.text("")}
		if s != nil {
			known.kind, known.name = i.text(s.Kind), i.text(s.Name)
		}
		i.sources[s] = known
	}
	i.source = known
}

// Close implements [runtime.Instance].
func (i *instance) Close(context.Context) error {
	C.myelin_worker_close(i.w)
	i.free()
	return nil
}

func (i *instance) free() {
	C.myelin_worker_free(i.w)
	for _, p := range i.texts {
		C.free(unsafe.Pointer(p))
	}
	i.handle.Delete()
}
