package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"time"
)

// figures are what one run of wrk says.
type figures struct {
	rate     float64 // requests per second
	cpu      float64 // microseconds per request, of the server's processes
	p50, p99 float64 // milliseconds
}

var (
	rateLine  = regexp.MustCompile(`Requests/sec:\s+([\d.]+)`)
	totalLine = regexp.MustCompile(`(\d+) requests in`)
	badLine   = regexp.MustCompile(`(?m)^\s*(Non-2xx.*|Socket errors.*)$`)
	pctLine   = regexp.MustCompile(`(?m)^\s+(50|99)%\s+([\d.]+)(us|ms|s)`)
)

// wrk loads s from one thread. An answer that is not 2xx or a broken
// connection is an error: a fast failure is no throughput.
func wrk(ctx context.Context, s *server, l load, d time.Duration) (f figures, err error) {
	if s.h2 != nil {
		return h2load(ctx, s, l, d)
	}
	args := []string{"-t1", "-c" + strconv.Itoa(l.connections), "-d" + strconv.Itoa(max(int(d.Seconds()), 1)) + "s", "--latency"}
	if l.body > 0 {
		script, err := os.CreateTemp("", "post-*.lua")
		if err != nil {
			return f, err
		}
		defer os.Remove(script.Name())
		fmt.Fprintf(script, "wrk.method=\"POST\"\nwrk.body=string.rep(\"x\",%d)\n", l.body)
		if err := script.Close(); err != nil {
			return f, err
		}
		args = append(args, "-s", script.Name())
	}
	before := s.cpu()
	out, err := s.near(exec.CommandContext(ctx, "wrk", append(args, s.url)...))
	spent := s.cpu() - before
	if err != nil {
		return f, fmt.Errorf("wrk: %w: %s", err, bytes.TrimSpace(out))
	}
	if bad := badLine.Find(out); bad != nil {
		return f, fmt.Errorf("wrk on %s: %s", s.url, bytes.TrimSpace(bad))
	}
	rate, total := rateLine.FindSubmatch(out), totalLine.FindSubmatch(out)
	if rate == nil || total == nil {
		return f, fmt.Errorf("wrk printed no figures: %s", out)
	}
	f.rate = number(rate[1])
	f.cpu = spent.Seconds() * 1e6 / number(total[1])
	for _, m := range pctLine.FindAllSubmatch(out, -1) {
		ms := number(m[2]) * map[string]float64{"us": 1e-3, "ms": 1, "s": 1e3}[string(m[3])]
		if string(m[1]) == "50" {
			f.p50 = ms
		} else {
			f.p99 = ms
		}
	}
	return f, nil
}

// near runs a client where the server is reached, and returns what it printed.
func (s *server) near(cmd *exec.Cmd) ([]byte, error) {
	if s.inside == nil {
		return cmd.CombinedOutput()
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := s.inside(cmd.Start); err != nil {
		return nil, err
	}
	err := cmd.Wait()
	return out.Bytes(), err
}

func number(b []byte) float64 {
	v, _ := strconv.ParseFloat(string(b), 64) // the expressions match numbers only
	return v
}
