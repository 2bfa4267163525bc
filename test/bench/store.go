package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/myelin-run/myelin/control/store/etcd"
	"github.com/myelin-run/myelin/control/store/sealed"
	many "github.com/myelin-run/myelin/test/crowd"
)

// stores are the benchmarks of a control plane with many objects: 10,000
// functions, 50,000 versions and 20,000 mappings.
// end stops it.
func stores(o options) (all []benchmark, end func()) {
	const with, side = "with 10,000 functions, 50,000 versions, 20,000 mappings", "the control plane"
	p := &crowded{o: o}
	all = []benchmark{
		under("store", "store-list", "A page of 100 functions "+with, side, 50, o, p.list),
		under("store", "store-move", "An alias is moved, from the API call to the first answer of the other version, "+with, side, 100, o, p.move),
		under("store", "store-up", "The control plane starts after a kill -9, until it has moved an alias, "+with, side, 5000, o, p.restart),
	}
	return all, p.end
}

// crowded is a control plane with many objects, and one function of which two
// versions run. It is started once.
type crowded struct {
	o            options
	data         string
	api, gateway string
	running      *server
	moves        int
}

const (
	tries = 20 // of each round, of which the median counts
	// bearable is how long anything may take before it is a failure.
	bearable = 2 * time.Minute
)

func (p *crowded) start(ctx context.Context) (err error) {
	if p.running != nil {
		return nil
	}
	if p.data, err = os.MkdirTemp("", "mystore"); err != nil {
		return err
	}
	if err := os.Chmod(p.data, 0o755); err != nil {
		return err
	}
	if err := p.fill(ctx); err != nil {
		return fmt.Errorf("fill the store: %w", err)
	}
	if p.api, err = freeAddr(); err != nil {
		return err
	}
	if p.gateway, err = freeAddr(); err != nil {
		return err
	}
	if err := p.up(ctx); err != nil {
		return err
	}
	if err := p.deploy(ctx); err != nil {
		return err
	}
	return p.settled(ctx)
}

func (p *crowded) fill(ctx context.Context) error {
	disk, err := etcd.Open(ctx, etcd.Options{Dir: p.data, Wrapping: sealed.Wrapping})
	if err != nil {
		return err
	}
	keys, err := sealed.LoadKeys(filepath.Join(p.data, "store.keys"), true)
	if err == nil {
		var s *sealed.Store
		if s, err = sealed.Open(ctx, disk, keys); err == nil {
			err = many.Fill(ctx, s, many.Full)
		}
	}
	return errors.Join(err, disk.Close())
}

func (p *crowded) up(ctx context.Context) (err error) {
	p.running, err = launchAt(ctx, ".", "http://"+p.gateway+"/healthz", filepath.Join(p.o.bin, "myelin"), "up", "--data", p.data, "--api-addr", p.api, "--gateway-addr", p.gateway)
	if err != nil {
		return err
	}
	for until := time.Now().Add(bearable); time.Now().Before(until); {
		if _, err = get(ctx, "http://"+p.api+"/api/v1/healthz"); err == nil {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
	return err
}

// end stops what was started.
func (p *crowded) end() {
	if p.running != nil {
		p.running.stop()
	}
	if p.data != "" {
		_ = os.RemoveAll(p.data)
	}
}

// deploy publishes a function twice, whose versions say which they are.
func (p *crowded) deploy(ctx context.Context) error {
	dir := filepath.Join(p.data, "tmp", "told")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, v := range []string{"1", "2"} {
		if err := os.WriteFile(filepath.Join(dir, "told.sh"), []byte("#!/bin/sh\ncat >/dev/null\nprintf "+v+"\n"), 0o755); err != nil { //nolint:gosec // it is run by the function's user
			return err
		}
		for _, args := range [][]string{{"run", filepath.Join(dir, "told.sh"), "--name", "told"}, {"publish", "told"}} {
			if err := p.myelin(ctx, args...); err != nil {
				return err
			}
		}
	}
	return p.myelin(ctx, "alias", "set", "told", "prod=1:50,2:50")
}

func (p *crowded) myelin(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(p.o.bin, "myelin"), append(args, "--api", "http://"+p.api)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("myelin %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// settled waits until the control plane has looked at everything once, and so
// has written down what it saw: the last function has a status.
func (p *crowded) settled(ctx context.Context) error {
	last := fmt.Sprintf("%s/api/v1/functions/fn-%05d", "http://"+p.api, many.Full.Functions-1)
	for until := time.Now().Add(bearable); time.Now().Before(until); {
		b, err := get(ctx, last)
		if err != nil {
			return err
		}
		var f struct {
			Status struct {
				State string `json:"state"`
			} `json:"status"`
		}
		if err := json.Unmarshal(b, &f); err != nil {
			return err
		}
		if f.Status.State == "disabled" {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("the control plane has not looked at everything within %v", bearable)
}

func get(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, bearable)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", url, resp.Status, b)
	}
	return b, err
}

// list is the median of some pages, each after the one before.
func (p *crowded) list(ctx context.Context) (float64, error) {
	if err := p.start(ctx); err != nil {
		return 0, err
	}
	var all []float64
	next := ""
	for range tries {
		begun := time.Now()
		b, err := get(ctx, "http://"+p.api+"/api/v1/functions?limit=100"+next)
		if err != nil {
			return 0, err
		}
		var page struct {
			Items    []json.RawMessage `json:"items"`
			Continue string            `json:"continue"`
		}
		if err := json.Unmarshal(b, &page); err != nil || len(page.Items) != 100 {
			return 0, fmt.Errorf("a page has %d functions, %w", len(page.Items), err)
		}
		all = append(all, millisSince(begun))
		next = "&continue=" + page.Continue
	}
	return median(all), nil
}

func millisSince(begun time.Time) float64 { return float64(time.Since(begun).Nanoseconds()) / 1e6 }

// move is the median of some moves.
func (p *crowded) move(ctx context.Context) (float64, error) {
	if err := p.start(ctx); err != nil {
		return 0, err
	}
	var all []float64
	for range tries {
		begun := time.Now()
		if err := p.moved(ctx); err != nil {
			return 0, err
		}
		all = append(all, millisSince(begun))
	}
	return median(all), nil
}

// moved moves the alias to the other version and returns when that answers.
func (p *crowded) moved(ctx context.Context) error {
	p.moves++
	want := fmt.Sprint(1 + p.moves%2)
	body := fmt.Sprintf(`{"metadata":{"name":"prod"},"spec":{"function":"told","versions":[{"version":%q,"weight":100}]}}`, want)
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+p.api+"/api/v1/functions/told/aliases/prod?wait=1m", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("move the alias: %s: %s, %w", resp.Status, text, err)
	}
	for until := time.Now().Add(bearable); time.Now().Before(until); {
		b, err := get(ctx, "http://"+p.gateway+"/told:prod")
		if err != nil {
			return err
		}
		if string(b) == want {
			return nil
		}
	}
	return fmt.Errorf("version %s did not answer within %v", want, bearable)
}

// restart kills the control plane and starts it. It serves when it can be asked
// and an alias that is moved has moved.
func (p *crowded) restart(ctx context.Context) (float64, error) {
	if err := p.start(ctx); err != nil {
		return 0, err
	}
	if err := p.running.cmd.Process.Kill(); err != nil {
		return 0, err
	}
	_ = p.running.cmd.Wait()
	begun := time.Now()
	if err := p.up(ctx); err != nil {
		return 0, err
	}
	if err := p.moved(ctx); err != nil {
		return 0, err
	}
	return millisSince(begun), nil
}
