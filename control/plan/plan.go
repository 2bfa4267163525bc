// Package plan decides what is to be done so that what runs becomes what shall
// run. It is pure: it reads no clock, store or platform.
package plan

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"strconv"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// ArtefactAnnotation names the artefact that a function runs, by digest.
const ArtefactAnnotation = "myelin.run/artefact"

// Want is what shall be.
type Want struct {
	Exists      bool
	Disabled    bool
	Artefact    string // digest, "" if it was not built
	Fingerprint string
	Replicas    int
}

// Have is what is.
type Have struct {
	Exists      bool
	Fingerprint string // of what runs
	Replicas    int    // that run or are being restarted, not those that drain
}

// Step is one thing to do.
type Step string

// The steps.
const (
	Remove     Step = "remove"      // drain and remove what runs
	AwaitBuild Step = "await build" // nothing can be done before there is an artefact
	Apply      Step = "apply"       // make the wanted version run
)

// Diff says what is to be done, in order; nothing if all is well.
func Diff(w Want, h Have) []Step {
	switch {
	case !w.Exists || w.Disabled:
		if h.Exists {
			return []Step{Remove}
		}
		return nil
	case w.Artefact == "":
		return []Step{AwaitBuild}
	case !h.Exists || w.Fingerprint != h.Fingerprint || w.Replicas != h.Replicas:
		return []Step{Apply}
	}
	return nil
}

// For returns what a function's configuration asks for.
func For(cfg function.Config) (Want, error) {
	w := Want{Exists: true, Disabled: cfg.Spec.Disable, Artefact: cfg.Metadata.Annotations[ArtefactAnnotation], Replicas: replicas(cfg.Spec)}
	// Replicas come and go without those that stay being replaced, and what
	// is said about a function does not change how it runs.
	s := cfg.Spec
	if len(s.CustomScalingMetricSpecs) == 0 { // else whoever follows these is told the bounds when they are applied
		s.Replicas, s.MinReplicas, s.MaxReplicas = nil, nil, nil
	}
	s.Scale, s.ScaleToZero, s.TargetCPU = nil, nil, 0
	s.Description, s.Disable = "", false
	s.Build = function.Build{}
	text, err := document.MarshalRevealed(s)
	if err != nil {
		return w, fmt.Errorf("fingerprint: %w", err)
	}
	sum := sha256.Sum256(append([]byte(w.Artefact+"\n"), text...))
	w.Fingerprint = fmt.Sprintf("%x", sum[:8])
	return w, nil
}

// Published returns the configuration with which a version runs beside the
// working copy and other versions: its http triggers without a fixed port,
// which only one of them can have, and no other triggers: events of queues and
// streams come by mappings.
func Published(cfg function.Config) function.Config {
	var kept map[string]function.Trigger
	for name, t := range cfg.Spec.Triggers {
		if t.Kind != "http" {
			continue
		}
		var attributes map[string]json.RawMessage
		if json.Unmarshal(t.Attributes, &attributes) == nil && attributes["port"] != nil {
			delete(attributes, "port")
			t.Attributes, _ = json.Marshal(attributes) // what was just read
		}
		if kept == nil {
			kept = map[string]function.Trigger{}
		}
		kept[name] = t
	}
	cfg.Spec.Triggers = kept
	return cfg
}

// replicas is the fixed number, or the one with which a function begins whose
// number follows the load.
func replicas(s function.Spec) int {
	least, _, follows := s.Follows()
	if follows {
		return max(1, least)
	}
	return max(0, least)
}

// Address is the address that the function's configuration asks for, "" if it
// leaves the choice: the attribute "port" of its HTTP trigger.
func Address(cfg function.Config) string {
	for _, t := range cfg.Spec.Triggers {
		var attrs struct {
			Port json.Number `json:"port"`
		}
		if t.Kind != "http" || t.Disabled || json.Unmarshal(t.Attributes, &attrs) != nil {
			continue
		}
		if port, err := strconv.Atoi(attrs.Port.String()); err == nil && port > 0 && port < 1<<16 {
			return net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		}
	}
	return ""
}
