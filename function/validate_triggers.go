package function

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/document"
)

func (c *checker) triggers(ts map[string]Trigger) {
	var http []string
	for _, name := range slices.Sorted(maps.Keys(ts)) {
		t := ts[name]
		path := document.Join("spec.triggers", name)
		if name == "" || strings.ContainsAny(name, "/:\\ \t\r\n\x00") {
			c.Add(path, "the name of a trigger is not empty and has no spaces, slashes or colons")
		}
		if t.Kind == "http" && !t.Disabled {
			http = append(http, name)
		}
		c.trigger(path, &t)
	}
	for _, name := range http[min(1, len(http)):] {
		c.Add(document.Join("spec.triggers", name), "a second http trigger beside %q, only one is possible", http[0])
	}
}

func (c *checker) trigger(path string, t *Trigger) {
	c.workers(path+".numWorkers", t.NumWorkers)
	c.workers(path+".maxWorkers", t.MaxWorkers)
	if t.NumWorkers != 0 && t.MaxWorkers != 0 {
		c.Add(path+".maxWorkers", "is the old name of numWorkers, which is given too: keep one")
	}
	c.word(path+".cloudEvents", t.CloudEvents, []string{"structured", "enable", "require", "disable"})
	c.word(path+".explicitAckMode", t.ExplicitAckMode, []string{"enable", "disable", "explicitOnly"})
	c.span(path+".workerTerminationTimeout", t.WorkerTerminationTimeout)
	c.span(path+".waitExplicitAckDuringRebalanceTimeout", t.WaitExplicitAckDuringRebalanceTimeout)
	if b := t.Batch; b != nil {
		c.word(path+".batch.mode", b.Mode, []string{"enable", "disable"})
		c.notNegative(path+".batch.batchSize", &b.BatchSize)
		if b.BatchSize > MaxBatchSize {
			c.Add(path+".batch.batchSize", "is %d, expected at most %d", b.BatchSize, MaxBatchSize)
		}
		c.span(path+".batch.timeout", b.Timeout)
	}
	c.delivery(path, &t.Delivery)
	for i, p := range t.Partitions {
		if p.ID == "" {
			c.Add(fmt.Sprintf("%s.partitions[%d].id", path, i), "is required")
		}
	}
}

func (c *checker) workers(path string, n int) {
	if n < 0 || n > MaxWorkers {
		c.Add(path, "is %d, expected 0 to %d", n, MaxWorkers)
	}
}
