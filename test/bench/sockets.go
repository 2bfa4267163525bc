package main

import (
	"context"
	"fmt"
	"os"
)

// sockets are Myelin's Python functions behind HTTP against the baseline
// behind the same HTTP server.
func sockets(o options, work string) []benchmark {
	type row struct {
		name, title       string
		function, handler string // Myelin's, and the baseline's, which has no views
		load              load
		goal              float64
	}
	var out []benchmark
	for _, r := range []row{
		{"http-python-vs-msgpack-socket", "HTTP to a Python handler, POST 1 KiB, 64 connections, one worker", "ok", "ok", load{64, 1 << 10}, 5},
		{"echo-1m-vs-msgpack-socket", "HTTP, Python echo of 1 MiB by view, 16 connections, one worker", "view", "echo", load{16, 1 << 20}, 30},
	} {
		goal := fmt.Sprintf(">= %g of a msgpack socket", r.goal)
		out = append(out, benchmark{name: r.name, title: r.title, goal: goal, group: "channel", measure: func(ctx context.Context) (Result, error) {
			res, err := compare(ctx, o, functionSide(o, work, "Python", "python", r.function), baselineSide(o, r.handler), r.load)
			res.Name, res.Title, res.Goal, res.Unit = r.name, r.title, goal, "requests/s"
			res.Met = res.Ratio >= r.goal
			return res, err
		}})
	}
	return out
}

// baselineSide is this program as an HTTP server in front of the baseline.
func baselineSide(o options, function string) side {
	return side{"msgpack socket", func(ctx context.Context) (*server, error) {
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		return launch(ctx, ".", addr, self, "-python", o.python, "-baseline", function, "-listen", addr)
	}}
}
