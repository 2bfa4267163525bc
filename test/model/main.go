// Command model checks the protocols of the shared-memory channel and of the
// dealer: it runs the Promela models beside it through spin, each of them as it
// is and with one planted mistake after another, and prints what each search
// found. A mistake that is not found is a failure, so the check is known to be
// able to fail. It must not know their code; docs/verification.md says which step
// of a model is which function.
//
//	go run ./test/model [-small] [-only request]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

func main() {
	small := flag.Bool("small", false, "the small searches only, as the test does")
	only := flag.String("only", "", "check only what has this in its name")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *small, *only)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "model:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, small bool, only string) error {
	var chosen []search
	for _, s := range searches(small) {
		if strings.Contains(s.String(), only) {
			chosen = append(chosen, s)
		}
	}
	found := checkAll(ctx, chosen)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "model\tstates\tseconds\texpected\tfound\t")
	bad := 0
	for i, f := range found {
		verdict := "as expected"
		if f.err != nil {
			bad++
			verdict = "WRONG: " + f.err.Error()
		}
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%s\t%s\t%s\n", chosen[i], f.states, f.took.Seconds(), chosen[i].expected(), f.what(), verdict)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d searches did not end as expected", bad, len(found))
	}
	if len(found) == 0 {
		return fmt.Errorf("nothing has %q in its name", only)
	}
	return nil
}

// checkAll runs the searches, as many at once as there are processors.
func checkAll(ctx context.Context, all []search) []finding {
	out := make([]finding, len(all))
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(runtime.NumCPU(), 4) {
		wg.Go(func() {
			for i := range next {
				began := time.Now()
				out[i] = check(ctx, all[i])
				out[i].took = time.Since(began)
			}
		})
	}
	for i := range all {
		next <- i
	}
	close(next)
	wg.Wait()
	return out
}
