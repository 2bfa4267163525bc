// Package dashboard serves the web page in which the whole machine is seen and
// run. Its files are built of web/ and embedded; the page asks the public API
// and nothing else. The package knows nothing of the API but that it is behind.
package dashboard

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/andybalholm/brotli"
)

// callback is where an issuer sends a browser back to after signing in: the same
// page, which takes what it was sent back with out of the address.
const callback = "/callback"

//go:embed all:dist
var dist embed.FS

// policy is what the page may do: load its own files, ask this server, and
// nothing else. Text becomes markup only by the templates that are in its files.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types svelte-trusted-html"

// Over returns a handler that answers with the page at / and its files, and
// passes everything else on to next.
func Over(next http.Handler) http.Handler {
	files, err := read(dist)
	if err != nil {
		panic(err) // the files are in this program
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := files[r.URL.Path]
		if f == nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		f.serve(w, r)
	})
}

// kinds are the types of the files that there are.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
}

// read returns the files by the paths that they are served at.
func read(from fs.FS) (map[string]*file, error) {
	out := map[string]*file{}
	err := fs.WalkDir(from, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		at := strings.TrimPrefix(name, "dist")
		f := &file{text: text, kind: kinds[path.Ext(name)], tag: hex.EncodeToString(sum[:8])}
		if at == "/index.html" {
			out["/"], out[callback] = f, f
			return nil
		}
		out[at] = f
		return nil
	})
	return out, err
}

// file is one file of the page. It is compressed when it is asked for first.
type file struct {
	text      []byte
	kind, tag string

	once       sync.Once
	small, gzs []byte // by brotli, by gzip
}

func (f *file) compress() {
	var small, gzs bytes.Buffer
	b := brotli.NewWriterLevel(&small, brotli.BestCompression)
	z, _ := gzip.NewWriterLevel(&gzs, gzip.BestCompression) // the level is a known one
	for _, w := range []interface {
		Write([]byte) (int, error)
		Close() error
	}{b, z} {
		_, _ = w.Write(f.text) // into memory
		_ = w.Close()
	}
	f.small, f.gzs = small.Bytes(), gzs.Bytes()
}

// coded returns the file as a client takes it.
func (f *file) coded(accepts string) (text []byte, coding string) {
	f.once.Do(f.compress)
	switch {
	case takes(accepts, "br"):
		return f.small, "br"
	case takes(accepts, "gzip"):
		return f.gzs, "gzip"
	}
	return f.text, ""
}

// takes tells whether an Accept-Encoding names a coding and does not refuse it.
func takes(accepts, coding string) bool {
	for part := range strings.SplitSeq(accepts, ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.TrimSpace(name) != coding {
			continue
		}
		_, text, given := strings.Cut(q, "=")
		v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		return !given || err == nil && v > 0
	}
	return false
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	text, coding := f.coded(r.Header.Get("Accept-Encoding"))
	tag := f.tag
	h := w.Header()
	if coding != "" {
		h.Set("Content-Encoding", coding)
		tag += "-" + coding
	}
	tag = strconv.Quote(tag)
	h.Set("Content-Type", f.kind)
	h.Set("ETag", tag)
	h.Set("Vary", "Accept-Encoding")
	h.Set("Cache-Control", "no-cache") // asked for again each time, and answered with 304
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if strings.Contains(r.Header.Get("If-None-Match"), tag) {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(text)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(text) // nobody left to tell
	}
}
