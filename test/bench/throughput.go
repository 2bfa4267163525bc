package main

import (
	"context"
	"fmt"
	"time"
)

// benchmark is one line of the table.
type benchmark struct {
	name, title, goal string
	group             string // may stand for the name in -only
	measure           func(context.Context) (Result, error)
}

// load is what wrk does to a server.
type load struct {
	connections int
	body        int // bytes; 0 is a GET
}

// throughputs are the benchmarks of requests per second, against a bare
// fasthttp server that answers the same two bytes.
func throughputs(o options, work string) []benchmark {
	type row struct {
		name, title string
		side        side
		load        load
		goal        float64
	}
	native, inC, python, node := goSide(o, work), cSide(o, work), pythonSide(o, work), nodeSide(o, work)
	var out []benchmark
	for _, r := range []row{
		{"http-go-64", "HTTP to a native Go handler, POST 1 KiB, 64 connections", native, load{64, 1024}, 0.95},
		{"http-go-8", "HTTP to a native Go handler, POST 1 KiB, 8 connections", native, load{8, 1024}, 0.95},
		{"http-go-64-get", "HTTP to a native Go handler, GET, 64 connections", native, load{64, 0}, 0.95},
		{"http-c-64", "HTTP to a C handler, POST 1 KiB, 64 connections", inC, load{64, 1024}, 0.9},
		{"http-python-64", "HTTP to a Python handler, POST 1 KiB, 64 connections", python, load{64, 1024}, 0.75},
		{"http-python-8", "HTTP to a Python handler, POST 1 KiB, 8 connections", python, load{8, 1024}, 0.4},
		{"http-node-64", "HTTP to a JavaScript handler, POST 1 KiB, 64 connections", node, load{64, 1024}, 0.75},
		{"http-java-64", "HTTP to a Java handler, POST 1 KiB, 64 connections", javaSide(o, work), load{64, 1024}, 0.75},
	} {
		out = append(out, benchmark{name: r.name, title: r.title, goal: fmt.Sprintf(">= %.2f of bare fasthttp", r.goal), measure: func(ctx context.Context) (Result, error) {
			res, err := compare(ctx, o, r.side, bareSide(o), r.load)
			res.Name, res.Title, res.Goal, res.Unit = r.name, r.title, fmt.Sprintf(">= %.2f of bare fasthttp", r.goal), "requests/s"
			res.Met = res.Ratio >= r.goal
			return res, err
		}})
	}
	return out
}

// compare loads both sides in turn, a warm-up each first, and changes which
// goes first from round to round.
func compare(ctx context.Context, o options, subject, reference side, l load) (res Result, err error) {
	var servers [2]*server
	for i, s := range []side{subject, reference} {
		if servers[i], err = s.start(ctx); err != nil {
			return res, fmt.Errorf("start %s: %w", s.name, err)
		}
		defer servers[i].stop()
	}
	res.Sides = []Series{{Name: subject.name}, {Name: reference.name}}
	for _, s := range servers {
		if _, err := wrk(ctx, s, l, time.Second); err != nil {
			return res, err
		}
	}
	for round := range o.rounds {
		for turn := range 2 {
			i := (round + turn) % 2
			time.Sleep(settle)
			f, err := wrk(ctx, servers[i], l, time.Duration(o.seconds)*time.Second)
			if err != nil {
				return res, err
			}
			s := &res.Sides[i]
			s.Values = append(s.Values, f.rate)
			if !servers[i].hidden {
				s.CPU = append(s.CPU, f.cpu)
			}
			s.P50, s.P99 = append(s.P50, f.p50), append(s.P99, f.p99)
		}
		res.Ratios = append(res.Ratios, res.Sides[0].Values[round]/res.Sides[1].Values[round])
	}
	res.Value, res.Reference, res.Ratio = median(res.Sides[0].Values), median(res.Sides[1].Values), median(res.Ratios)
	return res, nil
}
