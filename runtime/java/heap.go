package java

import (
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/function"
)

const (
	processorShare = 48 << 20 // of a function's memory: the processor itself
	leastHeap      = 16 << 20
)

// heapOption bounds the heap by what each worker may use (spec.workerMemory, or
// its share of the function's memory limit): three fifths of it, because a virtual machine needs
// memory besides, and shared memory counts too. Without a limit Java decides.
func heapOption(f function.Config, users []string) []string {
	for _, o := range users {
		if strings.HasPrefix(o, "-Xmx") || strings.HasPrefix(o, "-XX:MaxHeapSize") || strings.HasPrefix(o, "-XX:MaxRAM") {
			return nil
		}
	}
	each := f.Spec.WorkerMemory.Bytes()
	if all := f.Spec.Resources.Limits["memory"].Bytes(); all > 0 {
		share := (all - processorShare) / int64(workers(f))
		if each == 0 || share < each {
			each = share
		}
	}
	if each == 0 {
		return nil
	}
	heap := max(each*3/5, leastHeap)
	return []string{"-Xmx" + strconv.FormatInt(heap>>10, 10) + "k"}
}

// workers is how many workers the function's triggers have together: those that
// share an allocator count once.
func workers(f function.Config) int {
	total, shared := 0, map[string]int{}
	for _, t := range f.Spec.Triggers {
		switch n := max(t.NumWorkers, 1); {
		case t.Disabled:
		case t.WorkerAllocatorName != "":
			shared[t.WorkerAllocatorName] = max(shared[t.WorkerAllocatorName], n)
		default:
			total += n
		}
	}
	for _, n := range shared {
		total += n
	}
	return max(total, 1)
}
