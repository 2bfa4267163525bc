package c

// #include "call.h"
import "C"

import (
	"context"
	"math"
	"net/http"
	"unsafe"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// MaxBatch implements [runtime.Batcher].
func (i *instance) MaxBatch() int {
	if i.w.batch == nil {
		return 0
	}
	return math.MaxInt32
}

// InvokeBatch implements [runtime.Batcher].
func (i *instance) InvokeBatch(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error) {
	runtime.OnlyUnrun(ctx, evs, resps, errs, i.runBatch)
}

// runBatch calls the function with evs, of which there is one at least, and
// sets each of errs. A failure of the call is that of each event.
func (i *instance) runBatch(ctx context.Context, evs []*event.Event, resps []*event.Response, errs []error) {
	n := C.size_t(len(evs))
	if C.myelin_worker_room(i.w, n) != 0 {
		fail(errs, event.Errorf(http.StatusInternalServerError, "no memory for a list of %d events", len(evs)))
		return
	}
	i.begin(ctx, evs, resps, true)
	for k, ev := range evs {
		i.lay(unsafe.Slice(i.w.evs, n), k, ev)
	}
	rc := int(C.myelin_worker_run_batch(i.w, n, i.lowestAsked(), deadline(ctx)))
	outs := unsafe.Slice(i.w.outs, n)
	if rc != C.MYELIN_OK {
		fail(errs, failure(rc, &outs[0]))
	}
	kept := C.size_t(0)
	for k := range outs {
		if out := &outs[k]; rc != C.MYELIN_OK {
			release(out)
		} else {
			errs[k] = i.outcome(int(C.myelin_result(out)), out, resps[k])
		}
		kept += C.myelin_response_size(&outs[k])
	}
	i.end()
	if kept > maxKept {
		for k := range outs {
			C.myelin_response_trim(&outs[k])
		}
	}
}

func fail(errs []error, err error) {
	for k := range errs {
		errs[k] = err
	}
}

// lay describes ev to C, whose memory evs is: what it points to is pinned until
// the handler has returned.
func (i *instance) lay(evs []C.myelin_event, k int, ev *event.Event) {
	if ev.Source != i.source.of {
		i.meet(ev.Source)
	}
	evs[k] = C.myelin_event{
		id: i.pin(ev.ID), method: i.pin(ev.Method), path: i.pin(ev.Path), url: i.pin(ev.URL), content_type: i.pin(ev.ContentType),
		body: i.pin(ev.Body), key: i.pin(ev.Key), topic: i.pin(unsafe.Slice(unsafe.StringData(ev.Topic), len(ev.Topic))),
		time_ns: C.int64_t(nanoseconds(ev)), offset: C.int64_t(ev.Token.Offset), shard: C.int32_t(ev.Token.Shard), shards: C.int32_t(ev.Shards),
		trigger_kind: i.source.kind, trigger_name: i.source.name,
	}
}

// pin lets C look at b until the handler has returned.
func (i *instance) pin(b []byte) (out C.myelin_bytes) {
	if len(b) == 0 {
		return out
	}
	i.pins.Pin(unsafe.SliceData(b))
	i.pinned = true
	out.data, out.len = bytesOf(b), C.size_t(len(b))
	return out
}
