// Package spec makes a function's configuration of command line flags. Flags
// known from nuctl have the names that they have there. It knows nothing of
// what is done with the configuration.
package spec

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/myelin-run/myelin/document"
	"github.com/myelin-run/myelin/function"
)

// Flags hold what the command line says about a function.
type Flags struct {
	set *pflag.FlagSet

	// Path and Source are where the code is: a place, or the code itself.
	Path, Source string
	File         string // a function.yaml to read
	Sets         []string

	texts    map[string]*string // by path in the configuration
	numbers  map[string]*int
	switches map[string]*bool
	raws     map[string]*string // JSON
	lists    map[string]*[]string
	pairs    map[string]*[]string
	env      []string
	names    map[string]string // of the flags, by path
}

// AddBuild defines the flags that matter to a build.
func AddBuild(fs *pflag.FlagSet) *Flags {
	f := &Flags{
		set: fs, texts: map[string]*string{}, numbers: map[string]*int{}, switches: map[string]*bool{},
		raws: map[string]*string{}, lists: map[string]*[]string{}, pairs: map[string]*[]string{}, names: map[string]string{},
	}
	fs.StringVarP(&f.Path, "path", "p", "", "`path` or URL of the code, instead of the argument")
	fs.StringVar(&f.Source, "source", "", "the `code` itself, instead of a path")
	fs.StringVarP(&f.File, "file", "f", "", "function.yaml to take the configuration from")
	fs.StringArrayVar(&f.Sets, "set", nil, "set a field, such as spec.eventTimeout=10s (repeat)")
	fs.StringArrayVarP(&f.env, "env", "e", nil, "environment variable `NAME=VALUE` (repeat)")
	f.text("name", "metadata.name", "name of the function")
	f.text("runtime", "spec.runtime", "golang, python, nodejs, shell or c, a version may follow: python:3.11")
	f.text("handler", "spec.handler", "what is called: main:handler, Handler, main.sh")
	f.list("build-command", "spec.build.commands", "command that prepares the artefact (repeat)")
	f.text("code-entry-type", "spec.build.codeEntryType", "sourceCode, archive, git, github or s3")
	f.raw("build-code-entry-attrs", "spec.build.codeEntryAttributes", "settings of the code entry type, as `JSON`")
	f.raw("build-runtime-attrs", "spec.build.runtimeAttributes", "the build's part of the runtime's settings, as `JSON`")
	f.flag("offline", "spec.build.offline", "build without a network")
	return f
}

// AddDeploy defines the further flags that matter to a deployment.
func (f *Flags) AddDeploy() {
	f.text("desc", "spec.description", "description of the function")
	f.pair("labels", "l", "metadata.labels", "labels, as `name=value,...`")
	f.pair("annotations", "", "metadata.annotations", "annotations, as `name=value,...`")
	f.text("project-name", `metadata.labels["nuclio.io/project-name"]`, "project of the function")
	f.number("replicas", "spec.replicas", "how many processors run")
	f.number("min-replicas", "spec.minReplicas", "fewest processors")
	f.number("max-replicas", "spec.maxReplicas", "most processors")
	f.flag("disable", "spec.disable", "keep the function without running it")
	f.raw("triggers", "spec.triggers", "triggers by name, as `JSON`")
	f.raw("data-bindings", "spec.dataBindings", "data bindings by name, as `JSON`")
	f.raw("runtime-attrs", "spec.runtimeAttributes", "the runtime's own settings, as `JSON`")
	f.raw("platform-config", "spec.platform", "settings of one platform, as `JSON`")
	f.number("readiness-timeout", "spec.readinessTimeoutSeconds", "seconds that a start may take")
	f.pair("resource-limit", "", "spec.resources.limits", "what a processor may use, as `cpu=1,memory=256Mi`")
	f.pair("resource-request", "", "spec.resources.requests", "what a processor is promised, as `cpu=100m,memory=64Mi`")
	f.text("logger-level", "spec.loggerSinks[0].level", "lowest level that is logged: debug, info, warn or error")
}

func (f *Flags) text(name, path, usage string) {
	f.texts[path] = f.set.String(name, "", usage)
	f.names[path] = name
}

func (f *Flags) number(name, path, usage string) {
	f.numbers[path] = f.set.Int(name, 0, usage)
	f.names[path] = name
}

func (f *Flags) raw(name, path, usage string) {
	f.raws[path] = f.set.String(name, "", usage)
	f.names[path] = name
}

func (f *Flags) list(name, path, usage string) {
	f.lists[path] = f.set.StringArray(name, nil, usage)
	f.names[path] = name
}

func (f *Flags) flag(name, path, usage string) {
	f.switches[path] = f.set.Bool(name, false, usage)
	f.names[path] = name
}

func (f *Flags) pair(name, short, path, usage string) {
	f.pairs[path] = f.set.StringArrayP(name, short, nil, usage)
	f.names[path] = name
}

// Config returns what the flags say, over what the file named by them says.
// The fields that nobody names are empty. Its errors name the flags.
func (f *Flags) Config() (function.Config, error) {
	var base function.Config
	if f.File != "" {
		text, err := os.ReadFile(f.File)
		if err != nil {
			return base, fmt.Errorf("read configuration: %w", err)
		}
		l, err := function.Parse(f.File, text)
		if err != nil {
			return base, err
		}
		base = l.Config
	}
	over, err := f.flags()
	if err != nil {
		return base, err
	}
	out := function.Merge(base, over)
	for _, s := range f.Sets {
		path, value, ok := strings.Cut(s, "=")
		if !ok {
			return out, fmt.Errorf("--set %s: want path=value, such as spec.eventTimeout=10s", s)
		}
		if err := function.SetField(&out, strings.TrimSpace(path), value); err != nil {
			return out, fmt.Errorf("--set %s: %w", s, unplaced(err))
		}
	}
	return out, nil
}

// flags gathers the flags that were given.
func (f *Flags) flags() (function.Config, error) {
	var cfg function.Config
	fields, err := f.fields()
	if err != nil {
		return cfg, err
	}
	for _, path := range slices.Sorted(maps.Keys(fields)) {
		v := fields[path]
		text, err := json.Marshal(v)
		if s, ok := v.(string); ok {
			text = []byte(s)
		}
		if err == nil {
			err = set(&cfg, path, string(text))
		}
		if err != nil {
			return cfg, fmt.Errorf("%s: %w", f.nameOf(path), unplaced(err))
		}
	}
	return cfg, nil
}

// set sets a field whose text is text, or JSON.
func set(cfg *function.Config, path, text string) error {
	if strings.HasPrefix(path, "spec.loggerSinks[0]") { // an entry that is not there yet
		quoted, err := json.Marshal(text)
		if err != nil {
			return err
		}
		path, text = "spec.loggerSinks", fmt.Sprintf(`[{"level":%s,"sink":"stdout"}]`, quoted)
	}
	return function.SetField(cfg, path, text)
}

// fields are the values given, by path.
func (f *Flags) fields() (map[string]any, error) {
	out := map[string]any{}
	for path, v := range f.texts {
		if *v != "" {
			out[path] = *v
		}
	}
	for path, v := range f.numbers {
		if f.given(path) {
			out[path] = *v
		}
	}
	for path, v := range f.switches {
		if *v {
			out[path] = true
		}
	}
	for path, v := range f.lists {
		if len(*v) > 0 {
			out[path] = *v
		}
	}
	for path, v := range f.raws {
		if *v == "" {
			continue
		}
		if !json.Valid([]byte(*v)) {
			return nil, fmt.Errorf("%s: not JSON: %s", f.nameOf(path), *v)
		}
		out[path] = json.RawMessage(*v)
	}
	for path, v := range f.pairs {
		if err := pairs(*v, path, out); err != nil {
			return nil, fmt.Errorf("%s: %w", f.nameOf(path), err)
		}
	}
	return f.environment(out)
}

// environment adds the variables. A name without a value takes this process's.
func (f *Flags) environment(out map[string]any) (map[string]any, error) {
	var vars []map[string]string
	for _, e := range f.env {
		name, value, ok := strings.Cut(e, "=")
		if !ok {
			value, ok = os.LookupEnv(name)
		}
		if !ok || name == "" {
			return nil, fmt.Errorf("--env %s: want NAME=VALUE", e)
		}
		vars = append(vars, map[string]string{"name": name, "value": value})
	}
	if len(vars) > 0 {
		out["spec.env"] = vars
	}
	return out, nil
}

// pairs reads name=value,... into one field.
func pairs(given []string, path string, out map[string]any) error {
	all := map[string]string{}
	for _, g := range given {
		for p := range strings.SplitSeq(g, ",") {
			name, value, ok := strings.Cut(p, "=")
			if !ok || name == "" {
				return fmt.Errorf("%q: want name=value", p)
			}
			all[strings.TrimSpace(name)] = value
		}
	}
	if len(all) > 0 {
		out[path] = all
	}
	return nil
}

func (f *Flags) given(path string) bool { return f.set.Changed(f.names[path]) }

// nameOf returns the flag that sets a path.
func (f *Flags) nameOf(path string) string {
	if path == "spec.env" {
		return "--env"
	}
	return "--" + f.names[path]
}

// unplaced takes away the lines of mistakes in what was no file.
func unplaced(err error) error {
	var es document.Errors
	if !errors.As(err, &es) {
		return err
	}
	out := make(document.Errors, len(es))
	for i, e := range es {
		out[i] = &document.Error{Path: e.Path, Msg: e.Msg}
	}
	return out
}
