package control

import (
	"context"
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/valyala/fasthttp"

	"github.com/myelin-run/myelin/test/ledger"
)

// load sends the events of a book at a steady rate, as far as the machine can.
type load struct {
	book   *ledger.Book
	cancel context.CancelFunc
	wg     sync.WaitGroup
	began  time.Time
	sent   atomic.Int64
	mu     sync.Mutex
	failed []error
}

// begin sends by many goroutines. send calls done when it knows whether the event
// was taken; it may have returned before.
func begin(rate, many int, send func(e ledger.Event, done func(error))) *load {
	ctx, cancel := context.WithCancel(context.Background())
	l := &load{book: ledger.Open(ledger.Plan{Events: math.MaxInt, Keys: 50}), cancel: cancel, began: time.Now()}
	due := make(chan struct{}, max(1, rate/10))
	l.wg.Go(func() { l.pace(ctx, rate, due) })
	for range many {
		l.wg.Go(func() {
			for range due {
				e, _ := l.book.Next()
				l.wg.Add(1)
				send(e, func(err error) {
					defer l.wg.Done()
					l.end(e, err)
				})
			}
		})
	}
	return l
}

// pace says when an event is due; those that nobody is free for are left out.
func (l *load) pace(ctx context.Context, rate int, due chan<- struct{}) {
	defer close(due)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for sent := 0; ; {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for want := int(now.Sub(l.began).Seconds() * float64(rate)); sent < want; sent++ {
				select {
				case due <- struct{}{}:
				default:
				}
			}
		}
	}
}

func (l *load) end(e ledger.Event, err error) {
	l.sent.Add(1)
	if err == nil {
		l.book.Acked(e)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, err)
}

func (l *load) stop(t *testing.T, kind string) {
	t.Helper()
	took := time.Since(l.began)
	l.cancel()
	l.wg.Wait()
	t.Logf("%s: %d in %v (%.0f/s)", kind, l.sent.Load(), took.Round(time.Millisecond), float64(l.sent.Load())/took.Seconds())
	if len(l.failed) > 0 || l.sent.Load() == 0 {
		t.Errorf("%s: %d of %d failed, the first: %v", kind, len(l.failed), l.sent.Load(), append(l.failed, nil)[0])
	}
}

// asks sends events to the gateway, by a path each in turn. A request is made once:
// what fails has failed.
func asks(gateway string, paths ...string) func(ledger.Event, func(error)) {
	c := &fasthttp.HostClient{Addr: gateway, MaxConns: 64, MaxIdemponentCallAttempts: 1}
	var turn atomic.Int64
	return func(e ledger.Event, done func(error)) {
		req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		defer fasthttp.ReleaseRequest(req)
		defer fasthttp.ReleaseResponse(resp)
		req.SetRequestURI("http://" + gateway + paths[turn.Add(1)%int64(len(paths))])
		req.Header.SetMethod(fasthttp.MethodPost)
		req.SetBody(e.Body)
		err := c.DoTimeout(req, resp, patience)
		if err == nil && resp.StatusCode() != fasthttp.StatusOK {
			err = fmt.Errorf("%d %s", resp.StatusCode(), resp.Body())
		}
		done(err)
	}
}

// produce brings an event to the topic. Those of a key go to one shard.
func (s *sources) produce(topic string) func(ledger.Event, func(error)) {
	return func(e ledger.Event, done func(error)) {
		s.kafka.Produce(context.Background(), &kgo.Record{Topic: topic, Key: []byte(e.Key), Value: e.Body}, func(_ *kgo.Record, err error) { done(err) })
	}
}

// publish brings an event to the queue, and waits until it is there.
func (s *sources) publish(queue string) func(ledger.Event, func(error)) {
	var mu sync.Mutex
	return func(e ledger.Event, done func(error)) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		mu.Lock()
		c, err := s.ch.PublishWithDeferredConfirmWithContext(ctx, "", queue, false, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: e.Body})
		mu.Unlock()
		if err == nil {
			_, err = c.WaitContext(ctx)
		}
		done(err)
	}
}

// settle waits until all that was sent has arrived, ends the mappings, and with
// them what may come late, and balances the books.
func (l *loss) settle(loads map[string]*load) {
	l.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	files := map[string]*ledger.File{}
	for kind, load := range loads {
		files[kind] = load.book.Follow(l.sink + "." + kind)
		_, _ = load.book.Await(ctx, files[kind].Read) // what is missing, the balance tells
	}
	for _, name := range []string{"route", "stream", "queue"} {
		l.disable(name)
	}
	for kind, load := range loads {
		l.must(files[kind].Read())
		r := load.book.Report()
		l.Logf("%s: %s", kind, r)
		err := r.Err()
		if kind != "kafka" {
			err = r.Unordered()
		}
		if err != nil {
			l.Errorf("%s: %v", kind, err)
		}
		if r.Duplicates > 0 {
			l.twice(kind)
		}
	}
}

// entry is a line that the function wrote: an event, and who ran it.
type entry struct{ version, processor, place string }

// twice tells of the events that were processed more than once, and why.
func (l *loss) twice(kind string) {
	l.Helper()
	text, err := os.ReadFile(l.sink + "." + kind)
	l.must(err)
	first, causes := map[string]entry{}, map[string][]string{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 6 {
			l.Errorf("%s has the line %q", kind, line)
			continue
		}
		id, e := strings.Join(f[:3], " "), entry{f[3], f[4], f[5]}
		was, known := first[id]
		if !known {
			first[id] = e
			continue
		}
		causes[why(was, e)] = append(causes[why(was, e)], fmt.Sprintf("%s: %v, %v", id, was, e))
	}
	for cause, ids := range causes {
		l.Errorf("%s: %d processed again %s, the first %s", kind, len(ids), cause, ids[0])
	}
}

func why(a, b entry) string {
	switch {
	case a.place != b.place:
		return "because they were sent again"
	case a.version != b.version:
		return "because of a move: by another version"
	case a.processor != b.processor:
		return "by another processor of their version"
	}
	return "by the same processor: tried again, or dealt again"
}
