package java

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// oldest is the oldest feature version that the worker's code runs with.
const oldest = 17

// machine is a Java installation.
type machine struct {
	home    string // what it calls itself: no link
	version string // "17.0.15"
}

func (m machine) java() string { return filepath.Join(m.home, "bin", "java") }

func (m machine) feature() int { return feature(m.version) }

func feature(version string) int {
	first, _, _ := strings.Cut(version, ".")
	first, _, _ = strings.Cut(first, "+")
	first, _, _ = strings.Cut(first, "-")
	n, _ := strconv.Atoi(first)
	return n
}

// Find returns the Java that a function would run with: its directory and its
// version, such as "17.0.15". wanted is the path of a java program or of such a
// directory, a version ("17", "21.0"), or "" for any.
func Find(_ context.Context, wanted string) (home, version string, err error) {
	m, err := findMachine(wanted)
	return m.home, m.version, err
}

func findMachine(wanted string) (machine, error) {
	if strings.ContainsRune(wanted, '/') {
		m, err := describe(wanted)
		if err == nil && m.feature() < oldest {
			err = fmt.Errorf("%s is Java %s, and %d or later is needed", wanted, m.version, oldest)
		}
		return m, err
	}
	if wanted != "" && feature(wanted) == 0 {
		return machine{}, fmt.Errorf("java %s not found: expected a version, such as 17, or a path", wanted)
	}
	var found []string
	var second *machine
	for _, path := range places() {
		m, err := describe(path)
		if err != nil || slices.Contains(found, m.version+" at "+m.home) {
			continue
		}
		found = append(found, m.version+" at "+m.home)
		if m.feature() < oldest || !matches(m.version, wanted) {
			continue
		}
		if m.compiles() == nil {
			return m, nil
		}
		if second == nil { // it runs functions, if another compiled the worker
			second = &m
		}
	}
	if second != nil {
		return *second, nil
	}
	return machine{}, notFound(wanted, found)
}

func notFound(wanted string, found []string) error {
	msg := strings.TrimSpace("java "+wanted) + " not found: looked at JAVA_HOME, PATH and /usr/lib/jvm"
	if len(found) > 0 {
		msg += " (found " + strings.Join(found, ", ") + ")"
	}
	return errors.New(msg + fmt.Sprintf(" (on Debian: apt install openjdk-%d-jdk-headless)", max(feature(wanted), oldest)))
}

// places lists where Java may be, the likeliest first.
func places() (paths []string) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		paths = append(paths, home)
	}
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if filepath.IsAbs(dir) {
			paths = append(paths, filepath.Join(dir, "java"))
		}
	}
	others, _ := filepath.Glob("/usr/lib/jvm/*/bin/java")
	slices.Reverse(others)
	return append(paths, others...)
}

// describe reads what the installation of a java program, or a directory, says
// of itself: to start it would take longer.
func describe(path string) (machine, error) {
	if fi, err := os.Stat(path); err == nil && fi.IsDir() {
		path = filepath.Join(path, "bin", "java")
	}
	if unix.Access(path, unix.X_OK) != nil {
		return machine{}, fmt.Errorf("java %s cannot be run by this user", path)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return machine{}, fmt.Errorf("find java: %w", err)
	}
	home := filepath.Dir(filepath.Dir(real))
	text, err := os.ReadFile(filepath.Join(home, "release"))
	if err != nil {
		return machine{}, fmt.Errorf("ask %s what it is: %w", path, err)
	}
	for sc := bufio.NewScanner(bytes.NewReader(text)); sc.Scan(); {
		if v, ok := strings.CutPrefix(sc.Text(), "JAVA_VERSION="); ok {
			return machine{home, strings.Trim(v, `"`)}, nil
		}
	}
	return machine{}, fmt.Errorf("ask %s what it is: %s/release names no JAVA_VERSION", path, home)
}

func matches(version, wanted string) bool {
	return wanted == "" || version == wanted || strings.HasPrefix(version, wanted+".")
}

// compiles tells why the installation cannot compile, nil if it can.
func (m machine) compiles() error {
	for _, file := range []string{"bin/javac", "include/jni.h"} {
		if _, err := os.Stat(filepath.Join(m.home, file)); err != nil {
			return fmt.Errorf("%s is a Java without %s: a JDK is needed (on Debian: apt install openjdk-%d-jdk-headless)", m.home, file, m.feature())
		}
	}
	return nil
}

// recorded returns the Java for which the artefact in dir was made, "" if it
// does not say or this user cannot run it.
func recorded(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, "interpreter"))
	home := strings.TrimSpace(string(text))
	if err != nil || !filepath.IsAbs(home) || unix.Access(filepath.Join(home, "bin", "java"), unix.X_OK) != nil {
		return ""
	}
	return home
}
