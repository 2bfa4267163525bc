package ledger

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "sink" {
		os.Exit(sink(os.Args[2]))
	}
	os.Exit(m.Run())
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// all takes and confirms every event.
func all(b *Book) (events []Event) {
	for e, ok := b.Next(); ok; e, ok = b.Next() {
		b.Acked(e)
		events = append(events, e)
	}
	return events
}

func TestGood(t *testing.T) {
	b := Open(Plan{Events: 1000, Keys: 7, Padding: 30})
	for i, e := range all(b) {
		b.Arrived(e.Body)
		if i%10 == 0 {
			b.Arrived(e.Body)
		}
	}
	r := b.Report()
	check(t, r.Err())
	if r.Acked != 1000 || r.Arrived != 1000 || r.Duplicates != 100 || r.Lines != 1100 {
		t.Error(r)
	}
	if want := fmt.Sprintf("seed %d: 1000 confirmed", b.Seed()); !strings.HasPrefix(r.String(), want) {
		t.Errorf("%q does not begin with %q", r, want)
	}
}

// The same seed makes the same events.
func TestSeed(t *testing.T) {
	first := all(Open(Plan{Events: 100, Keys: 3, Padding: 9, Seed: 5}))
	for i, e := range all(Open(Plan{Events: 100, Keys: 3, Padding: 9, Seed: 5})) {
		if !bytes.Equal(e.Body, first[i].Body) || e.Key != first[i].Key {
			t.Fatalf("event %d is %q, was %q", i, e.Body, first[i].Body)
		}
	}
}

// Planted mistakes are found, each as what it is.
func TestFindsPlanted(t *testing.T) {
	plan := Plan{Events: 500, Keys: 1, Seed: 9}
	for name, plant := range map[string]struct {
		do   func(*Book, []Event)
		want string
	}{
		"lost":          {func(b *Book, es []Event) { enter(b, es[:200]); enter(b, es[201:]) }, `1 events lost, first ["k0: 200"]`},
		"last lost":     {func(b *Book, es []Event) { enter(b, es[:499]) }, `1 events lost, first ["k0: 499"]`},
		"all lost":      {func(*Book, []Event) {}, `500 events lost, first ["k0: 0"`},
		"order":         {func(b *Book, es []Event) { enter(b, es[:3]); enter(b, es[4:6]); enter(b, es[3:]) }, `1 events out of order, first ["k0: 3 after 5"]`},
		"another run's": {func(b *Book, es []Event) { enter(b, es); enter(b, all(Open(Plan{Events: 1, Seed: 8}))) }, `1 lines that were not sent, first ["0000000000000008 0 0"]`},
		"never sent":    {func(b *Book, es []Event) { enter(b, es); b.Arrived([]byte("0000000000000009 0 500")) }, "1 lines that were not sent"},
		"wrong key":     {func(b *Book, es []Event) { enter(b, es); b.Arrived([]byte("0000000000000009 1 0")) }, "1 lines that were not sent"},
		"negative":      {func(b *Book, es []Event) { enter(b, es); b.Arrived([]byte("0000000000000009 0 -1")) }, "1 lines that were not sent"},
		"garbage":       {func(b *Book, es []Event) { enter(b, es); b.Arrived([]byte("\x00\xff")); b.Arrived(nil) }, "2 lines that were not sent"},
	} {
		t.Run(name, func(t *testing.T) {
			b := Open(plan)
			plant.do(b, all(b))
			if err := b.Report().Err(); err == nil || !strings.Contains(err.Error(), plant.want) || !strings.Contains(err.Error(), "seed 9") {
				t.Errorf("got %v, want %s", err, plant.want)
			}
		})
	}
}

func enter(b *Book, events []Event) {
	for _, e := range events {
		b.Arrived(e.Body)
	}
}

// What the source never confirmed may be missing, and may have come.
func TestUnconfirmed(t *testing.T) {
	b := Open(Plan{Events: 3})
	for i := range 3 {
		e, _ := b.Next()
		if i == 1 {
			b.Arrived(e.Body)
		}
	}
	r := b.Report()
	check(t, r.Err())
	if r.Acked != 0 || r.Arrived != 1 {
		t.Error(r)
	}
}

// A repeat of old events after newer ones is a duplicate, not disorder.
func TestReplay(t *testing.T) {
	b := Open(Plan{Events: 100})
	events := all(b)
	enter(b, events[:60])
	enter(b, events[40:])
	r := b.Report()
	check(t, r.Err())
	if r.Duplicates != 20 {
		t.Error(r)
	}
	check(t, Report{Disorder: Finds{Count: 1}}.Unordered())
}

func TestHTTP(t *testing.T) {
	b := Open(Plan{Events: 10, Keys: 2})
	s := httptest.NewServer(b)
	defer s.Close()
	var bodies [][]byte
	for _, e := range all(b) {
		bodies = append(bodies, e.Body)
	}
	for _, body := range [][]byte{bytes.Join(bodies[:4], []byte("\n")), bytes.Join(append(bodies[4:], nil), []byte("\r\n"))} {
		resp, err := http.Post(s.URL, "text/plain", bytes.NewReader(body))
		check(t, err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusNoContent {
			t.Error(resp.Status)
		}
	}
	if r := b.Report(); r.Err() != nil || r.Arrived != 10 {
		t.Error(r)
	}
}

// A line that is not whole yet is read when it is.
func TestHalfLine(t *testing.T) {
	b := Open(Plan{Events: 2})
	events := all(b)
	f := b.Follow(filepath.Join(t.TempDir(), "arrivals"))
	check(t, f.Read()) // not there
	body := append(append(events[0].Body, '\n'), events[1].Body...)
	check(t, os.WriteFile(f.path, body[:len(body)-1], 0o600))
	check(t, f.Read())
	if r := b.Report(); r.Arrived != 1 || r.Foreign.Count != 0 {
		t.Fatal(r)
	}
	check(t, os.WriteFile(f.path, append(body, '\n'), 0o600))
	check(t, f.Read())
	check(t, b.Report().Err())
}

// sink is a function's process: it appends what it reads and says that it did.
func sink(path string) int {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 1
	}
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return 0
		}
		if _, err := f.Write(line); err != nil {
			return 1
		}
		if _, err := os.Stdout.WriteString("\n"); err != nil {
			return 1
		}
	}
}

// Events go through processes that are killed in the middle; those whose answer
// was not heard are sent again.
func TestAcrossKills(t *testing.T) {
	b := Open(Plan{Events: 3000, Keys: 5})
	t.Logf("seed %d", b.Seed())
	f := b.Follow(filepath.Join(t.TempDir(), "arrivals"))
	events := all(b)
	lives := 0
	for sent := 0; sent < len(events); lives++ {
		cmd := exec.Command(os.Args[0], "sink", f.path)
		in, err := cmd.StdinPipe()
		check(t, err)
		out, err := cmd.StdoutPipe()
		check(t, err)
		check(t, cmd.Start())
		heard := bufio.NewReader(out)
		for n := 0; sent < len(events); n++ {
			if _, err := in.Write(append(events[sent].Body, '\n')); err != nil {
				break
			}
			if n == 700 { // its answer is not waited for
				_ = cmd.Process.Kill()
				break
			}
			if _, err := heard.ReadByte(); err != nil {
				break
			}
			sent++
		}
		in.Close()
		_ = cmd.Wait()
		check(t, f.Read())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := b.Await(ctx, f.Read)
	check(t, err)
	if lives < 4 || r.Arrived != 3000 {
		t.Errorf("%d lives, %s", lives, r)
	}
	t.Logf("%d processes; %s", lives, r)
}

func TestAwaitEnds(t *testing.T) {
	b := Open(Plan{Events: 1})
	all(b)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if r, err := b.Await(ctx, nil); err == nil || r.Lost.Count != 1 {
		t.Errorf("%s, %v", r, err)
	}
}

// Many events take no more than a few bits each.
func TestCheap(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b := Open(Plan{Events: 300_000, Keys: 100})
	for e, ok := b.Next(); ok; e, ok = b.Next() {
		b.Acked(e)
		b.Arrived(e.Body)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	check(t, b.Report().Err())
	if kept := int64(after.HeapAlloc) - int64(before.HeapAlloc); kept > 1<<20 {
		t.Errorf("the books of 300,000 events take %d bytes", kept)
	}
	runtime.KeepAlive(b)
}
