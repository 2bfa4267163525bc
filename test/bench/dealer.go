package main

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/myelin-run/myelin/dealer"
)

const (
	dealtResources  = 1_000_000
	dealtProcessors = 10_000
)

// dealers are the benchmarks of the dealer's table: how long it takes to deal,
// against the time that it may take.
func dealers(o options) []benchmark {
	return []benchmark{
		within("dealer-million", "Dealing 1,000,000 resources to 10,000 processors from nothing", 2000, o, func() (float64, error) {
			all := manyResources()
			begun := time.Now()
			t := dealer.New(dealer.Options{TTL: 3000}, nil)
			t.Resources(0, all)
			fleet(t)
			return dealtIn(begun, t)
		}),
		within("dealer-join", "One processor more joins them", 50, o, func() (float64, error) {
			t := dealer.New(dealer.Options{TTL: 3000}, nil)
			t.Resources(0, manyResources())
			fleet(t)
			runtime.GC()
			begun := time.Now()
			t.Beat(1, dealer.Beat{Processor: "newcomer", Session: 1, Seq: 1})
			t.Tick(1)
			return dealtIn(begun, t)
		}),
		within("dealer-fleet", "One second of 10,000 processors that hold 100 each and beat every second, on one core", 1000, o, beatingFleet),
	}
}

func within(name, title string, most float64, o options, once func() (float64, error)) benchmark {
	return under("dealer", name, title, "the table", most, o, func(context.Context) (float64, error) { return once() })
}

// under measures a time in milliseconds against the most that it may be.
func under(group, name, title, side string, most float64, o options, once func(context.Context) (float64, error)) benchmark {
	goal := fmt.Sprintf("< %g ms", most)
	return benchmark{name: name, title: title, goal: goal, group: group, measure: func(ctx context.Context) (Result, error) {
		r := Result{Name: name, Title: title, Goal: goal, Unit: "ms", Reference: most}
		var all []float64
		for range o.rounds {
			ms, err := once(ctx)
			if err != nil {
				return r, err
			}
			all = append(all, ms)
			r.Ratios = append(r.Ratios, ms/most)
		}
		r.Sides = []Series{{Name: side, Values: all}}
		r.Value = median(all)
		r.Ratio = r.Value / most
		r.Met = r.Value < most
		return r, nil
	}}
}

func manyResources() []dealer.Resource {
	all := make([]dealer.Resource, dealtResources)
	for i := range all {
		all[i].Name = fmt.Sprintf("topic-%03d/%07d", i%997, i)
	}
	return all
}

func processorName(i int) string { return fmt.Sprintf("processor-%05d", i) }

// fleet has the processors join, and the table deal.
func fleet(t *dealer.Table) {
	for i := range dealtProcessors {
		t.Beat(0, dealer.Beat{Processor: processorName(i), Session: 1, Seq: 1})
	}
	t.Tick(0)
}

// dealtIn is the time since begun, if all has been dealt.
func dealtIn(begun time.Time, t *dealer.Table) (float64, error) {
	ms := float64(time.Since(begun).Nanoseconds()) / 1e6
	if r := t.Report(0); r.Unowned > 0 {
		return 0, fmt.Errorf("%d resources were not dealt", r.Unowned)
	}
	return ms, nil
}

// beatingFleet lets one goroutine be all processors and the dealer: each says in
// full what it holds, which is more than those do that hold what they were told.
func beatingFleet() (float64, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	t := dealer.New(dealer.Options{TTL: 3000}, nil)
	t.Resources(0, manyResources())
	fleet(t)
	beats := make([]dealer.Beat, dealtProcessors)
	for i := range beats {
		beats[i] = dealer.Beat{Processor: processorName(i), Session: 1, Seq: 2}
		a, ok := t.Beat(1, beats[i])
		if !ok {
			return 0, fmt.Errorf("a beat of %s was refused", beats[i].Processor)
		}
		beats[i].Seen, beats[i].Holds = a.Mark, a.Leases
	}
	runtime.GC()
	begun := time.Now()
	for i := range beats {
		beats[i].Seq++
		if _, ok := t.Beat(2, beats[i]); !ok {
			return 0, fmt.Errorf("a beat of %s was refused", beats[i].Processor)
		}
	}
	t.Tick(2)
	return dealtIn(begun, t)
}
