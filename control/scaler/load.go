package scaler

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/myelin-run/myelin/control/scale"
	"github.com/myelin-run/myelin/platform"
)

// load is what a processor answers to GET /load.
type load struct {
	PID      int       `json:"pid"`
	Started  time.Time `json:"started"`
	Ready    bool      `json:"ready"`
	Workers  int       `json:"workers"`
	InFlight int       `json:"inFlight"`
	Waiting  int       `json:"waiting"`
	Events   int64     `json:"events"`
	Ran      float64   `json:"ran"`
	Measured uint64    `json:"measured"`
	CPU      float64   `json:"cpu"`
	Start    *start    `json:"start"`
	Sources  map[string]struct {
		Lag   int64 `json:"lag"`
		Whole bool  `json:"whole"`
	} `json:"sources"`
}

// process tells a processor from all others.
type process struct {
	pid     int
	started int64
}

// seen is what a processor said at a look.
type seen struct {
	load
	at time.Time
}

// ask asks the processors of a deployment. One that starts or is down does
// nothing now.
func ask(ctx context.Context, p platform.Processors, name string) (out []load) {
	for _, reply := range p.Ask(ctx, name, http.MethodGet, "/load", nil) {
		var l load
		if reply.Err() == nil && json.Unmarshal(reply.Body, &l) == nil {
			out = append(out, l)
		}
	}
	return out
}

// sample puts together what processors said, and what they did since they were
// asked before.
func (f *follow) sample(loads []load, now time.Time) scale.Sample {
	s := scale.Sample{At: now, Replicas: f.wanted, Blind: f.wanted > 0 && len(loads) == 0}
	next := make(map[process]seen, len(loads))
	var ran, rate float64
	var measured uint64
	whole := map[string]int64{}
	for _, l := range loads {
		who := process{l.PID, l.Started.UnixNano()}
		was, had := f.seen[who]
		if !had {
			was.at = l.Started
		}
		next[who] = seen{l, now}
		f.workers = max(f.workers, l.Workers)
		s.Running += float64(l.InFlight)
		s.Waiting += float64(l.Waiting)
		came := l.Events - was.Events + int64(l.InFlight-was.InFlight+l.Waiting-was.Waiting)
		s.Events += max(0, came)
		ran, measured = ran+l.Ran-was.Ran, measured+l.Measured-was.Measured
		if took := now.Sub(was.at).Seconds(); took > 0 {
			rate += float64(max(0, came)) / took
			s.CPU += max(0, l.CPU-was.CPU) / took
		}
		for name, source := range l.Sources {
			if source.Whole {
				whole[name] = max(whole[name], source.Lag)
			} else {
				s.Backlog += source.Lag
			}
		}
	}
	for _, lag := range whole {
		s.Backlog += lag
	}
	f.seen = next
	if measured > 0 {
		f.each = time.Duration(ran / float64(measured) * float64(time.Second))
	}
	s.Each, s.Offered = f.each, rate*f.each.Seconds()
	return s
}
