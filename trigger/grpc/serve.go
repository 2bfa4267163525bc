package grpc

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime/debug"
	"strings"

	rpc "google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/myelin-run/myelin/event"
)

// form is how messages carry events and answers: those of myelin.v1.Function, or
// the user's own.
type form interface {
	// read makes the event of the message that c has.
	read(c *call) error
	// write makes the message that answers it.
	write(ctx context.Context, c *call, status int) mem.BufferSlice
	// refuse answers a message of a stream with a failure; nil if only the end
	// of the stream can say it.
	refuse(f failure) mem.BufferSlice
}

// general is the form of myelin.v1.Function.
type general struct{}

func (general) read(c *call) error { return c.read(c.in.data) }

func (general) write(_ context.Context, c *call, status int) mem.BufferSlice {
	resp := &c.resp
	resp.ContentType = valid(resp.ContentType)
	for i := range resp.Header {
		h := &resp.Header[i]
		h.Key, h.Value = valid(h.Key), valid(h.Value)
	}
	head := appendHead(make([]byte, 0, 64+min(len(resp.Body), small)), status, resp, len(resp.Body))
	if len(resp.Body) <= small {
		return mem.BufferSlice{mem.SliceBuffer(append(head, resp.Body...))}
	}
	body, rest := lend(resp.Body)
	resp.Body = rest
	return mem.BufferSlice{mem.SliceBuffer(head), body}
}

// small is a body that goes into one buffer with what is before it.
const small = 1 << 10

func (general) refuse(f failure) mem.BufferSlice {
	resp := event.Response{ContentType: "text/plain; charset=utf-8", Body: []byte(f.message)}
	return mem.BufferSlice{mem.SliceBuffer(append(appendHead(nil, f.status, &resp, len(resp.Body)), resp.Body...))}
}

// valid makes text of s: clients refuse a message with any other string.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// own is the form of a method of the user's: the message is the body.
type own string

func (o own) read(c *call) error {
	c.raw(string(o))
	return nil
}

func (own) write(ctx context.Context, c *call, _ int) mem.BufferSlice {
	var md metadata.MD
	for i := range c.resp.Header {
		if k, v, ok := sendable(c.resp.Header[i].Key, c.resp.Header[i].Value); ok {
			if md == nil {
				md = metadata.MD{}
			}
			md[k] = append(md[k], v)
		}
	}
	if md != nil {
		_ = rpc.SetHeader(ctx, md) // it fails if a stream has sent its own already
	}
	body, rest := lend(c.resp.Body)
	c.resp.Body = rest
	return mem.BufferSlice{body}
}

func (own) refuse(failure) mem.BufferSlice { return nil }

func oneSided(name string) error {
	return status.Errorf(codes.Unimplemented, "%s streams in one direction: a function answers each message with one", name)
}

// unary serves one call.
func (s *server) unary(ctx context.Context, f form, read func(any) error) (any, error) {
	c := s.calls.Get().(*call)
	if err := read(&c.in); err != nil {
		s.done(c)
		return nil, err
	}
	out, bad, abandoned := s.event(ctx, c, f)
	if !abandoned {
		s.done(c)
	}
	if bad != nil {
		return nil, bad.err(ctx)
	}
	return out, nil
}

// stream serves a stream: each message is an event, each answer a message, in
// order.
func (s *server) stream(stream rpc.ServerStream, f form) error {
	ctx, came := stream.Context(), make(chan received)
	s.receivers.Go(func() { s.receive(stream, came) })
	for {
		var in received
		select {
		case in = <-came:
		case <-s.over:
			return failed(event.ErrStopping).err(ctx)
		}
		if errors.Is(in.err, io.EOF) {
			return nil
		}
		if in.err != nil {
			return in.err
		}
		c := in.call
		out, bad, abandoned := s.event(ctx, c, f)
		if !abandoned {
			s.done(c)
		}
		if bad != nil {
			if out = f.refuse(*bad); out == nil || bad.status == 499 || s.draining.Load() {
				return bad.err(ctx)
			}
		}
		if err := stream.SendMsg(out); err != nil {
			return err
		}
		if s.draining.Load() {
			return failed(event.ErrStopping).err(ctx)
		}
	}
}

// received is a message of a stream, or why there is none.
type received struct {
	call *call
	err  error
}

// receive takes in messages until the stream ends: the handler, which ends with
// the drain, cannot wait for them itself.
func (s *server) receive(stream rpc.ServerStream, came chan<- received) {
	for {
		in := received{call: s.calls.Get().(*call)}
		if in.err = stream.RecvMsg(&in.call.in); in.err != nil {
			s.done(in.call)
			in.call = nil
		}
		select {
		case came <- in:
		case <-stream.Context().Done(): // the handler has returned
			if in.err == nil {
				s.done(in.call)
			}
			return
		}
		if in.err != nil {
			return
		}
	}
}

func (s *server) done(c *call) {
	c.clear()
	s.calls.Put(c)
}

// event runs the function on the message that c has. If abandoned, c is the
// function's.
func (s *server) event(ctx context.Context, c *call, f form) (out mem.BufferSlice, bad *failure, abandoned bool) {
	c.begin(ctx)
	if err := f.read(c); err != nil {
		return nil, &failure{http.StatusBadRequest, codes.InvalidArgument, err.Error()}, false
	}
	err := s.invoke(ctx, c)
	if err != nil && event.Abandoned(err) {
		b := failed(err)
		return nil, &b, true
	}
	if err == nil {
		err = gather(&c.resp)
	} else if c.resp.Stream != nil {
		_ = c.resp.Stream.Close() // the function failed after it opened it
		c.resp.Stream = nil
	}
	code := c.resp.Status
	switch {
	case errors.Is(err, event.ErrLater):
		code = http.StatusAccepted
		c.resp.Body = c.resp.Body[:0]
	case err != nil:
		b := failed(err)
		return nil, &b, false
	case code == 0:
		code = http.StatusOK
	}
	if b, yes := answered(&c.resp); yes {
		return nil, &b, false
	}
	return f.write(ctx, c, code), nil, false
}

// gather reads what the function streams: an answer is one message.
func gather(resp *event.Response) error {
	if resp.Stream == nil {
		return nil
	}
	r := resp.Stream
	resp.Stream = nil
	b, err := io.ReadAll(r)
	resp.Body = append(resp.Body[:0], b...)
	return errors.Join(err, r.Close())
}

// invoke hands the event to the function. A panic is that event's failure.
func (s *server) invoke(ctx context.Context, c *call) (err error) {
	if !s.gate.enter() {
		return event.ErrStopping
	}
	defer s.gate.leave()
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("handler panicked", "panic", p, "stack", string(debug.Stack()))
			err = event.Errorf(http.StatusInternalServerError, "handler panicked")
		}
	}()
	return s.h.Handle(ctx, &c.ev, &c.resp)
}
