package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

//go:embed *.pml tso.h
var models embed.FS

// finding is how one search ended.
type finding struct {
	states int
	first  string // spin's words for the first error
	took   time.Duration
	err    error // it did not end as it should
}

func (f finding) what() string {
	if f.first == "" {
		return "no error"
	}
	return f.first
}

var (
	errorLine  = regexp.MustCompile(`(?m)^pan:1: (.*?)(?: \(.*)?$`)
	countLine  = regexp.MustCompile(`errors: (\d+)`)
	statesLine = regexp.MustCompile(`(?m)^\s*(\d+) states, stored`)
	shortLine  = regexp.MustCompile(`(?mi)^.*(max search depth too small|out of memory|reached -DMEMLIM|Search not completed).*$`)
)

// check makes the verifier of s, runs it and judges.
func check(ctx context.Context, s search) finding {
	out, err := verify(ctx, s)
	if err != nil {
		return finding{err: err}
	}
	f, err := parse(out)
	switch {
	case err != nil:
		f.err = err
	case s.want == "" && f.first != "":
		f.err = errors.New("the model has an error")
	case s.want == "" && shortLine.Match(out):
		f.err = fmt.Errorf("search is not complete: %s", shortLine.Find(out))
	case s.want != "" && f.first != s.want:
		f.err = errors.New("the planted mistake was not found")
	}
	return f
}

// parse reads the verifier's report.
func parse(out []byte) (f finding, err error) {
	count, states := countLine.FindSubmatch(out), statesLine.FindSubmatch(out)
	if count == nil || states == nil {
		return f, fmt.Errorf("verifier printed no result: %s", bytes.TrimSpace(out))
	}
	f.states, _ = strconv.Atoi(string(states[1])) // the expression matches digits only
	if string(count[1]) != "0" {
		f.first = "unknown error"
		if m := errorLine.FindSubmatch(out); m != nil {
			f.first = string(m[1])
		}
	}
	return f, nil
}

// verify runs spin, the C compiler and the verifier in a directory of their own.
func verify(ctx context.Context, s search) ([]byte, error) {
	dir, err := os.MkdirTemp("", "myelin-model-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, models); err != nil {
		return nil, fmt.Errorf("copy models: %w", err)
	}
	generate := []string{"spin", "-a"}
	for _, d := range s.defines {
		generate = append(generate, "-D"+d)
	}
	kind, pan := "-DSAFETY", []string{filepath.Join(dir, "pan"), "-m100000"}
	if s.cycles {
		kind, pan = "-DNP", append(pan, "-l")
	}
	optimise := "-O1"
	if s.want != "" { // short searches: compiling takes the time
		optimise = "-O0"
	}
	if _, err := command(ctx, dir, append(generate, s.model+".pml")); err != nil {
		return nil, err
	}
	if _, err := command(ctx, dir, []string{"cc", optimise, "-w", kind, "-DMEMLIM=3000", "-o", "pan", "pan.c"}); err != nil {
		return nil, err
	}
	return command(ctx, dir, pan)
}

// command runs args in dir and returns what it printed.
func command(ctx context.Context, dir string, args []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w: %s", filepath.Base(args[0]), err, bytes.TrimSpace(out))
	}
	return out, nil
}
