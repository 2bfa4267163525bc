package python

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	pool "github.com/myelin-run/myelin/processor/worker"
)

// A handler that was fast, and so has many events waiting in each worker, is
// suddenly slow: no short event waits for the slow one to end, and no worker is
// lost for it.
func TestSlowEventHoldsNobody(t *testing.T) {
	code := "import time\ndef handler(c, e):\n    time.sleep(float(e.body))\n    return e.body\n"
	for name, code := range map[string]string{"plain": code, "async": asynchronous(code)} {
		t.Run(name, func(t *testing.T) {
			p := pool.New(fixture{code: code}.load(t), pool.Options{Size: 2, Log: slog.New(slog.DiscardHandler)})
			if err := p.Open(t.Context()); err != nil {
				t.Fatal(err)
			}
			h := p.For(time.Minute, nil)
			handle := func(seconds string) {
				var resp event.Response
				if err := h.Handle(context.Background(), &event.Event{Body: []byte(seconds)}, &resp); err != nil || string(resp.Body) != seconds {
					t.Errorf("%s: %q, %v", seconds, resp.Body, err)
				}
			}
			many := func(n int, seconds string) {
				var wg sync.WaitGroup
				for range n {
					wg.Go(func() { handle(seconds) })
				}
				wg.Wait()
			}
			for range 20 { // the depth of both workers grows
				many(50, "0")
			}
			long := make(chan time.Time, 1)
			go func() {
				handle("3")
				long <- time.Now()
			}()
			var worst time.Duration
			for i := range 10 {
				began := time.Now()
				many(8, "0.0"+strconv.Itoa(i%3)+"1")
				worst = max(worst, time.Since(began))
			}
			select {
			case <-long:
				t.Error("short events waited for the long one")
			default:
			}
			t.Logf("8 short events took %v at most beside one of 3 s", worst)
			<-long
			if s := p.Stats(); s.Restarts != 0 || s.Live != 2 {
				t.Errorf("workers were lost: %+v", s)
			}
			if err := p.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
