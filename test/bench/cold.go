package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/myelin-run/myelin/control/api/client"
	"github.com/myelin-run/myelin/function"
)

// sleepers is how many functions sleep and are woken one after the other in
// each round.
const sleepers = 16

// colds are the benchmarks of the time from zero to the first answer: a request
// to the gateway for a function that has no processor, with one parked and
// without.
func colds(o options, work string) []benchmark {
	var out []benchmark
	for _, r := range []struct {
		name, title, function, config, kind string
		goal                                float64
	}{
		{"cold-go", "Go", "ok-go", "runtime: golang", "golang", 15},
		{"cold-python", "Python", "ok-python", "runtime: python, handler: \"ok:handler\"", "python", 30},
	} {
		title, goal := "From zero to the first answer through the gateway, "+r.title+", a processor parked: p50", fmt.Sprintf("<= %.0f ms", r.goal)
		out = append(out, benchmark{name: r.name, title: title, goal: goal, group: "cold", measure: func(ctx context.Context) (Result, error) {
			res := Result{Name: r.name, Title: title, Goal: goal, Unit: "ms", Reference: r.goal}
			source := filepath.Join(work, r.name)
			if err := writeSleeper(source, r.function, r.config); err != nil {
				return res, err
			}
			for _, s := range []struct{ name, warm string }{{"parked", r.kind + "=" + strconv.Itoa(sleepers)}, {"none parked", "none"}} {
				series, err := coldSide(ctx, o, source, s.name, s.warm)
				if err != nil {
					return res, fmt.Errorf("%s: %w", s.name, err)
				}
				res.Sides = append(res.Sides, series)
			}
			res.Value = res.Sides[0].P50[0]
			res.Ratio = res.Value / res.Reference
			for _, v := range res.Sides[0].Values {
				res.Ratios = append(res.Ratios, v/res.Reference)
			}
			res.Met = res.Value <= r.goal
			return res, nil
		}})
	}
	return out
}

// writeSleeper makes a function that sleeps soon of one that is measured.
func writeSleeper(dir, function, config string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("test/bench/functions", function))); err != nil {
		return err
	}
	text := "metadata: {name: sleeper}\nspec: {" + config + ", minReplicas: 0, maxReplicas: 1, scale: {zeroAfter: 4s}}\n"
	return os.WriteFile(filepath.Join(dir, "function.yaml"), []byte(text), 0o644)
}

// coldSide measures with a control plane of its own.
func coldSide(ctx context.Context, o options, source, name, warm string) (s Series, err error) {
	p := &plane{o: o, warm: warm}
	api, err := p.up(ctx)
	if err != nil {
		return s, err
	}
	defer p.running.stop()
	c := client.New("http://"+api, "", nil)
	if err := p.deploySleepers(ctx, c, api, source); err != nil {
		return s, err
	}
	s.Name = name
	var all []float64
	for range o.rounds {
		if err := asleep(ctx, c); err != nil {
			return s, err
		}
		var round []float64
		for i := range sleepers {
			time.Sleep(settle / 4)
			took, err := firstAnswer(ctx, "http://"+p.gateway+"/"+sleeperName(i))
			if err != nil {
				return s, err
			}
			round = append(round, float64(took.Microseconds())/1000)
		}
		s.Values, all = append(s.Values, median(round)), append(all, round...)
	}
	slices.Sort(all)
	s.P50, s.P99 = []float64{median(all)}, []float64{all[min(len(all)-1, len(all)*99/100)]}
	return s, nil
}

// deploySleepers builds one function and deploys what was built under all names.
func (p *plane) deploySleepers(ctx context.Context, c *client.Client, api, source string) error {
	if err := p.myelin(ctx, api, "run", source, "--name", sleeperName(0)); err != nil {
		return err
	}
	f, err := c.Function(ctx, sleeperName(0))
	for i := 1; err == nil && i < sleepers; i++ {
		cfg := function.Config{Metadata: function.Metadata{Name: sleeperName(i), Annotations: f.Metadata.Annotations}, Spec: f.Spec}
		_, err = c.Put(ctx, cfg)
	}
	if err != nil {
		return fmt.Errorf("deploy the functions: %w", err)
	}
	return nil
}

func sleeperName(i int) string { return "sleeper-" + strconv.Itoa(i) }

// firstAnswer asks on a connection of its own.
func firstAnswer(ctx context.Context, url string) (time.Duration, error) {
	tr := &http.Transport{DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	began := time.Now()
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	took := time.Since(began)
	if err != nil || resp.StatusCode != http.StatusOK || string(body) != "ok" {
		return 0, fmt.Errorf("answer %d %.100q, %w", resp.StatusCode, body, err)
	}
	return took, nil
}

// asleep waits until all sleep, and until what their going caused is over.
func asleep(ctx context.Context, c *client.Client) error {
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(settle) {
		all, err := c.Functions(ctx)
		if err != nil {
			return fmt.Errorf("get the functions: %w", err)
		}
		all = slices.DeleteFunc(all, func(f function.Function) bool { return f.Status.State != function.Asleep })
		if len(all) == sleepers {
			time.Sleep(2 * time.Second)
			return nil
		}
	}
	return errors.New("the functions do not fall asleep")
}
