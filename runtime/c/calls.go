package c

// #include "call.h"
import "C"

import (
	"bytes"
	"context"
	"log/slog"
	"runtime/cgo"
	"time"
	"unsafe"

	"github.com/myelin-run/myelin/event"
)

// The calls that a function makes while it runs. They come on the goroutine
// that called it, and so need no lock.

func of(worker C.uintptr_t) *instance { return cgo.Handle(worker).Value().(*instance) }

//export myelin_go_log
func myelin_go_log(worker C.uintptr_t, level C.int, text *C.char, n, message C.size_t) {
	i := of(worker)
	all := string(view(text, n))
	r := slog.NewRecord(time.Now(), slog.Level(level), all[:message], 0)
	with := pairs(all[message:])
	r.AddAttrs(with...)
	for k, ev := range i.evs {
		if ev.LogAsked && r.Level >= ev.LogLevel {
			i.resps[k].Logs = append(i.resps[k].Logs, event.LogRecord{Time: r.Time, Level: r.Level, Message: r.Message, With: with})
		}
	}
	if len(i.evs) == 1 { // what is said of many belongs to none
		r.AddAttrs(slog.String("event", string(i.evs[0].ID)))
	}
	if h := i.log.Handler(); h.Enabled(context.Background(), r.Level) {
		_ = h.Handle(context.Background(), r) // as slog itself: nobody can be told
	}
}

// pairs reads names and values, each after a zero.
func pairs(text string) (out []slog.Attr) {
	parts := bytes.Split([]byte(text), []byte{0})[1:]
	for k := 0; k < len(parts); k += 2 {
		value := ""
		if k+1 < len(parts) {
			value = string(parts[k+1])
		}
		out = append(out, slog.String(string(parts[k]), value))
	}
	return out
}

func (i *instance) values(index C.size_t, fields C.int) event.Values {
	switch {
	case uint64(index) >= uint64(len(i.evs)):
		return nil
	case fields != 0:
		return i.evs[index].Fields
	}
	return i.evs[index].Headers
}

//export myelin_go_get
func myelin_go_get(worker C.uintptr_t, index C.size_t, fields C.int, key *C.char, n C.size_t) (found C.myelin_bytes) {
	i := of(worker)
	vs := i.values(index, fields)
	if vs == nil {
		return found
	}
	v := vs.Get(unsafe.String((*byte)(unsafe.Pointer(key)), int(n)))
	if v == nil {
		return found
	}
	p := unsafe.SliceData(v)
	i.pins.Pin(p) // until the handler returns
	i.pinned = true
	found.data, found.len = (*C.char)(unsafe.Pointer(p)), C.size_t(len(v))
	return found
}

//export myelin_go_each
func myelin_go_each(worker C.uintptr_t, index C.size_t, fields C.int, f, arg unsafe.Pointer) {
	vs := of(worker).values(index, fields)
	if vs == nil {
		return
	}
	for k, v := range vs.All() {
		if C.myelin_call_each(f, arg, bytesOf(k), C.size_t(len(k)), bytesOf(v), C.size_t(len(v))) != 0 {
			return
		}
	}
}
