package kube

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/quantity"
)

// Where things are in an image.
const (
	root       = "/myelin"
	scratchDir = "/tmp"
)

// processorFile is what a processor reads. It is kept in a Secret, as it has those of
// the function in clear.
type processorFile struct {
	Function     function.Config   `json:"function"`
	Dir          string            `json:"dir"`
	Scratch      string            `json:"scratch"`
	Admin        processorAdmin    `json:"admin"`
	Logs         processorLogs     `json:"logs"`
	DrainTimeout quantity.Duration `json:"drainTimeout"`
	Shares       function.Shares   `json:"shares,omitempty"`
	Functions    map[string]string `json:"functions,omitempty"`
}

type processorAdmin struct {
	Listen     string          `json:"listen"`
	Token      quantity.Secret `json:"token"`
	OpenHealth bool            `json:"openHealth"`
}

// processorLogs are told apart by their form: both are the container's output.
type processorLogs struct {
	Processor processorSink `json:"processor"`
	Function  processorSink `json:"function"`
}

type processorSink struct {
	Level  string `json:"level,omitempty"`
	Format string `json:"format"`
}

func (p *Platform) processorFile(d platform.Deployment, id, http string) ([]byte, error) {
	cfg := d.Config
	if http != "" {
		t, err := atPort(cfg.Spec.Triggers[http])
		if err != nil {
			return nil, fmt.Errorf("spec.triggers.%s.attributes: %w", http, err)
		}
		cfg.Spec.Triggers = maps.Clone(cfg.Spec.Triggers)
		cfg.Spec.Triggers[http] = t
	}
	level := ""
	if len(cfg.Spec.LoggerSinks) > 0 {
		level = cfg.Spec.LoggerSinks[0].Level
	}
	f := processorFile{
		Function: cfg, Dir: path.Join(root, "function"), Scratch: scratchDir, DrainTimeout: cfg.Spec.DrainTimeout, Shares: d.Shares,
		Admin: processorAdmin{Listen: fmt.Sprintf(":%d", adminPort), Token: quantity.Secret(p.tokenOf(id)), OpenHealth: true},
		Logs:  processorLogs{processorSink{level, "text"}, processorSink{level, "json"}},
	}
	if p.o.Functions != "" {
		f.Functions = map[string]string{"*": p.o.Functions}
	}
	text, err := document.MarshalRevealed(f) // JSON is YAML, and easier to be written into
	if err != nil {
		return nil, fmt.Errorf("write processor.yaml: %w", err)
	}
	return text, nil
}

// atPort has an http trigger listen where the Service leads. The port that a function
// asks for is one of a machine.
func atPort(t function.Trigger) (function.Trigger, error) {
	attributes := map[string]json.RawMessage{}
	if len(t.Attributes) > 0 {
		if err := json.Unmarshal(t.Attributes, &attributes); err != nil {
			return t, err
		}
	}
	delete(attributes, "host")
	attributes["port"] = json.RawMessage(fmt.Sprint(httpPort))
	text, err := json.Marshal(attributes)
	t.Attributes = text
	return t, err
}
