package main

import (
	"context"
	"fmt"
	"time"
)

// others are the benchmarks of times and sizes, against the limit that the
// project set itself; the reference is that limit.
func others(o options, work string) []benchmark {
	native, inC, python, java := goSide(o, work), cSide(o, work), pythonSide(o, work), javaSide(o, work)
	return []benchmark{
		limit(o, "ready-go", "Start of a Go function's binary to its first answer", "ms", 30, native, readyMillis),
		limit(o, "ready-c", "Start of a C function's binary to its first answer", "ms", 30, inC, readyMillis),
		limit(o, "ready-python", "Start of a processor to the first answer of a Python function", "ms", 150, python, readyMillis),
		limit(o, "ready-java", "Start of a processor to the first answer of a Java function", "ms", 200, java, readyMillis),
		limit(o, "memory-go", "Resident memory of an idle Go function", "MB", 25, native, idleMegabytes),
		limit(o, "memory-python", "Resident memory of an idle Python function, processor and worker", "MB", 60, python, idleMegabytes),
		limit(o, "memory-java", "Resident memory of an idle Java function, processor and worker", "MB", 80, java, idleMegabytes),
	}
}

func limit(o options, name, title, unit string, most float64, s side, read func(*server) float64) benchmark {
	goal := fmt.Sprintf("< %g %s", most, unit)
	return benchmark{name: name, title: title, goal: goal, measure: func(ctx context.Context) (Result, error) {
		r := Result{Name: name, Title: title, Goal: goal, Unit: unit, Reference: most, Sides: []Series{{Name: s.name}}}
		for range o.rounds + 1 {
			srv, err := s.start(ctx)
			if err != nil {
				return r, err
			}
			r.Sides[0].Values = append(r.Sides[0].Values, read(srv))
			srv.stop()
		}
		r.Sides[0].Values = r.Sides[0].Values[1:] // the first filled the page cache
		r.Value = median(r.Sides[0].Values)
		r.Ratio = r.Value / most
		r.Met = r.Value < most
		for _, v := range r.Sides[0].Values {
			r.Ratios = append(r.Ratios, v/most)
		}
		return r, nil
	}}
}

func readyMillis(s *server) float64 { return float64(s.ready) / float64(time.Millisecond) }

func idleMegabytes(s *server) float64 {
	time.Sleep(time.Second)
	return s.memory() / 1e6
}
