package local

import (
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
)

// DefaultWarm is how many sleeping functions have a parked processor each unless
// the owner says otherwise: a few, and none where memory is scarce.
func DefaultWarm() map[string]int {
	if memory() < 4<<30 {
		return nil
	}
	return map[string]int{"golang": 2, "python": 2, "nodejs": 1}
}

// memory is what the machine has, 0 if that is not known.
func memory() int64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, "MemTotal:")
		if !ok {
			continue
		}
		n, err := quantity.ParseSize(strings.TrimSuffix(strings.TrimSpace(rest), " kB") + "Ki")
		if err == nil {
			return int64(n)
		}
	}
	return 0
}

// warm shares out the places for parked processors among the functions that
// sleep: who fell asleep last gets one, and who has slept longest gives one up.
type warm struct {
	limits map[string]int

	mu     sync.Mutex
	parked map[string][]*bed // by kind, who has slept longest first
}

func newWarm(limits map[string]int) *warm {
	return &warm{limits: limits, parked: map[string][]*bed{}}
}

// bed is the place of one parked processor of a function.
type bed struct{ name string }

// enter gives name a place. out is who has to give one up, "" if nobody has; nil:
// there are no places.
func (w *warm) enter(name, kind string) (b *bed, out string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.limits[kind] <= 0 {
		return nil, ""
	}
	if beds := w.parked[kind]; len(beds) >= w.limits[kind] {
		out = beds[0].name
		w.parked[kind] = slices.Clone(beds[1:])
	}
	b = &bed{name}
	w.parked[kind] = append(w.parked[kind], b)
	return b, out
}

// leave gives up a place, if it was not taken away.
func (w *warm) leave(b *bed, kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parked[kind] = slices.DeleteFunc(slices.Clone(w.parked[kind]), func(o *bed) bool { return o == b })
}

// park gives name a place for a parked processor, nil if there is none, and
// returns how to give it up.
func (p *Platform) park(name, kind string) (leave func()) {
	b, out := p.warm.enter(name, kind)
	if b == nil {
		return nil
	}
	if g := p.lookup(out); g != nil && out != name {
		g.EndParked()
	}
	return func() { p.warm.leave(b, kind) }
}

// kindOf is the kind of a function's runtime.
func kindOf(cfg function.Config) string {
	kind, _, _ := strings.Cut(cfg.Spec.Runtime, ":")
	if kind == "go" {
		return "golang"
	}
	return kind
}
