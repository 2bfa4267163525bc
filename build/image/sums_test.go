package image

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSumsAreRemembered(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(program, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("one")
	files := []file{{path: "/bin/program", from: program, mode: 0o755}, {path: "/etc/name", data: []byte("x"), mode: 0o644}}
	var s sums
	of := func(files []file) string {
		t.Helper()
		kept, err := s.of(files)
		if err != nil {
			t.Fatal(err)
		}
		if fresh, err := (*sums)(nil).of(files); err != nil || fresh != kept {
			t.Errorf("remembered %s, read %s, %v", kept, fresh, err)
		}
		return kept
	}
	one := of(files)
	s.known.Range(func(key, _ any) bool { s.known.Store(key, "planted"); return true })
	if got, err := s.of(files); err != nil || got != "planted" {
		t.Errorf("what was summed up is read again: %s, %v", got, err)
	}
	write("two") // as long, and at another time
	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(program, later, later); err != nil {
		t.Fatal(err)
	}
	if two := of(files); two == one {
		t.Error("a file was changed, and its sum was not")
	}
	files[1].data = []byte("y")
	if of(files) == one {
		t.Error("data were changed, and their sum was not")
	}
	if err := os.Remove(program); err != nil {
		t.Fatal(err)
	}
	if got, err := s.of(files); err == nil {
		t.Errorf("the sum of a file that is not there: %s", got)
	}
}
