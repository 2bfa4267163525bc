package python

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	goruntime "runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/object/directory"
	"github.com/myelin-run/myelin/binding/object/s3"
	"github.com/myelin-run/myelin/binding/remote"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/shm"
	"github.com/myelin-run/myelin/test/servers"
)

// asking does calls of bindings as a processor does.
type asking struct{ s *remote.Server }

func (a asking) Do(ctx context.Context, c *runtime.Call, answer *event.Response) error {
	return a.s.Serve(ctx, c.Scope, c, answer)
}

// filled is a store of objects that shows where the last content lay.
type filled struct {
	data.ObjectStore
	last atomic.Pointer[[]byte]
}

func (f *filled) Get(ctx context.Context, name string, r data.Range, limit int64) ([]byte, data.Info, error) {
	content, info, err := f.ObjectStore.Get(ctx, name, r, limit)
	f.last.Store(&content)
	return content, info, err
}

const holdObject = `
held = [None]
def handler(c, e):
    what = bytes(e.body).decode()
    if what == 'look':
        return '%d %d' % (len(held[0]), held[0][7])
    held[0] = None
    held[0] = c.bindings['objects'].get(what)
    return str(held[0] if held[0] is None else len(held[0]))
`

// An object of 1 MiB is read from its service into the worker's memory, and the
// handler's view is of that: there is no copy on the way, nor memory for one.
func TestObjectsCopyNothing(t *testing.T) {
	discard := slog.New(slog.DiscardHandler)
	for name, open := range map[string]func(t *testing.T) (binding.Binding, error){
		"s3": func(t *testing.T) (binding.Binding, error) {
			return s3.Factory().New(binding.Settings{Log: discard, Spec: function.DataBinding{URL: "http://key@" + servers.Gofakes3(t).Addr, Secret: "secret", Path: servers.S3Bucket}}, nil)
		},
		"directory": func(t *testing.T) (binding.Binding, error) {
			return directory.Factory().New(binding.Settings{Log: discard, Dir: t.TempDir(), Name: "o"}, nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := open(t)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if err := b.Open(ctx); err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			store := &filled{ObjectStore: b.(data.ObjectStore)}
			server := remote.New(map[string]any{"objects": data.NewObject(store, &data.Guard{Name: "objects", Timeout: time.Minute})})
			opened, err := fixture{code: holdObject, calls: asking{server}}.load(t).Open(ctx, runtime.Worker{})
			if err != nil {
				t.Fatal(err)
			}
			in := opened.(*shm.Instance)
			defer in.Close(context.Background())
			say := func(body, want string) {
				t.Helper()
				var resp event.Response
				if err := in.Invoke(ctx, &event.Event{Method: []byte("POST"), Body: []byte(body)}, &resp); err != nil || string(resp.Body) != want {
					t.Fatalf("%s: %q, %v, want %q", body, resp.Body, err, want)
				}
				resp.Reset()
			}
			content := randomBody(1 << 20)
			if _, err := store.Put(ctx, "large", content, data.PutObject{}); err != nil {
				t.Fatal(err)
			}
			least := uint64(1 << 62)
			for i := range 20 {
				var before, after goruntime.MemStats
				goruntime.ReadMemStats(&before)
				say("large", fmt.Sprint(1<<20))
				goruntime.ReadMemStats(&after)
				least = min(least, after.TotalAlloc-before.TotalAlloc)
				got := *store.last.Load()
				if off := in.Offset(got); off < 0 || off+int64(len(got)) > in.Size() || !bytes.Equal(got, content) {
					t.Fatalf("%d bytes were read to offset %d of the worker's memory, of %d", len(got), off, in.Size())
				}
				got[7] = byte(i) // it is the view's memory, too
				say("look", fmt.Sprintf("%d %d", 1<<20, i))
			}
			if least > 1<<19 {
				t.Errorf("a read takes %d bytes of memory besides", least)
			}
			say("none", "None")
			say("large", fmt.Sprint(1<<20))
		})
	}
}
