package image

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// The image of Myelin runs as nobody special, has the workers of all runtimes, and is
// the same whenever it is made.
func TestPlatform(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"myelin": "m", "processor": "p", "a/python/1/w.py": "x", "b/nodejs/2/w.js": "y"} {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	base, err := Base(t.Context(), Scratch, Architecture())
	if err != nil {
		t.Fatal(err)
	}
	var digests []string
	for range 2 {
		img, err := Platform{Program: filepath.Join(dir, "myelin"), Processor: filepath.Join(dir, "processor"), Caches: []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}}.On(base, nil)
		if err != nil {
			t.Fatal(err)
		}
		digest, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, digest.String())
		c, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if c.Config.User != user || !slices.Equal(c.Config.Entrypoint, []string{"/myelin/bin/myelin"}) || !slices.Contains(c.Config.Env, "MYELIN_CACHE=/myelin/cache") {
			t.Errorf("%+v", c.Config)
		}
	}
	if digests[0] != digests[1] {
		t.Error(digests)
	}
}

// Of a cache with the workers of several runtimes an image of a function gets its own,
// as if there were no others.
func TestProcessorTakesOneWorker(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"both/python/1/w.py", "both/nodejs/2/w.js", "one/python/1/w.py"} {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var sums []string
	for _, p := range []Processor{{Cache: filepath.Join(dir, "both"), Runtime: "python"}, {Cache: filepath.Join(dir, "one")}} {
		files, err := p.files()
		if err != nil {
			t.Fatal(err)
		}
		sum, err := (*Layers)(nil).remembered().of(files)
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, sum)
	}
	if sums[0] != sums[1] {
		t.Error(sums)
	}
}
