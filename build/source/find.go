package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/function"
)

var (
	configFiles = []string{"function.yaml", "function.yml", "function.json"}
	buildFiles  = []string{"build.yaml", "build.yml"}
)

func isConfigFile(name string) bool { return slices.Contains(configFiles, name) }

// Find reads what the staged sources in dir say about the function: the block
// in the code, build.yaml and function.yaml over it, and over them over. It
// fills in the runtime, the handler and the name if nobody says them; name is
// what [Stager.Stage] returned. Other defaults are not set. The files of the
// configuration are removed from dir then: they are no part of the code, may
// name secrets, and a change in them is not one of the code.
func Find(dir, name string, over function.Config) (build.Source, error) {
	src := build.Source{Dir: dir}
	file, err := readConfig(dir, over.Spec.Build.FunctionConfigPath)
	if err != nil {
		return src, err
	}
	found := function.Merge(file, over)
	code, err := handlerFile(dir, name, found)
	if err != nil {
		return src, err
	}
	block, err := readBlock(dir, code.file)
	if err != nil {
		return src, err
	}
	src.Config = function.Merge(function.Merge(block, file), over)
	complete(&src.Config, code, name)
	return src, removeConfig(dir, over.Spec.Build.FunctionConfigPath)
}

func removeConfig(dir, path string) error {
	names := slices.Concat(configFiles, buildFiles, []string{IgnoreFile})
	if path != "" {
		names = append(names, path)
	}
	for _, name := range names {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("stage sources: %w", err)
		}
	}
	return nil
}

// Elsewhere tells whether dir holds a function.yaml and no code, because its
// spec.build says where the code is. It returns all that is configured.
func Elsewhere(dir string, over function.Config) (function.Config, bool, error) {
	file, err := readConfig(dir, over.Spec.Build.FunctionConfigPath)
	if err != nil {
		return over, false, err
	}
	b := file.Spec.Build
	if b.FunctionSourceCode == "" && b.CodeEntryType == "" && !strings.Contains(b.Path, "://") {
		return over, false, nil
	}
	found, err := candidates(dir, "")
	if err != nil || len(found) > 0 {
		return over, false, err
	}
	return function.Merge(file, over), true, nil
}

// readConfig reads function.yaml and build.yaml of dir, if they are there.
func readConfig(dir, path string) (function.Config, error) {
	var cfg function.Config
	names := configFiles
	if path != "" {
		if !filepath.IsLocal(path) {
			return cfg, mistake("spec.build.functionConfigPath %s leaves the sources", path)
		}
		names = []string{path}
	}
	file, text, err := readOne(dir, names)
	if err != nil {
		return cfg, err
	}
	if path != "" && file == "" {
		return cfg, mistake("spec.build.functionConfigPath: there is no %s in the sources", path)
	}
	if file != "" {
		l, err := function.Parse(file, text)
		if err != nil {
			return cfg, err
		}
		cfg = l.Config
	}
	file, text, err = readOne(dir, buildFiles)
	if err != nil || file == "" {
		return cfg, err
	}
	b, err := function.ParseBuildFile(file, text)
	cfg.Spec.Build = function.MergeBuild(b, cfg.Spec.Build)
	return cfg, err
}

// readOne reads whichever of the files is there.
func readOne(dir string, names []string) (found string, text []byte, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return "", nil, err
	}
	defer root.Close()
	for _, name := range names {
		got, err := root.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", nil, fmt.Errorf("read %s: %w", name, err)
		}
		if found != "" {
			return "", nil, mistake("both %s and %s are there: keep one", found, name)
		}
		found, text = name, got
	}
	return found, text, nil
}

// readBlock reads the configuration in the comments of the code.
func readBlock(dir, file string) (function.Config, error) {
	var cfg function.Config
	if file == "" {
		return cfg, nil
	}
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return cfg, fmt.Errorf("read %s: %w", file, err)
	}
	texts, err := function.Inline(file, text)
	if err != nil {
		return cfg, err
	}
	for name, text := range texts {
		switch name {
		case "function.yaml", "function.yml":
			l, err := function.Parse(file, text)
			if err != nil {
				return cfg, err
			}
			cfg = function.Merge(cfg, l.Config)
		case "build.yaml", "build.yml":
			b, err := function.ParseBuildFile(file, text)
			if err != nil {
				return cfg, err
			}
			cfg.Spec.Build = function.MergeBuild(b, cfg.Spec.Build)
		}
	}
	return cfg, nil
}

// complete fills in what follows from the code.
func complete(cfg *function.Config, code candidate, name string) {
	if cfg.Spec.Runtime == "" {
		cfg.Spec.Runtime = code.lang.name
	}
	if cfg.Metadata.Name == "" {
		cfg.Metadata.Name = label(name)
	}
	if code.file == "" || !slices.Contains([]string{"python", "shell", "nodejs"}, code.lang.name) {
		return
	}
	module := strings.TrimSuffix(code.file, code.lang.ext)
	switch handler := cfg.Spec.Handler; {
	case code.lang.name == "shell":
		cfg.Spec.Handler = or(handler, code.file)
	case handler == "":
		cfg.Spec.Handler = module + ":handler"
	case !strings.Contains(handler, ":"):
		cfg.Spec.Handler = module + ":" + handler
	}
}

var notLabel = regexp.MustCompile(`[^a-z0-9]+`)

// label makes a DNS label of a name.
func label(name string) string {
	s := strings.Trim(notLabel.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if len(s) > 63 {
		s = strings.TrimRight(s[:63], "-")
	}
	return or(s, "function")
}
