package image

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/myelin-run/myelin/build/artefact"
)

// noise is content that cannot be compressed.
func noise(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data) // never fails
	return data
}

func keptLayer(t *testing.T, l *Layers, data []byte) v1.Layer {
	t.Helper()
	made, err := l.of([]file{{path: "/a/b", data: data, mode: 0o644}})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func compressed(t *testing.T, l v1.Layer) []byte {
	t.Helper()
	r, err := l.Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestLayersAreKept: a layer is the same whether it was kept, made anew, or made
// in memory; one that was damaged, or collected while it is used, is made anew.
func TestLayersAreKept(t *testing.T) {
	l, data := NewLayers(t.TempDir()), noise(200_000)
	first := keptLayer(t, l, data)
	if err := validate.Layer(first); err != nil {
		t.Error(err)
	}
	want := compressed(t, first)
	path := first.(*layer).path
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := compressed(t, keptLayer(t, nil, data)); !bytes.Equal(got, want) {
		t.Error("in memory it is another")
	}
	again := keptLayer(t, l, data)
	if now, err := os.Stat(again.(*layer).path); err != nil || !os.SameFile(fi, now) || !bytes.Equal(compressed(t, again), want) {
		t.Errorf("compressed again, %v", err)
	}
	if err := os.WriteFile(path, append([]byte("x"), want[1:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := compressed(t, keptLayer(t, l, data)); !bytes.Equal(got, want) {
		t.Error("what was damaged is used")
	}
	if err := os.RemoveAll(l.dir); err != nil {
		t.Fatal(err)
	}
	if got := compressed(t, again); !bytes.Equal(got, want) {
		t.Error("what was collected is lost")
	}
}

// TestLayersAreBounded: what was used last stays.
func TestLayersAreBounded(t *testing.T) {
	l := NewLayers(t.TempDir())
	l.most = 250_000
	var paths []string
	for i := range 4 {
		path := keptLayer(t, l, noise(100_000+i)).(*layer).path
		old := time.Now().Add(-time.Duration(4-i) * time.Hour)
		if err := os.Chtimes(filepath.Dir(path), old, old); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	keptLayer(t, l, noise(100_000)) // used now
	if err := l.Collect(); err != nil {
		t.Fatal(err)
	}
	for i, stays := range []bool{true, false, false, true} {
		if _, err := os.Stat(paths[i]); (err == nil) != stays {
			t.Errorf("layer %d: %v", i, err)
		}
	}
	if err := NewLayers(t.TempDir()).Collect(); err != nil {
		t.Error(err)
	}
}

// TestLayersOfMany: many make the same layer at once, after one was killed in the
// middle of it.
func TestLayersOfMany(t *testing.T) {
	const dirVariable = "MYELIN_TEST_LAYERS"
	data := noise(3_000_000)
	if dir := os.Getenv(dirVariable); dir != "" {
		dieCompressing(t, NewLayers(dir), data)
		return
	}
	dir := t.TempDir()
	l := NewLayers(dir)
	doomed := exec.Command(os.Args[0], "-test.run=^TestLayersOfMany$")
	doomed.Env, doomed.SysProcAttr = append(os.Environ(), dirVariable+"="+dir), &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := doomed.Run(); doomed.ProcessState.ExitCode() != -1 {
		t.Fatalf("it was not killed: %v", err)
	}
	if left, err := filepath.Glob(l.dir + "/.tmp-*/" + layerFile); err != nil || len(left) != 1 {
		t.Errorf("the killed one left %q, %v", left, err)
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			made, err := l.of([]file{{path: "/a/b", data: data, mode: 0o644}})
			if err == nil {
				err = validate.Layer(made)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if err := validate.Layer(keptLayer(t, l, data)); err != nil {
		t.Error(err)
	}
}

// dieCompressing ends this process in the middle of making a layer.
func dieCompressing(t *testing.T, l *Layers, data []byte) {
	t.Helper()
	made := keptLayer(t, nil, data).(*layer)
	if err := os.MkdirAll(l.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	_, _, err := artefact.Place(l.dir, compressor()+"-"+made.diffID.Hex, made.sound, func(dir string) error {
		out, err := os.Create(filepath.Join(dir, layerFile))
		if err == nil {
			_, err = out.Write(made.data[:len(made.data)/2])
		}
		return errors.Join(err, syscall.Kill(os.Getpid(), syscall.SIGKILL))
	})
	t.Fatal(err)
}

// written is how many bytes the files below dir have that are not known yet.
func written(t *testing.T, dir string, known map[uint64]bool) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		if at := fi.Sys().(*syscall.Stat_t).Ino; !known[at] {
			known[at] = true
			n += fi.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestBytesOfAChange: a change of a function's code writes to the disk what its
// code has, whatever base and processor have.
func TestBytesOfAChange(t *testing.T) {
	dir := t.TempDir()
	d := Depot{Layers: NewLayers(dir)}
	program := filepath.Join(t.TempDir(), "processor")
	write(t, program, string(noise(5_000_000)), 0o700)
	build := func(code, base string, to string) string {
		t.Helper()
		p := parts(t, code)
		p.Layers, p.Processor = d.Layers, Processor{Program: program}
		var err error
		if p.Base, err = d.Base(t.Context(), base, "amd64"); err != nil {
			t.Fatal(err)
		}
		digest, err := d.Write(t.Context(), made(t, p), "oci:"+filepath.Join(dir, to), "x:1")
		if err != nil {
			t.Fatal(err)
		}
		return digest.String()
	}
	known := map[uint64]bool{}
	build("one", Scratch, "one")
	if n := written(t, dir, known); n < 5_000_000 {
		t.Errorf("the first image is of %d bytes", n)
	}
	want := build("two", Scratch, "two")
	if n := written(t, dir, known); n > 20_000 {
		t.Errorf("the change wrote %d bytes", n)
	}
	back, err := d.Base(t.Context(), "oci:"+dir+"/two", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(back); err != nil {
		t.Error(err)
	}
	build("three", "oci:"+dir+"/two", "three")
	if n := written(t, dir, known); n > 20_000 {
		t.Errorf("the change on a base of a layout wrote %d bytes", n)
	}
	d.Layers = NewLayers(t.TempDir())
	if again := build("two", Scratch, "again"); again != want {
		t.Errorf("%s, and with nothing kept %s", want, again)
	}
}
