package golang

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/build/tool"
)

var (
	placed  = regexp.MustCompile(`^(?:\./)?([^\s:]+\.go):(\d+)(?::(\d+))?: (.*)$`)
	offline = regexp.MustCompile(`dial tcp|no such host|module lookup disabled|i/o timeout|connection refused`)
	fetched = regexp.MustCompile(`(?:go: |: )(?:downloading )?([a-z0-9.-]+\.[a-z]+/[^\s:@]+)(?:@([^\s:]+))?`)
)

// compileError makes of what the go tool printed a mistake of the user's, with
// the place in the user's file and without the build's own directories.
func compileError(err error, dir, work string) error {
	var failed *tool.Failed
	if !errors.As(err, &failed) {
		return err
	}
	output := withoutDirs(failed.Output, dir, work)
	e := &build.Error{Msg: "go build failed", Output: output}
	for line := range strings.Lines(output) {
		if m := placed.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			e.File, e.Msg = m[1], m[4]
			e.Line, _ = strconv.Atoi(m[2])
			e.Column, _ = strconv.Atoi(m[3])
			break
		}
	}
	if e.File != "" && filepath.IsLocal(e.File) {
		if text, err := os.ReadFile(filepath.Join(dir, e.File)); err == nil {
			e.Text = lineOf(text, e.Line)
		}
	}
	if e.File == "" {
		e.Msg += ": " + tool.Tail(output, 3)
	}
	if offline.MatchString(output) {
		e.Msg = "module " + missingModule(output) + " is not on this machine and cannot be fetched: " + tool.Tail(output, 1)
	}
	return e
}

// withoutDirs takes the build's own directories out of a text, also in the
// relative form in which the compiler names files of the overlay.
func withoutDirs(text, dir, work string) string {
	const sep = string(filepath.Separator)
	overlay := filepath.Join(work, "overlay")
	pairs := []string{dir + sep, "", dir, ".", overlay + sep, "", work + sep, ""}
	if rel, err := filepath.Rel(dir, overlay); err == nil {
		pairs = append([]string{rel + sep, "", filepath.Dir(rel) + sep, ""}, pairs...)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// missingModule names the module that the go tool could not fetch.
func missingModule(output string) string {
	for line := range strings.Lines(output) {
		if m := fetched.FindStringSubmatch(line); m != nil && offline.MatchString(output) {
			if m[2] != "" {
				return m[1] + "@" + m[2]
			}
			return m[1]
		}
	}
	return "that the function imports"
}
