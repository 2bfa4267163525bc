package sqlite_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/bindingtest"
	"github.com/myelin-run/myelin/binding/table/sqlite"
	"github.com/myelin-run/myelin/function"
)

func TestSuite(t *testing.T) {
	dir := t.TempDir()
	bindingtest.Table(t, func(t *testing.T) binding.Binding {
		b, err := sqlite.Factory().New(binding.Settings{Name: "orders", Dir: dir, Log: slog.New(slog.DiscardHandler)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}, "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT COUNT(*) FROM n")
	if files, err := filepath.Glob(filepath.Join(dir, "orders.sqlite")); err != nil || len(files) != 1 {
		t.Errorf("%q, %v", files, err)
	}
}

func TestMistakes(t *testing.T) {
	for says, spec := range map[string]function.DataBinding{
		"url: is not for sqlite":                       {URL: "file:x"},
		"secret: is not for sqlite":                    {Secret: "s"},
		"path: \"../x\" leads out":                     {Path: "../x"},
		"busyTimeout: is -1s":                          {Attributes: []byte(`{"busyTimeout":"-1s"}`)},
		"maxCalls: is 0, expected":                     {Attributes: []byte(`{"maxCalls":0}`)},
		"unknown field durabel, did you mean durable?": {Attributes: []byte(`{"durabel":true}`)},
	} {
		_, err := sqlite.Factory().New(binding.Settings{Name: "orders", Spec: spec, Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}, spec.Attributes)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", spec, err, says)
		}
	}
}
