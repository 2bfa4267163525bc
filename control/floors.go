package control

import (
	"context"
	"fmt"
	"sync"
)

// floors are the long-lived parts, each with its own end, so that they can be
// ended one after the other.
type floors struct {
	mu    sync.Mutex
	parts map[string]*part
	ended chan string
}

type part struct {
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

const maxParts = 16

func (f *floors) start(name string, run func(context.Context) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.parts == nil {
		f.parts, f.ended = map[string]*part{}, make(chan string, maxParts)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &part{cancel: cancel, done: make(chan struct{})}
	f.parts[name] = p
	go func() {
		if err := run(ctx); err != nil {
			p.err = fmt.Errorf("%s: %w", name, err)
		}
		close(p.done)
		f.ended <- name
	}()
}

// wait returns when ctx is done, or with an error when a part has ended before.
func (f *floors) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case name := <-f.ended:
		if f.failed(name) == nil {
			return fmt.Errorf("%s ended by itself", name)
		}
		return nil // stop tells its error
	}
}

// failed returns why a part has ended, nil while it runs.
func (f *floors) failed(name string) error {
	p := f.parts[name]
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// stop ends a part, if it was started, and waits for it.
func (f *floors) stop(name string) error {
	p := f.parts[name]
	if p == nil {
		return nil
	}
	p.cancel()
	<-p.done
	return p.err
}
