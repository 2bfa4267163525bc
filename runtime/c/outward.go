package c

// #include "call.h"
import "C"

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	goruntime "runtime"
	"strings"
	"sync"
	"time"
	"unsafe"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// outward holds the calls of functions that a function makes. Unlike the rest of
// an instance it is used by any thread of the function's.
type outward struct {
	mu      sync.Mutex
	ctx     context.Context // of the handler or hook that runs; nil: none does
	evs     []*event.Event
	list    bool
	turn    uint64 // counts what ran
	answers []*answered
}

// answered is an answer that the function may look at.
type answered struct {
	resp event.Response
	pins goruntime.Pinner
	used bool
	due  bool // it is still waited for, and not to be touched
}

func (o *outward) open(ctx context.Context, evs []*event.Event, list bool) {
	o.mu.Lock()
	o.ctx, o.evs, o.list = ctx, evs, list
	o.turn++
	o.mu.Unlock()
}

func (o *outward) close() {
	o.mu.Lock()
	o.ctx, o.evs = nil, nil
	for _, a := range o.answers {
		if !a.due {
			a.forget()
		}
	}
	o.mu.Unlock()
}

// begin says for whom a call is made: ev is the index of an event, or negative for
// that at hand, of which a list has none. There is no ctx if nothing runs.
func (o *outward) begin(ev int) (ctx context.Context, t runtime.Trace, turn uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ev < 0 && !o.list {
		ev = 0
	}
	if ev >= 0 && ev < len(o.evs) {
		t = runtime.TraceOf(o.evs[ev])
	}
	return o.ctx, t, o.turn
}

// take finds a place for an answer; its number is above 0.
func (o *outward) take() (*answered, int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n, a := range o.answers {
		if !a.used {
			a.used, a.due = true, true
			return a, n + 1
		}
	}
	a := &answered{used: true, due: true}
	o.answers = append(o.answers, a)
	return a, len(o.answers)
}

// forget gives the memory of an answer back, and keeps it for the next one if it
// is not too much.
func (a *answered) forget() {
	if !a.used {
		return
	}
	a.used = false
	a.pins.Unpin()
	a.resp.Reset()
	if cap(a.resp.Body) > maxKept {
		a.resp.Body = nil
	}
}

// view lets C look at b until the answer is forgotten.
func (a *answered) view(b []byte) (out C.myelin_bytes) {
	if len(b) == 0 {
		return out
	}
	a.pins.Pin(unsafe.SliceData(b))
	out.data, out.len = bytesOf(b), C.size_t(len(b))
	return out
}

//export myelin_go_call
func myelin_go_call(worker C.uintptr_t, function *C.char, what *C.myelin_request, answer *C.myelin_answer) C.int {
	i := of(worker)
	if err := i.call(function, what, answer); err != nil {
		return refuse(answer, err)
	}
	return 0
}

// refuse says in answer why there is none.
func refuse(answer *C.myelin_answer, err error) C.int {
	text := unsafe.Slice((*byte)(unsafe.Pointer(&answer.error[0])), len(answer.error))
	text[copy(text[:len(text)-1], err.Error())] = 0
	if failed := (*event.Error)(nil); errors.As(err, &failed) && failed.Status > 0 {
		return C.int(failed.Status)
	}
	return http.StatusBadGateway
}

func (i *instance) call(function *C.char, what *C.myelin_request, answer *C.myelin_answer) error {
	if i.calls == nil {
		return event.Errorf(http.StatusServiceUnavailable, "call function: no processor runs this function")
	}
	if function == nil {
		return event.Errorf(http.StatusBadRequest, "call function: no name is given")
	}
	index := -1
	if what.ev != nil {
		index = int(what.ev.index_)
	}
	ctx, trace, turn := i.out.begin(index)
	if ctx == nil {
		return event.Errorf(http.StatusBadRequest, "call function: the handler has returned")
	}
	if what.timeout_ms > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(min(int64(what.timeout_ms), 1<<40))*time.Millisecond)
		defer cancel()
	}
	c := requestOf(function, what)
	trace.AddTo(c)
	a, number := i.out.take()
	err := i.calls.Do(ctx, c, &a.resp)
	i.out.mu.Lock()
	defer i.out.mu.Unlock()
	a.due = false
	if err == nil && i.out.turn != turn {
		err = event.Errorf(http.StatusBadRequest, "call function: the handler has returned")
	}
	if err != nil {
		a.forget()
		return err
	}
	answer.status, answer.index_ = C.int(cmp.Or(a.resp.Status, http.StatusOK)), C.size_t(number)
	answer.body = a.view(a.resp.Body)
	answer.content_type = a.view(unsafe.Slice(unsafe.StringData(a.resp.ContentType), len(a.resp.ContentType)))
	return nil
}

// requestOf copies what C says, but for the body, which is lent.
func requestOf(function *C.char, what *C.myelin_request) *runtime.Call {
	c := &runtime.Call{Kind: runtime.CallFunction, Name: C.GoString(function), Method: C.GoString(what.method),
		Path: C.GoString(what.path), ContentType: C.GoString(what.content_type)}
	if what.body != nil {
		c.Body = unsafe.Slice((*byte)(what.body), int(what.len))
	}
	for at := what.headers; at != nil; {
		pair := unsafe.Slice(at, 2)
		if pair[0] == nil || pair[1] == nil {
			break
		}
		c.Headers = append(c.Headers, event.Field{Key: C.GoString(pair[0]), Value: C.GoString(pair[1])})
		at = (**C.char)(unsafe.Add(unsafe.Pointer(at), 2*unsafe.Sizeof(*at)))
	}
	return c
}

//export myelin_go_answered
func myelin_go_answered(worker C.uintptr_t, index C.size_t, key *C.char, n C.size_t) (found C.myelin_bytes) {
	o := &of(worker).out
	o.mu.Lock()
	defer o.mu.Unlock()
	if index == 0 || uint64(index) > uint64(len(o.answers)) || !o.answers[index-1].used {
		return found
	}
	a, name := o.answers[index-1], string(view(key, n))
	for _, h := range a.resp.Header {
		if strings.EqualFold(h.Key, name) {
			if found = a.view([]byte(h.Value)); found.data == nil {
				found.data = C.myelin_empty()
			}
			return found
		}
	}
	return found
}

//export myelin_go_forget
func myelin_go_forget(worker C.uintptr_t, index C.size_t) {
	o := &of(worker).out
	o.mu.Lock()
	defer o.mu.Unlock()
	if index > 0 && uint64(index) <= uint64(len(o.answers)) && !o.answers[index-1].due {
		o.answers[index-1].forget()
	}
}
