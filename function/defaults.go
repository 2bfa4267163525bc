package function

import (
	"maps"
	"time"

	"github.com/myelin-run/myelin/quantity"
)

// What is assumed where a configuration says nothing.
const (
	DefaultHTTPTrigger       = "default-http"
	DefaultDrainTimeout      = 30 * time.Second
	DefaultReadinessSeconds  = 120
	DefaultBuildSeconds      = 3600
	DefaultWorkerWaitMillis  = 10_000
	DefaultBatchSize         = 10
	DefaultBatchTimeout      = time.Second
	defaultNuclioWorkerCount = 1
)

// Defaults fills in what cfg does not say. It may be called again; it changes
// no map or pointer that cfg shared with others before.
func Defaults(cfg *Config) {
	fill(&cfg.APIVersion, APIVersion)
	if cfg.IsNuclio() {
		fill(&cfg.Kind, NuclioKind)
	}
	fill(&cfg.Kind, Kind)
	s := &cfg.Spec
	fill(&s.DrainTimeout, quantity.Duration(DefaultDrainTimeout))
	fill(&s.ReadinessTimeoutSeconds, DefaultReadinessSeconds)
	fill(&s.Build.BuildTimeoutSeconds, DefaultBuildSeconds)
	s.Triggers = withDefaultHTTP(s)
	for name, t := range s.Triggers {
		s.Triggers[name] = triggerDefaults(name, t, cfg.IsNuclio())
	}
	s.DataBindings = maps.Clone(s.DataBindings)
	for name, b := range s.DataBindings {
		fill(&b.Name, name)
		s.DataBindings[name] = b
	}
}

// withDefaultHTTP returns a copy of the triggers, default-http added where it
// is due.
func withDefaultHTTP(s *Spec) map[string]Trigger {
	triggers := maps.Clone(s.Triggers)
	if s.DisableDefaultHTTPTrigger {
		return triggers
	}
	for _, t := range triggers {
		if t.Kind == "http" {
			return triggers
		}
	}
	if triggers == nil {
		triggers = map[string]Trigger{}
	}
	if _, taken := triggers[DefaultHTTPTrigger]; !taken {
		triggers[DefaultHTTPTrigger] = Trigger{Kind: "http"}
	}
	return triggers
}

func triggerDefaults(name string, t Trigger, nuclio bool) Trigger {
	fill(&t.Name, name)
	fill(&t.NumWorkers, t.MaxWorkers)
	t.MaxWorkers = 0
	if nuclio {
		fill(&t.NumWorkers, defaultNuclioWorkerCount)
	}
	if wait := t.WorkerAvailabilityTimeoutMilliseconds; wait == nil || *wait < 0 {
		t.WorkerAvailabilityTimeoutMilliseconds = new(DefaultWorkerWaitMillis)
	}
	if t.Batch != nil {
		b := *t.Batch
		fill(&b.Mode, "disable")
		fill(&b.BatchSize, DefaultBatchSize)
		fill(&b.Timeout, quantity.Duration(DefaultBatchTimeout))
		t.Batch = &b
	}
	return t
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
