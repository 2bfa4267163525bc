// Package limit counts requests against rates: buckets of tokens, one for all
// and one for each client. It knows no requests and reads no clock.
package limit

import (
	"math"
	"sync"
	"time"

	"github.com/myelin-run/myelin/control/route"
)

// mostClients bounds what is remembered. Beyond it those that have waited
// longest are forgotten, which gives them a full bucket.
const mostClients = 100_000

// Limiter is the limits of one route. It may be used from any goroutine.
type Limiter struct {
	rule route.RateLimit

	mu      sync.Mutex
	all     bucket
	clients map[string]*bucket
}

// bucket is how many tokens there were at a time.
type bucket struct {
	tokens float64
	at     time.Time
}

// New returns the limiter of a rule, with full buckets.
func New(r route.RateLimit) *Limiter {
	if r.Burst == 0 {
		r.Burst = int(max(1, math.Ceil(r.Rate)))
	}
	if r.ClientBurst == 0 {
		r.ClientBurst = int(max(1, math.Ceil(r.PerClient)))
	}
	return &Limiter{rule: r, all: bucket{tokens: float64(r.Burst)}, clients: map[string]*bucket{}}
}

// Take takes a token for a client. If there is none it says after which time
// there may be one.
func (l *Limiter) Take(client string, now time.Time) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var own *bucket
	if l.rule.PerClient > 0 {
		own = l.client(client, now)
		if wait := own.fill(l.rule.PerClient, l.rule.ClientBurst, now); wait > 0 {
			return wait, false
		}
	}
	if l.rule.Rate > 0 {
		if wait := l.all.fill(l.rule.Rate, l.rule.Burst, now); wait > 0 {
			return wait, false
		}
		l.all.tokens--
	}
	if own != nil {
		own.tokens--
	}
	return 0, true
}

// fill adds what has come back, and says how long a token takes to come.
func (b *bucket) fill(rate float64, burst int, now time.Time) time.Duration {
	if passed := now.Sub(b.at); !b.at.IsZero() && passed > 0 {
		b.tokens = min(float64(burst), b.tokens+passed.Seconds()*rate)
		b.at = now
	} else if b.at.IsZero() {
		b.at = now
	}
	if b.tokens >= 1 {
		return 0
	}
	return time.Duration(min((1-b.tokens)/rate*float64(time.Second)+1, float64(24*time.Hour)))
}

func (l *Limiter) client(name string, now time.Time) *bucket {
	b := l.clients[name]
	if b == nil {
		if len(l.clients) >= mostClients {
			l.forget(now)
		}
		b = &bucket{tokens: float64(l.rule.ClientBurst), at: now}
		l.clients[name] = b
	}
	return b
}

// forget drops the clients whose buckets are full again, and if that is not
// enough, others.
func (l *Limiter) forget(now time.Time) {
	for name, b := range l.clients {
		b.fill(l.rule.PerClient, l.rule.ClientBurst, now)
		if b.tokens >= float64(l.rule.ClientBurst) {
			delete(l.clients, name)
		}
	}
	for name := range l.clients {
		if len(l.clients) < mostClients*9/10 {
			return
		}
		delete(l.clients, name)
	}
}
