package source

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/function"
)

// handlerFile finds the file that holds the handler: the one that the handler
// names, else the only one there is. A language whose files are one function
// together has its first file found.
func handlerFile(dir, name string, cfg function.Config) (candidate, error) {
	wanted, _ := function.SplitRuntime(cfg.Spec.Runtime)
	if _, known := languageOf(wanted); wanted != "" && !known {
		return candidate{}, nil // it is for the builder to say what is wrong
	}
	found, err := candidates(dir, wanted)
	if err != nil {
		return candidate{}, err
	}
	if c, ok := named(dir, cfg.Spec.Handler, wanted, found); ok {
		return c, nil
	}
	found = merge(dir, found)
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return blockOrMistake(dir, name, found)
	case wanted == "shell" && cfg.Spec.Handler != "": // a program of the machine
		return candidate{}, nil
	case (wanted == "" || wanted == "java") && javaProject(dir): // no source of which lies at the top
		l, _ := languageOf("java")
		return candidate{lang: l}, nil
	case wanted != "":
		l, _ := languageOf(wanted)
		return candidate{}, mistake("no function found in %s: spec.runtime is %s, and there is no *%s", shown(name), cfg.Spec.Runtime, l.ext)
	}
	return candidate{}, mistake("no function found in %s: expected function.yaml or exactly one of *.go, *.py, *.js, *.java, *.sh", shown(name))
}

// named finds the file of a handler such as "main:handler" or "hello.sh".
func named(dir, handler, wanted string, found []candidate) (candidate, bool) {
	file := handlerStem(handler, or(wanted, "shell"))
	if file == "" {
		return candidate{}, false
	}
	dotted := strings.ReplaceAll(file, ".", string(filepath.Separator)) // a module of a Python package
	for _, c := range found {
		if c.file == file || strings.TrimSuffix(c.file, c.lang.ext) == file {
			return c, true
		}
	}
	for _, l := range languages {
		if wanted != "" && l.name != wanted {
			continue
		}
		for _, path := range []string{file, file + l.ext, dotted + l.ext} {
			fi, err := os.Stat(filepath.Join(dir, path))
			if filepath.IsLocal(path) && err == nil && fi.Mode().IsRegular() && (filepath.Ext(path) == l.ext || l.name == wanted) {
				return candidate{path, l}, true
			}
		}
	}
	return candidate{}, false
}

// merge makes one candidate of files that are one function together: the one
// with a configuration block, or the first.
func merge(dir string, found []candidate) (out []candidate) {
	at := map[string]int{}
	for _, c := range found {
		i, seen := at[c.lang.name]
		switch {
		case !c.lang.joint || !seen:
			at[c.lang.name] = len(out)
			out = append(out, c)
		case hasBlock(dir, c) && !hasBlock(dir, out[i]):
			out[i] = c
		}
	}
	return out
}

// hasBlock tells whether a file has a configuration block. One that is wrong
// is found when it is read.
func hasBlock(dir string, c candidate) bool {
	text, err := os.ReadFile(filepath.Join(dir, c.file))
	if err != nil {
		return false
	}
	blocks, err := function.Inline(c.file, text)
	return len(blocks) > 0 || err != nil
}

// blockOrMistake takes the one of several files that has a configuration block.
func blockOrMistake(dir, name string, found []candidate) (candidate, error) {
	var with []candidate
	files := make([]string, len(found))
	for i, c := range found {
		files[i] = c.file
		if hasBlock(dir, c) {
			with = append(with, c)
		}
	}
	if len(with) == 1 {
		return with[0], nil
	}
	return candidate{}, &build.Error{Msg: "no function found in " + shown(name) + ": " + strings.Join(files, " and ") +
		" may both be one; say which in spec.handler of function.yaml, such as " + example(found[0])}
}

func example(c candidate) string {
	if c.lang.name == "shell" {
		return c.file
	}
	return strings.TrimSuffix(c.file, c.lang.ext) + ":handler"
}

func shown(name string) string { return or(name, "the sources") }
