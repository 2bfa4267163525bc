package dashboard_test

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// wheel is a Python package of one module, greetings.
func wheel(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range [][2]string{
		{"greetings.py", "WORD = \"hi\"\n"},
		{"greetings-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: greetings\nVersion: 1.0\n"},
		{"greetings-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{"greetings-1.0.dist-info/RECORD", "greetings.py,,\ngreetings-1.0.dist-info/METADATA,,\ngreetings-1.0.dist-info/WHEEL,,\ngreetings-1.0.dist-info/RECORD,,\n"},
	} {
		out, err := w.Create(f[0])
		if err == nil {
			_, err = out.Write([]byte(f[1]))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// Functions of several files are edited in a browser: Python with what it
// requires, and Go.
func TestFiles(t *testing.T) {
	m := newMachine(t)
	dir := filepath.Join(t.TempDir(), "many")
	const whl = "greetings-1.0-py3-none-any.whl"
	for path, text := range map[string][]byte{
		"main.py":          []byte("from lib import words\n\ndef handler(context, event):\n    return words.HELLO\n"),
		"lib/words.py":     []byte("HELLO = \"Moin\"\n"),
		"requirements.txt": []byte("./" + whl + "\n"),
		whl:                wheel(t),
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	m.run(dir)
	m.browse("files.mjs", func(what string) { t.Errorf("the browser's script wants %q", what) })
}
