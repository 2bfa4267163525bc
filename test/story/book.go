package story

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// seen is what is in front of what the function notes: seen/VERSION/EVENT.
const seen = "seen/"

// stream is what the mapping reads.
const stream = "in"

// runs says how often each event ran, and how many in each version.
func (s *story) runs(ctx context.Context) (events, versions map[string]int, err error) {
	events, versions = map[string]int{}, map[string]int{}
	keys, err := s.redis.Keys(ctx, seen+"*").Result()
	if err != nil || len(keys) == 0 {
		return events, versions, err
	}
	counts, err := s.redis.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, nil, err
	}
	for i, key := range keys {
		version, event, _ := strings.Cut(strings.TrimPrefix(key, seen), "/")
		n := 0
		if _, err := fmt.Sscan(fmt.Sprint(counts[i]), &n); err != nil {
			return nil, nil, fmt.Errorf("%s is %v: %w", key, counts[i], err)
		}
		events[event] += n
		versions[version]++
	}
	return events, versions, nil
}

// add puts an event into the stream; it is acknowledged if there is no error.
func (s *story) add(ctx context.Context, event string) error {
	return s.redis.XAdd(ctx, &redis.XAddArgs{Stream: stream, Values: []any{"body", event}}).Err()
}

// ran waits until all of these events have run, and says how often those that ran
// more than once did so in excess.
func (s *story) ran(events []string) (again int) {
	s.Helper()
	s.await("all events", func(ctx context.Context) error {
		all, _, err := s.runs(ctx)
		if err != nil {
			return err
		}
		again = 0
		var missing []string
		for _, e := range events {
			if all[e] == 0 {
				missing = append(missing, e)
			}
			again += max(all[e]-1, 0)
		}
		if len(missing) > 0 {
			return fmt.Errorf("the books do not balance: %d of %d did not run, such as %s", len(missing), len(events), missing[0])
		}
		return nil
	})
	return again
}

// sender sends events one after the other and remembers those that were
// acknowledged.
type sender struct {
	end    context.CancelFunc
	done   sync.WaitGroup
	acked  []string
	failed int
}

// pace is between two events of a sender: the story is about losing none, not about speed.
const pace = 5 * time.Millisecond

// begin sends events named by a letter and a number, until it is stopped.
func begin(letter string, send func(ctx context.Context, event string) error) *sender {
	ctx, cancel := context.WithCancel(context.Background())
	f := &sender{end: cancel}
	f.done.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			event := fmt.Sprint(letter, i)
			if send(context.WithoutCancel(ctx), event) == nil { // one that was begun is sent to its end
				f.acked = append(f.acked, event)
			} else {
				f.failed++
			}
			select {
			case <-ctx.Done():
			case <-time.After(pace):
			}
		}
	})
	return f
}

// stop ends it and returns what was acknowledged.
func (f *sender) stop() []string {
	f.end()
	f.done.Wait()
	return f.acked
}
