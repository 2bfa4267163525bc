package nodejs

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

func BenchmarkInvoke(b *testing.B) {
	for _, bench := range []struct {
		name string
		n    int
		size int
		code string
	}{{"n=1", 1, 1024, trivial}, {"n=64", 64, 1024, trivial}, {"n=64/64KiB", 64, 65536, trivial},
		{"n=64/async", 64, 1024, "exports.handler = async () => 'ok'\n"},
		{"n=64/callback", 64, 1024, "exports.handler = (context) => { context.callback('ok') }\n"},
		{"n=64/echo", 64, 1024, "exports.handler = (context, event) => event.body\n"}} {
		b.Run(bench.name, func(b *testing.B) {
			in, _ := fixture{code: bench.code}.open(b)
			ev := event.Event{Method: []byte("POST"), Path: []byte("/"), URL: []byte("/"), ID: []byte("0123456789abcdef"),
				Body: make([]byte, bench.size), Source: &event.Source{Kind: "http", Class: "sync", Name: "web"}}
			b.ReportAllocs()
			b.ResetTimer()
			began := time.Now()
			var wg sync.WaitGroup
			for g := range bench.n {
				wg.Add(1)
				go func() {
					defer wg.Done()
					var resp event.Response
					for i := g; i < b.N; i += bench.n {
						resp.Reset()
						if err := in.Invoke(context.Background(), &ev, &resp); err != nil {
							b.Error(err)
							return
						}
					}
				}()
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "calls/s")
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	r := fixture{code: trivial}.load(b)
	if err := r.(*Runtime).prepare(context.Background()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		in, err := r.Open(context.Background(), runtime.Worker{})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		closeNow(b, in)
		b.StartTimer()
	}
}
