package python

import (
	"encoding/hex"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime/runtimetest"
)

// versions are the minor versions that functions may ask for.
var versions = []string{"3.9", "3.10", "3.11", "3.12", "3.13"}

// everyPython finds one interpreter of each version that is on this machine:
// those of pyenv, those in PATH, the system's, and what MYELIN_TEST_PYTHONS lists.
func everyPython(t *testing.T) map[string]string {
	t.Helper()
	home, _ := os.UserHomeDir()
	paths, err := filepath.Glob(filepath.Join(home, ".pyenv", "versions", "3.*", "bin", "python3"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	for _, v := range versions {
		paths = append(paths, inPath([]string{"python" + v})...)
	}
	found := map[string]string{}
	for _, path := range append(interpreters(t), paths...) {
		it, err := ask(t.Context(), path)
		if err != nil {
			continue // a shim for a version that is not there
		}
		minor := it.version[:strings.LastIndexByte(it.version, '.')]
		if slices.Contains(versions, minor) && found[minor] == "" {
			found[minor] = it.path
		}
	}
	return found
}

// Each version of Python reads and writes the published vectors, and passes the
// suite in its brief form; TestSuite has the long one for those that it knows.
func TestVersions(t *testing.T) {
	found, known := everyPython(t), interpreters(t)
	for _, v := range versions {
		path, ok := found[v]
		if !ok {
			t.Logf("there is no Python %s on this machine: not tested with it", v)
			continue
		}
		t.Run(v, func(t *testing.T) {
			t.Parallel()
			t.Logf("Python %s is %s", v, path)
			vectors(t, path)
			if !slices.Contains(known, path) {
				runtimetest.Run(t, runtimetest.Fixture{Streams: true, Batches: true, Brief: true, Binds: true, New: suiteFunction(path, true, false), Calls: callingFunction(path, true, false)})
			}
		})
	}
}

const readVectors = `
import sys
sys.path[:0] = sys.argv[1:3]
import _myelin_pure, _myelin_wire, _myelin_answers
class Helper:
    def trigger(self, kind, name, cls): return (kind, name, cls)
    def timestamp(self, nanos): return nanos
raw = bytes.fromhex(sys.argv[3])
e = _myelin_pure.Event(Helper(), 0, 7, 9, 8, raw, len(raw))
print([e.method, e.path, e.url, e.content_type, e.id, bytes(e.key), e.topic, e.trigger, dict(e.headers), dict(e.fields),
       e.shard_id, e.num_shards, e.offset])
record = _myelin_wire.pack_record(1700000000000000005, 4, "msg", {"k": "v"})
print(_myelin_answers.Answers(None).meta("text/plain", [("X-A", "1")], [record]).hex())
`

// vectors checks the worker's reading and writing against the format's page.
func vectors(t *testing.T, path string) {
	t.Helper()
	r := fixture{code: trivial, attrs: map[string]any{"interpreter": path}}.load(t).(*Runtime)
	if err := r.prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !r.fast {
		t.Error("the worker was not compiled")
	}
	out, err := osexec.Command(path, "-c", readVectors, filepath.Join(r.dir, "worker"), filepath.Join(r.dir, "sdk"), vector(t, "Request metadata: ")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const want = `['POST', '/a', '/a?b=c', 'text/plain', 'id-1', b'k', 't', ('http', 'web', 'sync'), {'X-A': '1', 'X-B': ''}, {'b': 'c'}, 3, 8, 12345]`
	if got := nativeReads(t, path); got != want {
		t.Errorf("the native worker read %s\nwant  %s", got, want)
	}
	ev, meta, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if ev != want {
		t.Errorf("read  %s\nwant  %s", ev, want)
	}
	if want := vector(t, "Response metadata: "); meta != want {
		t.Errorf("wrote %s\nwant  %s", meta, want)
	}
}

// nativeReads is what the native worker makes of the vector's event.
func nativeReads(t *testing.T, path string) string {
	t.Helper()
	code := "def handler(c, e):\n    t = e.trigger\n    return repr([e.method, e.path, e.url, e.content_type, e.id, bytes(e.key), e.topic, (t.kind, t.name, t.class_),\n" +
		"        dict(e.headers), dict(e.fields), e.shard_id, e.num_shards, e.offset])\n"
	in, _ := fixture{code: code, attrs: map[string]any{"interpreter": path}}.open(t)
	resp, err := call(t, in, &event.Event{
		Source: &event.Source{Kind: "http", Name: "web", Class: "sync"}, Method: []byte("POST"), Path: []byte("/a"), URL: []byte("/a?b=c"),
		ContentType: []byte("text/plain"), ID: []byte("id-1"), Key: []byte("k"), Topic: "t", Token: event.Token{Shard: 3, Offset: 12345}, Shards: 8,
		Headers: event.Pairs{{Key: "X-A", Value: []byte("1")}, {Key: "X-B"}}, Fields: event.Pairs{{Key: "b", Value: []byte("c")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(resp.Body)
}

// vector returns the digits of the block after a line of the format's page.
func vector(t *testing.T, line string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", "shared-memory.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(page), "\n"+line)
	parts := strings.SplitN(after, "```", 3)
	if !ok || len(parts) < 3 {
		t.Fatalf("no vector %q", line)
	}
	digits := strings.Join(strings.Fields(parts[1]), "")
	if _, err := hex.DecodeString(digits); err != nil {
		t.Fatal(err)
	}
	return digits
}
