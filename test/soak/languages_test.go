package soak

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/java"
	"github.com/myelin-run/myelin/runtime/nodejs"
	"github.com/myelin-run/myelin/runtime/python"
)

// language is a runtime, its functions and how its workers are harmed.
type language struct {
	name      string
	factory   runtime.Factory
	attrs     string
	dir       func(*testing.T) string // of the functions
	shares    map[string]int          // of the events that an honest handler gets, in tenths
	hostile   string                  // handler of the rest; "": a function that lies in this process is trusted
	submits   bool                    // its workers take submissions
	paths     []path
	timeout   time.Duration // of an event; a stopped or mute worker is killed then
	pause     time.Duration // between two harms, at most, in the short form; five times that in the long one
	short     int           // events, unless the flag says how many
	hostility [2]string     // the share of a hostile worker's events at which it scribbles, in the short and the long form
}

// processes ends in what the functions of processes are asked for.
func processes(dies int) []path {
	return []path{{"/die", dies}, {"/echo", 12_000}, {"/view", 12_000}, {"/raise", 1000}, {"/call", 4000}, {"/stream", 2000}}
}

func languages() []*language {
	all := []*language{
		{name: "python", factory: python.Factory(), attrs: `{"arena": "1Mi"}`, dir: sources, submits: true, paths: processes(5), timeout: 500 * time.Millisecond,
			shares: map[string]int{"honest:handler": 6, "honest:asynchronous": 2}, hostile: "hostile:handler", pause: 400 * time.Millisecond, short: 10_000, hostility: [2]string{"0.01", "0.001"}},
		{name: "nodejs", factory: nodejs.Factory(), attrs: `{"arena": "1Mi"}`, dir: sources, submits: true, paths: processes(5), timeout: time.Second,
			shares: map[string]int{"honest:handler": 6, "honest:asynchronous": 2}, hostile: "hostile:handler", pause: 400 * time.Millisecond, short: 10_000, hostility: [2]string{"0.01", "0.001"}},
		{name: "java", factory: java.Factory(), attrs: `{"arena": "1Mi"}`, dir: classes, submits: true, paths: processes(2), timeout: 2 * time.Second,
			shares: map[string]int{"Honest": 6, "Honest$Later": 2}, hostile: "Hostile", pause: time.Second, short: 5_000, hostility: [2]string{"0.01", "0.0001"}},
		golang(),
	}
	if c := cLanguage(); c != nil {
		all = append(all, c)
	}
	return all
}

// sources is where the functions lie that are run as they are.
func sources(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("functions")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// classes compiles the functions in Java as the build does.
func classes(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(os.Getenv("MYELIN_CACHE"), "soak")
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	sdk, worker, err := java.Prepare(context.Background(), "", "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	home, _, err := java.Find(context.Background(), "")
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob("functions/*.java")
	args := append([]string{"-J-XX:TieredStopAtLevel=1", "-J-XX:+UseSerialGC", "--release", "17", "-cp", sdk + ":" + worker, "-d", filepath.Join(dir, "classes")}, files...)
	if out, err := exec.Command(filepath.Join(home, "bin", "javac"), args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}
