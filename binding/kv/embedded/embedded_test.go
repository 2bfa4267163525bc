package embedded_test

import (
	"log/slog"
	"testing"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/bindingtest"
	"github.com/myelin-run/myelin/binding/kv/embedded"
)

func TestSuite(t *testing.T) {
	dir := t.TempDir()
	bindingtest.KV(t, func(t *testing.T) binding.Binding {
		b, err := embedded.Factory().New(binding.Settings{Name: "state", Dir: dir, Log: slog.New(slog.DiscardHandler)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	})
}
