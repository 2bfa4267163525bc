package shm

import (
	"context"
	"net/http"
	"sync"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/shm/ring"
)

// scope is what one event asks of bindings. Its calls are ended with it.
type scope struct {
	runtime.Scope
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup // its calls
}

// newScope makes a scope that ends with ctx, and whose calls have the values of
// the event's context, nil if there is none.
func newScope(ctx, values context.Context) *scope {
	sc := &scope{}
	if values != nil {
		ctx = valued{ctx, values}
	}
	sc.ctx, sc.cancel = context.WithCancel(ctx)
	return sc
}

// valued is a context with the values of another.
type valued struct {
	context.Context
	values context.Context
}

// Value implements context.Context.
func (v valued) Value(key any) any {
	if x := v.Context.Value(key); x != nil {
		return x
	}
	return v.values.Value(key)
}

// leave says that a call of sc has returned; nil is the scope of no call.
func (sc *scope) leave() {
	if sc != nil {
		sc.running.Done()
	}
}

// end ends the calls that are left, and undoes what they opened. An error is
// that of the event.
func (sc *scope) end(caller runtime.Caller) error {
	sc.cancel()
	sc.running.Wait()
	if e, ok := caller.(runtime.Ender); ok {
		return e.Done(&sc.Scope)
	}
	return nil
}

// scopeError is the failure of an event whose function answered, but whose scope
// did not end well.
type scopeError struct{ error }

func (e *scopeError) Unwrap() error { return e.error }

// scopeOf finds the scope of a call that was checked. What an event asks for
// after it was answered, it asks for as the worker. in.reading is held.
func (in *Instance) scopeOf(e *ring.Entry) *scope {
	if e.For == 0 {
		return in.calls.whole
	}
	s := in.slots[e.For-1]
	if e.ForGen == 0 || s.armed.Load() != e.ForGen && s.flowing != e.ForGen {
		return in.calls.whole
	}
	if s.scope == nil {
		s.scope = newScope(in.calls.ctx, s.values)
		s.scope.Event, s.scope.Brought = true, s.brought
	}
	return s.scope
}

// finish completes a request whose scope ends with it.
func (in *Instance) finish(s *slot, e ring.Entry, flowing bool) {
	sc := s.scope
	s.scope = nil
	in.tasks.Add(1)
	go func() {
		defer in.tasks.Done()
		if err := sc.end(in.calls.caller); err != nil && e.Flags&ring.FlagError == 0 {
			s.spoil(&e, flowing, err)
		}
		if err := s.tell(&e, flowing); err != nil {
			in.violate(err)
		}
	}()
}

// spoil makes a response a failure. That of a stream has no more to say than that
// it is one.
func (s *slot) spoil(e *ring.Entry, flowing bool, err error) {
	if !flowing {
		s.fail = &scopeError{err}
		return
	}
	e.Flags |= ring.FlagError
	e.Code, e.MetaLen, e.BodyLen = http.StatusInternalServerError, 0, 0
}

// sharedFailure lets all events of a call fail whose first one's scope did not end well.
func sharedFailure(resps []*event.Response, errs []error, at []int) {
	for _, k := range at {
		if failed, ok := errs[k].(*scopeError); ok { //nolint:errorlint // as become returned it
			for _, i := range at {
				if errs[i] == nil {
					resps[i].Reset()
					errs[i] = failed
				}
			}
			return
		}
	}
}

// endScopes ends those of a worker that has gone. in.reading is held.
func (in *Instance) endScopes() {
	in.calls.cancel()
	if in.calls.caller == nil {
		return
	}
	all := []*scope{in.calls.whole}
	for _, s := range in.slots {
		if s.scope != nil {
			all = append(all, s.scope)
			s.scope = nil
		}
	}
	for _, sc := range all {
		in.tasks.Go(func() { _ = sc.end(in.calls.caller) }) // their events have failed
	}
}
