package etcd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/control/store/storetest"
)

// writerEnv makes the test binary a writer that is killed by its parent.
const writerEnv = "MYELIN_TEST_STORE_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		writeForEver(dir)
	}
	os.Exit(m.Run())
}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func TestSuite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir()) })
}

func TestSecondOpenIsRefused(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	_, err := Open(t.Context(), Options{Dir: dir})
	want := fmt.Sprintf("data directory %s is in use by myelin up, pid %d", dir, os.Getpid())
	if err == nil || err.Error() != want {
		t.Fatalf("got %v, want %s", err, want)
	}
}

func TestReopenKeepsAll(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	rev, err := s.Commit(t.Context(), store.Op{Key: "k", Value: []byte("v")})
	if err != nil {
		t.Fatal(err)
	}
	watch := s.Watch(t.Context(), "", rev)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, ok := <-watch; ok {
		t.Error("a closed store sent a change")
	}
	start := time.Now()
	s = open(t, dir)
	t.Logf("opened in %v", time.Since(start))
	e, err := store.Get(t.Context(), s, "k")
	if err != nil || string(e.Value) != "v" || e.Revision != rev {
		t.Fatalf("got %+v, %v", e, err)
	}
}

func TestFullDiskIsAnError(t *testing.T) {
	s := open(t, t.TempDir())
	if _, err := s.Commit(t.Context(), store.Op{Key: "k", Value: []byte("v")}); err != nil {
		t.Fatal(err)
	}
	s.reserve = 1 << 60
	if _, err := s.Commit(t.Context(), store.Op{Key: "k", Value: []byte("w")}); !errors.Is(err, store.ErrFull) {
		t.Fatalf("got %v", err)
	}
	s.reserve = -1
	if e, err := store.Get(t.Context(), s, "k"); err != nil || string(e.Value) != "v" {
		t.Fatalf("got %+v, %v", e, err)
	}
}

// writeForEver commits numbers and prints each one that was acknowledged.
func writeForEver(dir string) {
	ctx := context.Background()
	s, err := Open(ctx, Options{Dir: dir})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	first := 0
	if e, err := store.Get(ctx, s, "number"); err == nil {
		first, _ = strconv.Atoi(string(e.Value))
	}
	for i := first + 1; ; i++ {
		n := []byte(strconv.Itoa(i))
		if _, err := s.Commit(ctx, store.Op{Key: "number", Value: n}, store.Op{Key: "n/" + string(n), Value: n}); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(i)
	}
}

func TestKilledWriterLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	for round := range 6 {
		acked := killWriter(t, dir, 20+7*round)
		s, err := Open(t.Context(), Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i <= acked; i++ {
			if _, err := store.Get(t.Context(), s, "n/"+strconv.Itoa(i)); err != nil && !errors.Is(err, store.ErrNotFound) {
				t.Fatal(err)
			} else if err != nil {
				t.Fatalf("round %d: %d was acknowledged and is lost", round, i)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killWriter kills a writer after n acknowledgements and returns the last one.
func killWriter(t *testing.T, dir string, n int) int {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), writerEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := 0
	lines := bufio.NewScanner(out)
	for seen := 0; lines.Scan(); seen++ {
		i, err := strconv.Atoi(lines.Text())
		if err != nil {
			t.Errorf("writer said %q", lines.Text())
			break
		}
		last = i
		if seen == n {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait()
	return last
}
