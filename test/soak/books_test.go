package soak

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	goruntime "runtime"
	"testing"
	"time"
)

// addRuns adds the numbers of events to how often they ran.
func addRuns(ran, appended []byte) error {
	if len(appended)%4 != 0 {
		return fmt.Errorf("the file of runs has %d bytes", len(appended))
	}
	for ; len(appended) > 0; appended = appended[4:] {
		n := binary.LittleEndian.Uint32(appended)
		if int(n) >= len(ran) {
			return fmt.Errorf("event %d ran, which there is not", n)
		}
		ran[n]++
	}
	return nil
}

// disagree says what in the outcomes does not fit how often the events ran.
func disagree(verdict []outcome, ran []byte) string {
	for n, o := range verdict {
		switch r := ran[n]; {
		case o == none:
			return fmt.Sprintf("event %d has no outcome", n)
		case r > 1, (o == answered || o == failed) && r != 1, o == busy && r != 0:
			return fmt.Sprintf("event %d ran %d times, its outcome is %d", n, r, o)
		}
	}
	return ""
}

// The books can disagree: what the soak looks for, it would find.
func TestPlanted(t *testing.T) {
	if p := disagree([]outcome{answered, crashed, crashed, busy, failed}, []byte{1, 0, 1, 0, 1}); p != "" {
		t.Errorf("right books: %s", p)
	}
	for _, c := range []struct {
		o   outcome
		ran byte
	}{{none, 0}, {answered, 0}, {answered, 2}, {crashed, 2}, {busy, 1}, {failed, 0}} {
		if disagree([]outcome{c.o}, []byte{c.ran}) == "" {
			t.Errorf("outcome %d after %d runs was not found", c.o, c.ran)
		}
	}
	ran := []byte{0, 1}
	if err := addRuns(ran, []byte{1, 0, 0, 0}); err != nil || ran[1] != 2 {
		t.Errorf("a second run was not found: %v, %v", ran, err)
	}
	if addRuns(ran, []byte{2, 0, 0, 0}) == nil || addRuns(ran, []byte{1}) == nil {
		t.Error("a broken file of runs was not found")
	}
	s := &soak{verdict: make([]outcome, 1)}
	q := request{path: "/echo", body: []byte("mine")}
	if s.judgeHonest(&q, []byte("other"), nil) == nil {
		t.Error("another's answer was not found")
	}
	if s.judgeHonest(&q, []byte("mine"), nil) == nil {
		t.Error("a second outcome was not found")
	}
	s.verdict[0] = none
	if s.judgeHonest(&request{}, nil, errors.New("lost")) == nil {
		t.Error("an unknown outcome was not found")
	}
	s.verdict[0] = none
	if s.judgeHonest(&request{path: "/raise"}, nil, nil) == nil {
		t.Error("an answer in place of a failure was not found")
	}
}

// usage is what could grow.
type usage struct{ goroutines, files, mappings, kib int }

// measure looks at this process.
func measure() (u usage) {
	u.goroutines = goruntime.NumGoroutine()
	files, _ := os.ReadDir("/proc/self/fd")
	u.files = len(files)
	maps, _ := os.ReadFile("/proc/self/maps")
	u.mappings = bytes.Count(maps, []byte("/memfd:myelin"))
	u.kib = anonymous("self")
	return u
}

// compare looks for growth between the middle and the end of a run, and for
// what is left after it.
func compare(t *testing.T, before, half, end usage) {
	t.Helper()
	if end.kib > half.kib+half.kib/4+32<<10 {
		t.Errorf("memory grew from %d KiB at half time to %d at the end", half.kib, end.kib)
	}
	var after usage
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		goruntime.GC()
		after = measure()
		if after.goroutines <= before.goroutines && after.files <= before.files && after.mappings == 0 {
			return
		}
	}
	t.Errorf("left behind: %+v before, %+v after", before, after)
}
