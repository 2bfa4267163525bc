package nodejs

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/myelin-run/myelin/runtime"
	"github.com/myelin-run/myelin/runtime/runtimetest"
)

// Each Node.js that MYELIN_TEST_NODES lists reads and writes the published
// vectors and passes the suite in its brief form, as the one in PATH does in
// the long one. scripts/nodes.sh fetches them.
func TestVersions(t *testing.T) {
	first, err := findInterpreter(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s in PATH is Node.js %s, which the other tests use", first.path, first.version)
	paths := filepath.SplitList(os.Getenv("MYELIN_TEST_NODES"))
	if len(paths) == 0 {
		t.Log("MYELIN_TEST_NODES lists no others")
	}
	for _, path := range paths {
		it, err := ask(t.Context(), path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		t.Run(it.version, func(t *testing.T) {
			t.Parallel()
			attrs := map[string]any{"interpreter": path}
			vectors(t, attrs)
			runtimetest.Run(t, runtimetest.Fixture{Brief: true, New: func(t testing.TB, name string, logs *slog.Logger) runtime.Runtime {
				return fixture{code: functions[name][0], attrs: attrs, log: logs}.load(t)
			}})
		})
	}
}
