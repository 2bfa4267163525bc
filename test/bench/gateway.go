package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// gateways are the benchmarks of the gateway: the same function of the same
// control plane through it, and at its own address.
func gateways(o options, work string) []benchmark {
	const titleLimit, goalLimit = "The gateway beside a relay that copies bytes and reads none, POST 1 KiB, 64 connections", "beside the relay"
	const goal, goalTime = ">= 0.6 of the function's own address", "<= 60 us more than at the function's own address"
	return []benchmark{
		{name: "gateway-64", title: "Go function through the gateway, POST 1 KiB, 64 connections", goal: goal, group: "gateway", measure: func(ctx context.Context) (Result, error) {
			p := &plane{o: o, work: work}
			res, err := compare(ctx, o, p.side("through the gateway", true), p.side("its own address", false), load{64, 1024})
			res.Name, res.Title, res.Goal, res.Unit = "gateway-64", "Go function through the gateway, POST 1 KiB, 64 connections", goal, "requests/s"
			res.Met = res.Ratio >= 0.6
			return res, err
		}},
		{name: "gateway-64-limit", title: titleLimit, goal: goalLimit, group: "gateway", measure: func(ctx context.Context) (Result, error) {
			p := &plane{o: o, work: work}
			res, err := compare(ctx, o, p.side("through the gateway", true), p.relayed("through a bare relay"), load{64, 1024})
			res.Name, res.Title, res.Goal, res.Unit = "gateway-64-limit", titleLimit, goalLimit, "requests/s"
			res.Met = err == nil
			return res, err
		}},
		{name: "gateway-64-added", title: "What the gateway adds to p50: Go function, POST 1 KiB, one connection", goal: goalTime, group: "gateway", measure: func(ctx context.Context) (Result, error) {
			p := &plane{o: o, work: work}
			res, err := compare(ctx, o, p.side("through the gateway", true), p.side("its own address", false), load{1, 1024})
			if err != nil {
				return res, err
			}
			res.Name, res.Title, res.Goal, res.Unit = "gateway-64-added", "What the gateway adds to p50: Go function, POST 1 KiB, one connection", goalTime, "us"
			res.Ratios = nil
			for i := range res.Sides {
				res.Sides[i].Values = nil
				for _, ms := range res.Sides[i].P50 {
					res.Sides[i].Values = append(res.Sides[i].Values, ms*1000)
				}
			}
			res.Value = median(res.Sides[0].Values) - median(res.Sides[1].Values)
			res.Reference = 60
			res.Ratio = res.Value / res.Reference
			res.Met = res.Value <= 60
			return res, nil
		}},
	}
}

// plane is a control plane with a gateway and one Go function, which both sides
// of a comparison share.
type plane struct {
	o       options
	work    string
	warm    string   // as in --warm; "": none
	args    []string // more of `myelin up`
	running *server
	gateway string // URLs of the function
	own     string
}

func (p *plane) side(name string, gateway bool) side {
	return side{name, func(ctx context.Context) (*server, error) {
		if err := p.start(ctx); err != nil {
			return nil, err
		}
		s := &server{url: p.own, cmd: p.running.cmd}
		if gateway {
			s.url = p.gateway
		}
		return s, nil
	}}
}

// relayed is the function behind a process that only copies, on connections of
// their own: what a hop costs without anything being done there.
func (p *plane) relayed(name string) side {
	return side{name, func(ctx context.Context) (*server, error) {
		if err := p.start(ctx); err != nil {
			return nil, err
		}
		addr, err := freeAddr()
		if err != nil {
			return nil, err
		}
		to := strings.TrimSuffix(strings.TrimPrefix(p.own, "http://"), "/")
		return launch(ctx, ".", addr, filepath.Join(p.o.bin, "bare"), "-listen", addr, "-relay", to)
	}}
}

// start starts all once. Whoever stops a side stops it.
func (p *plane) start(ctx context.Context) error {
	if p.running != nil {
		return nil
	}
	api, err := p.up(ctx)
	if err != nil {
		return err
	}
	if err := p.deploy(ctx, api); err != nil {
		p.running.stop()
		return err
	}
	p.gateway = "http://" + p.gateway + "/ok"
	return nil
}

// up starts the control plane and the gateway, and says where the API is.
func (p *plane) up(ctx context.Context) (api string, err error) {
	data, err := os.MkdirTemp("", "mygw")
	if err != nil {
		return "", err
	}
	context.AfterFunc(ctx, func() { _ = os.RemoveAll(data) })
	if err := os.Chmod(data, 0o755); err != nil {
		return "", err
	}
	if api, err = freeAddr(); err != nil {
		return "", err
	}
	gateway, err := freeAddr()
	if err != nil {
		return "", err
	}
	p.gateway = gateway
	args := append([]string{"up", "--data", data, "--api-addr", api, "--gateway-addr", gateway, "--warm", cmp.Or(p.warm, "none")}, p.args...)
	p.running, err = launchAt(ctx, ".", "http://"+gateway+"/healthz", filepath.Join(p.o.bin, "myelin"), args...)
	return api, err
}

// myelin runs a command against the API.
func (p *plane) myelin(ctx context.Context, api string, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(p.o.bin, "myelin"), append(args, "--api", "http://"+api)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("myelin %s: %w: %s", args[0], err, out)
	}
	return nil
}

func (p *plane) deploy(ctx context.Context, api string) error {
	if err := p.myelin(ctx, api, "run", "test/bench/functions/ok-go", "--name", "ok"); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, filepath.Join(p.o.bin, "myelin"), "get", "function", "ok", "-o", "json", "--api", "http://"+api).Output()
	if err != nil {
		return fmt.Errorf("get the function: %w", err)
	}
	var f struct {
		Status struct {
			Address string `json:"address"`
		} `json:"status"`
	}
	if err := json.Unmarshal(out, &f); err != nil || f.Status.Address == "" {
		return fmt.Errorf("the function has no address: %w: %s", err, out)
	}
	p.own = "http://" + f.Status.Address + "/"
	return nil
}
