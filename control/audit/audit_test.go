package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func record(i int) Record {
	return Record{Time: time.Unix(int64(1000+i), 0).UTC(), Who: "ann", Operation: "functions.write", Namespace: "default", Object: fmt.Sprintf("f%d", i), Outcome: Done, Status: 200}
}

func TestRotatesAndReads(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := New(Options{Dir: dir, Bytes: 1000, Files: 4})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 10 {
				if err := l.Append(record(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) < 2 || len(files) > 4 {
		t.Fatalf("files %v %v", files, err)
	}
	for _, f := range append(files, dir) {
		st, err := os.Stat(f)
		if err != nil || st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v %v", f, st.Mode(), err)
		}
		if !st.IsDir() && st.Size() > 1000 {
			t.Errorf("%s has %d bytes", f, st.Size())
		}
	}
	if err := l.Append(record(77)); err != nil {
		t.Fatal(err)
	}
	got, err := l.Read(Query{Limit: 3})
	if err != nil || len(got) != 3 || got[2].Object != "f77" {
		t.Fatalf("%+v %v", got, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Read(Query{Object: "f77"}); err != nil || len(got) != 1 {
		t.Errorf("after the end: %+v %v", got, err)
	}
}

func TestQueries(t *testing.T) {
	l := New(Options{Dir: t.TempDir(), Sync: Second})
	for i := range 5 {
		r := record(i)
		if i == 3 {
			r.Who, r.Operation, r.Outcome = "eve", "secrets.list", Refused
		}
		if err := l.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		q    Query
		want int
	}{
		"all": {Query{}, 5}, "who": {Query{Who: "eve"}, 1}, "since": {Query{Since: time.Unix(1002, 0)}, 3}, "group": {Query{Operation: "functions"}, 4},
		"operation": {Query{Operation: "secrets.list"}, 1}, "no prefix": {Query{Operation: "secret"}, 0}, "outcome": {Query{Outcome: Refused, Who: "ann"}, 0},
		"last": {Query{Limit: 2}, 2},
	} {
		if got, err := l.Read(c.q); err != nil || len(got) != c.want {
			t.Errorf("%s: %d, %v", name, len(got), err)
		}
	}
}

// A line that a dying machine left half written hides nothing that comes after.
func TestHalfALine(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, current), []byte(`{"who":"ann","operation":"a.b"}`+"\n"+`{"who":"bo`), 0o600); err != nil {
		t.Fatal(err)
	}
	l := New(Options{Dir: dir})
	if err := l.Append(record(1)); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Read(Query{}); err != nil || len(got) != 2 || got[1].Object != "f1" {
		t.Errorf("%+v %v", got, err)
	}
}

// What cannot be kept is an error, and is over when there is room again.
func TestNotKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // a file where the directory should be
		t.Fatal(err)
	}
	l := New(Options{Dir: dir})
	if err := l.Append(record(1)); err == nil || l.Err() == nil {
		t.Fatal("kept nowhere")
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(record(2)); err != nil || l.Err() != nil {
		t.Errorf("%v %v", err, l.Err())
	}
}
