package http

import (
	"context"
	"errors"
	"time"

	"github.com/coder/websocket"

	"github.com/myelin-run/myelin/trigger/http/live"
)

// write sends what is queued for the client until it has gone or the trigger
// drains.
func (t *talk) write() {
	for {
		if !t.flush() {
			return
		}
		select {
		case <-t.client.Waits():
		case <-t.client.Gone():
		case <-t.ctx.Done():
			return
		case <-t.s.hub.Ending():
			t.leave()
			return
		}
	}
}

// flush writes all that is queued, and reports whether the connection goes on.
func (t *talk) flush() bool {
	ms, err := t.client.Take()
	for _, m := range ms {
		if m.Last {
			t.bye(websocket.StatusNormalClosure, "")
			return false
		}
		kind := websocket.MessageText
		if m.Binary {
			kind = websocket.MessageBinary
		}
		if werr := t.ws.Write(t.ctx, kind, m.Body); werr != nil {
			_ = t.ws.CloseNow() // its reader hears of it
			return false
		}
	}
	switch {
	case err == nil:
		return true
	case errors.Is(err, live.ErrSlow):
		t.bye(websocket.StatusPolicyViolation, err.Error())
	}
	return false
}

// leave ends the connection once the event that runs is answered: the client
// then goes elsewhere.
func (t *talk) leave() {
	t.event.Lock()
	t.over = true
	t.event.Unlock()
	if t.flush() {
		t.bye(websocket.StatusGoingAway, live.ErrEnding.Error())
	}
}

// bye says why the connection ends, and ends it.
func (t *talk) bye(code websocket.StatusCode, why string) {
	cut := time.AfterFunc(byeTime, func() { _ = t.ws.CloseNow() }) // who does not answer is not waited for
	defer cut.Stop()
	_ = t.ws.Close(code, why) // it has ended, one way or the other
}

// pings asks the client from time to time whether it is there.
func (t *talk) pings() {
	every := t.s.cfg.WebSocket.PingInterval.Std()
	if every <= 0 {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			t.ping(every)
		case <-t.ctx.Done():
			return
		}
	}
}

// ping ends the connection of a client that does not answer. While an event
// runs nothing is read, its answers included.
func (t *talk) ping(within time.Duration) {
	before := t.runs.Load()
	if before%2 != 0 {
		return
	}
	ctx, cancel := context.WithTimeout(t.ctx, within)
	defer cancel()
	if err := t.ws.Ping(ctx); err != nil && t.runs.Load() == before {
		_ = t.ws.CloseNow() // its reader hears of it
	}
}
