package dealt

import (
	"testing"

	"github.com/myelin-run/myelin/trigger"
)

// A list of shards in which one came or went is a later edition, whatever it was
// before.
func TestEditions(t *testing.T) {
	t.Parallel()
	lists := [][]int32{{0}, {0, 1}, {0, 1, 2, 3}, {0, 2, 3}, {2, 3}, {2, 3, 4}, {4}, {4, 7}, {7}}
	before := uint64(0)
	for _, ns := range lists {
		all := []trigger.Shard{{Topic: "other", N: 0}}
		for _, n := range ns {
			all = append(all, trigger.Shard{Topic: "t", N: n})
		}
		if is := edition(all); is <= before {
			t.Errorf("%v is edition %d, and the list before was %d", ns, is, before)
		} else {
			before = is
		}
	}
	if is := edition(nil); is != 0 {
		t.Errorf("no shards are edition %d", is)
	}
}
