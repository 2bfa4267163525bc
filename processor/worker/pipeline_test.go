package worker

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// queue is an instance that takes submissions: a goroutine of its own runs them
// one after another.
type queue struct {
	pipe *pipe
	room int
	todo chan *submitted
	kill chan struct{}
	done chan struct{}
	once sync.Once
	mu   sync.Mutex
	out  int
}

// pipe is the runtime of queues, and the books of all of them.
type pipe struct {
	mu    sync.Mutex
	order []string
	room  int
	rings int
}

type submitted struct {
	q    *queue
	body string
	out  chan error
}

func (p *pipe) Open(context.Context, runtime.Worker) (runtime.Instance, error) {
	q := &queue{pipe: p, room: p.room, todo: make(chan *submitted, 100), kill: make(chan struct{}), done: make(chan struct{})}
	go q.run()
	return q, nil
}

func (q *queue) run() {
	defer close(q.done)
	for {
		select {
		case <-q.kill: // it runs nothing more, whatever is there
			q.refuse()
			return
		default:
		}
		select {
		case <-q.kill:
		case s := <-q.todo:
			s.out <- q.do(s.body)
		}
	}
}

// refuse gives back what was not begun.
func (q *queue) refuse() {
	for {
		select {
		case s := <-q.todo:
			s.out <- event.ErrNotRun
		default:
			return
		}
	}
}

func (q *queue) do(body string) error {
	q.pipe.mu.Lock()
	q.pipe.order = append(q.pipe.order, body)
	q.pipe.mu.Unlock()
	switch body {
	case "crash":
		_ = q.Kill()
		return event.ErrCrashed
	case "hang":
		<-q.kill
		return event.ErrCrashed
	}
	return nil
}

func (q *queue) Begin(int) (runtime.Place, []byte) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.out == q.room {
		return nil, nil
	}
	q.out++
	return &submitted{q: q, out: make(chan error, 1)}, nil
}

func (q *queue) Flush() {
	q.pipe.mu.Lock()
	q.pipe.rings++
	q.pipe.mu.Unlock()
}

func (s *submitted) Commit(ev *event.Event, t runtime.Terms) error {
	if !t.Stay {
		return errors.New("the order is not kept")
	}
	s.body = string(ev.Body)
	select {
	case <-s.q.kill:
		s.Abort()
		return event.ErrNotRun
	default:
	}
	s.q.todo <- s
	return nil
}

func (s *submitted) Outcome(resp *event.Response) error {
	var err error
	select {
	case err = <-s.out:
	case <-s.q.done:
		select {
		case err = <-s.out:
		default:
			err = event.ErrNotRun
		}
	}
	s.Abort()
	if err == nil {
		resp.Body = append(resp.Body, s.body...)
	}
	return err
}

func (s *submitted) Abort() {
	s.q.mu.Lock()
	s.q.out--
	s.q.mu.Unlock()
}

func (q *queue) Invoke(_ context.Context, ev *event.Event, resp *event.Response) error {
	s := &submitted{q: q, body: string(ev.Body), out: make(chan error, 1)}
	q.mu.Lock()
	q.out++
	q.mu.Unlock()
	q.todo <- s
	return s.Outcome(resp)
}

func (q *queue) Depth() int { return 8 }

func (q *queue) Kill() error { q.once.Do(func() { close(q.kill) }); return nil }

func (q *queue) Close(context.Context) error {
	_ = q.Kill()
	<-q.done
	return nil
}

// The events of a list begin in their order, many on their way at once, also
// when there is no place for any.
func TestPipelineKeepsOrder(t *testing.T) {
	for _, room := range []int{16, 3, 0} {
		r := &pipe{room: room}
		p := openList(t, r, Options{Size: 3})
		l := newList(letters(100)...)
		l.handle(p.For(time.Second, nil))
		l.echoed(t)
		if got, want := strings.Join(r.order, ""), strings.Join(letters(100), ""); got != want {
			t.Errorf("room %d: order %s", room, got)
		}
		if room == 16 && r.rings > 50 {
			t.Errorf("%d rings for 100 events", r.rings)
		}
		if s := p.Stats(); s.Busy != 0 || s.InFlight != 0 {
			t.Errorf("at rest: %+v", s)
		}
	}
}

// An event that ends its worker crashed; those behind it run in the next, in
// their order and once.
func TestPipelineSurvivesItsWorker(t *testing.T) {
	r := &pipe{room: 16}
	p := openList(t, r, Options{Size: 1})
	l := newList("a", "b", "crash", "c", "d", "crash", "e")
	l.handle(p.For(time.Minute, nil))
	for i, ev := range l.evs {
		if crashes := string(ev.Body) == "crash"; crashes != errors.Is(l.errs[i], event.ErrCrashed) || !crashes && l.errs[i] != nil {
			t.Errorf("%s: %v", ev.Body, l.errs[i])
		}
	}
	if got := strings.Join(r.order, " "); got != "a b crash c d crash e" {
		t.Errorf("order: %s", got)
	}
	if s := p.Stats(); s.Restarts != 2 {
		t.Errorf("%+v", s)
	}
}

func TestPipelineDeadline(t *testing.T) {
	r := &pipe{room: 16}
	p := openList(t, r, Options{Size: 1, EventTimeout: 50 * time.Millisecond})
	l := newList("a", "hang", "b", "c")
	l.handle(p.For(time.Minute, nil))
	for i, ev := range l.evs {
		if hangs := string(ev.Body) == "hang"; hangs != errors.Is(l.errs[i], event.ErrTimeout) || !hangs && l.errs[i] != nil {
			t.Errorf("%s: %v", ev.Body, l.errs[i])
		}
	}
}
