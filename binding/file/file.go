// Package file is the engine of the bindings of class file: it makes one of any
// store of objects, whose files are laid out for a run and taken back after it. It
// knows no store and no runtime.
package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/component"
	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/quantity"
)

// Config is the binding's attributes. Address, path and secret are those of the
// store of objects.
type Config struct {
	binding.Limits
	// In names the files that are laid out before each run, out those that are
	// taken back after one that succeeded; see [data.Staging].
	In  []string `json:"in,omitempty"`
	Out []string `json:"out,omitempty"`
	// MaxFiles and MaxTotal are the most that go each way for one run. Default
	// 1000 and 64Mi.
	MaxFiles int           `json:"maxFiles,omitempty"`
	MaxTotal quantity.Size `json:"maxTotal,omitempty"`
	// Store has the attributes of the store of objects.
	Store json.RawMessage `json:"store,omitempty"`
}

func defaults() Config {
	return Config{Limits: binding.DefaultLimits(), MaxFiles: 1000, MaxTotal: 64 << 20}
}

// Validate reports the fields that cannot be kept to.
func (c *Config) Validate() error {
	var es document.Errors
	c.Check(&es)
	if c.MaxFiles < 1 || c.MaxFiles > 100_000 {
		es.Add("maxFiles", "is %d, expected 1 to 100000", c.MaxFiles)
	}
	if c.MaxTotal < 1 || c.MaxTotal > 1<<30 {
		es.Add("maxTotal", "is %v, expected 1 to 1Gi", c.MaxTotal)
	}
	for i, name := range c.In {
		if err := checkIn(name); err != nil {
			es.Add(fmt.Sprintf("in[%d]", i), "%v", err)
		}
	}
	for i, pattern := range c.Out {
		if _, err := path.Match(pattern, ""); err != nil || data.CheckName(pattern) != nil {
			es.Add(fmt.Sprintf("out[%d]", i), "%q is no name of a file, and no pattern such as reports/*.csv", pattern)
		}
	}
	return es.Err()
}

// checkIn looks at a name as if each placeholder stood for a letter.
func checkIn(name string) error {
	plain := strings.Builder{}
	for rest := name; rest != ""; {
		before, after, found := strings.Cut(rest, "{")
		plain.WriteString(before)
		if !found {
			break
		}
		placeholder, behind, closed := strings.Cut(after, "}")
		of, isHeader := strings.CutPrefix(placeholder, "header.")
		switch {
		case !closed, !isHeader && placeholder != "id" && placeholder != "body" && placeholder != "key" && placeholder != "topic", isHeader && of == "":
			return fmt.Errorf("%q: {%s} is none of {id}, {body}, {key}, {topic} and {header.NAME}", name, placeholder)
		}
		plain.WriteByte('x')
		rest = behind
	}
	text := plain.String()
	if text == "*" {
		return nil
	}
	text = strings.TrimSuffix(text, "/*")
	if strings.Contains(text, "*") || data.CheckName(text) != nil {
		return fmt.Errorf("%q is no name of a file, and no directory's with /* behind it", name)
	}
	return nil
}

// Over makes a factory of files in what store makes, a factory of class object.
// The kind is that of the store.
func Over(store binding.Factory) binding.Factory {
	_, kind, _ := strings.Cut(store.Kind, "/")
	return component.Define("file/"+kind, "Lays files out for each run, and takes them back: "+store.Doc, defaults,
		func(s binding.Settings, c Config) (binding.Binding, error) { return build(store, s, c) })
}

func build(store binding.Factory, s binding.Settings, c Config) (binding.Binding, error) {
	b, err := store.New(s, c.Store)
	var wrong *binding.SpecError
	switch {
	case errors.As(err, &wrong):
		return nil, err
	case err != nil:
		return nil, document.Under("store", err)
	}
	objects, ok := b.(objects)
	if !ok {
		return nil, fmt.Errorf("a %T is no store of objects that can list", b)
	}
	return &files{objects: objects, Limits: c.Limits, staging: data.Staging{In: c.In, Out: c.Out, MaxFiles: c.MaxFiles, MaxBytes: int64(c.MaxTotal)}}, nil
}

type objects interface {
	binding.Binding
	data.ObjectStore
	data.ObjectLister
}

// files implements [data.FileStore].
type files struct {
	objects
	binding.Limits
	staging data.Staging
}

// Staging implements [data.FileStore].
func (f *files) Staging() data.Staging { return f.staging }

// Check implements [binding.Checker].
func (f *files) Check(ctx context.Context) error {
	if c, ok := f.objects.(binding.Checker); ok {
		return c.Check(ctx)
	}
	return nil
}
