package control

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/myelin-run/myelin/control/store/etcd"
	"github.com/myelin-run/myelin/control/store/sealed"
	"github.com/myelin-run/myelin/function"
	"github.com/myelin-run/myelin/platform/platformtest"
	"github.com/myelin-run/myelin/test/crowd"
)

// fillStore puts many functions, versions and mappings where a control plane
// will find them.
func (w *world) fillStore(size crowd.Size) {
	w.Helper()
	disk, err := etcd.Open(w.Context(), etcd.Options{Dir: w.dir, Wrapping: sealed.Wrapping})
	if err != nil {
		w.Fatal(err)
	}
	defer disk.Close()
	c, err := New(options(w.dir, w.api, w.gateway, nil))
	if err != nil {
		w.Fatal(err)
	}
	s, err := c.seal(w.Context(), disk)
	if err == nil {
		err = crowd.Fill(w.Context(), s, size)
	}
	if err != nil {
		w.Fatal(err)
	}
}

// resident is how much memory a process has.
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	var all, in int64
	if err == nil {
		_, err = fmt.Sscan(string(b), &all, &in)
	}
	if err != nil {
		t.Fatal(err)
	}
	return in * int64(os.Getpagesize())
}

// median of some measurements, and the longest.
func median(took []time.Duration) (middle, longest time.Duration) {
	slices.Sort(took)
	return took[len(took)/2], took[len(took)-1]
}

// With 10,000 functions, 50,000 versions and 20,000 mappings in the long form,
// a few in the short one, the control plane starts in 5 s, shows a page of
// functions in 50 ms and moves an alias in 100 ms. The short form, on a machine
// that does other things too, only looks for much worse.
func TestFiguresOfALargeStore(t *testing.T) {
	size, slack := crowd.Size{Functions: 300, VersionsOfEach: 5, Mappings: 100}, 20
	if *long {
		size, slack = crowd.Full, 1
	}
	w := newWorld(t)
	w.fillStore(size)
	w.start() // and what is seen for the first time is written down
	for _, v := range []string{"1", "2"} {
		w.deploy(config("hello", v), function.Ready)
		w.publish("hello")
	}
	w.move(alias("prod", 1, 50, 2, 50))
	w.kill()
	began := time.Now()
	w.start()
	within := func(what string, got, want time.Duration) {
		t.Logf("%s: %v", what, got)
		if got > want*time.Duration(slack) {
			t.Errorf("%s takes %v, expected at most %v", what, got, want*time.Duration(slack))
		}
	}
	within("start", time.Since(began), 5*time.Second)
	t.Logf("the control plane has %d MiB in memory", resident(t, w.cmd.Process.Pid)>>20)
	var pages, moves []time.Duration
	for range 20 {
		began := time.Now()
		resp, err := http.Get("http://" + w.api + "/api/v1/functions?limit=100")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		var page struct {
			Items     []json.RawMessage `json:"items"`
			Remaining int               `json:"remaining"`
		}
		if err != nil || json.Unmarshal(b, &page) != nil || len(page.Items) != 100 || page.Remaining < size.Functions-100 {
			t.Fatalf("%d functions and %d more, %v", len(page.Items), page.Remaining, err)
		}
		pages = append(pages, time.Since(began))
	}
	asker := keepAlive(t)
	for i := range 20 {
		want := fmt.Sprint(1 + i%2)
		began := time.Now()
		w.move(alias("prod", 1+i%2, 100))
		for a := (platformtest.Answer{}); a.Version != want; {
			var err error
			if a, err = platformtest.Ask(asker, "http://"+w.gateway+"/hello:prod", "x"); err != nil || time.Since(began) > patience {
				t.Fatalf("version %s does not come: %v", want, err)
			}
		}
		moves = append(moves, time.Since(began))
	}
	page, worst := median(pages)
	within("a page of functions", page, 50*time.Millisecond)
	t.Logf("at worst %v", worst)
	move, worst := median(moves)
	within("a move, from the request to the first answer of the other version", move, 100*time.Millisecond)
	t.Logf("at worst %v", worst)
}
