package letterbox_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/myelin-run/myelin/trigger"
	"github.com/myelin-run/myelin/trigger/letter"
	"github.com/myelin-run/myelin/trigger/letterbox"
)

var _ trigger.Destination = (*letterbox.Box)(nil)

func note(i int) *letter.Letter {
	return &letter.Letter{Version: letter.Version, ID: fmt.Sprint("l", i), Reason: letter.Attempts, Trigger: "q", Kind: "fake", Error: "no",
		Attempts: 3, First: time.Unix(int64(i), 0).UTC(), Last: time.Unix(int64(i+1), 0).UTC(),
		Event: letter.Event{ID: fmt.Sprint(i), Body: letter.Bytes{0xff, byte(i)}, Time: time.Unix(1, 0).UTC()}}
}

func TestKeepsLetters(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "later")
	b := letterbox.New(letterbox.Options{Dir: dir})
	if n, err := b.Count(); n != 0 || err != nil {
		t.Fatalf("an absent box has %d, %v", n, err)
	}
	for _, i := range []int{0, 1, 2, 2, 3} { // one comes twice
		if err := b.Send(t.Context(), note(i)); err != nil {
			t.Fatal(err)
		}
	}
	var got []int
	after := ""
	for {
		kept, problems, next, err := letterbox.New(letterbox.Options{Dir: dir}).List(after, 3)
		if err != nil || len(problems) > 0 {
			t.Fatal(err, problems)
		}
		for _, k := range kept {
			var i int
			_, _ = fmt.Sscan(k.Event.ID, &i)
			got = append(got, i)
			if diff := cmp.Diff(note(i), &k.Letter); diff != "" || k.Size == 0 || k.ID != letterbox.Name(note(i)) {
				t.Errorf("letter %d: %s %+v", i, diff, k)
			}
		}
		if after = next; next == "" {
			break
		}
	}
	if fmt.Sprint(got) != "[0 1 2 3]" {
		t.Errorf("listed %v", got)
	}
	id := letterbox.Name(note(1))
	if err := b.Remove(id); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Get(id); !errors.Is(err, letterbox.ErrNotFound) {
		t.Errorf("a removed letter: %v", err)
	}
	if err := b.Remove(id); !errors.Is(err, letterbox.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("directory: %v %v", st.Mode(), err)
	}
}

// A full box refuses; what is removed by somebody else makes room.
func TestFullBox(t *testing.T) {
	for name, o := range map[string]letterbox.Options{"letters": {Letters: 3}, "bytes": {Bytes: 1500}} {
		t.Run(name, func(t *testing.T) {
			o.Dir = t.TempDir()
			b, other := letterbox.New(o), letterbox.New(o)
			n := 0
			for ; n < 20; n++ {
				err := b.Send(t.Context(), note(n))
				if errors.Is(err, letterbox.ErrFull) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if n < 2 || n == 20 {
				t.Fatalf("%d letters fitted", n)
			}
			if err := other.Remove(letterbox.Name(note(0))); err != nil {
				t.Fatal(err)
			}
			if err := b.Send(t.Context(), note(n)); err != nil {
				t.Error(err)
			}
		})
	}
}

// What is in the directory besides letters does no harm to who reads it.
func TestStrangeFiles(t *testing.T) {
	dir := t.TempDir()
	b := letterbox.New(letterbox.Options{Dir: dir})
	if err := b.Send(t.Context(), note(1)); err != nil {
		t.Fatal(err)
	}
	name := func(c byte) string { return filepath.Join(dir, string(bytes.Repeat([]byte{c}, 32))+".json") }
	secret := filepath.Join(t.TempDir(), "secret")
	if err := errors.Join(os.WriteFile(name('a'), []byte("{"), 0o600), os.WriteFile(name('b'), []byte(`{"version":99}`), 0o600),
		os.WriteFile(secret, []byte(`{"version":1,"id":"s3cret"}`), 0o600), os.Symlink(secret, name('c')), syscall.Mkfifo(name('d'), 0o600),
		os.Mkdir(name('e'), 0o700), os.WriteFile(filepath.Join(dir, ".new1"), nil, 0o600), os.WriteFile(filepath.Join(dir, "x.json"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	kept, problems, _, err := b.List("", 0)
	if err != nil || len(kept) != 1 || len(problems) != 2 {
		t.Errorf("listed %v, %v, %v", kept, problems, err)
	}
	for _, c := range []byte("cde") {
		if k, err := b.Get(string(bytes.Repeat([]byte{c}, 32))); err == nil {
			t.Errorf("read %+v", k)
		}
	}
	for _, id := range []string{"", "../secret", "..", secret} {
		if _, err := b.Get(id); !errors.Is(err, letterbox.ErrNotFound) {
			t.Errorf("get %q: %v", id, err)
		}
		if err := b.Remove(id); !errors.Is(err, letterbox.ErrNotFound) {
			t.Errorf("remove %q: %v", id, err)
		}
	}
}

func TestManySendAndRemove(t *testing.T) {
	o := letterbox.Options{Dir: t.TempDir()}
	var wg sync.WaitGroup
	for w := range 4 {
		b := letterbox.New(o)
		wg.Go(func() {
			for i := range 25 {
				if err := b.Send(t.Context(), note(w*25+i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	removed := 0
	for removed < 50 {
		b := letterbox.New(o)
		kept, problems, _, err := b.List("", 10)
		if err != nil || len(problems) > 0 {
			t.Fatal(err, problems)
		}
		for _, k := range kept {
			if err := b.Remove(k.ID); err != nil {
				t.Fatal(err)
			}
			removed++
		}
	}
	wg.Wait()
	if n, err := letterbox.New(o).Count(); err != nil || n != 100-removed {
		t.Errorf("%d left, %v", n, err)
	}
}
