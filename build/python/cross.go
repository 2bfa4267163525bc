package python

import (
	"bufio"
	_ "embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/machine"
)

// pipElsewhere runs pip as if this machine were another.
//
//go:embed elsewhere.py
var pipElsewhere string

// noWheel is what pip says of a package that it has not found.
var noWheel = regexp.MustCompile(`No matching distribution found for (\S+)`)

// missingWheel names the package that there is no wheel of for another machine: on
// this one nothing can be compiled for it. Nil if pip failed otherwise.
func missingWheel(output, architecture, version string) error {
	found := noWheel.FindStringSubmatch(output)
	if found == nil {
		return nil
	}
	return &build.Error{Output: output, Msg: fmt.Sprintf("install dependencies: %[1]s has no wheel for Linux on %[2]s and Python %[3]s, and what has to be compiled is not compiled for another machine: "+
		"take a version that has one, bring a wheel of your own, or build on a machine of %[2]s", found[1], architecture, version)}
}

// fits refuses what was made for other machines.
func fits(out, architecture string) error {
	unfit, err := machine.Unfit(filepath.Join(out, "src"), architecture, func(rel string) string { return rel })
	if err != nil {
		return err
	}
	if len(unfit) > 0 {
		return &build.Error{Msg: fmt.Sprintf("the sources have programs or libraries that do not run on %s: %s", architecture, machine.List(unfit))}
	}
	packages := filepath.Join(out, "site-packages")
	if _, err := os.Stat(packages); err != nil {
		return nil //nolint:nilerr // the function has none
	}
	owner, err := distributions(packages)
	if err != nil {
		return err
	}
	unfit, err = machine.Unfit(packages, architecture, func(rel string) string {
		if name := owner[filepath.ToSlash(rel)]; name != "" {
			return name
		}
		first, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
		return first
	})
	if err != nil {
		return err
	}
	if len(unfit) > 0 {
		return &build.Error{Msg: fmt.Sprintf("install dependencies: what was installed does not run on %s: %s", architecture, machine.List(unfit))}
	}
	return nil
}

// distributions says which package each file was installed by.
func distributions(dir string) (map[string]string, error) {
	records, err := filepath.Glob(filepath.Join(dir, "*.dist-info", "RECORD"))
	if err != nil {
		return nil, err
	}
	owner := map[string]string{}
	for _, record := range records {
		name, _, _ := strings.Cut(filepath.Base(filepath.Dir(record)), "-")
		if err := recordedFiles(record, func(file string) { owner[file] = name }); err != nil {
			return nil, fmt.Errorf("read what was installed: %w", err)
		}
	}
	return owner, nil
}

func recordedFiles(record string, each func(file string)) error {
	f, err := os.Open(record)
	if err != nil {
		return err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		file, _, _ := strings.Cut(lines.Text(), ",")
		if fs.ValidPath(file) {
			each(file)
		}
	}
	return nil
}
