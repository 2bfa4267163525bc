package cloudevents

import (
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

// Pending implements [trigger.Submitter].
func (h *Handler) Pending(done func()) trigger.Pending {
	s, ok := h.Pool.(trigger.Submitter)
	if !ok {
		return nil
	}
	p := s.Pending(done)
	if p == nil {
		return nil
	}
	return &pending{p, h}
}

// Flush implements [trigger.Submitter].
func (h *Handler) Flush() {
	if s, ok := h.Pool.(trigger.Submitter); ok {
		s.Flush()
	}
}

// pending submits what is left as it is; CloudEvents are for Handle.
type pending struct {
	trigger.Pending
	h *Handler
}

// Submit implements [trigger.Pending].
func (p *pending) Submit(ev *event.Event) bool {
	_, other := p.h.carries(ev)
	return other && p.Pending.Submit(ev)
}
