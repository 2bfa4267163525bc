package queue

import (
	"container/heap"
	"context"
	"time"
)

// keep runs until the line ends: it makes held messages ready when they are
// due, and wakes a worker for a batch whose window is over.
func (l *line) keep() {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		wait, ended := l.tick()
		if ended {
			return
		}
		t.Reset(wait)
		select {
		case <-t.C:
		case <-l.kick:
		}
	}
}

// tick does what is due and says how long nothing else will be.
func (l *line) tick() (wait time.Duration, ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for len(l.held) > 0 && !l.held[0].due.After(now) {
		l.ready.push(heap.Pop(&l.held).(*Message))
		l.work.Signal()
	}
	wait = time.Hour
	if len(l.held) > 0 {
		wait = l.held[0].due.Sub(now)
	}
	if l.size > 1 && l.ready.n > 0 {
		if over := l.window - now.Sub(l.ready.first().came); over > 0 {
			wait = min(wait, over)
		} else {
			l.work.Signal()
		}
	}
	return wait, l.ended
}

// end lets workers and the keeper go.
func (l *line) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended, l.rush = true, true
	l.work.Broadcast()
	l.poke()
}

// clear takes the messages of s that are not in workers out of the line:
// those that wait, those that are held, and those whose tokens are open.
func (l *line) clear(s *session) (out []*Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clearLocked(s)
}

func (l *line) clearLocked(s *session) (out []*Message) {
	for range l.ready.n {
		if m := l.ready.pop(); m.sess == s {
			out = append(out, m)
		} else {
			l.ready.push(m)
		}
	}
	var stay holding
	for _, m := range l.held {
		if m.sess == s {
			out = append(out, m)
		} else {
			stay = append(stay, m)
		}
	}
	l.held = stay
	heap.Init(&l.held)
	return out
}

// clearOpen takes out the messages whose handler has returned and whose tokens
// were not settled.
func (l *line) clearOpen(s *session) (out []*Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for seq, m := range l.open {
		if m.sess == s && m.ran {
			out = append(out, m)
			delete(l.open, seq)
		}
	}
	return out
}

// putAll makes Messages free that were in no worker.
func (l *line) putAll(ms []*Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range ms {
		l.put(m)
	}
}

// hurry lets nothing wait any longer, or ends that.
func (l *line) hurry(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rush = on
	for on && len(l.held) > 0 {
		l.ready.push(heap.Pop(&l.held).(*Message))
	}
	l.work.Broadcast()
}

// idle waits until no worker has a message and none is ready.
func (l *line) idle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.running > 0 || l.ready.n > 0 || len(l.held) > 0 {
		l.room.Wait()
	}
}

// settled waits until no token is open, or ctx is done.
func (l *line) settled(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.room.Broadcast()
	})
	defer stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.open) > 0 && ctx.Err() == nil {
		l.room.Wait()
	}
}

// inFlight is how many messages are here.
func (l *line) inFlight() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.running + l.ready.n + len(l.held)
	for _, m := range l.open {
		if m.ran {
			n++
		}
	}
	return n
}
