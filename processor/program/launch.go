package program

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/myelin-run/myelin/processor"
	"github.com/myelin-run/myelin/processor/parked"
)

// launch is how this process was started.
type launch struct {
	runs time.Time // when the program began
	gate int       // the descriptor that a parked processor waits at, 0 if it does not
}

// run runs p, at once or when a parked one is told to.
func (l launch) run(ctx context.Context, p *processor.Processor) error {
	if l.gate != 0 {
		return l.wait(ctx, p)
	}
	if text := os.Getenv(parked.Variable); text != "" {
		_ = os.Unsetenv(parked.Variable) // the function needs no such thing
		t, err := parked.Parse(text)
		if err != nil {
			return errors.Join(err, p.Discard())
		}
		p.Started(t, l.runs)
	}
	return p.Run(ctx)
}

// wait parks p. That nobody needs it is a clean end.
func (l launch) wait(ctx context.Context, p *processor.Processor) error {
	gate, err := parked.Open(l.gate)
	if err != nil {
		return errors.Join(err, p.Discard())
	}
	warm, cancel := context.WithCancel(ctx)
	defer cancel()
	var warming sync.WaitGroup
	warming.Go(func() { p.Warm(warm) })
	t, err := gate.Await(ctx)
	_ = gate.Close() // it was read to its end
	if err == nil {
		warming.Wait()
		p.Unpark(t)
		return p.Run(ctx)
	}
	cancel()
	warming.Wait()
	if errors.Is(err, parked.ErrNotNeeded) || errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, p.Discard())
}
