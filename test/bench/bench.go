// Command bench measures Myelin as ratios: each figure beside the raw limit or
// a peer, both sides in turn in one run, several times. It writes out.json and
// the page docs/benchmarks.md with its plots, unless only a part is measured.
//
//	go run ./test/bench [-rounds 5] [-seconds 3] [-only http] [-bin bin] [-write]
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// options are what the command line says.
type options struct {
	rounds  int
	seconds int
	only    string
	bin     string // where myelin, processor and the peers' programs are
	write   bool   // write the page
	python  string // with msgpack and the client of Redis, for the other sides
}

// Result is one line of out.json. Ratio is value by reference: for
// throughput above 1 is better, for times and sizes below 1.
type Result struct {
	Name      string  `json:"name"`
	Value     float64 `json:"value"`
	Reference float64 `json:"reference"`
	Ratio     float64 `json:"ratio"`
	Unit      string  `json:"unit"`

	Title string   `json:"title"`
	Goal  string   `json:"goal"`
	Met   bool     `json:"met"`
	Sides []Series `json:"sides"`
	// Ratios are those of each round, from which the spread is taken.
	Ratios []float64 `json:"ratios,omitempty"`
}

// Series is the raw figures of one side.
type Series struct {
	Name   string    `json:"name"`
	Values []float64 `json:"values"`
	CPU    []float64 `json:"cpuMicrosecondsPerEvent,omitempty"` // of the server and its children
	P50    []float64 `json:"p50Milliseconds,omitempty"`
	P99    []float64 `json:"p99Milliseconds,omitempty"`
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 5, "rounds; both sides are measured in each")
	flag.IntVar(&o.seconds, "seconds", 3, "seconds of load in each round and side")
	flag.StringVar(&o.only, "only", "", "measure only what has this in its name")
	flag.StringVar(&o.bin, "bin", "bin", "directory of the programs")
	flag.BoolVar(&o.write, "write", true, "write docs/benchmarks.md, if all was measured")
	flag.StringVar(&o.python, "python", "python3", "a Python with msgpack and redis, for the other sides")
	serve := flag.String("baseline", "", "serve this function through the baseline, on -listen")
	listen := flag.String("listen", "", "address for -baseline")
	quiet := flag.Bool("idle", false, "open a worker and do nothing until interrupted")
	flag.Parse()
	var err error
	switch {
	case *serve != "":
		err = serveBaseline(*listen, o.python, "test/bench/functions/"+*serve+"-python", *serve+":handler")
	case *quiet:
		err = stayIdle()
	default:
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		err = run(ctx, o)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	bin, err := filepath.Abs(o.bin)
	if err != nil {
		return err
	}
	o.bin = bin
	work, err := os.MkdirTemp("", "myelin-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	var results []Result
	crowded, end := stores(o)
	defer end()
	all := slices.Concat(throughputs(o, work), others(o, work), channels(o), queues(o), kafkas(o), replications(o), listings(o), bindings(o), sockets(o, work), gateways(o, work), containers(o, work), h2s(o, work), colds(o, work), dealers(o), crowded)
	for _, b := range all {
		if !strings.Contains(b.name, o.only) && b.group != o.only {
			continue
		}
		fmt.Printf("\n%s: %s (goal %s)\n", b.name, b.title, b.goal)
		r, err := b.measure(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		results = append(results, r)
		r.print()
	}
	if len(results) == 0 {
		return fmt.Errorf("no benchmark has %q in its name", o.only)
	}
	return save(results, o)
}

// save writes out.json and the page if all was measured. Figures of a part go
// to .cache/bench.json, so that they do not stand for the whole.
func save(results []Result, o options) error {
	b, err := json.MarshalIndent(map[string]any{"results": results}, "", "  ")
	if err != nil {
		return err
	}
	if o.only != "" || !o.write {
		if err := os.MkdirAll(".cache", 0o755); err != nil {
			return err
		}
		return os.WriteFile(".cache/bench.json", append(b, '\n'), 0o644)
	}
	if err := os.WriteFile("test/bench/out.json", append(b, '\n'), 0o644); err != nil {
		return err
	}
	return writePage("docs/benchmarks.md", results, o)
}

func (r *Result) print() {
	for _, s := range r.Sides {
		fmt.Printf("  %-22s %s\n", s.Name, s.line(r.Unit))
	}
	verdict := "met"
	if !r.Met {
		verdict = "NOT MET"
	}
	fmt.Printf("  ratio %.3f (rounds %.3f to %.3f), goal %s: %s\n", r.Ratio, lowest(r.Ratios, r.Ratio), highest(r.Ratios, r.Ratio), r.Goal, verdict)
}

func (s Series) line(unit string) string {
	out := fmt.Sprintf("%s %s (%s)", format(median(s.Values)), unit, formatAll(s.Values))
	if len(s.CPU) > 0 {
		out += fmt.Sprintf("; CPU %.1f us/event", median(s.CPU))
	}
	if len(s.P50) > 0 {
		out += fmt.Sprintf("; p50 %.2f p99 %.2f ms", median(s.P50), median(s.P99))
	}
	return out
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

func lowest(v []float64, otherwise float64) float64 {
	if len(v) == 0 {
		return otherwise
	}
	return slices.Min(v)
}

func highest(v []float64, otherwise float64) float64 {
	if len(v) == 0 {
		return otherwise
	}
	return slices.Max(v)
}

func format(v float64) string {
	switch {
	case v >= 1000:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func formatAll(vs []float64) string {
	var out []string
	for _, v := range vs {
		out = append(out, format(v))
	}
	return strings.Join(out, " ")
}

const settle = 200 * time.Millisecond // between the sides, for what one left running
