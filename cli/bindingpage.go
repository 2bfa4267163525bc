package cli

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/myelin-run/myelin/cli/terminal"
	"github.com/myelin-run/myelin/control/api"
	"github.com/myelin-run/myelin/function"
)

// functionPage is the page of a function, with what its processors say of its
// data bindings. That they cannot be asked is no reason to tell nothing.
func (a *app) functionPage(raw json.RawMessage) string {
	f := read[function.Function](raw)
	page := a.page(f)
	if len(f.Spec.DataBindings) == 0 {
		return page
	}
	views, err := a.client().Bindings(a.ctx, f.Metadata.Name)
	if err != nil {
		return page + fmt.Sprintf("\nData bindings: %d, of which nothing is known now: %s\n", len(f.Spec.DataBindings), err)
	}
	return page + bindingPage(views)
}

// bindingPage tells how bindings are, and how the calls of each operation went.
func bindingPage(views []api.BindingView) string {
	var b strings.Builder
	rows := [][]string{{"  NAME", "KIND", "REPLICA", "STATE", "CALLS", "FAILED", "CACHE", "WRITES", "BREAKER", "PROBLEM"}}
	calls := [][]string{{"  NAME", "REPLICA", "OPERATION", "CALLS", "FAILED", "MEAN", "P50", "P99"}}
	for _, v := range views {
		if v.Name == "" { // a processor that could not be asked
			rows = append(rows, []string{"  -", "", v.Replica, "", "", "", "", "", "", v.Problem})
			continue
		}
		rows = append(rows, []string{"  " + v.Name, v.Class + "/" + v.Kind, v.Replica, v.State, fmt.Sprint(v.Calls), fmt.Sprint(v.Failed),
			cached(v), gathered(v), breaker(v), v.Problem})
		for _, o := range v.Operations {
			calls = append(calls, []string{"  " + v.Name, v.Replica, o.Name, fmt.Sprint(o.Calls), fmt.Sprint(o.Failed), brief(o.Mean), brief(o.P50), brief(o.P99)})
		}
	}
	b.WriteString("\nData bindings:\n")
	_ = terminal.Table(&b, rows) // a builder takes everything
	if len(calls) > 1 {
		b.WriteString("\nCalls of data bindings:\n")
		_ = terminal.Table(&b, calls)
	}
	return b.String()
}

// cached says how much of what was asked for the cache had: "93% of 1200".
func cached(v api.BindingView) string {
	if v.Cache == nil {
		return ""
	}
	asked := v.Cache.Hits + v.Cache.Misses + v.Cache.Shared
	return fmt.Sprintf("%d%% of %d", percent(v.Cache.Hits, asked), asked)
}

// gathered says in how many lots writes were made: "1000 in 2".
func gathered(v api.BindingView) string {
	if v.Batch == nil {
		return ""
	}
	return fmt.Sprintf("%d in %d", v.Batch.Writes, v.Batch.Flushes)
}

func breaker(v api.BindingView) string {
	if v.Circuit == "" || v.Opened == 0 {
		return v.Circuit
	}
	return fmt.Sprintf("%s (opened %d times)", v.Circuit, v.Opened)
}

func percent(part, whole uint64) uint64 {
	if whole == 0 {
		return 0
	}
	return part * 100 / whole
}

// brief is a time with three digits.
func brief(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	for unit := time.Duration(1); unit < time.Hour; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit).String()
		}
	}
	return d.Round(time.Second).String()
}
