package native

import (
	"context"
	"log/slog"
	"sync"

	"github.com/myelin-run/myelin/event"
)

// capture copies what a worker logs to the response of the event that runs, if
// its caller asked. The function may log from goroutines of its own, also when
// its event is over.
type capture struct {
	next slog.Handler

	mu   sync.Mutex
	on   bool
	from slog.Level
	into *[]event.LogRecord
}

func (c *capture) begin(from slog.Level, into *[]event.LogRecord) {
	c.mu.Lock()
	c.on, c.from, c.into = true, from, into
	c.mu.Unlock()
}

func (c *capture) end() {
	c.mu.Lock()
	c.on, c.into = false, nil
	c.mu.Unlock()
}

func (c *capture) wants(l slog.Level) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.on && l >= c.from
}

func (c *capture) add(r slog.Record, with []slog.Attr) {
	rec := event.LogRecord{Time: r.Time, Level: r.Level, Message: r.Message, With: append([]slog.Attr(nil), with...)}
	r.Attrs(func(a slog.Attr) bool { rec.With = append(rec.With, a); return true })
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.on && r.Level >= c.from {
		*c.into = append(*c.into, rec)
	}
}

// handler is the slog face of a capture, with the attributes of its logger.
type handler struct {
	capture *capture
	next    slog.Handler
	with    []slog.Attr
	group   string
}

func (h handler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.next.Enabled(ctx, l) || h.capture.wants(l)
}

func (h handler) Handle(ctx context.Context, r slog.Record) error {
	if h.capture.wants(r.Level) {
		h.capture.add(r, h.with)
	}
	if !h.next.Enabled(ctx, r.Level) {
		return nil
	}
	return h.next.Handle(ctx, r)
}

func (h handler) WithAttrs(as []slog.Attr) slog.Handler {
	h.next = h.next.WithAttrs(as)
	h.with = append([]slog.Attr(nil), h.with...)
	for _, a := range as {
		a.Key = h.group + a.Key
		h.with = append(h.with, a)
	}
	return h
}

func (h handler) WithGroup(name string) slog.Handler {
	h.next = h.next.WithGroup(name)
	h.group += name + "."
	return h
}
