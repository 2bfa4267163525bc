package stream

import (
	"context"

	"github.com/myelin-run/myelin/trigger"
)

// tell has the Assigner tell of the shards that there are, and of others when
// there are others: it then takes back what it gave, and deals anew.
func (r *run) tell(ctx context.Context) (err error) {
	as := r.o.Assignment
	all := as.All
	for {
		if as.Find != nil {
			if all, err = as.Find(ctx, all); err != nil {
				return err
			}
		}
		r.assigned.count(all)
		known, others := as.until(ctx, all)
		err = as.By.Assign(known, as.Table, as.Part, all, r.assigned)
		if !others() || ctx.Err() != nil {
			return err
		}
		if err != nil {
			r.log.Warn("give shards back failed", "error", err)
		}
	}
}

// until is done when there are other shards than all; others ends that, and says
// whether it was so.
func (as *Assignment) until(ctx context.Context, all []trigger.Shard) (known context.Context, others func() bool) {
	known, cancel := context.WithCancel(ctx)
	if as.Find == nil {
		return known, func() bool { cancel(); return false }
	}
	found := make(chan bool, 1)
	go func() {
		_, err := as.Find(known, all)
		found <- err == nil || known.Err() == nil // an error is told when Find is asked again
		cancel()
	}()
	return known, func() bool { cancel(); return <-found }
}
