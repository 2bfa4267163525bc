// Package breaker refuses calls of a service that failed some times in a row:
// for a while all of them, then all but one, whose outcome decides. It knows no
// service.
package breaker

import (
	"sync"
	"time"

	"github.com/myelin-run/myelin/binding/data"
)

// The states of a breaker.
const (
	Closed  = "closed" // calls pass
	Open    = "open"   // none does
	Probing = "half-open"
)

// Breaker implements [data.Gate].
type Breaker struct {
	failures int
	pause    time.Duration
	now      func() time.Time

	mu      sync.Mutex
	row     int       // failures in a row
	until   time.Time // no call passes before; zero: all do
	probing bool      // one passed that decides
	opened  uint64
}

// New makes one that opens after so many failures in a row.
func New(failures int, pause time.Duration) *Breaker {
	return &Breaker{failures: failures, pause: pause, now: time.Now}
}

// Pass implements [data.Gate].
func (b *Breaker) Pass() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until.IsZero() {
		return nil
	}
	if left := b.until.Sub(b.now()); left > 0 {
		return data.Errorf(data.Away, "the last %d calls failed: none is tried for %s", b.row, left.Round(time.Millisecond))
	}
	if b.probing {
		return data.Errorf(data.Away, "the last %d calls failed: one is being tried", b.row)
	}
	b.probing = true
	return nil
}

// Passed implements [data.Gate]. Failures are of the service: it is away, or did
// not answer in time.
func (b *Breaker) Passed(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch data.ReasonOf(err) {
	case data.Away, data.Timeout:
		b.row++
		if b.probing || b.row >= b.failures && b.until.IsZero() {
			b.until = b.now().Add(b.pause)
			b.opened++
		}
		b.probing = false
	case data.Busy: // says nothing of the service
		b.probing = false
	default:
		b.row, b.until, b.probing = 0, time.Time{}, false
	}
}

// State says whether calls pass.
func (b *Breaker) State() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.until.IsZero():
		return Closed
	case b.probing || !b.now().Before(b.until):
		return Probing
	}
	return Open
}

// Opened counts how often it began to refuse calls.
func (b *Breaker) Opened() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.opened
}
