package stream_test

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/stream"
)

// tap is a source of one shard from which records flow as fast as they are
// taken. Its pages are used again.
type tap struct {
	lease   stream.Lease
	next    int64
	limit   atomic.Int64
	more    chan struct{}
	free    chan *tapPage
	commits atomic.Int64
	full    atomic.Bool
	eased   chan struct{}
}

const tapPageSize = 1000

func newTap() *tap {
	t := &tap{more: make(chan struct{}, 1), free: make(chan *tapPage, 100), eased: make(chan struct{}, 1), lease: stream.Lease{Topic: "tap", Epoch: 1, Shards: 1}}
	for range cap(t.free) {
		p := &tapPage{t: t}
		for i := range p.keys {
			p.keys[i] = strconv.AppendInt([]byte("key"), int64(i%50), 10)
		}
		t.free <- p
	}
	return t
}

func (t *tap) Connect(_ context.Context, _ stream.Want, s stream.Shards) (stream.Session, error) {
	s.Assigned(t.lease)
	return t, nil
}

func (t *tap) Fetch(ctx context.Context, take func(stream.Batch)) error {
	for t.next >= t.limit.Load() || t.full.Load() {
		select {
		case <-t.more:
		case <-t.eased:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case p := <-t.free:
		p.from = t.next
		t.next += tapPageSize
		take(stream.Batch{Lease: t.lease, Records: p, Bytes: tapPageSize * 100, End: t.next})
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

func (t *tap) Pause(...stream.Lease) { t.full.Store(true) }

func (t *tap) Resume(...stream.Lease) {
	t.full.Store(false)
	select {
	case t.eased <- struct{}{}:
	default:
	}
}

func (t *tap) Commit(_ context.Context, ps []trigger.Position) error {
	t.commits.Store(ps[0].Next)
	return nil
}

func (t *tap) Close(context.Context) error { return nil }

type tapPage struct {
	t    *tap
	from int64
	keys [tapPageSize][]byte
	body [100]byte
}

func (p *tapPage) Len() int                    { return tapPageSize }
func (p *tapPage) At(i int) (int64, []byte)    { return p.from + int64(i), p.keys[i] }
func (p *tapPage) Release()                    { p.t.free <- p }
func (p *tapPage) Read(_ int, ev *event.Event) { ev.Body, ev.Time = p.body[:], tapTime }

var tapTime = time.Now()

type counting struct {
	n    atomic.Int64
	want atomic.Int64
	done chan struct{}
}

func (c *counting) add(n int) {
	if c.n.Add(int64(n)) == c.want.Load() {
		c.done <- struct{}{}
	}
}

func (c *counting) Handle(context.Context, *event.Event, *event.Response) error {
	c.add(1)
	return nil
}

func (c *counting) HandleBatch(_ context.Context, evs []*event.Event, _ []*event.Response, errs []error) {
	clear(errs)
	c.add(len(evs))
}

// flow runs an engine on a tap, and returns what lets n more records through.
func flow(t testing.TB, spec function.Trigger) (through func(n int), tp *tap) {
	tp = newTap()
	e, err := stream.New(trigger.Settings{Name: "tap", Spec: spec, Workers: 1}, stream.Options{Kind: "tap"}, tp)
	if err != nil {
		t.Fatal(err)
	}
	c := &counting{done: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := e.Run(ctx, c); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return func(n int) {
		c.want.Add(int64(n))
		tp.limit.Add(int64(n))
		tp.more <- struct{}{}
		<-c.done
	}, tp
}

var specs = map[string]function.Trigger{
	"alone":   {},
	"lanes":   {Delivery: function.Delivery{WorkersPerShard: 4}},
	"batches": {Batch: &function.Batch{Mode: "enable", BatchSize: 100, Timeout: quantity.Duration(time.Second)}},
	"lanesOfBatches": {Batch: &function.Batch{Mode: "enable", BatchSize: 100, Timeout: quantity.Duration(time.Millisecond)},
		Delivery: function.Delivery{WorkersPerShard: 4}},
}

// What the engine allocates does not grow with the number of records: a page of
// 1000 costs it the page's own bookkeeping.
func TestRecordsDoNotAllocate(t *testing.T) {
	for name, spec := range specs {
		t.Run(name, func(t *testing.T) {
			through, _ := flow(t, spec)
			through(20 * tapPageSize)
			n := testing.AllocsPerRun(20, func() { through(10 * tapPageSize) })
			if perRecord := n / (10 * tapPageSize); perRecord > 0.01 {
				t.Errorf("%.3f allocations for each record", perRecord)
			}
		})
	}
}

func BenchmarkStream(b *testing.B) {
	for name, spec := range specs {
		b.Run(name, func(b *testing.B) {
			through, _ := flow(b, spec)
			through(20 * tapPageSize)
			b.ReportAllocs()
			b.ResetTimer()
			through((b.N + tapPageSize - 1) / tapPageSize * tapPageSize)
		})
	}
}
