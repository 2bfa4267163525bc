package http

import (
	"github.com/myelin-run/myelin/asyncapi"
	"github.com/myelin-run/myelin/trigger"
)

var _ trigger.Described = (*Trigger)(nil)

// Describe implements [trigger.Described]: requests, and messages of WebSockets if
// clients may open some. Both are where the function listens.
func (t *Trigger) Describe() []asyncapi.Description {
	prefix := "ce-"
	c := asyncapi.Channel{Address: "/{path}", Parameters: map[string]string{"path": "Any: the function sees it."}, Answers: asyncapi.Here,
		Message:  asyncapi.Message{Headers: map[string]string{"Content-Type": "What the body is.", "X-Request-Id": "Id of the event; without it one is made.", "traceparent": "The trace that the request belongs to."}},
		Answer:   asyncapi.Message{Headers: map[string]string{"Content-Type": "What the body is.", "X-Request-Id": "Id of the event."}, About: "What the function answers; its status is the function's."},
		Receives: asyncapi.Bindings{"bindingVersion": "0.3.0"}}
	if t.cfg.Events {
		c.Answer.About += " A request that accepts text/event-stream may be answered with one."
	}
	out := []asyncapi.Description{{Protocol: "http", CloudEvent: &prefix, Typed: true, Servers: []asyncapi.Server{{Protocol: "http"}}, Channels: []asyncapi.Channel{c}}}
	if t.cfg.WebSocket != nil {
		ws := asyncapi.Channel{Address: c.Address, Parameters: c.Parameters, Answers: asyncapi.Here, About: "A WebSocket, each message of which is an event.",
			Channel: asyncapi.Bindings{"method": "GET", "bindingVersion": "0.1.0"}, Answer: asyncapi.Message{About: "What the function answers or says of itself."}}
		out = append(out, asyncapi.Description{Protocol: "ws", Servers: []asyncapi.Server{{Protocol: "ws"}}, Channels: []asyncapi.Channel{ws}})
	}
	return out
}
