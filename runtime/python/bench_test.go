package python

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
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
	}{{"n=1", 1, 1024, trivial}, {"spin", 1, 1024, trivial}, {"n=64", 64, 1024, trivial}, {"n=64/64KiB", 64, 65536, trivial},
		{"n=64/echo", 64, 1024, "def handler(c, e):\n    return e.body\n"},
		{"n=1/1MiB/echo", 1, 1 << 20, "def handler(c, e):\n    return e.body\n"},
		{"n=1/1MiB/view", 1, 1 << 20, "def handler(c, e):\n    return e.body_view\n"}} {
		b.Run(bench.name, func(b *testing.B) {
			in, _ := fixture{code: bench.code, attrs: map[string]any{"spin": bench.name == "spin"}}.open(b)
			ev := event.Event{Method: []byte("POST"), Path: []byte("/"), URL: []byte("/"), ID: []byte("0123456789abcdef"),
				Body: make([]byte, bench.size), Source: &event.Source{Kind: "http", Class: "sync", Name: "web"}}
			if strings.HasSuffix(bench.name, "view") { // as a body comes from a socket
				l := in.Lend(bench.size)
				defer l.Release()
				ev.Loan, ev.Body = l, l.Bytes()
			}
			b.ReportAllocs()
			b.ResetTimer()
			began := time.Now()
			var wg sync.WaitGroup
			for g := range bench.n {
				wg.Add(1)
				go func() {
					defer wg.Done()
					resp := event.Response{Takes: event.TakesViews}
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
	all := interpreters(b)
	r := fixture{code: trivial, attrs: map[string]any{"interpreter": all[len(all)-1]}}.load(b)
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

// BenchmarkEchoHTTP is a body of 1 MiB there and back through the HTTP trigger,
// one at a time.
func BenchmarkEchoHTTP(b *testing.B) {
	for name, code := range map[string]string{"bytes": "def handler(c, e):\n    return e.body\n", "view": "def handler(c, e):\n    return e.body_view\n"} {
		b.Run(name, func(b *testing.B) {
			url, _, _ := site(b, code, quickDrain, 1)
			c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			request := append([]byte("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048576\r\n\r\n"), make([]byte, 1<<20)...)
			r := bufio.NewReaderSize(c, 64<<10)
			b.SetBytes(1 << 20)
			for b.Loop() {
				if _, err := c.Write(request); err != nil {
					b.Fatal(err)
				}
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					b.Fatal(err)
				}
				if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != 1<<20 {
					b.Fatalf("%d bytes, %v", n, err)
				}
			}
		})
	}
}

// BenchmarkHTTP is a trivial handler behind the HTTP trigger, 64 connections.
func BenchmarkHTTP(b *testing.B) {
	for _, workers := range []int{1, 2} {
		b.Run(strconv.Itoa(workers), func(b *testing.B) {
			url, _, _ := site(b, trivial, quickDrain, workers)
			request := append([]byte("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1024\r\n\r\n"), make([]byte, 1024)...)
			var wg sync.WaitGroup
			began := time.Now()
			for g := range 64 {
				wg.Go(func() {
					c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
					if err != nil {
						b.Error(err)
						return
					}
					defer c.Close()
					buf := make([]byte, 4096)
					for i := g; i < b.N; i += 64 {
						if _, err := c.Write(request); err != nil {
							b.Error(err)
							return
						}
						if n, err := c.Read(buf); err != nil || n < 15 || string(buf[9:12]) != "200" {
							b.Errorf("%q, %v", buf[:n], err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "requests/s")
		})
	}
}
