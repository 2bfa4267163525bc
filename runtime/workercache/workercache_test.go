package workercache

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func files(text string) Files {
	return Files{"worker": fstest.MapFS{"a.c": {Data: []byte(text)}}, "sdk": fstest.MapFS{"p/b.js": {Data: []byte("b")}}}
}

func TestInstall(t *testing.T) {
	base := t.TempDir()
	dirs := make(chan string, 4)
	for range cap(dirs) { // at once, as several workers may
		go func() {
			dir, err := Install(base, "x", files("int a;"))
			if err != nil {
				t.Error(err)
			}
			dirs <- dir
		}()
	}
	dir := <-dirs
	for range cap(dirs) - 1 {
		if got := <-dirs; got != dir {
			t.Errorf("%s and %s", got, dir)
		}
	}
	if text, err := os.ReadFile(filepath.Join(dir, "sdk", "p", "b.js")); err != nil || string(text) != "b" {
		t.Errorf("%s, %v", text, err)
	}
	if other, err := Install(base, "x", files("int b;")); err != nil || other == dir {
		t.Errorf("other content is in the same place: %s, %v", other, err)
	}
	if left, _ := filepath.Glob(filepath.Join(base, "x", ".new-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := Install(base, "x", files("int a;")); err == nil || !strings.Contains(err.Error(), "can be written by others") {
		t.Errorf("an open cache: %v", err)
	}
}

func TestCompile(t *testing.T) {
	dir, err := Install(t.TempDir(), "x", files("int a(void) { return 1; }"))
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	try := func(string) error { tried++; return nil }
	for _, want := range []bool{true, false} {
		made, err := Compile(context.Background(), dir, "worker/a.so", "worker/a.c", nil, try)
		if err != nil || made != want {
			t.Fatalf("made %v, %v", made, err)
		}
	}
	if tried != 1 {
		t.Errorf("tried %d times", tried)
	}
	refuse := func(string) error { return errors.New("refused") }
	if _, err := Compile(context.Background(), dir, "worker/b.so", "worker/a.c", nil, refuse); err == nil || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "worker", "b.so")); err == nil {
		t.Error("what was refused is in place")
	}
	bad, err := Install(t.TempDir(), "x", files("no C at all"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Compile(context.Background(), bad, "worker/a.so", "worker/a.c", nil, try); err == nil || !strings.Contains(err.Error(), "a.c:1") {
		t.Errorf("got %v", err)
	}
	t.Setenv("PATH", t.TempDir())
	t.Setenv("CC", "")
	if _, err := Compile(context.Background(), bad, "worker/a.so", "worker/a.c", nil, try); err == nil || !strings.Contains(err.Error(), "no C compiler") {
		t.Errorf("got %v", err)
	}
}

func TestPlaces(t *testing.T) {
	t.Setenv("MYELIN_CACHE", "/somewhere")
	if got, err := Places("/scratch"); err != nil || strings.Join(got, " ") != "/somewhere /scratch/cache" {
		t.Errorf("%v, %v", got, err)
	}
}
