package once

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const writerEnv = "ONCE_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		fmt.Println("error", writeForEver(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func record(n int) Record {
	return Record{Key: fmt.Sprint("key ", n), Sum: []byte{byte(n)}, Until: time.Now().Add(time.Hour), Answer: []byte(strings.Repeat(fmt.Sprint(n, "\n"), 1+n%500))}
}

// writeForEver keeps answers from several goroutines and says which were kept.
func writeForEver(dir string) error {
	l, err := NewLog(dir, 8<<20)
	if err != nil {
		return err
	}
	first := 0
	if err := l.Load(func(r Record) {
		var n int
		if _, err := fmt.Sscanf(r.Key, "key %d", &n); err == nil {
			first = max(first, n+1)
		}
	}); err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make(chan error, 4)
	for w := range 4 {
		wg.Go(func() {
			for n := first + w; ; n += 4 {
				if err := l.Put(record(n)); err != nil {
					errs <- err
					return
				}
				fmt.Println(n)
			}
		})
	}
	return <-errs
}

func loaded(t *testing.T, l *Log) map[string]string {
	t.Helper()
	out := map[string]string{}
	if err := l.Load(func(r Record) { out[r.Key] = string(r.Answer) }); err != nil {
		t.Fatal(err)
	}
	return out
}

// Whatever moment its writer is killed at, what was kept is there, whole.
func TestKilledWriterLosesNothingKept(t *testing.T) {
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	kept := map[int]bool{}
	for round := range 5 {
		cmd := exec.CommandContext(t.Context(), exe)
		cmd.Env = append(os.Environ(), writerEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for seen := 0; lines.Scan(); seen++ {
			n, err := strconv.Atoi(lines.Text())
			if err != nil {
				t.Errorf("the writer said %q", lines.Text())
				break
			}
			kept[n] = true
			if seen == 30+11*round {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
		l, err := NewLog(dir, 8<<20)
		if err != nil {
			t.Fatal(err)
		}
		there := loaded(t, l)
		for n := range kept {
			if want := record(n); there[want.Key] != string(want.Answer) {
				t.Fatalf("round %d: %d was kept and is lost, or not whole", round, n)
			}
		}
	}
	if len(kept) < 150 {
		t.Errorf("only %d were kept", len(kept))
	}
}

// Two processes share a directory, and each reads what the other adds, once.
func TestLogsAreShared(t *testing.T) {
	dir := t.TempDir()
	a, err := NewLog(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := NewLog(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for n := range 20 {
		if err := a.Put(record(n)); err != nil {
			t.Fatal(err)
		}
		if got := loaded(t, b); len(got) != 1 || got[record(n).Key] != string(record(n).Answer) {
			t.Fatalf("%d: %d records", n, len(got))
		}
	}
	if got := loaded(t, a); len(got) != 0 {
		t.Errorf("%d of its own were read", len(got))
	}
}

// A file that ends anywhere, or is no log, gives what is whole in it.
func TestHalfRecordsAreLeft(t *testing.T) {
	dir := t.TempDir()
	l, err := NewLog(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if err := l.Put(record(n)); err != nil {
			t.Fatal(err)
		}
	}
	path := l.file.Name()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lengths := map[int]bool{}
	for end := range whole {
		if err := os.WriteFile(path, whole[:end], 0o600); err != nil {
			t.Fatal(err)
		}
		fresh, err := NewLog(dir, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		got := loaded(t, fresh)
		lengths[len(got)] = true
		for n := range 3 {
			if a, ok := got[record(n).Key]; ok && a != string(record(n).Answer) {
				t.Fatalf("cut at %d: %q", end, a)
			}
		}
	}
	if len(lengths) != 3 {
		t.Errorf("%v records in files that were cut", lengths)
	}
	if err := os.WriteFile(filepath.Join(dir, "zz.log"), []byte("\xff\xff\xff\xffno log at all"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	fresh, err := NewLog(dir, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if got := loaded(t, fresh); len(got) != 3 {
		t.Errorf("%d records beside a file that is none", len(got))
	}
}

// What is too much goes, the oldest first, and what is over goes.
func TestLogIsBounded(t *testing.T) {
	dir := t.TempDir()
	l, err := NewLog(dir, 200_000)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for n := range 900 {
		if err := l.Put(record(n)); err != nil {
			t.Fatal(err)
		}
		if n%50 == 0 {
			if err := l.Forget(time.Now().Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Forget(time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	size, files := int64(0), 0
	names, err := l.names()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		st, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		size, files = size+st.Size(), files+1
	}
	fresh, err := NewLog(dir, 200_000)
	if err != nil {
		t.Fatal(err)
	}
	got := loaded(t, fresh)
	if size > 200_000 || files < 5 || got[record(899).Key] == "" || got[record(0).Key] != "" {
		t.Errorf("%d bytes in %d files with %d records", size, files, len(got))
	}
	if err := l.Forget(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if names, err := l.names(); err != nil || len(names) != 1 {
		t.Errorf("%v are left, %v", names, err)
	}
}
