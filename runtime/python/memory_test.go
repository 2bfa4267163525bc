package python

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	pool "github.com/myelin-run/myelin/processor/worker"
	"github.com/myelin-run/myelin/runtime"
)

const hungry = `kept = []
def handler(context, event):
    if event.body == b'eat':
        for _ in range(60):
            kept.append(bytearray(b'x') * (10 << 20))
    return event.body
`

// A worker that needs more memory than it may have is ended with its events,
// told so in the log and replaced, while another goes on.
func TestWorkerMemory(t *testing.T) {
	r, logs := fixture{code: hungry, memory: 128 << 20}.make(t)
	if !r.(*Runtime).memory.Groups() {
		t.Skip("this machine lets nobody make control groups; TestWorkerMemoryByResourceLimit covers the other way")
	}
	p := pool.New(r, pool.Options{Size: 2, Log: slog.New(slog.DiscardHandler)})
	if err := p.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := p.For(time.Minute, nil)
	handle := func(body string) error {
		var resp event.Response
		err := h.Handle(context.Background(), &event.Event{Body: []byte(body)}, &resp)
		if err == nil && string(resp.Body) != body {
			t.Errorf("%s: %q", body, resp.Body)
		}
		return err
	}
	stop := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				t.Logf("%d other events", n)
				return
			default:
			}
			if err := handle("other"); err != nil {
				t.Errorf("another event: %v", err)
			}
		}
	})
	for range 2 {
		if err := handle("eat"); !errors.Is(err, event.ErrCrashed) {
			t.Errorf("it ate, and ended with %v", err)
		}
	}
	close(stop)
	others.Wait()
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if n := strings.Count(logs.String(), "worker ran out of memory and is gone"); n != 2 || !strings.Contains(logs.String(), "limit=128Mi") {
		t.Errorf("told %d times:\n%s", n, logs)
	}
}

// Without control groups the interpreter is told that there is no memory, and
// raises: that is the event's own outcome, and the worker lives.
func TestWorkerMemoryByResourceLimit(t *testing.T) {
	r, _ := fixture{code: hungry, memory: 128 << 20}.make(t)
	r.(*Runtime).memory.WithoutGroups()
	in, err := r.Open(t.Context(), runtime.Worker{})
	if err != nil {
		t.Fatal(err)
	}
	defer closeNow(t, in)
	_, err = call(t, in, &event.Event{Body: []byte("eat")})
	var failed *event.Error
	if !errors.As(err, &failed) || failed.Status != 500 || !strings.Contains(failed.Message, "MemoryError") {
		t.Errorf("it ate, and ended with %v", err)
	}
	if _, err := call(t, in, &event.Event{Body: []byte("again")}); err != nil {
		t.Error(err)
	}
}

// The blocks of large answers are free again when their slots had small ones,
// so that a large one comes in a block and not in a file.
func TestBlocksAreGivenBack(t *testing.T) {
	code := `
import asyncio, json
held = []
async def handler(context, event):
    size, together = json.loads(event.body)
    go = asyncio.get_running_loop().create_future()
    held.append(go)
    if len(held) == together:
        for other in held:
            other.set_result(None)
        held.clear()
    await go
    return b'x' * size
`
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
