package file_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/bindingtest"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/file"
	"github.com/myelin-run/myelin/binding/object/directory"
	"github.com/myelin-run/myelin/binding/object/s3"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/servers"
)

var pool servers.Pool

func TestMain(m *testing.M) { os.Exit(pool.Run(m)) }

func build(t *testing.T, store binding.Factory, dir string, spec function.DataBinding, attributes string) binding.Binding {
	t.Helper()
	b, err := file.Over(store).New(binding.Settings{Name: "desk", Dir: dir, Spec: spec, Log: slog.New(slog.DiscardHandler)}, []byte(attributes))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDirectorySuite(t *testing.T) {
	dir := t.TempDir()
	bindingtest.File(t, func(t *testing.T, attributes string) binding.Binding {
		return build(t, directory.Factory(), dir, function.DataBinding{}, attributes)
	})
}

func TestS3Suite(t *testing.T) {
	s := pool.Gofakes3(t)
	bindingtest.File(t, func(t *testing.T, attributes string) binding.Binding {
		return build(t, s3.Factory(), "", function.DataBinding{URL: "http://KEY@" + s.Addr, Secret: "secret", Path: servers.S3Bucket}, attributes)
	})
}

// A link that somebody laid in the directory is not laid out.
func TestLinkedIn(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "outside")
	b := bindingtest.Opened(t, build(t, directory.Factory(), dir, function.DataBinding{}, `{"in": ["link"]}`))
	if err := os.WriteFile(outside, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(dir, "desk", "link")); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := data.NewFiles(b.(data.FileStore), nil).In(t.Context(), root, nil); err == nil {
		t.Error("it is laid out")
	}
}

func TestMistakes(t *testing.T) {
	for attributes, says := range map[string]string{
		`{"in": ["../x"]}`: "in[0]: ", `{"in": ["a", "/x"]}`: "in[1]: ", `{"in": ["{bod}"]}`: "in[0]: ", `{"in": ["{body"]}`: "in[0]: ", `{"in": ["a*"]}`: "in[0]: ",
		`{"in": ["{header.}"]}`: "in[0]: ", `{"in": [""]}`: "in[0]: ", `{"out": ["../*"]}`: "out[0]: ", `{"out": ["["]}`: "out[0]: ", `{"maxFiles": 0}`: "maxFiles: ",
		`{"store": {"x": 1}}`: "store.x", `{"maxTotal": "2Gi"}`: "maxTotal: ",
	} {
		_, err := file.Over(directory.Factory()).New(binding.Settings{Name: "desk", Dir: t.TempDir(), Log: slog.New(slog.DiscardHandler)}, []byte(attributes))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %q", attributes, err, says)
		}
	}
}
