package processor

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// Load is what GET /load on the admin interface answers: what whoever decides
// on the number of processors wants to know often. Counts are of this process.
type Load struct {
	// PID and Started tell this process from all others.
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Ready   bool      `json:"ready"`
	// Workers is how many events run at once, at most.
	Workers int `json:"workers"`
	// InFlight are the events in workers, Waiting those that wait for one.
	InFlight int `json:"inFlight"`
	Waiting  int `json:"waiting"`
	// Events is how many were settled, whatever the outcome.
	Events int64 `json:"events"`
	// Ran is how long Measured of them took, in seconds.
	Ran      float64 `json:"ran"`
	Measured uint64  `json:"measured"`
	// CPU is how many seconds of processor time were used, by ended workers as
	// well.
	CPU float64 `json:"cpu"`
	// Start is what the start of this process took, once it has answered; nil if
	// nobody said what it was for.
	Start *Start `json:"start,omitempty"`
	// Sources are the triggers that know how much waits at their sources.
	Sources map[string]SourceLoad `json:"sources,omitempty"`
}

// SourceLoad is what waits at the source of a trigger.
type SourceLoad struct {
	// Lag is how many events are not taken.
	Lag int64 `json:"lag"`
	// Whole says that it is that of the whole source, whoever asks, and not of
	// the shards that this processor has.
	Whole bool `json:"whole,omitempty"`
}

func (p *Processor) tellLoad(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(p.load())
}

func (p *Processor) load() Load {
	l := Load{PID: syscall.Getpid(), Started: p.started, Ready: p.ready.Load(), CPU: p.cpuSeconds(), Start: p.start.report()}
	for _, pool := range p.pools {
		s := pool.Stats()
		l.Workers += s.Size
		l.InFlight += s.InFlight
		l.Waiting += s.Waiting
	}
	for _, t := range p.meters.triggers() {
		for _, c := range t.count {
			var m dto.Metric
			if c.Write(&m) == nil {
				l.Events += int64(m.GetCounter().GetValue())
			}
		}
		var m dto.Metric
		if h, ok := t.ran.(interface{ Write(*dto.Metric) error }); ok && h.Write(&m) == nil {
			l.Ran += m.GetHistogram().GetSampleSum()
			l.Measured += m.GetHistogram().GetSampleCount()
		}
	}
	l.Sources = map[string]SourceLoad{}
	for _, f := range p.feeds {
		if r := f.report(); r != nil && r.Lag >= 0 {
			l.Sources[f.name] = SourceLoad{Lag: max(0, r.Lag-int64(r.InFlight)), Whole: len(r.Shards) == 0}
		}
	}
	return l
}

// cpuSeconds is the processor time of this process, of its workers, and of those
// children that have ended.
func (p *Processor) cpuSeconds() (sum float64) {
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if syscall.Getrusage(who, &u) == nil {
			sum += time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
		}
	}
	for _, pool := range p.pools {
		for _, pid := range pool.PIDs() {
			sum += secondsOf(pid)
		}
	}
	return sum
}

// ticks is how many of the kernel's units of processor time are a second: the
// same on every Linux machine.
const ticks = 100

// secondsOf is the processor time of a process, 0 if it has ended.
func secondsOf(pid int) float64 {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	// The name, in brackets, may have blanks; utime and stime are the 12th and
	// 13th fields behind it.
	_, rest, _ := bytes.Cut(text, []byte(") "))
	fields := bytes.Fields(rest)
	if len(fields) < 13 {
		return 0
	}
	user, uerr := strconv.ParseFloat(string(fields[11]), 64)
	system, serr := strconv.ParseFloat(string(fields[12]), 64)
	if uerr != nil || serr != nil {
		return 0
	}
	return (user + system) / ticks
}
