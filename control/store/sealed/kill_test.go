package sealed_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/control/store"
	"github.com/myelin-run/myelin/control/store/etcd"
	"github.com/myelin-run/myelin/control/store/mirror"
	"github.com/myelin-run/myelin/control/store/sealed"
)

var kills = flag.Int("kills", 6, "how often the writer of a store is killed")

const writerEnv = "SEALED_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		fmt.Println("error", writeForEver(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// layers opens a store as a control plane does: the disk, its mirror, the seal.
func layers(ctx context.Context, dir string) (*sealed.Store, *mirror.Store, *etcd.Store, error) {
	disk, err := etcd.Open(ctx, etcd.Options{Dir: dir, Wrapping: sealed.Wrapping, Reserve: -1})
	if err != nil {
		return nil, nil, nil, err
	}
	memory, err := mirror.Open(ctx, disk)
	if err != nil {
		return nil, nil, nil, errors.Join(err, disk.Close())
	}
	k, err := sealed.LoadKeys(filepath.Join(dir, "keys"), true)
	var s *sealed.Store
	if err == nil {
		s, err = sealed.Open(ctx, memory, k)
	}
	if err != nil {
		memory.Close()
		return nil, nil, nil, errors.Join(err, disk.Close())
	}
	return s, memory, disk, nil
}

const writers = 4

// content is long enough to be cut in two somewhere.
func content(w, i int) []byte {
	return []byte(strings.Repeat(fmt.Sprintf("%d:%d ", w, i), 1+i%300))
}

// writeForEver commits numbers, two keys at a time, drops old ones, and says
// what was acknowledged, while the key is rotated again and again; what it
// reads between is never half of a commit.
func writeForEver(dir string) error {
	ctx := context.Background()
	s, _, _, err := layers(ctx, dir)
	if err != nil {
		return err
	}
	errs := make(chan error, writers+2)
	for w := range writers {
		first := 1
		if e, err := store.Get(ctx, s, fmt.Sprintf("last/%d", w)); err == nil {
			_, _ = fmt.Sscan(string(e.Value), &first)
			first++
		}
		go func() { errs <- write(ctx, s, w, first) }()
	}
	go func() {
		for {
			id, err := s.Rotate(ctx)
			if err != nil {
				errs <- err
				return
			}
			fmt.Println("rotated", id)
		}
	}()
	go func() {
		for {
			if _, err := whole(ctx, s); err != nil {
				errs <- err
				return
			}
		}
	}()
	return <-errs
}

func write(ctx context.Context, s store.Store, w, first int) error {
	for i := first; ; i++ {
		ops := []store.Op{{Key: fmt.Sprintf("last/%d", w), Value: fmt.Append(nil, i)}, {Key: fmt.Sprintf("n/%d/%09d", w, i), Value: content(w, i)}}
		if i > 20 {
			ops = append(ops, store.Op{Key: fmt.Sprintf("n/%d/%09d", w, i-20)})
		}
		if _, err := s.Commit(ctx, ops...); err != nil {
			return err
		}
		if _, err := store.Get(ctx, s, ops[1].Key); err != nil {
			return fmt.Errorf("what was just written: %w", err)
		}
		fmt.Println("wrote", w, i)
	}
}

// whole reads everything, and says for each writer which was its last.
func whole(ctx context.Context, s store.Store) (last [writers]int, err error) {
	all, _, err := s.List(ctx, "")
	if err != nil {
		return last, err
	}
	newest, count := [writers]int{}, [writers]int{}
	for _, e := range all {
		var w, i int
		if _, err := fmt.Sscanf(e.Key, "last/%d", &w); err == nil {
			_, _ = fmt.Sscan(string(e.Value), &last[w])
			continue
		}
		if _, err := fmt.Sscanf(e.Key, "n/%d/%d", &w, &i); err != nil {
			return last, fmt.Errorf("there is a key %q", e.Key)
		}
		newest[w] = max(newest[w], i)
		count[w]++
		if !bytes.Equal(e.Value, content(w, i)) {
			return last, fmt.Errorf("%s is %q", e.Key, e.Value)
		}
	}
	for w := range writers {
		if newest[w] != last[w] || count[w] != min(last[w], 20) {
			return last, fmt.Errorf("half of a commit: writer %d is at %d by one key and at %d by another, and has %d", w, last[w], newest[w], count[w])
		}
	}
	return last, nil
}

// Whatever moment the writer of a sealed store with a mirror is killed at, its
// key half rotated too, what it acknowledged is there, nothing is there by
// half, and the store opens.
func TestKilledWriterOfASealedStore(t *testing.T) {
	dir := t.TempDir()
	acked, rotations := [writers]int{}, 0
	for round := range *kills {
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
		lines := bufio.NewScanner(out)
		rotated := round%2 == 0 // every other writer lives until it has rotated the key
		for seen := 0; lines.Scan(); seen++ {
			var w, i int
			switch _, err := fmt.Sscanf(lines.Text(), "wrote %d %d", &w, &i); {
			case err == nil:
				acked[w] = i
			case strings.HasPrefix(lines.Text(), "rotated "):
				rotations, rotated = rotations+1, true
			default:
				t.Errorf("the writer said %q", lines.Text())
			}
			if rotated && seen >= 40+17*(round%9) {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
		s, memory, disk, err := layers(t.Context(), dir)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		last, err := whole(t.Context(), s)
		if err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		for w := range writers {
			if last[w] < acked[w] {
				t.Errorf("round %d: writer %d was told of %d, and %d is the last", round, w, acked[w], last[w])
			}
		}
		memory.Close()
		closed(t, disk)
	}
	if rotations < *kills/2 {
		t.Errorf("the key was rotated %d times only", rotations)
	}
	t.Logf("%v were written, the key was rotated %d times", acked, rotations)
}
