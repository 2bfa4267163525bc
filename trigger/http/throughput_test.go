package http

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/myelin-run/myelin/trigger"
)

const benchServer = "MYELIN_HTTP_BENCH_SERVER"

// TestMain is also the server process of BenchmarkThroughput.
func TestMain(m *testing.M) {
	if kind := os.Getenv(benchServer); kind != "" {
		if err := benchServe(kind); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// benchServe serves an echo until its standard input ends.
func benchServe(kind string) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is all that is waited for
		cancel()
		if kind == "bare" {
			ln.Close()
		}
	}()
	if kind == "bare" {
		// The limits are the trigger's defaults, so that both do the same.
		srv := &fasthttp.Server{
			Handler:        func(ctx *fasthttp.RequestCtx) { ctx.SetBody(ctx.PostBody()) },
			ReadBufferSize: 16 << 10,
		}
		if os.Getenv("MYELIN_HTTP_BENCH_TIMEOUTS") != "" {
			d := defaults()
			srv.ReadTimeout, srv.WriteTimeout, srv.IdleTimeout = d.ReadTimeout.Std(), d.WriteTimeout.Std(), d.IdleTimeout.Std()
		}
		return srv.Serve(ln)
	}
	trg, err := Factory().New(trigger.Settings{Name: "web", Listener: ln}, []byte(`{"drainLinger":"1ms"}`))
	if err != nil {
		return err
	}
	return trg.Run(ctx, trigger.HandlerFunc(echo))
}

// BenchmarkThroughput compares the trigger with a bare fasthttp server, each a
// process of its own, over loopback and 64 connections, in turns. It reports
// the median requests per second of each and their ratio; b.N is of no use.
func BenchmarkThroughput(b *testing.B) {
	bare, stopBare := startServer(b, "bare")
	ours, stopOurs := startServer(b, "trigger")
	span := 400 * time.Millisecond
	load(b, bare, span)
	load(b, ours, span)
	var rates [2][]float64
	var ratios []float64
	var seconds float64
	for round := range 11 {
		order := []int{0, 1}
		if round%2 == 1 {
			order = []int{1, 0}
		}
		var r [2]float64
		for _, i := range order {
			r[i] = load(b, [2]string{bare, ours}[i], span)
			rates[i] = append(rates[i], r[i])
			seconds = span.Seconds()
		}
		ratios = append(ratios, r[1]/r[0])
	}
	b.ReportMetric(median(rates[0]), "bare/s")
	b.ReportMetric(median(rates[1]), "trigger/s")
	b.ReportMetric(median(ratios), "ratio")
	perEvent := func(cpu time.Duration, rates []float64) float64 {
		sum := 0.0
		for _, r := range rates {
			sum += r * seconds
		}
		return float64(cpu.Nanoseconds()) / sum * float64(len(rates)) / float64(len(rates)+1) // less the first, uncounted load
	}
	b.ReportMetric(perEvent(stopBare(), rates[0]), "bare-cpu-ns")
	b.ReportMetric(perEvent(stopOurs(), rates[1]), "trigger-cpu-ns")
	b.ReportMetric(0, "ns/op")
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// startServer returns the server's address and what ends it and returns the
// processor time it took.
func startServer(b *testing.B, kind string) (addr string, stop func() time.Duration) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), benchServer+"="+kind)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	stop = sync.OnceValue(func() time.Duration {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
		return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	})
	b.Cleanup(func() { stop() })
	line := make([]byte, 64)
	n, err := stdout.Read(line)
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(string(line[:n])), stop
}

// load sends requests over 64 connections for a span, each after the answer to
// the one before, and returns how many were answered in a second.
func load(b *testing.B, addr string, span time.Duration) float64 {
	var wg sync.WaitGroup
	counts := make([]int, 64)
	begin := time.Now()
	for i := range counts {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		wg.Go(func() {
			defer c.Close()
			buf := make([]byte, 4096)
			for time.Since(begin) < span {
				if _, err := io.WriteString(c, request); err != nil {
					b.Error(err)
					return
				}
				if n, err := c.Read(buf); err != nil || n < 12 || string(buf[9:12]) != strconv.Itoa(200) {
					b.Error(n, err)
					return
				}
				counts[i]++
			}
		})
	}
	wg.Wait()
	total := 0
	for _, n := range counts {
		total += n
	}
	return float64(total) / time.Since(begin).Seconds()
}
