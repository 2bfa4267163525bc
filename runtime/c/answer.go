package c

// #include "call.h"
import "C"

import (
	"bytes"
	"sync"
	"unsafe"

	"github.com/myelin-run/myelin/event"
)

// answer fills resp with what the function answered: a large body of its own
// is lent, if the caller takes that, and everything else is copied.
func (i *instance) answer(out *C.myelin_response, resp *event.Response) {
	resp.Status = int(out.status)
	if out.content_type != nil {
		resp.ContentType = i.name(unsafe.Slice((*byte)(unsafe.Pointer(out.content_type)), C.strlen(out.content_type)))
	}
	if out.headers_len_ > 0 {
		i.headers(out, resp)
	}
	takesViews := resp.Takes&event.TakesViews != 0
	switch {
	case out.lent_ == 0 && takesViews && out.own_len_ > maxKept: // it would not be kept
		resp.View, resp.Owner = view(out.own_, out.own_len_), i.lend(C.myelin_free_function(), unsafe.Pointer(out.own_))
		out.own_, out.own_cap_ = nil, 0
	case out.lent_ == 0:
		resp.Body = append(resp.Body, view(out.own_, out.own_len_)...)
	case takesViews && out.len_ >= minView:
		resp.View, resp.Owner = view(out.body_, out.len_), i.lend(unsafe.Pointer(out.release_), out.release_arg_)
	default:
		resp.Body = append(resp.Body, view(out.body_, out.len_)...)
		release(out)
	}
}

// release gives back a body that was copied or is not wanted.
func release(out *C.myelin_response) {
	if out.release_ != nil {
		C.myelin_call_release(unsafe.Pointer(out.release_), out.release_arg_)
		out.release_ = nil
	}
}

func view(p *C.char, n C.size_t) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(p)), int(n)) }

func (i *instance) headers(out *C.myelin_response, resp *event.Response) {
	rest := view(out.headers_, out.headers_len_)
	for len(rest) > 0 {
		key, tail, _ := bytes.Cut(rest, []byte{0})
		value, tail, _ := bytes.Cut(tail, []byte{0})
		resp.Header = append(resp.Header, event.Field{Key: i.name(key), Value: i.name(value)})
		rest = tail
	}
}

// name is b as a string, the same one as before if it was seen before.
func (i *instance) name(b []byte) string {
	if s, ok := i.names[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(i.names) < maxNames && len(b) <= 64 {
		i.names[s] = s
	}
	return s
}

// outcome is that of an event whose handler returned rc; resp is filled if it
// answered.
func (i *instance) outcome(rc int, out *C.myelin_response, resp *event.Response) error {
	if rc != C.MYELIN_OK {
		return failure(rc, out)
	}
	i.answer(out, resp)
	return nil
}

// failure is the outcome of a handler that returned rc.
func failure(rc int, out *C.myelin_response) error {
	failed := &event.Error{Status: int(out.failed_status_), Message: string(view(out.own_, out.own_len_))}
	if failed.Status == 0 { // it said nothing
		failed = event.Errorf(500, "handler returned %d", rc)
	}
	release(out)
	if rc == C.MYELIN_PERMANENT {
		return event.Permanent(failed)
	}
	return failed
}

// lent is a body of the function's own, until it was sent.
type lent struct {
	of           *loans
	release, arg unsafe.Pointer
}

// loans keeps what was lent before, to be used again.
type loans struct {
	mu    sync.Mutex
	spare []*lent
}

func (i *instance) lend(release, arg unsafe.Pointer) *lent {
	l := &i.loans
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.spare)
	if n == 0 {
		return &lent{l, release, arg}
	}
	out := l.spare[n-1]
	l.spare = l.spare[:n-1]
	out.release, out.arg = release, arg
	return out
}

// Release implements [event.Owner].
func (b *lent) Release() {
	if b.release != nil {
		C.myelin_call_release(b.release, b.arg)
	}
	b.of.mu.Lock()
	b.of.spare = append(b.of.spare, b)
	b.of.mu.Unlock()
}
