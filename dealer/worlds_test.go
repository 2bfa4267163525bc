package dealer

import (
	"flag"
	"maps"
	"math"
	"math/bits"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
)

var (
	worlds    = flag.Int("worlds", 10_000, "how many random worlds to live through")
	firstSeed = flag.Uint64("seed", 1, "the seed of the first")
)

// Whatever happens: never can two write checkpoints of one resource, all is
// owned again soon after, evenly, and with few moves.
func TestWorlds(t *testing.T) {
	n := *worlds
	if testing.Short() {
		n = min(n, 1000)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	var wg sync.WaitGroup
	var mu sync.Mutex
	next, moves, least, overlaps := *firstSeed, 0, 0, 0
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				mu.Lock()
				seed := next
				next++
				stop := seed >= *firstSeed+uint64(n) || t.Failed()
				mu.Unlock()
				if stop {
					return
				}
				w := newWorld(seed, false)
				why := w.run()
				mu.Lock()
				moves, least, overlaps = moves+w.moves, least+w.least, overlaps+w.overlaps
				mu.Unlock()
				if why != "" {
					again := newWorld(seed, true)
					again.run()
					t.Errorf("seed %d: %s\n%s", seed, why, strings.Join(again.log[max(0, len(again.log)-60):], "\n"))
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d worlds from seed %d: %d moves, %d would have done; %d times work began while somebody who was not strict, or slept, had not heard", n, *firstSeed, moves, least, overlaps)
}

func sortedLeases(m map[Lease]bool) []Lease {
	return slices.SortedFunc(maps.Keys(m), compareLeases)
}

// leastMoves is how many resources must move so that the deal is even: the best
// over every choice of who has one more than another.
func leastMoves(t *Table) int {
	have, n := map[string]int{}, 0
	var live []*member
	capacity := 0
	for _, m := range t.order {
		if !m.leaving {
			live = append(live, m)
			capacity += m.capacity
		}
	}
	if len(live) == 0 {
		return 0
	}
	for _, page := range t.items {
		for _, it := range page {
			if it.removed {
				continue
			}
			n++
			switch m := it.want; {
			case m != nil:
				have[m.name]++
			case t.had(it) != nil:
				have[t.had(it).name]++
			}
		}
	}
	extras := n
	for _, m := range live {
		extras -= n * m.capacity / capacity
	}
	best := math.MaxInt
	for set := range uint(1) << len(live) {
		if bits.OnesCount(set) != extras {
			continue
		}
		kept, even := 0, true
		for i, m := range live {
			due := n * m.capacity / capacity
			if set>>i&1 == 1 {
				due++
				even = even && n*m.capacity%capacity != 0
			}
			kept += min(due, have[m.name])
		}
		if even {
			best = min(best, n-kept)
		}
	}
	return best
}
