// Package archtest keeps the floors of the house in order.
package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/myelin-run/myelin/"

// floors, lowest first: a package may import packages of lower floors, and
// nothing else of the house. A name ending in a slash stands for what is under
// it; the longest name that fits decides. The same floor twice is no import.
var floors = [][]string{
	// words
	{"event", "document", "quantity", "logline", "sdk/nuclio/logger", "binding/data"},
	// pure
	{"asyncapi", "event/cloudevent", "component", "function", "sdk/go", "sdk/python", "sdk/nodejs", "sdk/java", "sdk/c", "sdk/nuclio", "dealer", "trigger/ack", "trigger/letter", "trigger/secure", "build/recipe",
		"control/problem", "control/certificate", "control/apply", "control/api/openapi", "control/scale", "templates", "docs/reference", "dashboard", "deploy"},
	// contracts
	{"trigger", "trigger/letterbox", "runtime", "binding", "build", "control/store", "control/plan", "control/route"},
	// contracts on contracts, the suites of contracts, and plain mechanisms
	{"gateway/wire", "processor/epoll", "processor/trunk", "trigger/http/live",
		"platform", "binding/bindingtest", "binding/cache", "binding/batch", "binding/breaker", "binding/prefetch", "binding/sqlitefile", "binding/redisclient", "trigger/triggertest", "trigger/delivery", "trigger/amazon", "trigger/nats/link", "trigger/redis/link", "trigger/rabbitmq/link", "trigger/kafka/link", "trigger/mqtt/link", "trigger/sql/link", "trigger/mail/message", "trigger/imap/wire", "trigger/port", "runtime/runtimetest", "control/store/storetest",
		"control/catalog", "control/kubeapi", "control/access", "control/audit", "control/secret", "build/tool", "build/machine", "build/transfer", "runtime/exec", "runtime/shm/ring", "runtime/shm/wire", "runtime/workercache", "processor/logs", "processor/tap", "processor/handoff", "processor/parked", "processor/peer", "platform/local/process", "platform/local/cgroup", "platform/local/graceful"},
	// engines
	{"gateway/",
		"dealer/server", "dealer/client", "processor/worker", "processor/calls", "processor/exactly", "processor/cloudevents", "trigger/queue", "trigger/stream", "runtime/shm",
		"binding/host", "binding/remote", "binding/table", "binding/file", "build/source", "build/artefact", "control/reconcile", "control/rollout", "control/job", "control/scaler", "control/history", "control/capture", "control/access/oidc", "platform/local/supervise", "platform/platformtest"},
	// an engine on an engine
	{"trigger/poll", "platform/local", "platform/docker/relay"},
	// components
	{"gateway/upstream",
		"trigger/", "runtime/", "binding/", "platform/", "build/", "control/store/", "deploy/"},
	// assemblies
	{"processor", "gateway", "control/api", "build/pipeline", "runtime/native/nuclio", "dev"},
	{"control", "control/", "processor/"},
	// the command line and the programs
	{"cli/terminal", "cli/spec", "cli/manifest", "cli/over"},
	{"cli"},
	// what tests, chaos and benchmarks stand on; no product imports it
	{"test/port", "test/ledger"},
	{"test/fault", "test/crowd", "test/v3io"},
	{"test/servers"},
	{"cmd/", "test/", "examples/", "internal/"},
}

func floor(pkg string) int {
	best, at := -1, -1
	for i, names := range floors {
		for _, n := range names {
			if (pkg == n || strings.HasSuffix(n, "/") && strings.HasPrefix(pkg, n)) && len(n) > best {
				best, at = len(n), i
			}
		}
	}
	return at
}

// It reads the files itself, and so go test's cache knows when they change.
func TestFloors(t *testing.T) {
	for _, problem := range survey(t, "../..") {
		t.Error(problem)
	}
}

// A house with an upward import, an unknown room and a forbidden name is told so.
func TestFloorsFindPlanted(t *testing.T) {
	root := t.TempDir()
	plant := func(path, src string) {
		t.Helper()
		full := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	plant("event/up.go", "// Package event is planted.\npackage event\nimport _ \""+module+"trigger/http\"\n")
	plant("attic/a.go", "// Package attic is planted.\npackage attic\n")
	plant("trigger/util/u.go", "// Package util is planted.\npackage util\n")
	plant("trigger/cron/c.go", "package cron\n")
	got := strings.Join(survey(t, root), "\n")
	for _, want := range []string{"event (floor 0) imports trigger/http", "attic has no floor", "trigger/util: name a package", "trigger/cron: no package comment"} {
		if !strings.Contains(got, want) {
			t.Errorf("planted %q not found in:\n%s", want, got)
		}
	}
}

func survey(t *testing.T, root string) (problems []string) {
	t.Helper()
	said := map[string]bool{}
	documented, sources := map[string]bool{}, map[string]bool{}
	say := func(format string, args ...any) {
		if s := fmt.Sprintf(format, args...); !said[s] {
			said[s] = true
			problems = append(problems, s)
		}
	}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".") || hasFile(path, "go.mod")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(rel)
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		sources[pkg] = true
		documented[pkg] = documented[pkg] || hasDoc(f)
		if pkg == "." { // the module's root only embeds the sources
			return nil
		}
		inspect(pkg, f, say)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg := range sources {
		if !documented[pkg] {
			say("%s: no package comment", pkg)
		}
	}
	return problems
}

func inspect(pkg string, f *ast.File, say func(string, ...any)) {
	if floor(pkg) < 0 {
		say("%s has no floor: add it to the table", pkg)
	}
	switch filepath.Base(pkg) {
	case "util", "utils", "common", "helper", "helpers", "misc", "types":
		say("%s: name a package for what it holds", pkg)
	}
	for _, spec := range f.Imports {
		imp, _ := strconv.Unquote(spec.Path.Value)
		if dep, ours := strings.CutPrefix(imp, module); ours && floor(dep) >= floor(pkg) {
			say("%s (floor %d) imports %s (floor %d)", pkg, floor(pkg), dep, floor(dep))
		}
	}
}

func hasDoc(f *ast.File) bool { return f.Doc != nil && strings.TrimSpace(f.Doc.Text()) != "" }

func hasFile(dir, name string) bool {
	_, err := os.Stat(filepath.Join(dir, name))
	return err == nil
}
