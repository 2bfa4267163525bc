package nodejs

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

const hungry = `
const kept = []
exports.handler = (context, event) => {
  if (event.body.toString() === 'buffers') for (let i = 0; i < 60; i++) kept.push(Buffer.alloc(10 << 20, 'x'))
  if (event.body.toString() === 'objects') for (let i = 0; i < 2e7; i++) kept.push({ i, text: 'text ' + i })
  return event.body
}
`

// A worker that needs more memory than it may have ends, by the kernel or by
// itself, and either is told.
func TestWorkerMemory(t *testing.T) {
	for name, groups := range map[string]bool{"group": true, "resource limit": false} {
		for _, what := range []string{"buffers", "objects"} {
			t.Run(name+" "+what, func(t *testing.T) {
				r, logs := fixture{code: hungry, memory: 192 << 20}.make(t)
				if m := r.(*Runtime).memory; !groups {
					m.WithoutGroups()
				} else if !m.Groups() {
					t.Skip("this machine lets nobody make control groups")
				}
				in, err := r.Open(t.Context(), runtime.Worker{ID: 3})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := call(t, in, &event.Event{Body: []byte("nothing")}); err != nil {
					t.Error(err)
				}
				_, err = call(t, in, &event.Event{Body: []byte(what)})
				var failed *event.Error
				closeNow(t, in)
				switch {
				case errors.As(err, &failed) && !groups && what == "buffers": // V8 raises where it can
					if !strings.Contains(failed.Message, "llocation failed") {
						t.Error(err)
					}
				case !errors.Is(err, event.ErrCrashed):
					t.Errorf("it ate, and ended with %v", err)
				case !strings.Contains(logs.String(), `msg="worker ran out of memory and is gone" worker=3 limit=192Mi`):
					t.Errorf("not told:\n%s", logs)
				}
			})
		}
	}
}

// The blocks of large answers are free again when their slots had small ones,
// so that a large one comes in a block and not in a file.
func TestBlocksAreGivenBack(t *testing.T) {
	code := `
let held = []
exports.handler = async (context, event) => {
  const [size, together] = JSON.parse(event.text())
  await new Promise((go) => {
    held.push(go)
    if (held.length < together) return
    for (const go of held) go()
    held = []
  })
  return Buffer.alloc(size, 'x')
}`
	const all = 64 // as many as such a worker has at once; each block has 16 KiB of the 1 MiB
	in, _ := fixture{code: code, attrs: map[string]any{"arena": "1Mi"}}.open(t)
	together := func(size int) {
		var done sync.WaitGroup
		for range all {
			done.Go(func() {
				if resp, err := call(t, in, &event.Event{Body: fmt.Appendf(nil, "[%d, %d]", size, all)}); err != nil || len(resp.Body) != size {
					t.Errorf("%d bytes of %d, %v", len(resp.Body), size, err)
				}
			})
		}
		done.Wait()
	}
	together(10_000)
	together(1)
	resp := &event.Response{Takes: event.TakesViews}
	if err := in.Invoke(t.Context(), &event.Event{Body: []byte("[200000, 1]")}, resp); err != nil {
		t.Fatal(err)
	}
	if resp.Owner == nil {
		t.Error("there was no block for a large answer")
	}
	resp.Reset()
}
