package control

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/myelin-run/myelin/control/catalog"
	"github.com/myelin-run/myelin/control/plan"
	"github.com/myelin-run/myelin/control/rollout"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/gateway"
	"github.com/myelin-run/myelin/gateway/meter"
	"github.com/myelin-run/myelin/platform"
)

// counts reads what versions did: requests from the gateways, which know by
// which alias they came, events from the processors.
type counts struct {
	catalog *catalog.Catalog
	gateway *gatewayProcess
	asks    platform.Processors
}

// reading is all that was counted of a subject until some time. What a process
// counted is kept apart, and so one that began anew is told from one that went on.
type reading struct {
	Gateways   map[int][]meter.Sample `json:"gateways"` // by pid
	Processors map[string]runs        `json:"processors,omitempty"`
}

// runs are what a processor did with events.
type runs struct {
	Version string `json:"version"`
	Events  int64  `json:"events"`
	Errors  int64  `json:"errors"`
}

// Mark implements [rollout.Counter].
func (c *counts) Mark(ctx context.Context, s rollout.Subject) (json.RawMessage, error) {
	now, err := c.read(ctx, s)
	if err != nil {
		return nil, err
	}
	return json.Marshal(now)
}

// Since implements [rollout.Counter].
func (c *counts) Since(ctx context.Context, s rollout.Subject, mark json.RawMessage) (f plan.RolloutFigures, err error) {
	var before reading
	if err := json.Unmarshal(mark, &before); err != nil {
		return f, fmt.Errorf("read what was counted before: %w", err)
	}
	now, err := c.read(ctx, s)
	if err != nil {
		return f, err
	}
	f.New = now.since(before, []int{s.New})
	f.Old = now.since(before, s.Old)
	return f, nil
}

// since is what some versions did after an earlier reading.
func (r reading) since(before reading, versions []int) (f function.RolloutFigures) {
	wanted := func(label string) bool {
		n, err := function.ParseVersion(label)
		return err == nil && slices.Contains(versions, n)
	}
	var sum meter.Sample
	for pid, samples := range r.Gateways {
		for _, s := range samples {
			if !wanted(s.Version) {
				continue
			}
			if i := slices.IndexFunc(before.Gateways[pid], func(b meter.Sample) bool { return b.Key == s.Key }); i >= 0 {
				s = s.Since(before.Gateways[pid][i])
			}
			sum = sum.Plus(s)
		}
	}
	f.Requests, f.Errors, f.P99 = sum.Requests-sum.Classes[0], sum.Errors, sum.P99 // without those whose clients went away
	for who, now := range r.Processors {
		if wanted(now.Version) {
			f.Events += now.Events - before.Processors[who].Events
			f.EventErrors += now.Errors - before.Processors[who].Errors
		}
	}
	return f
}

func (c *counts) read(ctx context.Context, s rollout.Subject) (r reading, err error) {
	if r.Gateways, err = c.gateway.counted(ctx, s); err != nil {
		return r, err
	}
	followers, err := c.catalog.MappingsOf(ctx, s.Name)
	if err != nil {
		return r, err
	}
	triggers := map[string]bool{}
	for _, m := range followers {
		if m.Spec.Alias == s.Alias && m.Spec.Source.Kind != "http" {
			triggers[plan.TriggerOf(m)] = true
		}
	}
	if len(triggers) == 0 {
		return r, nil
	}
	r.Processors = map[string]runs{}
	for _, v := range append(slices.Clone(s.Old), s.New) {
		d := catalog.Deployment{Name: s.Name, Version: v}
		for _, reply := range c.asks.Ask(ctx, d.String(), http.MethodGet, "/metrics", nil) {
			if reply.Err() != nil {
				continue // one that starts or is down has run nothing now
			}
			if who, ran, err := eventsOf(reply, triggers); err == nil {
				ran.Version = d.Label()
				r.Processors[d.String()+" "+who] = ran
			}
		}
	}
	return r, nil
}

// eventsOf reads a processor's metrics; who tells the process from all others.
func eventsOf(reply platform.Reply, triggers map[string]bool) (who string, r runs, err error) {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(reply.Body))
	if err != nil {
		return "", r, fmt.Errorf("read metrics of %s: %w", reply.Replica, err)
	}
	who = reply.Replica
	for _, m := range families["process_start_time_seconds"].GetMetric() {
		who += fmt.Sprint(" ", m.GetGauge().GetValue())
	}
	for _, m := range families["myelin_events_total"].GetMetric() {
		if !triggers[labelOf(m, "trigger")] {
			continue
		}
		n := int64(m.GetCounter().GetValue())
		switch labelOf(m, "outcome") {
		case "ok":
			r.Events += n
		case "error", "timeout", "crash":
			r.Events, r.Errors = r.Events+n, r.Errors+n
		}
	}
	return who, r, nil
}

func labelOf(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

// counted asks every gateway that runs what came by an alias.
func (g *gatewayProcess) counted(ctx context.Context, s rollout.Subject) (map[int][]meter.Sample, error) {
	out := map[int][]meter.Sample{}
	var errs []error
	for _, scratch := range g.group.Scratch() {
		st, err := stats(ctx, filepath.Join(scratch, gateway.AdminFile), s)
		if err != nil {
			errs = append(errs, fmt.Errorf("ask the gateway: %w", err))
			continue
		}
		out[st.PID] = slices.DeleteFunc(st.Samples, func(x meter.Sample) bool { return x.Alias != s.Alias })
	}
	if len(out) == 0 {
		return nil, cmp.Or(errors.Join(errs...), errors.New("no gateway runs"))
	}
	return out, nil
}

// stats asks the gateway behind a socket what it counted of a function.
func stats(ctx context.Context, socket string, s rollout.Subject) (out gateway.Stats, err error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}
	q := url.Values{"function": {s.Name.Name}, "namespace": {s.Namespace}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://gateway/stats?"+q.Encode(), nil)
	if err != nil {
		return out, err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return out, fmt.Errorf("it answered %s", resp.Status)
	}
	return out, json.NewDecoder(resp.Body).Decode(&out)
}
