package dockerfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/myelin-run/myelin/build"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/test/servers"
)

// heard closes when something was written that has said.
type heard struct {
	mu   sync.Mutex
	text bytes.Buffer
	said string
	at   chan struct{}
}

func hear(said string) *heard { return &heard{said: said, at: make(chan struct{})} }

func (h *heard) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := strings.Contains(h.text.String(), h.said)
	h.text.Write(b)
	if !before && strings.Contains(h.text.String(), h.said) {
		close(h.at)
	}
	return len(b), nil
}

func (w world) await(h *heard) {
	w.t.Helper()
	select {
	case <-h.at:
	case <-time.After(2 * time.Minute):
		w.t.Fatalf("it did not say %q", h.said)
	}
}

// slow is a function with a step that takes long, and says when it has begun.
var slow = function.Build{Commands: []string{"echo has; echo begun; sleep 600"}}

// Who gives up has the step killed and nothing left; a limit is told with the step.
func TestStopped(t *testing.T) {
	w := newWorld(t, shared.Docker(t))
	for name, why := range map[string]error{"given up": context.Canceled, "limit": errors.New("the build took longer than 1s")} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			log := hear("begun\n")
			go func() {
				select {
				case <-log.at:
				case <-t.Context().Done():
				}
				cancel(why)
			}()
			_, err := w.Apply(ctx, w.request(slow), log)
			var wrong *build.Error
			switch {
			case name == "given up" && errors.Is(err, context.Canceled):
			case name == "limit" && errors.As(err, &wrong) && strings.Contains(wrong.Msg, "step 1 of 1, RUN echo has; echo begun; sleep 600, was stopped: the build took longer than 1s") && strings.Contains(wrong.Output, "begun"):
			default:
				t.Errorf("%v", err)
			}
			w.until("end of the step", func() bool { return len(w.left()) == 0 })
		})
	}
}

// Builds run beside each other; those that are the same are run once, and who waits
// for one that is given up does it instead.
func TestManyAtOnce(t *testing.T) {
	w := newWorld(t, shared.Docker(t))
	var wg sync.WaitGroup
	begun := make(chan string, 100)
	digests := make([]v1.Hash, 9)
	for n := range digests {
		wg.Go(func() {
			r := w.request(function.Build{Commands: []string{fmt.Sprintf("echo %d > /number", n/3)}})
			var log bytes.Buffer
			img, err := w.Apply(t.Context(), r, &log)
			if err != nil {
				t.Errorf("%v: %s", err, log.String())
				return
			}
			if strings.Contains(log.String(), "step 1 of 1") {
				begun <- log.String()
			}
			if got := file(t, img, "number"); got != fmt.Sprintf("%d\n", n/3) {
				t.Errorf("%d made %q", n, got)
			}
			if digests[n], err = img.Digest(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(begun) != 3 {
		t.Errorf("%d builds ran, want 3", len(begun))
	}
	for n, d := range digests {
		if d != digests[n/3*3] {
			t.Errorf("%d is not the image of %d", n, n/3*3)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	log, second := hear("begun\n"), hear("begun\n")
	r := w.request(slow)
	ctx2, cancel2 := context.WithCancel(t.Context())
	defer cancel2()
	wg.Go(func() { _, _ = w.Apply(ctx, r, log) })
	w.await(log)
	wg.Go(func() { _, _ = w.Apply(ctx2, r, second) })
	cancel()
	w.await(second)
	cancel2()
	wg.Wait()
	w.until("end of the steps", func() bool { return len(w.left()) == 0 })
}

// An engine that dies in the middle is told, and what it left is removed by the
// next build.
func TestEngineDies(t *testing.T) {
	engine := servers.Docker(t)
	w := newWorld(t, engine)
	log := hear("begun\n")
	ended := make(chan error, 1)
	go func() {
		_, err := w.Apply(t.Context(), w.request(slow), log)
		ended <- err
	}()
	select {
	case <-log.at:
	case err := <-ended:
		t.Fatal(err)
	}
	if err := engine.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "step 1 of 1, RUN echo has; echo begun; sleep 600: the Docker engine went away") {
		t.Errorf("%v", err)
	}
	quick := w.request(function.Build{Commands: []string{"echo done > /done"}})
	if _, err := w.Apply(t.Context(), quick, io.Discard); err == nil || !strings.Contains(err.Error(), "cannot be reached") {
		t.Errorf("without an engine: %v", err)
	}
	if err := engine.Start(); err != nil {
		t.Fatal(err)
	}
	if len(w.left()) == 0 {
		t.Error("the killed engine left nothing")
	}
	w.o.Stale = -time.Hour // as if the day were over
	if img, _ := w.apply(quick); file(t, img, "done") != "done\n" {
		t.Error("the step left no file")
	}
	w.until("end of what was left", func() bool { return len(w.left()) == 0 })
}

// A full disk of the engine is told, and leaves nothing half.
func TestEngineFull(t *testing.T) {
	engine := servers.Docker(t, servers.Room("120m"))
	w := newWorld(t, engine)
	r := w.request(function.Build{Commands: []string{"echo done > /done"}})
	if err := engine.Fill(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Apply(t.Context(), r, io.Discard); err == nil || !strings.Contains(err.Error(), "the disk of the Docker engine is full") {
		t.Errorf("%v", err)
	}
	if err := engine.Clear(); err != nil {
		t.Fatal(err)
	}
	if img, _ := w.apply(r); file(t, img, "done") != "done\n" {
		t.Error("the step left no file")
	}
}

// The author's own Dockerfile stands on what it says; an image that the engine has
// is taken as it is; what comes last runs as root, whoever came before.
func TestOtherBases(t *testing.T) {
	w := newWorld(t, shared.Docker(t))
	first := w.request(function.Build{NuclioBuild: function.NuclioBuild{Directives: directives("preCopy", "USER", "65532")}})
	made, _ := w.apply(first)
	key, err := w.key(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	name := tagOf(first.Name, key)

	last := w.request(function.Build{Commands: []string{"@nuclio.postCopy", "echo root > /root-only"}})
	last.Base, last.Last = made, true
	img, _ := w.apply(last)
	if file(t, img, "root-only") != "root\n" {
		t.Error("the last step left no file")
	}

	there := w.request(function.Build{NuclioBuild: function.NuclioBuild{BaseImage: name, NoBaseImagesPull: true}})
	there.Base, there.From = nil, name
	if img, _ = w.apply(there); file(t, img, "bin/sh") == "" && file(t, img, "usr/bin/sh") == "" {
		t.Error("the image of the engine is not whole")
	}
	there.From = "nosuch:1"
	if _, err := w.Apply(t.Context(), there, io.Discard); err == nil || !strings.Contains(err.Error(), "nosuch:1 is not in the Docker engine") {
		t.Errorf("%v", err)
	}

	own := w.request(function.Build{Dockerfile: "image/Dockerfile", NuclioBuild: function.NuclioBuild{Args: map[string]string{"WHO": "me"}}})
	own.Base = nil
	own.Context = put(t, map[string]string{"image/Dockerfile": "FROM " + name + "\nARG WHO\nUSER 0\nCOPY text /text\nRUN echo $WHO >> /text\n", "text": "by "})
	img, log := w.apply(own)
	if file(t, img, "text") != "by me\n" || !strings.Contains(log, "step 5 of 5, RUN echo $WHO >> /text\n") {
		t.Errorf("%q: %s", file(t, img, "text"), log)
	}
	var wrong *build.Error
	own.Context = put(t, map[string]string{"image/Dockerfile": "FROM " + name + "\nRUNS x\n"})
	if _, err := w.Apply(t.Context(), own, io.Discard); !errors.As(err, &wrong) || wrong.File != "image/Dockerfile" || !strings.Contains(err.Error(), "RUNS") {
		t.Errorf("%v", err)
	}
	own.File = "nosuch"
	if _, err := w.Apply(t.Context(), own, io.Discard); !errors.As(err, &wrong) {
		t.Errorf("%v", err)
	}
}
