package http

import (
	"net/http"
	"sync"
)

// h2bodies are the bodies of requests of HTTP/2 that are being read. The server's
// sweep ends those that take longer than ReadTimeout: a timer for each request
// costs more than all else that is done to read it.
type h2bodies struct {
	mu    sync.Mutex
	first *h2body // by no order
}

// h2body is one that is being read.
type h2body struct {
	began      int64 // tick
	w          http.ResponseWriter
	next, prev *h2body
}

// add notes that b is read from now on, until remove.
func (l *h2bodies) add(b *h2body, tick int64, w http.ResponseWriter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*b = h2body{began: tick, w: w, next: l.first}
	if l.first != nil {
		l.first.prev = b
	}
	l.first = b
}

// remove returns when nothing is done to b any more.
func (l *h2bodies) remove(b *h2body) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b.prev != nil {
		b.prev.next = b.next
	} else {
		l.first = b.next
	}
	if b.next != nil {
		b.next.prev = b.prev
	}
	*b = h2body{}
}

// interrupt makes the reads return of which have lasted as many ticks.
func (l *h2bodies) interrupt(tick, limit int64) {
	if limit == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for b := l.first; b != nil; b = b.next {
		if tick-b.began >= limit {
			_ = http.NewResponseController(b.w).SetReadDeadline(past) // its connection may have gone
		}
	}
}
