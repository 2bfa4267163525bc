package local

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"iter"
	"os"
	"path/filepath"
	"strconv"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform"
	"github.com/myelin-run/myelin/platform/local/supervise"
	"github.com/myelin-run/myelin/quantity"
)

// processorFile is what a processor reads in its working directory.
type processorFile struct {
	Function     function.Config   `json:"function"`
	Dir          string            `json:"dir"`
	Scratch      string            `json:"scratch"`
	Admin        processorAdmin    `json:"admin"`
	Logs         processorLogs     `json:"logs"`
	Letters      processorFiles    `json:"letters"`
	Bindings     *processorFiles   `json:"bindings,omitempty"` // artefacts from before there were any refuse the field
	DrainTimeout quantity.Duration `json:"drainTimeout"`
	Shares       function.Shares   `json:"shares,omitempty"`
	// Functions says where functions call each other.
	Functions map[string]string `json:"functions,omitempty"`
	Dealer    string            `json:"dealer,omitempty"` // as with Bindings
}

type processorAdmin struct {
	Listen string `json:"listen"`
	Token  string `json:"token,omitempty"`
}

type processorLogs struct {
	Processor processorSink `json:"processor"`
	Function  processorSink `json:"function"`
}

type processorFiles struct {
	Dir string `json:"dir"`
}

type processorSink struct {
	File   string `json:"file"`
	Level  string `json:"level,omitempty"`
	Format string `json:"format,omitempty"`
}

// bindingsOf says where the bindings of a function keep what they keep; nil if it has
// none.
func (p *Platform) bindingsOf(name string, cfg function.Config) *processorFiles {
	if len(cfg.Spec.DataBindings) == 0 {
		return nil
	}
	return &processorFiles{Dir: p.paths(name).Bindings}
}

// dealerOf says where a function's dealer is; "" if it needs none.
func (p *Platform) dealerOf(cfg function.Config) string {
	at := "unix:" + p.o.Dealer
	switch {
	case p.o.Engine != nil:
		at = p.o.Engine.Paths().Dealer
	case p.o.Dealer == "":
		return ""
	}
	for _, t := range cfg.Spec.Triggers {
		if t.Dealt() {
			return at
		}
	}
	return ""
}

// writeConfig writes processor.yaml, secrets in clear, for its reader only.
func (p *Platform) writeConfig(d platform.Deployment, cfg function.Config, at supervise.Place) error {
	level := ""
	if len(cfg.Spec.LoggerSinks) > 0 {
		level = cfg.Spec.LoggerSinks[0].Level
	}
	see := p.paths(d.Name)
	if see.Scratch == "" {
		see.Function, see.Scratch = d.Artefact.Dir, at.Scratch
	}
	admin, err := adminOf(see, at.Dir)
	if err != nil {
		return err
	}
	text, err := document.MarshalRevealed(processorFile{
		Function: cfg, Dir: see.Function, Scratch: see.Scratch, DrainTimeout: cfg.Spec.DrainTimeout,
		Admin:     admin,
		Letters:   processorFiles{Dir: see.Letters},
		Bindings:  p.bindingsOf(d.Name, cfg),
		Functions: p.functions(),
		Dealer:    p.dealerOf(cfg),
		Shares:    p.sharesOf(d.Name),
		Logs: processorLogs{
			Processor: processorSink{File: see.log(platform.ProcessorLog), Level: level},
			Function:  processorSink{File: see.log(platform.FunctionLog), Level: level},
		},
	})
	if err == nil {
		text, err = document.YAML(text)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(at.Dir, "processor.yaml"), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("write processor.yaml: %w", err)
	}
	return nil
}

// adminOf says where a replica answers its platform. One that anybody can reach has a
// token, which is kept in the replica's directory.
func adminOf(see Paths, dir string) (processorAdmin, error) {
	if see.Admin == "" {
		return processorAdmin{Listen: "unix:" + filepath.Join(see.Scratch, AdminSocket)}, nil
	}
	a := processorAdmin{Listen: see.Admin, Token: rand.Text()}
	if err := os.WriteFile(filepath.Join(dir, TokenFile), []byte(a.Token), 0o600); err != nil {
		return a, fmt.Errorf("write token: %w", err)
	}
	return a, nil
}

// functions is where functions find each other: all of them at the gateway.
func (p *Platform) functions() map[string]string {
	if p.o.Gateway == "" {
		return nil
	}
	if p.o.Engine != nil { // whose loopback is another
		if at := p.o.Engine.Paths().Gateway; at != "" {
			return map[string]string{"*": at}
		}
		return nil
	}
	return map[string]string{"*": "http://" + p.o.Gateway}
}

// candidates are addresses for a function that asks for none: always in the
// same order for the same name, so that it gets the same one if it can.
func (p *Platform) candidates(name string) iter.Seq[string] {
	return func(yield func(string) bool) {
		h := fnv.New32a()
		h.Write([]byte(name))
		n := p.o.LastPort - p.o.FirstPort + 1
		for i := range n {
			port := p.o.FirstPort + (int(h.Sum32())%n+i)%n
			if !yield("127.0.0.1:" + strconv.Itoa(port)) {
				return
			}
		}
	}
}

// cgroupName keeps functions of several data directories apart.
func (p *Platform) cgroupName(name string) string {
	sum := sha256.Sum256([]byte(p.o.DataDir))
	return fmt.Sprintf("myelin-%x/%s", sum[:4], name)
}

// saveJSON replaces a file by v.
func saveJSON(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".new")
	if err != nil {
		return err
	}
	_, err = temp.Write(b)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		os.Remove(temp.Name())
	}
	return err
}
