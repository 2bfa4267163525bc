package examples_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/file"
	"github.com/myelin-run/myelin/binding/object/directory"
	"github.com/myelin-run/myelin/build/pipeline"
)

// A script finds the file that the request names, and what it makes of it is
// kept.
func TestFilesExample(t *testing.T) {
	a, _, err := builders(t).Build(t.Context(), pipeline.Request{Path: "files-shell"}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	if err := os.MkdirAll(filepath.Join(data, "desk"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"desk/names.txt": "c\na\nb\n", "secret": "x\n"} {
		if err := os.WriteFile(filepath.Join(data, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	runBound(t, a, ln, data, binding.NewSet(file.Over(directory.Factory())))
	for _, c := range []struct {
		body   string
		status int
		says   string
	}{{"names.txt", 200, "3 lines"}, {"../secret", 400, "no name of a file"}, {"absent.txt", 404, "absent.txt"}, {"", 400, "no name"}} {
		resp, err := http.Post("http://"+ln.Addr().String(), "text/plain", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || !strings.Contains(string(b), c.says) {
			t.Errorf("%q: %d %s, %v", c.body, resp.StatusCode, b, err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(data, "desk/sorted/names.txt")); err != nil || string(got) != "a\nb\nc\n" {
		t.Errorf("sorted: %q, %v", got, err)
	}
}
