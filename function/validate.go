package function

import (
	"encoding/base64"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
)

// MaxWorkers is the most workers that a trigger may have.
const MaxWorkers = 100_000

// MaxBatchSize is the most events that one call may have: a worker keeps a
// place for each.
const MaxBatchSize = 2048

var (
	dnsLabel    = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`)
	envName     = regexp.MustCompile(`^[-._a-zA-Z][-._a-zA-Z0-9]*$`)
	runtimeForm = regexp.MustCompile(`^[a-z][a-z0-9+-]*(:[0-9A-Za-z][0-9A-Za-z._+-]*)?$`)
	reserved    = []string{"dashboard", "controller", "dlx", "scaler"}
)

// Validate checks a complete configuration: what [Parse] checks, and that the
// required fields are there and no secret is only its "***". Its errors are [document.Errors] without lines.
// Which kinds and runtimes there are it does not know.
func Validate(cfg Config) error {
	c := checker{check(&cfg)}
	if cfg.Metadata.Name == "" {
		c.Add("metadata.name", "is required")
	}
	if cfg.Spec.Runtime == "" {
		c.Add("spec.runtime", "is required, such as golang or python:3.12")
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Spec.Triggers)) {
		if cfg.Spec.Triggers[name].Kind == "" {
			c.Add(document.Join("spec.triggers", name)+".kind", "is required, such as http or cron")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Spec.DataBindings)) {
		if cfg.Spec.DataBindings[name].Kind == "" {
			c.Add(document.Join("spec.dataBindings", name)+".kind", "is required")
		}
	}
	c.hiddenSecrets(&cfg.Spec)
	return c.Err()
}

// check finds what is wrong in the fields that are set.
func check(cfg *Config) document.Errors {
	var c checker
	c.format(cfg)
	c.metadata(&cfg.Metadata)
	c.spec(&cfg.Spec)
	c.triggers(cfg.Spec.Triggers)
	c.bindings(cfg.Spec.DataBindings)
	c.env(cfg.Spec.Env)
	c.resources(cfg.Spec.Resources)
	c.build("spec.build", &cfg.Spec.Build)
	return c.Errors
}

type checker struct{ document.Errors }

func (c *checker) format(cfg *Config) {
	versions := []string{APIVersion, NuclioAPIVersion, "nuclio.io/v1beta1"}
	kinds := []string{Kind}
	if cfg.IsNuclio() {
		kinds = []string{NuclioKind, Kind}
	}
	c.word("apiVersion", cfg.APIVersion, versions)
	if slices.Contains(versions, cfg.APIVersion) || cfg.APIVersion == "" {
		c.word("kind", cfg.Kind, kinds)
	}
}

// word checks that a field, unless empty, is one of a few words.
func (c *checker) word(path, got string, known []string) {
	if got != "" && !slices.Contains(known, got) {
		c.Add(path, "unknown value %q%s (known: %s)", got, document.DidYouMean(got, known), strings.Join(known, ", "))
	}
}

func (c *checker) metadata(m *Metadata) {
	if m.Name != "" {
		c.label("metadata.name", m.Name)
	}
	if m.Namespace != "" {
		c.label("metadata.namespace", m.Namespace)
	}
	if slices.Contains(reserved, m.Name) {
		c.Add("metadata.name", "%q is reserved, like %s", m.Name, strings.Join(reserved, ", "))
	}
}

func (c *checker) label(path, s string) {
	if !dnsLabel.MatchString(s) {
		c.Add(path, "%q is not a name of a-z, 0-9 and -, beginning and ending with a letter or digit, of at most 63", s)
	}
}

func (c *checker) spec(s *Spec) {
	if s.Runtime != "" && !runtimeForm.MatchString(s.Runtime) {
		c.Add("spec.runtime", "%q is not a runtime such as golang or python:3.12", s.Runtime)
	}
	least, most := s.MinReplicas, s.MaxReplicas
	c.notNegative("spec.replicas", s.Replicas)
	c.notNegative("spec.minReplicas", least)
	c.notNegative("spec.maxReplicas", most)
	if least != nil && most != nil && *least > *most && *most >= 0 {
		c.Add("spec.minReplicas", "is %d, more than maxReplicas, %d", *least, *most)
	}
	c.notNegative("spec.targetCPU", &s.TargetCPU)
	c.notNegative("spec.readinessTimeoutSeconds", &s.ReadinessTimeoutSeconds)
	c.span("spec.eventTimeout", s.EventTimeout)
	c.span("spec.drainTimeout", s.DrainTimeout)
	c.workerMemory(s)
	c.scale(s)
	for i, sink := range s.LoggerSinks {
		c.word(fmt.Sprintf("spec.loggerSinks[%d].level", i), sink.Level, []string{"debug", "info", "warn", "warning", "error"})
	}
	if z := s.ScaleToZero; z != nil {
		for i, r := range z.ScaleResources {
			c.span(fmt.Sprintf("spec.scaleToZero.scaleResources[%d].windowSize", i), r.WindowSize)
		}
	}
}

// leastWorkerMemory is what no interpreter begins with less than.
const leastWorkerMemory = 16 << 20

func (c *checker) workerMemory(s *Spec) {
	if s.WorkerMemory == 0 {
		return
	}
	if s.WorkerMemory < leastWorkerMemory {
		c.Add("spec.workerMemory", "is %s, expected at least 16Mi", s.WorkerMemory)
	}
	switch name, _ := SplitRuntime(s.Runtime); name {
	case "golang", "c", "shell":
		c.Add("spec.workerMemory", "has no meaning for %s, which has no worker processes: use spec.resources.limits.memory", name)
	}
}

func (c *checker) notNegative(path string, n *int) {
	if n != nil && *n < 0 {
		c.Add(path, "is %d, expected 0 or more", *n)
	}
}

func (c *checker) span(path string, d quantity.Duration) {
	if d < 0 {
		c.Add(path, "is %s, expected 0s or more", d)
	}
}

func (c *checker) env(vars []EnvVar) {
	for i, v := range vars {
		path := fmt.Sprintf("spec.env[%d]", i)
		switch {
		case v.Name == "":
			c.Add(path+".name", "is required")
		case !envName.MatchString(v.Name):
			c.Add(path+".name", "%q is not a name of letters, digits, _, - and .", v.Name)
		}
		if v.Value != "" && len(v.ValueFrom) > 0 {
			c.Add(path, "has both value and valueFrom")
		}
	}
}

func (c *checker) resources(r Resources) {
	for _, side := range []struct {
		path    string
		amounts map[string]quantity.Amount
	}{{"spec.resources.requests", r.Requests}, {"spec.resources.limits", r.Limits}} {
		for _, name := range slices.Sorted(maps.Keys(side.amounts)) {
			if a := side.amounts[name]; a.Sign() < 0 {
				c.Add(document.Join(side.path, name), "is %s, expected 0 or more", a)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Requests)) {
		limit, limited := r.Limits[name]
		if request := r.Requests[name]; limited && request.Cmp(limit) > 0 {
			c.Add(document.Join("spec.resources.requests", name), "is %s, more than the limit, %s", request, limit)
		}
	}
}

// build checks a spec.build at path, or a build.yaml at "".
func (c *checker) build(path string, b *Build) {
	c.word(document.Join(path, "mode"), b.Mode, []string{"neverBuild", "alwaysBuild"})
	c.notNegative(document.Join(path, "buildTimeoutSeconds"), &b.BuildTimeoutSeconds)
	if _, err := base64.StdEncoding.DecodeString(b.FunctionSourceCode); err != nil {
		c.Add(document.Join(path, "functionSourceCode"), "is not base64: %v", err)
	}
	for _, name := range slices.Sorted(maps.Keys(b.Directives)) {
		c.word(document.Join(document.Join(path, "directives"), name), name, []string{"preCopy", "postCopy"})
	}
}
