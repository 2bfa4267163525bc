package shell

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/myelin-run/myelin/binding"
	"github.com/myelin-run/myelin/binding/bindingtest"
	"github.com/myelin-run/myelin/binding/data"
	"github.com/myelin-run/myelin/binding/file"
	"github.com/myelin-run/myelin/binding/object/directory"
	"github.com/myelin-run/myelin/event"
	"github.com/myelin-run/myelin/runtime"
)

// desk is a binding whose files are in dir.
func desk(t *testing.T, dir, attributes string) *data.Files {
	t.Helper()
	b, err := file.Over(directory.Factory()).New(binding.Settings{Name: "desk", Dir: dir, Log: slog.New(slog.DiscardHandler)}, []byte(attributes))
	if err != nil {
		t.Fatal(err)
	}
	return data.NewFiles(bindingtest.Opened(t, b).(data.FileStore), nil)
}

// runs is an instance of a script with that binding, and the directory for what
// it leaves.
func runs(t *testing.T, script string, attrs string, f *data.Files) (runtime.Instance, string) {
	t.Helper()
	dir, scratch := t.TempDir(), filepath.Join(t.TempDir(), "scratch")
	if err := os.WriteFile(filepath.Join(dir, "f.sh"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	set := runtime.Settings{Dir: dir, Scratch: scratch, Log: slog.New(slog.DiscardHandler), FunctionLog: slog.New(slog.DiscardHandler), Handles: map[string]any{"desk": f}}
	set.Function.Spec.Handler = "f.sh"
	r, err := Factory().New(set, []byte(attrs))
	if err != nil {
		t.Fatal(err)
	}
	in, err := r.Open(t.Context(), runtime.Worker{})
	if err != nil {
		t.Fatal(err)
	}
	return in, scratch
}

// Files are laid out before the command, taken back if it succeeded, and gone
// in any case.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	f := desk(t, dir, `{"in": ["{body}"], "out": ["made/*"], "maxValue": "1Mi"}`)
	in, scratch := runs(t, `#!/bin/sh
name=$(cat); cd "$MYELIN_FILES/desk" || exit 1
mkdir made; chmod 000 made; chmod 700 made
case $name in
fails) echo x > made/never; exit 3;;
links) ln -s /etc/passwd made/passwd;;
moved) rm -r ../desk; ln -s / ../desk;;
locked) mkdir deep; touch deep/f; chmod 000 deep; cp locked made/locked;;
*) tr a-z A-Z < "$name" > "made/$name";;
esac
`, "{}", f)
	for _, name := range []string{"plain", "fails", "links", "moved", "locked"} {
		if _, err := f.Put(t.Context(), name, []byte("content"), data.PutObject{}); err != nil {
			t.Fatal(err)
		}
	}
	for body, want := range map[string]int{"plain": 200, "plain\n": 200, "fails": 500, "links": 400, "moved": 400, "locked": 200, "absent": 404, "../plain": 400} {
		var resp event.Response
		status, err := 200, in.Invoke(t.Context(), &event.Event{Body: []byte(body)}, &resp)
		var failed *event.Error
		if errors.As(err, &failed) {
			status = failed.Status
		}
		if status != want || event.IsPermanent(err) != (want == 400) {
			t.Errorf("%q: %d, %v", body, status, err)
		}
		left, err := os.ReadDir(scratch)
		if err != nil || len(left) > 0 {
			t.Errorf("%q: %v is left, %v", body, left, err)
		}
	}
	infos, err := f.List(t.Context(), "made", "", 0)
	if err != nil || len(infos) != 2 || infos[0].Name != "made/locked" || infos[1].Name != "made/plain" {
		t.Errorf("made: %+v, %v", infos, err)
	}
	if got, _, err := f.Get(t.Context(), "made/plain"); err != nil || string(got) != "CONTENT" {
		t.Errorf("%q, %v", got, err)
	}
}

// A list of events has the files that do not depend on one.
func TestFilesOfLists(t *testing.T) {
	dir := t.TempDir()
	f := desk(t, dir, `{"in": ["rates"], "out": ["sum"]}`)
	if _, err := f.Put(t.Context(), "rates", []byte("3"), data.PutObject{}); err != nil {
		t.Fatal(err)
	}
	in, _ := runs(t, "#!/bin/sh\nwhile read -r n; do echo $((n * $(cat $MYELIN_FILES/desk/rates))); done | tee $MYELIN_FILES/desk/sum\n", `{"batch": "lines"}`, f)
	evs := []*event.Event{{Body: []byte("1")}, {Body: []byte("2")}}
	resps := []*event.Response{{}, {}}
	errs := []error{event.ErrNotRun, event.ErrNotRun}
	in.(runtime.Batcher).InvokeBatch(t.Context(), evs, resps, errs)
	if errs[0] != nil || errs[1] != nil || string(resps[0].Body)+string(resps[1].Body) != "36" {
		t.Errorf("%v, %q %q", errs, resps[0].Body, resps[1].Body)
	}
	if got, _, err := f.Get(t.Context(), "sum"); err != nil || string(got) != "3\n6\n" {
		t.Errorf("%q, %v", got, err)
	}
	_, err := Factory().New(runtime.Settings{Handles: map[string]any{"desk": desk(t, dir, `{"in": ["{id}"]}`)}}, []byte(`{"batch": "lines"}`))
	if err == nil || !strings.Contains(err.Error(), "a list has many") {
		t.Errorf("files by the event: %v", err)
	}
}
