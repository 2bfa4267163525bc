package dashboard

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
)

func server(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(Over(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
	})))
	t.Cleanup(s.Close)
	return s
}

// ask returns an answer and its body as it came over the wire.
func ask(t *testing.T, s *httptest.Server, method, path string, header ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, b
}

func TestServesThePage(t *testing.T) {
	s := server(t)
	resp, plain := ask(t, s, "GET", "/")
	h := resp.Header
	if resp.StatusCode != 200 || !bytes.Contains(plain, []byte("<title>Myelin</title>")) || h.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Fatalf("%d %v %s", resp.StatusCode, h, plain)
	}
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"} {
		if !strings.Contains(h.Get("Content-Security-Policy"), want) {
			t.Errorf("the policy lacks %s: %s", want, h.Get("Content-Security-Policy"))
		}
	}
	if strings.Contains(h.Get("Content-Security-Policy"), "unsafe") || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("answered with %v", h)
	}
	if resp, b := ask(t, s, "HEAD", "/"); resp.StatusCode != 200 || len(b) != 0 || resp.ContentLength != int64(len(plain)) {
		t.Errorf("HEAD: %d, %d bytes, %d said", resp.StatusCode, len(b), resp.ContentLength)
	}
	for _, other := range [][2]string{{"POST", "/"}, {"GET", "/api/v1/functions"}, {"GET", "/index.html"}, {"GET", "/app.js/"}, {"GET", "/../app.js"}} {
		if resp, _ := ask(t, s, other[0], other[1]); resp.StatusCode != http.StatusTeapot {
			t.Errorf("%s %s was not passed on: %d", other[0], other[1], resp.StatusCode)
		}
	}
}

func TestIsCompressedAndCached(t *testing.T) {
	s := server(t)
	_, plain := ask(t, s, "GET", "/app.js")
	for accepts, want := range map[string]string{"gzip, deflate, br": "br", "gzip": "gzip", "br;q=0, gzip;q=0.5": "gzip", "brr": "", "br;q=x": ""} {
		resp, b := ask(t, s, "GET", "/app.js", "Accept-Encoding", accepts)
		got := resp.Header.Get("Content-Encoding")
		if got != want || resp.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: %v", accepts, resp.Header)
		}
		var r io.Reader = bytes.NewReader(b)
		switch got {
		case "br":
			r = brotli.NewReader(r)
		case "gzip":
			var err error
			if r, err = gzip.NewReader(r); err != nil {
				t.Fatal(err)
			}
		}
		if text, err := io.ReadAll(r); err != nil || !bytes.Equal(text, plain) {
			t.Errorf("%s: another text: %v", accepts, err)
		}
		tag := resp.Header.Get("ETag")
		if resp, b := ask(t, s, "GET", "/app.js", "Accept-Encoding", accepts, "If-None-Match", tag); resp.StatusCode != http.StatusNotModified || len(b) != 0 {
			t.Errorf("%s: %d to %s", accepts, resp.StatusCode, tag)
		}
		if resp, _ := ask(t, s, "GET", "/app.js", "Accept-Encoding", accepts, "If-None-Match", `"other"`); resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", accepts, resp.StatusCode)
		}
	}
}

// All that is loaded at first is less than 300 KB, the editor by itself too, which
// is loaded by who edits, and every file has a type.
func TestIsSmall(t *testing.T) {
	files, err := read(dist)
	if err != nil {
		t.Fatal(err)
	}
	first, editor := 0, 0
	for name, f := range files {
		if f.kind == "" {
			t.Errorf("%s has no type", name)
		}
		_, _ = f.coded("gzip")
		if name == "/editor.js" {
			editor = len(f.gzs)
		} else {
			first += len(f.gzs)
		}
	}
	t.Logf("%d files, by gzip %d bytes at first, %d of the editor", len(files), first, editor)
	if first > 300_000 || editor > 300_000 || editor == 0 {
		t.Errorf("%d bytes at first, %d of the editor", first, editor)
	}
}

// foreign are addresses of other hosts than those that are names and no places.
var foreign = regexp.MustCompile(`https?://[a-zA-Z0-9.-]+`)

func TestNamesNoOtherHost(t *testing.T) {
	files, err := read(dist)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range files {
		for _, found := range foreign.FindAllString(string(f.text), -1) {
			if found != "http://www.w3.org" && found != "https://svelte.dev" { // names of XML, and texts of errors
				t.Errorf("%s names %s", name, found)
			}
		}
	}
}

// The committed files are what the sources make, and the sources are in order.
func TestIsMadeOfItsSources(t *testing.T) {
	// The test reads the files itself, and so go test's cache knows when they change.
	for _, root := range []string{"web", "dist"} {
		err := filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
			if err == nil && d.Name() == "node_modules" {
				if d.IsDir() {
					return filepath.SkipDir
				}
				return nil
			}
			if err == nil && !d.IsDir() {
				_, err = os.ReadFile(name)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), "../scripts/dashboard.sh", "check").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
