// Package remote lets workers in other processes use bindings: a call that came
// over the channel becomes the class's call, and its outcome the answer. What is
// in a call anybody may have written. It knows no driver, no channel and no
// processor.
package remote

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// Server serves the bindings of a function. Its life: New; Serve and Done from
// any goroutine; Close, when no Serve runs.
type Server struct {
	handles map[string]any
	state   *data.State // nil if the function has none
	defers  bool        // some handle takes writes before they are made
	marks   Marker      // nil: no worker may keep a value

	mu      sync.Mutex
	open    map[string]*owned // transactions by id
	pending map[any]*data.Pending
}

// owned is an open transaction. Its calls take turns.
type owned struct {
	owner   any
	binding string
	turn    sync.Mutex
	tx      *data.Tx
}

// New makes the server of handles, as a host has them.
func New(handles map[string]any) *Server {
	s := &Server{handles: handles, open: map[string]*owned{}, pending: map[any]*data.Pending{}}
	for _, h := range handles {
		s.defers = s.defers || data.Defers(h)
	}
	return s
}

// WithState has s serve what the function remembers, too; nil: nothing.
func (s *Server) WithState(state *data.State) *Server {
	s.state = state
	return s
}

// Marker says where it is counted that a key changes, and the count; see
// [runtime.Keeper].
type Marker interface {
	Mark(binding, key string) (word int, count uint32)
}

// WithMarks lets workers keep values that a binding's cache has, since they hear of
// changes.
func (s *Server) WithMarks(m Marker) *Server {
	s.marks = m
	return s
}

// request is a call that is being served.
type request struct {
	s      *Server
	owner  any
	call   *runtime.Call
	body   []byte
	answer *event.Response
}

func (r *request) header(name string) (string, bool) {
	for _, h := range r.call.Headers {
		if h.Key == name {
			return h.Value, true
		}
	}
	return "", false
}

// Serve does a call of the kind [runtime.CallBinding]. Owner, which is compared,
// is whose a transaction is that the call begins. The outcome, of whatever kind, is
// the answer: its status says how it went, and its body why if it did not go well.
func (s *Server) Serve(ctx context.Context, owner any, c *runtime.Call, answer *event.Response) error {
	r := &request{s: s, owner: owner, call: c, answer: answer, body: bytes.Clone(c.Body)}
	answer.Status = http.StatusOK
	if c.Scope != nil {
		if b, ok := c.Scope.Brought.(*Carried); ok {
			ctx = data.WithFetched(ctx, b.fetched)
		}
	}
	if s.defers && c.Scope != nil && c.Scope.Event {
		ctx = data.WithPending(ctx, s.pendingOf(owner))
	}
	if err := r.do(ctx); err != nil {
		status := int(data.ReasonOf(err))
		if status == 0 {
			status = http.StatusInternalServerError
		}
		answer.Reset()
		answer.Status, answer.Body = status, append(answer.Body, err.Error()...)
		if u, ok := errors.AsType[*data.Unpublished](err); ok {
			answer.SetHeader("Unpublished", places(u.Failed()))
		}
	}
	return nil
}

func (r *request) do(ctx context.Context) error {
	if op, ok := r.states()[r.call.Method]; ok {
		return op(ctx)
	}
	h, ok := r.s.handles[r.call.Name]
	if !ok {
		return data.Errorf(data.NotFound, "the function has no binding %q", r.call.Name)
	}
	var op func(context.Context) error
	switch h := h.(type) {
	case *data.KV:
		op = r.kv(h)
	case *data.Object:
		op = r.object(h)[r.call.Method]
	case *data.Files:
		op = r.object(h.Object)[r.call.Method]
	case *data.Table:
		op = r.table(h)[r.call.Method]
	case *data.Stream:
		op = r.stream(h)[r.call.Method]
	}
	if op == nil {
		return data.Errorf(data.Unsupported, "binding %s has no %q", r.call.Name, r.call.Method)
	}
	return op(ctx)
}

// nothing is the answer of a call that has nothing to say.
func (r *request) nothing(err error) error {
	if err == nil {
		r.answer.Status = http.StatusNoContent
	}
	return err
}

func (r *request) limit() (int, error) {
	text, ok := r.header("Limit")
	if !ok || text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0, data.Errorf(data.Misuse, "limit %.40q is no number", text)
	}
	return int(n), nil
}

func (r *request) after() string {
	after, _ := r.header("After")
	return after
}

// ifVersion returns the version that a write is to replace; nil if any.
func (r *request) ifVersion() *string {
	if v, ok := r.header("If-Version"); ok {
		return &v
	}
	return nil
}

func (r *request) ttl() (time.Duration, error) {
	text, ok := r.header("Ttl")
	if !ok || text == "" {
		return 0, nil
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(n) || n <= 0 || n > 1e9 {
		return 0, data.Errorf(data.Misuse, "ttl %.40q is no number of seconds above 0", text)
	}
	return time.Duration(n * float64(time.Second)), nil
}

// Done undoes the transactions that an owner has left open, and returns how
// many there were.
func (s *Server) Done(owner any) (left int) {
	s.mu.Lock()
	var gone []*owned
	for id, o := range s.open {
		if o.owner == owner {
			gone = append(gone, o)
			delete(s.open, id)
		}
	}
	s.mu.Unlock()
	for _, o := range gone {
		_ = o.tx.Rollback()
	}
	return len(gone)
}

// pendingOf returns the writes of an owner.
func (s *Server) pendingOf(owner any) *data.Pending {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pending[owner]
	if p == nil {
		p = &data.Pending{}
		s.pending[owner] = p
	}
	return p
}

// Written waits until the writes of an owner that were taken are made, and
// returns the first failure. The owner asks for nothing more.
func (s *Server) Written(owner any) error {
	if !s.defers {
		return nil
	}
	s.mu.Lock()
	p := s.pending[owner]
	delete(s.pending, owner)
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.Wait(context.Background()) // each has a time of its own
}

// Close undoes all that is open.
func (s *Server) Close() {
	s.mu.Lock()
	open := s.open
	s.open = map[string]*owned{}
	s.mu.Unlock()
	for _, o := range open {
		_ = o.tx.Rollback()
	}
}

// keep gives a transaction an id.
func (s *Server) keep(o *owned) string {
	id := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	for old, other := range s.open {
		if other.tx.Expired() {
			delete(s.open, old)
		}
	}
	s.open[id] = o
	return id
}

// take finds an open transaction of a binding; last: and forgets it.
func (s *Server) take(binding, id string, last bool) (*owned, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.open[id]
	if !ok || o.binding != binding {
		return nil, data.Errorf(data.Misuse, "binding %s has no open transaction %.40q: it has ended, or its handler has returned", binding, id)
	}
	if last {
		delete(s.open, id)
	}
	return o, nil
}
