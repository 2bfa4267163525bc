package java

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/quantity"
	"github.com/myelin-run/myelin/runtime"
)

func TestLoading(t *testing.T) {
	one := source(t, "Handler.java", `package a.b;
public class Handler implements run.myelin.MyelinHandler {
    public Object handle(run.myelin.Context c, run.myelin.Event e) { return "one"; }
}
class Other {}
`)
	for name, c := range map[string]struct{ handler, classes, want string }{
		"only one":          {"", one, "one"},
		"without package":   {"Handler", one, "one"},
		"full name":         {"a.b.Handler", one, "one"},
		"with a module":     {"function.jar:a.b.Handler", one, "one"},
		"file name":         {"Handler.java", one, "one"},
		"private":           {"Cases$Private", "", "1"},
		"no class":          {"Nope", one, "!there is no class Nope (handlers: a.b.Handler)"},
		"wrong case":        {"a.b.handler", one, "!there is no class a.b.handler"},
		"no handler":        {"a.b.Other", one, "!class a.b.Other implements neither io.nuclio.EventHandler nor run.myelin.MyelinHandler"},
		"none":              {"", t.TempDir(), "!no class implements io.nuclio.EventHandler or run.myelin.MyelinHandler"},
		"no constructor":    {"Cases$NoConstructor", "", "!class Cases$NoConstructor has no constructor without parameters"},
		"static init":       {"Cases$BadStatic", "", "!class Cases$BadStatic cannot be initialised: java.lang.NumberFormatException"},
		"death at load":     {"Cases$ExitsAtOnce", "", "!worker ended before it was ready: exit status 4"},
		"init fails":        {"Plain$BadInit", "", "!init failed: java.lang.IllegalStateException: deliberate init failure"},
		"constructor fails": {"Nuclios$BadInit", "", "!the constructor of Nuclios$BadInit failed: java.lang.IllegalStateException: deliberate init failure"},
	} {
		t.Run(name, func(t *testing.T) {
			r, logs := fixture{handler: c.handler, classes: c.classes}.make(t)
			in, err := r.Open(t.Context(), runtime.Worker{})
			if want, fails := strings.CutPrefix(c.want, "!"); fails {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v\n%s", err, logs)
			}
			defer closeNow(t, in)
			if resp, err := call(t, in, &event.Event{}); err != nil || string(resp.Body) != c.want {
				t.Errorf("%q, %v", resp.Body, err)
			}
		})
	}
}

// echoes answers every call with its body.
type echoes struct{}

func (echoes) Do(_ context.Context, c *runtime.Call, answer *event.Response) error {
	answer.Body = append(answer.Body, c.Body...)
	return nil
}

// A function of Nuclio's form may have an init hook, which may call.
func TestNuclioHook(t *testing.T) {
	in, _ := fixture{handler: "Cases$Hook", calls: echoes{}}.open(t)
	if resp, err := call(t, in, &event.Event{}); err != nil || string(resp.Body) != "ready" {
		t.Errorf("%q, %v", resp.Body, err)
	}
	r, _ := fixture{handler: "Cases$Hook"}.make(t)
	if _, err := r.Open(t.Context(), runtime.Worker{}); err == nil || !strings.Contains(err.Error(), "functions cannot be called here") {
		t.Errorf("without a processor that takes calls: %v", err)
	}
}

// Many threads that call, of every kind, each get their own answers, and
// events go on meanwhile.
func TestCallStress(t *testing.T) {
	for _, attrs := range []map[string]any{nil, {"threads": 16}, {"threads": 16, "interpreter": newest(t), "jvmOptions": []string{"-Djdk.virtualThreadScheduler.parallelism=1"}}, {"spin": true}} {
		in, _ := fixture{handler: "Cases$Calls", attrs: attrs, calls: echoes{}}.open(t)
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for range 5 {
					if resp, err := call(t, in, &event.Event{Body: []byte("50")}); err != nil || string(resp.Body) != "50" {
						t.Errorf("%v: %q, %v", attrs, resp.Body, err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

// newest is the directory of the newest Java here.
func newest(t *testing.T) string {
	releases, _ := filepath.Glob("/usr/lib/jvm/*/release")
	best, err := findMachine("")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range releases {
		if m, err := describe(filepath.Dir(r)); err == nil && m.feature() > best.feature() && m.compiles() == nil {
			best = m
		}
	}
	return best.home
}

// A worker that needs more memory than it may have is ended, and either way
// that is told.
func TestWorkerMemory(t *testing.T) {
	for _, what := range []string{"eat", "eat direct"} {
		r, logs := fixture{handler: "Cases$Misbehaves", more: func(s *runtime.Settings) { s.Function.Spec.WorkerMemory = 192 << 20 }}.make(t)
		in, err := r.Open(t.Context(), runtime.Worker{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := call(t, in, &event.Event{Body: []byte("nothing")}); err != nil {
			t.Error(err)
		}
		_, err = call(t, in, &event.Event{Body: []byte(what)})
		closeNow(t, in)
		told := strings.Contains(logs.String(), "ran out of memory") || strings.Contains(logs.String(), "OutOfMemoryError") || strings.Contains(logs.String(), "insufficient memory")
		if err == nil || !told {
			t.Errorf("%s: %v, and the log has\n%s", what, err, logs)
		}
	}
}

// Answers of a batch may name their events.
func TestBatchByIDs(t *testing.T) {
	in, _ := fixture{handler: "Cases$Ids"}.open(t)
	for n := 1; n <= 4; n++ {
		var evs []*event.Event
		var resps []*event.Response
		errs := make([]error, n)
		for i := range n {
			id := []byte{'a' + byte(i)}
			evs, resps = append(evs, &event.Event{ID: id, Body: id}), append(resps, &event.Response{})
			errs[i] = event.ErrNotRun
		}
		in.InvokeBatch(t.Context(), evs, resps, errs)
		for i := range n {
			if n == 4 && i == 3 {
				if errs[i] == nil || !strings.Contains(errs[i].Error(), "no response to this event") {
					t.Errorf("an event without an answer: %v", errs[i])
				}
			} else if errs[i] != nil || string(resps[i].Body) != string(evs[i].ID) {
				t.Errorf("event %d of %d: %q, %v", i, n, resps[i].Body, errs[i])
			}
		}
	}
}

// Every Java of this machine that is new enough runs functions; those that
// have virtual threads use them.
func TestVersions(t *testing.T) {
	others, _ := filepath.Glob("/usr/lib/jvm/*/release")
	tried := map[string]bool{}
	for _, release := range others {
		m, err := describe(filepath.Dir(release))
		if err != nil || m.feature() < oldest || m.compiles() != nil || tried[m.home] {
			continue
		}
		tried[m.home] = true
		t.Run(m.version, func(t *testing.T) {
			in, logs := fixture{handler: "Cases$Virtual", attrs: map[string]any{"threads": 4, "interpreter": m.home}}.open(t)
			resp, err := call(t, in, &event.Event{})
			if err != nil || strings.HasPrefix(string(resp.Body), "VirtualThread") != (m.feature() >= 21) {
				t.Errorf("%s, %v", resp.Body, err)
			}
			closeNow(t, in)
			if strings.Contains(logs.String(), "WARNING") {
				t.Errorf("Java warns:\n%s", logs)
			}
		})
	}
	if len(tried) == 0 {
		t.Error("no Java was tried")
	}
}

func TestFind(t *testing.T) {
	for wanted, want := range map[string]string{"99": "java 99 not found", "python": "expected a version, such as 17", "/nowhere/java": "cannot be run by this user"} {
		if _, _, err := Find(t.Context(), wanted); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", wanted, err)
		}
	}
	home, version, err := Find(t.Context(), "17")
	if err != nil || !strings.HasPrefix(version, "17.") {
		t.Fatalf("%s %s %v", home, version, err)
	}
	if again, _, err := Find(t.Context(), home); err != nil || again != home {
		t.Errorf("%s %v", again, err)
	}
	// A Java without compiler says what to install.
	jre := filepath.Join(t.TempDir(), "jre")
	if err := os.MkdirAll(filepath.Join(jre, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"bin/java": "#!/bin/sh\n", "release": "JAVA_VERSION=\"18.0.1\"\n"} {
		if err := os.WriteFile(filepath.Join(jre, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := Prepare(t.Context(), jre, t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "a JDK is needed (on Debian: apt install openjdk-18-jdk-headless)") {
		t.Errorf("got %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	t.Setenv("CC", "")
	if _, _, err := Prepare(t.Context(), home, t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "no C compiler") {
		t.Errorf("got %v", err)
	}
}

func TestHeapFollowsTheLimit(t *testing.T) {
	for _, c := range []struct {
		memory  quantity.Amount
		worker  quantity.Size
		workers int
		users   []string
		want    string
	}{
		{"", 0, 1, nil, ""},
		{"304Mi", 0, 1, nil, "-Xmx157286k"},
		{"304Mi", 0, 2, nil, "-Xmx78643k"},
		{"50Mi", 0, 4, nil, "-Xmx16384k"},
		{"304Mi", 100 << 20, 1, nil, "-Xmx61440k"},
		{"", 100 << 20, 3, nil, "-Xmx61440k"},
		{"304Mi", 0, 1, []string{"-Xmx1g"}, ""},
		{"304Mi", 0, 1, []string{"-XX:MaxRAMPercentage=50"}, ""},
	} {
		var f function.Config
		f.Spec.Resources.Limits = map[string]quantity.Amount{"memory": c.memory}
		f.Spec.WorkerMemory = c.worker
		f.Spec.Triggers = map[string]function.Trigger{"a": {NumWorkers: c.workers}, "off": {NumWorkers: 50, Disabled: true}}
		if got := strings.Join(heapOption(f, c.users), " "); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestConfig(t *testing.T) {
	for text, want := range map[string]string{
		`{"threads": 200}`: "threads: not between", `{"asyncConcurrency": -1}`: "asyncConcurrency: not between",
		`{"jvmOptions": ["Xmx1g"]}`: "is no option of the virtual machine", `{"javaOptions": ["-cp"]}`: "is no option",
		`{"arena": "1Gi"}`: "arena: above 512Mi", `{"arena": "3Mi"}`: "arena", `{"unknown": 1}`: "unknown",
	} {
		if _, err := Factory().New(runtime.Settings{}, json.RawMessage(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if got := machineOptions(machine{version: "25.0.1"}, []string{"-XX:+UseZGC"}); slices.Contains(got, "-XX:+UseSerialGC") || !slices.Contains(got, "--enable-native-access=ALL-UNNAMED") {
		t.Errorf("%q", got)
	}
	in, _ := fixture{handler: "Cases$Order", attrs: map[string]any{"jvmOptions": []string{"-XX:+UseParallelGC", "-Xmx64m"}}}.open(t)
	if _, err := call(t, in, &event.Event{}); err != nil {
		t.Error(err)
	}
}
