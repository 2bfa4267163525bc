package delivery

import (
	"context"

	"github.com/myelin-run/myelin/event"
)

// Skip reports whether an event is done without being run: the filter leaves it
// out, or it was done before within the window.
func (p *Policy) Skip(ctx context.Context, ev *event.Event) bool {
	if p.Filter != nil {
		pass, err := p.Filter.Pass(ev)
		if err != nil {
			p.log.Warn("filter undecided; the event passes", "id", string(ev.ID), "error", err)
		}
		if !pass {
			return true
		}
	}
	if p.seen == nil {
		return false
	}
	has, err := p.seen.Has(ctx, p.Name, p.name(ev), p.window)
	if err != nil {
		p.log.Warn("look up event failed; it runs", "id", string(ev.ID), "error", err)
	}
	return has
}

// Plain reports whether Skip is always false.
func (p *Policy) Plain() bool { return p.Filter == nil && p.seen == nil }

// Remember notes that an event is done, before it is acked.
func (p *Policy) Remember(ctx context.Context, ev *event.Event) {
	if p.seen == nil {
		return
	}
	if err := p.seen.Mark(ctx, p.Name, p.name(ev), p.window); err != nil {
		p.log.Warn("remember event failed; it may run twice", "id", string(ev.ID), "error", err)
	}
}

func (p *Policy) name(ev *event.Event) []byte {
	if p.header != "" {
		if v := ev.Header(p.header); len(v) > 0 {
			return v
		}
	}
	return ev.ID
}
