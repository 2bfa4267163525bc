package binding_test

import (
	"strings"
	"testing"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/function"
)

// A kind that several classes have means the first of them unless the class is
// given.
func TestResolve(t *testing.T) {
	known := []string{"file/directory", "kv/redis", "object/directory", "stream/redis", "table/sqlite"}
	for spec, want := range map[struct{ class, kind string }]string{
		{"", "redis"}: "kv/redis", {"stream", "redis"}: "stream/redis", {"", "directory"}: "object/directory", {"file", "directory"}: "file/directory",
		{"", "sqlite"}: "table/sqlite", {"kv", "sqlite"}: "kind: unknown kind \"sqlite\" of class kv (known: redis)", {"kvs", "redis"}: "class: unknown class",
		{"", "rediss"}: "did you mean \"redis\"?",
	} {
		got, err := binding.Resolve(known, function.DataBinding{Class: spec.class, Kind: spec.kind})
		if err != nil {
			got = err.Error()
		}
		if got != want && (err == nil || !strings.Contains(got, want)) {
			t.Errorf("%s/%s: %s, want %s", spec.class, spec.kind, got, want)
		}
	}
}
