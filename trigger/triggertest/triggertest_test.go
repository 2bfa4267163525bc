package triggertest

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/trigger"
)

const defectEnv = "MYELIN_TRIGGERTEST_DEFECT"

// The suite passes a sound trigger and fails one with any of these defects.
func TestSuiteFindsDefects(t *testing.T) {
	for _, defect := range []string{"", "twice", "same id", "reuses abandoned", "leaves at once", "takes more", "dirty response", "panics", "wrong status", "leaks", "cancels events"} {
		t.Run("defect "+defect, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(os.Args[0], "-test.run", "^TestLoop$", "-test.timeout", "60s")
			cmd.Env = append(os.Environ(), defectEnv+"="+defect+"!")
			out, err := cmd.CombinedOutput()
			if (err == nil) != (defect == "") {
				t.Errorf("the suite's verdict is %v:\n%.2000s", err, out)
			}
		})
	}
}

// TestLoop runs the suite on a loop with the defect that the environment names.
func TestLoop(t *testing.T) {
	defect := os.Getenv(defectEnv)
	if defect != "" {
		defect = defect[:len(defect)-1]
	}
	Run(t, Fixture{Class: trigger.Sync, New: func(testing.TB) (trigger.Trigger, Source) {
		l := &loop{defect: defect, in: make(chan call), closed: make(chan struct{}), ready: make(chan struct{})}
		return l, l
	}})
}

// loop is the smallest trigger: its source hands it bodies.
type loop struct {
	defect string
	in     chan call
	closed chan struct{}
	ready  chan struct{}
	wg     sync.WaitGroup
	mu     sync.Mutex
	count  int
	buf    []byte
	resp   event.Response
}

type call struct {
	body string
	out  chan Outcome
}

func (l *loop) Ready() <-chan struct{} { return l.ready }

func (l *loop) Emit(_ testing.TB, body string) <-chan Outcome {
	out := make(chan Outcome, 1)
	go func() {
		select {
		case l.in <- call{body, out}:
		case <-l.closed:
			out <- Outcome{Verdict: Refused}
		}
	}()
	return out
}

func (l *loop) Run(ctx context.Context, h trigger.Handler) error {
	close(l.ready)
	if l.defect != "leaves at once" {
		defer l.wg.Wait()
	}
	if l.defect == "leaks" {
		go func() { select {} }()
	}
	base := context.WithoutCancel(ctx)
	if l.defect == "cancels events" {
		base = ctx
	}
	if l.defect == "takes more" {
		go l.take(context.Background(), base, h)
		<-ctx.Done()
		return nil
	}
	defer close(l.closed)
	l.take(ctx, base, h)
	return nil
}

func (l *loop) take(ctx, base context.Context, h trigger.Handler) {
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-l.in:
			l.wg.Go(func() { c.out <- l.serve(base, h, c.body) })
		}
	}
}

func (l *loop) serve(ctx context.Context, h trigger.Handler, body string) (out Outcome) {
	l.mu.Lock()
	l.count++
	id := strconv.Itoa(l.count)
	l.mu.Unlock()
	buf, resp := []byte(body), &event.Response{}
	switch l.defect {
	case "same id":
		id = "id"
	case "reuses abandoned":
		if l.buf == nil {
			l.buf = make([]byte, 0, 64)
		}
		buf = append(l.buf[:0], body...)
	case "dirty response":
		resp = &l.resp
	}
	ev := &event.Event{Source: &event.Source{Kind: "loop", Class: "sync"}, ID: []byte(id), Time: time.Now(), Body: buf}
	err := l.invoke(ctx, h, ev, resp)
	if l.defect == "twice" && err == nil {
		err = l.invoke(ctx, h, ev, &event.Response{})
	}
	if err != nil {
		return Outcome{Status: l.status(err)}
	}
	return Outcome{Status: 200, Body: string(resp.Body)}
}

func (l *loop) invoke(ctx context.Context, h trigger.Handler, ev *event.Event, resp *event.Response) (err error) {
	if l.defect != "panics" {
		defer func() {
			if recover() != nil {
				err = errors.New("panic")
			}
		}()
	}
	return h.Handle(ctx, ev, resp)
}

func (l *loop) status(err error) int {
	var failed *event.Error
	switch {
	case l.defect == "wrong status":
		return 500
	case errors.Is(err, event.ErrBusy):
		return 503
	case errors.Is(err, event.ErrTimeout):
		return 408
	case errors.Is(err, event.ErrCrashed):
		return 502
	case errors.As(err, &failed) && failed.Status >= 200 && failed.Status < 600:
		return failed.Status
	}
	return 500
}
